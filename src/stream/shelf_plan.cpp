#include "stream/shelf_plan.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <string>

namespace clickmill::stream {
namespace {

using std::chrono::sys_days;
using std::chrono::year_month_day;

constexpr int64_t kEver = std::numeric_limits<int64_t>::max();
constexpr int64_t kAlways = std::numeric_limits<int64_t>::min();
// Of a closed period so many files become one, if none is larger than the others together:
// whatever is written once more, at least doubles.
constexpr size_t kOfPeriodMost = 4;
// A part that spans more periods has rows of strange times, few in each.
constexpr int64_t kPeriodsMost = 1200;
constexpr uint32_t kLevelMost = store::ShelfName::kFlushed - 1;

year_month_day day_of(int64_t at_ms) {
  return sys_days{std::chrono::days{floor_to(at_ms, kDayMs) / kDayMs}};
}
int64_t ms_of(const year_month_day& day) {
  return int64_t{sys_days{day}.time_since_epoch().count()} * kDayMs;
}

int64_t days_of(Period period) {
  return period == Period::day ? 1 : period == Period::month ? 31 : 366;
}

/// A shared file, as far as parts in it are free.
struct OnShelf {
  store::ShelfName name;
  std::string text;
  uint64_t bytes = 0;
  int64_t min_ms = kEver;
  int64_t max_ms = kAlways;
};

bool is_shelved(const store::PartMeta& meta) { return store::ShelfName::shelved(meta.name); }

using Takes = std::function<bool(const store::PartMeta&)>;

/// Plans for one table.
class Planner {
 public:
  Planner(const std::vector<ShelfView>& views, const ShelfRules& rules, store::Table table,
          LogMs log_time)
      : views_(views),
        rules_(rules),
        table_(table),
        period_(rules.periods[static_cast<size_t>(table)]),
        open_ms_(period_begin(period_, log_time.value() - rules.settled_after_ms)) {
    std::map<std::string, OnShelf> files;
    each_part([&](const store::PartMeta& meta) {
      if (!is_shelved(meta)) {
        ++loose_;
        if (meta.max_bucket_ms < open_ms_) ++late_;
        return;
      }
      OnShelf& file = files[meta.name];
      if (file.text.empty()) file.name = store::ShelfName::parse(meta.name).value_or(file.name);
      file.text = meta.name;
      file.bytes += meta.bytes;
      file.min_ms = std::min(file.min_ms, meta.min_bucket_ms);
      file.max_ms = std::max(file.max_ms, meta.max_bucket_ms);
    });
    for (auto& [text, file] : files) files_.push_back(std::move(file));
    std::sort(files_.begin(), files_.end(),
              [](const OnShelf& a, const OnShelf& b) { return a.name.number < b.name.number; });
  }

  std::optional<ShelfPlan> plan() const {
    for (const auto& rule :
         {&Planner::close, &Planner::shelve_loose, &Planner::merge_level, &Planner::merge_closed}) {
      if (auto plan = (this->*rule)()) return plan;
    }
    return std::nullopt;
  }

 private:
  using Files = std::vector<const OnShelf*>;

  template <typename Show>
  void each_part(const Show& show) const {
    for (const ShelfView& view : views_) {
      for (const auto& part : view.parts[static_cast<size_t>(table_)]) show(part->meta());
    }
  }

  static Takes takes_files(const Files& files) {
    std::set<std::string> names;
    for (const OnShelf* file : files) names.insert(file->text);
    return [names](const store::PartMeta& meta) { return names.count(meta.name) > 0; };
  }

  ShelfPlan plan_of(const Takes& takes) const {
    ShelfPlan plan;
    for (const ShelfView& view : views_) {
      store::PartList parts;
      for (const auto& part : view.parts[static_cast<size_t>(table_)]) {
        if (takes(part->meta())) parts.push_back(part);
      }
      if (parts.empty()) continue;
      plan.shares.push_back(
          {view.id, view.slot, std::make_shared<const store::PartList>(std::move(parts))});
    }
    return plan;
  }

  store::ShelfName name_of(int64_t period_ms, bool closed, uint32_t level = 0) const {
    return {0, table_, period_ms, closed, closed ? 0 : std::min(level, kLevelMost)};
  }

