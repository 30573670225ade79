#include "cluster/blocks.h"

#include <algorithm>

#include "base/bytes.h"
#include "log/partition_log.h"

namespace clickmill::cluster {
namespace {

constexpr size_t kBlocksBytes = 2 << 20;

}  // namespace

Result<std::string> encode_blocks(const log::Segments& segments, Offset from) {
  if (from < segments.first()) return std::string();
  std::string out;
  ByteWriter writer(out);
  while (from <= segments.last() && out.size() < kBlocksBytes) {
    for (const log::Entry& entry : TRY(segments.read_block(from))) {
      if (entry.first < from) continue;
      std::string bytes;
      log::encode_entry(entry, bytes);
      writer.bytes(bytes);
      from = entry.last() + 1;
    }
  }
  if (out.empty()) return Error(Errc::not_found, "nothing is sealed behind it here");
  return out;
}

Result<std::vector<log::Entry>> decode_blocks(std::string_view bytes) {
  ByteCursor cursor(bytes);
  std::vector<log::Entry> entries;
  while (cursor.ok() && !cursor.empty()) entries.push_back(TRY(log::decode_entry(cursor.bytes())));
  if (!cursor.done()) return Error(Errc::corrupt, "blocks are malformed");
  return entries;
}

Result<OlderHead> older_head(const log::Segments& segments, Offset before) {
  const auto closed = segments.closed();
  OlderHead head;
  head.first = segments.first();
  if (before <= head.first || before > segments.last() + 1)
    return Error(Errc::not_found, "nothing older is sealed here");
  // Behind the last that is closed it stands in the one that is still written to.
  const auto holding = std::find_if(
      closed.begin(), closed.end(),
      [&](const log::Segments::Closed& segment) { return segment.last >= before - 1; });
  if (holding != closed.end()) {
    head.first = holding->first;
    head.newest_ms = holding->max_append_ms;
  } else {
    if (!closed.empty()) head.first = closed.back().last + 1;
    head.newest_ms = segments.last_append_ms();
  }
  if (head.first == segments.first()) {
    head.before = segments.dropped_term();
  } else {
    head.before = TRY(segments.read_block(head.first - 1)).back().term;
  }
  return head;
}

std::string encode(const OlderHead& head) {
  std::string out;
  ByteWriter writer(out);
  writer.varint(head.first.value());
  writer.varint(head.before.value());
  writer.svarint(head.newest_ms.value());
  return out;
}

Result<OlderHead> decode_older_head(std::string_view bytes) {
  ByteCursor cursor(bytes);
  OlderHead head;
  head.first = Offset(cursor.varint());
  head.before = Term(cursor.varint());
  head.newest_ms = LogMs(cursor.svarint());
  if (!cursor.done() || head.first == Offset(0))
    return Error(Errc::invalid, "what a peer says of its older log is malformed");
  return head;
}

}  // namespace clickmill::cluster
