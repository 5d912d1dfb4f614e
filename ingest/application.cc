#include "ingest/application.h"

#include <prometheus/registry.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <thread>
#include <vector>

#include "auth/registry_store.h"
#include "base/http_server.h"
#include "base/log.h"
#include "console/console.h"
#include "ingest/database_writer.h"
#include "ingest/descriptors.h"
#include "ingest/drained_mark.h"
#include "ingest/housekeeper.h"
#include "ingest/ledger.h"
#include "ingest/metrics_page.h"
#include "ingest/part_options.h"
#include "ingest/registry_changes.h"
#include "ingest/replayer.h"
#include "ingest/signals.h"
#include "ingest/status_view.h"
#include "ingest/worker.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

constexpr int kExitIoError = 74;  // EX_IOERR of sysexits.h
constexpr int kExitSecondSignal = 130;
constexpr milliseconds kTick{50};
constexpr milliseconds kMaintainEvery{500};
constexpr milliseconds kLongestNap{1000};  // of what must notice a stop

[[noreturn]] void FailStop(const Status& status) {
  LogError("spool_append_failed",
           {{"reason", status.message()}, {"action", "stopping; the broker will deliver again"}});
  _exit(kExitIoError);
}

// One worker's thread with what is its own.
class WorkerThread {
 public:
  WorkerThread(const Settings& s, Spool& spool, const PipelineShared& shared,
               Accounting& accounting, DatabaseHealth& health, StageMetrics& metrics)
      : session_(s.Conninfo(), s.pg_connect_timeout, s.write_timeout),
        store_(session_),
        writer_({.spool_id = spool.id(),
                 .max_quarantine_payload = s.quarantine_payload_max_bytes,
                 .counters = s.counters_enabled},
                session_, shared),
        worker_(WorkerOptionsFrom(s), spool, shared, store_, writer_, accounting, health, metrics,
                SystemClock()) {
    thread_ = std::jthread([this](const std::stop_token& stop) { worker_.Run(stop); });
  }
  void RequestStop() { thread_.request_stop(); }

 private:
  PgSession session_;
  RegistryStore store_;
  DatabaseWriter writer_;
  Worker worker_;
  std::jthread thread_;
};

ConsoleOptions ConsoleOptionsFrom(const Settings& s) {
  return {.enabled = s.console_enabled,
          .conninfo = s.Conninfo(),
          .connect_timeout = s.pg_connect_timeout,
          .admin_token = s.admin_token};
}

