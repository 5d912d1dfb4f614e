// The link to the broker: TLS, passwords, client certificates, shared groups.
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/support/free_port.h"
#include "tests/support/publisher.h"
#include "tests/support/sluice_stack.h"

namespace sluice::testing {
namespace {

constexpr const char* kTopic = "tenant/orchard/device/probe-7/telemetry";
constexpr const char* kGood = R"({"site_id":"north","provision_token":"tok-apple"})";

// A CA, a server certificate for `host` and a client certificate, made by openssl.
class Pki {
 public:
  explicit Pki(const std::string& host = "IP:127.0.0.1") {
    Openssl({"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test ca",
             "-keyout", Path("ca.key"), "-out", Path("ca.crt")});
    WriteFile(Path("san"), "subjectAltName=" + host + "\n");
    for (const char* name : {"server", "client"}) {
      const std::string base = Path(name);
      Openssl({"req", "-newkey", "rsa:2048", "-nodes", "-subj", std::string("/CN=") + name,
               "-keyout", base + ".key", "-out", base + ".csr"});
      Openssl({"x509", "-req", "-in", base + ".csr", "-CA", Path("ca.crt"), "-CAkey",
               Path("ca.key"), "-CAcreateserial", "-days", "2", "-extfile", Path("san"), "-out",
               base + ".crt"});
    }
  }
  std::string Path(std::string_view name) const { return directory_.Path(name); }

 private:
  static void Openssl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "openssl");
    const auto ended = sluice::testing::Run({.argv = arguments});
    ASSERT_TRUE(ended.has_value());
    ASSERT_EQ(ended->code, 0);
  }
  TempDir directory_;
};

TEST(BrokerLink, SpeaksTlsWithAClientCertificateAndAPassword) {
  const Pki pki;
  WriteFile(pki.Path("password"), "s3cret-word\n");
  const uint16_t port = FreePort();
  MosquittoServer broker(
      {.username = "sluice",
       .password = "s3cret-word",
       .lines = {"listener " + std::to_string(port) + " 127.0.0.1", "cafile " + pki.Path("ca.crt"),
                 "certfile " + pki.Path("server.crt"), "keyfile " + pki.Path("server.key"),
                 "require_certificate true"}});
  SluiceStack stack(Env{{"MQTT_PORT", std::to_string(port)},
                        {"MQTT_CA_CERT", pki.Path("ca.crt")},
                        {"MQTT_CLIENT_CERT", pki.Path("client.crt")},
                        {"MQTT_CLIENT_KEY", pki.Path("client.key")},
                        {"MQTT_USERNAME", "sluice"},
                        {"MQTT_PASSWORD_FILE", pki.Path("password")}});
  stack.Register({});
  stack.Start();
  Publisher(broker.port(), "sluice", "s3cret-word").Publish(kTopic, kGood);
  EXPECT_TRUE(Eventually([&] { return stack.Count("telemetry") == 1; }));
  EXPECT_EQ(stack.log().find("s3cret-word"), std::string::npos);
}

// A broker that shows `shown`'s certificate to a daemon that trusts `trusted`'s.
std::unique_ptr<MosquittoServer> TlsBroker(uint16_t port, const Pki& shown) {
  return std::make_unique<MosquittoServer>(MosquittoOptions{
      .lines = {"listener " + std::to_string(port) + " 127.0.0.1", "cafile " + shown.Path("ca.crt"),
                "certfile " + shown.Path("server.crt"), "keyfile " + shown.Path("server.key")}});
}

void ExpectRefused(SluiceStack& stack) {
  stack.Launch();
  ASSERT_TRUE(
      Eventually([&] { return stack.log().find("mqtt_connect_failed") != std::string::npos; }));
  int status = 0;
  EXPECT_NE(stack.Http("/ready", &status).find("broker"), std::string::npos);
  EXPECT_EQ(status, 503);
  stack.Stop();
}

TEST(BrokerLink, ABrokerSignedByAStrangerIsRefusedEvenWithTheInsecureFlag) {
  const Pki pki;
  const Pki stranger;
  const uint16_t port = FreePort();
  const auto broker = TlsBroker(port, stranger);
  SluiceStack stack(Env{{"MQTT_PORT", std::to_string(port)},
                        {"MQTT_CA_CERT", pki.Path("ca.crt")},
                        {"MQTT_TLS_INSECURE", "1"}});
  ExpectRefused(stack);
}

