#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "click/click.h"
#include "sketch/hll.h"

namespace clickmill::store {

struct RowView;  // scan.h

enum class Table : uint8_t { minute = 0, hour = 1, day = 2 };
inline constexpr size_t kTables = 3;
/// Bucket length in ms.
constexpr int64_t bucket_ms(Table table) {
  return table == Table::minute ? 60'000 : table == Table::hour ? 3'600'000 : 86'400'000;
}
std::string_view to_string(Table table);

/// Additive counts of one bucket. countries is sorted by code, without zeros.
struct Counts {
  uint64_t clicks = 0;
  std::array<uint64_t, click::kDevices> devices{};
  std::vector<std::pair<click::Country, uint64_t>> countries;
  void add(click::Device device, click::Country country);
  void merge(const Counts& other);
  friend bool operator==(const Counts&, const Counts&) = default;
};

/// A share of what happened to one ad in one bucket; rows of one key are summed.
struct Row {
  std::string advertiser_id;
  std::string ad_id;
  bool automated = false;  ///< clicks of machines, which have rows of their own
  int64_t bucket_ms = 0;   ///< start of the bucket, ms since 1970
  Counts counts;
  sketch::Hll visitors;
  void merge(const Row& other);
};
/// Key order in parts: (advertiser_id, ad_id, automated, bucket).
bool key_less(const Row& a, const Row& b);
bool same_key(const Row& a, const Row& b);
/// No click, no visitor: as if it were not there.
bool holds_nothing(const Row& row);

/// Row form for the state store (head rows in checkpoints), versioned.
void encode_row(const Row& row, std::string& out);
/// The same of a row whose visitors are serialized already.
void encode_row(const RowView& row, std::string& out);
Result<Row> decode_row(ByteCursor& cursor);

}  // namespace clickmill::store
