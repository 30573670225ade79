#include "stream/recount.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/time_text.h"
#include "click/batch.h"
#include "click/click.h"
#include "stream/double_clicks.h"
#include "stream/review.h"
#include "stream/tick.h"

namespace clickmill::stream {
namespace {

constexpr uint64_t kIdentitySeed = 0x7265636f756e74;  // not the stream's
constexpr int64_t kSlackMs = 10 * kMinuteMs;
constexpr int64_t kReviewDaysMs = 90 * kDayMs;

int64_t minute_of(const click::ClickView& click) {
  return floor_to(click.timestamp_ms.value(), kMinuteMs);
}

struct IdHash {
  size_t operator()(const Hash128& id) const { return static_cast<size_t>(id.low); }
};

Hash128 id_of(const click::ClickView& click) {
  std::string text(click.ad_id);
  text += '\0';
  text += click.click_id;
  return xxh128_of(text, kIdentitySeed);
}

/// What Horizon says at a place of the log, written a second time by DESIGN §5's words:
/// a recount that shared the stream's code would repeat its mistakes.
class NaiveHorizon {
 public:
  explicit NaiveHorizon(Settings settings) : settings_(std::move(settings)) {}

  void at(int64_t append_ms) {
    // A jump counts as a minute, so that a long shutdown is no silence.
    const int64_t step = std::clamp<int64_t>(append_ms - log_ms_, 0, kMinuteMs);
    for (auto& [name, node] : nodes_) node.silent_ms += step;
    age_ms_ += step;
    log_ms_ = std::max(log_ms_, append_ms);
  }
  void hear(std::string_view name, int64_t low_water_ms) {
    Node& node = nodes_[std::string(name)];
    node.low_ms = std::max(node.low_ms, std::min(low_water_ms, log_ms_));
    node.silent_ms = 0;
  }
  /// What a full tick repeats, in place of what was gathered since a beginning in the middle.
  void adopt(const Footing& footing) {
    settings_ = footing.settings;
    nodes_.clear();
    for (const auto& [name, node] : footing.horizon.nodes())
      nodes_[name] = {node.low_water.value(), node.silent_ms};
    log_ms_ = footing.horizon.log_time().value();
    stale_before_ms_ = footing.horizon.stale_before().value();
    first_kept_hour_ = footing.horizon.first_kept_hour();
  }
  void put_in_force(Settings settings) {
    settings_ = std::move(settings);
    for (const auto& name : settings_.nodes) nodes_.try_emplace(name, Node{log_ms_, 0});
  }
  void settle() {
    // Where the reading begins in the middle of a log, the first to speak may be silent yet.
    if (nodes_.empty()) return;
    int64_t low = log_ms_;
    for (const auto& [name, node] : nodes_) {
      if (node.silent_ms < settings_.stale_after_hours * kHourMs) low = std::min(low, node.low_ms);
    }
    stale_before_ms_ =
        std::max(stale_before_ms_, floor_to(std::max<int64_t>(low - kSlackMs, 0), kHourMs));
    first_kept_hour_ =
        std::max(first_kept_hour_, hour_of(LogMs(stale_before_ms_)) - settings_.dedup_hours);
  }
  const Settings& settings() const { return settings_; }
  int64_t stale_before_ms() const { return stale_before_ms_; }
  LogHour first_kept_hour() const { return first_kept_hour_; }
  /// Log time as silence counts it; what is flagged expires by it.
  int64_t age_ms() const { return age_ms_; }

