// A row as the table gets it, one JSON object a line (conf/clickhouse.sql has the columns):
//   {"minute":1782295200,"advertiser_id":"adv_17","ad_id":"ad_8821","clicks":72,
//    "automated_clicks":3,"unique_users":61,"mobile":44,"desktop":22,"tablet":6,"other":0,
//    "country_codes":["DE","US"],"country_clicks":[32,40],"log_partition":3,"version":…}
// version: log time in ms and the lowest 22 bits of the offset, of what was applied last when
// the row was read. It grows with the log, on whichever node: a row with a higher version holds
// all that one with a lower version does. Log time goes first since it grows even where a log
// was set back and its offsets come again.
#include "sinks/minute_feed.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <numeric>

#include "base/logging.h"
#include "base/text.h"
#include "click/batch.h"
#include "store/memory_rows.h"
#include "store/merge.h"
#include "stream/repair.h"

namespace clickmill::sinks {
namespace {

constexpr size_t kReadBytes = 256 * 1024;
constexpr size_t kKeysMost = 4096;     // that are gathered at once
constexpr size_t kWalkRows = 20'000;   // the same of the walk, but for those of one minute
constexpr size_t kChangesMost = 4096;  // more than a decision has
constexpr int64_t kBridgeMs = 8 * kMinuteMs;
constexpr int64_t kWindowMsMost = 7 * kDayMs;
/// Nobody waits for minutes to pass that are so far ahead of log time.
constexpr int64_t kFarMs = 10 * kMinuteMs;
/// Changes made by hand are known for 90 days.
constexpr int64_t kOldMs = 60 * kDayMs;
/// ClickHouse's DateTime ends in 2106.
constexpr int64_t kLastMinuteMs = floor_to(0xffff'ffffLL * 1000, kMinuteMs);
constexpr unsigned kOffsetBits = 22;

uint64_t version_of(LogMs log_time, Offset applied) {
  return static_cast<uint64_t>(std::max<int64_t>(log_time.value(), 0)) << kOffsetBits |
         (applied.value() & ((1U << kOffsetBits) - 1));
}

int64_t minute_of(EventMs at) { return floor_to(at.value(), kMinuteMs); }

Touched::KeyView key_of(const store::Row& row) {
  return {row.advertiser_id, row.ad_id, row.bucket_ms};
}

/// Keys that follow each other closely in one ad are read together.
std::vector<store::Scan> scans_of(const std::vector<Touched::Key>& keys) {
  std::vector<store::Scan> scans;
  for (const Touched::Key& key : keys) {
    if (!scans.empty()) {
      store::Scan& last = scans.back();
      if (last.ad_id == key.ad_id && last.advertiser_id == key.advertiser_id &&
          key.minute_ms <= last.to_ms + kBridgeMs) {
        last.to_ms = key.minute_ms + kMinuteMs;
        continue;
      }
    }
    store::Scan scan;
    scan.advertiser_id = key.advertiser_id;
    scan.ad_id = key.ad_id;
    scan.from_ms = key.minute_ms;
    scan.to_ms = key.minute_ms + kMinuteMs;
    scans.push_back(scan);
  }
  return scans;
}

/// People's and machines' rows of a key are one here, that says how many are machines'.
struct Folded {
  std::vector<store::Row> rows;
  std::vector<uint64_t> automated;  ///< of each
};

Folded folded(std::vector<store::Row> rows) {
  store::fold_rows(rows);
  Folded out;
  for (store::Row& row : rows) {
    const uint64_t automated = row.automated ? row.counts.clicks : 0;
    // Machines' rows stand behind people's of the same ad, so that not all neighbours are pairs.
    out.automated.push_back(automated);
    row.automated = false;
    out.rows.push_back(std::move(row));
  }
  std::vector<size_t> order(out.rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return store::key_less(out.rows[a], out.rows[b]); });
  Folded sorted;
  for (const size_t at : order) {
    if (!sorted.rows.empty() && store::same_key(sorted.rows.back(), out.rows[at])) {
      sorted.rows.back().merge(out.rows[at]);
      sorted.automated.back() += out.automated[at];
    } else {
      sorted.rows.push_back(std::move(out.rows[at]));
      sorted.automated.push_back(out.automated[at]);
    }
  }
  return sorted;
}

const store::PartList& minutes_of(const store::Version& version) {
  static const store::PartList none;
  return version.parts ? (*version.parts)[static_cast<size_t>(store::Table::minute)] : none;
}

int64_t deleted_before(const MinuteFeed::Source& source) {
  return source.retention == nullptr
             ? store::kAlways
             : source.retention->deleted_before()[static_cast<size_t>(store::Table::minute)];
}

template <typename Values, typename Write>
void append_list(std::string& out, const Values& values, const Write& write) {
  out += '[';
  for (bool first = true; const auto& value : values) {
    if (!std::exchange(first, false)) out += ',';
    write(value);
  }
  out += ']';
}

}  // namespace

bool MinuteFeed::look_at(const cluster::Partition::State& state) {
  log_time_ = state.log_time;
  applied_ = state.applied;
  if (!begun_ || read_ <= state.last) return false;
  begin_walk();
  return true;
}

void MinuteFeed::begin_walk() { begin_at(Progress::Place()); }

void MinuteFeed::begin_at(const Progress::Place& place) {
  ++life_;
  touched_.clear();
  walk_ = place.walk;
  begun_ = place.begun();
  read_ = place.arrived;
  window_ms_ = kHourMs;
}

Progress::Place MinuteFeed::place() const {
  if (!begun_) return {};
  const auto oldest = touched_.oldest();
  return {oldest ? *oldest - 1 : read_, walk_};
}

/// What is being walked counts as not there at all.
MinuteFeed::Lag MinuteFeed::lag() const {
  if (walk_ != 0) return {};
  const auto behind = touched_.oldest(due());
  if (!behind) return {read_, std::nullopt};
  return {behind->first - 1, behind->since_ms};
}

Touched::Due MinuteFeed::due() const {
  return {log_time_.value() - grace_ms_, log_time_.value() + kFarMs};
}

Result<bool> MinuteFeed::read(const Source& source, size_t keys_most) {
  if (!begun_ || read_ >= applied_ || touched_.size() >= keys_most) return false;
  const auto entries = TRY(source.log.read(id_, read_ + 1, kReadBytes));
  // Offsets have gaps of their own, so only the log's begin tells what is missing. What has
  // changed by hand is known for some time only.
  const bool dropped =
      (entries.empty() || entries.front()->first > read_ + 1) && source.log.first(id_) > read_ + 1;
  if (dropped || (!entries.empty() && log_time_ - entries.front()->append_ms > kOldMs)) {
    log_warn("sinks", fmt::format("partition {}: what its log said behind offset {} is gone: all "
                                  "its minute rows are sent once more",
                                  id_.value(), read_.value()));
    begin_walk();
    return false;
  }
  for (const auto& entry : entries) {
    if (entry->last() <= read_) continue;
    if (entry->last() > applied_ || touched_.size() >= keys_most) return false;
    TRY(pass(*entry, source));
    read_ = entry->last();
  }
  return !entries.empty() && read_ < applied_;
}

Status MinuteFeed::pass(const log::Entry& entry, const Source& source) {
  switch (static_cast<click::EntryKind>(entry.kind)) {
    case click::EntryKind::clicks: return pass_clicks(entry);
    case click::EntryKind::decision: return pass_decision(entry, source);
    case click::EntryKind::repair: return pass_repair(entry);
    default: return {};
  }
}

/// Whatever became of them: a copy's row is looked at for nothing.
Status MinuteFeed::pass_clicks(const log::Entry& entry) {
  ByteCursor records(entry.payload);
  TRY(click::decode_batch_header(records));
  for (Offset at = entry.first; at <= entry.last(); ++at) {
    click::RecordScratch scratch;
    const auto click = TRY(click::decode_record(records, scratch));
    touched_.add({click.advertiser_id, click.ad_id, minute_of(click.timestamp_ms)}, entry.last(),
                 entry.append_ms);
  }
  return {};
}

/// It names offsets of clicks that the log may hold no more; the state remembers the rows.
Status MinuteFeed::pass_decision(const log::Entry& entry, const Source& source) {
  const auto changes = TRY(source.review.changes(id_, {entry.append_ms, entry.first, 0},
                                                 entry.append_ms + 1, kChangesMost));
  for (const auto& [position, change] : changes) {
    if (position.record != entry.first) break;
    touched_.add({change.advertiser_id, change.ad_id, change.minute_ms}, entry.last(),
                 entry.append_ms);
  }
  return {};
}

Status MinuteFeed::pass_repair(const log::Entry& entry) {
  const stream::Repair repair = TRY(stream::decode_repair(entry.payload));
  for (const auto& item : repair.items)
    touched_.add_repaired(key_of(item.row), entry.last(), entry.append_ms);
  return {};
}

/// Head rows in [from, to), and the parts.
Result<store::Version> MinuteFeed::version(const Source& source, int64_t from_ms, int64_t to_ms) {
  store::Scan scan;
  scan.from_ms = from_ms;
  scan.to_ms = to_ms;
  scan.countries = scan.visitors = true;
  auto versions = TRY(source.versions.read({id_}, scan));
  store::Version& version = versions.front();
  // A stream that began again is behind what it once told.
  if (version.applied < read_) return Error(Errc::busy, "it is behind what was read of its log");
  const uint64_t number = version_of(version.log_time, version.applied);
  // Offsets run through the lowest bits, and log time may stand still: only for as long.
  if (number < last_version_) return Error(Errc::busy, "its log time stands still");
  log_time_ = version.log_time;
  grace_ms_ = version.grace_ms;
  return std::move(version);
}

Result<MinuteFeed::Rows> MinuteFeed::gather(const Source& source) {
  if (!begun_) {
    const store::Version now = TRY(version(source, 0, 0));
    if (now.applied == Offset(0)) return Rows();
    read_ = now.applied;
    begun_ = true;
  }
  if (auto keys = touched_.due(due(), kKeysMost); !keys.empty())
    return due_rows(std::move(keys), source);
  if (walk_ != 0) return walk_rows(source);
  return Rows();
}

MinuteFeed::Rows MinuteFeed::rows_at(const store::Version& version) const {
  Rows rows;
  rows.applied = version.applied;
  rows.log_time = version.log_time;
  rows.life = life_;
  return rows;
}

Result<MinuteFeed::Rows> MinuteFeed::due_rows(std::vector<Touched::Key> keys,
                                              const Source& source) {
  const auto [first, last] =
      std::minmax_element(keys.begin(), keys.end(),
                          [](const auto& a, const auto& b) { return a.minute_ms < b.minute_ms; });
  store::Version now = TRY(version(source, first->minute_ms, last->minute_ms + kMinuteMs));
  // After the version: what it holds of earlier minutes may be a rest of what there was.
  const int64_t deleted_ms = deleted_before(source);
  std::vector<store::Row> rows = std::move(now.head);
  for (const store::Scan& scan : scans_of(keys)) {
    store::copy_rows(now.frozen, scan, rows);
    Status read = store::read_rows(minutes_of(now), scan, rows);
    if (!read) return source.versions.report(std::move(read).error());
  }
  std::erase_if(rows, [&](const store::Row& row) {
    return !std::binary_search(
        keys.begin(), keys.end(), key_of(row),
        [](const Touched::KeyView& a, const Touched::KeyView& b) { return a < b; });
  });
  const Folded both = folded(std::move(rows));
  Rows out = rows_at(now);
  size_t at = 0;
  for (const Touched::Key& key : keys) {
    const bool found = at < both.rows.size() && key_of(both.rows[at]) == Touched::KeyView(key);
    if (key.minute_ms >= deleted_ms) {
      store::Row none;
      if (found) {
        add(both.rows[at], both.automated[at], out);
      } else if (touched_.repaired(key)) {
        none.advertiser_id = key.advertiser_id;
        none.ad_id = key.ad_id;
        none.bucket_ms = key.minute_ms;
        add(none, 0, out);
      }
    }
    if (found) ++at;
  }
  out.keys = std::move(keys);
  return out;
}

/// The next rows in order of time: as many hours as give about kWalkRows of them. Those of
/// minutes that have not passed are sent too, since the log before the walk isn't read.
Result<MinuteFeed::Rows> MinuteFeed::walk_rows(const Source& source) {
  constexpr int64_t kForEver = std::numeric_limits<int64_t>::max();
  const int64_t from =
      std::max(static_cast<int64_t>(walk_ - 1) * kMinuteMs, deleted_before(source));
  const store::Version now = TRY(version(source, from, kForEver));
  int64_t begin = kForEver;
  for (const store::Row& row : now.head) begin = std::min(begin, row.bucket_ms);
  store::Scan rest;
  rest.from_ms = from;
  rest.to_ms = kForEver;
  for (const auto& frozen : now.frozen) {
    frozen->scan(store::Table::minute, rest, [&](const store::RowView& view, const sketch::Hll*) {
      begin = std::min(begin, view.bucket_ms);
    });
  }
  for (const auto& part : minutes_of(now)) {
    if (part->meta().max_bucket_ms >= from)
      begin = std::min(begin, std::max(from, part->meta().min_bucket_ms));
  }
  Rows out = rows_at(now);
  out.walk = 0;
  if (begin == kForEver) return out;
  store::Scan scan;
  std::vector<store::Row> rows;
  while (true) {
    scan.from_ms = begin;
    scan.to_ms = begin + window_ms_;
    rows = now.head;
    std::erase_if(rows, [&](const store::Row& row) { return row.bucket_ms >= scan.to_ms; });
    store::copy_rows(now.frozen, scan, rows);
    const bool least = window_ms_ == kMinuteMs;
    Status read = store::read_rows(minutes_of(now), scan, rows,
                                   least ? std::numeric_limits<size_t>::max() : kWalkRows);
    if (read) break;
    if (read.error().code() != Errc::invalid || least)
      return source.versions.report(std::move(read).error());
    window_ms_ = std::max(kMinuteMs, floor_to(window_ms_ / 4, kMinuteMs));
  }
  out.walk = static_cast<uint64_t>(scan.to_ms / kMinuteMs) + 1;
  if (rows.size() < kWalkRows / 4) window_ms_ = std::min(2 * window_ms_, kWindowMsMost);
  const Folded both = folded(std::move(rows));
  for (size_t i = 0; i < both.rows.size(); ++i) add(both.rows[i], both.automated[i], out);
  return out;
}

void MinuteFeed::add(const store::Row& row, uint64_t automated, Rows& rows) const {
  if (row.bucket_ms > kLastMinuteMs || row.bucket_ms < 0) {
    log_warn("sinks", fmt::format("partition {}: ad {}: the minute that begins {} ms after 1970 "
                                  "is none that ClickHouse's DateTime can hold: not sent",
                                  id_.value(), row.ad_id, row.bucket_ms));
    return;
  }
  const auto& counts = row.counts;
  const auto device = [&](click::Device which) {
    return counts.devices[static_cast<size_t>(which)];
  };
  auto out = std::back_inserter(rows.text);
  fmt::format_to(out,
                 "{{\"minute\":{},\"advertiser_id\":{},\"ad_id\":{},\"clicks\":{},"
                 "\"automated_clicks\":{},\"unique_users\":{},"
                 "\"mobile\":{},\"desktop\":{},\"tablet\":{},\"other\":{},\"country_codes\":",
                 row.bucket_ms / 1000, json_quoted(row.advertiser_id), json_quoted(row.ad_id),
                 counts.clicks, automated, std::min(row.visitors.estimate(), counts.clicks),
                 device(click::Device::mobile), device(click::Device::desktop),
                 device(click::Device::tablet), device(click::Device::other));
  append_list(rows.text, counts.countries, [&](const auto& country) {
    rows.text += '"' + click::to_string_country(country.first) + '"';
  });
  rows.text += ",\"country_clicks\":";
  append_list(rows.text, counts.countries,
              [&](const auto& country) { fmt::format_to(out, "{}", country.second); });
  fmt::format_to(out, ",\"log_partition\":{},\"version\":{}}}\n", id_.value(),
                 version_of(rows.log_time, rows.applied));
  ++rows.count;
}

void MinuteFeed::sent(const Rows& rows) {
  if (rows.life != life_) return;
  last_version_ = std::max(last_version_, version_of(rows.log_time, rows.applied));
  for (const Touched::Key& key : rows.keys) touched_.sent(key, rows.applied, rows.log_time);
  if (rows.walk) walk_ = *rows.walk;
}

}  // namespace clickmill::sinks
