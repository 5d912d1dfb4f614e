// `sluice doctor` at the broker as it is shipped: its plugin, its rules, TLS.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/integration/shipped_broker.h"

namespace sluice::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

class DoctorAtTheShippedBroker : public ::testing::Test {
 protected:
  // "result check: seen" of each finding about the broker; all else is missing here.
  std::vector<std::string> Found() {
    const std::string out = directory_.Path("out" + std::to_string(++runs_));
    sluice::testing::Run({.argv = {BinaryPath("sluice"), "doctor", "--json"},
                          .env = env_,
                          .clear_env = true,
                          .stdout_path = out});
    const Json said = Json::parse(ReadFile(out), nullptr, false);
    std::vector<std::string> found;
    EXPECT_TRUE(said.is_object());
    for (const Json& finding : said["findings"]) {
      if (finding["area"] != "broker") continue;
      found.push_back(finding["result"].get<std::string>() + " " +
                      finding["check"].get<std::string>() + ": " +
                      finding["seen"].get<std::string>());
    }
    return found;
  }

  ShippedBroker broker_;
  TempDir directory_;
  Env env_ = {{"MQTT_HOST", "127.0.0.1"},
              {"MQTT_PORT", std::to_string(broker_.port)},
              {"MQTT_USERNAME", "sluice"},
              {"MQTT_PASSWORD", "pw"},
              {"PG_HOST", "/nowhere"},
              {"HTTP_PORT", "0"},
              {"SPOOL_DIR", directory_.Path("spool")}};
  int runs_ = 0;
};

TEST_F(DoctorAtTheShippedBroker, FindsItAsTheDaemonNeedsIt) {
  const auto found = Found();
  EXPECT_THAT(found, Not(Contains(HasSubstr("fail"))));
  EXPECT_THAT(found, Not(Contains(HasSubstr("warning"))));
  EXPECT_THAT(found, Contains("ok session: the broker keeps sessions"));
}

TEST_F(DoctorAtTheShippedBroker, NamesAFilterThatTheRulesDoNotAllow) {
  env_["MQTT_TOPIC"] = "meadow/#,tenant/+/device/+/telemetry";
  const auto found = Found();
  EXPECT_THAT(found,
              Contains(AllOf(HasSubstr("fail subscribe: meadow/#"), HasSubstr("not authorized"))));
  EXPECT_THAT(found, Contains("ok subscribe: tenant/+/device/+/telemetry"));
}

TEST_F(DoctorAtTheShippedBroker, ShakesHandsAndSaysWhyNot) {
  env_["MQTT_PORT"] = std::to_string(broker_.tls_port);
  env_["MQTT_CA_CERT"] = broker_.certificate.ca_file;
  env_["MQTT_CLIENT_CERT"] = broker_.certificate.certificate_file;
  env_["MQTT_CLIENT_KEY"] = broker_.certificate.key_file;
  EXPECT_THAT(Found(), Contains("ok login: as sluice, over TLS"));
  env_["MQTT_CA_CERT"] = broker_.Path("pki/device-ca.crt");
  EXPECT_THAT(Found(), Contains(HasSubstr("fail login: TLS: certificate verify failed")));
}

}  // namespace
}  // namespace sluice::testing
