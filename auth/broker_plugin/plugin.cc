// Sluice's plugin for Mosquitto 2.0 (plugin interface 5, from 2.0.11 on): proves who every client
// is, lets it do what the rules say, and stamps what it publishes (auth/stamp.h).
//
//   plugin /usr/lib/sluice/sluice_broker_plugin.so
//   plugin_opt_stamp_key_file     the key or keys, see auth/stamp.h
//   plugin_opt_rules_file         the rules, see deploy/mosquitto/rules.conf
//   plugin_opt_database_url_file  optional: a libpq connection string or URL of the database with
//                                 the registry, for a role that may read device_registry and
//                                 device_certificates; a direct connection, not through PgBouncer
//
// The key and the URL are in files that only the broker's user may read. A mistake in any of the
// three keeps the broker from starting. SIGHUP reads keys and rules again; with a mistake in them
// the old ones stay.
//
// For all listeners at once: `per_listener_settings false`. With true, Mosquitto 2.0 gives no tick,
// and listeners that do not load the plugin go unchecked. No mount_point, no PSK.
//
// What the broker tells when (read in the sources of 2.0.11):
//  * A listener with use_identity_as_username asks no plugin at login. A client with a name that is
//    no tenant/device is refused all it does, and is disconnected when it first tries. With
//    require_certificate alone the plugin is asked, and such a client gets no further than CONNECT.
//  * There is no answer for later in 2.0 (MOSQ_ERR_AUTH_DELAYED came after it). The login of a
//    device that nothing is known of yet ends with the connection closed and no CONNACK, which
//    clients take for a failure of the network; when they try again, the answer is there.
//  * Will messages meet the rules when they are sent, and get no stamp.
//  * Each denied message is answered with a PUBACK to clients of MQTT 3.1.1. Debian's
//    2.0.11-1.2+deb12u2 with max_queued_messages 0 then disconnects the client, of any version.
//
// Properties are appended to the event's list and the list is never replaced: who frees a replaced
// list changed with 2.0.15.
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <mqtt_protocol.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "auth/broker_plugin/common_name.h"
#include "auth/broker_plugin/gate.h"
#include "auth/broker_plugin/registry_watcher.h"
#include "auth/secret_file.h"
#include "base/clock.h"
#include "base/escape.h"

namespace sluice {
namespace {

constexpr size_t kMaxUrlBytes = 4096;
constexpr size_t kMaxKicksPerTick = 64;  // each one walks over all clients
constexpr size_t kMaxStrangers = 1000;
constexpr int kMaxLinesPerSecond = 10;
constexpr size_t kMaxCertificates = 1'000'000;  // about 100 bytes each; more are hashed every time

struct FreeCertificate {
  void operator()(X509* certificate) const { X509_free(certificate); }
};

struct FreeText {
  void operator()(char* text) const { std::free(text); }
};

std::optional<std::string_view> Optional(const char* text) {
  if (text == nullptr) return std::nullopt;
  return text;
}

// Fingerprints of certificates. Hashing one takes about as long as all the rest of the plugin does
// for a message, so a certificate remembers where its own stands: in its extra data, which needs no
// freeing and is read by nobody else. One thread at a time.
class Fingerprints {
 public:
  const Sha256Digest& Of(X509* certificate) {
    if (void* const known = X509_get_ex_data(certificate, place_)) {
      return *static_cast<const Sha256Digest*>(known);
    }
    X509_digest(certificate, EVP_sha256(), latest_.data(), nullptr);
    if (seen_.size() >= kMaxCertificates && !seen_.contains(latest_)) return latest_;
    const Sha256Digest& kept = *seen_.insert(latest_).first;
    X509_set_ex_data(certificate, place_, const_cast<Sha256Digest*>(&kept));
    return kept;
  }

 private:
  const int place_ = X509_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  std::set<Sha256Digest> seen_;
  Sha256Digest latest_;
};

// A client of the broker, for the length of one event.
class Client {
 public:
  Client(const struct mosquitto* client, Fingerprints* fingerprints)
      : certificate_(static_cast<X509*>(mosquitto_client_certificate(client))) {
    facts_.username = Optional(mosquitto_client_username(client));
    facts_.has_certificate = certificate_ != nullptr;
    if (certificate_ == nullptr) return;
    facts_.common_name = SoleCommonName(*certificate_);
    facts_.fingerprint = fingerprints->Of(certificate_.get());
  }
  const ClientFacts& facts() const { return facts_; }
  // For a listener that asks for a certificate and leaves the naming to us.
  void NameAfterCertificate() {
    if (!facts_.username) facts_.username = facts_.common_name;
  }

