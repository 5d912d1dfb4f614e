// One HTTP request and its answer, for tests that must say exactly what is sent.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace sluice::testing {

struct HttpAnswer {
  int status = 0;  // 0: there was none
  std::map<std::string, std::string> headers = {};
  std::string body = {};
};

struct HttpQuestion {
  std::string method = "GET";
  std::string target = "/";
  std::vector<std::pair<std::string, std::string>> headers = {};  // besides Host, Content-Length
  std::string body = {};                                          // with a length where not empty
};

// To a server on 127.0.0.1 that closes after its answer. Waits at most 20 seconds for each step.
HttpAnswer HttpExchange(uint16_t port, const HttpQuestion& question);

}  // namespace sluice::testing
