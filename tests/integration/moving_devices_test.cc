// Many devices of one chunk that say where they are, on a real PostgreSQL.
#include <gmock/gmock.h>

#include <future>

#include "tests/integration/database_writer_fixture.h"

namespace sluice {
namespace {

class MovingDevices : public DatabaseWriterTest {
 protected:
  // Devices d100, d101 … of orchard, in the registry from the last to the first.
  void Register(int devices) {
    Sql("INSERT INTO device_registry (tenant_id, device_id, site_id, latitude, longitude) "
        "SELECT 'orchard', 'd' || n, 'north', 1, 2 FROM generate_series(" +
        std::to_string(kFirst + devices - 1) + ", " + std::to_string(kFirst) + ", -1) AS n");
    DeviceRecord record = GoodDevice();
    record.latitude = 1;
    record.longitude = 2;
    record.location_follows_device = true;
    for (int i = 0; i < devices; ++i) {
      parts_.store.Add("orchard", "d" + std::to_string(kFirst + i), record);
      chunk_.Add(R"({"site_id":"north","provision_token":"tok-apple","lat":)" +
                     std::to_string(2.5 + 0.5 * i) + R"(,"lng":7})",
                 "tenant/orchard/device/d" + std::to_string(kFirst + i) + "/telemetry");
    }
    batch_ = parts_.Judge(chunk_);
  }
  // Where they are that did not move, and how many did.
  std::string Unmoved() {
    return Value(
        "SELECT concat_ws(' ', string_agg(device_id, ' ' ORDER BY device_id) "
        "FILTER (WHERE latitude = 1 AND longitude = 2), count(*) FILTER (WHERE "
        "latitude = 2.5 + 0.5 * (substr(device_id, 2)::int - 100) AND longitude = 7)) "
        "FROM device_registry");
  }
  void RefuseAtTheEndOf(const std::string& what, const std::string& deferred) {
    Sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.device_id ~ '" +
        what +
        "' THEN RAISE EXCEPTION 'no'; END IF; RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON device_registry " +
        deferred + " FOR EACH ROW EXECUTE FUNCTION refuse()");
  }

  static constexpr int kFirst = 100;
  TestChunk chunk_;
  Batch batch_;
};

TEST_F(MovingDevices, AreMovedByOneStatement) {
  Register(80);
  Sql("CREATE TABLE statements (n int);"
      "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN "
      "INSERT INTO public.statements VALUES (1); RETURN NULL; END $$;"
      "CREATE TRIGGER note AFTER UPDATE ON device_registry EXECUTE FUNCTION note()");
  EXPECT_EQ(MustCommit(&batch_).places_refused, 0U);
  EXPECT_EQ(Unmoved(), "80");
  EXPECT_EQ(Count("statements"), 1);
}

// Or two workers that move the same devices would deadlock.
TEST_F(MovingDevices, AreLockedByNameWhateverThePlan) {
  Register(3);
  const auto free = [this](const std::string& device) {
    return Sql("SELECT FROM device_registry WHERE device_id = '" + device +
               "' FOR UPDATE SKIP LOCKED")
               .size() == 1;
  };
  auto other = testing::SharedPostgres().Connect(database_);
  ASSERT_TRUE(other
                  ->Exec("BEGIN; UPDATE device_registry SET metadata = '{}' "
                         "WHERE device_id = 'd101'")
                  .ok());
  auto commit = std::async(std::launch::async, [this] { return MustCommit(&batch_).accepted; });
  EXPECT_TRUE(Soon([&] {
    return Count(
               "pg_stat_activity WHERE datname = current_database() AND "
               "wait_event_type = 'Lock'") == 1;
  }));
  EXPECT_FALSE(free("d100"));
  EXPECT_TRUE(free("d102"));
  EXPECT_TRUE(other->Exec("COMMIT").ok());
  EXPECT_EQ(commit.get(), 3U);
  EXPECT_EQ(Unmoved(), "3");
}

TEST_F(MovingDevices, ThatTheRegistryRefusesStayAndTheOthersMove) {
  Register(30);
  Sql("ALTER TABLE device_registry ADD CONSTRAINT fenced CHECK "
      "(latitude < 6.2 OR device_id NOT IN ('d100', 'd107', 'd108', 'd129'))");
  EXPECT_EQ(MustCommit(&batch_).places_refused, 2U);
  EXPECT_EQ(Unmoved(), "d108 d129 28") << "d100 and d107 stay south of the fence";
  EXPECT_EQ(Count("telemetry"), 30);
}

TEST_F(MovingDevices, ThatWouldBeRefusedAtTheCommitStayAndTheOthersMove) {
  Register(30);
  RefuseAtTheEndOf("d1(02|17)", "DEFERRABLE INITIALLY DEFERRED");
  EXPECT_EQ(MustCommit(&batch_).places_refused, 2U);
  EXPECT_EQ(Unmoved(), "d102 d117 28");
}

TEST_F(MovingDevices, StayWhenTheRegistryRefusesThemAll) {
  Register(150);
  RefuseAtTheEndOf("d", "");
  EXPECT_EQ(MustCommit(&batch_).places_refused, 150U);
  EXPECT_THAT(Unmoved(), ::testing::EndsWith("d249 0"));
  EXPECT_EQ(Count("telemetry"), 150);
}

}  // namespace
}  // namespace sluice
