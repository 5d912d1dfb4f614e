#include "auth/broker_plugin/registry_watcher.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <utility>

#include "auth/identity.h"
#include "base/clock.h"
#include "base/escape.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kConnectTimeout{5000};
constexpr milliseconds kQueryTimeout{5000};
constexpr milliseconds kRetryPause{500};
// Between two queries, so that a flood of logins cannot keep PostgreSQL busy.
constexpr milliseconds kMinPause{20};
constexpr size_t kMaxReports = 100;

constexpr const char* kSql = R"sql(
SELECT k.ord, r.status = 'ACTIVE', r.provision_token_hash,
       (SELECT string_agg(translate(c.fingerprint_sha256, ': ', ''), ' ')
        FROM device_certificates c
        WHERE c.tenant_id = k.tenant_id AND c.device_id = k.device_id
          AND c.status = 'ACTIVE' AND c.not_before <= now() AND c.not_after > now())
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k(tenant_id, device_id, ord)
JOIN device_registry r ON r.tenant_id = k.tenant_id AND r.device_id = k.device_id)sql";

// Column numbers of kSql.
enum : int { kOrd, kActive, kTokenHash, kCertificates };

// What is no fingerprint in the table proves nobody.
std::vector<Sha256Digest> FingerprintsFrom(std::string_view text) {
  std::vector<Sha256Digest> fingerprints;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (const auto one = DigestFromHex(text.substr(0, end))) fingerprints.push_back(*one);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return fingerprints;
}

}  // namespace

RegistryWatcher::RegistryWatcher(std::string conninfo, DeviceRoster& roster)
    : conninfo_(std::move(conninfo)), roster_(roster) {
  // The new thread inherits the mask: the broker's signals are the broker's.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { Run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

RegistryWatcher::~RegistryWatcher() {
  stopping_ = true;
  roster_.Wake();
  thread_.join();
}

void RegistryWatcher::Run() {
  while (!stopping_) {
    if ((connection_ == nullptr && !Connect()) || !LookUp()) {
      connection_.reset();
      std::this_thread::sleep_for(kRetryPause);
      continue;
    }
    TakeNotifications();
    std::this_thread::sleep_for(kMinPause);
    if (!behind_) Wait(kPollInterval);
    TakeNotifications();
  }
}

bool RegistryWatcher::Connect() {
  auto made = PgConnection::Connect(conninfo_, kConnectTimeout);
  if (!made.ok()) {
    if (!std::exchange(reported_down_, true)) {
      Report("the registry cannot be reached: " + made.error().Describe());
    }
    return false;
  }
  connection_ = std::move(*made);
  connection_->set_timeout(kQueryTimeout);
  if (auto listening = connection_->Exec("LISTEN sluice_revoked"); !listening.ok()) return false;
  connected_at_ = SystemClock().Monotonic();
  behind_ = true;
  return true;
}

bool RegistryWatcher::LookUp() {
  const int64_t started = SystemClock().Monotonic();
  const int64_t poll_us = std::chrono::microseconds(kPollInterval).count();
  const int64_t looked_up_before = behind_ ? connected_at_ : started - poll_us;
  const auto identities = roster_.TakeQuestions(kBatch, started, looked_up_before);
  behind_ = behind_ && identities.size() == kBatch;
  PgTextArray tenants;
  PgTextArray devices;
  for (const std::string_view identity : identities) {
    const size_t slash = identity.find('/');
    tenants.Add(identity.substr(0, slash));
    devices.Add(identity.substr(slash + 1));
  }
  // Asked even when there is nothing to ask: that is how a dead connection is noticed.
  auto rows = connection_->ExecParams(kSql, {tenants.Text(), devices.Text()});
  if (!rows.ok()) {
    roster_.GiveBack(identities);
    if (!std::exchange(reported_down_, true)) {
      Report("devices cannot be looked up: " + rows.error().Describe());
    }
    return false;
  }
  if (std::exchange(reported_down_, false)) Report("the registry answers again");
  std::vector<std::optional<DeviceFacts>> facts(identities.size());
  for (int row = 0; row < rows->size(); ++row) {
    facts[static_cast<size_t>(rows->Int(row, kOrd)) - 1] =
        DeviceFacts{.active = rows->Bool(row, kActive),
                    .certificates = FingerprintsFrom(rows->Text(row, kCertificates)),
                    .token_hash = DigestFromHex(rows->Text(row, kTokenHash))};
  }
  for (size_t i = 0; i < identities.size(); ++i) {
    roster_.Answer(identities[i], facts[i], started);
  }
  return true;
}

void RegistryWatcher::TakeNotifications() {
  PGconn* const native = connection_->native();
  // A failure here shows in the next query.
  if (native == nullptr || PQconsumeInput(native) == 0) return;
  while (PGnotify* const notification = PQnotifies(native)) {
    const std::string identity = notification->extra;
    PQfreemem(notification);
    if (ParseDeviceIdentity(identity)) {
      roster_.Revoke(identity);
    } else {
      Report("sluice_revoked says \"" + Escaped(identity) + "\", which is no tenant/device");
    }
  }
}

void RegistryWatcher::Wait(milliseconds limit) {
  PGconn* const native = connection_->native();
  std::array<pollfd, 2> watched = {
      pollfd{.fd = roster_.wake_fd(), .events = POLLIN, .revents = 0},
      pollfd{.fd = native == nullptr ? -1 : PQsocket(native), .events = POLLIN, .revents = 0}};
  (void)::poll(watched.data(), watched.size(), static_cast<int>(limit.count()));
}

void RegistryWatcher::Report(const std::string& what) {
  std::lock_guard lock(reports_mutex_);
  if (reports_.size() < kMaxReports) reports_.push_back(what);
}

std::vector<std::string> RegistryWatcher::TakeReports() {
  std::lock_guard lock(reports_mutex_);
  std::vector<std::string> taken(reports_.begin(), reports_.end());
  reports_.clear();
  return taken;
}

}  // namespace sluice
