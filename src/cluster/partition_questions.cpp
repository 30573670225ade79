#include "cluster/partition_questions.h"

#include <memory>

#include "base/bytes.h"
#include "raft/codec.h"

namespace clickmill::cluster {
namespace {

constexpr uint64_t kListedMost = 1 << 17;
constexpr size_t kEntriesBytesMost = 8 << 20;

Status fine(const ByteCursor& in) {
  if (in.ok()) return {};
  return malformed_between_nodes();
}

uint64_t read_count(ByteCursor& in) {
  const uint64_t count = in.varint();
  if (count > kListedMost) in.fail();
  return in.ok() ? count : 0;
}

}  // namespace

Error malformed_between_nodes() {
  return Error(Errc::invalid, "a message between nodes is malformed");
}

std::string question_of(PartitionQuestion what, PartitionId id) {
  std::string out;
  ByteWriter writer(out);
  writer.u8(static_cast<uint8_t>(what));
  writer.varint(id.value());
  return out;
}

void write(const Partition::State& state, std::string& bytes) {
  ByteWriter out(bytes);
  out.varint(state.id.value());
  out.varint(state.term.value());
  out.bytes(state.leader);
  std::string members;
  raft::encode_membership(state.members, members);
  out.bytes(members);
  for (const Offset offset : {state.first, state.last, state.committed, state.applied})
    out.varint(offset.value());
  out.svarint(state.log_time.value());
  out.svarint(state.low_water.value());
  out.varint(state.digest.offset.value());
  out.u64(state.digest.value);
}

Result<Partition::State> read_state(ByteCursor& in) {
  Partition::State state;
  state.id = PartitionId(static_cast<uint32_t>(in.varint()));
  state.term = Term(in.varint());
  state.leader = in.bytes();
  const std::string_view members = in.bytes();
  for (Offset* const offset : {&state.first, &state.last, &state.committed, &state.applied})
    *offset = Offset(in.varint());
  state.log_time = LogMs(in.svarint());
  state.low_water = ArrivalMs(in.svarint());
  state.digest.offset = Offset(in.varint());
  state.digest.value = in.u64();
  TRY(fine(in));
  auto decoded = raft::decode_membership(members);
  if (!decoded) return malformed_between_nodes();
  state.members = *std::move(decoded);
  return state;
}

void write(const stream::ReviewQuery& query, std::string& bytes) {
  ByteWriter out(bytes);
  out.u8(query.reason ? static_cast<uint8_t>(*query.reason) : 0);
  out.bytes(query.ad_id);
  out.i64(query.from_ms);
  out.i64(query.to_ms);
  out.varint(query.after.value());
  out.varint(query.upto.value());
  out.varint(query.limit);
  out.varint(query.scan_most);
}

Result<stream::ReviewQuery> read_review_query(ByteCursor& in) {
  stream::ReviewQuery query;
  const uint8_t reason = in.u8();
  if (reason >= stream::kReasons) in.fail();
  if (reason != 0) query.reason = static_cast<stream::Reason>(reason);
  query.ad_id = in.bytes();
  query.from_ms = in.i64();
  query.to_ms = in.i64();
  query.after = Offset(in.varint());
  query.upto = Offset(in.varint());
  query.limit = read_count(in);
  query.scan_most = read_count(in);
  TRY(fine(in));
  return query;
}

void write(const stream::ReviewEntry& entry, std::string& bytes) {
  ByteWriter out(bytes);
  out.u8(static_cast<uint8_t>(entry.reason));
  out.svarint(entry.append_ms.value());
  out.bytes(entry.record);
}

Result<stream::ReviewEntry> read_review_entry(ByteCursor& in) {
  stream::ReviewEntry entry;
  const uint8_t reason = in.u8();
  if (reason == 0 || reason >= stream::kReasons) in.fail();
  entry.reason = static_cast<stream::Reason>(reason);
  entry.append_ms = LogMs(in.svarint());
  entry.record = in.bytes();
  TRY(fine(in));
  return entry;
}

void write(const stream::ReviewPage& page, std::string& bytes) {
  ByteWriter out(bytes);
  out.varint(page.scanned.value());
  out.varint(page.scans);
  out.u8(page.done ? 1 : 0);
  out.varint(page.entries.size());
  for (const auto& [offset, entry] : page.entries) {
    ByteWriter(bytes).varint(offset.value());
    write(entry, bytes);
  }
}

Result<stream::ReviewPage> read_review_page(ByteCursor& in) {
  stream::ReviewPage page;
  page.scanned = Offset(in.varint());
  page.scans = in.varint();
  page.done = in.u8() != 0;
  for (uint64_t left = read_count(in); left > 0; --left) {
    const Offset offset(in.varint());
    page.entries.emplace_back(offset, TRY(read_review_entry(in)));
  }
  TRY(fine(in));
  return page;
}

void write(const stream::ChangePosition& position, std::string& bytes) {
  ByteWriter out(bytes);
  out.svarint(position.at.value());
  out.varint(position.record.value());
  out.varint(position.index);
}

Result<stream::ChangePosition> read_change_position(ByteCursor& in) {
  stream::ChangePosition position;
  position.at = LogMs(in.svarint());
  position.record = Offset(in.varint());
  position.index = static_cast<uint32_t>(in.varint());
  TRY(fine(in));
  return position;
}

void write(const std::vector<stream::Changes::Listed>& listed, std::string& bytes) {
  ByteWriter(bytes).varint(listed.size());
  for (const auto& [position, change] : listed) {
    write(position, bytes);
    ByteWriter out(bytes);
    out.u8(static_cast<uint8_t>(change.kind));
    out.varint(change.subject.value());
    for (const std::string* const text :
         {&change.by, &change.what, &change.reason, &change.ad_id, &change.advertiser_id})
      out.bytes(*text);
    out.svarint(change.minute_ms);
    out.svarint(change.clicks);
  }
}

Result<std::vector<stream::Changes::Listed>> read_changes(ByteCursor& in) {
  std::vector<stream::Changes::Listed> listed;
  for (uint64_t left = read_count(in); left > 0; --left) {
    auto& [position, change] = listed.emplace_back();
    position = TRY(read_change_position(in));
    change.kind = static_cast<stream::Change::Kind>(in.u8());
    if (change.kind != stream::Change::Kind::review && change.kind != stream::Change::Kind::repair)
      in.fail();
    change.subject = Offset(in.varint());
    for (std::string* const text :
         {&change.by, &change.what, &change.reason, &change.ad_id, &change.advertiser_id})
      *text = in.bytes();
    change.minute_ms = in.svarint();
    change.clicks = in.svarint();
    TRY(fine(in));
  }
  TRY(fine(in));
  return listed;
}

void write(const std::vector<Offset>& offsets, std::string& bytes) {
  ByteWriter out(bytes);
  out.varint(offsets.size());
  for (const Offset offset : offsets) out.varint(offset.value());
}

Result<std::vector<Offset>> read_offsets(ByteCursor& in) {
  std::vector<Offset> offsets;
  for (uint64_t left = read_count(in); left > 0 && in.ok(); --left)
    offsets.emplace_back(in.varint());
  TRY(fine(in));
  return offsets;
}

void write(const Partition::Entries& entries, std::string& bytes) {
  for (const auto& entry : entries) {
    std::string encoded;
    log::encode_entry(*entry, encoded);
    ByteWriter(bytes).bytes(encoded);
    if (bytes.size() >= kEntriesBytesMost) return;
  }
}

Result<Partition::Entries> read_entries(ByteCursor& in) {
  Partition::Entries entries;
  while (in.ok() && !in.empty()) {
    auto entry = log::decode_entry(in.bytes());
    if (!entry) return malformed_between_nodes();
    entries.push_back(std::make_shared<const log::Entry>(*std::move(entry)));
  }
  TRY(fine(in));
  return entries;
}

}  // namespace clickmill::cluster
