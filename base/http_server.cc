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
#include <charconv>
#include <cstring>
#include <list>
#include <mutex>
#include <optional>
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

// What is still read of a request after it was refused: closed with bytes unread, the connection
// would be reset, and the client could lose the refusal.
constexpr size_t kUnreadBytes = 256 << 10;
constexpr std::string_view kEndOfHead = "\r\n\r\n";

// The library as far as it is used here: a name or address becomes a socket.
class Listener final : public httplib::Server {
 public:
  Listener() {
    // The library's default, SO_REUSEPORT, would let two processes share the port.
    set_socket_options([](int fd) {
      const int on = 1;
      ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    });
  }

  // The socket bound and listening, with room for more than the library's five; the sixth client's
  // SYN would be dropped and tried again a second later.
  UniqueFd TakeSocket() {
    UniqueFd listener(svr_sock_.exchange(INVALID_SOCKET));
    ::listen(listener.get(), kBacklog);
    ::fcntl(listener.get(), F_SETFL, O_NONBLOCK);
    return listener;
  }
};

struct Connection {
  enum class Phase { kReceiving, kHandled, kSending, kClosing };

  UniqueFd fd;
  Clock::time_point deadline;
  Phase phase = Phase::kReceiving;
  bool ready = false;  // there are bytes to take, or room for some
  std::string request = {};
  size_t head_size = 0;   // of the request, once it is there
  size_t whole_size = 0;  // the same with its body, where one is awaited
  bool head_only = false;
  bool unread = false;      // there may be more of the request than was taken
  std::string answer = {};  // empty: the rest of the body is wanted first
  size_t sent = 0;
  size_t thrown_away = 0;
};

void Call(const HttpLaterHandler& handler, const HttpRequest& request, const HttpReply& reply) {
  try {
    handler(request, reply);
  } catch (const std::exception& error) {
    LogError("http_handler_failed", {{"path", request.path}, {"error", error.what()}});
    reply(HttpError(500, "internal", "this went wrong here; the log says more"));
  }
}

}  // namespace

class HttpServer::Impl {
 public:
  explicit Impl(HttpOptions options) : options_(std::move(options)) {}

  ~Impl() { Stop(); }

  void Handle(const std::string& method, const std::string& path, HttpLaterHandler handler) {
    handlers_[path][method] = std::move(handler);
  }

