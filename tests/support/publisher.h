// Publisher: a real MQTT client (Paho, MQTT 3.1.1, QoS 1) for tests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace sluice::testing {

// Connects on construction; failing to is the end of the test program.
class Publisher {
 public:
  explicit Publisher(uint16_t port, const std::string& username = "",
                     const std::string& password = "");
  ~Publisher();

  // Returns when the broker has acknowledged it.
  void Publish(const std::string& topic, const std::string& payload);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::testing
