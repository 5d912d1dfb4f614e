// Text as a manual page has it (man-pages(7)).
#pragma once

#include <string>
#include <string_view>

namespace sluice {

// Printed as it is: nothing in it is taken for a request or an escape. Line breaks become spaces.
std::string Roff(std::string_view text);

// The page's first line. `source` is shown at its foot. No date, so that the same source makes the
// same page.
std::string RoffTitle(std::string_view name, int section, std::string_view source);

}  // namespace sluice