// Somebody waits for it, and a stop does.
Settings SettingsForConsole(Settings settings) {
  constexpr milliseconds kStatementTimeout{10'000};
  settings.write_timeout = std::min(settings.write_timeout, kStatementTimeout);
  return settings;
}

ReplayEnd ReplayForConsole(const Settings& settings, const QuarantineRequest& request,
                           const std::function<bool()>& go_on) {
  ReplayEnd end;
  ReplayQueue queue(request.filter, request.after);
  Replayer replayer(settings, queue, "console");
  if (const Status ready = replayer.Prepare(); !ready.ok()) {
    end.failure = ready.message();
    return end;
  }
  for (bool more = true; more && go_on();) {
    const auto stepped = replayer.Step();
    if (!stepped.ok()) end.failure = stepped.error().Describe();
    more = stepped.ok() && *stepped;
  }
  end.totals = replayer.totals();
  end.complete = end.failure.empty() && queue.empty();
  end.last = queue.last();
  return end;
}

class Daemon {
 public:
  // `drained`: the last one on this spool has left the broker for good.
  Daemon(const Settings& settings, const BuildInfo& build, StampKeyring& stamp_keys,
         std::unique_ptr<Spool> spool, bool drained)
      : settings_(settings),
        stamp_keys_(stamp_keys),
        spool_(std::move(spool)),
        accounting_(*spool_),
        directory_(DirectoryOptionsFrom(settings), SystemClock()),
        flood_({.per_device = settings.quarantine_per_device_per_minute,
                .total = settings.quarantine_per_minute}),
        stage_metrics_(registry_),
        shared_{PipelineOptionsFrom(settings), runtime_, directory_, limiter_, flood_, stamp_keys_},
        housekeeper_(settings, *spool_, runtime_, limiter_, health_, SystemClock()),
        changes_(directory_, housekeeper_, health_),
        listener_(ChangeListenerOptionsFrom(settings), changes_),
        subscriber_(
            SubscriberOptionsFrom(settings, !drained && spool_->stats().next_seq > 1),
            [&settings](MqttEvents& events) {
              return MakeMqttClient(MqttOptionsFrom(settings), events);
            },
            *spool_, accounting_, SystemClock(), FailStop),
        http_({.host = settings.http_host,
               .port = settings.http_port,
               .timeout = settings.http_timeout,
               .max_connections = static_cast<size_t>(settings.http_max_connections),
               .headers = ConsoleHeaders()}),
        status_{build,
                settings.service_name,
                settings.identity_mode,
                *spool_,
                accounting_,
                health_,
                subscriber_,
                directory_,
                listener_,
                limiter_,
                flood_,
                housekeeper_,
                phase_,
                draining_,
                SystemClock()},
        console_settings_(SettingsForConsole(settings)),
        console_(
            ConsoleOptionsFrom(settings),
            [this] {
              return StatusJson(status_, stage_metrics_.receive_to_commit(),
                                !settings_.admin_token.empty());
            },
            [this](const QuarantineRequest& request, const std::function<bool()>& go_on) {
              return ReplayForConsole(console_settings_, request, go_on);
            }) {
    ApplyAppSettings({}, settings, &runtime_);
  }

  Status Run() {
    if (Status status = ServeHttp(); !status.ok()) return status;
    if (PrepareOrSignal()) {
      StartWork();
      Supervise();
    }
    Stop();
    return Status::Ok();
  }

 private:
  Status ServeHttp() {
    http_.Get("/health", [this](const HttpRequest&) {
      return HttpResponse{200, "application/json", HealthJson(status_)};
    });
    http_.Get("/ready", [this](const HttpRequest&) {
      const auto reasons = status_.ReasonsNotReady();
      return HttpResponse{reasons.empty() ? 200 : 503, "application/json",
                          ReadyJson(status_, reasons)};
    });
    http_.Get("/metrics", [this](const HttpRequest&) {
      return HttpResponse{200, "text/plain; version=0.0.4; charset=utf-8",
                          RenderMetrics(status_, http_.stats(), registry_)};
    });
    console_.ServeOn(&http_);
    return http_.Start();
  }

  // What must be known before the first message is judged: what is committed, and the limits in
  // app_settings. False, with the reason in health_, to be tried again.
  bool Prepare(PgSession& session) {
    constexpr auto kWatcher = DatabaseHealth::Seen::kByWatcher;
    const auto committed = ReadLedger(session, spool_->id(), &health_);
    if (!committed.ok()) return false;
    if (const PgStatus read = housekeeper_.ReadAppSettings(); !read.ok()) {
      health_.Failed(kWatcher, read.error());
      return false;
    }
    spool_->SkipCommitted(*committed);
    health_.Succeeded(kWatcher);
    return true;
  }

  // On a thread of its own, so that a signal is heard while PostgreSQL is not. False when a signal
  // came first.
  bool PrepareOrSignal() {
    preparation_ = std::jthread([this](const std::stop_token& stop) {
      PgSession session(settings_.Conninfo(), settings_.pg_connect_timeout,
                        settings_.write_timeout);
      Backoff backoff(settings_.retry_min, settings_.retry_max);
      while (!stop.stop_requested()) {
        if (Prepare(session)) {
          prepared_ = true;
          return;
        }
        std::this_thread::sleep_for(std::min(backoff.Next(), kLongestNap));
      }
    });
    while (!prepared_) {
      if (!GoOn()) return false;
    }
    return true;
  }

  // Waits a tick; false when told to stop. Told to drain, it begins to and goes on.
  bool GoOn() {
    const Signal signal = signals_.Wait(kTick);
    if (signal == Signal::kDrain && !draining_.exchange(true)) {
      LogInfo("draining", {{"backlog", spool_->stats().backlog_records}});
      subscriber_.Leave();
    }
    if (signal == Signal::kReload) ReadStampKeys();
    return signal != Signal::kStop;
  }

  void ReadStampKeys() {
    if (settings_.stamp_key_file.empty()) {
      LogInfo("reload_ignored", {{"reason", "STAMP_KEY_FILE is not set"}});
      return;
    }
    if (const Status read = stamp_keys_.Load(settings_.stamp_key_file); !read.ok()) {
      LogError("stamp_keys_refused",
               {{"reason", read.message()}, {"action", "the keys read before stay in force"}});
      return;
    }
    LogInfo("stamp_keys_read", {{"keys", stamp_keys_.keys()->count()}});
  }

  // Nothing is left at the broker, and nothing in the spool.
  bool Drained() const {
    return draining_ && subscriber_.left() && spool_->stats().backlog_records == 0;
  }

  void StartWork() {
    accounting_.Begin();
    listener_.Start();
    for (int64_t i = 0; i < settings_.ingest_worker_count; ++i) {
      workers_.push_back(std::make_unique<WorkerThread>(settings_, *spool_, shared_, accounting_,
                                                        health_, stage_metrics_));
    }
    housekeeper_.Start();
    HoldBackWhenFull();
    subscriber_.Start();
    phase_ = Phase::kWorking;
    LogInfo("ingest_started", {{"version", status_.build.version},
                               {"commit", status_.build.commit},
                               {"spool_id", spool_->id()},
                               {"recovered", accounting_.Snapshot().recovered},
                               {"http_port", http_.port()}});
  }

  void Supervise() {
    int64_t maintained = 0;
    int64_t said = SystemClock().Monotonic();
    while (!Drained() && GoOn()) {
      const int64_t now = SystemClock().Monotonic();
      if (now - maintained >= std::chrono::microseconds(kMaintainEvery).count()) {
        maintained = now;
        spool_->Maintain();
        StopIfSpaceIsBack();
      }
      StopIfTheDiskIsBroken();
      HoldBackWhenFull();
      if (now - said >= std::chrono::microseconds(settings_.log_stats_every).count()) {
        said = now;
        LogInfo("stats", {{"accounting", accounting_.Snapshot().Line()}});
      }
    }
  }

  // What was acknowledged since the last good sync may be gone; more must not follow. A full disk
  // is no reason: the backlog can still be written, and that makes room.
  void StopIfTheDiskIsBroken() {
    const Status failure = spool_->failure();
    if (!failure.ok() && failure.code() == ErrorCode::kIo) FailStop(failure);
  }

  // A writer that has failed for want of space stays so; a new process starts with a new one.
  void StopIfSpaceIsBack() {
    const Status failure = spool_->failure();
    if (failure.ok() || spool_->stats().full) return;
    FailStop(failure);
  }

  void HoldBackWhenFull() {
    const bool full = spool_->stats().full;
    if (full == held_back_) return;
    held_back_ = full;
    if (full) {
      LogError("spool_full", {{"reason", spool_->stats().problem},
                              {"action", "disconnecting; the broker keeps what comes"}});
      subscriber_.Pause();
    } else {
      LogInfo("spool_has_room");
      subscriber_.Resume();
    }
  }

  // In reverse of the start. What is not committed when the time is up stays in the spool.
  void Stop() {
    const int64_t deadline =
        SystemClock().Monotonic() + std::chrono::microseconds(settings_.drain).count();
    // Workers that wait for PostgreSQL get the last quarter to notice that it is over.
    const int64_t patience = deadline - std::chrono::microseconds(settings_.drain).count() / 4;
    phase_ = Phase::kStopping;
    LogInfo("stopping", {{"backlog", spool_->stats().backlog_records}});
    SignalWaiter::ExitOnNext(kExitSecondSignal);
    ExitIfStuck stuck(deadline, [this] { SayTotals(); });
    console_.RequestStop();
    preparation_ = {};  // asks it to stop and waits
    subscriber_.Stop();
    while (!workers_.empty() && spool_->stats().backlog_records > 0 &&
           SystemClock().Monotonic() < patience) {
      std::this_thread::sleep_for(kTick);
    }
    spool_->Stop();
    for (auto& worker : workers_) worker->RequestStop();
    workers_.clear();
    housekeeper_.Stop();
    listener_.Stop();
    console_.Stop();
    http_.Stop();
    spool_->Maintain();
    stuck.Disarm();
    if (Drained()) MarkDrained();
    SayTotals();
  }

  void MarkDrained() {
    const Status marked = WriteDrainedMark(settings_.spool_dir, accounting_.Snapshot().Line());
    if (!marked.ok()) LogError("drained_mark_failed", {{"reason", marked.message()}});
  }

  // The last words; also said when a part does not stop in time and the process ends around it.
  void SayTotals() {
    const Totals totals = accounting_.Snapshot();
    LogInfo("stopped", {{"balances", totals.Balances()}});
    std::printf("%s\n", totals.Line().c_str());
    std::fflush(stdout);
  }

  const Settings& settings_;
  StampKeyring& stamp_keys_;
  SignalWaiter signals_;
  std::unique_ptr<Spool> spool_;
  Accounting accounting_;
  RuntimeSettings runtime_;
  DeviceDirectory directory_;
  RateLimiter limiter_;
  FloodControl flood_;
  DatabaseHealth health_;
  prometheus::Registry registry_;
  StageMetrics stage_metrics_;
  const PipelineShared shared_;
  Housekeeper housekeeper_;
  RegistryChanges changes_;
  ChangeListener listener_;
  Subscriber subscriber_;
  std::vector<std::unique_ptr<WorkerThread>> workers_;
  std::atomic<Phase> phase_{Phase::kStarting};
  std::atomic<bool> draining_{false};
  bool held_back_ = false;
  std::atomic<bool> prepared_{false};
  std::jthread preparation_;
  HttpServer http_;
  const StatusView status_;
  const Settings console_settings_;
  Console console_;
};

void WarnAboutTrust(const Settings& s) {
  if (s.identity_mode == IdentityMode::kTopic) {
    LogWarning("identity_from_topic", {{"meaning", kTopicModeMeans}});
  }
  if (!s.require_token && !s.cert_auth_enabled) {
    LogWarning("no_proof_required",
               {{"meaning",
                 "REQUIRE_TOKEN=0 and CERT_AUTH_ENABLED=0: messages are accepted "
                 "without any proof of who sent them"}});
  }
}

}  // namespace

Status RunIngest(const Settings& settings, const BuildInfo& build) {
  ConfigureLog(settings.log_level, settings.log_format, settings.service_name);
  SignalWaiter::BlockSignals();
  WarnAboutTrust(settings);
  StampKeyring stamp_keys;
  if (!settings.stamp_key_file.empty()) {
    if (Status status = stamp_keys.Load(settings.stamp_key_file); !status.ok()) return status;
  }
  if (Status status = EnsureDescriptors(DescriptorsNeeded(settings)); !status.ok()) return status;
  auto spool = Spool::Open(SpoolOptionsFrom(settings), SystemFileSystem(), SystemClock());
  if (!spool.ok()) return spool.status();
  const bool drained = ReadDrainedMark(settings.spool_dir).ok();
  if (Status status = RemoveDrainedMark(settings.spool_dir); !status.ok()) return status;
  Daemon daemon(settings, build, stamp_keys, std::move(*spool), drained);
  return daemon.Run();
}

}  // namespace sluice
