// Keys in the review space, big-endian: u32 slot | u8 table | u64 offset of the click.
// Table 0, open:    u8 version 1 | varint age at birth | u8 reason | svarint append_ms | record
// Table 1, decided: u8 version 1 | varint age at birth | varint offset of the deciding record
// Both expire with the click: what was decided about it stands 90 days more in
// the changes space.
//
// Payload of a decision entry:
//   u8 version 1 | u8 verdict | bytes by | varint ads | { bytes advertiser_id | bytes ad_format } |
//   varint clicks, at least 1 | { varint offset, less the one before | varint ad, 0 or 1 + its
//   place }
// A higher version is refused: a replica that can't read an entry must stop, not guess.
#include "stream/review.h"

#include <array>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/damage.h"

namespace clickmill::stream {
namespace {

constexpr uint8_t kVersion = 1;
constexpr std::array<std::string_view, kReasons> kReasonWords = {
    "?", "late", "clock_ahead", "unknown_ad", "stale", "double_click"};
enum class Table : uint8_t { open = 0, decided = 1 };
constexpr size_t kKeyBytes = 13;

std::string first_key(state::Slot slot, uint8_t table) {
  std::string key;
  append_key_u32(key, slot.value());
  key.push_back(static_cast<char>(table));
  return key;
}
std::string key_of(state::Slot slot, Table table, Offset click) {
  std::string key = first_key(slot, static_cast<uint8_t>(table));
  append_key_u64(key, click.value());
  return key;
}
state::Expiry expiry_of(state::Slot slot, Table table) {
  const auto number = static_cast<uint8_t>(table);
  return {first_key(slot, number), first_key(slot, static_cast<uint8_t>(number + 1))};
}

Error malformed(std::string_view what) {
  return Error(Errc::corrupt, std::string(what) + " is malformed or of a newer version");
}

/// A stored open click, its record borrowed.
struct Open {
  int64_t born_age_ms = 0;
  Reason reason = Reason::late;
  LogMs append_ms;
  std::string_view record;
};

Result<Open> decode_open(std::string_view value) {
  ByteCursor cursor(value);
  const uint8_t version = cursor.u8();
  Open open;
  open.born_age_ms = static_cast<int64_t>(cursor.varint());
  const uint8_t reason = cursor.u8();
  open.append_ms = LogMs(cursor.svarint());
  open.record = cursor.rest();
  if (!cursor.ok() || version != kVersion || reason < 1 || reason >= kReasons) {
    return malformed("a flagged click in the state store");
  }
  open.reason = static_cast<Reason>(reason);
  return open;
}

Result<click::ClickView> view_of(const Open& open, click::RecordScratch& scratch) {
  ByteCursor cursor(open.record);
  auto view = click::decode_record(cursor, scratch);
  if (view && !cursor.done()) return malformed("the record of a flagged click");
  return view;
}

bool fits(const Open& open, const click::ClickView& view, const ReviewQuery& query) {
  if (query.reason && open.reason != *query.reason) return false;
  if (!query.ad_id.empty() && view.ad_id != query.ad_id) return false;
  return view.timestamp_ms.value() >= query.from_ms && view.timestamp_ms.value() < query.to_ms;
}

Change change_of(Offset click, const Decision& decision, Reason reason,
                 const click::ClickView& view) {
  Change change;
  change.kind = Change::Kind::review;
  change.subject = click;
  change.by = decision.by;
  change.what = to_string(decision.verdict);
  change.reason = to_string(reason);
  change.ad_id = view.ad_id;
  change.advertiser_id = view.advertiser_id;
  change.minute_ms = floor_to(view.timestamp_ms.value(), kMinuteMs);
  change.clicks = decision.verdict == Verdict::accept ? 1 : 0;
  return change;
}

}  // namespace

std::string_view to_string(Reason reason) {
  return kReasonWords[static_cast<size_t>(reason) % kReasons];
}

std::optional<Reason> reason_named(std::string_view word) {
  for (size_t i = 1; i < kReasons; ++i) {
    if (kReasonWords[i] == word) return static_cast<Reason>(i);
  }
  return std::nullopt;
}

std::string_view to_string(Verdict verdict) {
  return verdict == Verdict::accept ? "accept" : "reject";
}

void encode_decision(const Decision& decision, std::string& out) {
  CM_ASSERT(!decision.items.empty() && decision.items.size() <= kDecisionItemsMost);
  ByteWriter writer(out);
  writer.u8(kVersion);
  writer.u8(static_cast<uint8_t>(decision.verdict));
  writer.bytes(decision.by);
  writer.varint(decision.ads.size());
  for (const Decision::Ad& ad : decision.ads) {
    writer.bytes(ad.advertiser_id);
    writer.bytes(ad.ad_format);
  }
  writer.varint(decision.items.size());
  Offset before;
  for (const Decision::Item& item : decision.items) {
    CM_ASSERT(item.click > before && item.ad <= decision.ads.size());
    writer.varint(item.click - before);
    writer.varint(item.ad);
    before = item.click;
  }
}

Result<Decision> decode_decision(std::string_view bytes) {
  ByteCursor cursor(bytes);
  const uint8_t version = cursor.u8();
  if (version > kVersion) return of_later_version("a decision entry", version, kVersion);
  const uint8_t verdict = cursor.u8();
  Decision decision;
  decision.by = cursor.bytes();
  const uint64_t ads = cursor.varint();
  for (uint64_t i = 0; i < ads && cursor.ok(); ++i) {
    Decision::Ad& ad = decision.ads.emplace_back();
    ad.advertiser_id = cursor.bytes();
    ad.ad_format = cursor.bytes();
  }
  const uint64_t items = cursor.varint();
  bool sound = items >= 1;
  Offset before;
  for (uint64_t i = 0; i < items && cursor.ok(); ++i) {
    const Offset click = before + cursor.varint();
    const uint64_t ad = cursor.varint();
    sound = sound && click > before && ad <= ads;
    decision.items.push_back({click, static_cast<uint32_t>(ad)});
    before = click;
  }
  if (!cursor.done() || !sound || version != kVersion || verdict < 1 || verdict > 2) {
    return malformed("decision entry");
  }
  decision.verdict = static_cast<Verdict>(verdict);
  return decision;
}

Review::Review(state::Slot slot, state::Store& store)
    : slot_(slot),
      overlay_(store, state::kReviewSpace),
      open_expiry_(expiry_of(slot, Table::open)),
      decided_expiry_(expiry_of(slot, Table::decided)) {}

void Review::flag(Offset click, const ReviewEntry& entry, int64_t age_ms) {
  std::string value;
  state::put_birth(kVersion, age_ms, value);
  ByteWriter writer(value);
  writer.u8(static_cast<uint8_t>(entry.reason));
  writer.svarint(entry.append_ms.value());
  writer.raw(entry.record);
  overlay_.put(key_of(slot_, Table::open, click), std::move(value));
}

Status Review::decide(Offset record, LogMs at, const Decision& decision, int64_t age_ms,
                      Changes& changes, const OnDecided& on_decided) {
  std::vector<std::string> keys;
  keys.reserve(decision.items.size());
  for (const auto& item : decision.items) keys.push_back(key_of(slot_, Table::open, item.click));
  const auto values = TRY(overlay_.get_all(keys));
  uint32_t index = 0;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!values[i]) continue;
    const Open open = TRY(decode_open(*values[i]));
    if (state::expired(open.born_age_ms, age_ms)) continue;
    click::RecordScratch scratch;
    click::ClickView view = TRY(view_of(open, scratch));
    const Decision::Item& item = decision.items[i];
    if (item.ad > 0) {
      view.advertiser_id = decision.ads[item.ad - 1].advertiser_id;
      view.ad_format = decision.ads[item.ad - 1].ad_format;
    }
    if (decision.verdict == Verdict::accept && view.advertiser_id.empty()) continue;
    overlay_.remove(std::move(keys[i]));
    std::string decided;
    state::put_birth(kVersion, open.born_age_ms, decided);
    ByteWriter(decided).varint(record.value());
    overlay_.put(key_of(slot_, Table::decided, item.click), std::move(decided));
    changes.add({at, record, index++}, change_of(item.click, decision, open.reason, view), age_ms);
    on_decided(item.click, decision.verdict, view);
  }
  return {};
}

