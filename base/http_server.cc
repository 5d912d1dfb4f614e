#include "base/http_server.h"

#include <httplib.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <semaphore>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/unique_fd.h"

namespace sluice {
namespace {

constexpr int kBacklog = 64;

using SteadyTime = std::chrono::steady_clock::time_point;

int MillisecondsUntil(SteadyTime deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::max<int64_t>(0, left.count()));
}

// What the library reads one request from and writes the answer to. Its own stream begins a new
// timeout with every byte and knows no bound for the headers together.
class RequestStream final : public httplib::Stream {
 public:
  // `stop_fd` becomes readable when the server stops.
  RequestStream(int fd, int stop_fd, const HttpOptions& options)
      : fd_(fd),
        stop_fd_(stop_fd),
        options_(options),
        deadline_(std::chrono::steady_clock::now() + options.read_timeout) {}

  bool is_readable() const override { return position_ < size_ || received_ < MaxBytes(); }
  bool is_writable() const override { return true; }

  ssize_t read(char* out, size_t size) override {
    if (position_ == size_ && !Fill()) return -1;
    const size_t count = std::min(size, size_ - position_);
    std::memcpy(out, buffer_.data() + position_, count);
    position_ += count;
    return static_cast<ssize_t>(count);
  }

  ssize_t write(const char* bytes, size_t size) override {
    if (!answering_) {
      answering_ = true;
      deadline_ = std::chrono::steady_clock::now() + options_.write_timeout;
    }
    pollfd writable = {fd_, POLLOUT, 0};
    if (::poll(&writable, 1, MillisecondsUntil(deadline_)) != 1) return -1;
    return ::send(fd_, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  void get_remote_ip_and_port(std::string& ip, int& port) const override {
    ip.clear();
    port = 0;
  }
  void get_local_ip_and_port(std::string& ip, int& port) const override {
    ip.clear();
    port = 0;
  }
  socket_t socket() const override { return fd_; }

 private:
  size_t MaxBytes() const { return options_.max_request_bytes; }

  bool Fill() {
    const size_t room = std::min(buffer_.size(), MaxBytes() - received_);
    if (room == 0) return false;
    std::array<pollfd, 2> readable = {pollfd{fd_, POLLIN, 0}, pollfd{stop_fd_, POLLIN, 0}};
    if (::poll(readable.data(), readable.size(), MillisecondsUntil(deadline_)) <= 0) return false;
    if (readable[0].revents == 0) return false;
    const ssize_t count = ::recv(fd_, buffer_.data(), room, MSG_DONTWAIT);
    if (count <= 0) return false;
    position_ = 0;
    size_ = static_cast<size_t>(count);
    received_ += size_;
    return true;
  }

  const int fd_;
  const int stop_fd_;
  const HttpOptions& options_;
  SteadyTime deadline_;
  bool answering_ = false;
  std::array<char, 4096> buffer_{};
  size_t position_ = 0;  // buffer_[position_, size_) is received and not read
  size_t size_ = 0;
  size_t received_ = 0;
};

// The library's pool with a bound: the accepting thread waits while every thread is busy and the
// queue is full, and new connections wait in the kernel's queue meanwhile.
class BoundedPool final : public httplib::TaskQueue {
 public:
  explicit BoundedPool(size_t threads)
      : pool_(threads), slots_(static_cast<std::ptrdiff_t>(2 * threads)) {}

  void enqueue(std::function<void()> task) override {
    slots_.acquire();
    pool_.enqueue([this, task = std::move(task)] {
      task();
      slots_.release();
    });
  }
  void shutdown() override { pool_.shutdown(); }

 private:
  httplib::ThreadPool pool_;
  std::counting_semaphore<> slots_;
};

class OneRequestServer final : public httplib::Server {
 public:
  OneRequestServer(const HttpOptions& options, int stop_fd)
      : options_(options), stop_fd_(stop_fd) {}

  // The library listens with room for five; the sixth client's SYN would be dropped and tried
  // again a second later. Call after binding.
  void WidenBacklog() { ::listen(svr_sock_, kBacklog); }

 private:
  bool process_and_close_socket(socket_t fd) override {
    const UniqueFd owned(fd);
    try {
      RequestStream stream(fd, stop_fd_, options_);
      bool closed = false;
      // A request for a thousand overlapping ranges would be answered with a thousand copies.
      const auto ignore_ranges = [](httplib::Request& request) { request.ranges.clear(); };
      return process_request(stream, /*close_connection=*/true, closed, ignore_ranges);
    } catch (const std::exception& error) {
      LogError("http_request_failed", {{"error", error.what()}});
      return false;
    }
  }

  const HttpOptions& options_;
  const int stop_fd_;
};

HttpResponse Call(const HttpHandler& handler, const HttpRequest& request) {
  try {
    return handler(request);
  } catch (const std::exception& error) {
    LogError("http_handler_failed", {{"path", request.path}, {"error", error.what()}});
    return {500, "text/plain; charset=utf-8", "internal error\n"};
  }
}

}  // namespace

class HttpServer::Impl {
 public:
  explicit Impl(HttpOptions options)
      : options_(std::move(options)),
        stop_event_(::eventfd(0, EFD_CLOEXEC)),
        server_(options_, stop_event_.get()) {
    server_.new_task_queue = [threads = options_.threads] { return new BoundedPool(threads); };
    server_.set_default_headers(
        {{"X-Content-Type-Options", "nosniff"}, {"Cache-Control", "no-store"}});
    // The library's default, SO_REUSEPORT, would let two processes share the port.
    server_.set_socket_options([](int fd) {
      const int on = 1;
      ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    });
    // Routing happens here, before the library would read a body or match regular expressions.
    server_.set_pre_routing_handler([this](const httplib::Request& in, httplib::Response& out) {
      const HttpResponse response = Route(in);
      out.status = response.status;
      out.set_content(response.body, response.content_type);
      if (response.status == 405) out.set_header("Allow", "GET, HEAD");
      return httplib::Server::HandlerResponse::Handled;
    });
  }

