// One HTTP GET, as little of it as asking a daemon needs.
#pragma once

#include <string>

#include "base/status.h"

namespace sluice {

struct HttpAnswer {
  int status = 0;
  std::string body;
};
// `url` is http://host[:port][/path]; an absent path becomes `default_path`. Waits at most two
// seconds for each step. kRejected when what answers does not speak HTTP.
Result<HttpAnswer> HttpAsk(const std::string& url, const std::string& default_path);

// The body; kRejected for any status but 200.
Result<std::string> HttpGet(const std::string& url, const std::string& default_path);

// The name or address in `url`; "" when that is no such URL.
std::string HostOf(const std::string& url);

}  // namespace sluice
