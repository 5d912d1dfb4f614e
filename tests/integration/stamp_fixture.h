// A daemon that wants stamps, for tests with and without the plugin in the broker. The registry has
// probe-7 with the token tok-apple, and certified with an ACTIVE certificate and no token.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <string>

#include "auth/stamp.h"
#include "tests/support/raw_mqtt.h"
#include "tests/support/sluice_stack.h"

namespace sluice::testing {

inline const std::string kKey = std::string(64, '7') + "\n";  // BrokerWithPlugin's, too
inline const std::string kNewKey = std::string(64, '8') + "\n";

// The fingerprint of certified's certificate, unless a test has a real one.
inline const Sha256Digest kCertificate = Sha256("a certificate");

inline std::string TopicOf(const std::string& device) {
  return "tenant/orchard/device/" + device + "/telemetry";
}

// No token in it.
inline std::string PayloadOf(int seq) {
  return R"({"site_id":"north","seq":)" + std::to_string(seq) + "}";
}

class StampedStack : public SluiceStack {
 public:
  StampedStack() {
    WriteKeys(kKey);
    env()["CERT_AUTH_ENABLED"] = "1";
    env()["STAMP_KEY_FILE"] = Path("stamp.key");
    Register({});
    Register({.device = "certified", .token = ""});
    Sql("INSERT INTO device_certificates (tenant_id, device_id, cert_pem, fingerprint_sha256, "
        "common_name, issuer, serial_number, status, not_before, not_after) VALUES ('orchard', "
        "'certified', '', '" +
        DigestToHex(kCertificate) +
        "', 'orchard/certified', 'ca', '01', 'ACTIVE', now() - interval '1 day', "
        "now() + interval '1 day')");
  }

  void WriteKeys(const std::string& text) {
    WriteFile(Path("stamp.key"), text);
    chmod(Path("stamp.key").c_str(), 0600);
  }
  StampKeys Keys() const { return *StampKeys::Load(Path("stamp.key")); }

  // SIGHUP; returns when the daemon has said what came of it.
  void Reload(const std::string& event = "stamp_keys_read") {
    const size_t before = Said(event);
    daemon().Signal(SIGHUP);
    EXPECT_TRUE(Eventually([&] { return Said(event) > before; })) << event;
  }
  size_t Said(const std::string& event) const { return TimesIn(log(), event); }

  // "accepted", or the reason why not; "" when nothing becomes of it.
  std::string VerdictOf(int seq) {
    const std::string number = std::to_string(seq);
    std::string verdict;
    Eventually([&] {
      verdict =
          Value("SELECT 'accepted' FROM telemetry WHERE seq = " + number +
                " UNION ALL SELECT reason FROM quarantine_events WHERE payload ->> 'seq' = '" +
                number + "'");
      return !verdict.empty();
    });
    return verdict;
  }
};

}  // namespace sluice::testing
