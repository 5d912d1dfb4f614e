#include "tests/support/publisher.h"

#include <mqtt/client.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace sluice::testing {
namespace {

std::string FreshClientId() {
  static std::atomic<int> next{0};
  return "test-publisher-" + std::to_string(::getpid()) + "-" + std::to_string(++next);
}

[[noreturn]] void Die(const mqtt::exception& e) {
  std::fprintf(stderr, "test publisher: %s\n", e.what());
  std::abort();
}

}  // namespace

struct Publisher::Impl {
  explicit Impl(uint16_t port)
      : client("tcp://127.0.0.1:" + std::to_string(port), FreshClientId()) {}
  mqtt::client client;
};

Publisher::Publisher(uint16_t port, const std::string& username, const std::string& password)
    : impl_(std::make_unique<Impl>(port)) {
  try {
    mqtt::connect_options options;
    options.set_clean_session(true);
    if (!username.empty()) options.set_user_name(username);
    if (!password.empty()) options.set_password(password);
    impl_->client.connect(options);
  } catch (const mqtt::exception& e) {
    Die(e);
  }
}

Publisher::~Publisher() {
  try {
    impl_->client.disconnect();
  } catch (const mqtt::exception&) {  // the broker may be gone by then
  }
}

void Publisher::Publish(const std::string& topic, const std::string& payload) {
  try {
    impl_->client.publish(topic, payload.data(), payload.size(), 1, false);
  } catch (const mqtt::exception& e) {
    Die(e);
  }
}

}  // namespace sluice::testing
