// How a partition whose log is behind what its leader has in memory gets there: sealed blocks,
// which are committed, straight into its own segments.
#include <fmt/format.h>

#include <utility>

#include "base/logging.h"
#include "cluster/partition.h"

namespace clickmill::cluster {

void Partition::fetch_blocks(raft::Behind behind) {
  if (fetching_ || !options_.group || behind.at_least <= segments_->last()) return;
  fetching_ = true;
  options_.group->fetch(segments_->last() + 1);
}

/// The leader says again that this member is behind, if it still is.
void Partition::end_fetch(const char* why) {
  fetching_ = false;
  arriving_.clear();
  if (why == nullptr || fetch_trouble_ == why) return;
  fetch_trouble_ = why;
  log_warn("log",
           fmt::format("partition {}: can't take in blocks of a peer: {}", id_.value(), why));
}

void Partition::take_blocks(Result<std::vector<log::Entry>> blocks) {
  owner_.check();
  if (!fetching_ || !arriving_.empty()) return;
  if (!blocks) return end_fetch(blocks.error().text().c_str());
  arriving_ = *std::move(blocks);
  // What was sealed here meanwhile comes twice.
  std::erase_if(arriving_, [&](const auto& entry) { return entry.last() <= segments_->last(); });
  Offset end = segments_->last();
  for (const log::Entry& entry : arriving_) {
    if (entry.first != end + 1) return end_fetch("they have a gap");
    end = entry.last();
  }
  if (arriving_.empty()) return end_fetch(nullptr);
  adopt_if_ready();
}

/// What differs from them must be gone from the disk before they come.
void Partition::adopt_if_ready() {
  if (arriving_.empty() || sealing_ || log_failed_) return;
  if (arriving_.front().first != segments_->last() + 1) return end_fetch(nullptr);
  if (!replica_->make_way(arriving_)) {
    if (replica_->leads()) end_fetch(nullptr);
    return;
  }
  const auto blocks = std::make_shared<const std::vector<log::Entry>>(std::exchange(arriving_, {}));
  sealing_ = options_.in_background([this, blocks] {
    const auto done = std::make_shared<const Status>(segments_->seal(*blocks));
    options_.on_worker([this, blocks, done] {
      sealing_ = false;
      fetching_ = false;
      auto adopted = *done ? replica_->adopted(*blocks)
                           : Status(Error(done->error().code(), done->error().message()));
      if (!adopted) end_fetch(adopted.error().text().c_str());
      if (adopted) fetch_trouble_.clear();
      moved();
    });
  });
  if (!sealing_) end_fetch(nullptr);
}

}  // namespace clickmill::cluster
