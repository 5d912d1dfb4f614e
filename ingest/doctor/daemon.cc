#include "ingest/doctor/daemon.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/file_system.h"
#include "base/http_get.h"
#include "ingest/spool/format.h"

namespace sluice {
namespace {

using Json = nlohmann::json;

// Where somebody on this machine reaches it.
std::string UrlOf(const Settings& settings) {
  std::string host = settings.http_host;
  if (host == "0.0.0.0") host = "127.0.0.1";
  if (host.find(':') != std::string::npos) host = "localhost";
  return "http://" + host + ":" + std::to_string(settings.http_port);
}

std::vector<std::string> Texts(const Json& object, const char* name) {
  std::vector<std::string> texts;
  const auto found = object.find(name);
  if (found == object.end() || !found->is_array()) return texts;
  for (const Json& text : *found) {
    if (text.is_string()) texts.push_back(text.get<std::string>());
  }
  return texts;
}

std::optional<double> MetricOf(const std::string& page, const std::string& name) {
  const size_t at = ("\n" + page).find("\n" + name + " ");
  if (at == std::string::npos) return std::nullopt;
  return std::strtod(page.c_str() + at + name.size(), nullptr);
}

}  // namespace

DaemonHere LookForDaemon(const Settings& settings) {
  DaemonHere daemon;
  const auto holder = LockHolder(settings.spool_dir + "/" + std::string(kLockName));
  if (holder.ok()) daemon.pid = *holder;
  if (settings.http_port == 0) return daemon;
  const Result<HttpAnswer> answer = HttpAsk(UrlOf(settings) + "/ready", "");
  if (!answer.ok()) return daemon;
  const Json said = Json::parse(answer->body, nullptr, false);
  if (!said.is_object() || !said.contains("ready") || !said.contains("reasons")) return daemon;
  daemon.answers = true;
  daemon.ready = answer->status == 200;
  daemon.reasons = Texts(said, "reasons");
  daemon.notes = Texts(said, "notes");
  daemon.subscribed = said.value("broker", Json()) == "subscribed";
  if (const auto page = HttpGet(UrlOf(settings) + "/metrics", ""); page.ok()) {
    daemon.dropped = MetricOf(*page, "sluice_broker_dropped_messages");
  }
  return daemon;
}

}  // namespace sluice
