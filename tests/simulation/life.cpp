#include "simulation/life.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace clickmill::simulation {

Life::Life(uint64_t seed, SimCluster::Options options)
    : random_(seed),
      clients_(seed),
      cluster_(seed, options),
      ad_clients_(seed + 2, cluster_.clock),
      knows_the_time_(cluster_.size()) {
  if (options.answers_wait_for_commit) clients_.answer_when_committed(cluster_.clock);
}

std::optional<std::string> Life::go(int steps) {
  for (size_t i = 0; i < cluster_.size(); ++i) {
    put_right(i);
    if (auto problem = cluster_.open(i)) return problem;
  }
  calm_ = !random_.one_in(4) ? 1 + random_.below(40) : 200;
  cluster_.network().slow_down(1 + static_cast<int64_t>(random_.below(60)));
  if (random_.one_in(2)) cluster_.network().drop_one_in(20);
  for (int step = 0; step < steps; ++step) {
    if (stays_away_ && step % 700 == 500) {
      if (auto problem = be_away()) return problem;
    }
    // Who comes back is in trouble again while it takes a state, or gives one.
    if (random_.one_in(stays_away_ && step % 700 < 300 ? 10 : calm_)) {
      if (auto problem = trouble()) return problem;
    }
    if (auto problem = go_on()) return problem;
  }
  auto problem = end();
  if (problem || !starts_again_) return problem;
  for (size_t i = 0; i < cluster_.size(); ++i) cluster_.die(i, random_.one_in(2));
  for (size_t i = 0; i < cluster_.size(); ++i) {
    if (problem = cluster_.open(i); problem) return problem;
  }
  return end();
}

std::optional<std::string> Life::end() {
  if (auto problem = cluster_.settle()) return problem;
  if (auto problem = cluster_.check(ad_clients_)) return problem;
  return cluster_.check(clients_);
}

std::optional<std::string> Life::go_on() {
  for (size_t i = 0; i < cluster_.size(); ++i) note_time(i);
  if (random_.one_in(4)) send();
  if (random_.one_in(20)) change_ad();
  if (auto problem = cluster_.step()) return problem;
  if (wrong_ && believes(*wrong_))
    return fmt::format("n{} believes that its clock is right, which is a year ahead", *wrong_ + 1);
  return replace_failed();
}

/// More than the cluster is owed to survive.
bool Life::believes(size_t at) {
  const int64_t now_ms = cluster_.clock.wall_ms();
  return cluster_.alive(at) && cluster_.node(at).machine().clock().now().value() > now_ms + kDayMs;
}

/// Hours, in which the others seal what they have, save what it counts to, and drop it.
std::optional<std::string> Life::be_away() {
  cluster_.network().heal();
  const size_t at = random_.below(cluster_.size());
  for (size_t i = 0; i < cluster_.size(); ++i) {
    if (cluster_.alive(i)) continue;
    if (auto problem = cluster_.open(i)) return problem;
  }
  for (int step = 0; step < 100; ++step) {
    if (auto problem = go_on()) return problem;
  }
  const bool empty = cluster_.node(at).machine().spool().held_clicks() == 0;
  cluster_.die(at, random_.one_in(2));
  if (!wiped_ && empty && random_.one_in(2)) {
    wipe(at);
  }
  for (int hours = 0; hours < 4; ++hours) {
    cluster_.clock.advance_ms(kHourMs);
    for (int step = 0; step < 120; ++step) {
      if (auto problem = go_on()) return problem;
    }
  }
  return cluster_.open(at);
}

void Life::send() {
  const size_t at = random_.below(cluster_.size());
  if (!cluster_.alive(at)) return;
  const uint64_t count = random_.one_in(8) ? random_.below(20) : 1;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t identity = next_ > 0 && random_.one_in(6)
                                  ? next_ - 1 - random_.below(std::min<uint64_t>(next_, 20))
                                  : next_++;
    clients_.send(cluster_.node(at), identity, EventMs(cluster_.clock.wall_ms()),
                  random_.one_in(3) ? log::Lane::bulk : log::Lane::redirects);
  }
}

void Life::change_ad() {
  const size_t at = random_.below(cluster_.size());
  if (cluster_.alive(at)) ad_clients_.change(cluster_.node(at));
}

