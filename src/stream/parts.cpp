#include "stream/parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/logging.h"

namespace clickmill::stream {
namespace {

// Eight parts of one size class become one of the next, so a row is rewritten
// once per class and a table keeps at most 7 parts of each.
constexpr size_t kFanIn = 8;
// Larger parts stay as they are: a merge is done on the worker and must not
// hold the stream up for long.
constexpr uint64_t kRowsMost = 1 << 20;

unsigned size_class(uint64_t rows) {
  unsigned level = 0;
  for (uint64_t bound = 8192; rows >= bound; bound *= kFanIn) ++level;
  return level;
}

}  // namespace

std::vector<store::Row> roll_up(const std::vector<store::Row>& rows, store::Table table) {
  std::vector<store::Row> out;
  // Rows come sorted by (advertiser, ad, time), so longer buckets are runs.
  for (const store::Row& row : rows) {
    const int64_t bucket = floor_to(row.bucket_ms, store::bucket_ms(table));
    if (!out.empty() && out.back().bucket_ms == bucket && out.back().ad_id == row.ad_id &&
        out.back().advertiser_id == row.advertiser_id) {
      out.back().merge(row);
      continue;
    }
    out.push_back(row);
    out.back().bucket_ms = bucket;
  }
  return out;
}

Parts::Parts(PartitionId partition, FileSystem& files, std::string directory)
    : partition_(partition), disk_(files), directory_(std::move(directory)),
      current_(std::make_shared<std::array<store::PartList, store::kTables>>()) {}

Status Parts::open(const std::vector<store::PartMeta>& metas, uint64_t next_part) {
  auto lists = std::make_shared<std::array<store::PartList, store::kTables>>();
  for (const store::PartMeta& meta : metas) {
    auto part = TRY(store::Part::open(disk_, directory_, meta));
    (*lists)[static_cast<size_t>(meta.table)].push_back(std::move(part));
  }
  current_ = std::move(lists);
  next_part_ = next_part;
  return {};
}

Status Parts::add(std::array<store::PartList, store::kTables>& lists, store::Table table,
                  const std::vector<store::Row>& rows) {
  const std::string name =
      fmt::format("p{}-{}-{}.part", partition_.value(), next_part_++, store::to_string(table));
  const auto meta = TRY(store::write_part(disk_, directory_, name, table, rows));
  auto part = TRY(store::Part::open(disk_, directory_, meta));
  lists[static_cast<size_t>(table)].push_back(std::move(part));
  return {};
}

Status Parts::merge_small(std::array<store::PartList, store::kTables>& lists, store::Table table) {
  auto& list = lists[static_cast<size_t>(table)];
  for (unsigned level = 0; level < 8; ++level) {
    store::PartList chosen;
    uint64_t rows = 0;
    for (const auto& part : list) {
      if (size_class(part->meta().rows) != level) continue;
      chosen.push_back(part);
      rows += part->meta().rows;
    }
    if (chosen.size() < kFanIn || rows > kRowsMost) continue;
    const auto merged =
        TRY(store::read_merged(chosen, std::numeric_limits<int64_t>::min()));
    std::erase_if(list, [&](const auto& part) { return size_class(part->meta().rows) == level; });
    TRY(add(lists, table, merged));
    for (const auto& part : chosen) replaced_.push_back(part->meta().name);
  }
  return {};
}

Status Parts::flush(const std::vector<store::Row>& minute_rows) {
  if (minute_rows.empty()) return {};
  auto lists = std::make_shared<std::array<store::PartList, store::kTables>>(*current_);
  const auto replaced_before = replaced_;
  const auto write = [&]() -> Status {
    TRY(add(*lists, store::Table::minute, minute_rows));
    TRY(add(*lists, store::Table::hour, roll_up(minute_rows, store::Table::hour)));
    TRY(add(*lists, store::Table::day, roll_up(minute_rows, store::Table::day)));
    for (size_t table = 0; table < store::kTables; ++table) {
      TRY(merge_small(*lists, static_cast<store::Table>(table)));
    }
    return disk_.sync_directory(directory_);
  };
  if (auto done = write(); !done) {
    replaced_ = replaced_before;
    return done;
  }
  current_ = std::move(lists);
  return {};
}

std::vector<store::PartMeta> Parts::metas() const {
  std::vector<store::PartMeta> metas;
  for (const auto& list : *current_) {
    for (const auto& part : list) metas.push_back(part->meta());
  }
  return metas;
}

void Parts::checkpoint_committed() {
  for (const std::string& name : std::exchange(replaced_, {})) {
    // Readers of an older snapshot keep their open file. A file that stays
    // behind is removed at the next start.
    if (auto gone = disk_.remove(directory_ + "/" + name); !gone) {
      log_warn("store", gone.error().text());
    }
  }
}

}  // namespace clickmill::stream