Result<std::optional<ReviewEntry>> Review::find(Offset click, int64_t age_ms) const {
  const auto value = TRY(overlay_.get(key_of(slot_, Table::open, click)));
  if (!value) return std::optional<ReviewEntry>();
  const Open open = TRY(decode_open(*value));
  if (state::expired(open.born_age_ms, age_ms)) return std::optional<ReviewEntry>();
  return std::optional(ReviewEntry{open.reason, open.append_ms, std::string(open.record)});
}

Result<std::optional<Offset>> Review::decided_by(Offset click, int64_t age_ms) const {
  const auto value = TRY(overlay_.get(key_of(slot_, Table::decided, click)));
  if (!value) return std::optional<Offset>();
  ByteCursor cursor(*value);
  const uint8_t version = cursor.u8();
  const auto born_age_ms = static_cast<int64_t>(cursor.varint());
  const Offset record(cursor.varint());
  if (!cursor.done() || version != kVersion) return malformed("a decided click in the state store");
  if (state::expired(born_age_ms, age_ms)) return std::optional<Offset>();
  return std::optional(record);
}

Result<ReviewPage> Review::list(const ReviewQuery& query, int64_t age_ms) const {
  ReviewPage page;
  page.scanned = query.after;
  std::optional<Error> wrong;
  const auto visit = [&](std::string_view key, std::string_view value) -> Status {
    const Open open = TRY(decode_open(value));
    if (key.size() != kKeyBytes) return malformed("the key of a flagged click");
    page.scanned = Offset(read_key_u64(key.substr(5)));
    if (state::expired(open.born_age_ms, age_ms)) return {};
    click::RecordScratch scratch;
    const click::ClickView view = TRY(view_of(open, scratch));
    if (!fits(open, view, query)) return {};
    page.entries.emplace_back(page.scanned,
                              ReviewEntry{open.reason, open.append_ms, std::string(open.record)});
    return {};
  };
  const std::string from = key_of(slot_, Table::open, query.after + 1);
  const std::string to = query.upto.value() == std::numeric_limits<uint64_t>::max()
                             ? first_key(slot_, static_cast<uint8_t>(Table::decided))
                             : key_of(slot_, Table::open, query.upto + 1);
  TRY(overlay_.scan(from, to, [&](std::string_view key, std::string_view value) {
    page.done = page.entries.size() < query.limit && page.scans < query.scan_most;
    if (!page.done) return false;
    ++page.scans;
    if (auto seen = visit(key, value); !seen) wrong = std::move(seen).error();
    return !wrong;
  }));
  if (wrong) return *std::move(wrong);
  return page;
}

Status Review::checkpoint(state::Batch& batch, int64_t age_ms) {
  TRY(open_expiry_.run(overlay_, age_ms, batch));
  TRY(decided_expiry_.run(overlay_, age_ms, batch));
  overlay_.checkpoint(batch);
  return {};
}

}  // namespace clickmill::stream
