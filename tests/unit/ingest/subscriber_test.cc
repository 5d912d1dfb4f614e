#include "ingest/subscriber.h"

#include <gmock/gmock.h>

#include <future>
#include <thread>

#include "tests/support/fake_mqtt_client.h"
#include "tests/support/ingest_fixture.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr char kDropped[] = "$SYS/broker/publish/messages/dropped";
constexpr char kSubscribe[] = "subscribe a/+ b/+";

TEST(SharedFilters, PutTheGroupInFrontOfEveryTopic) {
  EXPECT_THAT(SharedFilters({"a/+", "b/#"}, "gate"),
              ElementsAre("$share/gate/a/+", "$share/gate/b/#"));
  EXPECT_THAT(SharedFilters({"a/+", "b/#"}, ""), ElementsAre("a/+", "b/#"));
}

class SubscriberTest : public testing::Test {
 protected:
  SubscriberTest() {
    subscriber_ = std::make_unique<Subscriber>(
        SubscriberOptions{.filters = {"a/+", "b/+"},
                          .reconnect_min = std::chrono::milliseconds(2),
                          .reconnect_max = std::chrono::milliseconds(4)},
        [this](MqttEvents& events) {
          events_ = &events;
          return std::make_unique<FakeMqttClient>(broker_, events);
        },
        *spool_.spool, accounting_, clock_,
        [this](const Status& status) { failures_.push_back(status.message()); });
    broker_.SetSessionPresent(true);
  }

  void StartAndWait() {
    subscriber_->Start();
    ASSERT_TRUE(Soon([this] { return subscriber_->ready(); }));
  }
  // Cuts the connection and waits for the next one.
  void Reconnect() {
    const uint64_t before = subscriber_->connects();
    events_->OnConnectionLost("cut");
    ASSERT_TRUE(Soon([&] { return subscriber_->connects() > before && subscriber_->ready(); }));
  }
  void Deliver(const std::string& payload, bool duplicate = false,
               const std::string& topic = kTopic) {
    const ArrivedMessage message = {
        .topic = topic, .payload = payload, .stamp = "mark", .duplicate = duplicate};
    events_->OnMessages({&message, 1});
  }
  uint64_t Spooled() { return accounting_.Snapshot().spooled; }

  FakeClock clock_;
  TestSpool spool_;
  Accounting accounting_{*spool_.spool};
  FakeBroker broker_;
  std::vector<std::string> failures_;
  MqttEvents* events_ = nullptr;
  std::unique_ptr<Subscriber> subscriber_;
};

TEST_F(SubscriberTest, IsNotReadyBeforeItIsSubscribed) {
  EXPECT_FALSE(subscriber_->ready());
  EXPECT_EQ(subscriber_->problem(), "not connected yet");
  StartAndWait();
  EXPECT_EQ(subscriber_->problem(), "");
  EXPECT_EQ(subscriber_->connects(), 1U);
  EXPECT_THAT(broker_.calls(), ElementsAre("connect", kSubscribe));
}

TEST_F(SubscriberTest, PutsWhatComesIntoTheSpool) {
  StartAndWait();
  Deliver("payload");
  const auto chunk = spool_.Next();
  ASSERT_THAT(chunk->records, SizeIs(1));
  EXPECT_EQ(chunk->records[0].topic, kTopic);
  EXPECT_EQ(chunk->records[0].payload, "payload");
  EXPECT_EQ(chunk->records[0].stamp, "mark");
  EXPECT_EQ(chunk->records[0].received, clock_.Now());
}

TEST_F(SubscriberTest, SubscribesAfterEveryConnectAlsoWhenTheSessionIsPresent) {
  StartAndWait();
  broker_.SetSessionPresent(true);
  Reconnect();
  EXPECT_THAT(broker_.calls(), ElementsAre("connect", kSubscribe, "connect", kSubscribe));
}

TEST_F(SubscriberTest, KeepsTryingUntilTheBrokerTakesIt) {
  for (int i = 0; i < 5; ++i) broker_.NextConnect({ErrorCode::kUnavailable, "nobody there"});
  StartAndWait();
  EXPECT_EQ(broker_.Count("connect"), 6U);
  EXPECT_EQ(subscriber_->connects(), 1U);
}

