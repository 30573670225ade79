// File `upkeep`, version 2, little-endian; written as a whole, atomically:
//    0  8  magic "CMUPKEEP"
//    8  4  version, 2
//   12  4  number of partitions
//   16  8  trusted time, ms since 1970
//   24  8  what is left of a hold on deleting by age, ms of running; 0: none
//   32     per partition 8: when it was last scrubbed, ms since 1970; 0: never
//   …      per partition: varint length | what its last scrub found damaged, for a person;
//          version 1, which is still read, has none
//   …   8  XXH3 of everything before
//
// A file that is missing stands for a first start. One that is damaged or of another
// version says nothing about the clock, so that the hold begins anew.

#include "log/upkeep.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/damage.h"
#include "base/file_header.h"
#include "base/give_way.h"
#include "base/logging.h"

namespace clickmill::log {
namespace {

constexpr FileFormat kFormat{"upkeep", "CMUPKEEP", 2, 1};
constexpr int64_t kRoundNs = 1'000'000'000;
// Between reads of a scrub; short enough that a sweep or a stop isn't kept waiting.
constexpr int64_t kPauseMostNs = 1'000'000'000;

}  // namespace

struct Upkeep::Saved {
  std::optional<AgeGuard::State> guard;
  std::vector<int64_t> checked_ms;
  std::vector<std::string> damage;
};

Upkeep::Upkeep(FileSystem& files, const Clock& clock, std::vector<Segments*> segments,
               Options options)
    : files_(files),
      clock_(clock),
      segments_(std::move(segments)),
      options_(std::move(options)),
      damage_(segments_.size()) {}

Result<std::unique_ptr<Upkeep>> Upkeep::open(FileSystem& files, const Clock& clock,
                                             std::vector<Segments*> segments, LogMs newest,
                                             Options options) {
  std::unique_ptr<Upkeep> upkeep(new Upkeep(files, clock, std::move(segments), std::move(options)));
  auto saved = TRY(upkeep->load());
  const int64_t now = clock.wall_ms();
  upkeep->guard_ = std::make_unique<AgeGuard>(saved.guard, newest, now, clock.monotonic_ns());
  upkeep->damage_ = std::move(saved.damage);
  upkeep->scrubs_ = std::make_unique<ScrubPlan>(std::move(saved.checked_ms), now);
  if (auto written = upkeep->save(); !written) {
    // A full disk must not keep a node from starting; a clock that nothing vouches for
    // deletes nothing.
    log_warn("log", "retention: nothing is deleted by age for now: " + written.error().text());
    const AgeGuard::State held{0, AgeGuard::kHoldMs};
    upkeep->guard_ = std::make_unique<AgeGuard>(held, newest, now, clock.monotonic_ns());
  }
  upkeep->publish_hold();
  return upkeep;
}

Result<Upkeep::Saved> Upkeep::load() const {
  Saved saved;
  saved.checked_ms.resize(segments_.size());
  saved.damage.resize(segments_.size());
  const std::string path = options_.directory + "/upkeep";
  if (!files_.exists(path)) return saved;
  auto bytes = read_file(files_, path);
  if (!bytes && !wants_a_person(bytes.error())) return std::move(bytes).error();
  if (auto read = bytes ? decode(*bytes) : std::nullopt) return *std::move(read);
  log_warn("log", (bytes ? path + ": damaged or of another version" : bytes.error().text()) +
                      "; nothing is deleted by age for now");
  saved.guard = AgeGuard::State{0, AgeGuard::kHoldMs};
  return saved;
}

std::optional<Upkeep::Saved> Upkeep::decode(std::string_view bytes) const {
  auto header = read_file_header(kFormat, bytes);
  if (!header) return std::nullopt;
  ByteCursor& fields = header->fields;
  if (fields.u32() != segments_.size()) return std::nullopt;
  Saved saved;
  saved.guard = AgeGuard::State{fields.i64(), fields.i64()};
  saved.checked_ms.resize(segments_.size());
  for (auto& time : saved.checked_ms) time = fields.i64();
  saved.damage.resize(segments_.size());
  if (header->version > 1) {
    for (auto& text : saved.damage) text = fields.bytes();
  }
  if (!fields.done()) return std::nullopt;
  return saved;
}

Status Upkeep::save() const {
  std::string bytes = begin_file_header(kFormat);
  ByteWriter writer(bytes);
  writer.u32(static_cast<uint32_t>(segments_.size()));
  writer.i64(guard_->state().trusted_ms);
  writer.i64(guard_->state().hold_left_ms);
  for (const int64_t time : scrubs_->checked_ms()) writer.i64(time);
  {
    const std::lock_guard lock(mutex_);
    for (const auto& text : damage_) writer.bytes(text);
  }
  append_checksum(bytes);
  return write_file_atomically(files_, options_.directory + "/upkeep", bytes);
}

void Upkeep::add_metrics(Metrics& metrics) {
  metrics.gauge_from("clickmill_log_sealed_bytes", "Bytes of sealed segments on disk.",
                     [this] { return static_cast<double>(log_bytes()); });
  metrics.counter_from("clickmill_log_dropped_bytes_total",
                       "Bytes of segments that retention deleted.",
                       [this] { return static_cast<double>(stats_.dropped_bytes.value()); });
  metrics.gauge_from("clickmill_log_retention_held",
                     "1 while nothing is deleted by age because the clock may be wrong.", [this] {
                       const std::lock_guard lock(mutex_);
                       return hold_left_ms_ > 0 ? 1.0 : 0.0;
                     });
  metrics.counter_from("clickmill_log_scrub_blocks_total", "Sealed blocks that the scrub has read.",
                       [this] { return static_cast<double>(stats_.scrubbed_blocks.value()); });
  metrics.counter_from("clickmill_log_scrub_damaged_total", "Places where the scrub found damage.",
                       [this] { return static_cast<double>(stats_.scrub_damaged.value()); });
  metrics.gauge_from("clickmill_log_scrub_last_timestamp_seconds",
                     "When the scrub last finished a partition; 0: not since the start.",
                     [this] { return static_cast<double>(stats_.scrub_last_ms.value()) / 1000; });
}

void Upkeep::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "background-log");
    give_way(10);
    do {
      round();
    } while (pause(kRoundNs));
  });
}

