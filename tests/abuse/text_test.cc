// Control characters, escape sequences and bad UTF-8 in every field that a device controls: what
// logs and pages make of them, and that nobody's secret turns up anywhere.
#include <gmock/gmock.h>

#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "base/escape.h"
#include "tests/abuse/abuse_rig.h"
#include "tests/support/test_pki.h"

namespace sluice::testing {
namespace {

using namespace std::string_literals;
using ::testing::IsEmpty;

// What a line of either log begins with, and what a forged one would.
const std::string kForgedLine = "1999-01-01T00:00:00";

std::vector<std::string> HostileTexts() {
  return {"\n" + kForgedLine + ": forged",
          "\r\n" + kForgedLine + ".000Z ERROR forged",
          "\r" + kForgedLine,
          "\x1b[2J\x1b[31mred\x1b]0;title\x07",
          "\xc2\x9b"
          "31m",
          "\xff\xfe\xc0\xaf\xed\xa0\x80",
          "\xe2\x80\xae"
          "txet\xe2\x80\xa8" +
              kForgedLine,
          "a\0b"s,
          "\xef\xbf\xbe\xef\xbf\xbf\xf4\x8f\xbf\xbf",
          "\" level=\"ERROR\" x=\"",
          "\\n" + kForgedLine,
          "\x7f\x08\x08\x08"};
}

// As it can stand inside a JSON string.
std::string InJson(const std::string& text) {
  std::string out;
  AppendEscaped(text, &out);
  return out;
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The lines that do not look as they should, or hold what a terminal would obey.
std::vector<std::string> BadLines(const std::string& log, const std::regex& beginning) {
  std::vector<std::string> bad;
  for (const std::string& line : Lines(log)) {
    std::string plain = line;
    for (char& c : plain) {
      if (c == '"' || c == '\\') c = ' ';
    }
    const bool well = std::regex_search(line, beginning, std::regex_constants::match_continuous) &&
                      line.compare(0, kForgedLine.size(), kForgedLine) != 0;
    if (!well || Escaped(plain) != plain) bad.push_back(Escaped(line));
  }
  return bad;
}

const std::regex kDaemonLine(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR) )"
                             R"([a-z0-9_]+( |$))");
const std::regex kBrokerLine(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d: )");

class HostileText : public ::testing::Test {
 protected:
  HostileText() : secrets_{rig_.honest.token, std::string(64, '7')} {
    for (const std::string& file :
         {rig_.honest.certificate.key_file, rig_.broker.Path("pki/server.key"),
          rig_.broker.Path("pki/device-ca.key")}) {
      secrets_.push_back(Lines(ReadFile(file)).at(1));
    }
  }

  // Everything of a message that can hold any byte; a token comes with each.
  void PublishIn(const std::string& text) {
    const std::string topic = TelemetryOf(rig_.honest.identity);
    const std::string token = R"(,"provision_token":")" + rig_.honest.token + "\"";
    const std::string quoted = '"' + InJson(text) + '"';
    for (const std::string& json : {quoted, '"' + text + '"'}) {
      for (const std::string& payload :
           {R"({"site_id":)" + json + token + "}",
            R"({"site_id":"north","tenant_id":)" + json + token + "}",
            R"({"site_id":"north","device_id":)" + json + token + "}",
            R"({"site_id":"north","version":)" + json + token + "}",
            R"({"site_id":"north","ts":)" + json + token + "}",
            R"({"site_id":"north","seq":)" + json + token + "}",
            R"({"site_id":"north","metrics":{)" + json + ":1}" + token + "}",
            R"({"site_id":"north","metrics":[)" + json + "]" + token + "}",
            "{" + json + ":1" + token + "}", json + token,
            R"({"provision\u005ftoken":")" + rig_.honest.token + "\"," + json + ":1}"}) {
        Send({topic, payload, {{"property", InJson(text)}}});
      }
    }
    Send({topic, text + token});
    // What no client may send; the broker ends the connection.
    Send({topic + "/" + text, "{}" + token});
    Send({topic, GoodPayload(), {{text, text}}});
    Connect({.client_id = text, .username = rig_.honest.identity, .password = rig_.honest.token});
    Connect({.username = text, .password = rig_.honest.token});
    Connect({.username = "orchard/" + text, .password = rig_.honest.token});
    Connect({.username = rig_.honest.identity, .password = text});
    Connect({.username = rig_.honest.identity,
             .password = rig_.honest.token,
             .will = RawWill{topic + "/" + text, text}});
  }
  void Send(const RawPublish& publish) {
    ++messages_;
    if (!client_ || client_->Publish(publish) != 0) {
      client_ = rig_.Enter(Door::kToken, rig_.honest);
    }
  }
  void Connect(const RawConnect& connect) {
    ++messages_;
    rig_.At(Door::kToken)->Connect(connect);
  }

  std::string EveryColumn() {
    std::string all;
    const PgRows tables = rig_.stack.Sql(
        "SELECT oid::regclass FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = "
        "'public'::regnamespace AND NOT relispartition");
    for (int i = 0; i < tables.size(); ++i) {
      const std::string table(tables.Text(i, 0));
      all += rig_.stack.Value("SELECT string_agg(t::text, E'\\n') FROM " + table + " AS t") + "\n";
    }
    return all;
  }
  void ExpectNoSecretIn(const std::string& where, const std::string& text) {
    for (const std::string& secret : secrets_) {
      EXPECT_EQ(text.find(secret), std::string::npos) << where << " holds " << secret.substr(0, 4);
    }
  }

  AbuseRig rig_{{{"LOG_LEVEL", "DEBUG"}, {"MAX_PAYLOAD_BYTES", "300"}}};
  std::vector<std::string> secrets_;
  std::unique_ptr<RawMqtt> client_;
  size_t messages_ = 0;
};

