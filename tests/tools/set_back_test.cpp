// Goal: what was recorded with a clock that was ahead, set back, has no time above the right
// one, and the stream makes of each click what it made of it before.
#include "tools/set_back.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "click/batch.h"
#include "click/click.h"
#include "stream/tick.h"

namespace clickmill::tools {
namespace {

constexpr int64_t kNow = 1'782'295'205'000;
constexpr int64_t kAhead = kNow + 2 * kHourMs;
constexpr LogMs kTo(kNow);

std::string record(int64_t timestamp, int64_t received, uint8_t flags = 0) {
  click::ClickView view;
  view.click_id = "c-1";
  view.ad_id = "ad_1";
  view.advertiser_id = "adv_1";
  view.timestamp_ms = EventMs(timestamp);
  view.received_ms = ArrivalMs(received);
  view.flags = flags;
  std::string out;
  click::encode_record(view, out);
  return out;
}

struct Times {
  int64_t timestamp;
  int64_t received;
  uint8_t flags;
  bool operator==(const Times&) const = default;
};

Times times_of(std::string_view bytes) {
  ByteCursor cursor(bytes);
  click::RecordScratch scratch;
  const auto view = click::decode_record(cursor, scratch);
  REQUIRE(view);
  return {view->timestamp_ms.value(), view->received_ms.value(), view->flags};
}

std::string batch(const std::vector<std::string>& records, int64_t low_water) {
  std::string out;
  click::encode_batch_header({"n1", true, ArrivalMs(low_water)}, out);
  for (const auto& each : records) out += each;
  return out;
}

log::Entry entry(click::EntryKind kind, std::string payload, uint32_t count, int64_t append) {
  return {Offset(7), count, static_cast<uint8_t>(kind), Term(3), LogMs(append), std::move(payload)};
}

/// The one click of an entry that was appended at kAhead, set back.
Times judged(int64_t timestamp, int64_t received, uint8_t flags = 0) {
  const SetBack back(kTo, {});
  auto changed = back.entry(entry(click::EntryKind::clicks,
                                  batch({record(timestamp, received, flags)}, kAhead), 1, kAhead));
  REQUIRE(changed);
  CHECK(changed->append_ms == kTo);
  const auto again = back.entry(*changed);
  REQUIRE(again);
  CHECK(again->payload == changed->payload);
  ByteCursor cursor(changed->payload);
  const auto header = click::decode_batch_header(cursor);
  REQUIRE(header);
  CHECK(header->sender == "n1");
  CHECK(header->again);
  CHECK(header->low_water == ArrivalMs(kNow));
  return times_of(cursor.rest());
}

TEST_CASE("set back: what is not ahead stays as it is", "[tools]") {
  const SetBack back(kTo, {});
  const auto before = entry(click::EntryKind::clicks, batch({record(kNow, kNow)}, kNow), 1, kNow);
  const auto after = back.entry(before);
  REQUIRE(after);
  CHECK(after->append_ms == before.append_ms);
  CHECK(after->payload == before.payload);
}

TEST_CASE("set back: a late click is late still, one that was counted counts in its minute",
          "[tools]") {
  const int64_t minute_end = floor_to(kNow, kMinuteMs) + kMinuteMs;
  // Late of an old minute, and of one that isn't over yet.
  CHECK(judged(kNow - 3 * kMinuteMs, kAhead) == Times{kNow - 3 * kMinuteMs, kNow, 0});
  CHECK(judged(kNow, kAhead) == Times{kNow, minute_end + 30'001, 0});
  // A plain link, whose time was the clock's.
  CHECK(judged(kAhead, kAhead) == Times{kAhead, kNow, click::kBackfill});
  // Ahead of the wrong clock too: it stays so.
  CHECK(judged(kAhead + kHourMs, kAhead) == Times{kAhead + kHourMs, kNow, 0});
  // Imported, and on time whatever it says.
  CHECK(judged(kNow - kHourMs, kAhead, click::kBackfill) ==
        Times{kNow - kHourMs, kNow, click::kBackfill});
  // It had waited in the spool since the time before.
  CHECK(judged(kNow - 5000, kNow - 4000) == Times{kNow - 5000, kNow - 4000, 0});
}

TEST_CASE("set back: a tick tells no low-water above the time, and repeats nothing", "[tools]") {
  const SetBack back(kTo, {});
  stream::Footing footing;
  footing.horizon.advance(LogMs(kAhead));
  std::string payload;
  stream::encode_tick({{"n1", ArrivalMs(kAhead)}, {"n2", ArrivalMs(kNow - 5)}}, &footing, payload);
  const auto changed = back.entry(entry(click::EntryKind::tick, payload, 1, kAhead));
  REQUIRE(changed);
  const auto tick = stream::decode_tick(changed->payload);
  REQUIRE(tick);
  CHECK_FALSE(tick->footing);
  REQUIRE(tick->low_waters.size() == 2);
  CHECK(tick->low_waters[0].low_water == ArrivalMs(kNow));
  CHECK(tick->low_waters[1].low_water == ArrivalMs(kNow - 5));
}

TEST_CASE("set back: a click that no log has counts in the minute of its own time", "[tools]") {
  const SetBack back(kTo, {});
  const auto pending = [&back](int64_t timestamp, int64_t received) {
    std::string bytes = record(timestamp, received);
    REQUIRE(back.pending(bytes));
    return times_of(bytes);
  };
  CHECK(pending(kNow - 5000, kAhead) == Times{kNow - 5000, kNow, click::kBackfill});
  CHECK(pending(kAhead, kAhead) == Times{kNow, kNow, 0});
  CHECK(pending(kAhead - 1, kAhead) == Times{kAhead - 1, kNow, 0});
  CHECK(pending(kNow - 5000, kNow - 4000) == Times{kNow - 5000, kNow - 4000, 0});
  std::string cut = "short";
  CHECK_FALSE(back.pending(cut));
}

}  // namespace
}  // namespace clickmill::tools
