#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cluster/elsewhere.h"
#include "cluster/version_reader.h"
#include "query/plan.h"
#include "query/request.h"

namespace clickmill::query {

/// What an answer needs of partitions that are on other nodes: these add it up as the answer
/// would, and give rows that stand for what they have.
struct RowsWanted {
  std::vector<PartitionId> partitions;
  cluster::Position at_least{};
  std::string ad_id;          ///< empty: all
  std::string advertiser_id;  ///< empty: all
  Plan plan;
  bool countries = false;
  bool visitors = false;
  bool by_ad = false;       ///< one row to an ad and advertiser instead of one to a bucket
  bool any_time = false;    ///< where there are none, one without clicks shows who has some at all
  bool all_as_one = false;  ///< whoever's they are
};
std::string encode(const RowsWanted& wanted);
Result<RowsWanted> decode_rows_wanted(std::string_view bytes);

/// What the request reads, of no partition yet. Errc::invalid: rows that it needs are deleted.
Result<RowsWanted> rows_wanted(const ClicksRequest& request);
Result<RowsWanted> rows_wanted(const TopRequest& request);

/// The answer, of versions in the order of the partitions. Errc::invalid: it is too large.
Result<std::string> encode_rows(const RowsWanted& wanted, uint32_t partitions,
                                const store::TableTimes& deleted,
                                std::span<const store::Version> versions);
/// Of this node's own partitions, as another node asks for it. Errc::busy: one of them can't be
/// answered here. Thread: query (blocks).
Result<std::string> give_rows(const cluster::VersionReader& reader, uint32_t partitions,
                              const store::TableTimes& deleted, std::string_view question);

/// Versions as of another node, whose rows all stand in `head`.
struct RowsGiven {
  std::vector<store::Version> versions;  ///< in the order of RowsWanted::partitions
  store::TableTimes deleted_before;      ///< rows of before are missing there
};
Result<RowsGiven> decode_rows(std::string_view bytes, const std::vector<PartitionId>& partitions);

/// Versions of all partitions, those of other nodes included. Thread: any; what reads blocks.
class Scattered {
 public:
  /// Both are borrowed.
  Scattered(const cluster::VersionReader& reader, const cluster::Elsewhere& elsewhere)
      : reader_(reader), elsewhere_(elsewhere) {
    for (auto& time : deleted_) time = store::kAlways;
  }
  /// As VersionReader::read. `wanted`: what the request reads.
  Result<std::vector<store::Version>> read(const std::vector<PartitionId>& ids,
                                           const store::Scan& head, RowsWanted wanted,
                                           const cluster::Position& at_least);
  /// Rows before it have been deleted by a node that was asked.
  store::TableTimes deleted_before() const;

 private:
  const cluster::VersionReader& reader_;
  const cluster::Elsewhere& elsewhere_;
  std::array<std::atomic<int64_t>, store::kTables> deleted_{};
};

}  // namespace clickmill::query