 private:
  struct Node {
    int64_t low_ms = 0;
    int64_t silent_ms = 0;
  };
  Settings settings_;
  std::map<std::string, Node, std::less<>> nodes_;
  int64_t log_ms_ = 0;
  int64_t stale_before_ms_ = 0;
  LogHour first_kept_hour_;
  int64_t age_ms_ = 0;
};

/// Who clicked which ad lately: all visits one by one.
class Visits {
 public:
  /// Takes the click as a visit. True: the visitor clicked the ad within the window before.
  bool again_soon(const click::ClickView& click, uint64_t seed, int64_t append_ms,
                  int64_t window_ms) {
    const auto visitor = click::visitor_of(click, seed);
    if (window_ms == 0 || !visitor.known || (click.flags & click::kBackfill) != 0) return false;
    auto& known = by_who_[{std::string(click.ad_id), visitor.hash}];
    const int64_t received_ms = click.received_ms.value();
    bool close = false;
    for (auto at = known.rbegin(); at != known.rend() && !close; ++at) {
      const bool remembered = number_ - at->number <= DoubleClicks::kMost &&
                              append_ms - at->append_ms <= window_ms + DoubleClicks::kSlackMs;
      if (!remembered) break;
      close = std::abs(at->received_ms - received_ms) <= window_ms;
    }
    known.push_back({number_++, append_ms, received_ms});
    if (number_ % DoubleClicks::kMost == 0) forget();
    return close;
  }

 private:
  struct Visit {
    uint64_t number;
    int64_t append_ms;
    int64_t received_ms;
  };
  void forget() {
    for (auto& [who, known] : by_who_)
      std::erase_if(
          known, [&](const Visit& visit) { return number_ - visit.number > DoubleClicks::kMost; });
    std::erase_if(by_who_, [](const auto& item) { return item.second.empty(); });
  }
  std::map<std::pair<std::string, uint64_t>, std::vector<Visit>> by_who_;
  uint64_t number_ = 0;
};

using VisitClick = std::function<Status(Offset, const click::ClickView&)>;

Error at_offset(const log::Entry& entry, Error error) {
  return std::move(error).with_context(fmt::format("log offset {}", entry.first.value()));
}

/// Tells `header` what the batch says of itself, then `visit` each of its clicks.
Status read_clicks(const log::Entry& entry,
                   const std::function<void(const click::BatchHeader&)>& on_header,
                   const VisitClick& visit) {
  ByteCursor cursor(entry.payload);
  auto header = click::decode_batch_header(cursor);
  if (!header) return at_offset(entry, std::move(header).error());
  on_header(*header);
  for (uint32_t i = 0; i < entry.count; ++i) {
    click::RecordScratch scratch;
    auto click = click::decode_record(cursor, scratch);
    if (!click) return at_offset(entry, std::move(click).error());
    TRY(visit(entry.first + i, *click));
  }
  if (!cursor.done())
    return at_offset(entry, Error(Errc::corrupt, "batch holds more than its clicks"));
  return {};
}

click::EntryKind kind_of(const log::Entry& entry) {
  return static_cast<click::EntryKind>(entry.kind);
}

/// The count of one share of the identities. shares is a power of two.
class IdentityShare {
 public:
  IdentityShare(const RecountOptions& options, uint64_t index, uint64_t shares)
      : options_(options),
        index_(index),
        shares_(shares),
        horizon_(options.settings),
        dedup_hours_most_(options.settings.dedup_hours),
        clock_ahead_ms_most_(options.settings.max_clock_ahead_ms) {}

  /// First reading: which identities have a click in the range at all.
  Status survey(const log::Entry& entry) {
    if (kind_of(entry) != click::EntryKind::clicks) return {};
    return read_clicks(
        entry, [](const click::BatchHeader&) {},
        [&](Offset, const click::ClickView& click) -> Status {
          if (!wanted(click)) return {};
          const Hash128 id = id_of(click);
          if (!mine(id)) return {};
          newest_hour_.try_emplace(id, std::nullopt);
          ++clicks_;
          if (index_ == 0 && newest_hour_.size() > options_.ids_most) halve();
          return {};
        });
  }

  /// Second reading: the verdict of every click of those identities, in order.
  Status judge(const log::Entry& entry) {
    if (entry.first.value() <= 1) whole_ = true;
    first_ = std::min(first_, entry.first);
    horizon_.at(entry.append_ms.value());
    switch (kind_of(entry)) {
      case click::EntryKind::clicks: return judge_clicks(entry);
      case click::EntryKind::tick: {
        auto tick = decode_tick(entry.payload);
        if (!tick) return at_offset(entry, std::move(tick).error());
        for (const auto& [node, low_water] : tick->low_waters)
          horizon_.hear(node, low_water.value());
        if (tick->footing) TRY(stand_on(entry, *tick->footing));
        break;
      }
      case click::EntryKind::settings: {
        auto settings = decode_settings(entry.payload);
        if (!settings) return at_offset(entry, std::move(settings).error());
        take_note_of(*settings);
        horizon_.put_in_force(*std::move(settings));
        break;
      }
      case click::EntryKind::decision: TRY(follow_decision(entry)); break;
      case click::EntryKind::noop:
      case click::EntryKind::members:
      case click::EntryKind::repair: break;
    }
    horizon_.settle();
    return {};
  }