TEST_F(SubscriberTest, SaysWhyItCannotConnect) {
  for (int i = 0; i < 10'000; ++i) broker_.NextConnect({ErrorCode::kUnavailable, "nobody there"});
  subscriber_->Start();
  EXPECT_TRUE(Soon([this] { return subscriber_->problem() == "nobody there"; }));
  EXPECT_FALSE(subscriber_->ready());
  subscriber_->Stop();
}

TEST_F(SubscriberTest, LeavesAndComesAgainWhenTheSubscriptionIsRefused) {
  broker_.NextSubscribe({ErrorCode::kRejected, "not allowed"});
  StartAndWait();
  EXPECT_THAT(broker_.calls(),
              ElementsAre("connect", kSubscribe, "disconnect", "connect", kSubscribe));
}

TEST_F(SubscriberTest, IsNotReadyFromTheMomentTheConnectionIsLost) {
  StartAndWait();
  for (int i = 0; i < 10'000; ++i) broker_.NextConnect({ErrorCode::kUnavailable, "nobody there"});
  events_->OnConnectionLost("cut");
  EXPECT_FALSE(subscriber_->ready());
  EXPECT_TRUE(Soon([this] { return subscriber_->problem() == "nobody there"; }));
  EXPECT_EQ(broker_.Count("disconnect"), 0U) << "there is nothing left to disconnect";
}

TEST_F(SubscriberTest, IsReadyOnceTheKeptSessionDeliversThoughSubscribeIsNotAnswered) {
  std::promise<void> asked;
  std::promise<void> answer;
  broker_.DuringSubscribe([&] {
    asked.set_value();
    answer.get_future().wait();
  });
  subscriber_->Start();
  asked.get_future().wait();
  EXPECT_FALSE(subscriber_->ready());
  EXPECT_THAT(subscriber_->problem(), HasSubstr("waiting for the answer to SUBSCRIBE"));
  Deliver(kGood);
  EXPECT_TRUE(subscriber_->ready());
  events_->OnConnectionLost("cut");
  EXPECT_FALSE(subscriber_->ready());
  answer.set_value();
  EXPECT_TRUE(Soon([&] { return subscriber_->ready(); }));
}

TEST_F(SubscriberTest, StaysAwayWhilePausedAndComesBack) {
  StartAndWait();
  subscriber_->Pause();
  ASSERT_TRUE(Soon([this] { return broker_.Count("disconnect") == 1; }));
  ASSERT_TRUE(Soon([this] { return subscriber_->problem() == "paused: the spool is full"; }));
  EXPECT_FALSE(subscriber_->ready());
  EXPECT_EQ(broker_.Count("connect"), 1U);
  subscriber_->Resume();
  ASSERT_TRUE(Soon([this] { return subscriber_->ready(); }));
  EXPECT_THAT(broker_.calls(),
              ElementsAre("connect", kSubscribe, "disconnect", "connect", kSubscribe));
}

TEST_F(SubscriberTest, PausedBeforeTheStartDoesNotConnect) {
  subscriber_->Pause();
  subscriber_->Start();
  ASSERT_TRUE(Soon([this] { return subscriber_->problem() == "paused: the spool is full"; }));
  EXPECT_THAT(broker_.calls(), IsEmpty());
}

TEST_F(SubscriberTest, DisconnectsAndStaysAwayWhenStopped) {
  StartAndWait();
  subscriber_->Stop();
  EXPECT_THAT(broker_.calls(), ElementsAre("connect", kSubscribe, "disconnect"));
  EXPECT_FALSE(subscriber_->ready());
  EXPECT_EQ(subscriber_->problem(), "stopped");
}

TEST_F(SubscriberTest, StopsWhilePausedOrBeforeItEverStarted) {
  subscriber_->Pause();
  subscriber_->Start();
  subscriber_->Stop();
  subscriber_->Stop();
  EXPECT_THAT(broker_.calls(), IsEmpty());
}

TEST_F(SubscriberTest, StopsTheProcessWhenAMessageCannotBeMadeDurable) {
  StartAndWait();
  spool_.disk.FailWrites(true);
  Deliver("payload");
  EXPECT_THAT(failures_, ElementsAre(HasSubstr("Input/output error")));
  EXPECT_EQ(Spooled(), 0U);
  EXPECT_TRUE(accounting_.Snapshot().Balances());
}

TEST_F(SubscriberTest, IgnoresAndCountsOtherChannels) {
  StartAndWait();
  Deliver("x", false, "tenant/orchard/device/probe-7/commands");
  Deliver("x", false, "tenant/orchard/device/probe-7/shadow/reported");
  EXPECT_EQ(accounting_.Snapshot().ignored, 2U);
  EXPECT_EQ(accounting_.Snapshot().received, 0U);
  Deliver("x", false, "nonsense");
  EXPECT_EQ(Spooled(), 1U) << "a bad topic is for the quarantine";
}

TEST_F(SubscriberTest, CountsWhatAKeptSessionDeliversAgain) {
  StartAndWait();
  Deliver("one");
  Deliver("one", true);
  EXPECT_EQ(Spooled(), 2U) << "within one connection nothing comes again";
  broker_.SetSessionPresent(true);
  Reconnect();
  Deliver("one", true);
  EXPECT_EQ(Spooled(), 2U);
  EXPECT_EQ(accounting_.Snapshot().duplicates, 1U);
  EXPECT_TRUE(accounting_.Snapshot().Balances());
}

TEST_F(SubscriberTest, LeavesAfterTwoSilentRoundTripsAndEndsTheSession) {
  StartAndWait();
  subscriber_->Leave();
  ASSERT_TRUE(Soon([this] { return subscriber_->left(); }));
  subscriber_->Stop();
  EXPECT_THAT(broker_.calls(),
              ElementsAre("connect", kSubscribe, "unsubscribe", "unsubscribe", "end session"));
  EXPECT_FALSE(subscriber_->ready());
  EXPECT_EQ(subscriber_->problem(), "left for good");
}

TEST_F(SubscriberTest, ARoundTripThatBringsAMessageDoesNotCountAsSilent) {
  StartAndWait();
  broker_.DuringUnsubscribe([this] { Deliver("queued 1"); });
  broker_.DuringUnsubscribe([] {});
  broker_.DuringUnsubscribe([this] { Deliver("queued 2"); });
  subscriber_->Leave();
  ASSERT_TRUE(Soon([this] { return subscriber_->left(); }));
  EXPECT_EQ(broker_.Count("unsubscribe"), 5U) << "queued, silent, queued, silent, silent";
  EXPECT_EQ(Spooled(), 2U);
}

TEST_F(SubscriberTest, TheBrokersOwnFigureDoesNotDelayTheLeave) {
  StartAndWait();
  for (int i = 0; i < 2; ++i) {
    broker_.DuringUnsubscribe([this] { Deliver("0", false, kDropped); });
  }
  subscriber_->Leave();
  ASSERT_TRUE(Soon([this] { return subscriber_->left(); }));
  EXPECT_EQ(broker_.Count("unsubscribe"), 2U);
}

TEST_F(SubscriberTest, ALateAnswerBehindMessagesKeepsTheConnectionWhileItLeaves) {
  StartAndWait();
  broker_.DuringUnsubscribe([this] { Deliver("queued"); });
  broker_.NextUnsubscribe({ErrorCode::kUnavailable, "no answer in time"});
  subscriber_->Leave();
  ASSERT_TRUE(Soon([this] { return subscriber_->left(); }));
  EXPECT_EQ(broker_.Count("connect"), 1U);
  EXPECT_EQ(broker_.Count("unsubscribe"), 3U);
}

TEST_F(SubscriberTest, ConnectsAgainWithoutSubscribingWhenTheConnectionIsLostWhileItLeaves) {
  StartAndWait();
  broker_.SetSessionPresent(true);
  broker_.DuringUnsubscribe([] {});
  broker_.DuringUnsubscribe([this] { events_->OnConnectionLost("cut"); });
  broker_.NextUnsubscribe(Status::Ok());
  broker_.NextUnsubscribe({ErrorCode::kUnavailable, "cut"});
  subscriber_->Leave();
  ASSERT_TRUE(Soon([this] { return subscriber_->left(); }));
  EXPECT_THAT(broker_.calls(), ElementsAre("connect", kSubscribe, "unsubscribe", "unsubscribe",
                                           "connect", "unsubscribe", "unsubscribe", "end session"))
      << "silence counts from the new connection on";
}

TEST_F(SubscriberTest, TriesAgainWhenTheUnsubscribeIsRefusedOrTheSessionDoesNotEnd) {
  StartAndWait();
  broker_.NextUnsubscribe({ErrorCode::kRejected, "no"});
  broker_.NextEndSession({ErrorCode::kUnavailable, "did not end"});
  subscriber_->Leave();
  ASSERT_TRUE(Soon([this] { return subscriber_->left(); }));
  EXPECT_THAT(broker_.calls(),
              ElementsAre("connect", kSubscribe, "unsubscribe", "disconnect", "connect",
                          "unsubscribe", "unsubscribe", "end session", "disconnect", "connect",
                          "unsubscribe", "unsubscribe", "end session"));
}

TEST_F(SubscriberTest, ToldToLeaveWhilePausedItTakesTheQueueOnceItMay) {
  StartAndWait();
  subscriber_->Pause();
  ASSERT_TRUE(Soon([this] { return broker_.Count("disconnect") == 1; }));
  subscriber_->Leave();
  EXPECT_FALSE(subscriber_->left());
  subscriber_->Resume();
  ASSERT_TRUE(Soon([this] { return subscriber_->left(); }));
  EXPECT_THAT(broker_.calls(), ElementsAre("connect", kSubscribe, "disconnect", "connect",
                                           "unsubscribe", "unsubscribe", "end session"));
}

TEST_F(SubscriberTest, ToldToLeaveBeforeTheStartItNeverSubscribes) {
  subscriber_->Leave();
  subscriber_->Start();
  ASSERT_TRUE(Soon([this] { return subscriber_->left(); }));
  EXPECT_THAT(broker_.calls(), ElementsAre("connect", "unsubscribe", "unsubscribe", "end session"));
}

TEST_F(SubscriberTest, AStopWhileItLeavesKeepsTheSession) {
  StartAndWait();
  std::promise<void> told;
  std::promise<void> go;
  broker_.DuringUnsubscribe([&] {
    told.set_value();
    go.get_future().wait();
    Deliver("queued");
  });
  subscriber_->Leave();
  told.get_future().wait();
  std::thread stopping([this] { subscriber_->Stop(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  go.set_value();
  stopping.join();
  EXPECT_FALSE(subscriber_->left());
  EXPECT_EQ(broker_.Count("end session"), 0U);
  EXPECT_EQ(broker_.Count("disconnect"), 1U);
}

TEST_F(SubscriberTest, KnowsWhatTheBrokerDroppedOnceItSaysSo) {
  StartAndWait();
  EXPECT_EQ(subscriber_->broker_dropped(), std::nullopt);
  for (const char* nonsense : {"", "-1", "7 messages", "99999999999999999999"}) {
    Deliver(nonsense, false, kDropped);
    EXPECT_EQ(subscriber_->broker_dropped(), std::nullopt) << nonsense;
  }
  Deliver("7", false, kDropped);
  EXPECT_EQ(subscriber_->broker_dropped(), 7U);
  Deliver("0", false, kDropped);
  EXPECT_EQ(subscriber_->broker_dropped(), 0U) << "the broker was started anew";
  EXPECT_EQ(accounting_.Snapshot().received, 0U);
  EXPECT_EQ(accounting_.Snapshot().ignored, 0U);
}

TEST_F(SubscriberTest, WarnsWhenTheBrokerDropsMore) {
  StartAndWait();
  testing::internal::CaptureStderr();
  for (const char* figure : {"0", "3", "3", "0", "0"}) Deliver(figure, false, kDropped);
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("broker_dropped_messages"));
  EXPECT_EQ(log.find("broker_dropped_messages"), log.rfind("broker_dropped_messages"));
}

TEST_F(SubscriberTest, ABrokerThatHidesItsFigureIsGoodEnoughAndAskedOnce) {
  broker_.NextWatch({ErrorCode::kRejected, "not allowed"});
  StartAndWait();
  Reconnect();
  EXPECT_EQ(broker_.watches(), 1U);
}

TEST_F(SubscriberTest, ABrokerThatFailsOverItsFigureIsAskedThreeTimes) {
  for (int i = 0; i < 3; ++i) broker_.NextWatch({ErrorCode::kUnavailable, "cut"});
  StartAndWait();
  for (int i = 0; i < 4; ++i) Reconnect();
  EXPECT_EQ(broker_.watches(), 3U);
}

TEST_F(SubscriberTest, SaysWhenTheBrokerHasLostTheSession) {
  broker_.SetSessionPresent(false);
  testing::internal::CaptureStderr();
  StartAndWait();
  EXPECT_THAT(testing::internal::GetCapturedStderr(), Not(HasSubstr("mqtt_session_lost")));
  testing::internal::CaptureStderr();
  Reconnect();
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("mqtt_session_lost"));
  broker_.SetSessionPresent(true);
  testing::internal::CaptureStderr();
  Reconnect();
  EXPECT_THAT(testing::internal::GetCapturedStderr(), Not(HasSubstr("mqtt_session_lost")));
}

TEST_F(SubscriberTest, TellsEqualMessagesApartByThePacketId) {
  StartAndWait();
  const auto deliver = [this](uint16_t packet_id, bool duplicate) {
    const ArrivedMessage message = {.topic = kTopic,
                                    .payload = "on",
                                    .stamp = {},
                                    .duplicate = duplicate,
                                    .packet_id = packet_id};
    events_->OnMessages({&message, 1});
  };
  deliver(1, false);
  broker_.SetSessionPresent(true);
  Reconnect();
  deliver(1, true);
  deliver(2, true);
  EXPECT_EQ(Spooled(), 2U);
  EXPECT_EQ(accounting_.Snapshot().duplicates, 1U);
}

TEST_F(SubscriberTest, TakesNothingForADuplicateAfterTheSessionWasLost) {
  StartAndWait();
  Deliver("one");
  broker_.SetSessionPresent(false);
  Reconnect();
  Deliver("one", true);
  EXPECT_EQ(Spooled(), 2U);
  EXPECT_EQ(accounting_.Snapshot().duplicates, 0U);
}

}  // namespace
}  // namespace sluice
