// deploy/docker-compose.yml against what it names: the daemon's settings, the images of
// deploy/Dockerfile, and files of this repository. docker-compose itself reads it.
#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>

#include "tests/deploy/monitoring.h"
#include "tests/support/process.h"

namespace sluice::testing {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::StartsWith;

const std::string kDeploy = SourcePath("deploy/");

std::set<std::string> Set(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

std::string RunScript(const std::string& script, std::map<std::string, std::string> env = {}) {
  const TempDir directory;
  const std::string said = directory.Path("said");
  const auto ended = Run({.argv = {"bash", "-euo", "pipefail", "-c", script},
                          .env = std::move(env),
                          .stdout_path = said,
                          .stderr_path = said});
  EXPECT_TRUE(ended && ended->code == 0) << script << "\n" << ReadFile(said);
  return ReadFile(said);
}

// The compose file with the values of .env.example, as docker-compose understands it.
const json& Compose() {
  static const json compose = json::parse(
      RunScript("docker-compose --env-file \"$DEPLOY/.env.example\" "
                "-f \"$DEPLOY/docker-compose.yml\" config | "
                "python3 -c 'import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))'",
                {{"DEPLOY", kDeploy}}));
  return compose;
}

const json& Service(const std::string& name) {
  return Compose().at("services").at(name);
}

std::string Dockerfile() {
  return ReadFile(kDeploy + "Dockerfile");
}
std::string Prepare() {
  return ReadFile(kDeploy + "prepare");
}

// The stage of the Dockerfile that the service's image is.
std::string Stage(const std::string& service) {
  const std::string name = service == "mqtt" ? "broker" : "sluice";
  const std::string all = Dockerfile();
  const size_t begin = all.find(" AS " + name + "\n");
  return all.substr(begin, all.find("\nFROM ", begin) - begin);
}

// Services of our own image, and what sluice each of them runs.
const char* const kOurs[] = {"migrate", "crl", "ingest"};

TEST(Compose, HasTheServicesOfTheOldDeploymentAndThoseAroundThem) {
  std::set<std::string> names;
  for (const auto& [name, service] : Compose()["services"].items()) names.insert(name);
  EXPECT_EQ(names, (std::set<std::string>{"crl", "grafana", "ingest", "migrate", "mqtt", "postgres",
                                          "prometheus", "roles"}));
  const std::string settings = ReadFile(SourcePath("docs/configuration.md"));
  for (const char* const service : {"mqtt", "postgres"}) {
    const std::string alias = Service(service)["networks"]["default"]["aliases"][0];
    EXPECT_THAT(settings, HasSubstr("_HOST` | `" + alias + "` |")) << "the daemon's default";
  }
}

TEST(Compose, TakesEveryVariableFromTheExampleAndNoOther) {
  const auto used = Set(AllMatches(ReadFile(kDeploy + "docker-compose.yml"), R"([^$]\$\{(\w+)\})"));
  EXPECT_EQ(used, Set(AllMatches(ReadFile(kDeploy + ".env.example"), R"(^(\w+)=)")));
}

TEST(Compose, GivesTheDaemonSettingsThatItHasAndAllSecretsAsFiles) {
  const std::string docs = ReadFile(SourcePath("docs/configuration.md"));
  const auto all = Set(AllMatches(docs, R"(^\| `(\w+)` \|)"));
  const auto secret = Set(AllMatches(docs, R"(^\| `(\w+)` \|.*\*\*Secret)"));
  for (const char* const name : kOurs) {
    for (const auto& [variable, value] : Service(name)["environment"].items()) {
      const bool file = variable.ends_with("_FILE") && !all.contains(variable);
      const std::string setting = file ? variable.substr(0, variable.size() - 5) : variable;
      EXPECT_THAT(all, Contains(setting)) << name;
      EXPECT_EQ(file, secret.contains(setting)) << name << ": " << variable;
    }
  }
}

TEST(Compose, NamesOnlyFilesThatAreMountedWhereASettingNamesOne) {
  for (const char* const name : kOurs) {
    std::set<std::string> mounted;
    for (const auto& secret : Service(name)["secrets"]) {
      mounted.insert("/run/secrets/" + secret["source"].get<std::string>());
    }
    const std::string text = Service(name)["environment"].dump();
    EXPECT_THAT(mounted, IsSupersetOf(AllMatches(text, R"((/run/secrets/[\w.-]+))"))) << name;
  }
}

TEST(Compose, SettingsOfTheDaemonPassItsOwnCheck) {
  const TempDir directory;
  WriteFile(directory.Path("secret"), std::string(64, 'a'));
  std::map<std::string, std::string> env;
  for (const auto& [name, value] : Service("ingest")["environment"].items()) {
    const bool file =
        value.get<std::string>().starts_with("/run/secrets/") && name != "PKI_WATCH_FILES";
    env[name] = file ? directory.Path("secret") : value.get<std::string>();
  }
  RunScript(
      "chmod 600 '" + directory.Path("secret") + "'; '" SLUICE_BIN_DIR "/sluice' ingest --check",
      env);
}

TEST(Compose, MountsFilesOfTheRepositoryOrThoseThatPrepareMakes) {
  if (::geteuid() != 0) GTEST_SKIP() << "prepare gives its files to other users, so it needs root";
  const TempDir directory;
  RunScript(
      "cp -r \"$DEPLOY\" \"$COPY/deploy\"; cd \"$COPY/deploy\"; rm -rf secrets .env; "
      "PATH=" SLUICE_BIN_DIR ":$PATH ./prepare broker.example 192.0.2.1",
      {{"DEPLOY", kDeploy}, {"COPY", directory.path()}});
  const auto exists = [&](const std::string& path) {
    EXPECT_THAT(path, StartsWith(kDeploy));
    const std::string copy = directory.path() + "/deploy/" + path.substr(kDeploy.size());
    EXPECT_TRUE(std::filesystem::exists(copy)) << path;
  };
  for (const auto& [name, secret] : Compose()["secrets"].items()) exists(secret["file"]);
  for (const auto& [name, service] : Compose()["services"].items()) {
    for (const std::string volume : service.value("volumes", json::array())) {
      const std::string source = volume.substr(0, volume.find(':'));
      if (source.starts_with('/')) {
        exists(source);
      } else {
        EXPECT_TRUE(Compose()["volumes"].contains(source)) << volume;
      }
    }
  }
}

TEST(Compose, KeepsSpoolAndQueueOnTheVolumesOfTheImages) {
  EXPECT_THAT(Service("ingest")["volumes"], Contains("spool:/var/lib/sluice:rw"));
  EXPECT_THAT(Stage("ingest"), HasSubstr("\nVOLUME /var/lib/sluice\n"));
  EXPECT_THAT(Service("mqtt")["volumes"], Contains("broker:/var/lib/mosquitto:rw"));
  EXPECT_THAT(Stage("mqtt"), HasSubstr("\nVOLUME /var/lib/mosquitto\n"));
  EXPECT_THAT(ReadFile(kDeploy + "mosquitto/container.conf"),
              HasSubstr("persistence_location /var/lib/mosquitto/\n"));
  EXPECT_THAT(ReadFile(SourcePath("docs/configuration.md")),
              HasSubstr("| `SPOOL_DIR` | `/var/lib/sluice/"));
}

TEST(Compose, PublishesPortsThatTheImagesExpose) {
  for (const char* const name : {"ingest", "mqtt"}) {
    const std::string exposed = AllMatches(Stage(name), R"(^EXPOSE(.*)$)").at(0) + " ";
    for (const json& port : Service(name)["ports"]) {
      const std::string text = port.is_string() ? port.get<std::string>() : port.dump();
      const std::string inside = AllMatches(text, R"((\d+)(?:/tcp|\})?$)").at(0);
      EXPECT_THAT(exposed, HasSubstr(" " + inside + " ")) << name;
    }
  }
  for (const char* const name : {"ingest", "prometheus", "grafana"}) {
    EXPECT_THAT(Service(name)["ports"].dump(), HasSubstr("127.0.0.1:")) << name;
  }
  const std::string listeners = ReadFile(kDeploy + "mosquitto/listeners.conf");
  const auto ports = AllMatches(listeners, R"(^listener (\d+))");
  EXPECT_EQ(AllMatches(Stage("mqtt"), R"(^EXPOSE (.*)$)").at(0),
            ports.at(0) + " " + ports.at(1) + " " + ports.at(2));
}

TEST(Compose, LetsNobodyWriteToItsRootOrGainRights) {
  for (const auto& [name, service] : Compose()["services"].items()) {
    EXPECT_EQ(service.value("read_only", false), true) << name;
    EXPECT_EQ(service["cap_drop"], json({"ALL"})) << name;
    EXPECT_EQ(service["security_opt"], json({"no-new-privileges:true"})) << name;
    EXPECT_TRUE(service.contains("mem_limit") && service.contains("pids_limit")) << name;
    EXPECT_EQ(service.contains("cap_add"), name == "postgres") << name;
    EXPECT_FALSE(service.value("privileged", false)) << name;
    EXPECT_THAT(service.dump(), ::testing::Not(HasSubstr("docker.sock"))) << name;
  }
}

TEST(Compose, StartsEachServiceWhenWhatItNeedsIsThere) {
  const auto waits = [](const char* who, const char* for_whom) {
    return Service(who)["depends_on"].at(for_whom)["condition"].get<std::string>();
  };
  EXPECT_EQ(waits("migrate", "postgres"), "service_healthy");
  EXPECT_EQ(waits("roles", "migrate"), "service_completed_successfully");
  EXPECT_EQ(waits("mqtt", "roles"), "service_completed_successfully");
  EXPECT_EQ(waits("mqtt", "crl"), "service_healthy");
  EXPECT_EQ(waits("ingest", "mqtt"), "service_healthy");
  for (const auto& [name, service] : Compose()["services"].items()) {
    const json needed = service.value("depends_on", json::object());
    for (const auto& [other, how] : needed.items()) {
      if (how["condition"] != "service_healthy") continue;
      const bool of_image = other == "ingest" || other == "mqtt";
      EXPECT_TRUE(of_image ? Stage(other).find("\nHEALTHCHECK ") != std::string::npos
                           : Service(other).contains("healthcheck"))
          << name << " waits for " << other;
    }
  }
}

TEST(Compose, UsesImagesOfThisVersionAndServersThatAreTestedHere) {
  const std::string version =
      AllMatches(ReadFile(SourcePath("CMakeLists.txt")), R"(project\(sluice VERSION ([\d.]+))")
          .at(0);
  for (const char* const name : kOurs) EXPECT_EQ(Service(name)["image"], "sluice:" + version);
  EXPECT_EQ(Service("mqtt")["image"], "sluice-broker:" + version);
  EXPECT_EQ(Service("ingest")["build"]["args"]["VERSION"], version);
  for (const char* const name : {"ingest", "mqtt"}) {
    const json& build = Service(name)["build"];
    EXPECT_THAT(Stage(name), HasSubstr(" AS " + build["target"].get<std::string>() + "\n"));
    EXPECT_EQ(build["dockerfile"], "deploy/Dockerfile");
    EXPECT_TRUE(
        std::filesystem::equivalent(build["context"].get<std::string>(), SLUICE_SOURCE_DIR));
  }
  const std::string examples = ReadFile(kDeploy + ".env.example");
  EXPECT_THAT(AllMatches(examples, R"(POSTGRES_IMAGE=(.*)$)"),
              ::testing::Each(ContainsRegex(":15-|-pg15$")));
  EXPECT_EQ(Service("prometheus")["image"],
            "prom/prometheus:v" +
                AllMatches(RunScript("prometheus --version"), R"(version ([\d.]+))").at(0));
}

TEST(Compose, PrometheusTakesItsConfiguration) {
  RunScript(
      "cd \"$DEPLOY\"; d=$(mktemp -d); trap 'rm -r \"$d\"' EXIT; "
      "cp compose/prometheus.yml prometheus/sluice-rules.yml \"$d\"; "
      "promtool check config \"$d/prometheus.yml\"",
      {{"DEPLOY", kDeploy}});
  EXPECT_THAT(ReadFile(kDeploy + "compose/prometheus.yml"), HasSubstr("job_name: sluice\n"));
  EXPECT_THAT(ReadFile(kDeploy + "compose/datasource.yml"),
              HasSubstr("url: http://prometheus:9090"));
}

TEST(Images, AreBuiltFromPackagesThatAreListed) {
  const auto listed =
      Set(AllMatches(ReadFile(SourcePath("scripts/packages")), R"(^([a-z0-9][\w.+-]*))"));
  const std::string all = Dockerfile();
  const std::string build = all.substr(0, all.find("\nWORKDIR "));
  EXPECT_THAT(listed, IsSupersetOf(AllMatches(build, R"(\b([\w+-]+-dev)\b)")));
}

TEST(Images, RunAsTheUsersThatPrepareMakesTheFilesFor) {
  const auto users = AllMatches(Dockerfile(), R"(^USER (\d+):\d+$)");
  EXPECT_THAT(users, ::testing::ElementsAre("10001", "10002"));
  for (const std::string& user : users)
    EXPECT_THAT(Prepare(), HasSubstr("give " + user + " 0400 "));
  EXPECT_EQ(Service("roles")["user"], "10001:10001") << "who reads the daemon's files there";
}

}  // namespace
}  // namespace sluice::testing
