#include "cluster/recounter.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/give_way.h"
#include "base/logging.h"
#include "click/click.h"
#include "cluster/ask.h"
#include "store/merge.h"
#include "stream/repair.h"

namespace clickmill::cluster {
namespace {

constexpr size_t kReadBytes = 1 << 20;
constexpr int kNice = 10;
// A repair that finds a row changed leaves it: it is recounted and tried again.
constexpr int kRepairRounds = 3;

/// What a partition has stored at one applied offset.
struct Stored {
  Offset applied;
  stream::Settings settings;
  store::Version version;
};

Result<Stored> stored_of(Owned& owned, PartitionId partition, const RecountRequest& request,
                         int64_t from_ms, int64_t to_ms) {
  return ask<Stored>(
      owned, partition,
      [ad_id = request.ad_id, from_ms, to_ms](Partition& asked,
                                              const std::function<void(Result<Stored>)>& answer) {
        store::Scan scan;
        scan.ad_id = ad_id;
        scan.from_ms = from_ms;
        scan.to_ms = to_ms;
        scan.countries = true;
        scan.visitors = true;
        const stream::Pipeline& pipeline = asked.pipeline();
        answer(Stored{pipeline.applied(), pipeline.settings(), pipeline.version(scan)});
      });
}

Recounter::Found found_of(const stream::Difference& difference) {
  Recounter::Found found;
  found.advertiser_id = difference.advertiser_id;
  found.ad_id = difference.ad_id;
  found.automated = difference.automated;
  found.minute_ms = difference.minute_ms;
  found.stored = {difference.stored.counts.clicks, difference.stored.visitors.estimate()};
  found.recounted = {difference.recounted.counts.clicks, difference.recounted.visitors.estimate()};
  found.text = stream::to_text(difference);
  return found;
}

/// The order in which differences come.
bool before(const stream::Difference& a, const stream::Difference& b) {
  return std::tie(a.advertiser_id, a.ad_id, a.automated, a.minute_ms) <
         std::tie(b.advertiser_id, b.ad_id, b.automated, b.minute_ms);
}

stream::Repair::Item item_of(const stream::Difference& difference) {
  // A side that is missing knows no key of its own.
  const auto with_key = [&](store::Row row) {
    row.advertiser_id = difference.advertiser_id;
    row.ad_id = difference.ad_id;
    row.automated = difference.automated;
    row.bucket_ms = difference.minute_ms;
    return row;
  };
  return {with_key(difference.recounted), stream::fingerprint_of(with_key(difference.stored))};
}

}  // namespace

std::string_view to_string(Recounter::State state) {
  switch (state) {
    case Recounter::State::running: return "running";
    case Recounter::State::done: return "done";
    case Recounter::State::failed: return "failed";
    case Recounter::State::cancelled: return "cancelled";
  }
  return "?";
}

struct Recounter::Comparison {
  int64_t from_ms = 0;
  Stored stored;
  std::vector<store::Row> rows;
  stream::Recounted recounted;
  std::vector<stream::Difference> differences;
};

Result<uint64_t> Recounter::start(RecountRequest request) {
  std::lock_guard lock(mutex_);
  if (thread_.joinable() && report_.state == State::running) {
    return Error(Errc::busy, fmt::format("recount {} is under way", report_.id));
  }
  const auto partitions = static_cast<uint32_t>(owned_.partitions.size());
  std::vector<PartitionId> wanted = owned_.all();
  if (!request.ad_id.empty()) wanted = {click::partition_of(request.ad_id, partitions)};
  std::erase_if(wanted, [this](PartitionId partition) { return !is_here(partition); });
  if (wanted.empty())
    return Error(Errc::not_leader,
                 fmt::format("{} is in partition {}, which this node doesn't hold", request.ad_id,
                             click::partition_of(request.ad_id, partitions).value()));
  if (thread_.joinable()) thread_.join();
  const uint64_t id = report_.id + 1;
  report_ = {};
  found_.clear();
  report_.id = id;
  report_.request = request;
  report_.partitions = wanted;
  request_ = std::move(request);
  wanted_ = std::move(wanted);
  cancelled_ = false;
  thread_ = std::thread([this] {
    ::pthread_setname_np(::pthread_self(), "recount");
    give_way(kNice);
    run();
  });
  return id;
}

Result<Recounter::Report> Recounter::report(uint64_t id, size_t after, size_t limit) const {
  std::lock_guard lock(mutex_);
  if (id == 0 || id != report_.id)
    return Error(Errc::not_found, fmt::format("there is no recount {}", id));
  Report report = report_;
  const size_t begin = std::min(after, found_.size());
  const size_t end = begin + std::min(limit, found_.size() - begin);
  report.found.assign(found_.begin() + static_cast<std::ptrdiff_t>(begin),
                      found_.begin() + static_cast<std::ptrdiff_t>(end));
  return report;
}

Status Recounter::cancel(uint64_t id) {
  std::lock_guard lock(mutex_);
  if (id == 0 || id != report_.id)
    return Error(Errc::not_found, fmt::format("there is no recount {}", id));
  cancelled_ = true;
  return {};
}

void Recounter::stop() {
  cancelled_ = true;
  if (thread_.joinable()) thread_.join();
}

void Recounter::run() {
  Status done;
  for (const PartitionId partition : wanted_) {
    if (!done) break;
    done = recount_partition(partition);
    std::lock_guard lock(mutex_);
    ++report_.partitions_done;
  }
  std::lock_guard lock(mutex_);
  if (!done) report_.failure = done.error().text();
  report_.state = done ? State::done : cancelled_ ? State::cancelled : State::failed;
  log_info(
      "recount",
      fmt::format(
          "recount {}, asked for by {}: {}: {} minutes of ads compared, {} differ, {} repaired",
          report_.id, request_.by, to_string(report_.state), report_.compared, report_.differ,
          report_.repaired));
}

/// Of other partitions there is no log here.
bool Recounter::is_here(PartitionId partition) const {
  const Partition& of = *owned_.partitions[partition.value()];
  return (of.everywhere() && !of.apart()) || of.votes();
}

/// In one piece, or in as many as its rows want.
Status Recounter::recount_partition(PartitionId partition) {
  int64_t from_ms = request_.from_ms;
  int64_t length_ms = request_.to_ms - from_ms;
  while (from_ms < request_.to_ms) {
    const int64_t to_ms = std::min(request_.to_ms, from_ms + length_ms);
    auto done = recount_piece(partition, from_ms, to_ms);
    if (!done && done.error().code() == Errc::invalid && to_ms - from_ms > kMinuteMs) {
      length_ms = floor_to((to_ms - from_ms) / 2 + kMinuteMs - 1, kMinuteMs);
      continue;
    }
    if (!done)
      return std::move(done).error().with_context(fmt::format("partition {}", partition.value()));
    from_ms = to_ms;
  }
  return {};
}

Status Recounter::recount_piece(PartitionId partition, int64_t from_ms, int64_t to_ms) {
  const Comparison comparison = TRY(compare(partition, from_ms, to_ms));
  auto left = comparison.differences;
  if (request_.repair) left = TRY(repair(partition, std::move(left)));
  note(comparison, left);
  return {};
}

Result<Recounter::Comparison> Recounter::compare(PartitionId partition, int64_t from_ms,
                                                 int64_t to_ms) {
  Comparison comparison;
  comparison.from_ms = from_ms;
  comparison.stored = TRY(stored_of(owned_, partition, request_, from_ms, to_ms));
  comparison.rows = std::move(comparison.stored.version.head);
  store::Scan scan;
  scan.ad_id = request_.ad_id;
  scan.from_ms = from_ms;
  scan.to_ms = to_ms;
  store::copy_rows(comparison.stored.version.frozen, scan, comparison.rows);
  comparison.stored.version.frozen.clear();
  const auto& parts = (*comparison.stored.version.parts)[static_cast<size_t>(store::Table::minute)];
  TRY(store::read_rows(parts, scan, comparison.rows, options_.rows_most));
  comparison.stored.version.parts.reset();
  store::fold_rows(comparison.rows);
  comparison.recounted = TRY(recount_log(partition, comparison, from_ms, to_ms));
  comparison.differences = stream::differences(comparison.rows, comparison.recounted.rows);
  std::erase_if(comparison.differences, [&](const stream::Difference& difference) {
    return difference.minute_ms < comparison.recounted.judged_from_ms;
  });
  return comparison;
}

/// The log is read from where the range's first clicks, and the ids that make a
/// click of them a duplicate, can stand; from its start when an operator accepted one
/// that stands before.
Result<stream::Recounted> Recounter::recount_log(PartitionId partition, const Comparison& stored,
                                                 int64_t from_ms, int64_t to_ms) {
  stream::RecountOptions options;
  options.from_ms = from_ms;
  options.to_ms = to_ms;
  options.ad_id = request_.ad_id;
  options.seed = options_.seed();
  options.settings = stored.stored.settings;
  options.ids_most = options_.ids_most;
  options.rows_most = options_.rows_most;
  const stream::Settings& settings = options.settings;
  const int64_t begin_ms = floor_to(from_ms - settings.max_clock_ahead_ms, kHourMs) -
                           (settings.dedup_hours + 2) * kHourMs;
  Offset begin(1);
  if (begin_ms > 0) begin = TRY(log_.find_time(partition, LogMs(begin_ms)));
  const Offset first = TRY(log_.state(partition)).first;
  if (begin > first) options.complete_from_ms = begin_ms;
  const Offset last = stored.stored.applied;
  const auto read = [&](const auto& visit) { return read_log(partition, begin, last, visit); };
  auto recounted = TRY(stream::recount(options, read));
  if (recounted.accepted_earlier && begin > first) {
    begin = Offset(1);
    options.complete_from_ms = INT64_MAX;
    recounted = TRY(stream::recount(options, read));
  } else if (begin > first && TRY(log_.state(partition)).first > begin) {
    return Error(Errc::busy, "retention has dropped what was being read; begin later");
  }
  return recounted;
}

Status Recounter::read_log(PartitionId partition, Offset from, Offset last,
                           const std::function<Status(const log::Entry&)>& visit) {
  Offset next = from;
  bool begun = false;
  uint64_t read = 0;
  while (next <= last) {
    const auto entries = TRY(log_.read(partition, next, kReadBytes));
    if (entries.empty())
      return Error(Errc::corrupt,
                   fmt::format("offsets {} to {} are missing", next.value(), last.value()));
    for (const auto& entry : entries) {
      if (cancelled_) return Error(Errc::closed, "cancelled");
      if (entry->last() < next) continue;
      if (entry->first > last) return {};
      if (begun && entry->first != next)
        return Error(Errc::busy, "retention has dropped what was being read; begin later");
      begun = true;
      TRY(visit(*entry));
      next = entry->last() + 1;
      ++read;
    }
    std::lock_guard lock(mutex_);
    report_.entries += std::exchange(read, 0);
  }
  return {};
}

/// Answers what is left when no more can be done.
Result<std::vector<stream::Difference>> Recounter::repair(
    PartitionId partition, std::vector<stream::Difference> differences) {
  for (int round = 0; round < kRepairRounds && !differences.empty(); ++round) {
    stream::Repair repair;
    repair.by = request_.by;
    int64_t from_ms = INT64_MAX;
    int64_t to_ms = INT64_MIN;
    for (const auto& difference : differences) {
      repair.items.push_back(item_of(difference));
      from_ms = std::min(from_ms, difference.minute_ms);
      to_ms = std::max(to_ms, difference.minute_ms + kMinuteMs);
    }
    for (const std::string& piece : stream::encode_repair(repair)) {
      auto applied = ask<Offset>(owned_, partition, [piece](Partition& asked, const auto& answer) {
        asked.propose(click::EntryKind::repair, std::string(piece), answer);
      });
      // Without an answer in time it may come about all the same: the next look tells.
      if (!applied && applied.error().code() != Errc::busy) return std::move(applied).error();
    }
    differences = TRY(compare(partition, from_ms, to_ms)).differences;
  }
  return differences;
}

void Recounter::note(const Comparison& comparison, const std::vector<stream::Difference>& left) {
  std::lock_guard lock(mutex_);
  report_.clicks += comparison.recounted.clicks;
  report_.compared += std::max(comparison.rows.size(), comparison.recounted.rows.size());
  if (const int64_t judged_from_ms = comparison.recounted.judged_from_ms;
      judged_from_ms > comparison.from_ms) {
    report_.judged_from_ms = std::max(report_.judged_from_ms, judged_from_ms);
  }
  for (const auto& difference : comparison.differences) {
    const bool still = std::binary_search(left.begin(), left.end(), difference, before);
    ++report_.differ;
    report_.repaired += request_.repair && !still ? 1 : 0;
    if (found_.size() >= options_.listed_most) continue;
    found_.push_back(found_of(difference));
    found_.back().repaired = request_.repair && !still;
  }
}

}  // namespace clickmill::cluster
