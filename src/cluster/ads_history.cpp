// Entries of the ads' log:
//   changes, own: changes as in the catalog file (top of catalog/ads_file.cpp)
//   of_file:      u64 low | u64 high of the file's checksum | changes
//   level (4):    u16 feature level; no change of any ad. Only where the whole cluster knows
//                 level 2: a program of before stops applying at it
// An entry takes as many offsets as it has changes, and one of a level one.
#include "cluster/ads_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "raft/codec.h"

namespace clickmill::cluster {
namespace {

using catalog::AdsChange;

constexpr size_t kChangesMost = 1'000;

size_t bytes_of(const AdsChange& change) {
  return change.kind == AdsChange::Kind::upsert ? catalog::upsert_bytes(change.ad) : 17;
}

Status check_change(const AdsProposal& proposal, const AdsChange& change) {
  switch (change.kind) {
    case AdsChange::Kind::upsert:
      if (const auto wrong = catalog::check_ad(change.ad))
        return Error(Errc::invalid, wrong->field + ": " + wrong->detail);
      return {};
    case AdsChange::Kind::remove:
      if (proposal.kind == AdsProposal::Kind::changes && !change.ad.ad_id.empty()) return {};
      return Error(Errc::invalid, "an ad can't be removed without its ad_id, or by a file");
    case AdsChange::Kind::source:
      if (proposal.kind == AdsProposal::Kind::of_file && change.source == proposal.file) return {};
      return Error(Errc::invalid, "the checksum is not that of the file whose ads these are");
  }
  return Error(Errc::invalid, "a change of an unknown kind");
}

}  // namespace

std::string encode_ads(const AdsProposal& proposal) {
  std::string payload;
  if (proposal.kind == AdsProposal::Kind::of_file) {
    ByteWriter writer(payload);
    writer.u64(proposal.file.low);
    writer.u64(proposal.file.high);
  }
  for (const AdsChange& change : proposal.changes) catalog::append_change(change, payload);
  return payload;
}

Result<AdsProposal> decode_ads(uint8_t kind, std::string_view payload) {
  AdsProposal proposal;
  proposal.kind = static_cast<AdsProposal::Kind>(kind);
  if (kind < 1 || kind > static_cast<uint8_t>(AdsProposal::Kind::own))
    return Error(Errc::invalid, fmt::format("entry kind {} is of a newer version", kind));
  ByteCursor cursor(payload);
  if (proposal.kind == AdsProposal::Kind::of_file) {
    proposal.file.low = cursor.u64();
    proposal.file.high = cursor.u64();
    if (!cursor.ok()) return Error(Errc::corrupt, "ads of a file are malformed");
  }
  proposal.changes = TRY(catalog::read_changes(cursor.rest()));
  return proposal;
}

std::string encode_level(FeatureLevel level) {
  std::string payload;
  ByteWriter(payload).u16(level);
  return payload;
}

Status check_proposal(const AdsProposal& proposal) {
  if (proposal.changes.empty()) return Error(Errc::invalid, "no change of any ad");
  for (const AdsChange& change : proposal.changes) TRY(check_change(proposal, change));
  return {};
}

std::vector<AdsProposal> split_proposal(AdsProposal&& proposal, size_t bytes_most) {
  std::vector<AdsProposal> parts;
  size_t bytes = 0;
  for (AdsChange& change : proposal.changes) {
    const size_t more = bytes_of(change);
    if (parts.empty() || bytes + more > bytes_most || parts.back().changes.size() >= kChangesMost) {
      parts.push_back({proposal.kind, proposal.file, {}});
      bytes = 0;
    }
    bytes += more;
    parts.back().changes.push_back(std::move(change));
  }
  return parts;
}

Result<std::vector<AdsChange>> AdsHistory::take(const log::Entry& entry) {
  std::vector<AdsChange> changes;
  if (entry.kind == raft::kNoOpKind || entry.kind == raft::kMembershipKind) return changes;
  if (entry.kind == kLevelKind) {
    TRY(take_level(entry.payload));
    return changes;
  }
  AdsProposal proposal = TRY(decode_ads(entry.kind, entry.payload));
  const bool is_of_file = proposal.kind == AdsProposal::Kind::of_file;
  for (AdsChange& change : proposal.changes) {
    if (is_of_file && took_in(proposal.file)) break;
    if (!holds(proposal, change)) continue;
    if (change.kind == AdsChange::Kind::source) {
      files_.insert(change.source);
      partly_.erase(change.source);
    } else {
      mentioned_.insert(xxh64_of(change.ad.ad_id));
    }
    changes.push_back(std::move(change));
  }
  return changes;
}

/// It never falls, whatever an entry says.
Status AdsHistory::take_level(std::string_view payload) {
  ByteCursor cursor(payload);
  const FeatureLevel level = cursor.u16();
  if (!cursor.done()) return Error(Errc::corrupt, "a feature level is malformed");
  level_ = std::max(level_, level);
  if (level <= levels_.highest) return {};
  return Error(Errc::invalid, fmt::format("the cluster is at feature level {}, and this version "
                                          "runs {} at most",
                                          level, levels_.highest));
}

bool AdsHistory::holds(const AdsProposal& proposal, const AdsChange& change) {
  switch (proposal.kind) {
    case AdsProposal::Kind::changes: return true;
    case AdsProposal::Kind::own: return !mentions(change.ad.ad_id);
    case AdsProposal::Kind::of_file: break;
  }
  return change.kind == AdsChange::Kind::source ||
         partly_[proposal.file].insert(xxh64_of(change.ad.ad_id)).second;
}

}  // namespace clickmill::cluster
