#include "cluster/worker.h"

#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>

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