  Status Start() {
    Listener listener;
    errno = 0;
    int port = options_.port;
    if (port == 0) {
      port = listener.bind_to_any_port(options_.host);
    } else if (!listener.bind_to_port(options_.host, port)) {
      port = -1;
    }
    if (port < 0) {
      const std::string why = errno != 0 ? std::strerror(errno) : "no such address";
      return {ErrorCode::kIo, "cannot serve HTTP on " + options_.host + " port " +
                                  std::to_string(options_.port) + ": " + why};
    }
    port_ = port;
    listener_ = listener.TakeSocket();
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
  using Methods = std::map<std::string, HttpLaterHandler>;

  void Serve() {
    while (true) {
      if (stopping_) {
        listener_.Reset();
        connections_.remove_if([](const Connection& c) {
          return c.phase == Phase::kReceiving || c.phase == Phase::kClosing;
        });
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
      const short wanted = connection.phase == Phase::kSending ? POLLOUT : POLLIN;
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
      const bool open = connection.phase == Phase::kReceiving ? Receive(connection)
                        : connection.phase == Phase::kSending ? Send(connection)
                                                              : ThrowAway(connection);
      if (!open || connection.phase == Phase::kHandled) return open;
    }
    if (Clock::now() < connection.deadline) return true;
    if (connection.phase != Phase::kClosing) ++slow_;
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
    if (connection.head_size == 0) {
      const size_t end = request.find(kEndOfHead, seen);
      if (end != std::string::npos) connection.head_size = end + kEndOfHead.size();
    }
    if (connection.head_size > 0) {
      if (request.size() < connection.whole_size) return true;
      connection.phase = Phase::kHandled;
      handling_->enqueue([this, &connection] { HandleRequest(connection); });
      return true;
    }
    if (request.size() < options_.max_request_bytes) return true;
    ++oversized_;
    return false;
  }

  // In a thread of the pool, to which the connection belongs meanwhile.
  void HandleRequest(Connection& connection) {
    auto request =
        ParseHttpHead(std::string_view(connection.request).substr(0, connection.head_size));
    if (!request) {
      return Answer(connection, HttpError(400, "bad_request", "this is no request of HTTP/1.1"));
    }
    connection.head_only = request->method == "HEAD";
    if (connection.head_only) request->method = "GET";
    connection.unread = request->headers.contains("content-length") ||
                        request->headers.contains("transfer-encoding");
    const Methods* const methods = MethodsOf(request->path);
    if (methods == nullptr) {
      return Answer(connection, HttpError(404, "not_found", "there is nothing at this path"));
    }
    const auto handler = methods->find(request->method);
    if (handler == methods->end()) return Answer(connection, NotAllowed(*methods));
    if (request->method == "POST") {
      if (const auto refusal = AwaitBody(*request, &connection)) {
        return Answer(connection, *refusal);
      }
      if (connection.request.size() < connection.whole_size) return GiveBack(connection);
      request->body = connection.request.substr(connection.head_size,
                                                connection.whole_size - connection.head_size);
      connection.unread = false;
    }
    Call(handler->second, *request,
         [this, &connection](const HttpResponse& response) { Answer(connection, response); });
  }

  const Methods* MethodsOf(const std::string& path) const {
    auto found = handlers_.find(path);
    if (found == handlers_.end()) found = handlers_.find(path.substr(0, path.rfind('/') + 1) + "*");
    return found == handlers_.end() ? nullptr : &found->second;
  }

  static HttpResponse NotAllowed(const Methods& methods) {
    std::string allowed;
    for (const auto& [method, handler] : methods) {
      allowed += (allowed.empty() ? "" : ", ") + method + (method == "GET" ? ", HEAD" : "");
    }
    HttpResponse response = HttpError(405, "method_not_allowed", "allowed here: " + allowed);
    response.headers.emplace_back("Allow", allowed);
    return response;
  }

  // Says how much of the connection is the request, or why it will not be read.
  std::optional<HttpResponse> AwaitBody(const HttpRequest& request, Connection* connection) const {
    const std::string_view text = request.Header("content-length");
    if (text.empty() || request.headers.contains("transfer-encoding")) {
      return HttpError(411, "length_required", "Content-Length must say how long the body is");
    }
    size_t size = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (error == std::errc::result_out_of_range || size > options_.max_body_bytes) {
      return HttpError(
          413, "too_large",
          "the body may have " + std::to_string(options_.max_body_bytes) + " bytes at most");
    }
    if (error != std::errc() || end != text.data() + text.size()) {
      return HttpError(400, "bad_request", "Content-Length is no number");
    }
    connection->whole_size = connection->head_size + size;
    return std::nullopt;
  }

  void Answer(Connection& connection, const HttpResponse& response) {
    connection.answer = RenderHttp(response, options_.headers, connection.head_only);
    GiveBack(connection);
  }

  // Waking under the lock: once it is free, the server may be gone.
  void GiveBack(Connection& connection) {
    const std::scoped_lock lock(mutex_);
    handled_.push_back(&connection);
    Wake();
  }

  void TakeAnswers() {
    std::vector<Connection*> handled;
    {
      const std::scoped_lock lock(mutex_);
      handled.swap(handled_);
    }
    for (Connection* const connection : handled) {
      connection->ready = true;
      if (connection->answer.empty()) {
        connection->phase = Phase::kReceiving;
        continue;
      }
      connection->phase = Phase::kSending;
      connection->deadline = Clock::now() + options_.timeout;
    }
  }

  static bool Send(Connection& connection) {
    const std::string_view rest = std::string_view(connection.answer).substr(connection.sent);
    const ssize_t count =
        ::send(connection.fd.get(), rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    connection.sent += static_cast<size_t>(count);
    if (connection.sent < connection.answer.size()) return true;
    if (!connection.unread) return false;
    connection.phase = Phase::kClosing;
    return ::shutdown(connection.fd.get(), SHUT_WR) == 0;
  }

  // What a client still sends that has its answer.
  static bool ThrowAway(Connection& connection) {
    std::array<char, 4096> buffer;
    const ssize_t count = ::recv(connection.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    connection.thrown_away += static_cast<size_t>(count);
    return count > 0 && connection.thrown_away < kUnreadBytes;
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

  const HttpOptions options_;
  const UniqueFd wake_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::map<std::string, Methods> handlers_;  // by path
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
  Handle("GET", path, [handler = std::move(handler)](const HttpRequest& request, HttpReply reply) {
    reply(handler(request));
  });
}
void HttpServer::Handle(const std::string& method, const std::string& path,
                        HttpLaterHandler handler) {
  impl_->Handle(method, path, std::move(handler));
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
