#include <fmt/format.h>

#include <algorithm>

#include "base/time_text.h"
#include "tools/offline_node.h"
#include "tools/recount_report.h"

namespace clickmill::tools {
namespace {

/// The comparison of a data directory's partitions, one after the other.
class OfflineRecount {
 public:
  OfflineRecount(OfflineNode& node, const RecountArguments& request, const Print& print,
                 const Print& tell, Progress& progress)
      : node_(node),
        request_(request),
        tell_(tell),
        progress_(progress),
        report_(request, print, tell) {}

  Result<int> run() {
    const auto deleted = TRY(node_.deleted_before());
    if (request_.from_ms < deleted[0]) {
      return Error(Errc::invalid, fmt::format("--from: the minutes before {} have been deleted "
                                              "(store.retention_days.minute); recount from then on",
                                              format_time_ms(deleted[0])));
    }
    tell_(fmt::format("recounting {} to {}, as of each partition's last checkpoint",
                      format_time_ms(request_.from_ms), format_time_ms(request_.to_ms)));
    const uint32_t partitions = node_.node().partitions;
    for (uint32_t i = 0; i < partitions; ++i) {
      const PartitionId partition(i);
      if (!request_.ad_id.empty() && click::partition_of(request_.ad_id, partitions) != partition)
        continue;
      auto done = compare(partition);
      if (!done) return std::move(done).error().with_context(fmt::format("partition {}", i));
    }
    return report_.finish();
  }

 private:
  Status compare(PartitionId partition) {
    store::Scan scan;
    scan.ad_id = request_.ad_id;
    scan.from_ms = request_.from_ms;
    scan.to_ms = request_.to_ms;
    scan.countries = true;
    scan.visitors = true;
    const auto stored = TRY(node_.stored(partition, scan));
    stream::RecountOptions options;
    options.from_ms = request_.from_ms;
    options.to_ms = request_.to_ms;
    options.ad_id = request_.ad_id;
    options.seed = node_.node().seed;
    options.settings = stored.checkpoint.settings;
    const auto recounted = TRY(stream::recount(options, [&](const auto& visit) {
      return read_log(partition, stored.checkpoint.applied, visit);
    }));
    report_.add(recounted, std::max(stored.rows.size(), recounted.rows.size()),
                stream::differences(stored.rows, recounted.rows));
    tell_(fmt::format("partition {}: {} entries, {} clicks in the range", partition.value(),
                      recounted.entries, recounted.clicks));
    return {};
  }

  Status read_log(PartitionId partition, Offset last,
                  const std::function<Status(const log::Entry&)>& visit) {
    return node_.visit_log(partition, last, [&](const log::Entry& entry) {
      progress_.at([&] {
        return fmt::format("partition {}: read up to {}", partition.value(),
                           format_time_ms(entry.append_ms.value()));
      });
      return visit(entry);
    });
  }

  OfflineNode& node_;
  const RecountArguments& request_;
  const Print& tell_;
  Progress& progress_;
  RecountReport report_;
};

}  // namespace

Result<int> recount_offline(const RecountArguments& request, const Print& print,
                            const Print& tell) {
  PosixFileSystem files;
  const SystemClock clock;
  Progress progress(clock, tell);
  const auto node = TRY(OfflineNode::open(files, request.data_dir, progress));
  return OfflineRecount(*node, request, print, tell, progress).run();
}

}  // namespace clickmill::tools
