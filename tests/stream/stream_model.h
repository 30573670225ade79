#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/random.h"
#include "click/batch.h"
#include "click/click.h"
#include "log/entry.h"
#include "stream/checkpoint.h"
#include "stream/repair.h"
#include "stream/tick.h"

namespace clickmill::stream {

/// A click as the tests write it: owns its texts.
struct TestClick {
  std::string click_id = "c";
  std::string ad_id = "ad_1";
  std::string advertiser_id = "adv_1";
  int64_t timestamp_ms = 0;
  int64_t received_ms = 0;
  click::Device device = click::Device::mobile;
  click::Country country = click::country_of('U', 'S');
  uint8_t flags = 0;
  std::string user_id;

  click::ClickView view() const {
    click::ClickView view;
    view.click_id = click_id;
    view.ad_id = ad_id;
    view.advertiser_id = advertiser_id;
    view.ad_format = "banner";
    view.timestamp_ms = EventMs(timestamp_ms);
    view.received_ms = ArrivalMs(received_ms);
    view.device = device;
    view.country = country;
    view.flags = flags;
    view.user_id = user_id;
    view.user_agent = "Mozilla/5.0";
    return view;
  }
};

/// As the tests compare rows.
struct RowKey {
  int64_t bucket_ms = 0;
  std::string advertiser_id;
  std::string ad_id;
  bool automated = false;
  friend auto operator<=>(const RowKey&, const RowKey&) = default;
};

struct ModelRow {
  uint64_t clicks = 0;
  std::array<uint64_t, click::kDevices> devices{};
  std::map<click::Country, uint64_t> countries;
  std::set<uint64_t> visitors;  // hashes
  void merge(const ModelRow& other) {
    clicks += other.clicks;
    for (size_t i = 0; i < devices.size(); ++i) devices[i] += other.devices[i];
    for (const auto& [country, count] : other.countries) countries[country] += count;
    visitors.insert(other.visitors.begin(), other.visitors.end());
  }
  friend bool operator==(const ModelRow&, const ModelRow&) = default;

  store::Row as_row(const RowKey& key) const {
    store::Row row;
    std::tie(row.bucket_ms, row.advertiser_id, row.ad_id, row.automated) =
        std::tie(key.bucket_ms, key.advertiser_id, key.ad_id, key.automated);
    row.counts.clicks = clicks;
    row.counts.devices = devices;
    row.counts.countries.assign(countries.begin(), countries.end());
    for (const uint64_t hash : visitors) row.visitors.add(hash);
    return row;
  }
};

/// One row of a repair entry.
struct TestRepair {
  RowKey key;
  ModelRow instead_of;
  ModelRow row;
};

/// A log entry before it is encoded. Which of the fields hold depends on `kind`.
struct TestEntry {
  click::EntryKind kind = click::EntryKind::noop;
  int64_t append_ms = 0;
  std::string sender;  // clicks
  bool again = false;
  int64_t low_water = 0;
  std::vector<TestClick> clicks;
  std::vector<LowWater> low_waters;  // tick
  std::optional<Footing> footing;    // tick: a full one
  Settings settings;                 // settings
  std::vector<TestRepair> repairs;   // repair, at most one piece of them

  uint32_t count() const {
    return kind == click::EntryKind::clicks ? static_cast<uint32_t>(clicks.size()) : 1;
  }
  log::Entry encoded(Offset first) const {
    log::Entry entry;
    entry.first = first;
    entry.count = count();
    entry.kind = static_cast<uint8_t>(kind);
    entry.term = Term(1);
    entry.append_ms = LogMs(append_ms);
    if (kind == click::EntryKind::clicks) {
      click::encode_batch_header({sender, again, ArrivalMs(low_water)}, entry.payload);
      for (const auto& click : clicks) click::encode_record(click.view(), entry.payload);
    } else if (kind == click::EntryKind::tick) {
      encode_tick(low_waters, footing ? &*footing : nullptr, entry.payload);
    } else if (kind == click::EntryKind::settings) {
      encode_settings(settings, entry.payload);
    } else if (kind == click::EntryKind::repair) {
      Repair repair;
      repair.by = "auditor";
      for (const auto& one : repairs) {
        repair.items.push_back(
            {one.row.as_row(one.key), fingerprint_of(one.instead_of.as_row(one.key))});
      }
      entry.payload = encode_repair(repair).at(0);
    }
    return entry;
  }
};

enum class Fate : uint8_t {
  counted,
  duplicate,
  resent,
  late,
  clock_ahead,
  unknown_ad,
  stale,
  double_click
};

/// What DESIGN §5 says becomes of a log, word by word and without any thought of
/// speed: every id with all hours under which it stands, every row for ever.
class Model {
 public:
  explicit Model(uint64_t visitor_seed) : seed_(visitor_seed) {}

