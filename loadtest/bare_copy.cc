#include "loadtest/bare_copy.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/pg_copy.h"
#include "base/postgres.h"

namespace sluice::loadtest {
namespace {

constexpr std::chrono::seconds kConnectPatience{10};
constexpr std::chrono::seconds kCopyPatience{120};
constexpr const char* kCopy =
    "COPY telemetry (time, tenant_id, device_id, site_id, msg_type, seq, metrics, received_at)"
    " FROM STDIN (FORMAT binary)";

// A sender and its metrics as they stand in its payload.
struct Source {
  Sender sender;
  std::string metrics;
};

std::vector<Source> Sources(const FleetShape& shape, const MessageOptions& options) {
  constexpr std::string_view kKey = "\"metrics\":";
  std::vector<Source> sources;
  const std::vector<Sender> senders = Senders(shape);
  for (size_t i = 0; i < static_cast<size_t>(shape.devices); ++i) {
    std::string packet;
    MessageTemplate(shape, options, senders[i], Kind::kGood)
        .Append(1, 1, FormatTime(0), false, &packet);
    const size_t begin = packet.find(kKey) + kKey.size();
    sources.push_back({senders[i], packet.substr(begin, packet.find('}', begin) + 1 - begin)});
  }
  return sources;
}

Status Failed(const PgError& error) {
  return {ErrorCode::kUnavailable, error.Describe()};
}

class Copier {
 public:
  Copier(const BareCopyOptions& options, const std::vector<Source>& sources, uint64_t rows)
      : options_(options), sources_(sources), rows_(rows) {}

  Status Run(const volatile std::sig_atomic_t* stop) {
    auto made = PgConnection::Connect(options_.database_url, kConnectPatience);
    if (!made.ok()) return Failed(made.error());
    (*made)->set_timeout(kCopyPatience);
    while (done_ < rows_) {
      if (*stop != 0) return {ErrorCode::kCancelled, "stopped"};
      Encode(std::min(options_.batch, rows_ - done_));
      if (const PgStatus status = Send(made->get()); !status.ok()) return Failed(status.error());
    }
    return Status::Ok();
  }

 private:
  void Encode(uint64_t rows) {
    bytes_.assign(kCopyHeader);
    CopyEncoder copy(&bytes_);
    const UnixMicros now = SystemClock().Now();
    for (const uint64_t end = done_ + rows; done_ < end; ++done_) {
      const Source& source = sources_[done_ % sources_.size()];
      copy.Tuple(8);
      copy.Timestamp(now);
      copy.Text(source.sender.tenant);
      copy.Text(source.sender.device);
      copy.Text(source.sender.site);
      copy.Text("telemetry");
      copy.Bigint(static_cast<int64_t>(done_ / sources_.size()) + 1);
      copy.Jsonb(source.metrics);
      copy.Timestamp(now);
    }
    bytes_.append(kCopyTrailer);
  }

  PgStatus Send(PgConnection* db) const {
    if (PgStatus status = db->CopyBegin(kCopy); !status.ok()) return status;
    if (PgStatus status = db->CopyPut(bytes_); !status.ok()) return status;
    const PgResult<int64_t> copied = db->CopyEnd();
    if (!copied.ok()) return copied.error();
    return PgOk{};
  }

  const BareCopyOptions& options_;
  const std::vector<Source>& sources_;
  const uint64_t rows_;
  uint64_t done_ = 0;
  std::string bytes_;
};

}  // namespace

Status RunBareCopy(const BareCopyOptions& options, const volatile std::sig_atomic_t* stop) {
  const std::vector<Source> sources = Sources(options.shape, options.message);
  const auto count = static_cast<uint64_t>(options.connections);
  std::vector<Status> ends(count);
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t rows = options.rows / count + (i < options.rows % count ? 1 : 0);
    threads.emplace_back([&, i, rows] { ends[i] = Copier(options, sources, rows).Run(stop); });
  }
  for (std::thread& thread : threads) thread.join();
  const auto failed =
      std::find_if(ends.begin(), ends.end(), [](const Status& end) { return !end.ok(); });
  return failed == ends.end() ? Status::Ok() : *failed;
}

}  // namespace sluice::loadtest
