#include "state/expiry.h"

#include "base/bytes.h"

namespace clickmill::state {
namespace {

// A checkpoint must not stop the stream for long; the next one goes on.
constexpr size_t kKeysMost = 16'384;

}  // namespace

void put_birth(uint8_t version, int64_t age_ms, std::string& out) {
  ByteWriter writer(out);
  writer.u8(version);
  writer.varint(static_cast<uint64_t>(age_ms));
}

Status Expiry::run(Overlay& overlay, int64_t age_ms, Batch& batch) {
  if (age_ms < idle_until_age_ms_) return {};
  std::string end = from_;
  size_t keys = 0;
  // What is born from now on lives at least so long.
  int64_t idle_until_age_ms = age_ms + kReviewKeptMs;
  TRY(overlay.scan(from_, to_, [&](std::string_view key, std::string_view value) {
    ByteCursor cursor(value);
    cursor.u8();
    const auto born = static_cast<int64_t>(cursor.varint());
    if (!expired(born, age_ms)) {
      idle_until_age_ms = born + kReviewKeptMs;
      return false;
    }
    end.assign(key);
    end.push_back('\0');  // the next key that could be
    if (++keys < kKeysMost) return true;
    idle_until_age_ms = age_ms;
    return false;
  }));
  idle_until_age_ms_ = idle_until_age_ms;
  if (keys > 0) overlay.forget(from_, std::move(end), batch);
  return {};
}

}  // namespace clickmill::state