  /// The verdicts of the entry's clicks.
  std::vector<Fate> apply(const TestEntry& entry, Offset first) {
    for (auto& [name, node] : nodes_) {
      node.silent_ms +=
          std::min<int64_t>(std::max<int64_t>(entry.append_ms - log_time_, 0), 60'000);
    }
    log_time_ = std::max(log_time_, entry.append_ms);
    std::vector<Fate> verdicts;
    if (entry.kind == click::EntryKind::clicks) {
      hear(entry.sender, entry.low_water);
      move_bounds();
      for (size_t i = 0; i < entry.clicks.size(); ++i) {
        verdicts.push_back(judge(entry, entry.clicks[i]));
        note(verdicts.back(), entry.clicks[i], first + i);
      }
    } else if (entry.kind == click::EntryKind::tick) {
      for (const auto& node : entry.low_waters) hear(node.node, node.low_water.value());
    } else if (entry.kind == click::EntryKind::settings) {
      if (settings_.double_click_ms != entry.settings.double_click_ms) visits_.clear();
      settings_ = entry.settings;
      for (const auto& name : settings_.nodes) {
        if (nodes_.count(name) == 0) nodes_[name] = {log_time_, 0};
      }
    } else if (entry.kind == click::EntryKind::repair) {
      for (const auto& repair : entry.repairs) replace(repair);
    }
    move_bounds();
    return verdicts;
  }

  const std::map<RowKey, ModelRow>& minutes() const { return rows_; }
  std::map<RowKey, ModelRow> rolled_up(int64_t bucket_ms) const {
    std::map<RowKey, ModelRow> out;
    for (const auto& [key, row] : rows_) {
      RowKey longer = key;
      longer.bucket_ms = floor_to(key.bucket_ms, bucket_ms);
      out[longer].merge(row);
    }
    return out;
  }
  const std::map<uint64_t, Reason>& reviews() const { return reviews_; }
  const Tally& tally() const { return tally_; }
  int64_t t() const { return t_; }
  int64_t first_hour() const { return first_hour_; }
  int64_t log_time() const { return log_time_; }
  /// Rows that repairs have replaced.
  uint64_t replaced() const { return replaced_; }

 private:
  struct Node {
    int64_t low_water = 0;
    int64_t silent_ms = 0;
  };

  void hear(const std::string& name, int64_t low_water) {
    Node& node = nodes_[name];
    node.low_water = std::max(node.low_water, std::min(low_water, log_time_));
    node.silent_ms = 0;
  }
  void move_bounds() {
    int64_t lowest = log_time_;
    for (const auto& [name, node] : nodes_) {
      if (node.silent_ms < settings_.stale_after_hours * 3'600'000) {
        lowest = std::min(lowest, node.low_water);
      }
    }
    const int64_t t = std::max<int64_t>(lowest - 600'000, 0);
    t_ = std::max(t_, t - t % 3'600'000);
    first_hour_ = std::max(first_hour_, t_ / 3'600'000 - settings_.dedup_hours);
  }
  /// Whether one of the visits remembered lies within double_click_ms; the click is one then.
  bool again_soon(const TestEntry& entry, const TestClick& click) {
    const auto visitor = click::visitor_of(click.view(), seed_);
    const int64_t window = settings_.double_click_ms;
    if (window == 0 || !visitor.known || (click.flags & click::kBackfill) != 0) return false;
    bool close = false;
    const size_t remembered = std::min<size_t>(visits_.size(), 65'536);
    for (size_t i = visits_.size() - remembered; i < visits_.size(); ++i) {
      const Visit& visit = visits_[i];
      close |= visit.ad_id == click.ad_id && visit.visitor == visitor.hash &&
               visit.append_ms >= entry.append_ms - window - 30'000 &&
               std::abs(visit.received_ms - click.received_ms) <= window;
    }
    visits_.push_back({click.ad_id, visitor.hash, entry.append_ms, click.received_ms});
    return close;
  }
  Fate judge(const TestEntry& entry, const TestClick& click) {
    const bool again = again_soon(entry, click);
    auto& hours = ids_[{click.ad_id, click.click_id}];
    const int64_t from =
        std::max(first_hour_, click.received_ms / 3'600'000 - settings_.dedup_hours);
    if (hours.lower_bound(from) != hours.end()) {
      return entry.again ? Fate::resent : Fate::duplicate;
    }
    hours.insert(entry.append_ms / 3'600'000);
    if (click.received_ms < t_) return Fate::stale;
    if ((click.flags & click::kUnknownAd) != 0) return Fate::unknown_ad;
    if ((click.flags & click::kBackfill) != 0) return Fate::counted;
    if (click.timestamp_ms - click.received_ms > settings_.max_clock_ahead_ms) {
      return Fate::clock_ahead;
    }
    const int64_t minute_end = click.timestamp_ms / 60'000 * 60'000 + 60'000;
    if (click.received_ms - minute_end > settings_.window_grace_ms) return Fate::late;
    if (again && (click.flags & click::kIdMade) != 0) return Fate::double_click;
    return Fate::counted;
  }
  void note(Fate verdict, const TestClick& click, Offset offset) {
    if (verdict == Fate::resent) {
      ++tally_.resent;
      return;
    }
    ++tally_.received;
    switch (verdict) {
      case Fate::duplicate: ++tally_.duplicate; return;
      case Fate::late: return review(Reason::late, offset);
      case Fate::clock_ahead: return review(Reason::clock_ahead, offset);
      case Fate::unknown_ad: return review(Reason::unknown_ad, offset);
      case Fate::stale: return review(Reason::stale, offset);
      case Fate::double_click: return review(Reason::double_click, offset);
      default: break;
    }
    ++tally_.counted;
    ModelRow row;
    row.clicks = 1;
    row.devices[static_cast<size_t>(click.device)] = 1;
    row.countries[click.country] = 1;
    const auto visitor = click::visitor_of(click.view(), seed_);
    if (visitor.known) row.visitors.insert(visitor.hash);
    const bool automated = (click.flags & click::kAutomated) != 0;
    rows_[{click.timestamp_ms / 60'000 * 60'000, click.advertiser_id, click.ad_id, automated}]
        .merge(row);
  }
  void replace(const TestRepair& repair) {
    if (repair.key.bucket_ms + 60'000 + settings_.window_grace_ms > log_time_) return;
    const auto found = rows_.find(repair.key);
    if (!((found == rows_.end() ? ModelRow() : found->second) == repair.instead_of)) return;
    ++replaced_;
    rows_[repair.key] = repair.row;
    if (repair.row == ModelRow()) rows_.erase(repair.key);
  }
  void review(Reason reason, Offset offset) {
    ++tally_.review[static_cast<size_t>(reason)];
    reviews_[offset.value()] = reason;
  }

  struct Visit {
    std::string ad_id;
    uint64_t visitor;
    int64_t append_ms;
    int64_t received_ms;
  };

  const uint64_t seed_;
  std::vector<Visit> visits_;
  int64_t log_time_ = 0;
  int64_t t_ = 0;
  int64_t first_hour_ = 0;
  Settings settings_;
  std::map<std::string, Node> nodes_;
  std::map<std::pair<std::string, std::string>, std::set<int64_t>> ids_;
  std::map<RowKey, ModelRow> rows_;
  std::map<uint64_t, Reason> reviews_;
  Tally tally_;
  uint64_t replaced_ = 0;
};

/// A repair of some rows: most as they are, some as they never were; towards other
/// counts, other visitors or none at all.
inline TestEntry random_repair(const Model& model, Random& random) {
  TestEntry entry;
  entry.kind = click::EntryKind::repair;
  entry.append_ms = model.log_time() + static_cast<int64_t>(random.below(2'000));
  std::map<std::tuple<std::string, std::string, bool, int64_t>, TestRepair> repairs;
  for (uint64_t count = 1 + random.below(4); repairs.size() < count;) {
    TestRepair repair;
    if (model.minutes().empty() || random.one_in(6)) {
      repair.key = {
          model.log_time() / 60'000 * 60'000 - static_cast<int64_t>(random.below(100)) * 60'000,
          "adv_1", "ad_" + std::to_string(random.below(12)), random.one_in(3)};
    } else {
      const auto at = std::next(model.minutes().begin(),
                                static_cast<std::ptrdiff_t>(random.below(model.minutes().size())));
      repair.key = at->first;
      repair.instead_of = at->second;
    }
    if (random.one_in(8)) ++repair.instead_of.clicks;
    if (!random.one_in(4)) {
      repair.row = repair.instead_of;
      repair.row.devices[0] += 1 + random.below(3);
      repair.row.clicks = 0;
      for (const uint64_t clicks : repair.row.devices) repair.row.clicks += clicks;
      repair.row.countries[click::country_of('D', 'E')] += 1;
      if (!repair.row.visitors.empty() && random.one_in(2))
        repair.row.visitors.erase(repair.row.visitors.begin());
      if (random.one_in(2)) repair.row.visitors.insert(random.next());
    }
    const RowKey& key = repair.key;
    repairs.insert({{key.advertiser_id, key.ad_id, key.automated, key.bucket_ms}, repair});
  }
  for (auto& [key, repair] : repairs) entry.repairs.push_back(std::move(repair));
  return entry;
}

}  // namespace clickmill::stream
