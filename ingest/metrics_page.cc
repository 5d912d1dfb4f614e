#include "ingest/metrics_page.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>

#include <filesystem>
#include <utility>
#include <vector>

#include "ingest/process_usage.h"

namespace sluice {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<std::pair<std::string, std::string>>;

class Page {
 public:
  explicit Page(std::vector<MetricFamily> families) : families_(std::move(families)) {}

  // Begins a family; Value adds its series.
  Page& Counter(std::string name, std::string help) {
    families_.push_back({std::move(name), std::move(help), MetricType::Counter, {}});
    return *this;
  }
  Page& Gauge(std::string name, std::string help) {
    families_.push_back({std::move(name), std::move(help), MetricType::Gauge, {}});
    return *this;
  }
  template <typename Number>
  Page& Value(Number value, const Labels& labels = {}) {
    ClientMetric metric;
    for (const auto& [name, text] : labels) metric.label.push_back({name, text});
    const bool counter = families_.back().type == MetricType::Counter;
    (counter ? metric.counter.value : metric.gauge.value) = static_cast<double>(value);
    families_.back().metric.push_back(std::move(metric));
    return *this;
  }
  std::string Text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  std::vector<MetricFamily> families_;
};

void AddMessages(const Totals& totals, Page& page) {
  page.Counter("sluice_received_messages_total",
               "Messages taken from the broker, with what the spool held at the start.")
      .Value(totals.received);
  page.Counter("sluice_recovered_messages_total", "Of them, found in the spool at the start.")
      .Value(totals.recovered);
  page.Counter("sluice_stored_messages_total", "Messages whose rows are committed in telemetry.")
      .Value(totals.stored);
  page.Counter("sluice_stored_rows_total", "Rows committed in telemetry.").Value(totals.rows);
  page.Counter("sluice_quarantined_messages_total", "Messages not accepted, by reason.");
  for (size_t i = 0; i < kReasonCount; ++i) {
    page.Value(totals.by_reason[i], {{"reason", std::string(ReasonName(static_cast<Reason>(i)))}});
  }
  page.Counter("sluice_duplicate_messages_total",
               "Messages the broker sent again that were already in the spool.")
      .Value(totals.duplicates);
  page.Counter("sluice_damaged_records_total", "Spool records that could not be read back.")
      .Value(totals.damaged);
  page.Counter("sluice_ignored_messages_total",
               "Messages of other channels (commands, shadow, jobs); not part of received.")
      .Value(totals.ignored);
  const auto accounted =
      totals.stored + totals.quarantined + totals.duplicates + totals.spooled + totals.damaged;
  page.Gauge("sluice_accounting_gap_messages",
             "received - stored - quarantined - duplicates - spooled - damaged; always 0.")
      .Value(static_cast<double>(totals.received) - static_cast<double>(accounted));
  page.Gauge("sluice_last_commit_timestamp_seconds", "When the last chunk was committed; 0: never.")
      .Value(static_cast<double>(totals.last_commit) / 1e6);
}

void AddSpool(const SpoolStats& spool, Page& page) {
  page.Gauge("sluice_spool_backlog_records", "Messages in the spool that are not committed yet.")
      .Value(spool.backlog_records);
  page.Gauge("sluice_spool_backlog_bytes", "Bytes of them.").Value(spool.backlog_bytes);
  page.Gauge("sluice_spool_oldest_seconds", "Age of the oldest of them.")
      .Value(static_cast<double>(spool.oldest_age_us) / 1e6);
  page.Gauge("sluice_spool_behind_records",
             "Messages of a backlog that live traffic goes before; 0 when all go in one line.")
      .Value(spool.behind_records);
  page.Gauge("sluice_spool_disk_bytes", "Bytes of all segments on disk, the reserve included.")
      .Value(spool.disk_bytes);
  page.Gauge("sluice_spool_max_bytes", "SPOOL_MAX_BYTES: above it the spool is full.")
      .Value(spool.max_bytes);
  page.Gauge("sluice_forgotten_messages",
             "Committed before the start and not in the database any more: it was restored from an "
             "older backup. Held in the spool they are delivered again.")
      .Value(spool.forgotten_held, {{"spool", "held"}})
      .Value(spool.forgotten_gone, {{"spool", "gone"}});
  page.Gauge("sluice_spool_full", "1 while the spool is over its high-water mark.")
      .Value(spool.full ? 1 : 0);
}

void AddServers(const StatusView& status, Page& page) {
  const DatabaseState db = status.database.view().state;
  page.Gauge("sluice_database_up", "1 while PostgreSQL takes what it is given.")
      .Value(db == DatabaseState::kUp ? 1 : 0);
  page.Gauge("sluice_database_paused", "1 while PostgreSQL refuses and an operator must mend it.")
      .Value(db == DatabaseState::kPaused ? 1 : 0);
  page.Gauge("sluice_database_concern", "1 while PostgreSQL needs an operator's eye; see /ready.");
  const DatabaseHealth::Concerns concerns = status.database.concerns();
  for (size_t i = 0; i < concerns.size(); ++i) {
    page.Value(concerns[i].empty() ? 0 : 1,
               {{"concern", std::string(ConcernName(static_cast<Concern>(i)))}});
  }
  page.Gauge("sluice_mqtt_up", "1 while connected to the broker and subscribed.")
      .Value(status.subscriber.ready() ? 1 : 0);
  page.Counter("sluice_mqtt_connects_total", "Connections made to the broker.")
      .Value(status.subscriber.connects());
  if (const auto dropped = status.subscriber.broker_dropped()) {
    page.Gauge("sluice_broker_dropped_messages",
               "Messages the broker says it dropped since its start; must be 0.")
        .Value(*dropped);
  }
  page.Gauge("sluice_ready", "1 while a message would be taken and stored now.")
      .Value(status.ReasonsNotReady().empty() ? 1 : 0);
}

void AddDevices(const StatusView& status, Page& page) {
  const DirectoryStats devices = status.directory.stats();
  page.Gauge("sluice_cached_devices", "Devices in the cache.")
      .Value(devices.devices, {{"registered", "yes"}})
      .Value(devices.unknown, {{"registered", "no"}});
  page.Counter("sluice_cache_hits_total", "Look-ups the cache answered.").Value(devices.hits);
  page.Counter("sluice_cache_misses_total", "Devices that PostgreSQL was asked about.")
      .Value(devices.misses);
  page.Counter("sluice_cache_evictions_total", "Live entries pushed out for want of room.")
      .Value(devices.evictions);
  const ChangeListenerStats changes = status.listener.stats();
  page.Gauge("sluice_listener_up", "1 while PostgreSQL's word of changes is heard.")
      .Value(changes.hearing ? 1 : 0);
  page.Counter("sluice_listener_connects_total", "Connections on which it was heard.")
      .Value(changes.connects);
  page.Counter("sluice_cache_invalidations_total",
               "Times that a device, or all of them, were forgotten because of a change.")
      .Value(changes.devices, {{"scope", "device"}})
      .Value(changes.all, {{"scope", "all"}});
  page.Counter("sluice_registry_queries_total", "Queries these look-ups took.")
      .Value(devices.queries);
  page.Gauge("sluice_rate_limit_buckets", "Devices with a token bucket.")
      .Value(status.limiter.size());
  page.Counter("sluice_quarantine_withheld_total",
               "Rejected messages that flood control counted but did not keep whole.")
      .Value(status.flood.withheld());
}

void AddCertificates(const Housekeeper& housekeeper, Page& page) {
  if (const auto devices = housekeeper.expiring_devices()) {
    page.Gauge("sluice_expiring_devices",
               "Devices with an ACTIVE certificate of which none is good for another 14 days.")
        .Value(*devices);
  }
  const std::vector<PkiFile> files = housekeeper.pki_files();
  if (files.empty()) return;
  page.Gauge("sluice_pki_file_end_timestamp_seconds",
             "When the first certificate or revocation list in a file of PKI_WATCH_FILES ends; 0: "
             "the file cannot be read.");
  for (const PkiFile& file : files) {
    page.Value(static_cast<double>(file.end) / 1e6, {{"file", file.name}});
  }
}

void AddHttp(const HttpStats& http, Page& page) {
  page.Gauge("sluice_http_connections", "Clients of this page and its neighbours.")
      .Value(http.connections);
  page.Counter("sluice_http_closed_total",
               "Of them, closed without a whole answer: slow, with too large a request, or because "
               "there were too many.")
      .Value(http.slow, {{"cause", "slow"}})
      .Value(http.oversized, {{"cause", "oversized"}})
      .Value(http.crowded_out, {{"cause", "crowded_out"}});
}

// By the names that Prometheus' own libraries give them.
void AddProcess(Page& page) {
  const ProcessUsage used = UsedByProcess();
  page.Counter("process_cpu_seconds_total", "CPU time of user and system.").Value(used.cpu_seconds);
  page.Gauge("process_start_time_seconds", "When the process began.")
      .Value(static_cast<double>(used.started) / 1e6);
  page.Gauge("process_resident_memory_bytes", "Memory that is in use.").Value(used.resident_bytes);
  std::error_code error;
  const std::filesystem::directory_iterator descriptors("/proc/self/fd", error);
  page.Gauge("process_open_fds", "File descriptors that are open.")
      .Value(std::distance(begin(descriptors), end(descriptors)));
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  page.Gauge("process_max_fds", "File descriptors that may be.").Value(limit.rlim_cur);
}

// The two names of the old service, for its dashboards.
void AddOldNames(const Totals& totals, Page& page) {
  page.Counter("pulse_ingest_messages_total",
               "Old name: messages by tenant (of registered devices) and result.");
  for (const auto& [tenant, counts] : totals.tenants) {
    page.Value(counts.accepted, {{"tenant_id", tenant}, {"result", "accepted"}});
    page.Value(counts.rejected, {{"tenant_id", tenant}, {"result", "rejected"}});
  }
  page.Gauge("pulse_ingest_queue_depth", "Old name: sluice_spool_backlog_records.")
      .Value(totals.spooled);
}

}  // namespace

std::string RenderMetrics(const StatusView& status, const HttpStats& http,
                          const prometheus::Registry& registry) {
  Page page(registry.Collect());
  const Totals totals = status.accounting.Snapshot();
  page.Gauge("sluice_build_info", "1, with what runs here as labels.")
      .Value(1, {{"version", status.build.version}, {"commit", status.build.commit}});
  AddMessages(totals, page);
  AddSpool(status.spool.stats(), page);
  AddServers(status, page);
  AddDevices(status, page);
  AddCertificates(status.housekeeper, page);
  AddHttp(http, page);
  AddProcess(page);
  AddOldNames(totals, page);
  return page.Text();
}

}  // namespace sluice
