#include "cluster/reader.h"

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace clickmill::cluster {
namespace {

constexpr auto kPatience = std::chrono::seconds(5);

/// Outlives the request when a worker answers after the reader has given up;
/// so it owns what the scan refers to. The mutex guards it between the workers
/// and the one reader that waits.
struct Gathering {
  std::string ad_id;
  std::string advertiser_id;
  store::Scan scan;
  std::mutex mutex;
  std::condition_variable done;
  std::vector<store::Version> versions;
  size_t missing = 0;
  std::optional<Errc> refused;
  std::string why;
};

void answer(Gathering& gathering, size_t index, const Partition& partition) {
  std::optional<store::Version> version;
  if (partition.caught_up() && !partition.failure()) {
    version = partition.pipeline().version(gathering.scan);
  }
  std::lock_guard lock(gathering.mutex);
  if (version) {
    gathering.versions[index] = *std::move(version);
  } else {
    gathering.refused = partition.failure() ? Errc::closed : Errc::busy;
    gathering.why = partition.failure() ? partition.failure()->message() : "counts are being caught up after a start";
  }
  if (--gathering.missing == 0) gathering.done.notify_one();
}

}  // namespace

std::vector<PartitionId> Reader::all() const {
  std::vector<PartitionId> ids;
  for (const auto& partition : owned_.partitions) ids.push_back(partition->id());
  return ids;
}

Result<std::vector<store::Version>> Reader::read(const std::vector<PartitionId>& ids,
                                                 const store::Scan& scan) const {
  auto gathering = std::make_shared<Gathering>();
  gathering->ad_id = scan.ad_id;
  gathering->advertiser_id = scan.advertiser_id;
  gathering->scan = scan;
  gathering->scan.ad_id = gathering->ad_id;
  gathering->scan.advertiser_id = gathering->advertiser_id;
  gathering->versions.resize(ids.size());
  gathering->missing = ids.size();
  for (size_t i = 0; i < ids.size(); ++i) {
    const Partition* partition = owned_.partitions[ids[i].value()].get();
    if (!owned_.worker_of(ids[i]).try_post([gathering, i, partition] { answer(*gathering, i, *partition); })) {
      return Error(Errc::busy, "too many queries wait");
    }
  }
  std::unique_lock lock(gathering->mutex);
  if (!gathering->done.wait_for(lock, kPatience, [&] { return gathering->missing == 0; })) {
    return Error(Errc::busy, "partitions did not answer in time");
  }
  if (gathering->refused) return Error(*gathering->refused, gathering->why);
  return std::move(gathering->versions);
}

}  // namespace clickmill::cluster
