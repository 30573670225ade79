// A members file: u64 checksum of the rest | u8 version | varint offset | membership (codec.cpp
// in raft/).
#include "cluster/members_file.h"

#include "base/bytes.h"
#include "base/checksum.h"
#include "raft/codec.h"

namespace clickmill::cluster {
namespace {

constexpr uint8_t kVersion = 1;

}  // namespace

Status write_members(FileSystem& files, const std::string& path, const KeptMembers& kept) {
  std::string body;
  ByteWriter writer(body);
  writer.u8(kVersion);
  writer.varint(kept.offset.value());
  raft::encode_membership(kept.members, body);
  std::string bytes;
  ByteWriter(bytes).u64(xxh64_of(body));
  return write_file_atomically(files, path, bytes + body);
}

Result<std::optional<KeptMembers>> read_members(FileSystem& files, const std::string& path) {
  if (!files.exists(path)) return std::optional<KeptMembers>();
  const std::string bytes = TRY(read_file(files, path));
  ByteCursor cursor(bytes);
  const uint64_t sum = cursor.u64();
  if (!cursor.ok() || sum != xxh64_of(cursor.rest()))
    return Error(Errc::corrupt, "the members of the group are damaged", path);
  const uint8_t version = cursor.u8();
  if (version != kVersion)
    return Error(Errc::corrupt, "the members of the group have an unknown version", path);
  KeptMembers kept;
  kept.offset = Offset(cursor.varint());
  auto members = raft::decode_membership(cursor.rest());
  if (!members) return Error(Errc::corrupt, members.error().message(), path);
  kept.members = *std::move(members);
  return std::optional(std::move(kept));
}

}  // namespace clickmill::cluster
