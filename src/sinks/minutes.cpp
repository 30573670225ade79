#include "sinks/minutes.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "base/logging.h"

namespace clickmill::sinks {
namespace {

constexpr int64_t kMsNs = 1'000'000;
constexpr int64_t kSurveyEveryNs = 1'000 * kMsNs;
constexpr int64_t kSaveEveryNs = 1'000 * kMsNs;
constexpr auto kNap = std::chrono::milliseconds(250);
constexpr auto kLastMoment = std::chrono::milliseconds(300);
constexpr int64_t kBehindSeconds = 120;
constexpr size_t kKeysLeast = 256;  // of one partition

}  // namespace

Minutes::Minutes(Options options, MinuteFeed::Source source, Target target, Clock& clock,
                 Metrics& metrics)
    : options_(std::move(options)),
      source_(source),
      table_(std::move(target.table)),
      clock_(clock),
      figures_(metrics, options_.name),
      progress_(std::move(target.progress)),
      places_(options_.partitions),
      told_(progress_.told()) {
  for (size_t i = 0; i < places_.size(); ++i) {
    const PartitionId id(static_cast<uint32_t>(i));
    places_[i].feed = std::make_unique<MinuteFeed>(id, progress_.of(id));
  }
}

void Minutes::start() {
  thread_ = std::thread([this] { run(); });
}

void Minutes::stop() {
  {
    std::unique_lock lock(outside_->mutex);
    outside_->stopping = true;
    outside_->changed.notify_all();
    if (thread_.joinable())
      outside_->changed.wait_for(lock, kLastMoment, [this] { return outside_->ended; });
  }
  table_->end();
  if (thread_.joinable()) thread_.join();
}

bool Minutes::stopping() const {
  const std::lock_guard lock(outside_->mutex);
  return outside_->stopping;
}

std::string Minutes::warning() const {
  const int64_t seconds = figures_.lag_seconds.value();
  if (seconds < kBehindSeconds) return {};
  std::string text = fmt::format("sink {}: rows have not arrived there, for {} minutes",
                                 options_.name, seconds / 60);
  const std::lock_guard lock(trouble_mutex_);
  return trouble_.empty() ? text : text + ": " + trouble_;
}

void Minutes::run() {
  pthread_setname_np(pthread_self(), "sink");
  while (!stopping()) turn();
  save();
  const std::lock_guard lock(outside_->mutex);
  outside_->ended = true;
  outside_->changed.notify_all();
}

void Minutes::turn() {
  const int64_t now = clock_.monotonic_ns();
  const bool is_survey = now >= next_survey_ns_;
  if (is_survey) {
    next_survey_ns_ = now + kSurveyEveryNs;
    survey();
  }
  bool more = read();
  if (insert_.parts.empty()) more = gather() || more;
  if (!insert_.parts.empty()) more = insert();
  // By then what the survey has found is under way, if it can be.
  if (is_survey) measure();
  if (clock_.monotonic_ns() >= next_save_ns_) save();
  if (!more) wait();
}

/// Who leads, and how far the logs are. A worker that is busy is asked again soon.
void Minutes::survey() {
  const auto states = source_.versions.states();
  if (!states) return;
  for (const auto& state : *states) places_[state.id.value()].leader = state.leader;
  take_heard();
  size_t led = 0;
  for (const auto& state : *states) {
    look_at(places_[state.id.value()], state);
    if (places_[state.id.value()].leads) ++led;
  }
  led_ = std::max<size_t>(led, 1);
  ask_leaders();
}

void Minutes::look_at(Place& place, const cluster::Partition::State& state) {
  MinuteFeed& feed = *place.feed;
  const bool led = std::exchange(place.leads, state.leader == options_.node_id);
  if (!place.leads) {
    // What waits is the next leader's to send.
    if (led) feed.begin_at(feed.place());
    return;
  }
  place.committed = state.committed;
  if (!feed.look_at(state)) return;
  figures_.errors.add();
  log_error("sinks", fmt::format("{}: partition {}: its log ends at offset {}, and more of it was "
                                 "read: the log was set back. All rows are sent once more; those "
                                 "that hold only what was lost stay in the table",
                                 options_.name, state.id.value(), state.last.value()));
}

/// So that who leads next goes on where they are, and not where this node once was.
void Minutes::ask_leaders() {
  if (!options_.ask) return;
  std::set<std::string> leaders;
  for (const Place& place : places_) {
    if (!place.leads && !place.leader.empty()) leaders.insert(place.leader);
  }
  for (const std::string& node : leaders) {
    options_.ask(node, [outside = outside_, node](std::string told) {
      const std::lock_guard lock(outside->mutex);
      outside->heard.emplace_back(node, std::move(told));
    });
  }
}

/// What a leader has told of what it leads.
void Minutes::take_heard() {
  std::vector<std::pair<std::string, std::string>> heard;
  {
    const std::lock_guard lock(outside_->mutex);
    heard.swap(outside_->heard);
  }
  for (const auto& [node, told] : heard) {
    ByteCursor in(told);
    const auto theirs = Progress::parse(in, places_.size());
    for (size_t i = 0; i < theirs.size(); ++i) {
      Place& place = places_[i];
      MinuteFeed& feed = *place.feed;
      if (place.leads || place.leader != node || theirs[i] == feed.place()) continue;
      feed.begin_at(theirs[i]);
      progress_.set(feed.id(), theirs[i]);
    }
  }
}

/// A step of each log; true: some have more.
bool Minutes::read() {
  const size_t keys_most = std::max(kKeysLeast, options_.keys_most / led_);
  bool more = false;
  for (Place& place : places_) {
    if (!place.leads || clock_.monotonic_ns() < place.rests_until_ns) continue;
    const auto step = place.feed->read(source_, keys_most);
    if (step) {
      more = *step || more;
    } else {
      failed_here(place, step.error());
    }
  }
  return more;
}

/// Fills an insert; true: there is more than that.
bool Minutes::gather() {
  bool more = false;
  for (size_t i = 0; i < places_.size(); ++i) {
    if (insert_.text->size() >= options_.insert_bytes) return true;
    const size_t index = std::exchange(turn_, (turn_ + 1) % places_.size());
    if (places_[index].leads) more = gather(index) || more;
  }
  return more;
}

bool Minutes::gather(size_t index) {
  Place& place = places_[index];
  if (clock_.monotonic_ns() < place.rests_until_ns) return false;
  MinuteFeed& feed = *place.feed;
  auto rows = feed.gather(source_);
  if (!rows) {
    failed_here(place, rows.error());
    return false;
  }
  if (rows->nothing()) return false;
  if (rows->count == 0) {
    feed.sent(*rows);
  } else {
    *insert_.text += std::exchange(rows->text, {});
    insert_.rows += rows->count;
    insert_.parts.emplace_back(index, *std::move(rows));
  }
  return true;
}

/// Gives the same rows until they are taken; true: they were.
bool Minutes::insert() {
  if (again_.waits(clock_.monotonic_ns())) return false;
  if (const Status done = table_->insert(insert_.text); !done) {
    again_.failed(clock_.monotonic_ns());
    if (done.error().code() != Errc::closed) failed(done.error().message());
    return false;
  }
  again_.succeeded();
  figures_.sent.add(insert_.rows);
  for (const auto& [index, rows] : std::exchange(insert_, {}).parts) {
    MinuteFeed& feed = *places_[index].feed;
    if (places_[index].leads) feed.sent(rows);
    progress_.set(feed.id(), feed.place());
  }
  return true;
}

/// A worker without time, or damage, which passes once it is healed.
void Minutes::failed_here(Place& place, const Error& error) {
  place.rests_until_ns = clock_.monotonic_ns() + kSurveyEveryNs;
  if (error.code() != Errc::busy && error.code() != Errc::closed)
    failed(fmt::format("partition {}: {}", place.feed->id().value(), error.text()));
}

void Minutes::failed(const std::string& what) {
  figures_.errors.add();
  log_warn("sinks", fmt::format("{}: {}", options_.name, what));
  const std::lock_guard lock(trouble_mutex_);
  trouble_ = what;
}

std::string Minutes::told() const {
  const std::lock_guard lock(trouble_mutex_);
  return told_;
}

void Minutes::save() {
  next_save_ns_ = clock_.monotonic_ns() + kSaveEveryNs;
  for (const Place& place : places_) {
    if (place.leads) progress_.set(place.feed->id(), place.feed->place());
  }
  if (const Status saved = progress_.save(); !saved)
    failed("its progress can't be written: " + saved.error().text());
  const std::lock_guard lock(trouble_mutex_);
  told_ = progress_.told();
}

void Minutes::measure() {
  const int64_t now = clock_.wall_ms();
  uint64_t offsets = 0;
  int64_t oldest = now;
  for (Place& place : places_) {
    if (!place.leads) {
      place.behind.reset();
      continue;
    }
    const auto lag = place.feed->lag();
    place.behind.look(lag.arrived, place.committed, now);
    if (place.behind.since_ms() == 0) continue;
    offsets += place.committed - lag.arrived;
    oldest = std::min(oldest, lag.since_ms.value_or(place.behind.since_ms()));
  }
  figures_.lag_offsets.set(static_cast<int64_t>(offsets));
  figures_.lag_seconds.set((now - oldest) / 1000);
  if (offsets != 0) return;
  const std::lock_guard lock(trouble_mutex_);
  trouble_.clear();
}

void Minutes::wait() {
  std::unique_lock lock(outside_->mutex);
  outside_->changed.wait_for(lock, kNap, [this] { return outside_->stopping; });
}

}  // namespace clickmill::sinks
