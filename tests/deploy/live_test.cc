// The alarm rules and the dashboard against a daemon at work.
#include <gmock/gmock.h>

#include <algorithm>
#include <thread>

#include "base/clock.h"
#include "base/http_get.h"
#include "tests/deploy/monitoring.h"
#include "tests/support/free_port.h"
#include "tests/support/publisher.h"
#include "tests/support/sluice_stack.h"
#include "tests/support/test_pki.h"

namespace sluice::testing {
namespace {

using nlohmann::json;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::PrintToString;

// A daemon with a device that goes on sending good messages and bad ones.
class Monitoring : public ::testing::Test {
 protected:
  Monitoring() {
    stack_.Register({});
    stack_.Start();
    traffic_ = std::jthread([this](const std::stop_token& stop) {
      Publisher publisher(broker_.port());
      for (int64_t seq = 1; !stop.stop_requested(); ++seq) {
        publisher.Publish("tenant/orchard/device/probe-7/telemetry", Message(seq));
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    });
    // It is said by the broker now and then, all else at once.
    EXPECT_TRUE(Eventually([&] { return stack_.Metric("sluice_broker_dropped_messages") == 0; }));
    EXPECT_TRUE(Eventually([&] { return stack_.Metric("sluice_expiring_devices") == 0; }));
  }
  static std::string Message(int64_t seq) {
    if (seq % 5 == 0) return "junk";
    return json({{"site_id", "north"},
                 {"provision_token", "tok-apple"},
                 {"ts", SystemClock().Now() / 1000},
                 {"seq", seq}})
        .dump();
  }

  MosquittoServer broker_{{.lines = {"sys_interval 1"}}};
  TestPki pki_;
  SluiceStack stack_{
      Env{{"MQTT_PORT", std::to_string(broker_.port())}, {"PKI_WATCH_FILES", pki_.ca_file()}}};
  std::jthread traffic_;
};

TEST_F(Monitoring, UsesMetricsThatTheDaemonHasAndDocumentsThemAll) {
  const std::string page = stack_.Http("/metrics");
  std::set<std::string> families;
  std::set<std::string> series = {"up", "ALERTS"};  // Prometheus' own
  for (const std::string& name : AllMatches(page, R"(^# TYPE (\S+) \w+$)")) {
    families.insert(name);
    for (const char* suffix : {"", "_bucket", "_sum", "_count"}) {
      if (page.find("\n" + name + suffix + " ") != std::string::npos ||
          page.find("\n" + name + suffix + "{") != std::string::npos) {
        series.insert(name + suffix);
      }
    }
  }
  ASSERT_THAT(RuleExpressions(), Not(IsEmpty()));
  ASSERT_THAT(DashboardQueries(), Not(IsEmpty()));
  for (const std::string& expression : RuleExpressions()) {
    EXPECT_THAT(MetricsIn(expression), Not(IsEmpty())) << expression;
    EXPECT_THAT(series, IsSupersetOf(MetricsIn(expression))) << expression;
  }
  for (const std::string& query : DashboardQueries()) {
    EXPECT_THAT(series, IsSupersetOf(MetricsIn(query))) << query;
  }

  std::set<std::string> documented;
  for (const std::string& names :
       AllMatches(ReadFile(SourcePath("docs/metrics.md")), R"(^\| (`[^|]*) \|)")) {
    for (const std::string& name : AllMatches(names, R"(`([a-z_]+)(?:\{[a-z_,]*\})?`)")) {
      EXPECT_TRUE(documented.insert(name).second) << name << " twice";
    }
  }
  EXPECT_EQ(documented, families);
}

// A Prometheus with the configuration that is shipped, but for its haste and its target.
class PrometheusServer {
 public:
  explicit PrometheusServer(const std::string& target) {
    std::string config = ReadFile(SourcePath("deploy/prometheus/prometheus.yml"));
    for (const auto& [shipped, here] :
         {std::pair<std::string, std::string>{": 15s", ": 1s"},
          {"- localhost:8080", "- " + target},
          {"- sluice-rules.yml", "- " + SourcePath("deploy/prometheus/sluice-rules.yml")}}) {
      EXPECT_NE(config.find(shipped), std::string::npos) << shipped;
      config = std::regex_replace(config, std::regex(shipped), here);
    }
    WriteFile(directory_.Path("prometheus.yml"), config);
    process_ = Process::Start(
        {.argv = {"prometheus", "--config.file", directory_.Path("prometheus.yml"),
                  "--storage.tsdb.path", directory_.Path("data"), "--web.listen-address", address_},
         .stdout_path = directory_.Path("log"),
         .stderr_path = directory_.Path("log")});
  }

  bool there() const { return process_ != nullptr; }
  // "data" of an answer of its API, null when there is none.
  json Api(const std::string& path) const {
    const Result<std::string> answer = HttpGet("http://" + address_ + "/api/v1/" + path, "");
    return answer.ok() ? json::parse(*answer)["data"] : json();
  }
  // The result's values, as text.
  std::vector<std::string> Query(const std::string& promql) const {
    std::ostringstream url;
    url << "query?query=" << std::hex;
    for (const unsigned char c : promql) url << '%' << (c < 16 ? "0" : "") << int{c};
    std::vector<std::string> values;
    const json data = Api(url.str());
    if (data.is_null()) return values;
    for (const auto& series : data["result"]) values.push_back(series["value"][1]);
    return values;
  }
  std::string log() const { return ReadFile(directory_.Path("log")); }

 private:
  TempDir directory_;
  const std::string address_ = "127.0.0.1:" + std::to_string(FreePort());
  std::unique_ptr<Process> process_;
};

// As Grafana would ask, of all daemons.
std::string Filled(std::string query) {
  for (const auto& [variable, value] :
       {std::pair<const char*, const char*>{"\\$__rate_interval", "10s"}, {"\\$instance", ".*"}}) {
    query = std::regex_replace(query, std::regex(variable), value);
  }
  return query;
}

TEST_F(Monitoring, PrometheusEvaluatesEveryRuleAndAnswersEveryQueryOfTheDashboard) {
  const PrometheusServer prometheus("127.0.0.1:" + stack_.http_port());
  if (!prometheus.there()) GTEST_SKIP() << "there is no prometheus: install Debian's";
  EXPECT_TRUE(Eventually([&] {
    return !prometheus.Query("rate(sluice_stored_messages_total[10s]) > 0").empty();
  })) << prometheus.log();

  for (const std::string& query : DashboardQueries()) {
    std::vector<std::string> values;
    EXPECT_TRUE(Eventually([&] {
      values = prometheus.Query(Filled(query));
      return !values.empty() && std::find(values.begin(), values.end(), "NaN") == values.end();
    })) << query
        << " is " << PrintToString(values);
  }

  const json rules = prometheus.Api("rules");
  EXPECT_EQ(rules["groups"].size(),
            AllMatches(ReadFile(SourcePath("deploy/prometheus/sluice-rules.yml")), "^  - (name): ")
                .size());
  for (const auto& group : rules["groups"]) {
    for (const auto& rule : group["rules"]) {
      EXPECT_EQ(rule["health"], "ok") << rule;
      EXPECT_NE(rule["state"], "firing") << rule;
    }
  }
}

}  // namespace
}  // namespace sluice::testing
