#include "base/http_get.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/unique_fd.h"

namespace sluice {
namespace {

constexpr size_t kMaxBody = 16 << 20;
constexpr timeval kPatience = {2, 0};

struct Url {
  std::string host;
  std::string port = "80";
  std::string path;
};

bool Parse(const std::string& text, const std::string& default_path, Url* url) {
  constexpr std::string_view kScheme = "http://";
  if (text.rfind(kScheme, 0) != 0) return false;
  const size_t slash = std::min(text.find('/', kScheme.size()), text.size());
  std::string authority = text.substr(kScheme.size(), slash - kScheme.size());
  url->path = text.substr(slash);
  if (url->path.empty() || url->path == "/") url->path = default_path;
  const size_t colon = authority.rfind(':');
  if (colon != std::string::npos) {
    url->port = authority.substr(colon + 1);
    authority.resize(colon);
  }
  url->host = authority;
  return !url->host.empty() && !url->port.empty();
}

Status Error(const std::string& what) {
  return {ErrorCode::kUnavailable, what + ": " + std::strerror(errno)};
}

Result<UniqueFd> Connect(const Url& url) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int rc = ::getaddrinfo(url.host.c_str(), url.port.c_str(), &hints, &found);
  if (rc != 0) return Status(ErrorCode::kUnavailable, url.host + ": " + ::gai_strerror(rc));
  UniqueFd fd(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  const int connected = ::connect(fd.get(), found->ai_addr, found->ai_addrlen);
  ::freeaddrinfo(found);
  if (connected != 0) return Error("connect");
  return fd;
}

}  // namespace

std::string HostOf(const std::string& url_text) {
  Url url;
  return Parse(url_text, "", &url) ? url.host : "";
}

Result<HttpAnswer> HttpAsk(const std::string& url_text, const std::string& default_path) {
  Url url;
  if (!Parse(url_text, default_path, &url)) {
    return Status(ErrorCode::kInvalidArgument, "not an http:// URL: " + url_text);
  }
  Result<UniqueFd> fd = Connect(url);
  if (!fd.ok()) return fd.status();
  // HTTP/1.0: no chunks, and the end of the connection is the end of the body.
  const std::string request = "GET " + url.path + " HTTP/1.0\r\nHost: " + url.host + "\r\n\r\n";
  if (::send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return Error("send");
  }
  std::string answer;
  std::array<char, 16384> buffer;
  for (;;) {
    const ssize_t n = ::recv(fd->get(), buffer.data(), buffer.size(), 0);
    if (n < 0) return Error("recv");
    if (n == 0) break;
    answer.append(buffer.data(), static_cast<size_t>(n));
    if (answer.size() > kMaxBody) return Status(ErrorCode::kRejected, "the answer is too large");
  }
  const size_t body = answer.find("\r\n\r\n");
  const size_t status = std::strlen("HTTP/1.0 ");
  HttpAnswer parsed;
  if (body == std::string::npos || body < status || answer.rfind("HTTP/1.", 0) != 0 ||
      std::from_chars(answer.data() + status, answer.data() + body, parsed.status).ec !=
          std::errc()) {
    return Status(ErrorCode::kRejected, "answered " + answer.substr(0, answer.find('\r')));
  }
  parsed.body = answer.substr(body + 4);
  return parsed;
}

Result<std::string> HttpGet(const std::string& url, const std::string& default_path) {
  Result<HttpAnswer> answer = HttpAsk(url, default_path);
  if (!answer.ok()) return answer.status();
  if (answer->status != 200) {
    return Status(ErrorCode::kRejected, "answered with status " + std::to_string(answer->status));
  }
  return std::move(answer->body);
}

}  // namespace sluice
