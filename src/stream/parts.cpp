#include "stream/parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/assert.h"
#include "base/damage.h"
#include "base/fail_point.h"
#include "base/logging.h"
#include "store/merge.h"
#include "store/part_writer.h"

namespace clickmill::stream {
namespace {

// The oldest eight parts of one size class become one of the next, so a row is
// rewritten about once per class and a table keeps at most 7 parts of each.
constexpr size_t kFanIn = 8;
// So many of the smallest of a table wait for a merge at most, if one can be had.
constexpr size_t kSmallMost = 3 * kFanIn;
// Of the last class that is merged fewer than eight may fit; what they become is large enough
// to stay. A merge holds the new part in memory, and few of its rows (write_merged).
constexpr uint64_t kRowsMost = 1 << 19;
constexpr std::array<uint64_t, Parts::kLevels - 1> kRowsBelow = {8192, 65'536, kRowsMost / 2 + 1};

size_t size_class(uint64_t rows) {
  size_t level = 0;
  while (level < kRowsBelow.size() && rows >= kRowsBelow[level]) ++level;
  return level;
}

Result<bool> holds_any(const store::Part& part, const std::vector<store::Row>& keys) {
  for (const store::Row& key : keys) {
    store::Scan scan = scan_of(key, store::bucket_ms(part.meta().table));
    scan.countries = scan.visitors = false;
    if (store::apart(part.meta(), scan)) continue;
    bool found = false;
    TRY(part.scan(scan, [&found](const store::RowView&) { found = true; }));
    if (found) return true;
  }
  return false;
}

/// For each bucket of `table` that holds one of the shorter rows, which are sorted: what the
/// rows of the next shorter table give. Nothing where there are none left.
Result<std::vector<store::Row>> summed_up(const std::array<store::PartList, store::kTables>& lists,
                                          const std::vector<store::Row>& shorter,
                                          store::Table table) {
  std::vector<store::Row> out;
  for (const store::Row& row : shorter) {
    store::Row key;
    key.advertiser_id = row.advertiser_id;
    key.ad_id = row.ad_id;
    key.automated = row.automated;
    key.bucket_ms = floor_to(row.bucket_ms, store::bucket_ms(table));
    if (!out.empty() && store::same_key(out.back(), key)) continue;
    out.push_back(TRY(sum_of(lists[static_cast<size_t>(table) - 1], key, store::bucket_ms(table))));
  }
  return out;
}

}  // namespace

std::string part_name_of(state::Slot slot, uint64_t number, store::Table table) {
  return fmt::format("p{}-{}-{}.part", slot.value(), number, store::to_string(table));
}

store::Scan scan_of(const store::Row& key, int64_t length_ms) {
  store::Scan scan;
  scan.ad_id = key.ad_id;
  scan.advertiser_id = key.advertiser_id;
  scan.from_ms = key.bucket_ms;
  scan.to_ms = key.bucket_ms + length_ms;
  scan.automated = key.automated ? store::Automated::only : store::Automated::exclude;
  scan.countries = true;
  scan.visitors = true;
  return scan;
}

Result<store::Row> sum_of(const store::PartList& parts, const store::Row& key, int64_t length_ms,
                          const std::vector<store::Row>& more) {
  std::vector<store::Row> rows = more;
  TRY(store::read_rows(parts, scan_of(key, length_ms), rows));
  store::Row sum;
  sum.advertiser_id = key.advertiser_id;
  sum.ad_id = key.ad_id;
  sum.automated = key.automated;
  sum.bucket_ms = key.bucket_ms;
  for (const store::Row& row : rows) sum.merge(row);
  return sum;
}

Parts::Parts(state::Slot slot, FileSystem& files, std::string directory, store::Shelf* shelf)
    : slot_(slot),
      disk_(files),
      directory_(std::move(directory)),
      shelf_(shelf),
      current_(std::make_shared<std::array<store::PartList, store::kTables>>()) {}

Status Parts::open(const std::vector<store::PartMeta>& metas, uint64_t next_part,
                   bool keep_damaged) {
  auto lists = std::make_shared<std::array<store::PartList, store::kTables>>();
  for (const store::PartMeta& meta : metas) {
    auto& list = (*lists)[static_cast<size_t>(meta.table)];
    auto part = open_part(meta);
    if (part) {
      list.push_back(*std::move(part));
      continue;
    }
    if (!keep_damaged || !is_damage(part.error())) return std::move(part).error();
    damaged_.emplace(meta.name, meta.position);
    list.push_back(store::Part::damaged(meta, part.error()));
  }
  current_ = std::move(lists);
  *next_part_ = next_part;
  if (shelf_ != nullptr) shelf_->hold(slot_, metas);
  return {};
}

Result<std::shared_ptr<const store::Part>> Parts::open_part(const store::PartMeta& meta) const {
  if (shelf_ != nullptr && store::Shelf::is_shared(meta.name)) return shelf_->open(meta);
  return store::Part::open(disk_, directory_, meta);
}

bool Parts::is_damaged(const store::PartMeta& meta) const {
  return damaged_.count({meta.name, meta.position}) > 0;
}

std::optional<state::Slot> slot_of_part(std::string_view name) {
  if (!name.starts_with("p") || !name.ends_with(".part")) return std::nullopt;
  uint32_t slot = 0;
  uint64_t number = 0;
  const char* const end = name.data() + name.size();
  auto read = std::from_chars(name.data() + 1, end, slot);
  if (read.ec != std::errc() || read.ptr == end || *read.ptr != '-') return std::nullopt;
  read = std::from_chars(read.ptr + 1, end, number);
  if (read.ec != std::errc() || read.ptr == end || *read.ptr != '-') return std::nullopt;
  for (const auto table : {store::Table::minute, store::Table::hour, store::Table::day}) {
    // Written back, so that nothing else that reads alike is taken for ours.
    if (name == part_name_of(state::Slot::of_number(slot), number, table))
      return state::Slot::of_number(slot);
  }
  return std::nullopt;
}

std::string part_name_in(state::Slot slot, std::string_view name) {
  CM_ASSERT(slot_of_part(name).has_value());
  return fmt::format("p{}{}", slot.value(), name.substr(name.find('-')));
}

std::string Parts::next_name(store::Table table) {
  return part_name_of(slot_, (*next_part_)++, table);
}

std::shared_ptr<Parts::Flush> Parts::begin_flush(Head::Frozen frozen) {
  auto flush = std::make_shared<Flush>();
  flush->disk_ = &disk_;
  flush->directory_ = directory_;
  flush->slot_ = slot_;
  for (size_t table = 0; table < store::kTables; ++table) {
    flush->names_[table] = next_name(static_cast<store::Table>(table));
  }
  flush->frozen_ = std::move(frozen);
  return flush;
}

void Parts::forget_flush(const Flush& flush) {
  for (const auto& meta : flush.metas_) replaced_.push_back(directory_ + "/" + meta.name);
}

Status Parts::Flush::run() {
  if (written()) return {};
  auto done =
      each_table([this](store::Table table, std::span<const store::RowView> rows) -> Status {
        const std::string& name = names_[static_cast<size_t>(table)];
        metas_.push_back(TRY(store::write_part(*disk_, directory_, name, table, rows)));
        parts_.push_back(TRY(store::Part::open(*disk_, directory_, metas_.back())));
        return {};
      });
  if (done) done = disk_->sync_directory(directory_);
  if (done) return done;
  write_again();
  for (const std::string& name : names_)
    ignore(disk_->remove(directory_ + "/" + name), "the next start removes it, or it is replaced");
  return done;
}

Status Parts::Flush::write_to(store::ShelfWriter& file) {
  CM_ASSERT(metas_.empty());
  return each_table([&](store::Table table, std::span<const store::RowView> rows) -> Status {
    const auto part = TRY(store::writer_of(table, rows));
    metas_.push_back(TRY(file.add(slot_, part)));
    return {};
  });
}

Status Parts::Flush::open(store::Shelf& shelf) {
  store::PartList opened;
  for (const store::PartMeta& meta : metas_) opened.push_back(TRY(shelf.open(meta)));
  parts_ = std::move(opened);
  return {};
}

void Parts::Flush::write_again() {
  parts_.clear();
  metas_.clear();
}

Status Parts::Flush::each_table(const Put& put) const {
  store::RowViews rows = TRY(sorted_rows(frozen_));
  TRY(put(store::Table::minute, rows));
  fail_point("flush.minutes_written");
  rows = TRY(store::summed_to(rows, store::Table::hour));
  TRY(put(store::Table::hour, rows));
  fail_point("flush.hours_written");
  rows = TRY(store::summed_to(rows, store::Table::day));
  TRY(put(store::Table::day, rows));
  fail_point("flush.days_written");
  return {};
}

void Parts::take_flush(const Flush& flush) {
  CM_ASSERT(flush.parts_.size() == store::kTables);
  auto lists = std::make_shared<Lists>(*current_);
  for (const auto& part : flush.parts_) {
    (*lists)[static_cast<size_t>(part->meta().table)].push_back(part);
  }
  current_ = std::move(lists);
  changed_ = true;
}

std::shared_ptr<Parts::Rewrite> Parts::begin_rewrite(std::shared_ptr<Flush> flush) {
  auto rewrite = std::make_shared<Rewrite>();
  rewrite->disk_ = &disk_;
  rewrite->directory_ = directory_;
  rewrite->slot_ = slot_;
  rewrite->next_part_ = next_part_;
  rewrite->flush_ = std::move(flush);
  rewrite->lists_ = *current_;
  return rewrite;
}

Status Parts::Rewrite::open() {
  if (!flush_) return {};
  TRY(flush_->run());
  for (const auto& part : flush_->parts_) {
    lists_[static_cast<size_t>(part->meta().table)].push_back(part);
  }
  return {};
}

Result<store::Row> Parts::Rewrite::stored_row(const store::Row& key) const {
  return sum_of(lists_[static_cast<size_t>(store::Table::minute)], key, kMinuteMs);
}

Status Parts::Rewrite::run(const std::vector<store::Row>& minute_rows) {
  auto done = write(minute_rows);
  if (done) return done;
  for (const auto& part : added_) {
    ignore(disk_->remove(directory_ + "/" + part->meta().name),
           "the next start removes it, or it is replaced");
  }
  return done;
}

Status Parts::Rewrite::write(std::vector<store::Row> rows) {
  for (const store::Table table : {store::Table::minute, store::Table::hour, store::Table::day}) {
    if (table != store::Table::minute) rows = TRY(summed_up(lists_, rows, table));
    TRY(replace_in(table, rows));
    fail_point("repair.table_written");
  }
  return disk_->sync_directory(directory_);
}

Status Parts::Rewrite::add(store::Table table, const std::vector<store::Row>& rows) {
  const std::string name = part_name_of(slot_, (*next_part_)++, table);
  const auto meta = TRY(store::write_part(*disk_, directory_, name, table, rows));
  added_.push_back(TRY(store::Part::open(*disk_, directory_, meta)));
  lists_[static_cast<size_t>(table)].push_back(added_.back());
  return {};
}

/// Rewrites the parts that hold a key of the rows, which are sorted, without them.
Status Parts::Rewrite::replace_in(store::Table table, const std::vector<store::Row>& rows) {
  store::PartList& list = lists_[static_cast<size_t>(table)];
  store::PartList kept;
  store::PartList rewritten;
  for (const auto& part : list) (TRY(holds_any(*part, rows)) ? rewritten : kept).push_back(part);
  list = std::move(kept);
  for (const auto& part : rewritten) {
    auto left = TRY(store::read_merged({part}, std::numeric_limits<int64_t>::min()));
    std::erase_if(left, [&](const store::Row& row) {
      return std::binary_search(rows.begin(), rows.end(), row, store::key_less);
    });
    if (!left.empty()) TRY(add(table, left));
    removed_.push_back(part);
  }
  std::vector<store::Row> put = rows;
  std::erase_if(put, [](const store::Row& row) { return store::holds_nothing(row); });
  if (!put.empty()) TRY(add(table, put));
  return {};
}

/// The oldest parts of the class, once it has enough; as many as fit.
store::PartList Parts::choose(const store::PartList& parts, size_t level) const {
  store::PartList chosen;
  for (const auto& part : parts) {
    const store::PartMeta& meta = part->meta();
    if (size_class(meta.rows) != level || is_damaged(meta) || is_busy(part)) continue;
    if (!store::Shelf::is_shelved(meta.name)) chosen.push_back(part);
  }
  if (chosen.size() < kFanIn) return {};
  chosen.resize(kFanIn);
  uint64_t rows = 0;
  const auto end = std::find_if(chosen.begin(), chosen.end(), [&rows](const auto& part) {
    return (rows += part->meta().rows) > kRowsMost;
  });
  chosen.erase(end, chosen.end());
  return chosen;
}

bool Parts::holds(const Lists& lists, const std::shared_ptr<const store::Part>& part) {
  const auto& list = lists[static_cast<size_t>(part->meta().table)];
  return std::find(list.begin(), list.end(), part) != list.end();
}

bool Parts::take_rewrite(const Rewrite& rewrite) {
  auto lists = std::make_shared<Lists>(*current_);
  const auto add = [&lists](const store::PartList& parts) {
    for (const auto& part : parts) {
      (*lists)[static_cast<size_t>(part->meta().table)].push_back(part);
    }
  };
  if (rewrite.flush_) add(rewrite.flush_->parts_);
  const bool whole = std::all_of(rewrite.removed_.begin(), rewrite.removed_.end(),
                                 [&](const auto& part) { return holds(*lists, part); });
  if (!whole) drop_files(*current_, rewrite.added_);
  if (!whole) return false;
  for (const auto& part : rewrite.removed_) {
    std::erase((*lists)[static_cast<size_t>(part->meta().table)], part);
  }
  add(rewrite.added_);
  drop_files(*lists, rewrite.removed_);
  current_ = std::move(lists);
  changed_ = true;
  return true;
}

std::shared_ptr<Parts::Merge> Parts::begin_merge(store::Table table, store::PartList chosen) {
  auto merge = std::make_shared<Merge>();
  merge->disk_ = &disk_;
  merge->directory_ = directory_;
  merge->table_ = table;
  // The name is taken now. A crash may leave a file of it, which no
  // checkpoint names: it is removed at the start, or replaced.
  merge->name_ = next_name(table);
  merge->chosen_ = std::move(chosen);
  merging_ = merge;
  return merge;
}

std::shared_ptr<Parts::Merge> Parts::due_deletion() {
  for (const auto& list : *current_) {
    for (const auto& part : list) {
      const store::Table table = part->meta().table;
      const int64_t oldest_ms = oldest_ms_[static_cast<size_t>(table)];
      if (part->meta().min_bucket_ms >= oldest_ms || is_busy(part)) continue;
      // Files of a shelf go as a whole.
      const bool shared = store::Shelf::is_shelved(part->meta().name);
      if (shared && part->meta().max_bucket_ms >= oldest_ms) continue;
      auto merge = begin_merge(table, {part});
      merge->oldest_ms_ = oldest_ms;
      return merge;
    }
  }
  return nullptr;
}

std::shared_ptr<Parts::Merge> Parts::due_merge(const store::TableTimes& oldest_ms) {
  if (std::exchange(oldest_ms_, oldest_ms) != oldest_ms) changed_ = true;
  if (!changed_) return nullptr;
  if (auto merge = due_deletion()) return merge;
  for (size_t table = 0; table < store::kTables; ++table) {
    for (size_t level = 0; level + 1 < kLevels; ++level) {
      auto chosen = choose((*current_)[table], level);
      if (!chosen.empty()) return begin_merge(static_cast<store::Table>(table), std::move(chosen));
    }
  }
  changed_ = false;
  return nullptr;
}

Status Parts::Merge::run() {
  fail_point("merge.begin");
  const store::PartMeta& first = chosen_.front()->meta();
  store::Merged merged;
  if (first.max_bucket_ms >= oldest_ms_)
    merged = TRY(store::write_merged(*disk_, {directory_, name_}, chosen_, oldest_ms_));
  // A part's keys are distinct, so that only what is left out makes a difference.
  if (deletes()) deleted_ = first.rows - merged.rows;
  done_ = true;
  if (!merged.part) return {};
  fail_point("merge.written");
  TRY(disk_->sync_directory(directory_));
  merged_ = TRY(store::Part::open(*disk_, directory_, *merged.part));
  return {};
}

uint64_t Parts::take_merge(const Merge& merge) {
  CM_ASSERT(merge.done_);
  auto lists = std::make_shared<Lists>(*current_);
  auto& list = (*lists)[static_cast<size_t>(merge.table_)];
  const size_t before = list.size();
  std::erase_if(list, [&](const auto& part) {
    return std::find(merge.chosen_.begin(), merge.chosen_.end(), part) != merge.chosen_.end();
  });
  if (before - list.size() != merge.chosen_.size()) {
    // A repair has rewritten some of them meanwhile: the merged one holds what was wrong.
    if (merge.merged_) drop_files(*current_, {merge.merged_});
    changed_ = true;
    return 0;
  }
  if (merge.merged_) list.push_back(merge.merged_);
  drop_files(*lists, merge.chosen_);
  current_ = std::move(lists);
  changed_ = true;
  fail_point("merge.taken");
  return merge.deleted_;
}

void Parts::merge_failed(const Merge& merge, const Error& error) {
  changed_ = true;
  note_damage(merge.chosen_, error);
}

/// What stands on a shelf waits for no merge, and may be small for good.
bool Parts::pile_up() const {
  return std::any_of(current_->begin(), current_->end(), [](const store::PartList& parts) {
    const auto small = std::count_if(parts.begin(), parts.end(), [](const auto& part) {
      const store::PartMeta& meta = part->meta();
      return size_class(meta.rows) == 0 && !store::Shelf::is_shelved(meta.name);
    });
    return static_cast<size_t>(small) >= kSmallMost;
  });
}

std::array<size_t, Parts::kLevels> Parts::levels() const {
  std::array<size_t, kLevels> counts{};
  for (const auto& list : *current_) {
    for (const auto& part : list) ++counts[size_class(part->meta().rows)];
  }
  return counts;
}

std::vector<store::PartMeta> Parts::metas() const {
  std::vector<store::PartMeta> metas;
  for (const auto& list : *current_) {
    for (const auto& part : list) metas.push_back(part->meta());
  }
  return metas;
}

void Parts::give_back_replaced(const std::vector<std::string>& paths) {
  replaced_.insert(replaced_.end(), paths.begin(), paths.end());
}

}  // namespace clickmill::stream
