// The console's page, what it loads, and openapi.json, as they were when this was built.
#pragma once

#include <string_view>
#include <vector>

namespace sluice {

struct ConsoleFile {
  std::string_view path;  // of its URL
  std::string_view content_type;
  std::string_view bytes;
};

// Lives as long as the program.
const std::vector<ConsoleFile>& ConsoleFiles();

}  // namespace sluice
