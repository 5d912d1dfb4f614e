// sluice-bench-paho: a subscriber on Eclipse Paho that throws every message away. What receiving a
// message costs with the library that most programs have, used as its documentation shows it.
//
// Configured by the environment, see loadtest/peers/README.md. With PAHO_QUIET=1 it turns off the
// trace that Debian's build of the library keeps of every function call.
#include <MQTTAsync.h>
#include <mqtt/async_client.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

namespace {

std::string Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

mqtt::connect_options ConnectOptions() {
  mqtt::connect_options options;
  options.set_mqtt_version(MQTTVERSION_5);
  options.set_clean_start(false);
  mqtt::properties properties;
  properties.add(mqtt::property(mqtt::property::SESSION_EXPIRY_INTERVAL,
                                std::stoi(Variable("MQTT_SESSION_EXPIRY"))));
  properties.add(
      mqtt::property(mqtt::property::RECEIVE_MAXIMUM, std::stoi(Variable("MQTT_RECEIVE_MAXIMUM"))));
  options.set_properties(properties);
  if (const std::string user = Variable("MQTT_USERNAME"); !user.empty()) {
    options.set_user_name(user);
    options.set_password(Variable("MQTT_PASSWORD"));
  }
  return options;
}

// Writes the count down, twenty times a second if it has changed, until a signal.
void CountUntil(const sigset_t& signals, const std::atomic<uint64_t>& received) {
  const timespec interval{0, 50'000'000};
  const std::string path = Variable("RECEIVED");
  uint64_t written = 0;
  while (::sigtimedwait(&signals, nullptr, &interval) < 0) {
    if (received == written) continue;
    written = received;
    std::ofstream(path, std::ios::trunc) << written << '\n';
  }
}

void Receive(const sigset_t& signals) {
  std::atomic<uint64_t> received = 0;
  mqtt::async_client client("tcp://" + Variable("MQTT_HOST") + ":" + Variable("MQTT_PORT"),
                            Variable("MQTT_CLIENT_ID"), mqtt::create_options(MQTTVERSION_5));
  if (Variable("PAHO_QUIET") == "1") MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR);
  client.set_message_callback([&](const mqtt::const_message_ptr&) { ++received; });
  client.connect(ConnectOptions())->wait();
  client.subscribe(Variable("MQTT_TOPIC"), 1)->wait();
  std::ofstream(Variable("READY")).flush();
  CountUntil(signals, received);
  client.disconnect()->wait();
}

}  // namespace

int main() {
  // Before the library has threads, so that none of them takes the signal.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  try {
    Receive(signals);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "sluice-bench-paho: %s\n", e.what());
    return 1;
  }
  return 0;
}
