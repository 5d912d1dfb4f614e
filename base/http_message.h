// What goes to and fro between HttpServer and its handlers, and how it is read and written.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

using HttpHeader = std::pair<std::string, std::string>;

struct HttpRequest {
  std::string method;                             // GET for HEAD, too
  std::string path;                               // decoded
  std::multimap<std::string, std::string> query;  // decoded; a name once for each value
  std::map<std::string, std::string> headers;     // the first of each name, in lower case
  std::string body;

  // "" when there is no such header.
  std::string_view Header(const std::string& lower_case_name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<HttpHeader> headers = {};  // besides what every answer has
};

// {"error":{"code":…,"message":…}}
HttpResponse HttpError(int status, std::string_view code, std::string_view message);

// The request that a head, up to its empty line, stands for, without a body; nothing when it is
// none. Thread-safe.
std::optional<HttpRequest> ParseHttpHead(std::string_view head);

// The text of an answer, the last of its connection; `headers` are added to its own. `head_only`
// leaves out the body, as HEAD wants it.
std::string RenderHttp(const HttpResponse& response, const std::vector<HttpHeader>& headers,
                       bool head_only);

}  // namespace sluice
