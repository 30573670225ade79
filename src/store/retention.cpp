// The file, little-endian:
//   0   8  "clkmkept"
//   8   4  u32 version, 1
//   12  8  i64 rows of the minute table before that time may be missing, ms since 1970; the
//          lowest number: none are
//   20  16 the same of the hour and the day table
//   36  8  u64 XXH3 of what stands before
// It is replaced as a whole. A damaged one, or one of a higher version, counts as saying that
// everything old by the rules of now is deleted.
#include "store/retention.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/file_header.h"
#include "base/logging.h"
#include "base/time_text.h"

namespace clickmill::store {
namespace {

constexpr FileFormat kFormat{"retention", "clkmkept", 1};

std::string encode(const TableTimes& times) {
  std::string bytes = begin_file_header(kFormat);
  ByteWriter writer(bytes);
  for (const int64_t time : times) writer.i64(time);
  append_checksum(bytes);
  return bytes;
}

std::optional<TableTimes> decode(std::string_view bytes) {
  auto header = read_file_header(kFormat, bytes);
  if (!header) return std::nullopt;
  TableTimes times;
  for (int64_t& time : times) time = header->fields.i64();
  if (!header->fields.done()) return std::nullopt;
  return times;
}

TableTimes before_days(int64_t now_ms, const Retention::Days& days) {
  TableTimes out;
  for (size_t i = 0; i < kTables; ++i)
    out[i] = floor_to(now_ms, kDayMs) - int64_t{days[i]} * kDayMs;
  return out;
}

}  // namespace

Retention::Retention(FileSystem& files, std::string path, Days days)
    : files_(files), path_(std::move(path)), days_(days) {}

Result<std::unique_ptr<Retention>> Retention::open(FileSystem& files, std::string path, Days days) {
  auto retention = std::unique_ptr<Retention>(new Retention(files, std::move(path), days));
  TRY(retention->load());
  return retention;
}

Status Retention::load() {
  if (!files_.exists(path_)) return {};
  const auto times = decode(TRY(read_file(files_, path_)));
  if (times) {
    deleted_before_ = *times;
  } else {
    marks_lost_ = true;
    log_warn("store", path_ +
                          ": damaged or of another version; all that is older than "
                          "store.retention_days counts as deleted");
  }
  return {};
}

void Retention::trust(int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  trusted_ms_ = now_ms;
  if (!std::exchange(marks_lost_, false)) return;
  const TableTimes old = before_days(now_ms, days_);
  for (size_t i = 0; i < kTables; ++i) deleted_before_[i] = std::max(deleted_before_[i], old[i]);
}

TableTimes Retention::oldest_kept(LogMs log_time) const {
  const std::lock_guard lock(mutex_);
  if (!trusted_ms_) return kAllTime;
  return before_days(std::min(*trusted_ms_, log_time.value()), days_);
}

Status Retention::mark(Table table, int64_t before_ms) {
  const std::lock_guard lock(mutex_);
  TableTimes times = deleted_before_;
  int64_t& time = times[static_cast<size_t>(table)];
  if (before_ms <= time) return {};
  time = before_ms;
  TRY(write_file_atomically(files_, path_, encode(times)));
  deleted_before_ = times;
  return {};
}

TableTimes Retention::deleted_before() const {
  const std::lock_guard lock(mutex_);
  return deleted_before_;
}

void Retention::tell_deleted(PartitionId partition, Table table, uint64_t rows) {
  const auto index = static_cast<size_t>(table);
  rows_deleted_[index].add(rows);
  log_info("store",
           fmt::format("partition {}: retention deleted {} {} rows from before {} "
                       "(store.retention_days.{} is {})",
                       partition.value(), rows, to_string(table),
                       format_time_ms(deleted_before()[index]), to_string(table), days_[index]));
}

void Retention::add_metrics(Metrics& metrics) {
  for (const Table table : {Table::minute, Table::hour, Table::day}) {
    const Counter& rows = rows_deleted_[static_cast<size_t>(table)];
    metrics.counter_from(
        "clickmill_store_deleted_rows_total", "Rows that were older than store.retention_days.",
        [&rows] { return static_cast<double>(rows.value()); },
        fmt::format("table=\"{}\"", to_string(table)));
  }
}

}  // namespace clickmill::store