void Upkeep::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool Upkeep::stopping() const {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

/// False when it is time to stop.
bool Upkeep::pause(int64_t nanoseconds) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, std::chrono::nanoseconds(nanoseconds), [this] { return stopping_; });
  return !stopping_;
}

void Upkeep::round() {
  sweep_if_due();
  scrub_if_due();
}

void Upkeep::take_in_marker() {
  const std::string marker = lift_marker(options_.directory);
  if (!files_.exists(marker)) return;
  if (auto removed = files_.remove(marker); !removed) {
    return log_warn("log", "retention --now: " + removed.error().text());
  }
  log_info("log", "retention: an operator vouches for the clock; old segments go now");
  guard_->lift(clock_.wall_ms());
  if (options_.on_vouched) options_.on_vouched();
  next_sweep_ns_ = clock_.monotonic_ns();
}

void Upkeep::sweep_if_due() {
  guard_->observe(clock_.wall_ms(), clock_.monotonic_ns());
  take_in_marker();
  publish_hold();
  if (options_.tell_time) options_.tell_time(guard_->state().trusted_ms);
  if (clock_.monotonic_ns() < next_sweep_ns_) return;
  next_sweep_ns_ = clock_.monotonic_ns() + options_.sweep_interval_ms * 1'000'000;
  const auto saved = save();
  if (!saved) log_warn("log", "retention: nothing is deleted by age now: " + saved.error().text());
  sweep(saved.has_value() && !guard_->holding());
}

