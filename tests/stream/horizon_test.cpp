// T and F alone, then whole histories of senders, outages and copies on virtual
// time, judged by what DESIGN promises of them (not by how the stream does it).

#include "stream/horizon.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "stream/stream_fixture.h"

namespace clickmill::stream {
namespace {

constexpr int64_t kStaleAfter = 72;

/// An entry of this log time, told by these nodes.
void step(Horizon& horizon, int64_t append_ms,
          const std::vector<std::pair<std::string, int64_t>>& low_waters) {
  horizon.advance(LogMs(append_ms));
  for (const auto& [node, low_water] : low_waters) horizon.tell(node, ArrivalMs(low_water));
  horizon.settle(24, kStaleAfter);
}

}  // namespace

TEST_CASE("horizon: T is the lowest low-water less ten minutes, cut to its hour", "[stream]") {
  Horizon horizon;
  const int64_t hour = floor_to(kStart, kHourMs);
  step(horizon, hour + 9 * kMinuteMs + 59'999, {{"n1", kStart + kHourMs}});
  REQUIRE(horizon.stale_before() == ArrivalMs(hour - kHourMs));
  step(horizon, hour + 10 * kMinuteMs, {{"n1", kStart + kHourMs}});
  REQUIRE(horizon.stale_before() == ArrivalMs(hour));
  REQUIRE(horizon.first_kept_hour() == LogHour(hour / kHourMs - 24));
  step(horizon, hour + 5 * kHourMs, {{"n2", hour + 2 * kHourMs + 10 * kMinuteMs - 1}});
  REQUIRE(horizon.stale_before() == ArrivalMs(hour));  // n1 has said nothing newer yet
  step(horizon, hour + 5 * kHourMs, {{"n1", hour + 5 * kHourMs}});
  REQUIRE(horizon.stale_before() == ArrivalMs(hour + kHourMs));
}

TEST_CASE("horizon: neither T nor F ever falls", "[stream]") {
  Horizon horizon;
  step(horizon, kStart + kHourMs, {{"n1", kStart + kHourMs}});
  const auto t = horizon.stale_before();
  const auto first_hour = horizon.first_kept_hour();
  step(horizon, kStart + kHourMs, {{"n2", 0}});
  horizon.settle(200, kStaleAfter);
  REQUIRE(horizon.stale_before() == t);
  REQUIRE(horizon.first_kept_hour() == first_hour);
}

TEST_CASE("horizon: set back, it is as if log time had never been above that", "[stream]") {
  Horizon right;
  const int64_t hour = floor_to(kStart, kHourMs) + kHourMs / 2;
  step(right, hour, {{"n1", hour - 5000}});
  Horizon ahead = right;
  step(ahead, hour + 400 * kDayMs, {{"n1", hour + 400 * kDayMs}});
  ahead.set_back(LogMs(hour + 5000), 24, kStaleAfter);
  step(right, hour + 5000, {{"n1", hour + 5000}});
  REQUIRE(ahead.log_time() == right.log_time());
  REQUIRE(ahead.stale_before() == right.stale_before());
  REQUIRE(ahead.first_kept_hour() == right.first_kept_hour());
  REQUIRE(ahead.low_water(kStaleAfter) == right.low_water(kStaleAfter));
  // What a spool still holds keeps holding it back, and once more changes nothing.
  Horizon held;
  step(held, hour - 50 * kHourMs, {{"n1", hour - 50 * kHourMs}});
  step(held, hour + 9 * kHourMs, {});
  const auto t = held.stale_before();
  held.set_back(LogMs(hour), 24, kStaleAfter);
  REQUIRE(held.stale_before() == t);
  Horizon twice = held;
  twice.set_back(LogMs(hour), 24, kStaleAfter);
  REQUIRE(twice == held);
}

TEST_CASE("horizon: a low-water above log time counts as log time", "[stream]") {
  Horizon horizon;
  step(horizon, kStart, {{"n1", kStart + 100 * kHourMs}});
  step(horizon, kStart + 10 * kHourMs, {});
  REQUIRE(horizon.low_water(kStaleAfter) == ArrivalMs(kStart));
}

TEST_CASE("horizon: a node named by settings holds T from then on, unheard", "[stream]") {
  Horizon horizon;
  step(horizon, kStart, {{"n1", kStart}});
  horizon.name("n2");
  step(horizon, kStart + 3 * kHourMs, {{"n1", kStart + 3 * kHourMs}});
  REQUIRE(horizon.low_water(kStaleAfter) == ArrivalMs(kStart));
  horizon.name("n2");  // named again: nothing new
  REQUIRE(horizon.low_water(kStaleAfter) == ArrivalMs(kStart));
}

TEST_CASE("horizon: a node silent for stale_after_hours of log time holds T no longer",
          "[stream]") {
  Horizon horizon;
  step(horizon, kStart, {{"n1", kStart}, {"n2", kStart}});
  int64_t now = kStart;
  for (int64_t minute = 1; minute < kStaleAfter * 60; ++minute) {
    now += kMinuteMs;
    step(horizon, now, {{"n1", now}});
  }
  REQUIRE(horizon.low_water(kStaleAfter) == ArrivalMs(kStart));
  now += kMinuteMs;
  step(horizon, now, {{"n1", now}});
  REQUIRE(horizon.low_water(kStaleAfter) == ArrivalMs(now));
  // It speaks again: T stays, but goes no further than what n2 still holds.
  const auto t = horizon.stale_before();
  step(horizon, now + 2 * kHourMs, {{"n1", now + 2 * kHourMs}, {"n2", kStart + 5}});
  REQUIRE(horizon.stale_before() == t);
}

TEST_CASE("horizon: a jump of log time is a minute of silence", "[stream]") {
  Horizon horizon;
  step(horizon, kStart, {{"n1", kStart}, {"n2", kStart}});
  step(horizon, kStart + 1000 * kHourMs, {{"n1", kStart + 1000 * kHourMs}});
  REQUIRE(horizon.low_water(kStaleAfter) == ArrivalMs(kStart));
}

TEST_CASE("horizon: a node no longer named is forgotten once it is silent", "[stream]") {
  Horizon horizon;
  step(horizon, kStart, {{"n1", kStart}, {"n2", kStart}});
  horizon.keep({"n1"}, 1);
  step(horizon, kStart + kMinuteMs, {{"n1", kStart + kMinuteMs}});
  REQUIRE(horizon.low_water(1) == ArrivalMs(kStart));  // n2 may still hold clicks
  for (int64_t minute = 2; minute <= 60; ++minute) {
    step(horizon, kStart + minute * kMinuteMs, {{"n1", kStart + minute * kMinuteMs}});
  }
  std::string before;
  horizon.encode(before);
  horizon.keep({"n1"}, 1);
  std::string after;
  horizon.encode(after);
  REQUIRE(after.size() < before.size());
  horizon.keep({"n1", "n2"}, 1);  // named again: it counts from now
  REQUIRE(horizon.low_water(1) == ArrivalMs(kStart + kHourMs));
}

TEST_CASE("horizon: survives its encoding; a cut or foreign one is refused", "[stream]") {
  Horizon horizon;
  step(horizon, kStart, {{"n1", kStart}, {"n2", kStart - 5}});
  step(horizon, kStart + 50'000, {{"n1", kStart + 3}});
  std::string bytes;
  horizon.encode(bytes);
  ByteCursor cursor(bytes);
  auto decoded = Horizon::decode(cursor);
  REQUIRE(decoded);
  REQUIRE(cursor.done());
  std::string again;
  decoded->encode(again);
  REQUIRE(again == bytes);
  for (size_t length = 0; length < bytes.size(); ++length) {
    ByteCursor cut(std::string_view(bytes).substr(0, length));
    REQUIRE(!Horizon::decode(cut));
  }
}

namespace {

/// Nodes that take clicks, lose their connection or their power, and send what
/// they hold when they can, to one leader. Times are virtual.
///
/// Fault model: a node is up, cut off (takes clicks, can't send) or down (takes
/// none), for up to 100 h; now and then all are down at once. An answer to a
/// sent batch may be lost, then it is sent again, once or more. Clients send
/// copies of their clicks to any node up, within seconds to 60 hours.
class World {
 public:
  struct Copy {
    int64_t received_ms;
    std::string sender;
    Fate verdict;
    bool needed_stale;  ///< its node had been silent beyond stale_after_hours
  };

  explicit World(uint64_t seed) : random_(seed), stream_(seed) {
    now_ = kStart + at_most(kHourMs);
    nodes_.resize(1 + random_.below(4));
    Settings settings;
    settings.nodes.clear();
    for (size_t i = 0; i < nodes_.size(); ++i) {
      nodes_[i].name = "n" + std::to_string(i + 1);
      settings.nodes.push_back(nodes_[i].name);
    }
    stream_.settings(now_, settings);
  }

  void run(int64_t hours) {
    const int64_t end = now_ + hours * kHourMs;
    while (now_ < end) {
      now_ += kMinuteMs;
      if (random_.one_in(100 * 60)) all_down();
      for (Node& node : nodes_) change_state(node);
      take_clicks();
      for (Node& node : nodes_) {
        if (can_send(node)) send(node);
      }
      tick();
      if (random_.one_in(300)) stream_.checkpoint();
      if (random_.one_in(3'000)) {
        stream_.crash();
        stream_.replay();
      }
    }
    for (Node& node : nodes_) node.away_until = 0;
    for (Node& node : nodes_) {
      while (!node.spool.empty()) send(node);
    }
  }

  std::string wrong() { return stream_.wrong(); }
  const std::map<std::string, std::vector<Copy>>& ended() const { return ended_; }
  /// An identity that was taken and has no copy at all in the log.
  std::string lost() const {
    for (const auto& [id, copies] : taken_) {
      if (ended_.count(id) == 0) return id;
    }
    return {};
  }

 private:
  struct Node {
    std::string name;
    int64_t away_until = 0;
    bool takes_clicks = true;  // while it is away
    int64_t last_received_ms = 0;
    int64_t announced = 0;
    std::deque<TestClick> spool;
    size_t sent_before = 0;  // first so many of the spool may be in the log already
    int64_t silent_minutes = 0;
    bool stale = false;  // what it holds now may be older than what is remembered
  };

  int64_t at_most(int64_t ms) {
    return static_cast<int64_t>(random_.below(static_cast<uint64_t>(ms) + 1));
  }
  bool is_up(const Node& node) const { return node.away_until <= now_; }
  bool can_send(const Node& node) const { return is_up(node); }

  void all_down() {
    // Nobody appends: log time stands still, then jumps.
    const int64_t length = at_most(100 * kHourMs);
    for (Node& node : nodes_) {
      if (!is_up(node)) node.away_until += length;
    }
    now_ += length;
  }
  void change_state(Node& node) {
    if (!is_up(node) || !random_.one_in(40 * 60)) return;
    const int64_t hours = random_.one_in(2) ? 3 : 100;
    node.away_until = now_ + at_most(hours * kHourMs);
    node.takes_clicks = random_.one_in(2);
  }
  void take_clicks() {
    for (uint64_t n = random_.below(3); n > 0; --n) {
      if (random_.one_in(4)) clicks_.emplace_back(now_ + at_most(kMinuteMs), new_click());
    }
    for (size_t i = 0; i < clicks_.size();) {
      if (clicks_[i].first > now_) {
        ++i;
        continue;
      }
      TestClick click = clicks_[i].second;
      clicks_.erase(clicks_.begin() + static_cast<ptrdiff_t>(i));
      take(click);
      if (!random_.one_in(3)) continue;
      static constexpr std::array<int64_t, 5> kDelays = {5'000, kHourMs, 20 * kHourMs, 24 * kHourMs,
                                                         60 * kHourMs};
      clicks_.emplace_back(now_ + at_most(kDelays[random_.below(kDelays.size())]), click);
    }
  }
  TestClick new_click() {
    TestClick click;
    click.click_id = "c" + std::to_string(++number_);
    click.ad_id = "ad_" + std::to_string(random_.below(3));
    return click;
  }
  void take(TestClick click) {
    Node& node = nodes_[random_.below(nodes_.size())];
    if (!is_up(node) && !node.takes_clicks) return;  // the client gets no answer
    const int64_t clock = now_ - 2'000 + at_most(4'000);
    // Not below what it took before, nor below a low-water that it announced.
    click.received_ms = std::max({clock, node.last_received_ms, node.announced});
    click.timestamp_ms = click.received_ms;
    node.last_received_ms = click.received_ms;
    ++taken_[click.click_id];
    node.spool.push_back(std::move(click));
  }
  int64_t low_water(const Node& node) const {
    if (!node.spool.empty()) return node.spool.front().received_ms;
    return std::max(now_ - 2'000, node.last_received_ms);
  }
  int64_t append_ms(int64_t newest) {
    log_ms_ = std::max({log_ms_, now_, newest});
    return log_ms_;
  }
  void note_silence(Node& node) {
    // We count missed ticks, the stream log time: some minutes may lie between.
    if (node.silent_minutes >= kStaleAfter * 60 - 10) node.stale = true;
  }
  void heard(Node& node) {
    node.silent_minutes = 0;
    if (node.spool.empty()) node.stale = false;
  }

  void send(Node& node) {
    if (node.spool.empty()) return;
    TestEntry entry;
    entry.kind = click::EntryKind::clicks;
    entry.sender = node.name;
    entry.low_water = low_water(node);
    entry.again = node.sent_before > 0;
    // What was sent before goes again alone, so that `again` says it of all.
    size_t count = 1 + random_.below(20);
    if (node.sent_before > 0) count = node.sent_before;
    count = std::min(count, node.spool.size());
    entry.clicks.assign(node.spool.begin(), node.spool.begin() + static_cast<ptrdiff_t>(count));
    int64_t newest = 0;
    for (const auto& click : entry.clicks) newest = std::max(newest, click.received_ms);
    entry.append_ms = append_ms(newest);
    node.announced = std::max(node.announced, entry.low_water);
    note_silence(node);
    const auto verdicts = stream_.apply(entry);
    for (size_t i = 0; i < count; ++i) {
      ended_[entry.clicks[i].click_id].push_back(
          {entry.clicks[i].received_ms, node.name, verdicts[i], node.stale});
    }
    if (random_.one_in(6)) {
      node.sent_before = count;  // the answer is lost
    } else {
      node.spool.erase(node.spool.begin(), node.spool.begin() + static_cast<ptrdiff_t>(count));
      node.sent_before = 0;
    }
    heard(node);
  }
  void tick() {
    if (std::none_of(nodes_.begin(), nodes_.end(), [&](const Node& n) { return is_up(n); })) return;
    TestEntry entry;
    entry.kind = click::EntryKind::tick;
    entry.append_ms = append_ms(0);
    for (Node& node : nodes_) {
      if (!is_up(node)) {
        ++node.silent_minutes;
        continue;
      }
      const int64_t told = low_water(node);
      node.announced = std::max(node.announced, told);
      entry.low_waters.push_back({node.name, ArrivalMs(told)});
      note_silence(node);
      heard(node);
    }
    stream_.apply(entry);
  }

  Random random_;
  Stream stream_;
  int64_t now_;
  int64_t log_ms_ = 0;
  uint64_t number_ = 0;
  std::vector<Node> nodes_;
  std::vector<std::pair<int64_t, TestClick>> clicks_;  // on their way to a node, by time
  std::map<std::string, uint64_t> taken_;
  std::map<std::string, std::vector<Copy>> ended_;
};

bool counted_or_flagged(Fate verdict) {
  return verdict != Fate::duplicate && verdict != Fate::resent;
}

/// What DESIGN §2.1 and §2.2 promise of one identity's copies; empty: they hold.
std::string broken_promise(const std::vector<World::Copy>& copies) {
  size_t ends = 0;
  for (size_t i = 0; i < copies.size(); ++i) {
    const auto& copy = copies[i];
    if (copy.verdict == Fate::stale && !copy.needed_stale) return "stale without need";
    if (!counted_or_flagged(copy.verdict)) continue;
    ++ends;
    for (size_t j = 0; j < i; ++j) {
      const auto& other = copies[j];
      if (!counted_or_flagged(other.verdict)) continue;
      if (copy.verdict == Fate::stale || other.verdict == Fate::stale) continue;
      if (std::abs(copy.received_ms - other.received_ms) <= 24 * kHourMs) return "ended twice";
    }
  }
  return ends == 0 ? "never ended" : "";
}

}  // namespace

TEST_CASE("horizon: through outages, resends and copies no identity ends twice or is lost",
          "[stream]") {
  size_t stale = 0;
  size_t far_apart = 0;
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    CAPTURE(seed);
    World world(seed);
    world.run(240);
    if (auto text = world.wrong(); !text.empty()) FAIL(text);
    REQUIRE(world.lost() == "");
    for (const auto& [id, copies] : world.ended()) {
      if (auto text = broken_promise(copies); !text.empty()) FAIL(id << ": " << text);
      size_t ends = 0;
      for (const auto& copy : copies) {
        stale += copy.verdict == Fate::stale ? 1 : 0;
        ends += counted_or_flagged(copy.verdict) ? 1 : 0;
      }
      far_apart += ends > 1 ? 1 : 0;
    }
  }
  // The histories reach what they are for.
  REQUIRE(stale > 0);
  REQUIRE(far_apart > 0);
}

}  // namespace clickmill::stream
