#include "cluster/worker.h"

#include <catch2/catch.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "base/wakes.h"

namespace clickmill::cluster {
namespace {

/// Counts, and lets another thread wait for a count.
class Count {
 public:
  void add() {
    const std::lock_guard lock(mutex_);
    ++value_;
    changed_.notify_all();
  }
  void wait_for(int value) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return value_ >= value; });
  }
  int value() {
    const std::lock_guard lock(mutex_);
    return value_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int value_ = 0;
};

}  // namespace

TEST_CASE("worker: what is asked for soon doesn't wait for the period", "[cluster]") {
  Count idle;
  Count soon;
  Worker worker("worker-test");
  worker.set_soon([&] { soon.add(); });
  // Before there is a thread, too.
  worker.soon();
  worker.start(
      [&] {
        idle.add();
        return false;
      },
      std::chrono::hours(1));
  soon.wait_for(1);
  for (int i = 2; i < 10; ++i) {
    worker.soon();
    soon.wait_for(i);
  }
  idle.wait_for(1);
  worker.stop();
  CHECK(idle.value() == 1);
}

TEST_CASE("worker: who must try again doesn't wait for the period", "[cluster]") {
  Count tries;
  Worker worker("worker-test");
  worker.set_soon([&] {
    tries.add();
    if (tries.value() < 5) worker.soon_again();
  });
  worker.soon();
  worker.start([] { return false; }, std::chrono::hours(1));
  tries.wait_for(5);
  worker.stop();
  CHECK(tries.value() == 5);
}

TEST_CASE("worker: who is told something in a turn is woken once, at its end", "[cluster]") {
  struct Woken final : Sleeper {
    void wake() override { times.add(); }
    Count times;
  };
  const auto woken = std::make_shared<Woken>();
  Count holds;
  Count goes_on;
  int within_the_turn = 0;
  Worker worker("worker-test");
  worker.start([] { return false; }, std::chrono::hours(1));
  // Until all of the next turn waits.
  worker.post([&] {
    holds.add();
    goes_on.wait_for(1);
  });
  holds.wait_for(1);
  for (int i = 0; i < 10; ++i) {
    worker.post([&] {
      LaterWakes::wake(woken);
      within_the_turn += woken->times.value();
    });
  }
  goes_on.add();
  woken->times.wait_for(1);
  worker.stop();
  CHECK(within_the_turn == 0);
  CHECK(woken->times.value() == 1);
}

TEST_CASE("worker: what comes while turns keep their distance is done, and before the end",
          "[cluster]") {
  Count done;
  Worker worker("worker-test");
  worker.start([] { return false; }, std::chrono::hours(1));
  for (int i = 1; i <= 200; ++i) {
    worker.post([&] { done.add(); });
    // Every other one alone in its turn.
    if (i % 2 == 0) done.wait_for(i);
  }
  worker.post([&] { done.add(); });
  worker.stop();
  CHECK(done.value() == 201);
}

TEST_CASE("worker: what is asked for soon is done once for all who asked", "[cluster]") {
  int done = 0;
  Worker worker("worker-test");
  worker.set_soon([&] { ++done; });
  for (int i = 0; i < 5; ++i) worker.soon();
  CHECK(done == 0);
  worker.step(100);
  CHECK(done == 1);
  worker.step(100);
  CHECK(done == 1);
  worker.soon();
  worker.step(100);
  CHECK(done == 2);
}

}  // namespace clickmill::cluster
