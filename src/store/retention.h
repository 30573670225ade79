#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/file_system.h"
#include "base/metrics.h"
#include "base/strong.h"
#include "store/row.h"

namespace clickmill::store {

/// A time for each table, by its number.
using TableTimes = std::array<int64_t, kTables>;
/// Before everything.
inline constexpr int64_t kAlways = std::numeric_limits<int64_t>::min();
inline constexpr TableTimes kAllTime{kAlways, kAlways, kAlways};

/// How long the rows of each table are kept, and up to where they have been deleted.
///
/// Kept are the buckets of the last whole UTC days, as many as the table's rule says, and
/// of today. Today is told by the log and, should a clock that is far ahead have moved that,
/// no later than by a time that is trusted.
/// Who deletes marks it before, in a file: a query answers what was never deleted, however
/// old, and can tell what was deleted from what never happened. Thread: any.
class Retention {
 public:
  using Days = std::array<uint32_t, kTables>;
  /// `files` is borrowed and outlives it. The file is made by the first mark.
  static Result<std::unique_ptr<Retention>> open(FileSystem& files, std::string path, Days days);

  /// The clock, if it may be believed. Nothing is old before the first call.
  void trust(int64_t now_ms);
  /// Rows of earlier buckets are to go.
  TableTimes oldest_kept(LogMs log_time) const;

  /// Rows of the table before that time are deleted from now on; durable on return.
  Status mark(Table table, int64_t before_ms);
  /// Rows of earlier buckets may be missing.
  TableTimes deleted_before() const;
  /// Tells the operator.
  void tell_deleted(PartitionId partition, Table table, uint64_t rows);
  void add_metrics(Metrics& metrics);

 private:
  Retention(FileSystem& files, std::string path, Days days);
  Status load();

  FileSystem& files_;
  const std::string path_;
  const Days days_;
  std::array<Counter, kTables> rows_deleted_;

  mutable std::mutex mutex_;  // guards all below, and the file; innermost
  std::optional<int64_t> trusted_ms_;
  bool marks_lost_ = false;  ///< the file was damaged: everything old counts as deleted
  TableTimes deleted_before_ = kAllTime;
};

}  // namespace clickmill::store
