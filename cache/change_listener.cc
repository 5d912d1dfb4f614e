#include "cache/change_listener.h"

#include <libpq-fe.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <random>
#include <utility>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::string_view kChannel = "sluice_changed";
constexpr std::string_view kDevice = "device ";

// Listening sends nothing; PostgreSQL 14 and later can cut who is silent.
constexpr const char* kNeverIdle =
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'; ";

// The triggers of 008_notify.sql that are there and not disabled.
constexpr const char* kCountTriggers =
    "; SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'sluice\\_changed%' "
    "AND tgenabled IN ('O', 'A') AND tgrelid IN (to_regclass('public.device_registry'), "
    "to_regclass('public.device_certificates'), to_regclass('public.subscriptions'), "
    "to_regclass('public.app_settings'))";
constexpr int64_t kTriggers = 13;

std::string RandomName() {
  std::random_device random;
  char text[64];
  std::snprintf(text, sizeof text, "sluice_heartbeat_%08x%08x", random(), random());
  return text;
}

PgError Because(std::string why) {
  return {"", std::move(why), "", true, false};
}

// What became of the statement sent last, as far as the server has answered.
PgStatus ResultOfLast(PGconn* native) {
  if (PQconsumeInput(native) == 0) return Because("the connection that sends was lost");
  while (PQisBusy(native) == 0) {
    const std::unique_ptr<PGresult, void (*)(PGresult*)> result(PQgetResult(native), PQclear);
    if (result == nullptr) return PgOk{};
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) {
      const std::string said = PQresultErrorMessage(result.get());
      return Because("no notification can be sent: " + said.substr(0, said.find('\n')));
    }
  }
  return Because("a notification could not be sent in time");
}

}  // namespace

ChangeListener::ChangeListener(ChangeListenerOptions options, ChangeEvents& events)
    : options_(std::move(options)),
      events_(events),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      backoff_(options_.retry_min, options_.retry_max) {}

ChangeListener::~ChangeListener() {
  Stop();
}

void ChangeListener::Start() {
  thread_ = std::thread([this] { Run(); });
}

void ChangeListener::Stop() {
  stopping_ = true;
  (void)::eventfd_write(wake_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

ChangeListenerStats ChangeListener::stats() const {
  return {.hearing = hearing_, .connects = connects_, .devices = devices_, .all = all_};
}

void ChangeListener::Run() {
  while (!stopping_) {
    const PgError why = Listen();
    connection_.reset();
    sender_.reset();
    hearing_ = false;
    if (stopping_) return;
    events_.Deaf(why.Describe());
    Wait(steady_clock::now() + backoff_.Next());
  }
}

PgError ChangeListener::Listen() {
  if (const PgStatus connected = Connect(); !connected.ok()) return connected.error();
  Time due = steady_clock::now();
  while (!stopping_) {
    const auto came = TakeNotifications();
    if (!came.ok()) return came.error().During("listening");
    if (const Time now = steady_clock::now(); now >= due && !*came) {
      const PgStatus sent = SendHeartbeat();
      if (!sent.ok()) return sent.error();
      due = now + options_.heartbeat;
    }
    Wait(due);
  }
  return Because("stopped");
}

PgStatus ChangeListener::Connect() {
  auto listening = PgConnection::Connect(options_.conninfo, options_.connect_timeout);
  if (!listening.ok()) return listening.error().During("connecting to listen");
  connection_ = std::move(*listening);
  connection_->set_timeout(options_.connect_timeout);
  auto sending = PgConnection::Connect(options_.sender_conninfo, options_.connect_timeout);
  if (!sending.ok()) return sending.error().During("connecting to send heartbeats");
  sender_ = std::move(*sending);

  heartbeats_ = RandomName();
  awaited_ = false;
  auto triggers = connection_->Exec(kNeverIdle + std::string("LISTEN ") + std::string(kChannel) +
                                    "; LISTEN " + heartbeats_ + kCountTriggers);
  if (!triggers.ok()) return triggers.error().During("listening");
  if (triggers->Int(0, 0) < kTriggers) {
    return Because(
        "triggers that tell of changes are missing or disabled (sluice migrate makes them)");
  }
  return PgOk{};
}

PgStatus ChangeListener::SendHeartbeat() {
  PGconn* const native = sender_->native();
  if (const PgStatus last = ResultOfLast(native); !last.ok()) return last;
  if (awaited_) return Because("a notification that was sent has not come in time");
  if (PQsendQuery(native, ("NOTIFY " + heartbeats_).c_str()) == 0 || PQflush(native) != 0) {
    return Because("no notification can be sent");
  }
  awaited_ = true;
  return PgOk{};
}

PgResult<bool> ChangeListener::TakeNotifications() {
  PGconn* const native = connection_->native();
  if (PQconsumeInput(native) == 0) return Because("the connection was lost");
  bool came = false;
  while (PGnotify* const notification = PQnotifies(native)) {
    came = true;
    Tell(notification->relname, notification->extra);
    PQfreemem(notification);
  }
  return came;
}

void ChangeListener::Tell(std::string_view channel, std::string_view payload) {
  if (channel == heartbeats_) {
    awaited_ = false;
    if (!hearing_) SetHearing();
    return;
  }
  if (payload == "settings") return events_.SettingsChanged();
  const size_t slash = payload.find('/');
  if (payload.starts_with(kDevice) && slash != std::string_view::npos) {
    ++devices_;
    const std::string_view tenant = payload.substr(0, slash).substr(kDevice.size());
    return events_.DeviceChanged({.tenant = tenant, .device = payload.substr(slash + 1)});
  }
  // "all", and what a later version may say.
  ++all_;
  events_.DevicesChanged();
}

void ChangeListener::SetHearing() {
  backoff_.Reset();
  ++connects_;
  ++all_;
  events_.Hearing();
  hearing_ = true;
}

void ChangeListener::Wait(Time until) {
  PGconn* const native = connection_ == nullptr ? nullptr : connection_->native();
  std::array<pollfd, 2> watched = {
      pollfd{.fd = wake_.get(), .events = POLLIN, .revents = 0},
      pollfd{.fd = native == nullptr ? -1 : PQsocket(native), .events = POLLIN, .revents = 0}};
  const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now()).count();
  (void)::poll(watched.data(), watched.size(),
               static_cast<int>(std::clamp<int64_t>(left, 0, 1'000'000'000)));
}

}  // namespace sluice