void Upkeep::sweep(bool by_age) {
  std::vector<Sweepable> partitions;
  for (size_t i = 0; i < segments_.size(); ++i) {
    const Needs needs = options_.needs(i);
    partitions.push_back(
        {segments_[i]->closed(), segments_[i]->bytes(), needs.from, needs.log_time});
  }
  const auto before = plan_sweep(partitions, options_.rules, clock_.wall_ms(), by_age);
  for (size_t i = 0; i < segments_.size(); ++i) {
    if (before[i] == Offset(0)) continue;
    const auto dropped = segments_[i]->drop(before[i], LogMs(INT64_MAX));
    if (!dropped) {
      log_warn("log", fmt::format("partition {}: retention: {}", i, dropped.error().text()));
      continue;
    }
    uint64_t bytes = 0;
    for (const auto& segment : partitions[i].closed) {
      if (segment.last < before[i]) bytes += segment.bytes;
    }
    stats_.dropped_bytes.add(bytes);
    log_info("log",
             fmt::format("partition {}: retention dropped {} bytes, everything before offset {}", i,
                         bytes, before[i].value()));
  }
}

void Upkeep::scrub_if_due() {
  const auto partition = scrubs_->due(clock_.wall_ms());
  if (partition) scrub(*partition);
}

void Upkeep::scrub(size_t partition) {
  const auto rate = static_cast<int64_t>(ScrubPlan::bytes_per_s(log_bytes()));
  int64_t owed_bytes = 0;
  const auto report = segments_[partition]->verify([&](uint64_t bytes) {
    owed_bytes += static_cast<int64_t>(bytes);
    // Paid in portions, since a wait for every block would be too short to be exact.
    while (owed_bytes * 8 > rate) {
      const int64_t paid = std::min(owed_bytes, rate);
      if (!pause(std::min(kPauseMostNs, paid * 1'000'000'000 / rate))) return false;
      owed_bytes -= paid;
      sweep_if_due();
    }
    return !stopping();
  });
  if (stopping()) return;
  stats_.scrubbed_blocks.add(report.blocks);
  stats_.scrub_damaged.add(report.damage.size());
  stats_.scrub_last_ms.set(clock_.wall_ms());
  for (const auto& line : report.damage) {
    log_error("log", fmt::format("scrub: partition {}: {}", partition, line));
  }
  std::string text;
  if (!report.damage.empty()) {
    text = fmt::format("log: the scrub found damage in partition {} ({} places): {}", partition,
                       report.damage.size(), report.damage.front());
  }
  {
    const std::lock_guard lock(mutex_);
    damage_[partition] = std::move(text);
  }
  scrubs_->done(partition, clock_.wall_ms());
  if (auto saved = save(); !saved) log_warn("log", "scrub: " + saved.error().text());
}

uint64_t Upkeep::log_bytes() const {
  uint64_t bytes = 0;
  for (const auto* segments : segments_) bytes += segments->bytes();
  return bytes;
}

void Upkeep::publish_hold() {
  int64_t before = 0;
  {
    const std::lock_guard lock(mutex_);
    before = std::exchange(hold_left_ms_, guard_->state().hold_left_ms);
  }
  if (before == 0 && guard_->holding()) {
    log_warn("log", "retention: the clock is far ahead of log time; nothing is deleted by age");
  }
}

std::vector<std::string> Upkeep::warnings() const {
  std::vector<std::string> out;
  const std::lock_guard lock(mutex_);
  if (hold_left_ms_ > 0) {
    out.push_back(fmt::format(
        "log: the clock is far ahead of log time, so nothing is deleted by age for another {:.1f} "
        "hours of running; if it is right, clickmill retention --now lifts this",
        static_cast<double>(hold_left_ms_) / static_cast<double>(kHourMs)));
  }
  for (const auto& text : damage_) {
    if (!text.empty()) out.push_back(text);
  }
  return out;
}

}  // namespace clickmill::log
