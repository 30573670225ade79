#include "engine/partitions.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/logging.h"

namespace clickmill::engine {
namespace {

// What all partitions together hold in memory, about, until it is in a checkpoint.
constexpr uint64_t kUnsavedBytes = 48 << 20;

const click::ColumnCodec& click_codec() {
  static const click::ColumnCodec codec;
  return codec;
}

stream::Settings settings_of(const Config& config) {
  stream::Settings settings;
  settings.dedup_hours = config.stream.dedup_hours;
  settings.window_grace_ms = int64_t{config.stream.window_grace_s} * 1000;
  settings.max_clock_ahead_ms = int64_t{config.stream.max_clock_ahead_s} * 1000;
  settings.stale_after_hours = config.stream.stale_after_hours;
  settings.nodes = {config.node_id};
  return settings;
}

}  // namespace

Result<std::vector<std::unique_ptr<cluster::Partition>>> open_partitions(
    const Config& config, const DataDir& dir, FileSystem& files, NodeClock& clock,
    stream::StateStore& state, cluster::Owned& owned, const PartitionHooks& hooks) {
  std::vector<std::unique_ptr<cluster::Partition>> partitions;
  for (uint32_t i = 0; i < config.log.partitions; ++i) {
    const PartitionId id(i);
    log::Segments::Options segment_options;
    segment_options.segment_bytes = config.log.segment_bytes;
    segment_options.compression = config.log.compression;
    auto segments = TRY(log::Segments::open(files, dir.log(i), click_codec(), segment_options));
    stream::Pipeline::Options pipeline_options;
    pipeline_options.seed = dir.node().seed;
    pipeline_options.store_directory = dir.store();
    pipeline_options.images = hooks.images;
    auto pipeline = TRY(stream::Pipeline::open(id, state, files, std::move(pipeline_options)));
    if (pipeline->applied() + 1 < segments->first()) {
      return Error(
          Errc::corrupt,
          fmt::format("partition {}: the state ends at offset {}, but the log begins at {}", i,
                      pipeline->applied().value(), segments->first().value()));
    }
    cluster::Partition::Options options;
    options.node_id = config.node_id;
    options.settings = settings_of(config);
    options.checkpoint_interval_ms = int64_t{config.stream.checkpoint_interval_s} * 1000;
    options.checkpoint_bytes = kUnsavedBytes / config.log.partitions;
    options.low_water = hooks.low_water;
    options.in_background = hooks.in_background;
    options.on_worker = [&owned, id](std::function<void()> task) {
      owned.worker_of(id).post(std::move(task));
    };
    partitions.push_back(std::make_unique<cluster::Partition>(
        id, clock, std::move(segments), std::move(pipeline), std::move(options)));
  }
  return partitions;
}

Status remove_orphaned_parts(const DataDir& dir, FileSystem& files, const cluster::Owned& owned) {
  std::set<std::string> named;
  for (const auto& partition : owned.partitions) {
    for (const auto& meta : partition->pipeline().part_metas()) named.insert(meta.name);
  }
  for (const std::string& name : TRY(files.list(dir.store()))) {
    if (named.count(name) != 0) continue;
    log_info("store", fmt::format("removing {}, which no checkpoint names", name));
    TRY(files.remove(dir.store() + "/" + name));
  }
  return {};
}

void PartitionStatus::update(cluster::Partition& partition, JournalPos current_begin) {
  Share share;
  share.dedup = partition.pipeline().dedup_usage();
  share.head_rows = partition.pipeline().head_rows();
  share.oldest_durable_hour = partition.pipeline().oldest_durable_hour();
  share.log_bytes = partition.log().memory_bytes();
  share.followers = partition.followers();
  share.pauses = partition.checkpoint_pauses();
  // Records on their way stand in the current file or later.
  share.oldest_needed = std::min(current_begin, partition.oldest_needed());
  share.checkpointed = partition.pipeline().checkpointed();
  share.log_time = partition.log().last_append_ms();
  share.caught_up = partition.caught_up();
  if (partition.failure()) share.failure = partition.failure()->text();
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

int64_t PartitionStatus::oldest_durable_hour() const {
  std::lock_guard lock(mutex_);
  int64_t oldest = std::numeric_limits<int64_t>::max();
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

std::vector<std::string> PartitionStatus::reasons() const {
  std::vector<std::string> reasons;
  std::lock_guard lock(mutex_);
  size_t behind = 0;
  for (const Share& share : shares_) {
    if (!share.failure.empty()) {
      reasons.push_back(share.failure);
    } else if (!share.caught_up) {
      ++behind;
    }
  }
  if (behind > 0)
    reasons.push_back(fmt::format("stream: {} partitions are replaying the log", behind));
  return reasons;
}

}  // namespace clickmill::engine