  /// As many as come to bytes_most, one at least, from there on.
  Files group_from(const Files& files, size_t begin) const {
    Files group{files[begin]};
    uint64_t bytes = files[begin]->bytes;
    for (size_t i = begin + 1; i < files.size(); ++i) {
      bytes += files[i]->bytes;
      if (bytes > rules_.bytes_most) break;
      group.push_back(files[i]);
    }
    return group;
  }

  Files files_where(const std::function<bool(const OnShelf&)>& wanted) const {
    Files out;
    for (const OnShelf& file : files_) {
      if (wanted(file)) out.push_back(&file);
    }
    return out;
  }

  bool fits_its_period(const OnShelf& file) const {
    return file.max_ms - file.min_ms <= 2 * days_of(period_) * kDayMs;
  }

  /// Files of a period that is over, and what is loose of it.
  std::optional<ShelfPlan> close() const {
    const auto over = files_where(
        [&](const OnShelf& file) { return !file.name.closed && file.name.period_ms < open_ms_; });
    for (size_t begin = 0; begin < over.size();) {
      const int64_t period_ms = over[begin]->name.period_ms;
      Files group = group_from(over, begin);
      std::erase_if(group, [&](const OnShelf* file) { return file->name.period_ms != period_ms; });
      begin += group.size();
      if (group.size() == 1 && fits_its_period(*group.front())) continue;
      const auto among = takes_files(group);
      return closing(period_ms, [&, among](const store::PartMeta& meta) {
        return among(meta) || (!is_shelved(meta) && meta.min_bucket_ms < open_ms_);
      });
    }
    if (late_ < rules_.late_most) return std::nullopt;
    return closing(period_begin(period_, open_ms_ - 1), [&](const store::PartMeta& meta) {
      return !is_shelved(meta) && meta.min_bucket_ms < open_ms_;
    });
  }

  /// Rows of the period go to its file, as do earlier ones of which there are few. Those that
  /// belong to a period that isn't over go on as they were.
  ShelfPlan closing(int64_t period_ms, const Takes& takes) const {
    ShelfPlan plan = plan_of(takes);
    std::map<int64_t, uint64_t> rows;
    uint32_t level = 0;
    for (const auto& share : plan.shares) {
      for (const auto& part : *share.parts) {
        estimate(part->meta(), rows);
        if (!is_shelved(part->meta())) continue;
        if (const auto name = store::ShelfName::parse(part->meta().name))
          level = std::max(level, name->level);
      }
    }
    plan.files.push_back(name_of(period_ms, true));
    int64_t upto = kAlways;
    // Periods overlap where files were begun under a rule with other ones.
    const auto add = [&](int64_t begin, int64_t end, size_t file) {
      begin = std::max(begin, upto);
      if (begin >= end) return;
      if (upto < begin) plan.pieces.push_back({{upto, begin}, 0});
      plan.pieces.push_back({{begin, end}, file});
      upto = end;
    };
    rows[period_ms] += rules_.rows_apart;
    for (const auto& [begin, count] : rows) {
      if (count < rules_.rows_apart || begin >= open_ms_) continue;
      if (begin != period_ms) plan.files.push_back(name_of(begin, true));
      add(begin, std::min(period_end(period_, begin), open_ms_),
          begin == period_ms ? 0 : plan.files.size() - 1);
    }
    plan.files.push_back(name_of(open_ms_, false, level));
    add(open_ms_, kEver, plan.files.size() - 1);
    return plan;
  }

  /// As if the rows were spread evenly over the part's time.
  void estimate(const store::PartMeta& meta, std::map<int64_t, uint64_t>& rows) const {
    const int64_t end_ms = meta.max_bucket_ms + store::bucket_ms(table_);
    const int64_t span_ms = end_ms - meta.min_bucket_ms;
    if (span_ms / (days_of(period_) * kDayMs) > kPeriodsMost) return;
    for (int64_t at = meta.min_bucket_ms; at < std::min(end_ms, open_ms_);) {
      const int64_t next = period_end(period_, at);
      const double share =
          static_cast<double>(std::min(next, end_ms) - at) / static_cast<double>(span_ms);
      rows[period_begin(period_, at)] +=
          static_cast<uint64_t>(static_cast<double>(meta.rows) * share);
      at = next;
    }
  }

