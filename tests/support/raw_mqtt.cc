#include "tests/support/raw_mqtt.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "base/unique_fd.h"

namespace sluice::testing {
namespace {

constexpr uint8_t kConnect = 0x10;
constexpr uint8_t kConnAck = 0x20;
constexpr uint8_t kPublish = 0x30;
constexpr uint8_t kPubAck = 0x40;
constexpr uint8_t kSubscribe = 0x82;
constexpr uint8_t kSubAck = 0x90;
constexpr uint8_t kPing = 0xc0;
constexpr uint8_t kPong = 0xd0;
constexpr char kUserProperty = 0x26;

using Properties = std::vector<std::pair<std::string, std::string>>;

std::string Length(size_t size) {
  std::string out;
  do {
    const size_t rest = size / 128;
    out += static_cast<char>(size % 128 + (rest > 0 ? 128 : 0));
    size = rest;
  } while (size > 0);
  return out;
}

std::string Number(size_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

std::string Text(const std::string& text) {
  return Number(text.size()) + text;
}

std::string Encoded(const Properties& properties) {
  std::string out;
  for (const auto& [name, value] : properties) out += kUserProperty + Text(name) + Text(value);
  return Length(out.size()) + out;
}

size_t TakeNumber(std::string_view* rest) {
  const size_t value = static_cast<size_t>(static_cast<unsigned char>(rest->at(0))) * 256 +
                       static_cast<unsigned char>(rest->at(1));
  rest->remove_prefix(2);
  return value;
}

std::string TakeText(std::string_view* rest) {
  const size_t size = TakeNumber(rest);
  const std::string text(rest->substr(0, size));
  rest->remove_prefix(size);
  return text;
}

size_t TakeLength(std::string_view* rest) {
  size_t value = 0;
  for (size_t shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(rest->at(0));
    rest->remove_prefix(1);
    value |= static_cast<size_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
}

}  // namespace

struct RawMqtt::Wire {
  UniqueFd fd;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context{nullptr, SSL_CTX_free};
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl{nullptr, SSL_free};
  bool open = false;
  bool timed_out = false;
  bool framed = false;    // WebSocket
  size_t frame_left = 0;  // of what the server's last frame holds

  bool ReadAll(char* data, size_t size) {
    while (open && size > 0) {
      if (framed && frame_left == 0 && !ReadFrameHeader()) return false;
      const size_t count = framed ? std::min(size, frame_left) : size;
      if (!ReadBytes(data, count)) return false;
      if (framed) frame_left -= count;
      data += count;
      size -= count;
    }
    return open;
  }

  void Write(std::string_view data) {
    if (!open) return;
    const std::string frame = framed ? Frame(data) : std::string(data);
    if (ssl) {
      SSL_write(ssl.get(), frame.data(), static_cast<int>(frame.size()));
      return;
    }
    for (size_t sent = 0; sent < frame.size();) {
      const ssize_t n = ::send(fd.get(), &frame[sent], frame.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return;
      sent += static_cast<size_t>(n);
    }
  }

  bool ReadBytes(char* data, size_t size) {
    while (size > 0) {
      const ssize_t got =
          ssl ? SSL_read(ssl.get(), data, static_cast<int>(size)) : ::recv(fd.get(), data, size, 0);
      if (got <= 0) {
        // A wait that ended is no end of the connection, but nothing good will come of it.
        timed_out = errno == EAGAIN;
        open = false;
        return false;
      }
      data += got;
      size -= static_cast<size_t>(got);
    }
    return true;
  }

 private:
  static constexpr unsigned char kBinary = 0x82;  // the last frame of a message, binary
  static constexpr unsigned char kClose = 0x88;

  // A client must mask what it sends; four zeros are a mask that changes nothing.
  static std::string Frame(std::string_view data) {
    std::string frame = {static_cast<char>(kBinary), static_cast<char>(0x80 | 127)};
    for (int shift = 56; shift >= 0; shift -= 8) frame += static_cast<char>(data.size() >> shift);
    return frame + std::string(4, '\0') + std::string(data);
  }

  bool ReadFrameHeader() {
    unsigned char header[2];
    if (!ReadBytes(reinterpret_cast<char*>(header), 2)) return false;
    frame_left = header[1];
    if (frame_left >= 126) {
      unsigned char size[8] = {};
      const size_t bytes = frame_left == 126 ? 2 : 8;
      if (!ReadBytes(reinterpret_cast<char*>(size), bytes)) return false;
      frame_left = 0;
      for (size_t i = 0; i < bytes; ++i) frame_left = frame_left * 256 + size[i];
    }
    if (header[0] == kClose) open = false;
    return open;
  }
};

RawMqtt::RawMqtt(const RawWebSocket& where) : wire_(std::make_unique<Wire>()) {
  ConnectTo(where.port);
  wire_->Write(
      "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Protocol: mqtt\r\n\r\n");
  std::string answer;
  for (char byte = 0; !answer.ends_with("\r\n\r\n") && wire_->ReadBytes(&byte, 1);) answer += byte;
  wire_->open = wire_->open && answer.starts_with("HTTP/1.1 101");
  wire_->framed = true;
}

RawMqtt::RawMqtt(uint16_t port, const std::optional<RawTls>& tls)
    : wire_(std::make_unique<Wire>()) {
  ConnectTo(port);
  if (!wire_->open) return;
  if (!tls) return;
  wire_->context.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* const context = wire_->context.get();
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  wire_->open = SSL_CTX_load_verify_locations(context, tls->ca_file.c_str(), nullptr) == 1;
  if (wire_->open && !tls->certificate_file.empty()) {
    wire_->open =
        SSL_CTX_use_certificate_file(context, tls->certificate_file.c_str(), SSL_FILETYPE_PEM) ==
            1 &&
        SSL_CTX_use_PrivateKey_file(context, tls->key_file.c_str(), SSL_FILETYPE_PEM) == 1;
  }
  if (!wire_->open) return;
  wire_->ssl.reset(SSL_new(context));
  SSL_set_fd(wire_->ssl.get(), wire_->fd.get());
  wire_->open = SSL_connect(wire_->ssl.get()) == 1;
}

RawMqtt::~RawMqtt() = default;

void RawMqtt::ConnectTo(uint16_t port) {
  wire_->fd = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{.tv_sec = 10, .tv_usec = 0};
  setsockopt(wire_->fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  wire_->open =
      ::connect(wire_->fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

bool RawMqtt::ok() const {
  return wire_->open;
}

void RawMqtt::Send(uint8_t type, const std::string& body) {
  wire_->Write(static_cast<char>(type) + Length(body.size()) + body);
}

std::optional<RawMqtt::Packet> RawMqtt::Read() {
  Packet packet;
  char byte = 0;
  if (!wire_->ReadAll(&byte, 1)) return std::nullopt;
  packet.type = static_cast<uint8_t>(byte);
  size_t size = 0;
  for (size_t shift = 0;; shift += 7) {
    if (!wire_->ReadAll(&byte, 1)) return std::nullopt;
    size |= static_cast<size_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) break;
  }
  packet.body.resize(size);
  if (!wire_->ReadAll(packet.body.data(), size)) return std::nullopt;
  return packet;
}

std::optional<RawMqtt::Packet> RawMqtt::Await(uint8_t type) {
  while (auto packet = Read()) {
    if ((packet->type & 0xf0) == (type & 0xf0)) return packet;
    if ((packet->type & 0xf0) == kPublish) messages_.push_back(*packet);
  }
  return std::nullopt;
}

int RawMqtt::Connect(const RawConnect& connect) {
  version_ = connect.version;
  const bool v5 = version_ == 5;
  int flags = 0x02;
  if (connect.username) flags |= 0x80;
  if (connect.password) flags |= 0x40;
  if (connect.will) flags |= 0x04 | 0x08;  // QoS 1
  std::string body = Text("MQTT") + static_cast<char>(version_) + static_cast<char>(flags) +
                     Number(60) + (v5 ? Length(0) : "") + Text(connect.client_id);
  if (connect.will) {
    body += (v5 ? Encoded(connect.will->properties) : "") + Text(connect.will->topic) +
            Text(connect.will->payload);
  }
  if (connect.username) body += Text(*connect.username);
  if (connect.password) body += Text(*connect.password);
  Send(kConnect, body);
  const auto answer = Await(kConnAck);
  return answer ? static_cast<unsigned char>(answer->body.at(1)) : -1;
}

int RawMqtt::Publish(const RawPublish& publish) {
  Send(kPublish | 0x02 | (publish.retain ? 1 : 0), PublishBody(publish, 1));
  const auto answer = Await(kPubAck);
  if (!answer) return -1;
  return answer->body.size() > 2 ? static_cast<unsigned char>(answer->body[2]) : 0;
}

std::string RawMqtt::PublishBody(const RawPublish& publish, size_t packet_id) const {
  return Text(publish.topic) + Number(packet_id) +
         (version_ == 5 ? Encoded(publish.properties) : "") + publish.payload;
}

size_t RawMqtt::PublishAll(const std::vector<RawPublish>& all) {
  constexpr size_t kWindow = 500;  // their answers fit into the socket's buffer
  size_t answered = 0;
  for (size_t begin = 0; begin < all.size(); begin += kWindow) {
    const size_t end = std::min(all.size(), begin + kWindow);
    std::string packets;
    for (size_t i = begin; i < end; ++i) {
      const std::string body = PublishBody(all[i], i - begin + 1);
      packets += static_cast<char>(kPublish | 0x02) + Length(body.size()) + body;
    }
    wire_->Write(packets);
    for (size_t i = begin; i < end; ++i) {
      if (!Await(kPubAck)) return answered;
      ++answered;
    }
  }
  return answered;
}

int RawMqtt::Subscribe(const std::string& filter) {
  Send(kSubscribe, Number(2) + (version_ == 5 ? Length(0) : "") + Text(filter) + '\x01');
  const auto answer = Await(kSubAck);
  return answer ? static_cast<unsigned char>(answer->body.back()) : -1;
}

std::optional<RawMessage> RawMqtt::Receive() {
  std::optional<Packet> packet;
  if (messages_.empty()) {
    packet = Await(kPublish);
  } else {
    packet = messages_.front();
    messages_.erase(messages_.begin());
  }
  if (!packet) return std::nullopt;
  RawMessage message;
  std::string_view rest = packet->body;
  message.topic = TakeText(&rest);
  if ((packet->type & 0x06) != 0) Send(kPubAck, Number(TakeNumber(&rest)));
  if (version_ == 5) {
    const size_t size = TakeLength(&rest);
    std::string_view properties = rest.substr(0, size);
    rest.remove_prefix(size);
    while (!properties.empty() && properties.front() == kUserProperty) {
      properties.remove_prefix(1);
      const std::string name = TakeText(&properties);
      message.properties.emplace_back(name, TakeText(&properties));
    }
  }
  message.payload = rest;
  return message;
}

bool RawMqtt::IsClosed() {
  Send(kPing, "");
  return !Await(kPong).has_value() && !wire_->timed_out;
}

bool RawMqtt::WaitUntilClosed() {
  while (Read()) {
  }
  return !wire_->timed_out;
}

void RawMqtt::Drop() {
  wire_->open = false;
  wire_->fd.Reset();
}

}  // namespace sluice::testing
