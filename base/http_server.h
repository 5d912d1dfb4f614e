// HttpServer: the small HTTP/1.1 server behind /health, /ready and /metrics.
//
// Made so that a slow or hostile client cannot hold it up: a connection carries one request, which
// must arrive within a deadline and a size whatever the rhythm of its bytes; connections beyond
// what the threads and their short queue take wait in the kernel. Only GET and HEAD of the exact
// paths given are answered; bodies of requests are never read.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/status.h"

namespace sluice {

struct HttpOptions {
  std::string host = "127.0.0.1";
  int port = 0;  // 0: any free one
  // For the whole request to arrive, from when a thread takes up the connection; and then for the
  // whole answer to be taken.
  std::chrono::milliseconds read_timeout{5000};
  std::chrono::milliseconds write_timeout{5000};
  size_t max_request_bytes = 64 << 10;
  size_t threads = 8;
};

struct HttpRequest {
  std::string path;
  std::map<std::string, std::string> query;  // decoded; the first value of each name
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// Called by the server's threads, several at a time. An exception becomes status 500 and a log
// line.
using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

// Get, Start and Stop by one thread.
class HttpServer {
 public:
  explicit HttpServer(HttpOptions options);
  ~HttpServer();  // stops
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Before Start.
  void Get(const std::string& path, HttpHandler handler);

  // Binds, listens and returns; or says why the address cannot be had.
  Status Start();
  // The port bound; 0 before Start.
  int port() const;
  // Returns when no handler runs any more. Connections that wait for the rest of a request are
  // closed at once. Does nothing when not started.
  void Stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
