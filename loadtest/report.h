// What runs and benchmarks came to: as a table for a terminal, as JSON for programs, and as one
// HTML page with charts that needs nothing else. Names and texts may be anybody's: they are
// escaped.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "loadtest/bench_result.h"
#include "loadtest/result.h"

namespace sluice::loadtest {

std::string Table(const std::vector<RunResult>& runs);
std::string Table(const BenchResult& bench);

// One object; "kind" is "run" or "bench", units are in the names of the fields. `sustained`: the
// highest rate of a ladder, messages a second.
std::string Json(const std::vector<RunResult>& runs, std::optional<double> sustained = {});
std::string Json(const BenchResult& bench);

// loadtest/report.html with that JSON in it.
std::string Html(const std::vector<RunResult>& runs, std::optional<double> sustained = {});
std::string Html(const BenchResult& bench);

}  // namespace sluice::loadtest
