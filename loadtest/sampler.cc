#include "loadtest/sampler.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/clock.h"
#include "base/http_get.h"
#include "loadtest/process_cpu.h"

namespace sluice::loadtest {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLookForTraffic{10};

double Finished(const Scrape& scrape) {
  double sum = scrape.Value("sluice_stored_messages_total");
  for (const auto& [reason, count] :
       scrape.ByLabel("sluice_quarantined_messages_total", "reason")) {
    sum += count;
  }
  return sum;
}

}  // namespace

Sample SampleBetween(const Observation& before, const Observation& now) {
  const double seconds = static_cast<double>(now.at - before.at) / 1e6;
  Sample sample;
  sample.published = static_cast<double>(now.published - before.published) / seconds;
  // A daemon that has started again counts from 0.
  sample.finished = std::max(0.0, Finished(now.scrape) - Finished(before.scrape)) / seconds;
  sample.backlog = now.scrape.Value("sluice_spool_backlog_records");
  const char* const histogram = "sluice_publish_to_commit_seconds";
  const Buckets latency =
      Difference(now.scrape.Histogram(histogram), before.scrape.Histogram(histogram));
  sample.p50 = Quantile(latency, 0.5);
  sample.p99 = Quantile(latency, 0.99);
  for (const auto& [name, micros] : now.cpu_micros) {
    const auto was = before.cpu_micros.find(name);
    const bool grown = was != before.cpu_micros.end() && was->second <= micros;
    sample.cores[name] = grown ? static_cast<double>(micros - was->second) / 1e6 / seconds : 0;
  }
  return sample;
}

Sampler::Sampler(const SamplerOptions& options) : options_(options) {}

Sampler::~Sampler() {
  Stop();
}

void Sampler::Start() {
  thread_ = std::thread([this] { Run(); });
}

std::vector<Sample> Sampler::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  return std::move(samples_);
}

void Sampler::Run() {
  while (options_.progress != nullptr && options_.progress->published == 0) {
    if (StoppedBy(steady_clock::now() + kLookForTraffic)) return;
  }
  const Time started = steady_clock::now();
  Observation before = Observe({});
  const int64_t began = before.at;
  for (int64_t second = 1; !StoppedBy(started + std::chrono::seconds(second)); ++second) {
    Observation now = Observe(before);
    Sample sample = SampleBetween(before, now);
    sample.at = static_cast<double>(now.at - began) / 1e6;
    samples_.push_back(std::move(sample));
    before = std::move(now);
  }
}

Observation Sampler::Observe(const Observation& before) const {
  Observation now;
  if (!options_.metrics_url.empty()) {
    const Result<std::string> text = HttpGet(options_.metrics_url, "/metrics");
    now.scrape = text.ok() ? Scrape(*text) : before.scrape;
  }
  if (options_.progress != nullptr) now.published = options_.progress->published;
  now.at = SystemClock().Monotonic();
  if (!options_.pids.empty()) {
    const ProcessTree tree = ProcessTree::Read();
    for (const auto& [name, pid] : options_.pids) now.cpu_micros[name] = tree.CpuMicros(pid);
  }
  return now;
}

bool Sampler::StoppedBy(Time time) {
  std::unique_lock<std::mutex> lock(mutex_);
  return wake_.wait_until(lock, time, [this] { return stop_; });
}

}  // namespace sluice::loadtest
