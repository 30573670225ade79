#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "sinks/broker.h"

namespace clickmill::sinks {

/// Where fake brokers bring messages to; a test says what they acknowledge.
/// Thread: any; the mutex guards all.
class FakeTopic {
 public:
  struct Got {
    PartitionId partition;
    Offset offset;
    std::string key;
    std::string value;
  };
  std::vector<Got> got() const {
    const std::lock_guard lock(mutex_);
    return got_;
  }
  size_t count() const {
    const std::lock_guard lock(mutex_);
    return got_.size();
  }
  size_t opened() const {
    const std::lock_guard lock(mutex_);
    return opened_;
  }
  /// So many of the oldest that wait for an answer get none.
  void hold(size_t oldest) { change(hold_, oldest); }
  /// So many at most wait for an answer.
  void take_at_most(size_t room) { change(room_, room); }
  /// The next answer is a failure.
  void lose_one() { change(lose_, true); }
  void be_away(bool away) { change(away_, away); }

  Result<std::unique_ptr<Broker>> open();

 private:
  friend class FakeBroker;
  template <typename T>
  void change(T& what, T value) {
    const std::lock_guard lock(mutex_);
    what = value;
  }

  mutable std::mutex mutex_;
  std::vector<Got> got_;
  std::deque<void*> waiting_;
  size_t opened_ = 0;
  size_t hold_ = 0;
  size_t room_ = SIZE_MAX;
  bool lose_ = false;
  bool away_ = false;
};

class FakeBroker final : public Broker {
 public:
  explicit FakeBroker(FakeTopic& topic) : topic_(topic) {}
  ~FakeBroker() override {
    const std::lock_guard lock(topic_.mutex_);
    topic_.waiting_.clear();
  }
  FakeBroker(const FakeBroker&) = delete;
  FakeBroker& operator=(const FakeBroker&) = delete;

  Result<bool> send(const Message& message, void* ticket) override {
    const std::lock_guard lock(topic_.mutex_);
    if (topic_.waiting_.size() >= topic_.room_) return false;
    topic_.got_.push_back(
        {message.partition, message.offset, std::string(message.key), std::string(message.value)});
    topic_.waiting_.push_back(ticket);
    return true;
  }
  /// Newest first: acknowledgements come in any order.
  Status serve(int /*wait_ms*/, const Told& told) override {
    std::this_thread::yield();
    const std::lock_guard lock(topic_.mutex_);
    while (topic_.waiting_.size() > topic_.hold_) {
      void* const ticket = topic_.waiting_.back();
      topic_.waiting_.pop_back();
      told(ticket, std::exchange(topic_.lose_, false) ? "lost" : "");
    }
    return {};
  }
  size_t errors() const override { return 0; }
  std::string last_error() const override { return {}; }

 private:
  FakeTopic& topic_;
};

inline Result<std::unique_ptr<Broker>> FakeTopic::open() {
  const std::lock_guard lock(mutex_);
  ++opened_;
  if (away_) return Error(Errc::busy, "the broker is away");
  return std::unique_ptr<Broker>(std::make_unique<FakeBroker>(*this));
}

}  // namespace clickmill::sinks