  /// The longest that ids were kept, and that clocks might be ahead, as far as it was read.
  int64_t dedup_hours_most() const { return dedup_hours_most_; }
  int64_t clock_ahead_ms_most() const { return clock_ahead_ms_most_; }
  uint64_t shares() const { return shares_; }
  uint64_t clicks() const { return clicks_; }
  bool accepted_earlier() const { return accepted_earlier_; }
  using Key = std::tuple<std::string, std::string, bool, int64_t>;  ///< as store::key_less orders
  std::map<Key, store::Row>&& take_rows() { return std::move(rows_); }

 private:
  bool wanted(const click::ClickView& click) const {
    const int64_t minute = minute_of(click);
    return minute >= options_.from_ms && minute < options_.to_ms &&
           (options_.ad_id.empty() || click.ad_id == options_.ad_id);
  }
  bool mine(const Hash128& id) const { return (id.high & (shares_ - 1)) == index_; }
  void halve() {
    shares_ *= 2;
    std::erase_if(newest_hour_, [this](const auto& item) { return !mine(item.first); });
  }

  void take_note_of(const Settings& settings) {
    if (settings.double_click_ms != horizon_.settings().double_click_ms) visits_ = {};
    dedup_hours_most_ = std::max(dedup_hours_most_, settings.dedup_hours);
    clock_ahead_ms_most_ = std::max(clock_ahead_ms_most_, settings.max_clock_ahead_ms);
  }

  /// A full tick: where the beginning is missing, what went before is known from here on.
  Status stand_on(const log::Entry& entry, const Footing& footing) {
    if (!whole_) {
      whole_ = true;
      take_note_of(footing.settings);
      horizon_.adopt(footing);
      return {};
    }
    horizon_.settle();
    if (horizon_.stale_before_ms() == footing.horizon.stale_before().value() &&
        horizon_.first_kept_hour() == footing.horizon.first_kept_hour())
      return {};
    return at_offset(entry,
                     Error(Errc::corrupt, "the tick repeats other bounds than the log gives"));
  }

  Status judge_clicks(const log::Entry& entry) {
    const auto on_header = [&](const click::BatchHeader& header) {
      horizon_.hear(header.sender, header.low_water.value());
      horizon_.settle();
    };
    return read_clicks(
        entry, on_header, [&](Offset offset, const click::ClickView& click) -> Status {
          const bool again_soon = visits_.again_soon(click, options_.seed, entry.append_ms.value(),
                                                     horizon_.settings().double_click_ms);
          const auto at = newest_hour_.find(id_of(click));
          if (at == newest_hour_.end()) return {};
          const LogHour oldest =
              std::max(horizon_.first_kept_hour(),
                       hour_of(click.received_ms) - horizon_.settings().dedup_hours);
          if (at->second && *at->second >= oldest) return {};
          at->second = hour_of(entry.append_ms);
          if (!wanted(click)) return {};
          if (counts(click, again_soon)) {
            TRY(add(click));
          } else {
            Flagged& flagged = flagged_[offset];
            flagged.age_ms = horizon_.age_ms();
            click::encode_record(click, flagged.record);
          }
          return {};
        });
  }

