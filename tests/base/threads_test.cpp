#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <thread>

#include "base/mailbox.h"
#include "base/node_clock.h"
#include "base/task_pool.h"
#include "base/wakes.h"

namespace clickmill {
namespace {

constexpr auto kFar = std::chrono::hours(1);
auto far_off() { return std::chrono::steady_clock::now() + kFar; }

}  // namespace

TEST_CASE("mailbox: a full one refuses, and what must go in still goes in", "[base]") {
  Mailbox<int> mailbox(2);
  CHECK(mailbox.try_push(1));
  CHECK(mailbox.try_push(2));
  CHECK_FALSE(mailbox.try_push(3));
  CHECK(mailbox.push_always(4));
  std::vector<int> taken;
  CHECK(mailbox.take(taken, far_off()));
  CHECK(taken == std::vector<int>{1, 2, 4});
  CHECK(mailbox.try_push(5));
}

TEST_CASE("mailbox: after close what waits is still taken, then it is over", "[base]") {
  Mailbox<int> mailbox(2);
  CHECK(mailbox.try_push(1));
  mailbox.close();
  CHECK_FALSE(mailbox.try_push(2));
  CHECK_FALSE(mailbox.push_always(3));
  std::vector<int> taken;
  CHECK(mailbox.take(taken, far_off()));
  CHECK(taken == std::vector<int>{1});
  CHECK_FALSE(mailbox.take(taken, far_off()));
}

TEST_CASE("mailbox: many senders, one taker, nothing lost and each sender's order kept", "[base]") {
  Mailbox<std::pair<int, int>> mailbox(1 << 20);
  std::vector<std::thread> senders;
  std::atomic<int> refused{0};
  for (int sender = 0; sender < 4; ++sender) {
    senders.emplace_back([&, sender] {
      for (int i = 0; i < 5'000; ++i) refused += mailbox.try_push({sender, i}) ? 0 : 1;
    });
  }
  std::vector<int> next(4, 0);
  bool in_order = true;
  std::vector<std::pair<int, int>> taken;
  for (int count = 0; count < 20'000;) {
    mailbox.take(taken, far_off());
    count += static_cast<int>(taken.size());
    for (const auto& [sender, number] : taken) {
      in_order = in_order && next[static_cast<size_t>(sender)]++ == number;
    }
  }
  for (std::thread& thread : senders) thread.join();
  CHECK(refused == 0);
  CHECK(in_order);
}

TEST_CASE("task pool: what was taken is run before stop returns; a full queue refuses", "[base]") {
  std::atomic<int> ran{0};
  std::atomic<bool> started{false};
  std::atomic<bool> go{false};
  TaskPool pool("pool", 1, 3);
  // One task that holds the only thread, so that the queue's length is known.
  REQUIRE(pool.submit([&] {
    started = true;
    started.notify_one();
    go.wait(false);
  }));
  started.wait(false);
  for (int i = 0; i < 3; ++i) REQUIRE(pool.submit([&] { ++ran; }, TaskPool::AtStop::run));
  CHECK_FALSE(pool.submit([&] { ++ran; }));
  go = true;
  go.notify_one();
  pool.stop();
  CHECK(ran == 3);
  CHECK_FALSE(pool.submit([&] { ++ran; }));
}

TEST_CASE("task pool: stop forgets what waits, but for what asked to be run", "[base]") {
  std::atomic<bool> started{false};
  std::atomic<bool> go{false};
  std::atomic<int> ran{0};
  TaskPool pool("pool", 1, 3);
  REQUIRE(pool.submit([&] {
    started = true;
    started.notify_one();
    go.wait(false);
  }));
  started.wait(false);
  // The thread goes on once the last forgotten task is gone, thus not before the stop.
  std::shared_ptr<void> forgotten(nullptr, [&](void*) {
    go = true;
    go.notify_one();
  });
  REQUIRE(pool.submit([&ran, forgotten] { ran += 10; }));
  REQUIRE(pool.submit([&ran] { ran += 100; }, TaskPool::AtStop::run));
  REQUIRE(pool.submit([&ran, forgotten] { ran += 10; }));
  forgotten.reset();
  pool.stop();
  CHECK(ran == 100);
}

TEST_CASE("node clock: time never goes back, and starts no earlier than it is raised to",
          "[base]") {
  ManualClock wall(1'000'000);
  NodeClock clock(wall);
  CHECK(clock.now() == ArrivalMs(1'000'000));
  wall.set_wall_ms(900'000);
  CHECK(clock.now() == ArrivalMs(1'000'000));
  clock.raise(ArrivalMs(1'000'500));
  CHECK(clock.now() == ArrivalMs(1'000'500));
  clock.raise(ArrivalMs(5));
  CHECK(clock.now() == ArrivalMs(1'000'500));
  wall.set_wall_ms(1'000'501);
  CHECK(clock.now() == ArrivalMs(1'000'501));
}

namespace {

struct CountedSleeper final : Sleeper {
  void wake() override { ++woken; }
  int woken = 0;
};

}  // namespace

TEST_CASE("later wakes: each sleeper is woken once, at the end of the outermost", "[base]") {
  const auto one = std::make_shared<CountedSleeper>();
  const auto other = std::make_shared<CountedSleeper>();
  {
    const LaterWakes outer;
    LaterWakes::wake(one);
    {
      const LaterWakes inner;
      LaterWakes::wake(one);
      LaterWakes::wake(other);
    }
    CHECK(one->woken == 0);
    CHECK(other->woken == 0);
  }
  CHECK(one->woken == 1);
  CHECK(other->woken == 1);
  LaterWakes::wake(one);
  CHECK(one->woken == 2);
}

TEST_CASE("mailbox: what is sent under later wakes is taken at their end", "[base]") {
  Mailbox<int> mailbox(10);
  std::vector<int> taken;
  std::thread taker([&] {
    std::vector<int> some;
    while (taken.size() < 3 && mailbox.take(some, far_off()))
      taken.insert(taken.end(), some.begin(), some.end());
  });
  {
    const LaterWakes at_the_end;
    for (int i = 0; i < 3; ++i) CHECK(mailbox.push_always(std::move(i)));
  }
  taker.join();
  CHECK(taken.size() == 3);
}

}  // namespace clickmill