  ~Impl() { Stop(); }

  void Get(const std::string& path, HttpHandler handler) { handlers_[path] = std::move(handler); }

  Status Start() {
    errno = 0;
    int port = options_.port;
    if (port == 0) {
      port = server_.bind_to_any_port(options_.host);
    } else if (!server_.bind_to_port(options_.host, port)) {
      port = -1;
    }
    if (port < 0) {
      const std::string why = errno != 0 ? std::strerror(errno) : "no such address";
      return {ErrorCode::kIo, "cannot serve HTTP on " + options_.host + " port " +
                                  std::to_string(options_.port) + ": " + why};
    }
    server_.WidenBacklog();
    port_ = port;
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // Stop does nothing to a server whose thread has not come so far.
    while (!server_.is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return Status::Ok();
  }

  int port() const { return port_; }

  void Stop() {
    if (!thread_.joinable()) return;
    ::eventfd_write(stop_event_.get(), 1);
    server_.stop();
    thread_.join();
  }

 private:
  HttpResponse Route(const httplib::Request& in) const {
    const auto found = handlers_.find(in.path);
    if (found == handlers_.end()) return {404, "text/plain; charset=utf-8", "not found\n"};
    if (in.method != "GET" && in.method != "HEAD") {
      return {405, "text/plain; charset=utf-8", "method not allowed\n"};
    }
    HttpRequest request;
    request.path = in.path;
    for (const auto& [name, value] : in.params) request.query.emplace(name, value);
    return Call(found->second, request);
  }

  const HttpOptions options_;
  const UniqueFd stop_event_;
  std::map<std::string, HttpHandler> handlers_;
  OneRequestServer server_;
  std::thread thread_;
  int port_ = 0;
};

HttpServer::HttpServer(HttpOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
HttpServer::~HttpServer() = default;
void HttpServer::Get(const std::string& path, HttpHandler handler) {
  impl_->Get(path, std::move(handler));
}
Status HttpServer::Start() {
  return impl_->Start();
}
int HttpServer::port() const {
  return impl_->port();
}
void HttpServer::Stop() {
  impl_->Stop();
}

}  // namespace sluice
