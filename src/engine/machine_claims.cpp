// What a machine's disk claims at a start, and what it has seen of others' disks (see
// cluster/clearing.h): files `claim` and `seen`.
#include <fmt/format.h>

#include <algorithm>

#include "base/logging.h"
#include "engine/machine.h"

namespace clickmill::engine {
namespace {

constexpr int64_t kSeenPeriodNs = 5'000'000'000;

}  // namespace

/// The oldest end that was not cleared. Where the file can't be read or written, the present one:
/// it covers all but an image that has run by itself.
void Machine::make_claim() {
  const std::string path = options_.paths.root + "/claim";
  const std::string seen_path = options_.paths.root + "/seen";
  const raft::StorageId own = options_.peering->storage;
  // A journal that is gone is no first life: others know whether there was one.
  cluster::Claim claim{own, std::max(journal_->recovered().end, JournalPos(1))};
  claim_kept_ = files_.exists(path);
  if (claim_kept_) {
    const auto bytes = read_file(files_, path);
    const auto kept = bytes ? cluster::decode_claim(*bytes)
                            : Result<cluster::Claim>(Error(Errc::io, "it can't be read"));
    if (!kept) log_warn("cluster", fmt::format("{}: {}", path, kept.error().text()));
    if (kept && kept->storage == own) claim.end = std::min(claim.end, kept->end);
  }
  const auto kept = write_file_atomically(files_, path, cluster::encode_claim(claim));
  if (!kept) log_warn("cluster", kept.error().text());
  claim_kept_ = claim_kept_ || kept;
  peers_->clearing().claim(claim.end);
  if (!files_.exists(seen_path)) return;
  const auto bytes = read_file(files_, seen_path);
  const auto seen = bytes ? cluster::decode_seen(*bytes)
                          : Result<cluster::Clearing::Seen>(Error(Errc::io, "it can't be read"));
  if (!seen) return log_warn("cluster", fmt::format("{}: {}", seen_path, seen.error().text()));
  seen_kept_ = *bytes;
  peers_->clearing().restore(*seen);
}

/// Durably, or a power loss would bring it back beside an end that the others know by then.
bool Machine::drop_claim() {
  if (!claim_kept_) return true;
  const std::string path = options_.paths.root + "/claim";
  auto dropped = files_.exists(path) ? files_.remove(path) : Status();
  if (dropped) dropped = files_.sync_directory(options_.paths.root);
  claim_kept_ = !dropped.has_value();
  return dropped.has_value();
}

/// Thread: worker 0.
void Machine::keep_claims() {
  cluster::Clearing& clearing = peers_->clearing();
  if (!clearing.cleared() && peers_->remembers_all() && drop_claim()) clearing.clear();
  const int64_t now = clock_.system().monotonic_ns();
  if (now < next_seen_ns_) return;
  next_seen_ns_ = now + kSeenPeriodNs;
  std::string bytes = cluster::encode_seen(clearing.seen());
  if (bytes == seen_kept_) return;
  seen_kept_ = bytes;
  const bool taken = outside_.in_background([this, bytes = std::move(bytes)] {
    if (auto kept = write_file_atomically(files_, options_.paths.root + "/seen", bytes); !kept)
      log_warn("cluster", kept.error().text());
  });
  if (!taken) seen_kept_.clear();
}

}  // namespace clickmill::engine
