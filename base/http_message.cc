#include "base/http_message.h"

#include <httplib.h>

#include <algorithm>
#include <cstring>

#include "base/escape.h"
#include "base/letter_case.h"
#include "base/log.h"

namespace sluice {
namespace {

// What the library reads a request from whose head is there whole.
class MessageStream final : public httplib::Stream {
 public:
  explicit MessageStream(std::string_view request) : request_(request) {}

  bool is_readable() const override { return !request_.empty(); }
  bool is_writable() const override { return true; }
  ssize_t read(char* out, size_t size) override {
    const size_t count = std::min(size, request_.size());
    if (count == 0) return -1;
    std::memcpy(out, request_.data(), count);
    request_.remove_prefix(count);
    return static_cast<ssize_t>(count);
  }
  // The library's answer, which nobody sends.
  ssize_t write(const char*, size_t size) override { return static_cast<ssize_t>(size); }
  void get_remote_ip_and_port(std::string& ip, int& port) const override {
    ip.clear();
    port = 0;
  }
  void get_local_ip_and_port(std::string& ip, int& port) const override {
    ip.clear();
    port = 0;
  }
  socket_t socket() const override { return -1; }

 private:
  std::string_view request_;
};

// The library as far as it is used here: what the head of a request says.
class HeadParser final : public httplib::Server {
 public:
  HeadParser() {
    // Before it would read a body or match regular expressions.
    set_pre_routing_handler([](const httplib::Request&, httplib::Response&) {
      return httplib::Server::HandlerResponse::Handled;
    });
  }

  std::optional<HttpRequest> Parse(std::string_view head) {
    std::optional<HttpRequest> parsed;
    try {
      MessageStream stream(head);
      bool closed = false;
      process_request(stream, /*close_connection=*/true, closed, [&](httplib::Request& request) {
        request.ranges.clear();  // a thousand of them would be a thousand copies of an answer
        parsed = HttpRequest{request.method, request.path, {}, {}, {}};
        for (const auto& [name, value] : request.params) parsed->query.emplace(name, value);
        for (const auto& [name, value] : request.headers) {
          parsed->headers.emplace(LowerCase(name), value);
        }
      });
    } catch (const std::exception& error) {
      LogError("http_request_failed", {{"error", error.what()}});
    }
    return parsed;
  }
};

const char* ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 503:
      return "Service Unavailable";
    default:
      return status < 500 ? "Refused" : "Internal Server Error";
  }
}

}  // namespace

std::string_view HttpRequest::Header(const std::string& lower_case_name) const {
  const auto found = headers.find(lower_case_name);
  return found == headers.end() ? std::string_view() : found->second;
}

HttpResponse HttpError(int status, std::string_view code, std::string_view message) {
  return {
      status, "application/json",
      R"({"error":{"code":")" + Escaped(code) + R"(","message":")" + Escaped(message) + "\"}}\n"};
}

std::optional<HttpRequest> ParseHttpHead(std::string_view head) {
  static HeadParser parser;
  return parser.Parse(head);
}

std::string RenderHttp(const HttpResponse& response, const std::vector<HttpHeader>& headers,
                       bool head_only) {
  std::string text =
      "HTTP/1.1 " + std::to_string(response.status) + " " + ReasonPhrase(response.status) + "\r\n";
  const auto add = [&text](const HttpHeader& header) {
    text += header.first + ": " + header.second + "\r\n";
  };
  add({"Content-Type", response.content_type});
  add({"Content-Length", std::to_string(response.body.size())});
  add({"Connection", "close"});
  add({"Cache-Control", "no-store"});
  add({"X-Content-Type-Options", "nosniff"});
  for (const HttpHeader& header : headers) add(header);
  for (const HttpHeader& header : response.headers) add(header);
  text += "\r\n";
  if (!head_only) text += response.body;
  return text;
}

}  // namespace sluice
