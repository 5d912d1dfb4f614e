#include <gmock/gmock.h>
#include <linux/magic.h>
#include <sys/stat.h>

#include <map>

#include "auth/pki/authority.h"
#include "ingest/doctor/checks.h"
#include "ingest/doctor/file_system_kind.h"
#include "tests/support/temp_dir.h"

namespace sluice {

void PrintTo(const Finding& finding, std::ostream* out) {
  *out << finding.area << " " << finding.check << " " << static_cast<int>(finding.health) << " "
       << finding.seen;
}

namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Given = std::map<std::string, std::string>;

Patient PatientWith(Given given) {
  // What a daemon has that is set up as the docs want it.
  given.emplace("IDENTITY_MODE", "stamp");
  Patient patient;
  const Environment environment = [given](const char* name) -> const char* {
    const auto found = given.find(name);
    return found == given.end() ? nullptr : found->second.c_str();
  };
  patient.given = ReadAllSettings(environment, SettingsFor::kTool);
  // As for a daemon where the default's file is not there.
  if (!given.contains("MQTT_CA_CERT")) patient.given.settings.mqtt_ca_cert.clear();
  return patient;
}

auto Is(const std::string& check, Health health, const std::string& seen) {
  return AllOf(Field(&Finding::check, check), Field(&Finding::health, health),
               Field(&Finding::seen, HasSubstr(seen)), Field(&Finding::advice, Not(IsEmpty())));
}

TEST(DoctorOnSettings, HasNothingToSayAboutTheDefaults) {
  EXPECT_THAT(CheckSettings(PatientWith({})), ElementsAre(Field(&Finding::health, Health::kOk)));
}

TEST(DoctorOnSettings, NamesWhatWillNotDoAndGoesOnWithTheDefault) {
  const Patient patient =
      PatientWith({{"PG_PORT", "many"}, {"FLUSH_INTERVAL_MS", "30000"}, {"DRAIN_SECONDS", "10"}});
  const auto found = CheckSettings(patient);
  EXPECT_THAT(found, Contains(Is("PG_PORT", Health::kFailed, "PG_PORT=many")));
  EXPECT_THAT(found, Contains(Is("together", Health::kFailed, "FLUSH_INTERVAL_MS=30000")));
  EXPECT_EQ(patient.settings().pg_port, 5432);
}

TEST(DoctorOnSettings, DoubtsWhatIsAllowedAndSeldomMeant) {
  const std::pair<Given, const char*> cases[] = {
      {{{"IDENTITY_MODE", "topic"}}, "any client"},
      {{{"REQUIRE_TOKEN", "0"}}, "without any proof"},
      {{{"AUTO_PROVISION", "1"}}, "refused until it has one"},
      {{{"MQTT_PASSWORD", "hush"}}, "without a user"},
      {{{"MQTT_TLS_INSECURE", "1"}}, "passes for the broker"},
      {{{"MQTT_SESSION_EXPIRY", "60"}}, "is lost"},
      {{{"SPOOL_SYNC", "none"}}, "power cut"},
      {{{"SPOOL_REDELIVERY_WINDOW", "100"}}, "stored twice"},
      {{{"MAX_PAYLOAD_BYTES", "64KiB"}}, "cannot be replayed"},
      {{{"STORE_REJECTS", "0"}, {"COUNTERS_ENABLED", "0"}}, "no trace"},
      {{{"RATE_LIMIT_RPS", "0"}}, "and then nothing"},
      {{{"CERT_AUTH_ENABLED", "1"}}, "nobody is told"},
      {{{"DATABASE_URL", "postgresql://u:hush@h/d"}, {"PG_HOST", "other"}}, "wins over PG_HOST"},
  };
  for (const auto& [given, meaning] : cases) {
    const auto found = CheckSettings(PatientWith(given));
    EXPECT_THAT(found, ElementsAre(AllOf(Field(&Finding::health, Health::kWarning),
                                         Field(&Finding::seen, HasSubstr(meaning)),
                                         Field(&Finding::advice, Not(IsEmpty())))));
    EXPECT_THAT(found, Each(Field(&Finding::seen, Not(HasSubstr("hush")))));
  }
}

class DoctorOnFiles : public ::testing::Test {
 protected:
  // A certificate that ends in so many days.
  std::string Certificate(int days, const std::string& name) {
    constexpr UnixMicros kMicrosPerDay = 86'400'000'000;
    const UnixMicros begin = SystemClock().Now() - 100 * kMicrosPerDay;
    const auto authority = Authority::Create("test", begin, std::chrono::days(100 + days));
    const std::string path = directory_.Path(name);
    testing::WriteFile(path, *authority->CertificatePem());
    testing::WriteFile(path + ".key", *authority->KeyPem());
    return path;
  }

