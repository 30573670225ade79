#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>

#include "click/click.h"

namespace clickmill::store {

/// Whose clicks: everybody's, people's alone, or machines' alone.
enum class Automated : uint8_t { include, exclude, only };
constexpr bool takes(Automated wanted, bool automated) {
  return wanted == Automated::include || (wanted == Automated::only) == automated;
}

/// Which rows, and which columns of them, a scan wants.
struct Scan {
  std::string_view ad_id;          ///< empty: every ad
  std::string_view advertiser_id;  ///< empty: every advertiser
  int64_t from_ms = 0;             ///< buckets that start in [from, to)
  int64_t to_ms = 0;
  Automated automated = Automated::include;
  bool countries = false;
  bool visitors = false;
  bool estimates = false;  ///< unique_estimate; implied by visitors
  bool keep = false;       ///< what it decodes is kept in memory, for who asks next
  /// Of rows that are still written to: one to an ad, with its newest minute and all clicks.
  bool folded = false;
  /// Of those likewise: rows of other times too, without countries and visitors.
  bool outside = false;
};
/// What rows of a part are sorted by, before their time.
struct PartKey {
  std::string_view advertiser_id;
  std::string_view ad_id;
  bool automated = false;
  friend auto operator<=>(const PartKey&, const PartKey&) = default;
};
/// A row as a scan shows it: borrowed, valid during the call only. Columns not
/// asked for are empty. `visitors` is the serialized sketch.
struct RowView {
  std::string_view advertiser_id;
  std::string_view ad_id;
  bool automated = false;
  int64_t bucket_ms = 0;
  uint64_t clicks = 0;
  std::array<uint64_t, click::kDevices> devices{};
  const std::pair<click::Country, uint64_t>* countries = nullptr;
  size_t countries_size = 0;
  std::string_view visitors;
  uint64_t unique_estimate =
      0;  ///< of this row's sketch alone: a bucket of one row needs no decoding
};
/// What the matching rows of one key sum to.
struct AdSum {
  std::string_view advertiser_id;
  std::string_view ad_id;
  uint64_t rows = 0;
  uint64_t clicks = 0;
  std::array<uint64_t, click::kDevices> devices{};
  bool automated = false;
};
using VisitSum = std::function<void(const AdSum&)>;
using Visit = std::function<void(const RowView&)>;

}  // namespace clickmill::store
