#include "loadtest/sampler.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace sluice::loadtest {
namespace {

TEST(SampleBetween, DividesWhatWasCountedByTheTimeItTook) {
  const Observation before{.at = 1'000'000,
                           .published = 100,
                           .scrape = Scrape("sluice_stored_messages_total 10\n"
                                            "sluice_quarantined_messages_total{reason=\"A\"} 1\n"),
                           .cpu_micros = {{"broker", 500'000}}};
  const Observation now{
      .at = 3'000'000,
      .published = 500,
      .scrape = Scrape("sluice_stored_messages_total 30\n"
                       "sluice_quarantined_messages_total{reason=\"A\"} 3\n"
                       "sluice_quarantined_messages_total{reason=\"B\"} 4\n"
                       "sluice_spool_backlog_records 12\n"
                       "sluice_publish_to_commit_seconds_bucket{le=\"0.01\"} 10\n"
                       "sluice_publish_to_commit_seconds_bucket{le=\"+Inf\"} 10\n"),
      .cpu_micros = {{"broker", 1'500'000}, {"late", 900'000}}};
  const Sample sample = SampleBetween(before, now);
  EXPECT_DOUBLE_EQ(sample.published, 200);
  EXPECT_DOUBLE_EQ(sample.finished, 13);
  EXPECT_DOUBLE_EQ(sample.backlog, 12);
  EXPECT_DOUBLE_EQ(sample.p50, 0.005);
  EXPECT_DOUBLE_EQ(sample.cores.at("broker"), 0.5);
  EXPECT_DOUBLE_EQ(sample.cores.at("late"), 0);
}

TEST(SampleBetween, TakesADaemonThatBeganAnewForOneThatHasFinishedNothing) {
  const Observation before{.at = 0, .scrape = Scrape("sluice_stored_messages_total 1000\n")};
  const Observation now{.at = 1'000'000, .scrape = Scrape("sluice_stored_messages_total 7\n")};
  const Sample sample = SampleBetween(before, now);
  EXPECT_DOUBLE_EQ(sample.finished, 0);
  EXPECT_DOUBLE_EQ(sample.p99, -1);
}

TEST(Sampler, HasNoSampleBeforeTheFirstMessage) {
  FleetProgress progress;
  Sampler sampler({.metrics_url = "", .pids = {{"self", ::getpid()}}, .progress = &progress});
  sampler.Start();
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  EXPECT_TRUE(sampler.Stop().empty());
}

TEST(Sampler, TakesASampleASecond) {
  FleetProgress progress;
  progress.published = 1;
  Sampler sampler({.metrics_url = "", .pids = {{"self", ::getpid()}}, .progress = &progress});
  sampler.Start();
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  const std::vector<Sample> samples = sampler.Stop();
  ASSERT_FALSE(samples.empty());
  EXPECT_GE(samples[0].at, 1);
  EXPECT_EQ(samples[0].cores.count("self"), 1U);
}

}  // namespace
}  // namespace sluice::loadtest
