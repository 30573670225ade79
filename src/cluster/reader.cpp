#include "cluster/reader.h"

#include <string>

#include "cluster/ask.h"

namespace clickmill::cluster {
namespace {

/// A scan refers to its texts; this one owns them.
struct OwnScan {
  explicit OwnScan(const store::Scan& from)
      : ad_id(from.ad_id), advertiser_id(from.advertiser_id), scan(from) {
    scan.ad_id = ad_id;
    scan.advertiser_id = advertiser_id;
  }
  OwnScan(const OwnScan&) = delete;
  OwnScan& operator=(const OwnScan&) = delete;
  const std::string ad_id;
  const std::string advertiser_id;
  store::Scan scan;
};

Result<store::Version> version_of(const Partition& partition, const store::Scan& scan) {
  if (partition.failure()) return Error(Errc::closed, partition.failure()->message());
  // A new partition knows no time before its first entry.
  if (!partition.caught_up() || partition.pipeline().horizon().log_time() == LogMs(0))
    return Error(Errc::busy, "counts are being caught up after a start");
  return partition.pipeline().version(scan);
}

}  // namespace

Result<std::vector<store::Version>> Reader::read(const std::vector<PartitionId>& ids,
                                                 const store::Scan& scan) const {
  const auto own = std::make_shared<const OwnScan>(scan);
  auto answers = TRY(ask<Result<store::Version>>(
      owned_, ids, [own](const Partition& partition) { return version_of(partition, own->scan); }));
  std::vector<store::Version> versions;
  versions.reserve(ids.size());
  for (auto& answer : answers) {
    if (!answer) return std::move(answer).error();
    versions.push_back(*std::move(answer));
  }
  return versions;
}

Result<std::vector<Partition::State>> Reader::states() const {
  return ask<Partition::State>(owned_, all(),
                               [](const Partition& partition) { return partition.state(); });
}

}  // namespace clickmill::cluster
