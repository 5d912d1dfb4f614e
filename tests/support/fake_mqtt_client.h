// FakeMqttClient: a broker's client that does what a test says and writes down what it was told.
#pragma once

#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "ingest/mqtt_client.h"

namespace sluice {

// What happened, as "connect", "subscribe a b", "unsubscribe", "disconnect", "end session"; Watch
// is only counted. Belongs to the test and outlives the client. Thread-safe.
class FakeBroker {
 public:
  // Says what becomes of the next Connect or Subscribe; without a word, all of them succeed.
  void NextConnect(Status status) { Push(&connects_, std::move(status)); }
  void NextSubscribe(Status status) { Push(&subscribes_, std::move(status)); }
  // What becomes of Watch, Unsubscribe and EndSession; without a word, all of them succeed.
  void NextWatch(Status status) { Push(&watches_, std::move(status)); }
  void NextUnsubscribe(Status status) { Push(&unsubscribes_, std::move(status)); }
  void NextEndSession(Status status) { Push(&ends_, std::move(status)); }
  // Runs during the next Subscribe, or Unsubscribe, that nothing runs during yet, before it is
  // answered.
  void DuringSubscribe(std::function<void()> action) {
    const std::lock_guard lock(mutex_);
    during_subscribe_.push_back(std::move(action));
  }
  void DuringUnsubscribe(std::function<void()> action) {
    const std::lock_guard lock(mutex_);
    during_unsubscribe_.push_back(std::move(action));
  }
  void SetSessionPresent(bool present) {
    const std::lock_guard lock(mutex_);
    session_present_ = present;
  }

  std::vector<std::string> calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  size_t Count(const std::string& call) const {
    const std::lock_guard lock(mutex_);
    size_t count = 0;
    for (const std::string& made : calls_) count += made == call ? 1 : 0;
    return count;
  }

  void Note(std::string call) {
    const std::lock_guard lock(mutex_);
    calls_.push_back(std::move(call));
  }
  Status TakeConnect() { return Take(&connects_); }
  Status TakeSubscribe() {
    RunNext(&during_subscribe_);
    return Take(&subscribes_);
  }
  Status TakeWatch() {
    {
      const std::lock_guard lock(mutex_);
      ++watched_;
    }
    return Take(&watches_);
  }
  size_t watches() const {
    const std::lock_guard lock(mutex_);
    return watched_;
  }
  Status TakeEndSession() { return Take(&ends_); }
  Status TakeUnsubscribe() {
    RunNext(&during_unsubscribe_);
    return Take(&unsubscribes_);
  }
  bool session_present() const {
    const std::lock_guard lock(mutex_);
    return session_present_;
  }

 private:
  void RunNext(std::deque<std::function<void()>>* actions) {
    std::function<void()> action;
    {
      const std::lock_guard lock(mutex_);
      if (actions->empty()) return;
      action = std::move(actions->front());
      actions->pop_front();
    }
    action();
  }
  void Push(std::deque<Status>* queue, Status status) {
    const std::lock_guard lock(mutex_);
    queue->push_back(std::move(status));
  }
  Status Take(std::deque<Status>* queue) {
    const std::lock_guard lock(mutex_);
    if (queue->empty()) return Status::Ok();
    Status status = std::move(queue->front());
    queue->pop_front();
    return status;
  }

  mutable std::mutex mutex_;
  std::vector<std::string> calls_;
  std::deque<Status> connects_;
  std::deque<Status> subscribes_;
  std::deque<Status> watches_;
  std::deque<Status> unsubscribes_;
  std::deque<Status> ends_;
  std::deque<std::function<void()>> during_subscribe_;
  std::deque<std::function<void()>> during_unsubscribe_;
  bool session_present_ = false;
  size_t watched_ = 0;
};

class FakeMqttClient final : public MqttClient {
 public:
  FakeMqttClient(FakeBroker& broker, MqttEvents& events) : broker_(broker), events_(events) {}

  Status Connect() override {
    broker_.Note("connect");
    if (Status status = broker_.TakeConnect(); !status.ok()) return status;
    events_.OnConnected(broker_.session_present());
    return Status::Ok();
  }
  Status Subscribe(const std::vector<std::string>& filters) override {
    std::string call = "subscribe";
    for (const std::string& filter : filters) call += " " + filter;
    broker_.Note(std::move(call));
    return broker_.TakeSubscribe();
  }
  Status Unsubscribe(const std::vector<std::string>& /*filters*/) override {
    broker_.Note("unsubscribe");
    return broker_.TakeUnsubscribe();
  }
  Status Watch(const std::string& /*topic*/) override { return broker_.TakeWatch(); }
  Status EndSession() override {
    broker_.Note("end session");
    return broker_.TakeEndSession();
  }
  void Disconnect() override { broker_.Note("disconnect"); }

 private:
  FakeBroker& broker_;
  MqttEvents& events_;
};

}  // namespace sluice
