#include "engine/node_metrics.h"

#include <algorithm>
#include <cmath>

#include "engine/memory_alarm.h"
#include "store/block_cache.h"
#include "store/lazy_part.h"

namespace clickmill::engine {
namespace {

using Share = cluster::PartitionStatus::Share;

/// Of the streams' tallies, which their checkpoints keep: they go on after a restart.
void add_click_counters(Metrics& metrics, const cluster::Owned& owned,
                        const cluster::PartitionStatus& status) {
  using stream::Tally;
  // They live in the checkpoint: until its log has been replayed a restart shows fewer than
  // before, which Prometheus would take for a new beginning and count all of them again.
  const auto add = [&](const char* name, const char* help, uint64_t (*read)(const Tally&)) {
    metrics.counter_from(name, help, [&owned, &status, read] {
      uint64_t total = 0;
      for (const auto& partition : owned.partitions) total += read(partition->tally());
      return status.all_caught_up() ? static_cast<double>(total) : std::nan("");
    });
  };
  add("clickmill_clicks_received_total", "Clicks read from the log, our own resends left out.",
      [](const Tally& tally) { return tally.received; });
  add("clickmill_clicks_counted_total", "Clicks counted in their minute.",
      [](const Tally& tally) { return tally.counted; });
  add("clickmill_clicks_duplicate_total", "Copies of clicks that were counted or flagged before.",
      [](const Tally& tally) { return tally.duplicate; });
  add("clickmill_clicks_review_total", "Clicks flagged for review.",
      [](const Tally& tally) { return tally.review_total(); });
  add("clickmill_review_accepted_total", "Flagged clicks that were accepted and counted later.",
      [](const Tally& tally) { return tally.accepted; });
  add("clickmill_review_rejected_total", "Flagged clicks that were rejected.",
      [](const Tally& tally) { return tally.rejected; });
  add("clickmill_clicks_resent_total", "Copies that this system itself sent again.",
      [](const Tally& tally) { return tally.resent; });
}

/// Of each partition that is here: nodes that hold the same one show the same series, so that
/// a sum over the highest of each is the cluster's.
void add_partition_counters(Metrics& metrics, const cluster::Owned& owned,
                            const cluster::PartitionStatus& status) {
  const auto add = [&](const char* name, const char* help, uint64_t (*read)(const stream::Tally&)) {
    for (const auto& partition : owned.partitions) {
      const size_t id = partition->id().value();
      metrics.counter_from(
          name, help,
          [&status, partition = partition.get(), id, read] {
            const Share share = status.share(id);
            const bool whole = share.votes && share.caught_up && !share.rebuilding;
            return whole && share.failure.empty() ? static_cast<double>(read(partition->tally()))
                                                  : std::nan("");
          },
          "partition=\"" + std::to_string(id) + "\"");
    }
  };
  add("clickmill_partition_clicks_received_total",
      "Clicks read from the log of a partition that this node holds.",
      [](const stream::Tally& tally) { return tally.received; });
  add("clickmill_partition_clicks_counted_total", "Of them, clicks counted in their minute.",
      [](const stream::Tally& tally) { return tally.counted; });
}

/// From what workers told last: a scrape waits for no partition.
void add_stream_gauges(Metrics& metrics, const cluster::PartitionStatus& status) {
  const auto add = [&](const char* name, const char* help, double (*read)(const Share&)) {
    metrics.gauge_from(name, help, [&status, read] { return status.sum(read); });
  };
  add("clickmill_head_rows", "Minute rows that are in no part yet.",
      [](const Share& share) { return static_cast<double>(share.head_rows); });
  add("clickmill_head_memory_bytes", "Memory of these rows.",
      [](const Share& share) { return static_cast<double>(share.head_bytes); });
  add("clickmill_dedup_ids", "Ids remembered.",
      [](const Share& share) { return static_cast<double>(share.dedup.ids); });
  add("clickmill_dedup_memory_bytes", "Memory of the id tables.",
      [](const Share& share) { return static_cast<double>(share.dedup.memory_bytes); });
  add("clickmill_log_unsealed_bytes", "Log entries held in memory until they are sealed.",
      [](const Share& share) { return static_cast<double>(share.log_bytes); });
  add("clickmill_log_followers", "Readers of raw clicks that wait at the tail.",
      [](const Share& share) { return static_cast<double>(share.tail_readers); });
  metrics.gauge_from("clickmill_stream_partitions_behind",
                     "Partitions that replay the log or are rebuilt from it; counts lack them.",
                     [&status] {
                       return status.sum([](const Share& share) {
                         return share.caught_up && !share.rebuilding ? 0.0 : 1.0;
                       });
                     });
  metrics.counter_from("clickmill_dedup_store_lookups_total",
                       "Ids that had to be looked up in the state store.", [&status] {
                         return status.sum([](const Share& share) {
                           return static_cast<double>(share.dedup.store_lookups);
                         });
                       });
  metrics.gauge_from("clickmill_dedup_table_fill_ratio",
                     "Share of the id tables' slots in use; a table grows at about 0.8.",
                     [&status] {
                       const double slots = status.sum([](const Share& share) {
                         return static_cast<double>(share.dedup.table_slots);
                       });
                       const double used = status.sum([](const Share& share) {
                         return static_cast<double>(share.dedup.table_used);
                       });
                       return slots > 0 ? used / slots : 0;
                     });
  metrics.gauge_from("clickmill_memory_limit_bytes",
                     "Memory that this process may use; the id tables give an alarm at half of it.",
                     [] { return static_cast<double>(memory_limit_here()); });
}

/// Pauses are the worst of all partitions, not their sum: one that stands still is the trouble.
void add_checkpoint_metrics(Metrics& metrics, const cluster::PartitionStatus& status,
                            const Clock& clock) {
  metrics.gauge_from("clickmill_checkpoint_age_seconds",
                     "How long ago the oldest of the partitions' checkpoints was begun, or found "
                     "to need none.",
                     [&status, &clock] {
                       const int64_t now = clock.monotonic_ns();
                       return status.highest([now](const Share& share) {
                         const int64_t saved = share.pauses.saved_at_ns;
                         return saved == 0 ? 0 : static_cast<double>(now - saved) / 1e9;
                       });
                     });
  metrics.counter_from(
      "clickmill_checkpoints_total", "Checkpoints committed since the start.", [&status] {
        return status.sum(
            [](const Share& share) { return static_cast<double>(share.pauses.checkpoints); });
      });
  metrics.gauge_from(
      "clickmill_checkpoint_pause_seconds",
      "How long a partition's last checkpoint held its stream up, the longest of all.", [&status] {
        return status.highest(
            [](const Share& share) { return static_cast<double>(share.pauses.last_ns) / 1e9; });
      });
  metrics.gauge_from("clickmill_checkpoint_pause_longest_seconds",
                     "The longest that a checkpoint held a stream up since the start.", [&status] {
                       return status.highest([](const Share& share) {
                         return static_cast<double>(share.pauses.longest_ns) / 1e9;
                       });
                     });
}

void add_upkeep_metrics(Metrics& metrics, const cluster::PartitionStatus& status) {
  const auto add = [&](const char* name, const char* help, double (*read)(const Share&)) {
    metrics.counter_from(name, help, [&status, read] { return status.sum(read); });
  };
  add("clickmill_merges_total", "Merges of parts since the start.",
      [](const Share& share) { return static_cast<double>(share.upkeep.merges); });
  add("clickmill_merges_failed_total", "Merges of parts that failed; they are tried again.",
      [](const Share& share) { return static_cast<double>(share.upkeep.merges_failed); });
  add("clickmill_seals_failed_total", "Seals of log blocks that failed; they are tried again.",
      [](const Share& share) { return static_cast<double>(share.upkeep.seals_failed); });
  for (size_t level = 0; level < stream::Parts::kLevels; ++level) {
    metrics.gauge_from(
        "clickmill_parts",
        "Parts by size class; those of the last are merged only together with other partitions'.",
        [&status, level] {
          return status.sum(
              [level](const Share& share) { return static_cast<double>(share.parts[level]); });
        },
        "level=\"" + std::to_string(level) + "\"");
  }
}

}  // namespace

void add_shelf_metrics(Metrics& metrics, const Machine& machine) {
  metrics.gauge_from("clickmill_shelf_files", "Files that parts of several partitions share.",
                     [&machine] { return static_cast<double>(machine.shelf().files()); });
  metrics.counter_from("clickmill_shelf_steps_total",
                       "Times that parts of partitions were put together since the start.",
                       [&machine] { return static_cast<double>(machine.shelving().steps()); });
  metrics.counter_from(
      "clickmill_shelf_steps_failed_total", "Those that failed; they are tried again.",
      [&machine] { return static_cast<double>(machine.shelving().steps_failed()); });
  metrics.counter_from("clickmill_shelf_written_bytes_total", "Bytes written by them.", [&machine] {
    return static_cast<double>(machine.shelving().bytes_written());
  });
}

void add_stream_metrics(Metrics& metrics, Machine& machine) {
  add_click_counters(metrics, machine.owned(), machine.status());
  if (machine.peers() != nullptr)
    add_partition_counters(metrics, machine.owned(), machine.status());
  add_stream_gauges(metrics, machine.status());
  add_checkpoint_metrics(metrics, machine.status(), machine.clock().system());
  add_upkeep_metrics(metrics, machine.status());
  add_shelf_metrics(metrics, machine);
  metrics.gauge_from("clickmill_state_memory_bytes", "Memory of the state store.",
                     [&machine] { return static_cast<double>(machine.state().memory_bytes()); });
  metrics.gauge_from("clickmill_store_directory_bytes",
                     "What is kept in memory of where things stand in parts.",
                     [] { return static_cast<double>(store::LazyPart::bytes_kept()); });
  metrics.gauge_from("clickmill_store_cache_bytes",
                     "Columns of parts that questions have read, kept in memory.",
                     [] { return static_cast<double>(store::BlockCache::of_process().bytes()); });
}

void add_disk_metrics(Metrics& metrics, ReservedFileSystem& files, const std::string& directory) {
  const auto add = [&](const char* name, const char* help, uint64_t FileSystem::Space::*which) {
    metrics.gauge_from(name, help, [&files, directory, which] {
      const auto space = files.space(directory);
      return space ? static_cast<double>((*space).*which) : 0.0;
    });
  };
  add("clickmill_disk_bytes", "Size of the data directory's disk.",
      &FileSystem::Space::total_bytes);
  add("clickmill_disk_free_bytes", "What is free of it.", &FileSystem::Space::free_bytes);
  metrics.gauge_from("clickmill_disk_reserve_bytes",
                     "What clicks leave free of it to log, checkpoints and trims.",
                     [&files] { return static_cast<double>(files.reserve()); });
}

void add_collector_metrics(Metrics& metrics, Machine& machine) {
  const log::Journal& journal = machine.journal();
  const collector::Spool& spool = machine.spool();
  metrics.gauge_from(
      "clickmill_build_info", "1; the label tells the version.", [] { return 1.0; },
      "version=\"" CLICKMILL_VERSION "\"");
  metrics.gauge_from("clickmill_spool_clicks", "Clicks answered and not yet committed.",
                     [&spool] { return static_cast<double>(spool.held_clicks()); });
  metrics.gauge_from("clickmill_spool_waiting_clicks",
                     "Clicks that wait in memory to be written to the journal.",
                     [&spool] { return static_cast<double>(spool.waiting_clicks()); });
  metrics.gauge_from("clickmill_spool_oldest_click_age_seconds",
                     "How long the oldest of them has been here; 0 when there is none.",
                     [&machine, &spool] {
                       const ArrivalMs now = machine.clock().now();
                       ArrivalMs oldest = now;
                       for (uint32_t i = 0; i < machine.partitions(); ++i)
                         oldest = std::min(oldest, spool.low_water(PartitionId(i)));
                       return static_cast<double>(now.value() - oldest.value()) / 1e3;
                     });
  metrics.gauge_from("clickmill_spool_memory_bytes",
                     "Bytes of spooled clicks in memory; the rest stands on disk alone.",
                     [&spool] { return static_cast<double>(spool.memory_bytes()); });
  metrics.counter_from("clickmill_spool_lost_total",
                       "Answered clicks that were durable and could not be read back: damage.",
                       [&spool] { return static_cast<double>(spool.lost_clicks()); });
  metrics.gauge_from("clickmill_journal_files", "Journal files in use.",
                     [&journal] { return static_cast<double>(journal.file_count()); });
  metrics.gauge_from("clickmill_journal_queued_bytes",
                     "Bytes that wait to be written to the journal.",
                     [&journal] { return static_cast<double>(journal.queued_bytes()); });
  metrics.counter_from("clickmill_journal_groups_total", "Groups written to the journal.",
                       [&journal] { return static_cast<double>(journal.stats().groups.value()); });
  metrics.counter_from("clickmill_journal_syncs_total", "fdatasync calls of the journal.",
                       [&journal] { return static_cast<double>(journal.stats().syncs.value()); });
  metrics.histogram_of("clickmill_journal_sync_seconds", "How long those calls took.",
                       journal.stats().sync_took);
  metrics.counter_from("clickmill_journal_bytes_total",
                       "Bytes written to the journal, padding included.",
                       [&journal] { return static_cast<double>(journal.stats().bytes.value()); });
  metrics.counter_from("clickmill_journal_rewrites_total",
                       "Failed writes or syncs that were rewritten to a new file.", [&journal] {
                         return static_cast<double>(journal.stats().rewrites.value());
                       });
}

}  // namespace clickmill::engine
