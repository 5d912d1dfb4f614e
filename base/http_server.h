// HttpServer: the small HTTP/1.1 server behind /health, /ready and /metrics.
//
// Made so that a slow or hostile client cannot hold it up: one thread moves the bytes of all
// connections and waits for none of them; only a request that is there whole takes one of the
// others. A connection carries one request, which must arrive within a deadline and a size whatever
// the rhythm of its bytes. When there are too many connections, a new one takes the oldest one's
// place. Only GET and HEAD of the exact paths given are answered; bodies of requests are never
// read.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/status.h"

namespace sluice {

struct HttpOptions {
  std::string host = "127.0.0.1";
  int port = 0;  // 0: any free one
  // For the whole request to arrive; and then for the whole answer to be taken.
  std::chrono::milliseconds timeout{5000};
  size_t max_request_bytes = 64 << 10;  // without a body
  size_t max_connections = 256;         // each is a descriptor, and memory for request and answer
  size_t threads = 2;                   // for the handlers
};

struct HttpStats {
  size_t connections = 0;  // now
  // Closed without an answer, or in the middle of one, because
  uint64_t slow = 0;         // the time was up;
  uint64_t oversized = 0;    // the request was too large;
  uint64_t crowded_out = 0;  // there were too many.
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
  // Returns when no handler runs any more and its answer is taken, or its time up. Connections that
  // wait for the rest of a request are closed at once. Does nothing when not started.
  void Stop();
  HttpStats stats() const;  // any thread

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
