// The page of report.html, which report.cmake makes a string of.
#pragma once

#include <string_view>

namespace sluice::loadtest {

std::string_view ReportPage();

}  // namespace sluice::loadtest