TEST_F(HostileText, StartsNoLineMovesNoCursorAndBringsNoSecretToLight) {
  Scenario scenario("12",
                    "CR, LF, ANSI escapes, bad UTF-8, NUL in topic, payload, properties, client "
                    "id, user, password, Will");
  const int times = Repetitions(1, 5);
  for (int i = 0; i < times; ++i) {
    for (const std::string& text : HostileTexts()) PublishIn(text);
  }
  scenario.Repeated(times);
  rig_.Settle();
  const std::string page = rig_.stack.Http("/metrics");
  EXPECT_THAT(BadLines(rig_.stack.log(), kDaemonLine), IsEmpty());
  EXPECT_THAT(BadLines(rig_.broker.Log(), kBrokerLine), IsEmpty());
  const std::regex sample(
      R"([a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-z_]+="([^"\\]|\\.)*",?)*\})? [-+.0-9a-zA-Z]+)");
  for (const std::string& line : Lines(page)) {
    EXPECT_TRUE(line.starts_with("# ") || std::regex_match(line, sample)) << Escaped(line);
  }
  EXPECT_TRUE(IsValidUtf8(page));
  const std::string columns = EveryColumn();
  EXPECT_THAT(columns, ::testing::HasSubstr("INVALID_JSON"));
  ExpectNoSecretIn("the daemon's log", rig_.stack.log());
  ExpectNoSecretIn("the broker's log", rig_.broker.Log());
  ExpectNoSecretIn("a table", columns);
  for (const char* path : {"/metrics", "/ready", "/health"}) {
    ExpectNoSecretIn(path, rig_.stack.Http(path));
  }
  scenario.Say(std::to_string(Lines(rig_.stack.log()).size()) + " and " +
               std::to_string(Lines(rig_.broker.Log()).size()) +
               " lines in the logs, all of one event; no secret in logs, columns and pages");
  rig_.Conclude(scenario, messages_);
}

// Only the devices' authority can make such names. Mosquitto logs them as they are when the client
// connects; the plugin and the daemon do not.
TEST_F(HostileText, OfACommonNameIsEscapedWhereverWeWriteIt) {
  Scenario scenario("12", "the same in a common name that the devices' authority has signed");
  TestPki pki(rig_.broker.Path("pki/device-ca.crt"), rig_.broker.Path("pki/device-ca.key"),
              rig_.broker.Path("pki/ca.crt"));
  const int times = Repetitions(1, 5);
  for (int i = 0; i < times; ++i) {
    for (const std::string& text : HostileTexts()) {
      // OpenSSL looks into strings of the one type and not into those of the other.
      const int type = IsValidUtf8(text) ? V_ASN1_UTF8STRING : V_ASN1_PRINTABLESTRING;
      auto client = rig_.At(Door::kCertificate, pki.Client({{text, type}}));
      if (client->Connect({}) == 0) client->Publish({TelemetryOf("t1/d1"), BadPayload()});
      ++messages_;
    }
  }
  scenario.Repeated(times);
  rig_.Settle();
  EXPECT_THAT(BadLines(rig_.stack.log(), kDaemonLine), IsEmpty());
  size_t foreign = 0;
  for (const std::string& line : BadLines(rig_.broker.Log(), kBrokerLine)) {
    EXPECT_EQ(line.find("sluice: "), std::string::npos) << line;
    ++foreign;
  }
  scenario.Say(foreign == 0 ? "one line for each event"
                            : "Mosquitto's own lines about its connection hold the name as it is");
  rig_.Conclude(scenario, messages_);
}

}  // namespace
}  // namespace sluice::testing
