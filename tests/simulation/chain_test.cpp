// Goal: invariants 1 to 3 of the whole way of a click on one node. Every click that
// was acknowledged ends exactly once as counted or in review; received = counted +
// duplicate + review; the stream agrees with a naive reader of the log; whatever is
// killed, cut off, fails or fills. Method: random runs of Chain, whose fault model
// stands there; and the same runs of deliberately broken chains, each of which has
// to be caught, so that the checks are known to notice.

#include "simulation/chain.h"

#include <catch2/catch.hpp>

namespace clickmill::simulation {
namespace {

constexpr int64_t kHour = kHourMs;

/// What a run does, beside clicks, deaths and failing syncs.
struct Plan {
  bool long_outages = false;  ///< hours without commits
  bool disk_fills = false;
  Break broken{};
};

/// One random run; what was found wrong, or nothing.
class Run {
 public:
  Run(uint64_t seed, const Plan& plan)
      : random_(seed), plan_(plan), chain_(seed, options_of(seed, plan)) {}

  std::optional<std::string> go() {
    if (auto problem = chain_.open()) return problem;
    for (int step = 0; step < 250; ++step) {
      if (auto problem = one_step()) return problem;
    }
    return finish();
  }
  Chain& chain() { return chain_; }
  bool has_waited() const { return waited_; }

 private:
  static Chain::Options options_of(uint64_t seed, const Plan& plan) {
    Chain::Options options;
    options.spool_memory_bytes = seed % 2 == 0 ? 2000 : 1 << 20;
    options.broken = plan.broken;
    if (plan.disk_fills) options.reserve_bytes = 16 * (64 << 10);
    if (plan.disk_fills) options.buffer_bytes = 40'000;
    return options;
  }

  std::optional<std::string> one_step() {
    waited_ |= chain_.clicks_wait();
    switch (random_.below(16)) {
      case 0:
      case 1:
      case 2:
      case 3: send(); break;
      case 4:
      case 5: chain_.pump(); break;
      case 6:
      case 7: chain_.run_worker(1 + random_.below(6)); break;
      case 8:
      case 9: chain_.maintain(); break;
      case 10: chain_.run_background(1 + random_.below(2)); break;
      case 11: let_time_pass(); break;
      case 12: toggle_outage(); break;
      case 13: toggle_disk(); break;
      case 14:
        if (random_.one_in(4)) chain_.files().fail_sync_after(1 + random_.below(4));
        // The power goes in the middle of whatever comes then.
        if (random_.one_in(6)) chain_.files().crash_at_operation(1 + random_.below(12));
        break;
      default:
        if (random_.one_in(4)) return die();
        break;
    }
    // A journal whose disk fails waits for a restart here; a checkpoint that failed is made again.
    if (chain_.files().crashed() || chain_.journal_fails()) return die();
    if (auto failed = chain_.failure()) return failed;
    return chain_.check_tallies();
  }

