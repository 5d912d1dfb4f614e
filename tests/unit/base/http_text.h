// What the tests of HttpServer have in common: requests as text, and handlers.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "base/http_server.h"
#include "base/unique_fd.h"

namespace sluice {

// `receive_buffer`: how much the kernel takes for a client that does not read; 0 for its own
// choice.
inline UniqueFd Connect(int port, int receive_buffer = 0) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (receive_buffer > 0) {
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  return fd;
}

inline void Send(const UniqueFd& fd, const std::string& text) {
  size_t sent = 0;
  while (sent < text.size()) {
    const ssize_t n = ::send(fd.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return;  // the server has closed
    sent += static_cast<size_t>(n);
  }
}

// Everything until the server closes.
inline std::string Receive(const UniqueFd& fd) {
  std::string all;
  char buffer[4096];
  ssize_t n = 0;
  while ((n = ::recv(fd.get(), buffer, sizeof buffer, 0)) > 0) {
    all.append(buffer, static_cast<size_t>(n));
  }
  return all;
}

inline std::string Exchange(int port, const std::string& request) {
  const UniqueFd fd = Connect(port);
  Send(fd, request);
  return Receive(fd);
}

inline std::string GetRequest(const std::string& target, const std::string& headers = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n";
}

inline std::string PostRequest(const std::string& body, const std::string& headers = "") {
  return "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + headers + "\r\n" + body;
}

inline HttpResponse Healthy(const HttpRequest&) {
  return {200, "application/json", R"({"ok":true})"};
}

// POST /echo answers with the header X-Shout and the body.
inline void Echo(HttpServer* server) {
  server->Handle("POST", "/echo", [](const HttpRequest& request, const HttpReply& reply) {
    reply({200, "text/plain", std::string(request.Header("x-shout")) + " " + request.body});
  });
}

}  // namespace sluice
