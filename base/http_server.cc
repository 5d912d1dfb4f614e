#include "base/http_server.h"

#include <fcntl.h>
#include <httplib.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <list>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/unique_fd.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kBacklog = 1024;
// So that a rush of new clients does not push out those whose request has arrived meanwhile.
constexpr int kAcceptedAtOnce = 8;
// For as long nobody is let in when the process has no descriptor left.
constexpr std::chrono::milliseconds kPauseWithoutDescriptors{100};

// What the library reads a request from that is there whole, and writes the answer to.
class MessageStream final : public httplib::Stream {
 public:
  explicit MessageStream(std::string_view request) : request_(request) {}

  std::string TakeAnswer() { return std::move(answer_); }

  bool is_readable() const override { return !request_.empty(); }
  bool is_writable() const override { return true; }
  ssize_t read(char* out, size_t size) override {
    const size_t count = std::min(size, request_.size());
    if (count == 0) return -1;
    std::memcpy(out, request_.data(), count);
    request_.remove_prefix(count);
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char* bytes, size_t size) override {
    answer_.append(bytes, size);
    return static_cast<ssize_t>(size);
  }
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
  std::string answer_;
};

// The library as far as it is used: the address, and a request's way from text to text.
class MessageServer final : public httplib::Server {
 public:
  // The socket bound and listening, with room for more than the library's five; the sixth client's
  // SYN would be dropped and tried again a second later.
  UniqueFd TakeListener() {
    UniqueFd listener(svr_sock_.exchange(INVALID_SOCKET));
    ::listen(listener.get(), kBacklog);
    ::fcntl(listener.get(), F_SETFL, O_NONBLOCK);
    return listener;
  }

  // "" when there is none.
  std::string Answer(std::string_view text) {
    try {
      MessageStream stream(text);
      bool closed = false;
      // A request for a thousand overlapping ranges would be answered with a thousand copies.
      const auto ignore_ranges = [](httplib::Request& request) { request.ranges.clear(); };
      process_request(stream, /*close_connection=*/true, closed, ignore_ranges);
      return stream.TakeAnswer();
    } catch (const std::exception& error) {
      LogError("http_request_failed", {{"error", error.what()}});
      return "";
    }
  }
};

struct Connection {
  enum class Phase { kReceiving, kHandled, kSending };

  UniqueFd fd;
  Clock::time_point deadline;
  Phase phase = Phase::kReceiving;
  bool ready = false;  // there are bytes to take, or room for some
  std::string request = {};
  std::string answer = {};
  size_t sent = 0;
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
  explicit Impl(HttpOptions options) : options_(std::move(options)) {
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
    port_ = port;
    listener_ = server_.TakeListener();
    handling_ = std::make_unique<httplib::ThreadPool>(options_.threads);
    thread_ = std::thread([this] { Serve(); });
    return Status::Ok();
  }

  int port() const { return port_; }

  void Stop() {
    if (!thread_.joinable()) return;
    stopping_ = true;
    Wake();
    thread_.join();
    handling_->shutdown();
  }

  HttpStats stats() const { return {connected_, slow_, oversized_, crowded_out_}; }

 private:
  using Connections = std::list<Connection>;  // the oldest first; handlers know their addresses
  using Phase = Connection::Phase;

  void Serve() {
    while (true) {
      if (stopping_) {
        listener_.Reset();
        connections_.remove_if([](const Connection& c) { return c.phase == Phase::kReceiving; });
        connected_ = connections_.size();
        if (connections_.empty()) return;
      }
      Poll();
      TakeAnswers();
      for (auto it = connections_.begin(); it != connections_.end();) {
        const auto next = std::next(it);
        if (!GoOn(*it)) Close(it);
        it = next;
      }
      if (listener_.valid()) Accept();
    }
  }

  // Until something can be done for some connection.
  void Poll() {
    const auto now = Clock::now();
    auto until = now + std::chrono::hours(1);
    polled_.clear();
    polled_.push_back({wake_.get(), POLLIN, 0});
    if (now < closed_until_) {
      until = closed_until_;
    } else if (listener_.valid()) {
      polled_.push_back({listener_.get(), POLLIN, 0});
    }
    for (const Connection& connection : connections_) {
      if (connection.phase == Phase::kHandled) continue;
      const short wanted = connection.phase == Phase::kReceiving ? POLLIN : POLLOUT;
      polled_.push_back({connection.fd.get(), wanted, 0});
      until = std::min(until, connection.deadline);
    }
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
    ::poll(polled_.data(), polled_.size(), static_cast<int>(std::max<int64_t>(0, wait)));
    auto polled = polled_.rbegin();
    for (auto connection = connections_.rbegin(); connection != connections_.rend(); ++connection) {
      if (connection->phase != Phase::kHandled) connection->ready = (polled++)->revents != 0;
    }
    eventfd_t woken = 0;
    ::eventfd_read(wake_.get(), &woken);
  }

