#pragma once

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "sinks/table.h"

namespace clickmill::sinks {

/// A table that keeps, as ClickHouse's ReplacingMergeTree does, of the rows with one key the one
/// with the highest version; a test says what becomes of an insert.
/// Thread: any; the mutex guards all.
class FakeTable {
 public:
  struct Key {
    std::string advertiser_id;
    std::string ad_id;
    int64_t minute_ms = 0;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Row {
    uint64_t version = 0;
    uint64_t clicks = 0;
    std::string line;
  };
  using Rows = std::map<Key, Row>;
  Rows rows() const {
    const std::lock_guard lock(mutex_);
    return rows_;
  }
  /// With those that replaced others.
  size_t taken() const { return taken_; }
  size_t inserts() const { return inserts_; }
  /// Rows of one key and version that were not the same.
  size_t contradictions() const { return contradictions_; }
  std::vector<std::string> texts() const {
    const std::lock_guard lock(mutex_);
    return texts_;
  }
  void be_away(bool away) { away_ = away; }
  /// So many of the next inserts fail after half of their rows were taken.
  void fail_half(int inserts) { fail_half_ = inserts; }
  /// The same after all of them were.
  void lose_answers(int inserts) { lose_ = inserts; }

  /// To it.
  std::unique_ptr<Table> open();

  /// The value behind `"name":`, without quotes.
  static std::string value_of(std::string_view line, const std::string& name) {
    const std::string begin = '"' + name + "\":";
    const size_t at = line.find(begin);
    if (at == std::string_view::npos) return "there is no " + name;
    std::string_view value = line.substr(at + begin.size());
    if (!value.starts_with('"')) return std::string(value.substr(0, value.find_first_of(",}]")));
    value.remove_prefix(1);
    return std::string(value.substr(0, value.find('"')));
  }

 private:
  friend class OpenFakeTable;
  Status insert(const std::string& text) {
    const std::lock_guard lock(mutex_);
    texts_.push_back(text);
    if (away_) return Error(Errc::io, "the table is away");
    ++inserts_;
    std::vector<std::string_view> lines;
    for (std::string_view rest = text; !rest.empty(); rest.remove_prefix(rest.find('\n') + 1))
      lines.push_back(rest.substr(0, rest.find('\n')));
    const bool half = fail_half_ > 0 && fail_half_-- > 0;
    if (half) lines.resize(lines.size() / 2);
    for (const auto line : lines) take(std::string(line));
    if (half) return Error(Errc::io, "half of it was taken");
    if (lose_ > 0 && lose_-- > 0) return Error(Errc::busy, "no answer in time");
    return {};
  }
  void take(const std::string& line) {
    ++taken_;
    Row row{std::stoull(value_of(line, "version")), std::stoull(value_of(line, "clicks")), line};
    Row& kept = rows_[Key{value_of(line, "advertiser_id"), value_of(line, "ad_id"),
                          std::stoll(value_of(line, "minute")) * 1000}];
    if (kept.version == row.version && kept.line != line) ++contradictions_;
    if (row.version >= kept.version) kept = std::move(row);
  }

  mutable std::mutex mutex_;
  Rows rows_;
  std::vector<std::string> texts_;
  std::atomic<size_t> taken_{0};
  std::atomic<size_t> inserts_{0};
  std::atomic<size_t> contradictions_{0};
  std::atomic<bool> away_{false};
  std::atomic<int> fail_half_{0};
  std::atomic<int> lose_{0};
};

class OpenFakeTable final : public Table {
 public:
  explicit OpenFakeTable(FakeTable& table) : table_(table) {}
  Status insert(const std::shared_ptr<const std::string>& rows) override {
    return table_.insert(*rows);
  }
  void end() override {}

 private:
  FakeTable& table_;
};

inline std::unique_ptr<Table> FakeTable::open() { return std::make_unique<OpenFakeTable>(*this); }

}  // namespace clickmill::sinks
