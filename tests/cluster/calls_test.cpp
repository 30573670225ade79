// Goal: every question is answered exactly once, by the one it was put to and for the life that
// put it. Method: two Calls over a network of the test's.
#include "cluster/calls.h"

#include <catch2/catch.hpp>
#include <deque>

namespace clickmill::cluster {
namespace {

struct Wire final : peer::Transport {
  bool send(const std::string& to, peer::Lane, std::string frame) override {
    if (!up) return false;
    frames.emplace_back(to, std::move(frame));
    return true;
  }
  bool up = true;
  std::deque<std::pair<std::string, std::string>> frames;
};

struct Side {
  explicit Side(const Clock& clock, uint64_t life = 1) : calls(clock, life) {
    calls.send_through(wire);
  }
  void take_all_from(Side& other, const std::string& name) {
    while (!other.wire.frames.empty()) {
      calls.on_frame(name, other.wire.frames.front().second);
      other.wire.frames.pop_front();
    }
  }
  Wire wire;
  Calls calls;
};

TEST_CASE("calls: a question gets its answer, and an error as it was", "[cluster]") {
  ManualClock clock(0);
  Side asks(clock);
  Side serves(clock);
  serves.calls.serve(CallKind::batch,
                     [](const std::string& from, std::string_view question, Calls::Answer answer) {
                       if (question == "no") return answer(Error(Errc::not_leader, "not me"));
                       answer(from + std::string(question));
                     });
  std::vector<std::string> got;
  const auto note = [&got](const Result<std::string>& answer) {
    got.push_back(answer ? *answer : answer.error().text());
  };
  asks.calls.ask("n2", CallKind::batch, "yes", note);
  asks.calls.ask("n2", CallKind::batch, "no", note);
  asks.calls.ask("n2", CallKind::proposal, "x", note);
  serves.take_all_from(asks, "n1");
  asks.take_all_from(serves, "n2");
  CHECK(got == std::vector<std::string>{"n1yes", Error(Errc::not_leader, "not me").text(),
                                        Error(Errc::invalid,
                                              "a question that this node doesn't "
                                              "know")
                                            .text()});
}

TEST_CASE("calls: who is not reached, or silent, or gone, is told of once", "[cluster]") {
  ManualClock clock(0);
  Side asks(clock);
  std::vector<Errc> got;
  const auto note = [&got](const Result<std::string>& answer) {
    got.push_back(answer.error().code());
  };
  asks.wire.up = false;
  asks.calls.ask("n2", CallKind::batch, "", note);
  CHECK(got == std::vector{Errc::busy});
  asks.wire.up = true;
  asks.calls.ask("n2", CallKind::batch, "", note);
  asks.calls.ask("n3", CallKind::batch, "", note);
  asks.calls.on_link_down("n2");
  CHECK(got == std::vector{Errc::busy, Errc::io});
  clock.advance_ms(11'000);
  asks.calls.expire();
  asks.calls.expire();
  CHECK(got == std::vector{Errc::busy, Errc::io, Errc::io});
  asks.calls.ask("n2", CallKind::batch, "", note);
  asks.calls.stop();
  asks.calls.ask("n2", CallKind::batch, "", note);
  CHECK(got == std::vector{Errc::busy, Errc::io, Errc::io, Errc::io, Errc::closed});
}

// Seen: a node that had been killed took the answer to a batch of its last life for one to its
// first batch of this one, and let go of clicks that nobody had.
TEST_CASE("calls: an answer to a life before answers nothing", "[cluster]") {
  ManualClock clock(0);
  Side serves(clock);
  std::vector<Calls::Answer> late;
  serves.calls.serve(CallKind::batch,
                     [&late](const std::string&, std::string_view, Calls::Answer answer) {
                       late.push_back(std::move(answer));
                     });
  int answers = 0;
  {
    Side before(clock, 77);
    before.calls.ask("n2", CallKind::batch, "", [](const auto&) {});
    serves.take_all_from(before, "n1");
  }
  Side after(clock, 123'456);
  after.calls.ask("n2", CallKind::batch, "", [&answers](const auto&) { ++answers; });
  late.at(0)(std::string("committed"));
  after.take_all_from(serves, "n2");
  CHECK(answers == 0);
  // Nor does one that somebody else was asked for.
  serves.take_all_from(after, "n1");
  late.at(1)(std::string("committed"));
  after.calls.on_frame("n3", serves.wire.frames.front().second);
  CHECK(answers == 0);
  after.take_all_from(serves, "n2");
  CHECK(answers == 1);
}

TEST_CASE("calls: nonsense is passed over", "[cluster]") {
  ManualClock clock(0);
  Side side(clock);
  for (const char* frame : {"", "x", "12345678", "\0\0\0\0\0\0\0\0\0"})
    side.calls.on_frame("n2", frame);
  side.calls.on_frame("n2", std::string(9, '\0') + '\xff');
  side.calls.on_frame("n2", std::string(9, '\xff'));
  CHECK(side.wire.frames.empty());
}

}  // namespace
}  // namespace clickmill::cluster