  testing::TempDir directory_;
};

TEST_F(DoctorOnFiles, SaysWhichCertificateHasEndedAndWhichSoonWill) {
  const std::string ended = Certificate(-1, "ended");
  const std::string soon = Certificate(3, "soon");
  const std::string good = Certificate(300, "good");
  const auto found = CheckCertificates(PatientWith(
      {{"PKI_WATCH_FILES", ended + "," + soon + "," + good + "," + directory_.Path("none")}}));
  EXPECT_THAT(
      found, ElementsAre(Is("PKI_WATCH_FILES", Health::kFailed, "ended: something in it has ended"),
                         Is("PKI_WATCH_FILES", Health::kWarning, "soon: something in it ends on"),
                         Field(&Finding::health, Health::kOk),
                         Is("PKI_WATCH_FILES", Health::kFailed, "none")));
}

TEST_F(DoctorOnFiles, SeesThatAKeyIsOfAnotherCertificate) {
  const std::string one = Certificate(300, "one");
  const std::string two = Certificate(300, "two");
  const auto with = [&](const std::string& key) {
    return CheckCertificates(PatientWith(
        {{"MQTT_CA_CERT", one}, {"MQTT_CLIENT_CERT", one}, {"MQTT_CLIENT_KEY", key + ".key"}}));
  };
  EXPECT_THAT(with(two), Contains(Is("MQTT_CLIENT_KEY", Health::kFailed, "not the key")));
  EXPECT_THAT(with(one), Each(Field(&Finding::health, Health::kOk)));
}

TEST_F(DoctorOnFiles, ComparesTheDiskWithWhatTheSpoolMayTake) {
  const auto at = [&](const char* bytes) {
    return CheckDisk(
        PatientWith({{"SPOOL_DIR", directory_.Path("spool")}, {"SPOOL_MAX_BYTES", bytes}}));
  };
  EXPECT_THAT(at("256TiB"), Contains(Is("space", Health::kFailed, "SPOOL_MAX_BYTES is 256.0 TiB")));
  EXPECT_THAT(at("256MiB"), Contains(AllOf(Field(&Finding::check, "space"),
                                           Field(&Finding::health, Health::kOk))));
  EXPECT_THAT(at("256MiB"), Contains(Field(&Finding::seen, HasSubstr("is not there yet"))));
  struct stat info {};
  EXPECT_NE(::stat(directory_.Path("spool").c_str(), &info), 0) << "nothing was made";
}

TEST_F(DoctorOnFiles, RefusesASpoolThatIsNoDirectory) {
  testing::WriteFile(directory_.Path("spool"), "");
  EXPECT_THAT(CheckDisk(PatientWith({{"SPOOL_DIR", directory_.Path("spool")}})),
              Contains(Is("directory", Health::kFailed, "no directory")));
}

TEST(DoctorOnFileSystems, KnowsWhichForgetWhatTheyAreGiven) {
  EXPECT_EQ(KindOf(EXT4_SUPER_MAGIC).trouble, nullptr);
  EXPECT_EQ(KindOf(0x12345678).trouble, nullptr);
  for (const auto magic : {TMPFS_MAGIC, OVERLAYFS_SUPER_MAGIC, NFS_SUPER_MAGIC}) {
    EXPECT_NE(KindOf(static_cast<uint64_t>(magic)).trouble, nullptr) << magic;
  }
}

}  // namespace
}  // namespace sluice
