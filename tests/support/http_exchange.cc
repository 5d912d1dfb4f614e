#include "tests/support/http_exchange.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <sstream>

#include "base/unique_fd.h"

namespace sluice::testing {
namespace {

std::string Text(const HttpQuestion& question) {
  std::string text = question.method + " " + question.target + " HTTP/1.1\r\nHost: localhost\r\n";
  for (const auto& [name, value] : question.headers) text += name + ": " + value + "\r\n";
  if (!question.body.empty() || question.method == "POST") {
    text += "Content-Length: " + std::to_string(question.body.size()) + "\r\n";
  }
  return text + "\r\n" + question.body;
}

HttpAnswer Parse(const std::string& text) {
  HttpAnswer answer;
  const size_t end = text.find("\r\n\r\n");
  if (end == std::string::npos) return answer;
  std::istringstream lines(text.substr(0, end + 2));
  std::string line;
  std::getline(lines, line);
  answer.status = std::stoi(line.substr(9, 3));
  while (std::getline(lines, line)) {
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) {
      answer.headers[line.substr(0, colon)] = line.substr(colon + 2, line.size() - colon - 3);
    }
  }
  answer.body = text.substr(end + 4);
  return answer;
}

}  // namespace

HttpAnswer HttpExchange(uint16_t port, const HttpQuestion& question) {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{.tv_sec = 20, .tv_usec = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return {};
  }
  const std::string request = Text(question);
  for (size_t sent = 0; sent < request.size();) {
    const ssize_t n =
        ::send(socket.get(), request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) break;  // refused before it was read whole
    sent += static_cast<size_t>(n);
  }
  std::string answer;
  char buffer[16384];
  for (ssize_t n = 0; (n = ::recv(socket.get(), buffer, sizeof buffer, 0)) > 0;) {
    answer.append(buffer, static_cast<size_t>(n));
  }
  return Parse(answer);
}

}  // namespace sluice::testing
