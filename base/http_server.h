// HttpServer: the small HTTP/1.1 server behind /health, /ready, /metrics and the console.
//
// Made so that a slow or hostile client cannot hold it up: one thread moves the bytes of all
// connections and waits for none of them; only a request that is there whole takes one of the
// others. A connection carries one request, which must arrive within a deadline and a size whatever
// the rhythm of its bytes. When there are too many connections, a new one takes the oldest one's
// place. A handler that has to wait for something answers later, on a thread of its own choice, and
// takes none of the server's. Only the paths and methods given are answered, and HEAD where GET is.
// Bodies are read of POST only. The server's own refusals are what HttpError makes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/http_message.h"
#include "base/status.h"

namespace sluice {

struct HttpOptions {
  std::string host = "127.0.0.1";
  int port = 0;  // 0: any free one
  // For the whole request to arrive; and then for the whole answer to be taken.
  std::chrono::milliseconds timeout{5000};
  size_t max_request_bytes = 64 << 10;   // without a body
  size_t max_body_bytes = 64 << 10;      // of a POST
  size_t max_connections = 256;          // each is a descriptor, and memory for request and answer
  size_t threads = 2;                    // for the handlers
  std::vector<HttpHeader> headers = {};  // of every answer
};

struct HttpStats {
  size_t connections = 0;  // now
  // Closed without an answer, or in the middle of one, because
  uint64_t slow = 0;         // the time was up;
  uint64_t oversized = 0;    // the request was too large;
  uint64_t crowded_out = 0;  // there were too many.
};

// Called by the server's threads, several at a time. An exception becomes status 500 and a log
// line.
using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

// Takes the answer to one request. To be called exactly once, by any thread; the server waits in
// Stop until it was.
using HttpReply = std::function<void(HttpResponse)>;
// As an HttpHandler, but may keep `reply` and return. To throw only while it has done neither.
using HttpLaterHandler = std::function<void(const HttpRequest&, HttpReply reply)>;

// Get, Handle, Start and Stop by one thread.
class HttpServer {
 public:
  explicit HttpServer(HttpOptions options);
  ~HttpServer();  // stops
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Before Start. A path that ends in /* stands for every path with one more segment there, unless
  // that path was given itself.
  void Get(const std::string& path, HttpHandler handler);
  void Handle(const std::string& method, const std::string& path, HttpLaterHandler handler);

  // Binds, listens and returns; or says why the address cannot be had.
  Status Start();
  // The port bound; 0 before Start.
  int port() const;
  // Returns when every request that has come is answered and the answer is taken, or its time up.
  // Connections that wait for the rest of a request are closed at once. Does nothing when not
  // started.
  void Stop();
  HttpStats stats() const;  // any thread

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
