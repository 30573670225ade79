// Files, little-endian: u64 checksum of the rest | u8 version, 1 | then
//   seen:   varint number | { u64 storage, u64 position }, by storage
//   claim:  u64 storage | u64 position
#include "cluster/clearing.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/checksum.h"

namespace clickmill::cluster {
namespace {

constexpr uint8_t kVersion = 1;
// Disks of all nodes, and of those that are gone.
constexpr size_t kSeenMost = 4096;

std::string sealed(const std::string& body) {
  std::string bytes;
  ByteWriter(bytes).u64(xxh64_of(body));
  return bytes + body;
}

Result<ByteCursor> opened(std::string_view bytes) {
  ByteCursor cursor(bytes);
  const uint64_t sum = cursor.u64();
  if (!cursor.ok() || sum != xxh64_of(cursor.rest()))
    return Error(Errc::corrupt, "the checksum differs");
  if (cursor.u8() != kVersion) return Error(Errc::corrupt, "it is of another version");
  return cursor;
}

}  // namespace

void Clearing::claim(JournalPos end) {
  const std::lock_guard lock(mutex_);
  claimed_ = end;
}

void Clearing::restore(const Seen& seen) {
  const std::lock_guard lock(mutex_);
  seen_ = seen;
}

Clearing::Seen Clearing::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

Clearing::Told Clearing::told_to(raft::StorageId receiver, JournalPos durable) const {
  const std::lock_guard lock(mutex_);
  const auto seen = seen_.find(receiver);
  // Who is not cleared may speak of a journal that has gone its own way.
  return {own_, cleared_ ? durable : JournalPos(0), receiver,
          seen == seen_.end() ? JournalPos(0) : seen->second};
}

void Clearing::heard(const Told& told) {
  const std::lock_guard lock(mutex_);
  if (told.durable != JournalPos(0) && (seen_.size() < kSeenMost || seen_.count(told.storage) > 0))
    seen_[told.storage] = std::max(seen_[told.storage], told.durable);
  if (told.of != own_ || cleared_) return;
  // A group that begins there was durable: the journal ended behind it.
  if (told.seen != JournalPos(0) && told.seen >= claimed_) {
    outdated_ = true;
  } else {
    answered_.insert(told.storage);
  }
}

bool Clearing::cleared_in(const raft::Membership& members) const {
  const std::lock_guard lock(mutex_);
  if (outdated_) return false;
  if (claimed_ == JournalPos(0)) return true;
  return raft::has_quorum(members, [this](raft::StorageId storage) {
    return storage == own_ || answered_.count(storage) > 0;
  });
}

std::string encode_seen(const Clearing::Seen& seen) {
  std::string body;
  ByteWriter out(body);
  out.u8(kVersion);
  out.varint(seen.size());
  for (const auto& [storage, position] : seen) {
    out.u64(storage.value());
    out.u64(position.value());
  }
  return sealed(body);
}

Result<Clearing::Seen> decode_seen(std::string_view bytes) {
  ByteCursor in = TRY(opened(bytes));
  Clearing::Seen seen;
  const uint64_t count = in.varint();
  if (count > kSeenMost) in.fail();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    const raft::StorageId storage(in.u64());
    seen[storage] = JournalPos(in.u64());
  }
  if (!in.done()) return Error(Errc::corrupt, "it is malformed");
  return seen;
}

std::string encode_claim(const Claim& claim) {
  std::string body;
  ByteWriter out(body);
  out.u8(kVersion);
  out.u64(claim.storage.value());
  out.u64(claim.end.value());
  return sealed(body);
}

Result<Claim> decode_claim(std::string_view bytes) {
  ByteCursor in = TRY(opened(bytes));
  Claim claim;
  claim.storage = raft::StorageId(in.u64());
  claim.end = JournalPos(in.u64());
  if (!in.done()) return Error(Errc::corrupt, "it is malformed");
  return claim;
}

}  // namespace clickmill::cluster
