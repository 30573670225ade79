// Row codec, id 1. All numbers are LEB128 varints; `signed` ones are zigzag-coded first.
//
//   count of entries, then for each entry:
//     first     signed, minus the offset after the entry before (0 at the start)
//     count     offsets taken, at least 1
//     kind      one byte
//     term      signed, minus the term of the entry before (0 at the start)
//     append_ms signed, minus that of the entry before (0 at the start)
//     payload   length, then the bytes
//
// Differences wrap around at 64 bits, so that every entry can be written.

#include <algorithm>

#include "base/bytes.h"
#include "log/entry.h"

namespace clickmill::log {
namespace {

constexpr size_t kEntryBytesMin = 6;

int64_t difference(uint64_t value, uint64_t before) { return static_cast<int64_t>(value - before); }
uint64_t sum(uint64_t before, int64_t step) { return before + static_cast<uint64_t>(step); }

/// What the next entry is coded against.
struct Before {
  uint64_t next = 0;
  uint64_t term = 0;
  uint64_t append_ms = 0;

  void move_to(const Entry& entry) {
    next = entry.first.value() + entry.count;
    term = entry.term.value();
    append_ms = static_cast<uint64_t>(entry.append_ms.value());
  }
};

}  // namespace

std::string RowCodec::encode(std::span<const Entry> entries) const {
  std::string out;
  size_t size = 10;
  for (const auto& entry : entries) size += entry.payload.size() + 16;
  out.reserve(size);
  ByteWriter writer(out);
  writer.varint(entries.size());
  Before before;
  for (const auto& entry : entries) {
    writer.svarint(difference(entry.first.value(), before.next));
    writer.varint(entry.count);
    writer.u8(entry.kind);
    writer.svarint(difference(entry.term.value(), before.term));
    writer.svarint(difference(static_cast<uint64_t>(entry.append_ms.value()), before.append_ms));
    writer.bytes(entry.payload);
    before.move_to(entry);
  }
  return out;
}

Result<std::vector<Entry>> RowCodec::decode(std::string_view bytes) const {
  ByteCursor cursor(bytes);
  const uint64_t entries = cursor.varint();
  // Checked before anything is allocated: the count alone must not cost memory.
  if (entries > bytes.size() / kEntryBytesMin) {
    return Error(Errc::corrupt, "row block: more entries than its bytes can hold");
  }
  std::vector<Entry> out(entries);
  Before before;
  for (auto& entry : out) {
    entry.first = Offset(sum(before.next, cursor.svarint()));
    const uint64_t count = cursor.varint();
    entry.count = static_cast<uint32_t>(count);
    if (count != entry.count || count == 0) cursor.fail();
    entry.kind = cursor.u8();
    entry.term = Term(sum(before.term, cursor.svarint()));
    entry.append_ms = LogMs(static_cast<int64_t>(sum(before.append_ms, cursor.svarint())));
    entry.payload = cursor.bytes();
    if (!cursor.ok()) return Error(Errc::corrupt, "row block: an entry is cut short or invalid");
    before.move_to(entry);
  }
  if (!cursor.done()) return Error(Errc::corrupt, "row block: bytes after the last entry");
  return out;
}

}  // namespace clickmill::log
