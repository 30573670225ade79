// Value in the meta space under partition | "double_clicks", little-endian:
//   u8 version 1 | varint visits | { varint append_ms, less the one before |
//   svarint received_ms - append_ms | u64 who } | u64 XXH3-64 of everything before
#include "stream/double_clicks.h"

#include <string>

#include "base/bytes.h"
#include "base/checksum.h"

namespace clickmill::stream {
namespace {

constexpr uint8_t kVersion = 1;

std::string key_of(state::Slot slot) {
  std::string key;
  append_key_u32(key, slot.value());
  key += "double_clicks";
  return key;
}

Error damaged() {
  return Error(Errc::corrupt, "the visits in the state store are damaged or of a newer version");
}

}  // namespace

Status DoubleClicks::load(state::Store& store) {
  const auto value = TRY(store.get(state::kMetaSpace, key_of(slot_)));
  stored_ = value.has_value();
  if (!value) return {};
  const auto body = before_checksum(*value);
  if (!body) return damaged();
  ByteCursor cursor(*body);
  const uint8_t version = cursor.u8();
  const uint64_t count = cursor.varint();
  if (version != kVersion || count > kMost) return damaged();
  int64_t append_ms = 0;
  for (uint64_t i = 0; i < count && cursor.ok(); ++i) {
    append_ms += static_cast<int64_t>(cursor.varint());
    const ArrivalMs received(append_ms + cursor.svarint());
    remember({LogMs(append_ms), received, cursor.u64()});
  }
  if (!cursor.done()) return damaged();
  return {};
}

void DoubleClicks::forget(state::Slot slot, state::Batch& batch) {
  batch.remove(state::kMetaSpace, key_of(slot));
}

void DoubleClicks::set_window(int64_t window_ms) {
  if (window_ms == window_ms_) return;
  window_ms_ = window_ms;
  visits_.clear();
  arrivals_.clear();
}

bool DoubleClicks::visit(uint64_t who, ArrivalMs received, LogMs append_ms) {
  const int64_t oldest_ms = append_ms.value() - window_ms_ - kSlackMs;
  while (!visits_.empty() &&
         (visits_.size() >= kMost || visits_.front().append_ms.value() < oldest_ms))
    forget_oldest();
  const auto near = arrivals_.lower_bound({who, received.value() - window_ms_});
  const bool close = near != arrivals_.end() && near->first == who &&
                     near->second <= received.value() + window_ms_;
  remember({append_ms, received, who});
  return close;
}

void DoubleClicks::remember(const Visit& visit) {
  visits_.push_back(visit);
  arrivals_.emplace(visit.who, visit.received.value());
}

void DoubleClicks::forget_oldest() {
  const Visit& oldest = visits_.front();
  arrivals_.erase(arrivals_.find({oldest.who, oldest.received.value()}));
  visits_.pop_front();
}

void DoubleClicks::checkpoint(state::Batch& batch) {
  if (visits_.empty() && !stored_) return;
  stored_ = !visits_.empty();
  if (!stored_) return batch.remove(state::kMetaSpace, key_of(slot_));
  std::string out;
  ByteWriter writer(out);
  writer.u8(kVersion);
  writer.varint(visits_.size());
  int64_t before_ms = 0;
  for (const Visit& visit : visits_) {
    writer.varint(static_cast<uint64_t>(visit.append_ms.value() - before_ms));
    writer.svarint(visit.received.value() - visit.append_ms.value());
    writer.u64(visit.who);
    before_ms = visit.append_ms.value();
  }
  append_checksum(out);
  batch.put(state::kMetaSpace, key_of(slot_), std::move(out));
}

}  // namespace clickmill::stream