  /// Counts what was accepted: the first decision about a flagged click holds.
  Status follow_decision(const log::Entry& entry) {
    auto decision = decode_decision(entry.payload);
    if (!decision) return at_offset(entry, std::move(decision).error());
    for (const auto& item : decision->items) {
      accepted_earlier_ |= item.click < first_ && decision->verdict == Verdict::accept;
      const auto at = flagged_.find(item.click);
      if (at == flagged_.end() || horizon_.age_ms() - at->second.age_ms >= kReviewDaysMs) continue;
      ByteCursor cursor(at->second.record);
      click::RecordScratch scratch;
      auto click = click::decode_record(cursor, scratch);
      if (!click) return at_offset(entry, std::move(click).error());
      if (item.ad > decision->ads.size())
        return at_offset(entry, Error(Errc::corrupt, "decision names no such ad"));
      if (item.ad > 0) click->advertiser_id = decision->ads[item.ad - 1].advertiser_id;
      const bool accepted = decision->verdict == Verdict::accept;
      if (accepted && click->advertiser_id.empty()) continue;
      if (accepted) TRY(add(*click));
      flagged_.erase(at);
    }
    return {};
  }

  /// Whether a first copy is counted rather than flagged for review.
  bool counts(const click::ClickView& click, bool again_soon) const {
    const int64_t received = click.received_ms.value();
    if (received < horizon_.stale_before_ms() || (click.flags & click::kUnknownAd) != 0)
      return false;
    if ((click.flags & click::kBackfill) != 0) return true;
    if (again_soon && (click.flags & click::kIdMade) != 0) return false;
    const Settings& settings = horizon_.settings();
    return click.timestamp_ms.value() <= received + settings.max_clock_ahead_ms &&
           received <= minute_of(click) + kMinuteMs + settings.window_grace_ms;
  }

  Status add(const click::ClickView& click) {
    const int64_t minute = minute_of(click);
    const bool automated = (click.flags & click::kAutomated) != 0;
    store::Row& row =
        rows_[{std::string(click.advertiser_id), std::string(click.ad_id), automated, minute}];
    row.counts.add(click.device, click.country);
    const auto visitor = click::visitor_of(click, options_.seed);
    if (visitor.known) row.visitors.add(visitor.hash);
    if (rows_.size() <= options_.rows_most) return {};
    return Error(Errc::invalid,
                 fmt::format("the range holds more than {} minutes of ads", options_.rows_most));
  }

  const RecountOptions& options_;
  const uint64_t index_;
  uint64_t shares_;
  /// Of each identity the log hour under which it was filed last; empty: not yet.
  std::unordered_map<Hash128, std::optional<LogHour>, IdHash> newest_hour_;
  NaiveHorizon horizon_;
  Visits visits_;
  /// Of the range and not decided yet.
  struct Flagged {
    std::string record;
    int64_t age_ms = 0;
  };
  std::map<Offset, Flagged> flagged_;
  std::map<Key, store::Row> rows_;
  uint64_t clicks_ = 0;
  Offset first_{UINT64_MAX};
  bool whole_ = false;  // what stands before is read, or known from a full tick
  int64_t dedup_hours_most_;
  int64_t clock_ahead_ms_most_;
  bool accepted_earlier_ = false;
};

/// Where a reading begins, and so from which minute on nothing is missing.
class LogStart {
 public:
  explicit LogStart(const RecountOptions& options) : options_(options) {}
  void next_reading() { seen_ = false; }
  void see(const log::Entry& entry) {
    if (std::exchange(seen_, true) || entry.first.value() <= 1) return;
    const int64_t complete_ms = std::min(entry.append_ms.value(), options_.complete_from_ms);
    // Retention may move the log's start on between two readings.
    complete_from_ms_ = std::max(complete_from_ms_, floor_to(complete_ms + kHourMs - 1, kHourMs));
  }
  /// A click that arrived r has its copies in hours from hour(r) − dedup_hours on, and r is
  /// not before its minute less max_clock_ahead.
  int64_t judged_from_ms(int64_t dedup_hours, int64_t clock_ahead_ms) const {
    if (complete_from_ms_ == INT64_MIN) return INT64_MIN;
    const int64_t arrival = complete_from_ms_ + dedup_hours * kHourMs;
    return floor_to(arrival + clock_ahead_ms + kMinuteMs - 1, kMinuteMs);
  }