 private:
  std::unique_ptr<X509, FreeCertificate> certificate_;
  ClientFacts facts_;
};

struct Options {
  std::string stamp_key_file;
  std::string rules_file;
  std::string database_url_file;
};

// All of it lives and is called on the broker's thread.
class Plugin {
 public:
  static Result<std::unique_ptr<Plugin>> Make(const Options& options);

  int Login(mosquitto_evt_basic_auth* event);
  int CheckAccess(mosquitto_evt_acl_check* event);
  int Publish(mosquitto_evt_message* event);
  void Tick();
  void Reload();

 private:
  Plugin(Options options, Rules rules, StampKeys keys, const std::string& database_url);
  void Log(int level, const std::string& line);
  // Disconnects it at the next tick: not now, while the broker is busy with it.
  void Expel(const struct mosquitto* client, const char* why);

  const Options options_;
  DeviceRoster roster_;
  Gate gate_;
  Fingerprints fingerprints_;
  std::unique_ptr<RegistryWatcher> watcher_;
  std::set<std::string> strangers_;  // client ids
  int64_t second_ = 0;
  int lines_ = 0;  // logged in that second
};

Result<std::unique_ptr<Plugin>> Plugin::Make(const Options& options) {
  auto keys = StampKeys::Load(options.stamp_key_file);
  if (!keys.ok()) return keys.status();
  auto rules = Rules::Load(options.rules_file);
  if (!rules.ok()) return rules.status();
  std::string url;
  if (!options.database_url_file.empty()) {
    auto read = ReadSecretFile(options.database_url_file, kMaxUrlBytes);
    if (!read.ok()) return read.status();
    url = read->substr(0, read->find_last_not_of(" \t\r\n") + 1);
    if (url.empty()) {
      return Status(ErrorCode::kInvalidArgument,
                    "the file " + options.database_url_file + " is empty");
    }
  }
  return std::unique_ptr<Plugin>(new Plugin(options, std::move(*rules), std::move(*keys), url));
}

Plugin::Plugin(Options options, Rules rules, StampKeys keys, const std::string& database_url)
    : options_(std::move(options)),
      gate_(std::move(rules), std::move(keys), database_url.empty() ? nullptr : &roster_) {
  if (!database_url.empty()) {
    watcher_ = std::make_unique<RegistryWatcher>(database_url, roster_);
  }
}

void Plugin::Log(int level, const std::string& line) {
  const int64_t second = SystemClock().Monotonic() / 1'000'000;
  if (second != second_) {
    second_ = second;
    lines_ = 0;
  }
  if (++lines_ <= kMaxLinesPerSecond) mosquitto_log_printf(level, "sluice: %s", line.c_str());
}

void Plugin::Expel(const struct mosquitto* client, const char* why) {
  const char* const id = mosquitto_client_id(client);
  if (id == nullptr || strangers_.size() >= kMaxStrangers) return;
  if (!strangers_.insert(id).second) return;
  Log(MOSQ_LOG_NOTICE, "client \"" + Escaped(id) + "\" of user \"" +
                           Escaped(Optional(mosquitto_client_username(client)).value_or("")) +
                           "\" " + why);
}

int Plugin::Login(mosquitto_evt_basic_auth* event) {
  Client client(event->client, &fingerprints_);
  const bool unnamed = !client.facts().username.has_value();
  if (client.facts().has_certificate) client.NameAfterCertificate();
  const std::string name(client.facts().username.value_or(""));
  switch (gate_.Login(client.facts(), Optional(event->password), SystemClock().Monotonic())) {
    case LoginVerdict::kAccept:
      return unnamed ? mosquitto_set_username(event->client, name.c_str()) : MOSQ_ERR_SUCCESS;
    case LoginVerdict::kAskPasswordFile:
      return MOSQ_ERR_PLUGIN_DEFER;
    case LoginVerdict::kTryLater:
      return MOSQ_ERR_UNKNOWN;
    case LoginVerdict::kRefuse:
      break;
  }
  Log(MOSQ_LOG_NOTICE, "login of user \"" + Escaped(name) + "\" refused");
  return MOSQ_ERR_AUTH;
}

int Plugin::CheckAccess(mosquitto_evt_acl_check* event) {
  const Client client(event->client, &fingerprints_);
  const auto principal = gate_.WhoIs(client.facts());
  const bool reads = event->access == MOSQ_ACL_READ;
  if (!principal) {
    if (!reads) Expel(event->client, "has a name that is not let in");
    return MOSQ_ERR_ACL_DENIED;
  }
  if (event->access == MOSQ_ACL_UNSUBSCRIBE) return MOSQ_ERR_SUCCESS;
  if (!gate_.SessionStands(*principal, SystemClock().Monotonic())) {
    if (!reads) Expel(event->client, "is not allowed by the registry any more");
    return MOSQ_ERR_ACL_DENIED;
  }
  const Access access = event->access == MOSQ_ACL_WRITE ? Access::kPublish : Access::kSubscribe;
  return gate_.May(*principal, access, event->topic) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}

bool BringsStamp(const mosquitto_property* properties) {
  for (; properties != nullptr; properties = mosquitto_property_next(properties)) {
    if (mosquitto_property_identifier(properties) != MQTT_PROP_USER_PROPERTY) continue;
    char* raw = nullptr;
    mosquitto_property_read_string_pair(properties, MQTT_PROP_USER_PROPERTY, &raw, nullptr, false);
    const std::unique_ptr<char, FreeText> name(raw);
    if (name == nullptr || IsStampProperty(name.get())) return true;
  }
  return false;
}

int Plugin::Publish(mosquitto_evt_message* event) {
  const Client client(event->client, &fingerprints_);
  const auto principal = gate_.WhoIs(client.facts());
  if (!principal || BringsStamp(event->properties)) return MOSQ_ERR_ACL_DENIED;
  const auto stamp = gate_.Stamp(*principal, event->topic,
                                 {static_cast<const char*>(event->payload), event->payloadlen});
  if (!stamp) return MOSQ_ERR_ACL_DENIED;
  const int added = mosquitto_property_add_string_pair(&event->properties, MQTT_PROP_USER_PROPERTY,
                                                       kStampProperty.data(), stamp->c_str());
  return added == MOSQ_ERR_SUCCESS ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}

void Plugin::Tick() {
  if (watcher_ != nullptr) {
    for (const std::string& name : roster_.TakeKicks(kMaxKicksPerTick)) {
      mosquitto_kick_client_by_username(name.c_str(), false);
    }
    for (const std::string& line : watcher_->TakeReports()) Log(MOSQ_LOG_WARNING, line);
  }
  for (const std::string& id : std::exchange(strangers_, {})) {
    mosquitto_kick_client_by_clientid(id.c_str(), false);
  }
}

void Plugin::Reload() {
  auto keys = StampKeys::Load(options_.stamp_key_file);
  auto rules = Rules::Load(options_.rules_file);
  if (!keys.ok() || !rules.ok()) {
    const Status status = keys.ok() ? rules.status() : keys.status();
    mosquitto_log_printf(MOSQ_LOG_ERR, "sluice: %s; keys and rules stay as they were",
                         Escaped(status.message()).c_str());
    return;
  }
  gate_.Replace(std::move(*rules), std::move(*keys));
  mosquitto_log_printf(MOSQ_LOG_NOTICE, "sluice: keys and rules were read again");
}

// Runs a callback's body; no exception may reach the broker, which is C. What throws is refused.
template <typename Body>
int Guarded(int when_thrown, Body body) {
  try {
    return body();
  } catch (const std::exception& e) {
    mosquitto_log_printf(MOSQ_LOG_ERR, "sluice: %s", e.what());
    return when_thrown;
  }
}

int OnLogin(int /*event*/, void* data, void* plugin) {
  return Guarded(MOSQ_ERR_AUTH, [&] {
    return static_cast<Plugin*>(plugin)->Login(static_cast<mosquitto_evt_basic_auth*>(data));
  });
}

int OnAccess(int /*event*/, void* data, void* plugin) {
  return Guarded(MOSQ_ERR_ACL_DENIED, [&] {
    return static_cast<Plugin*>(plugin)->CheckAccess(static_cast<mosquitto_evt_acl_check*>(data));
  });
}

int OnMessage(int /*event*/, void* data, void* plugin) {
  return Guarded(MOSQ_ERR_ACL_DENIED, [&] {
    return static_cast<Plugin*>(plugin)->Publish(static_cast<mosquitto_evt_message*>(data));
  });
}

int OnTick(int /*event*/, void* /*data*/, void* plugin) {
  return Guarded(MOSQ_ERR_SUCCESS, [&] {
    static_cast<Plugin*>(plugin)->Tick();
    return MOSQ_ERR_SUCCESS;
  });
}

// Always "go on": anything else keeps the broker from reading its own password file again.
int OnReload(int /*event*/, void* /*data*/, void* plugin) {
  return Guarded(MOSQ_ERR_PLUGIN_DEFER, [&] {
    static_cast<Plugin*>(plugin)->Reload();
    return MOSQ_ERR_PLUGIN_DEFER;
  });
}

Result<Options> ReadOptions(const mosquitto_opt* options, int count) {
  Options read;
  const std::pair<std::string_view, std::string*> known[] = {
      {"stamp_key_file", &read.stamp_key_file},
      {"rules_file", &read.rules_file},
      {"database_url_file", &read.database_url_file}};
  for (int i = 0; i < count; ++i) {
    const std::string_view key = options[i].key;
    bool taken = false;
    for (const auto& [name, value] : known) {
      if (key != name) continue;
      *value = options[i].value == nullptr ? "" : options[i].value;
      taken = true;
    }
    if (!taken) {
      return Status(ErrorCode::kInvalidArgument,
                    "plugin_opt_" + std::string(key) + " is not a setting of this plugin");
    }
  }
  if (read.stamp_key_file.empty()) {
    return Status(ErrorCode::kInvalidArgument, "plugin_opt_stamp_key_file is not set");
  }
  if (read.rules_file.empty()) {
    return Status(ErrorCode::kInvalidArgument, "plugin_opt_rules_file is not set");
  }
  return read;
}

// There is one, for all listeners.
Plugin* the_plugin = nullptr;

int Refuse(const std::string& why) {
  mosquitto_log_printf(MOSQ_LOG_ERR, "sluice: %s", Escaped(why).c_str());
  return MOSQ_ERR_INVAL;
}

int Start(mosquitto_plugin_id_t* id, void** user_data, const mosquitto_opt* options, int count) {
  if (the_plugin != nullptr) {
    return Refuse("the plugin is loaded once, for all listeners: per_listener_settings false");
  }
  auto read = ReadOptions(options, count);
  if (!read.ok()) return Refuse(read.message());
  auto made = Plugin::Make(*read);
  if (!made.ok()) return Refuse(made.message());
  const std::pair<int, MOSQ_FUNC_generic_callback> callbacks[] = {{MOSQ_EVT_BASIC_AUTH, OnLogin},
                                                                  {MOSQ_EVT_ACL_CHECK, OnAccess},
                                                                  {MOSQ_EVT_MESSAGE, OnMessage},
                                                                  {MOSQ_EVT_TICK, OnTick},
                                                                  {MOSQ_EVT_RELOAD, OnReload}};
  for (const auto& [event, callback] : callbacks) {
    const int rc = mosquitto_callback_register(id, event, callback, nullptr, made->get());
    if (rc != MOSQ_ERR_SUCCESS) return rc;
  }
  if (read->database_url_file.empty()) {
    mosquitto_log_printf(MOSQ_LOG_WARNING,
                         "sluice: no plugin_opt_database_url_file: devices cannot log in with a "
                         "token, and revocations are not seen");
  }
  *user_data = the_plugin = made->release();
  return MOSQ_ERR_SUCCESS;
}

}  // namespace
}  // namespace sluice

extern "C" {

mosq_plugin_EXPORT __attribute__((visibility("default"))) int mosquitto_plugin_version(
    int supported_version_count, const int* supported_versions) {
  for (int i = 0; i < supported_version_count; ++i) {
    if (supported_versions[i] == MOSQ_PLUGIN_VERSION) return MOSQ_PLUGIN_VERSION;
  }
  return -1;
}

mosq_plugin_EXPORT __attribute__((visibility("default"))) int mosquitto_plugin_init(
    mosquitto_plugin_id_t* identifier, void** userdata, struct mosquitto_opt* options,
    int option_count) {
  return sluice::Guarded(
      MOSQ_ERR_UNKNOWN, [&] { return sluice::Start(identifier, userdata, options, option_count); });
}

mosq_plugin_EXPORT __attribute__((visibility("default"))) int mosquitto_plugin_cleanup(
    void* userdata, struct mosquitto_opt* /*options*/, int /*option_count*/) {
  delete static_cast<sluice::Plugin*>(userdata);
  sluice::the_plugin = nullptr;
  return MOSQ_ERR_SUCCESS;
}

}  // extern "C"