std::optional<std::string> Life::replace_failed() {
  for (size_t i = 0; i < cluster_.size(); ++i) {
    if (!cluster_.alive(i) || !cluster_.node(i).journal_fails()) continue;
    cluster_.die(i, random_.one_in(2));
    if (auto problem = cluster_.open(i)) return problem;
  }
  return std::nullopt;
}

std::optional<std::string> Life::trouble() {
  const size_t at = random_.below(cluster_.size());
  const size_t other = (at + 1 + random_.below(cluster_.size() - 1)) % cluster_.size();
  switch (random_.below(tells_wrong_time_ ? 12 : 9)) {
    case 0:
    case 1:
      if (!cluster_.alive(at)) return cluster_.open(at);
      cluster_.die(at, random_.one_in(2));
      if (random_.one_in(2)) return cluster_.open(at);
      break;
    case 2: cluster_.network().break_link(at, other, some_ms(5'000)); break;
    case 3: cluster_.network().go_deaf(at, other); break;
    case 4: cluster_.network().hear_again(); break;
    case 5: cluster_.pause(at, some_ms(3'000)); break;
    case 6: cluster_.stall_disk(at, some_ms(2'000)); break;
    case 7:
      if (cluster_.alive(at) && random_.one_in(3))
        cluster_.node(at).files.fail_sync_after(1 + random_.below(4));
      break;
    case 8: return lose_disk(at);
    default: put_wrong(at); break;
  }
  return std::nullopt;
}

/// Not another one before the last has its place again; and what was answered and only stands in
/// its spool goes with a disk.
std::optional<std::string> Life::lose_disk(size_t at) {
  if (wiped_ || !random_.one_in(loses_clicks_ ? 1 : 3) || !cluster_.alive(at)) return std::nullopt;
  lost_ = cluster_.node(at).machine().spool().held_clicks();
  if (lost_ != 0 && !loses_clicks_) return std::nullopt;
  wipe(at);
  return cluster_.open(at);
}

void Life::wipe(size_t at) {
  wiped_ = true;
  knows_the_time_[at] = false;
  // What the clock of an empty disk says is believed.
  if (wrong_ == at) put_right(at);
  cluster_.wipe(at);
}

/// As a clock is that somebody looks after; or nobody, and it is right all the same.
void Life::put_right(size_t at) {
  if (wrong_ == at) wrong_.reset();
  cluster_.clock_of(at).set(1'500 - some_ms(3'000), random_.one_in(2));
  cluster_.clock_of(at).drift(50 - some_ms(100));
}

void Life::note_time(size_t at) {
  if (cluster_.alive(at) && cluster_.node(at).machine().journal().last_durable() > JournalPos(0))
    knows_the_time_[at] = true;
}

void Life::put_wrong(size_t at) {
  static constexpr int64_t kOffMs[] = {9'000, 11'000, kMinuteMs, 2 * kHourMs, 400 * kDayMs};
  const int64_t off_ms = kOffMs[random_.below(std::size(kOffMs))];
  const bool ahead = random_.one_in(2);
  const bool year_ahead = ahead && off_ms > kDayMs;
  const bool far = off_ms >= kHourMs;
  // An empty disk's clock is believed: what it stamps far in the past is too old to be judged,
  // and what it stamps far ahead is its node's time for as long.
  note_time(at);
  if (far && !knows_the_time_[at]) return;
  // Or most would be wrong together, though their clocks are so one after the other.
  const int64_t now_ms = cluster_.clock.wall_ms();
  const bool another_stands =
      stands_until_ms_ && stands_until_ms_->first != at && now_ms < stands_until_ms_->second;
  if (far && ahead && another_stands) return;
  if (far && ahead && !year_ahead) stands_until_ms_ = {at, now_ms + off_ms + kMinuteMs};
  if (wrong_) put_right(*wrong_);
  // It would be believed, and its node's time be over for so long.
  const bool synchronised = random_.one_in(2) && !year_ahead;
  cluster_.clock_of(at).set(ahead ? off_ms : -off_ms, synchronised);
  wrong_ = at;
  ++wrong_times_;
}

SimCluster::Options waiting_for_commit(uint64_t seed) {
  SimCluster::Options options;
  options.answers_wait_for_commit = true;
  if (seed % 3 == 0) options.spool_memory_bytes = 0;
  return options;
}

}  // namespace clickmill::simulation
