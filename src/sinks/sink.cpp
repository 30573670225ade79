#include "sinks/sink.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "base/bytes.h"
#include "base/logging.h"

namespace clickmill::sinks {
namespace {

constexpr int64_t kMsNs = 1'000'000;
constexpr int64_t kSurveyEveryNs = 1'000 * kMsNs;
constexpr int64_t kSaveEveryNs = 1'000 * kMsNs;
constexpr int64_t kFollowNs = 60'000 * kMsNs;
constexpr auto kNap = std::chrono::milliseconds(250);
// While something is under way: acknowledgements end it earlier, new clicks don't.
constexpr int kServeMs = 20;
constexpr auto kLastMoment = std::chrono::milliseconds(300);
constexpr int64_t kBehindSeconds = 120;

}  // namespace

Sink::Sink(Options options, Log log, Positions positions, Clock& clock, Metrics& metrics)
    : options_(std::move(options)),
      log_(log),
      clock_(clock),
      figures_(metrics, options_.name),
      skipped_(metrics.counter("clickmill_sink_skipped_offsets_total",
                               "Offsets that retention dropped before a sink had read them",
                               fmt::format("sink=\"{}\"", options_.name))),
      positions_(std::move(positions)),
      places_(options_.partitions) {
  for (size_t i = 0; i < places_.size(); ++i) {
    const PartitionId id(static_cast<uint32_t>(i));
    places_[i].feed = std::make_unique<Feed>(id, positions_.of(id), load_);
  }
}

void Sink::start() {
  thread_ = std::thread([this] { run(); });
}

void Sink::stop() {
  {
    const std::lock_guard lock(wakeups_->mutex);
    wakeups_->stopping = true;
  }
  wakeups_->changed.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool Sink::stopping() const {
  const std::lock_guard lock(wakeups_->mutex);
  return wakeups_->stopping;
}

std::string Sink::warning() const {
  const int64_t seconds = figures_.lag_seconds.value();
  if (seconds < kBehindSeconds) return {};
  std::string text = fmt::format("sink {}: {} offsets have not arrived there, for {} minutes",
                                 options_.name, figures_.lag_offsets.value(), seconds / 60);
  const std::lock_guard lock(trouble_mutex_);
  return trouble_.empty() ? text : text + ": " + trouble_;
}

void Sink::run() {
  pthread_setname_np(pthread_self(), "sink");
  while (!stopping()) turn();
  finish();
}

void Sink::turn() {
  take_wakeups();
  const int64_t now = clock_.monotonic_ns();
  if (now >= next_survey_ns_) {
    next_survey_ns_ = now + kSurveyEveryNs;
    survey();
  }
  if (!broker_ && !open_broker()) return wait();
  const bool more = send_due();
  if (!broker_) return;
  const Status served = serve(more || load_.messages == 0 ? 0 : kServeMs);
  if (!served) begin_again(served.error().message());
  if (clock_.monotonic_ns() >= next_save_ns_) save();
  if (!more && load_.messages == 0) wait();
}

bool Sink::open_broker() {
  if (open_again_.waits(clock_.monotonic_ns())) return false;
  auto opened = options_.open();
  if (!opened) {
    open_again_.failed(clock_.monotonic_ns());
    failed(opened.error().text());
    return false;
  }
  broker_ = *std::move(opened);
  broker_errors_ = 0;
  return true;
}

/// Who leads, and how far the logs are. A worker that is busy is asked again soon.
void Sink::survey() {
  const auto states = log_.states.states();
  if (!states) return;
  for (const auto& state : *states) places_[state.id.value()].leader = state.leader;
  take_heard();
  for (const auto& state : *states) look_at(places_[state.id.value()], state);
  ask_leaders();
  measure();
}

/// So that who leads next goes on where they are, and not where this node once was.
void Sink::ask_leaders() {
  if (!options_.ask) return;
  std::set<std::string> leaders;
  for (const Place& place : places_) {
    if (!place.leads && !place.leader.empty()) leaders.insert(place.leader);
  }
  for (const std::string& node : leaders) {
    options_.ask(node, [wakeups = wakeups_, node](std::string told) {
      const std::lock_guard lock(wakeups->mutex);
      wakeups->heard.emplace_back(node, std::move(told));
    });
  }
}

/// What a leader has told of what it leads.
void Sink::take_heard() {
  std::vector<std::pair<std::string, std::string>> heard;
  {
    const std::lock_guard lock(wakeups_->mutex);
    heard.swap(wakeups_->heard);
  }
  for (const auto& [node, told] : heard) {
    ByteCursor in(told);
    for (Place& place : places_) {
      const Offset arrived(in.varint());
      Feed& feed = *place.feed;
      if (!in.ok()) break;
      if (place.leader != node || arrived <= feed.arrived() || !feed.idle()) continue;
      feed.begin_after(arrived);
      positions_.set(feed.id(), arrived);
    }
  }
}

void Sink::look_at(Place& place, const cluster::Partition::State& state) {
  place.leads = state.leader == options_.node_id;
  if (!place.leads) return;
  place.committed = state.committed;
  Feed& feed = *place.feed;
  if (feed.arrived() > state.last && feed.idle()) {
    // A part of what it has sent is not in the log any more, and what comes now has its numbers.
    log_error(
        "sinks",
        fmt::format("{}: partition {}: its log ends at offset {}, and up to {} was sent: the "
                    "log was set back, and these offsets come again with other clicks",
                    options_.name, state.id.value(), state.last.value(), feed.arrived().value()));
    figures_.errors.add();
    feed.begin_after(state.last);
    positions_.set(state.id, feed.arrived());
  }
  if (feed.next() <= state.committed) {
    place.is_due = true;
  } else if (!place.is_due) {
    follow(place);
  }
}

/// A step for each that has something; true: some have more.
bool Sink::send_due() {
  bool more = false;
  for (size_t i = 0; i < places_.size(); ++i) {
    Place& place = places_[turn_];
    if (load_.messages >= options_.messages_most || load_.bytes >= options_.bytes_most)
      return false;
    turn_ = (turn_ + 1) % places_.size();
    if (!place.leads || !place.is_due) continue;
    more = send(place) || more;
    if (!broker_) return false;
  }
  return more;
}

bool Sink::send(Place& place) {
  const auto step = place.feed->send(log_.reader, *broker_);
  if (!step) {
    // The broker's failure, or the log's: a worker without time, or damage, which passes once
    // it is healed. The next survey sees it as due.
    if (step.error().code() == Errc::closed) {
      begin_again(step.error().text());
    } else {
      place.is_due = false;
      if (step.error().code() != Errc::busy)
        failed(fmt::format("partition {}: {}", place.feed->id().value(), step.error().text()));
    }
    return false;
  }
  if (step->skipped > 0) {
    skipped_.add(step->skipped);
    log_error("sinks", fmt::format("{}: partition {}: {} offsets were dropped by retention before "
                                   "they were sent",
                                   options_.name, place.feed->id().value(), step->skipped));
  }
  if (step->full) return false;
  if (!step->more) {
    place.is_due = false;
    follow(place);
  }
  return step->more;
}

void Sink::follow(Place& place) {
  if (std::exchange(place.follows, true)) return;
  const PartitionId id = place.feed->id();
  log_.reader.follow(id, place.feed->next(), clock_.monotonic_ns() + kFollowNs,
                     [wakeups = wakeups_, index = id.value()](cluster::TailReaders::Woken why) {
                       const std::lock_guard lock(wakeups->mutex);
                       wakeups->woken.emplace_back(index,
                                                   why == cluster::TailReaders::Woken::committed);
                       wakeups->changed.notify_all();
                     });
}

void Sink::take_wakeups() {
  std::vector<std::pair<size_t, bool>> woken;
  {
    const std::lock_guard lock(wakeups_->mutex);
    woken.swap(wakeups_->woken);
  }
  // Who was woken for another reason waits again after the next survey.
  for (const auto& [index, is_committed] : woken) {
    places_[index].follows = false;
    if (is_committed) places_[index].is_due = true;
  }
}

Status Sink::serve(int wait_ms) {
  std::string lost;
  const Status served = broker_->serve(wait_ms, [&lost](void* ticket, std::string_view why) {
    if (!Feed::told(ticket, why.empty())) lost = why;
  });
  settle();
  if (const size_t errors = broker_->errors(); errors > broker_errors_) {
    figures_.errors.add(errors - std::exchange(broker_errors_, errors));
    const std::lock_guard lock(trouble_mutex_);
    trouble_ = broker_->last_error();
  }
  if (!lost.empty()) return Error(Errc::closed, std::move(lost));
  if (!served) return Error(Errc::closed, served.error().message());
  return {};
}

void Sink::settle() {
  uint64_t messages = 0;
  for (Place& place : places_) {
    messages += place.feed->settle();
    positions_.set(place.feed->id(), place.feed->arrived());
  }
  if (messages == 0) return;
  figures_.sent.add(messages);
  open_again_.succeeded();
}

/// What is under way can't be told any more from what was lost: it is sent again, by a new broker.
void Sink::begin_again(const std::string& why) {
  failed(why);
  // First, since its tickets point into the feeds.
  broker_.reset();
  open_again_.failed(clock_.monotonic_ns());
  for (Place& place : places_) {
    place.feed->begin_again();
    place.is_due = true;
  }
}

void Sink::failed(std::string why) {
  figures_.errors.add();
  log_warn("sinks", fmt::format("{}: {}", options_.name, why));
  const std::lock_guard lock(trouble_mutex_);
  trouble_ = std::move(why);
}

std::string Sink::told() const {
  const std::lock_guard lock(trouble_mutex_);
  return told_;
}

void Sink::save() {
  next_save_ns_ = clock_.monotonic_ns() + kSaveEveryNs;
  if (const Status saved = positions_.save(); !saved)
    failed("its positions can't be written: " + saved.error().text());
  std::string told;
  ByteWriter out(told);
  for (const Place& place : places_) out.varint(place.feed->arrived().value());
  const std::lock_guard lock(trouble_mutex_);
  told_ = std::move(told);
}

void Sink::measure() {
  const int64_t now = clock_.wall_ms();
  uint64_t offsets = 0;
  int64_t oldest = now;
  for (Place& place : places_) {
    const Feed& feed = *place.feed;
    if (!place.leads) place.behind.reset();
    if (place.leads) place.behind.look(feed.arrived(), place.committed, now);
    if (place.behind.since_ms() == 0) continue;
    offsets += place.committed - feed.arrived();
    oldest = std::min(oldest, place.behind.since_ms());
    if (const auto log_time = feed.oldest(); log_time && *log_time > LogMs(0))
      oldest = std::min(oldest, log_time->value());
  }
  figures_.lag_offsets.set(static_cast<int64_t>(offsets));
  figures_.lag_seconds.set((now - oldest) / 1000);
  if (offsets != 0) return;
  const std::lock_guard lock(trouble_mutex_);
  trouble_.clear();
}

void Sink::wait() {
  std::unique_lock lock(wakeups_->mutex);
  wakeups_->changed.wait_for(lock, kNap,
                             [this] { return wakeups_->stopping || !wakeups_->woken.empty(); });
}

void Sink::finish() {
  const auto deadline = std::chrono::steady_clock::now() + kLastMoment;
  while (broker_ && load_.messages > 0 && std::chrono::steady_clock::now() < deadline) {
    if (!serve(kServeMs)) break;
  }
  save();
  broker_.reset();
}

}  // namespace clickmill::sinks
