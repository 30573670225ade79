#include "tools/set_back.h"

#include <algorithm>

#include "click/batch.h"
#include "click/click.h"
#include "click/record_layout.h"
#include "collector/spool_records.h"
#include "stream/tick.h"

namespace clickmill::tools {

Result<log::Entry> SetBack::entry(log::Entry entry) const {
  if (entry.append_ms <= to_) return entry;
  entry.append_ms = to_;
  switch (static_cast<click::EntryKind>(entry.kind)) {
    case click::EntryKind::clicks: entry.payload = TRY(clicks(entry.payload)); break;
    case click::EntryKind::tick: entry.payload = TRY(tick(entry.payload)); break;
    default: break;
  }
  return entry;
}

Result<std::string> SetBack::clicks(std::string_view payload) const {
  ByteCursor cursor(payload);
  click::BatchHeader header = TRY(click::decode_batch_header(cursor));
  header.low_water = std::min(header.low_water, ArrivalMs(to_.value()));
  std::string out;
  click::encode_batch_header(header, out);
  while (!cursor.empty()) {
    std::string record(TRY(click::skip_record(cursor)));
    judged(record);
    out += record;
  }
  return out;
}

/// What a full tick repeats is wrong from here on; a reader begins at an earlier one.
Result<std::string> SetBack::tick(std::string_view payload) const {
  stream::Tick tick = TRY(stream::decode_tick(payload));
  for (auto& node : tick.low_waters)
    node.low_water = std::min(node.low_water, ArrivalMs(to_.value()));
  std::string out;
  stream::encode_tick(tick.low_waters, nullptr, out);
  return out;
}

/// As Pipeline::reason_for_review judges it.
void SetBack::judged(std::string& record) const {
  const ArrivalMs received = collector::received_of(record);
  if (received.value() <= to_.value()) return;
  const int64_t timestamp = click::timestamp_of(record).value();
  const bool past = (record[click::kFlagsAt] & click::kBackfill) != 0;
  const int64_t on_time_until =
      floor_to(timestamp, kMinuteMs) + kMinuteMs + settings_.window_grace_ms;
  const bool late = !past && received.value() > on_time_until;
  const bool ahead = !past && timestamp > received.value() + settings_.max_clock_ahead_ms;
  const int64_t now = late ? std::max(to_.value(), on_time_until + 1) : to_.value();
  click::stamp_received(record, 0, ArrivalMs(now), false);
  if (!late && !ahead && timestamp > now + settings_.max_clock_ahead_ms)
    click::add_flags(record, click::kBackfill);
}

Status SetBack::pending(std::string& record) const {
  if (record.size() < click::kRecordFixedBytes)
    return Error(Errc::corrupt, "a click in the journal is cut off");
  const ArrivalMs received = collector::received_of(record);
  if (received.value() <= to_.value()) return {};
  const int64_t timestamp = click::timestamp_of(record).value();
  const bool of_the_clock = timestamp == received.value();
  click::stamp_received(record, 0, ArrivalMs(to_.value()), of_the_clock);
  if (!of_the_clock && timestamp <= to_.value()) click::add_flags(record, click::kBackfill);
  return {};
}

}  // namespace clickmill::tools
