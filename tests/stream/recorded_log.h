#pragma once

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "click/batch.h"
#include "click/sample_clicks.h"
#include "log/entry.h"
#include "stream/review.h"
#include "stream/tick.h"

namespace clickmill::stream {

/// A random log of one partition as a leader would have written it: three
/// senders with outages, our own resends, clients' copies at other nodes, late
/// and early clocks, unknown ads, imports, ticks, idle hours, changed settings,
/// and an operator who decides about odd clicks, some of them twice,
/// and a person who clicks twice.
class RecordedLog {
 public:
  static constexpr int64_t kBeginMs = 1'782'295'200'000;  // 2026-06-24T10:00:00Z

  RecordedLog(uint64_t seed, uint64_t offsets) : random_(seed), samples_(seed + 1) {
    settings_.nodes = {"n1", "n2", "n3"};
    settings_.dedup_hours = 3;
    settings_.stale_after_hours = 2;
    settings_.double_click_ms = 5'000;
    senders_.resize(settings_.nodes.size());
    append_settings();
    while (next_.value() <= offsets) step();
  }

  const std::vector<log::Entry>& entries() const { return entries_; }
  int64_t end_ms() const { return now_ms_; }

 private:
  struct Sender {
    std::deque<std::string> spool;       // records, in the order of arrival
    std::vector<std::string> last_sent;  // may be sent again
    int64_t silent_until_ms = 0;
  };

  void step() {
    pass_time();
    Sender& sender = senders_[random_.below(senders_.size())];
    arrive(sender);
    if (random_.one_in(400))
      sender.silent_until_ms = now_ms_ + static_cast<int64_t>(random_.below(10 * kHourMs));
    if (sender.silent_until_ms > now_ms_) return;
    if (random_.one_in(12) && !sender.last_sent.empty()) {
      append_clicks(sender, sender.last_sent, true);
    } else if (!sender.spool.empty()) {
      const size_t count = 1 + random_.below(std::min<size_t>(sender.spool.size(), 40));
      std::vector<std::string> batch(sender.spool.begin(),
                                     sender.spool.begin() + static_cast<std::ptrdiff_t>(count));
      append_clicks(sender, batch, false);
      sender.spool.erase(sender.spool.begin(),
                         sender.spool.begin() + static_cast<std::ptrdiff_t>(count));
      sender.last_sent = std::move(batch);
    }
    if (random_.one_in(700)) change_settings();
    if (random_.one_in(20) && !odd_.empty()) decide();
  }

