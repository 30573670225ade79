#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/checksum.h"
#include "base/feature_level.h"
#include "catalog/ads_file.h"
#include "log/entry.h"

namespace clickmill::cluster {

/// What the ads' group is asked for. Becomes an entry, or some.
struct AdsProposal {
  /// Kinds of entries, beside Raft's own. Never renumber.
  enum class Kind : uint8_t {
    changes = 1,  ///< as they are
    of_file = 2,  ///< upserts of catalog.file; each ad once in all, whoever sends the file
    own = 3,      ///< upserts of ads that a node had before; only where nothing is known of the ad
  };
  Kind kind = Kind::changes;
  Hash128 file;  ///< of_file: its checksum
  /// The last of a file is its `source`, with the same checksum.
  std::vector<catalog::AdsChange> changes;
};

/// The kind of an entry that records the cluster's feature level.
constexpr uint8_t kLevelKind = 4;
std::string encode_level(FeatureLevel level);

/// Payload of an entry. Format: top of ads_history.cpp.
std::string encode_ads(const AdsProposal& proposal);
/// Errc::invalid for a kind that this version doesn't know, Errc::corrupt for malformed bytes.
Result<AdsProposal> decode_ads(uint8_t kind, std::string_view payload);
/// Errc::invalid names the rule that it breaks.
Status check_proposal(const AdsProposal& proposal);
/// Into some whose payloads have at most so many bytes, more or less, and a change at least.
std::vector<AdsProposal> split_proposal(AdsProposal&& proposal, size_t bytes_most);

/// The ads' log as a story: what each entry changes, given those before it. Depends on nothing
/// else, so that all nodes tell the same one.
class AdsHistory {
 public:
  explicit AdsHistory(FeatureLevels levels = kFeatureLevels) : levels_(levels) {}
  /// Of the next entry. Errors as decode_ads; Errc::invalid for a feature level that this program
  /// can't run, too.
  Result<std::vector<catalog::AdsChange>> take(const log::Entry& entry);
  /// Whether all of a file of this checksum was taken in, at any time.
  bool took_in(Hash128 file) const { return files_.count(file) != 0; }
  /// Whether the ad was ever put or removed.
  bool mentions(std::string_view ad_id) const { return mentioned_.count(xxh64_of(ad_id)) != 0; }
  /// That the cluster is at; 0: none was recorded.
  FeatureLevel level() const { return level_; }

 private:
  Status take_level(std::string_view payload);
  bool holds(const AdsProposal& proposal, const catalog::AdsChange& change);

  const FeatureLevels levels_;
  FeatureLevel level_ = 0;
  std::set<Hash128> files_;
  std::map<Hash128, std::unordered_set<uint64_t>> partly_;  ///< files, and which of their ads
  /// Hashes: a node that takes two ads for one leaves out an `own`, once in 10^7 such catalogs.
  std::unordered_set<uint64_t> mentioned_;
};

}  // namespace clickmill::cluster