  ShelfPlan as_one(const Takes& takes, const store::ShelfName& name) const {
    ShelfPlan plan = plan_of(takes);
    plan.files.push_back(name);
    plan.pieces.push_back({{}, 0});
    return plan;
  }

  std::optional<ShelfPlan> shelve_loose() const {
    if (loose_ < rules_.loose_most) return std::nullopt;
    return as_one([](const store::PartMeta& meta) { return !is_shelved(meta); },
                  name_of(open_ms_, false));
  }

  /// The oldest of a level, once it has enough.
  std::optional<ShelfPlan> merge_level() const {
    std::map<uint32_t, Files> levels;
    for (const OnShelf& file : files_) {
      const bool open = !file.name.closed && file.name.period_ms >= open_ms_;
      if (open && file.bytes < rules_.bytes_most / 2) levels[file.name.level].push_back(&file);
    }
    for (auto& [level, files] : levels) {
      if (files.size() < rules_.fan_in) continue;
      files.resize(rules_.fan_in);
      const Files group = group_from(files, 0);
      if (group.size() > 1) return as_one(takes_files(group), name_of(open_ms_, false, level + 1));
    }
    return std::nullopt;
  }

  /// What came later of a period that is over, once it is worth to write the rest again.
  std::optional<ShelfPlan> merge_closed() const {
    std::map<int64_t, Files> periods;
    for (const OnShelf& file : files_) {
      if (file.name.period_ms < open_ms_) periods[file.name.period_ms].push_back(&file);
    }
    for (auto& [period_ms, files] : periods) {
      const Files group = worth_merging(files);
      if (!group.empty()) return closing(period_ms, takes_files(group));
    }
    return std::nullopt;
  }

  Files worth_merging(Files files) const {
    std::stable_sort(files.begin(), files.end(),
                     [](const OnShelf* a, const OnShelf* b) { return a->bytes < b->bytes; });
    uint64_t bytes = 0;
    for (const OnShelf* file : files) bytes += file->bytes;
    while (files.size() >= kOfPeriodMost &&
           (files.back()->bytes > bytes / 2 || bytes > rules_.bytes_most)) {
      bytes -= files.back()->bytes;
      files.pop_back();
    }
    if (files.size() < kOfPeriodMost) return {};
    return files;
  }

  const std::vector<ShelfView>& views_;
  const ShelfRules& rules_;
  const store::Table table_;
  const Period period_;
  const int64_t open_ms_;  ///< begin of the first period that may not be over
  std::vector<OnShelf> files_;
  size_t loose_ = 0;
  size_t late_ = 0;
};

}  // namespace

int64_t period_begin(Period period, int64_t at_ms) {
  const year_month_day day = day_of(at_ms);
  if (period == Period::day) return ms_of(day);
  const auto month = period == Period::month ? day.month() : std::chrono::January;
  return ms_of(year_month_day{day.year(), month, std::chrono::day{1}});
}

int64_t period_end(Period period, int64_t at_ms) {
  const int64_t begin_ms = period_begin(period, at_ms);
  return period_begin(period, begin_ms + days_of(period) * kDayMs);
}

ShelfRules ShelfRules::of_days(const std::array<uint32_t, store::kTables>& days) {
  ShelfRules rules;
  for (size_t table = 0; table < store::kTables; ++table) {
    Period& period = rules.periods[table];
    while (period != Period::day && days_of(period) * 4 > int64_t{days[table]})
      period = period == Period::year ? Period::month : Period::day;
  }
  return rules;
}

std::optional<ShelfPlan> plan_shelving(const std::vector<ShelfView>& views,
                                       const ShelfRules& rules) {
  LogMs log_time(std::numeric_limits<int64_t>::max());
  for (const ShelfView& view : views) log_time = std::min(log_time, view.log_time);
  if (views.empty() || log_time.value() <= rules.settled_after_ms) return std::nullopt;
  for (const auto table : {store::Table::minute, store::Table::hour, store::Table::day}) {
    if (auto plan = Planner(views, rules, table, log_time).plan()) return plan;
  }
  return std::nullopt;
}

}  // namespace clickmill::stream