 private:
  const RecountOptions& options_;
  bool seen_ = false;
  int64_t complete_from_ms_ = INT64_MIN;
};

bool same_values(const store::Row& a, const store::Row& b) {
  return a.counts == b.counts && a.visitors == b.visitors;
}

void append_part(std::string& out, std::string_view what, uint64_t stored, uint64_t recounted) {
  if (stored == recounted) return;
  out +=
      fmt::format("{}{} stored {}, recounted {}", out.empty() ? "" : "; ", what, stored, recounted);
}

}  // namespace

Result<Recounted> recount(const RecountOptions& options, const ReadLog& read) {
  Recounted out;
  LogStart start(options);
  std::map<IdentityShare::Key, store::Row> rows;
  uint64_t shares = 1;
  int64_t dedup_hours = 0;
  int64_t clock_ahead_ms = 0;
  for (uint64_t index = 0; index < shares; ++index) {
    IdentityShare share(options, index, shares);
    start.next_reading();
    TRY(read([&](const log::Entry& entry) {
      start.see(entry);
      out.entries += index == 0 ? 1 : 0;
      return share.survey(entry);
    }));
    shares = share.shares();
    start.next_reading();
    TRY(read([&](const log::Entry& entry) {
      start.see(entry);
      return share.judge(entry);
    }));
    out.accepted_earlier |= share.accepted_earlier();
    dedup_hours = std::max(dedup_hours, share.dedup_hours_most());
    clock_ahead_ms = std::max(clock_ahead_ms, share.clock_ahead_ms_most());
    out.clicks += share.clicks();
    for (auto& [key, row] : share.take_rows()) rows[key].merge(row);
  }
  for (auto& [key, row] : rows) {
    std::tie(row.advertiser_id, row.ad_id, row.automated, row.bucket_ms) = key;
    out.rows.push_back(std::move(row));
  }
  out.judged_from_ms = start.judged_from_ms(dedup_hours, clock_ahead_ms);
  return out;
}

std::vector<Difference> differences(const std::vector<store::Row>& stored,
                                    const std::vector<store::Row>& recounted) {
  std::vector<Difference> out;
  const auto note = [&out](const store::Row* a, const store::Row* b) {
    static const store::Row kNone;
    const store::Row& key = a != nullptr ? *a : *b;
    const store::Row& left = a != nullptr ? *a : kNone;
    const store::Row& right = b != nullptr ? *b : kNone;
    if ((store::holds_nothing(left) && store::holds_nothing(right)) || same_values(left, right))
      return;
    out.push_back({key.advertiser_id, key.ad_id, key.automated, key.bucket_ms, left, right});
  };
  auto a = stored.begin();
  auto b = recounted.begin();
  while (a != stored.end() || b != recounted.end()) {
    const bool only_a = b == recounted.end() || (a != stored.end() && store::key_less(*a, *b));
    const bool only_b = a == stored.end() || (b != recounted.end() && store::key_less(*b, *a));
    note(only_b ? nullptr : &*a, only_a ? nullptr : &*b);
    if (!only_b) ++a;
    if (!only_a) ++b;
  }
  return out;
}

std::string to_text(const Difference& difference) {
  const store::Counts& stored = difference.stored.counts;
  const store::Counts& recounted = difference.recounted.counts;
  std::string what;
  append_part(what, "clicks", stored.clicks, recounted.clicks);
  for (size_t i = 0; i < click::kDevices; ++i) {
    append_part(what, click::to_string(static_cast<click::Device>(i)), stored.devices[i],
                recounted.devices[i]);
  }
  std::map<click::Country, std::pair<uint64_t, uint64_t>> countries;
  for (const auto& [country, count] : stored.countries) countries[country].first = count;
  for (const auto& [country, count] : recounted.countries) countries[country].second = count;
  for (const auto& [country, counts] : countries) {
    append_part(what, click::to_string_country(country), counts.first, counts.second);
  }
  if (!(difference.stored.visitors == difference.recounted.visitors)) {
    what += fmt::format("{}unique_users stored {}, recounted {}", what.empty() ? "" : "; ",
                        difference.stored.visitors.estimate(),
                        difference.recounted.visitors.estimate());
  }
  return fmt::format("{} {} {}{}: {}", difference.ad_id, format_time_ms(difference.minute_ms),
                     difference.advertiser_id, difference.automated ? " (automated)" : "", what);
}

}  // namespace clickmill::stream
