#include "http/event_loop.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <stdexcept>
#include <string>
#include <thread>

namespace clickmill::http {
namespace {

/// One end of a pipe in a loop.
class Pipe final : public EventLoop::Source {
 public:
  explicit Pipe(EventLoop& loop) : loop_(loop) {
    REQUIRE(::pipe(ends_.data()) == 0);
    REQUIRE(loop.watch(ends_[0], EPOLLIN, *this));
  }
  ~Pipe() {
    loop_.unwatch(ends_[0], *this);
    for (const int end : ends_) ::close(end);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void write() const { REQUIRE(::write(ends_[1], "x", 1) == 1); }
  void on_events(uint32_t) override { on_ready(); }

  std::function<void()> on_ready;

 private:
  EventLoop& loop_;
  std::array<int, 2> ends_{};
};

}  // namespace

TEST_CASE("event loop: what many threads post runs, each thread's in its order", "[http]") {
  EventLoop loop;
  constexpr int kEach = 2'000;
  std::array<int, 4> next{};
  int wrong = 0;
  int done = 0;
  std::vector<std::thread> posters;
  for (size_t poster = 0; poster < next.size(); ++poster) {
    posters.emplace_back([&, poster] {
      for (int i = 0; i < kEach; ++i) {
        loop.post([&, poster, i] {
          wrong += next[poster]++ == i ? 0 : 1;
          if (++done == 4 * kEach) loop.stop();
        });
      }
    });
  }
  loop.run();
  for (auto& poster : posters) poster.join();
  CHECK(done == 4 * kEach);
  CHECK(wrong == 0);
}

TEST_CASE("event loop: who sleeps is woken, and told once for many wakes", "[http]") {
  EventLoop loop;
  int told = 0;
  loop.set_on_wake([&] {
    ++told;
    loop.stop();
  });
  std::thread waker([&] { loop.wake(); });
  loop.run();
  waker.join();
  CHECK(told == 1);
}

TEST_CASE("event loop: a source that another has ended hears nothing more", "[http]") {
  EventLoop loop;
  auto one = std::make_unique<Pipe>(loop);
  auto other = std::make_unique<Pipe>(loop);
  int heard = 0;
  const auto end = [&](std::unique_ptr<Pipe>& ended) {
    ++heard;
    ended.reset();
    loop.post([&] { loop.stop(); });
  };
  one->on_ready = [&] { end(other); };
  other->on_ready = [&] { end(one); };
  one->write();
  other->write();
  loop.run();
  CHECK(heard == 1);
}

TEST_CASE("event loop: what throws takes nobody's turn", "[http]") {
  EventLoop loop;
  std::string ran;
  loop.post([] { throw std::runtime_error("one"); });
  loop.post([&] { ran += "two "; });
  loop.after(std::chrono::milliseconds(0), [] { throw std::runtime_error("three"); });
  loop.after(std::chrono::milliseconds(1), [&] {
    ran += "four";
    loop.stop();
  });
  int thrown = 0;
  while (!loop.stopped()) {
    try {
      loop.run();
    } catch (const std::runtime_error&) {
      ++thrown;
    }
  }
  CHECK(thrown == 2);
  CHECK(ran == "two four");
}

TEST_CASE("event loop: timers run in the order of their times", "[http]") {
  EventLoop loop;
  std::string ran;
  loop.after(std::chrono::milliseconds(4), [&] {
    ran += "c";
    loop.stop();
  });
  loop.after(std::chrono::milliseconds(2), [&] { ran += "b"; });
  loop.after(std::chrono::milliseconds(0), [&] { ran += "a"; });
  loop.run();
  CHECK(ran == "abc");
}

}  // namespace clickmill::http