  // False when the connection is at its end.
  bool GoOn(Connection& connection) {
    if (connection.phase == Phase::kHandled) return true;
    if (connection.ready) {
      const bool open =
          connection.phase == Phase::kReceiving ? Receive(connection) : Send(connection);
      if (!open || connection.phase == Phase::kHandled) return open;
    }
    if (Clock::now() < connection.deadline) return true;
    ++slow_;
    return false;
  }

  bool Receive(Connection& connection) {
    std::array<char, 4096> buffer;
    const ssize_t count = ::recv(connection.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    if (count == 0) return false;
    std::string& request = connection.request;
    const size_t seen = std::max<size_t>(request.size(), 3) - 3;
    request.append(buffer.data(), static_cast<size_t>(count));
    if (request.find("\r\n\r\n", seen) != std::string::npos) {
      connection.phase = Phase::kHandled;
      handling_->enqueue([this, &connection] { Handle(connection); });
      return true;
    }
    if (request.size() < options_.max_request_bytes) return true;
    ++oversized_;
    return false;
  }

  // In a thread of the pool, to which the connection belongs meanwhile.
  void Handle(Connection& connection) {
    connection.answer = server_.Answer(connection.request);
    {
      const std::scoped_lock lock(mutex_);
      handled_.push_back(&connection);
    }
    Wake();
  }

  void TakeAnswers() {
    std::vector<Connection*> handled;
    {
      const std::scoped_lock lock(mutex_);
      handled.swap(handled_);
    }
    for (Connection* const connection : handled) {
      connection->phase = Phase::kSending;
      connection->ready = true;
      connection->deadline = Clock::now() + options_.timeout;
    }
  }

  static bool Send(Connection& connection) {
    const std::string_view rest = std::string_view(connection.answer).substr(connection.sent);
    if (rest.empty()) return false;
    const ssize_t count =
        ::send(connection.fd.get(), rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    connection.sent += static_cast<size_t>(count);
    return connection.sent < connection.answer.size();
  }

  void Accept() {
    for (int i = 0; i < kAcceptedAtOnce && Clock::now() >= closed_until_; ++i) {
      UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!fd.valid() && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS)) {
        closed_until_ = Clock::now() + kPauseWithoutDescriptors;
      }
      if (!fd.valid()) return;
      if (connections_.size() >= options_.max_connections && !MakeRoom()) continue;
      connections_.push_back({std::move(fd), Clock::now() + options_.timeout});
      connected_ = connections_.size();
    }
  }

  // False when every connection is in the hands of a handler.
  bool MakeRoom() {
    ++crowded_out_;
    const auto oldest = std::find_if(connections_.begin(), connections_.end(),
                                     [](const auto& c) { return c.phase != Phase::kHandled; });
    if (oldest == connections_.end()) return false;
    Close(oldest);
    return true;
  }

  void Close(Connections::iterator connection) {
    connections_.erase(connection);
    connected_ = connections_.size();
  }

  void Wake() { ::eventfd_write(wake_.get(), 1); }

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
  const UniqueFd wake_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::map<std::string, HttpHandler> handlers_;
  MessageServer server_;
  int port_ = 0;
  std::thread thread_;
  std::unique_ptr<httplib::ThreadPool> handling_;
  std::atomic<bool> stopping_{false};
  std::atomic<size_t> connected_{0};
  std::atomic<uint64_t> slow_{0};
  std::atomic<uint64_t> oversized_{0};
  std::atomic<uint64_t> crowded_out_{0};

  // Of the serving thread.
  UniqueFd listener_;
  Clock::time_point closed_until_{};
  Connections connections_;
  std::vector<pollfd> polled_;

  std::mutex mutex_;
  std::vector<Connection*> handled_;  // guarded by mutex_
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

HttpStats HttpServer::stats() const {
  return impl_->stats();
}

}  // namespace sluice
