// ChangeListener against a real server: what it tells, and how it notices that it hears nothing.
#include "cache/change_listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "schema/migrator.h"
#include "tests/support/free_port.h"
#include "tests/support/postgres_server.h"
#include "tests/support/sluice_stack.h"
#include "tests/support/tcp_proxy.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::Eventually;
using ::testing::HasSubstr;
using testing::SharedPostgres;
using testing::TcpProxy;

// Writes down what it was told. Thread-safe.
class Diary final : public ChangeEvents {
 public:
  void DeviceChanged(DeviceKeyView key) override {
    Write(std::string(key.tenant) + "|" + std::string(key.device));
  }
  void DevicesChanged() override { Write("all"); }
  void SettingsChanged() override { Write("settings"); }
  void Hearing() override { Write("hearing"); }
  void Deaf(const std::string& why) override {
    std::lock_guard lock(mutex_);
    why_ = why;
    told_.push_back("deaf");
  }

  // What was told since the last call, up to the next `last`.
  std::vector<std::string> Until(const std::string& last) {
    const auto deadline = steady_clock::now() + seconds(20);
    while (steady_clock::now() < deadline) {
      {
        std::lock_guard lock(mutex_);
        if (const auto found = std::find(told_.begin(), told_.end(), last); found != told_.end()) {
          const std::vector<std::string> taken(told_.begin(), found + 1);
          told_.erase(told_.begin(), found + 1);
          return taken;
        }
      }
      std::this_thread::sleep_for(milliseconds(5));
    }
    ADD_FAILURE() << last << " was not told; " << why();
    return {};
  }
  std::string why() {
    std::lock_guard lock(mutex_);
    return why_;
  }

 private:
  void Write(const std::string& what) {
    std::lock_guard lock(mutex_);
    told_.push_back(what);
  }

  std::mutex mutex_;
  std::vector<std::string> told_;
  std::string why_;
};

class ChangeListenerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    database_ = SharedPostgres().CreateDatabase();
    admin_ = SharedPostgres().Connect(database_);
    ASSERT_TRUE(Migrate(*admin_, {}).ok());
  }
  ChangeListenerOptions Options() const {
    return {.conninfo = SharedPostgres().Url(database_),
            .sender_conninfo = SharedPostgres().Url(database_),
            .connect_timeout = seconds(2),
            .retry_min = milliseconds(20),
            .retry_max = milliseconds(200)};
  }
  std::string UrlThrough(uint16_t port) const {
    return "postgresql://postgres@127.0.0.1:" + std::to_string(port) + "/" + database_;
  }
  void Execute(const std::string& sql) {
    auto done = admin_->Exec(sql);
    ASSERT_TRUE(done.ok()) << sql << ": " << done.error().Describe();
  }
  ChangeListener& Start(const ChangeListenerOptions& options) {
    listener_.emplace(options, diary_);
    listener_->Start();
    return *listener_;
  }

  std::string database_;
  std::unique_ptr<PgConnection> admin_;
  Diary diary_;
  std::optional<ChangeListener> listener_;
};

TEST_F(ChangeListenerTest, TellsEachChangeOnce) {
  ChangeListener& listener = Start(Options());
  EXPECT_THAT(diary_.Until("hearing"), ElementsAre("hearing"));
  Execute(
      "INSERT INTO device_registry (tenant_id, device_id, site_id) VALUES ('t', 'a', 'n'),"
      " ('t', 'b', 'n')");
  EXPECT_THAT(diary_.Until("t|b"), ElementsAre("t|a", "t|b"));
  Execute("INSERT INTO app_settings (key, value) VALUES ('K', '1')");
  EXPECT_THAT(diary_.Until("settings"), ElementsAre("settings"));
  Execute("NOTIFY sluice_changed, 'all'");
  EXPECT_THAT(diary_.Until("all"), ElementsAre("all"));
  for (const char* unknown : {"device", "device t", "", "tariffs"}) {
    Execute("NOTIFY sluice_changed, '" + std::string(unknown) + "'");
    EXPECT_THAT(diary_.Until("all"), ElementsAre("all")) << "a word it does not know: " << unknown;
  }
  EXPECT_TRUE(listener.stats().hearing);
  EXPECT_EQ(listener.stats().connects, 1U);
  EXPECT_EQ(listener.stats().devices, 2U);
  EXPECT_EQ(listener.stats().all, 6U) << "the first connection is one";
}

