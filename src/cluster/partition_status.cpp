#include "cluster/partition_status.h"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/votes_on.h"

namespace clickmill::cluster {

void PartitionStatus::update(Partition& partition, JournalPos current_begin) {
  Share share;
  share.dedup = partition.pipeline().dedup_usage();
  share.head_rows = partition.pipeline().head_rows();
  share.head_bytes = partition.pipeline().head_memory_bytes();
  share.oldest_durable_hour = partition.oldest_durable_hour();
  share.rebuilding = partition.rebuilding();
  share.damaged_parts.assign(partition.damaged_parts().begin(), partition.damaged_parts().end());
  if (!partition.seal_trouble().empty()) share.damaged_parts.push_back(partition.seal_trouble());
  share.log_bytes = partition.log().memory_bytes();
  share.tail_readers = partition.tail_readers();
  share.pauses = partition.checkpoint_pauses();
  share.upkeep = partition.upkeep();
  share.parts = partition.pipeline().part_levels();
  // Records on their way stand in the current file or later.
  share.oldest_needed = std::min(current_begin, partition.oldest_needed());
  share.checkpointed = partition.pipeline().checkpointed();
  share.log_time = partition.log().last_append_ms();
  // A new partition knows no time before its first entry, and so has no answer.
  share.caught_up =
      !partition.relied_on() ||
      (partition.caught_up() && partition.pipeline().horizon().log_time() != LogMs(0));
  share.votes = votes_on(partition.replica());
  share.gear = partition.gear();
  share.leads = partition.replica().leads();
  share.leaderless = !partition.led();
  share.leads_taken = partition.leads_taken();
  if (partition.failure() && !partition.hollow()) share.failure = partition.failure()->text();
  share.trouble = partition.trouble();
  share.difference = partition.difference();
  std::lock_guard lock(mutex_);
  shares_[partition.id().value()] = std::move(share);
}

JournalPos PartitionStatus::oldest_needed() const {
  std::lock_guard lock(mutex_);
  JournalPos oldest(UINT64_MAX);
  for (const Share& share : shares_) oldest = std::min(oldest, share.oldest_needed);
  return oldest;
}

PartitionStatus::Share PartitionStatus::share(size_t partition) const {
  std::lock_guard lock(mutex_);
  return shares_[partition];
}

LogHour PartitionStatus::oldest_durable_hour() const {
  std::lock_guard lock(mutex_);
  LogHour oldest(std::numeric_limits<int64_t>::max());
  for (const Share& share : shares_) oldest = std::min(oldest, share.oldest_durable_hour);
  return oldest;
}

double PartitionStatus::sum(const std::function<double(const Share&)>& read) const {
  std::lock_guard lock(mutex_);
  double total = 0;
  for (const Share& share : shares_) total += read(share);
  return total;
}

double PartitionStatus::highest(const std::function<double(const Share&)>& read) const {
  std::lock_guard lock(mutex_);
  double highest = 0;
  for (const Share& share : shares_) highest = std::max(highest, read(share));
  return highest;
}

bool PartitionStatus::all_caught_up() const {
  std::lock_guard lock(mutex_);
  return std::all_of(shares_.begin(), shares_.end(), [](const Share& share) {
    return share.caught_up && !share.rebuilding && share.failure.empty();
  });
}

std::vector<std::string> PartitionStatus::reasons() const {
  std::vector<std::string> reasons;
  std::lock_guard lock(mutex_);
  size_t behind = 0;
  size_t held_up = 0;
  size_t leaderless = 0;
  std::string trouble;
  for (size_t i = 0; i < shares_.size(); ++i) {
    const Share& share = shares_[i];
    if (!share.trouble.empty() && held_up++ == 0) trouble = share.trouble;
    if (!share.failure.empty()) {
      reasons.push_back(share.failure);
    } else if (share.rebuilding) {
      reasons.push_back(
          fmt::format("stream: partition {} was damaged and is being rebuilt from the log", i));
    } else if (!share.difference.empty()) {
      reasons.push_back(share.difference);
    } else if (share.leaderless) {
      ++leaderless;
    } else if (!share.caught_up) {
      ++behind;
    }
  }
  if (held_up > 0)
    reasons.push_back(fmt::format("stream: {} partitions are held up: {}", held_up, trouble));
  if (leaderless > 0)
    reasons.push_back(fmt::format(
        "cluster: {} partitions have no leader; their clicks wait in the spool", leaderless));
  if (behind > 0)
    reasons.push_back(fmt::format("stream: {} partitions are replaying the log", behind));
  return reasons;
}

std::vector<std::string> PartitionStatus::warnings() const {
  std::vector<std::string> warnings;
  std::lock_guard lock(mutex_);
  for (const Share& share : shares_)
    warnings.insert(warnings.end(), share.damaged_parts.begin(), share.damaged_parts.end());
  return warnings;
}

}  // namespace clickmill::cluster
