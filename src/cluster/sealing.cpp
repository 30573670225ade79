#include "cluster/sealing.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/logging.h"

namespace clickmill::cluster {

void Sealing::seal_if_due(Offset upto) {
  if (sealing_ || again_.waits(clock_.monotonic_ns())) return;
  auto entries = log_->sealable(std::min(upto, replica_->sealable_upto()));
  if (entries.empty()) return;
  sealing_ = options_.in_background([this, entries = std::move(entries)] {
    std::vector<log::Entry> copies;
    copies.reserve(entries.size());
    for (const auto& entry : entries) copies.push_back(*entry);
    const auto done = std::make_shared<const Status>(segments_.seal(copies));
    options_.on_worker([this, last = copies.back().last(), done] { sealed(last, *done); });
  });
}

void Sealing::sealed(Offset last, const Status& done) {
  sealing_ = false;
  if (done) {
    again_.succeeded();
    trouble_.clear();
    return replica_->sealed_upto(last);
  }
  ++failed_;
  again_.failed(clock_.monotonic_ns());
  trouble_ = fmt::format("partition {}: can't seal: {}", options_.id.value(), done.error().text());
  log_warn("log", trouble_);
}

void Sealing::fetch(raft::Behind behind) {
  if (fetching_ || !options_.fetch || behind.at_least <= segments_.last()) return;
  fetching_ = true;
  options_.fetch(segments_.last() + 1);
}

/// The leader says again that this member is behind, if it still is.
void Sealing::end_fetch(const char* why) {
  fetching_ = false;
  arriving_.clear();
  if (why == nullptr || fetch_trouble_ == why) return;
  fetch_trouble_ = why;
  log_warn("log", fmt::format("partition {}: can't take in blocks of a peer: {}",
                              options_.id.value(), why));
}

void Sealing::take_blocks(Result<std::vector<log::Entry>> blocks) {
  if (!fetching_ || !arriving_.empty()) return;
  if (!blocks) return end_fetch(blocks.error().text().c_str());
  if (blocks->empty()) {
    end_fetch(nullptr);
    if (options_.too_far) options_.too_far();
    return;
  }
  arriving_ = *std::move(blocks);
  // What was sealed here meanwhile comes twice.
  std::erase_if(arriving_, [&](const auto& entry) { return entry.last() <= segments_.last(); });
  Offset end = segments_.last();
  for (const log::Entry& entry : arriving_) {
    if (entry.first != end + 1) return end_fetch("they have a gap");
    end = entry.last();
  }
  if (arriving_.empty()) return end_fetch(nullptr);
  adopt_if_ready();
}

bool Sealing::hold() {
  if (sealing_) return false;
  end_fetch(nullptr);
  return sealing_ = true;
}

void Sealing::adopt_if_ready() {
  if (arriving_.empty() || sealing_) return;
  if (arriving_.front().first != segments_.last() + 1) return end_fetch(nullptr);
  if (!replica_->make_way(arriving_)) {
    if (replica_->leads()) end_fetch(nullptr);
    return;
  }
  const auto blocks = std::make_shared<const std::vector<log::Entry>>(std::exchange(arriving_, {}));
  sealing_ = options_.in_background([this, blocks] {
    const auto done = std::make_shared<const Status>(segments_.seal(*blocks));
    options_.on_worker([this, blocks, done] {
      sealing_ = false;
      fetching_ = false;
      auto adopted = *done ? replica_->adopted(*blocks)
                           : Status(Error(done->error().code(), done->error().message()));
      if (!adopted) end_fetch(adopted.error().text().c_str());
      if (adopted) fetch_trouble_.clear();
      options_.moved();
    });
  });
  if (!sealing_) end_fetch(nullptr);
}

}  // namespace clickmill::cluster
