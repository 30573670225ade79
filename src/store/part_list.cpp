// Part list: u8 version, 1 (a higher one is refused) | varint number of parts |
// each part's entry (part_meta.cpp).
#include "store/part_list.h"

namespace clickmill::store {
namespace {

constexpr uint8_t kListVersion = 1;

}  // namespace

void encode_part_list(const std::vector<PartMeta>& parts, std::string& out) {
  ByteWriter writer(out);
  writer.u8(kListVersion);
  writer.varint(parts.size());
  for (const PartMeta& part : parts) encode_part_meta(part, out);
}

Result<std::vector<PartMeta>> decode_part_list(ByteCursor& cursor) {
  const uint8_t version = cursor.u8();
  const uint64_t size = cursor.varint();
  if (!cursor.ok()) return Error(Errc::corrupt, "part list: cut short");
  if (version != kListVersion) {
    return Error(Errc::corrupt, "part list: version " + std::to_string(version) +
                                    ", this program reads " + std::to_string(kListVersion));
  }
  // The number is not believed before its entries are seen: no reserve.
  std::vector<PartMeta> parts;
  for (uint64_t i = 0; i < size; ++i) {
    auto meta = TRY(decode_part_meta(cursor));
    parts.push_back(std::move(meta));
  }
  return parts;
}

}  // namespace clickmill::store