  void pass_time() {
    const int64_t minute = now_ms_ / kMinuteMs;
    now_ms_ += static_cast<int64_t>(random_.below(random_.one_in(300) ? 2 * kHourMs : 40'000));
    if (now_ms_ / kMinuteMs == minute) return;
    std::vector<LowWater> low_waters;
    for (size_t i = 0; i < senders_.size(); ++i) {
      if (senders_[i].silent_until_ms <= now_ms_)
        low_waters.push_back({settings_.nodes[i], low_water(senders_[i])});
    }
    std::string payload;
    encode_tick(low_waters, nullptr, payload);
    append(click::EntryKind::tick, 1, std::move(payload));
  }

  /// Some clicks reach the sender, new ones and copies of what any had before.
  void arrive(Sender& sender) {
    for (uint64_t i = random_.below(18); i > 0; --i) {
      std::string record;
      if (!seen_.empty() && random_.one_in(10)) {
        record = seen_[random_.below(seen_.size())];
        click::stamp_received(record, 0, ArrivalMs(now_ms_), false);
      } else {
        click::encode_record(new_click(), record);
        seen_.push_back(record);
      }
      sender.spool.push_back(std::move(record));
    }
  }

  click::ClickView new_click() {
    click::ClickView click = samples_.next();
    click.flags = 0;
    click.received_ms = ArrivalMs(now_ms_);
    click.timestamp_ms = EventMs(now_ms_ - static_cast<int64_t>(random_.below(3000)));
    if (random_.one_in(20))
      click.timestamp_ms = EventMs(now_ms_ - static_cast<int64_t>(random_.below(3 * kHourMs)));
    if (random_.one_in(60))
      click.timestamp_ms = EventMs(now_ms_ + static_cast<int64_t>(random_.below(kHourMs)));
    if (random_.one_in(50)) click.flags = click::kUnknownAd;
    if (random_.one_in(30)) click.flags = click::kBackfill;
    if (random_.one_in(3)) click.flags |= click::kIdMade;
    if (++clicks_ % 4 == 0) click.flags |= click::kAutomated;
    if (random_.one_in(8)) {
      click.user_id = "twice";
      click.ad_id = "ad_7";
      click.flags |= click::kIdMade;
    }
    return click;
  }

  ArrivalMs low_water(const Sender& sender) const {
    return sender.spool.empty() ? ArrivalMs(now_ms_) : received(sender.spool.front());
  }
  static ArrivalMs received(const std::string& record) {
    ByteCursor cursor(std::string_view(record).substr(click::kReceivedMsAt));
    return ArrivalMs(cursor.i64());
  }

  void append_clicks(const Sender& sender, const std::vector<std::string>& records, bool again) {
    ArrivalMs lowest = low_water(sender);
    for (const auto& record : records) lowest = std::min(lowest, received(record));
    const auto index = static_cast<size_t>(&sender - senders_.data());
    for (size_t done = 0; done < records.size();) {
      const uint64_t room = log::kBlockOffsets - next_.value() % log::kBlockOffsets;
      const size_t count = std::min<size_t>(room, records.size() - done);
      std::string payload;
      click::encode_batch_header({settings_.nodes[index], again, lowest}, payload);
      for (size_t i = 0; i < count; ++i) {
        payload += records[done + i];
        if (is_odd(records[done + i])) odd_.push_back(next_ + i);
      }
      append(click::EntryKind::clicks, static_cast<uint32_t>(count), std::move(payload));
      done += count;
    }
  }

  /// Likely to be flagged; about others a decision says nothing.
  static bool is_odd(const std::string& record) {
    click::RecordScratch scratch;
    ByteCursor cursor(record);
    const auto click = click::decode_record(cursor, scratch);
    return click &&
           ((click->flags & click::kUnknownAd) != 0 ||
            std::abs(click->received_ms.value() - click->timestamp_ms.value()) > kMinuteMs);
  }

  void decide() {
    std::set<Offset> clicks;
    for (uint64_t i = 1 + random_.below(8); i > 0; --i)
      clicks.insert(odd_[random_.below(odd_.size())]);
    Decision decision;
    decision.verdict = random_.one_in(3) ? Verdict::reject : Verdict::accept;
    decision.by = "operator";
    decision.ads = {{"adv_3", "video"}};
    for (const Offset click : clicks)
      decision.items.push_back({click, static_cast<uint32_t>(random_.below(2))});
    std::string payload;
    encode_decision(decision, payload);
    append(click::EntryKind::decision, 1, std::move(payload));
  }

  void change_settings() {
    settings_.dedup_hours = 1 + static_cast<int64_t>(random_.below(6));
    settings_.window_grace_ms = 10'000 + static_cast<int64_t>(random_.below(60'000));
    settings_.double_click_ms = random_.one_in(3) ? 0 : static_cast<int64_t>(random_.below(5'000));
    append_settings();
  }
  void append_settings() {
    std::string payload;
    encode_settings(settings_, payload);
    append(click::EntryKind::settings, 1, std::move(payload));
  }

  void append(click::EntryKind kind, uint32_t count, std::string&& payload) {
    log::Entry entry;
    entry.first = next_;
    entry.count = count;
    entry.kind = static_cast<uint8_t>(kind);
    entry.term = Term(1);
    entry.append_ms = LogMs(now_ms_);
    entry.payload = std::move(payload);
    next_ = entry.last() + 1;
    entries_.push_back(std::move(entry));
  }

  uint64_t clicks_ = 0;
  Random random_;
  click::SampleClicks samples_;
  Settings settings_;
  int64_t now_ms_ = kBeginMs;
  Offset next_{1};
  std::vector<Sender> senders_;
  std::vector<std::string> seen_;
  std::vector<Offset> odd_;
  std::vector<log::Entry> entries_;
};

}  // namespace clickmill::stream