  void send() {
    const uint64_t count = random_.one_in(5) ? random_.below(30) : 1;
    for (uint64_t i = 0; i < count; ++i) {
      // Now and then a client sends a click again.
      const uint64_t identity = next_ > 0 && random_.one_in(6)
                                    ? next_ - 1 - random_.below(std::min<uint64_t>(next_, 20))
                                    : next_++;
      const int64_t off =
          random_.one_in(10) ? static_cast<int64_t>(random_.below(600'000)) - 400'000 : 0;
      chain_.send_click(identity, off, random_.one_in(3) ? log::Lane::bulk : log::Lane::redirects);
    }
  }

  void let_time_pass() {
    chain_.clock.advance_ms(static_cast<int64_t>(random_.below(2000)));
    if (plan_.long_outages && random_.one_in(4)) {
      chain_.clock.advance_ms(static_cast<int64_t>(random_.below(2 * kHour)));
    }
  }

  void toggle_outage() {
    if (random_.one_in(plan_.long_outages ? 3 : 6)) outage_ = !outage_;
    chain_.set_outage(outage_);
  }

  void toggle_disk() {
    if (!plan_.disk_fills || !random_.one_in(3)) return;
    full_ = !full_;
    const auto space = chain_.files().space("/");
    const uint64_t used = space->total_bytes - space->free_bytes;
    chain_.files().set_capacity_bytes(full_ ? used + (17 + random_.below(3)) * (64 << 10)
                                            : uint64_t{1} << 40);
  }

  std::optional<std::string> die(bool with_clicks = true) {
    chain_.die(random_.one_in(2));
    if (auto problem = chain_.begin()) return problem;
    // People don't wait until the rest has been read.
    if (with_clicks && random_.one_in(2)) send();
    if (random_.one_in(2)) chain_.pump();
    return chain_.recover();
  }

  /// Everything works again: what is held must arrive.
  std::optional<std::string> finish() {
    chain_.files().fail_sync_after(0);
    chain_.files().crash_at_operation(0);
    chain_.files().set_capacity_bytes(uint64_t{1} << 40);
    chain_.set_outage(false);
    if (random_.one_in(2)) {
      if (auto problem = die()) return problem;
    }
    if (!chain_.settle()) return chain_.failure().value_or("clicks stay in the spool");
    if (auto problem = chain_.check_at_the_end()) return problem;
    if (auto problem = chain_.check_journal_shrinks()) return problem;
    // A replay from the last checkpoint comes to the same.
    const stream::Tally before = chain_.total();
    if (auto problem = die(false)) return problem;
    if (!chain_.settle()) return chain_.failure().value_or("clicks stay in the spool");
    if (chain_.total().received != before.received) return "a restart changed what was received";
    return chain_.check_at_the_end();
  }

  Random random_;
  const Plan plan_;
  Chain chain_;
  uint64_t next_ = 0;
  bool outage_ = false;
  bool full_ = false;
  bool waited_ = false;
};

void check_runs(const Plan& plan, uint64_t runs) {
  uint64_t acknowledged = 0;
  uint64_t waited = 0;
  for (uint64_t seed = 0; seed < runs; ++seed) {
    Run run(seed, plan);
    const auto problem = run.go();
    CAPTURE(seed, problem.value_or(""));
    REQUIRE_FALSE(problem);
    acknowledged += run.chain().acknowledged();
    waited += run.has_waited() ? 1 : 0;
  }
  CHECK(acknowledged > 50 * runs);
  if (plan.disk_fills) CHECK(waited > runs / 4);
}

/// A broken chain must be found out within so many runs.
void check_is_caught(const Plan& plan, uint64_t runs) {
  for (uint64_t seed = 0; seed < runs; ++seed) {
    if (Run(seed, plan).go()) return;
  }
  FAIL("not caught within " << runs << " runs");
}

TEST_CASE("chain: every acknowledged click ends exactly once, through kills and power losses",
          "[simulation]") {
  check_runs({}, 150);
}

TEST_CASE("chain: ... through hours without a leader", "[simulation]") {
  check_runs({.long_outages = true}, 100);
}

TEST_CASE("chain: ... on a disk that fills and empties", "[simulation]") {
  check_runs({.disk_fills = true}, 100);
}

TEST_CASE("chain: an answer before the sync is caught", "[simulation]") {
  check_is_caught({.broken = {.answer_when_written = true}}, 100);
}

TEST_CASE("chain: a trim before the commit is caught", "[simulation]") {
  check_is_caught({.broken = {.commit_when_sent = true}}, 100);
}

TEST_CASE("chain: a low-water ahead of the clicks held is caught", "[simulation]") {
  check_is_caught({.long_outages = true, .broken = {.low_water_is_now = true}}, 100);
}

TEST_CASE("chain: a resend that doesn't say so is caught", "[simulation]") {
  check_is_caught({.broken = {.never_again = true}}, 100);
}

TEST_CASE("chain: a journal file freed too early is caught", "[simulation]") {
  check_is_caught({.broken = {.free_at_once = true}}, 100);
}

// An hour of outage, time-scaled: commits are refused while clicks keep coming.
TEST_CASE("chain: hours of outage are caught up while new clicks flow", "[simulation]") {
  constexpr int64_t kStepMs = 2'000;
  Chain chain(7, {.spool_memory_bytes = 32 << 10});
  REQUIRE_FALSE(chain.open());
  uint64_t next = 0;
  const auto run_for = [&](int64_t ms) {
    for (int64_t at = 0; at < ms; at += kStepMs) {
      chain.send_click(next++, 0, log::Lane::redirects);
      chain.pump();
      while (chain.run_worker(100)) chain.pump();
      chain.run_background(1);
      chain.clock.advance_ms(kStepMs);
      chain.maintain();
    }
  };
  run_for(10 * kMinuteMs);
  CHECK(chain.held_clicks() < 5);
  const int64_t begin_ms = chain.clock.wall_ms();
  chain.set_outage(true);
  run_for(3 * kHour);
  CHECK(chain.held_clicks() > 5000);
  CHECK(chain.spool_memory() < 64 << 10);
  for (size_t i = 0; i < 3; ++i) {
    // Low-waters hold T back, so that ids are kept for what stands in the spool.
    CHECK(chain.partition(i).pipeline().horizon().stale_before().value() <= begin_ms);
    CHECK(chain.partition(i).pipeline().horizon().log_time().value() > begin_ms + 2 * kHour);
  }
  chain.set_outage(false);
  run_for(2 * kMinuteMs);
  CHECK(chain.held_clicks() < 5);
  REQUIRE(chain.settle());
  CHECK(chain.check_at_the_end().value_or("") == "");
  CHECK(chain.acknowledged() == next);
  CHECK(chain.total().counted == next);
  run_for(2 * kMinuteMs);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(chain.partition(i).pipeline().horizon().stale_before().value() > begin_ms);
  }
}

}  // namespace
}  // namespace clickmill::simulation