TEST_F(ChangeListenerTest, HearsAgainAfterItsConnectionWasEnded) {
  ChangeListener& listener = Start(Options());
  diary_.Until("hearing");
  Execute(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
      " AND pid <> pg_backend_pid()");
  EXPECT_THAT(diary_.Until("hearing"), ElementsAre("deaf", "hearing"));
  EXPECT_EQ(listener.stats().connects, 2U);
}

TEST_F(ChangeListenerTest, NoticesALineThatIsDeadWithoutASign) {
  TcpProxy proxy(SharedPostgres().port());
  ChangeListenerOptions options = Options();
  options.conninfo = UrlThrough(proxy.port());
  options.heartbeat = milliseconds(500);
  Start(options);
  diary_.Until("hearing");
  proxy.HalfOpenAll();
  diary_.Until("deaf");
  EXPECT_THAT(diary_.why(), HasSubstr("has not come in time"));
  diary_.Until("hearing");
  proxy.Stall(true);
  diary_.Until("deaf");
  proxy.Stall(false);
  diary_.Until("hearing");
}

// What a pooler does that shares connections: LISTEN succeeds, and nothing ever comes.
TEST_F(ChangeListenerTest, IsDeafWhereNotificationsDoNotArrive) {
  const std::string other = SharedPostgres().CreateDatabase();
  ASSERT_TRUE(Migrate(*SharedPostgres().Connect(other), {}).ok());
  ChangeListenerOptions options = Options();
  options.conninfo = SharedPostgres().Url(other);
  options.heartbeat = milliseconds(500);
  ChangeListener& listener = Start(options);
  EXPECT_THAT(diary_.Until("deaf"), ElementsAre("deaf"));
  EXPECT_THAT(diary_.why(), HasSubstr("has not come in time"));
  EXPECT_EQ(listener.stats().connects, 0U);
}

TEST_F(ChangeListenerTest, IsDeafWhereTheTriggersAreMissingOrDisabled) {
  Execute("ALTER TABLE device_certificates DISABLE TRIGGER sluice_changed_update");
  Start(Options());
  diary_.Until("deaf");
  EXPECT_THAT(diary_.why(), HasSubstr("missing or disabled"));
  Execute("ALTER TABLE device_certificates ENABLE TRIGGER sluice_changed_update");
  diary_.Until("hearing");
}

TEST_F(ChangeListenerTest, IsDeafWhileHeartbeatsCannotBeSentAndTellsChangesAllTheSame) {
  TcpProxy proxy(SharedPostgres().port());
  ChangeListenerOptions options = Options();
  options.sender_conninfo = UrlThrough(proxy.port());
  options.heartbeat = seconds(4);
  Start(options);
  diary_.Until("hearing");
  // The next heartbeat. (A line that stalls now may keep the answer to the first.)
  proxy.HoldAt("NOTIFY");
  ASSERT_TRUE(Eventually([&] { return proxy.holding(); }));
  Execute("INSERT INTO device_registry (tenant_id, device_id, site_id) VALUES ('t', 'a', 'n')");
  EXPECT_THAT(diary_.Until("t|a"), ElementsAre("t|a"));
  diary_.Until("deaf");
  EXPECT_THAT(diary_.why(), HasSubstr("could not be sent in time"));
}

TEST_F(ChangeListenerTest, SaysWhyItCannotConnectWithoutItsPassword) {
  ChangeListenerOptions options = Options();
  options.conninfo =
      "postgresql://u:hunter2@127.0.0.1:" + std::to_string(testing::FreePort()) + "/d";
  Start(options);
  diary_.Until("deaf");
  EXPECT_THAT(diary_.why(), HasSubstr("connecting to listen"));
  EXPECT_THAT(diary_.why(), ::testing::Not(HasSubstr("hunter2")));
}

TEST_F(ChangeListenerTest, StopsAtOnceAlsoWhileTheServerIsSilent) {
  TcpProxy proxy(SharedPostgres().port());
  ChangeListenerOptions options = Options();
  options.conninfo = UrlThrough(proxy.port());
  options.sender_conninfo = options.conninfo;
  options.heartbeat = seconds(60);
  ChangeListener& listener = Start(options);
  diary_.Until("hearing");
  proxy.Stall(true);
  const auto begin = steady_clock::now();
  listener.Stop();
  EXPECT_LT(steady_clock::now() - begin, seconds(2));
}

}  // namespace
}  // namespace sluice