TEST(BrokerLink, ABrokerWithAnotherHostsCertificateIsRefusedUnlessToldOtherwise) {
  const Pki elsewhere("DNS:elsewhere.example");
  const uint16_t port = FreePort();
  const auto broker = TlsBroker(port, elsewhere);
  SluiceStack stack(
      Env{{"MQTT_PORT", std::to_string(port)}, {"MQTT_CA_CERT", elsewhere.Path("ca.crt")}});
  ExpectRefused(stack);
  stack.env()["MQTT_TLS_INSECURE"] = "1";
  stack.Start();
}

TEST(BrokerLink, TwoMembersOfASharedGroupGetEachMessageOnce) {
  SluiceStack stack(Env{{"MQTT_SHARED_GROUP", "ingest"}, {"MQTT_CLIENT_ID", "member-1"}});
  stack.Register({});
  stack.Start();
  Env env = stack.env();
  env["MQTT_CLIENT_ID"] = "member-2";
  env["SPOOL_DIR"] = stack.Path("spool-2");
  const uint16_t http = FreePort();
  env["HTTP_PORT"] = std::to_string(http);
  const auto second = Process::Start(
      {.argv = {BinaryPath("sluice"), "ingest"}, .env = env, .stderr_path = stack.Path("log-2")});
  ASSERT_TRUE(Eventually(
      [&] { return ReadFile(stack.Path("log-2")).find("mqtt_subscribed") != std::string::npos; }));
  Publisher publisher(stack.broker().port());
  for (int i = 0; i < 100; ++i) publisher.Publish(kTopic, kGood);
  EXPECT_TRUE(Eventually([&] { return stack.Count("telemetry") >= 100; }));
  EXPECT_EQ(stack.Count("telemetry"), 100);
  EXPECT_EQ(stack.Value("SELECT count(DISTINCT spool_id) FROM ingest_ledger"), "2");
}

TEST(BrokerLink, WhatTheBrokerDropsIsAMetricAndAWarning) {
  MosquittoServer broker({.lines = {"max_queued_messages 1", "sys_interval 1"}});
  SluiceStack stack(Env{{"MQTT_PORT", std::to_string(broker.port())}});
  stack.Register({});
  // Makes a session at QoS 1 that is kept, and goes: its queue holds one message.
  const auto absent = sluice::testing::Run(
      {.argv = {"mosquitto_sub", "-V", "311", "-p", std::to_string(broker.port()), "-i", "absent",
                "-c", "-q", "1", "-t", "tenant/#", "-E"}});
  ASSERT_TRUE(absent.has_value());
  ASSERT_EQ(absent->code, 0);
  stack.Start();
  const auto dropped = [&] { return stack.Metric("sluice_broker_dropped_messages"); };
  EXPECT_TRUE(Eventually([&] { return dropped() == 0; }));
  Publisher publisher(broker.port());
  for (int i = 0; i < 20; ++i) publisher.Publish(kTopic, kGood);
  EXPECT_TRUE(Eventually([&] { return dropped() > 0; }));
  EXPECT_TRUE(
      Eventually([&] { return stack.log().find("broker_dropped_messages") != std::string::npos; }));
  EXPECT_TRUE(Eventually([&] { return stack.Count("telemetry") == 20; }));
  EXPECT_EQ(stack.Metric("sluice_received_messages_total"), 20);
  EXPECT_EQ(stack.Metric("sluice_ignored_messages_total"), 0);
}

// A broker that is there and says nothing: TCP alone would not notice for many minutes.
TEST(BrokerLink, ASilentBrokerIsNoticedByTheKeepAliveAndFoundAgain) {
  SluiceStack stack(Env{{"MQTT_KEEPALIVE_SECONDS", "5"}});
  stack.Register({});
  stack.Start();
  Publisher(stack.broker().port()).Publish(kTopic, kGood);
  stack.broker().Signal(SIGSTOP);
  int status = 0;
  EXPECT_TRUE(Eventually(
      [&] {
        const std::string ready = stack.Http("/ready", &status);
        return status == 503 && ready.find("broker: ") != std::string::npos;
      },
      std::chrono::seconds(20)));
  stack.broker().Signal(SIGCONT);
  EXPECT_TRUE(Eventually([&] {
    stack.Http("/ready", &status);
    return status == 200;
  }));
  Publisher(stack.broker().port()).Publish(kTopic, kGood);
  EXPECT_TRUE(Eventually([&] { return stack.Count("telemetry") == 2; }));
}

}  // namespace
}  // namespace sluice::testing
