#include "cluster/partition_answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "cluster/partition_questions.h"
#include "cluster/peers.h"

namespace clickmill::cluster {
namespace {

constexpr uint64_t kFollowMsMost = 5'000;
constexpr uint64_t kReadBytesMost = 4 << 20;

uint8_t byte_of(PartitionQuestion what) { return static_cast<uint8_t>(what); }

}  // namespace

void PartitionAnswers::give(std::string_view question, Calls::Answer answer) {
  if (!question.empty() &&
      static_cast<uint8_t>(question.front()) == byte_of(PartitionQuestion::follow))
    return follow(question, std::move(answer));
  const bool taken =
      in_pool_([this, text = std::string(question), answer] { answer(this->answer(text)); });
  if (!taken) answer(Error(Errc::busy, "too many questions of other nodes wait"));
}

Result<std::string> PartitionAnswers::answer(std::string_view question) const {
  ByteCursor in(question);
  const uint8_t what = in.u8();
  if (what == byte_of(PartitionQuestion::states)) return states(in);
  const PartitionId id(static_cast<uint32_t>(in.varint()));
  if (!in.ok() || id.value() >= owned_.partitions.size()) return malformed_between_nodes();
  if (!owned_.partitions[id.value()]->votes())
    return Error(Errc::busy, fmt::format("partition {} is not on this node", id.value()));
  if (what <= byte_of(PartitionQuestion::follow)) return answer_of_log(id, what, in);
  return answer_of_review(id, what, in);
}

Result<std::string> PartitionAnswers::states(ByteCursor& in) const {
  std::vector<PartitionId> ids;
  while (in.ok() && !in.empty() && ids.size() <= owned_.partitions.size()) {
    ids.emplace_back(static_cast<uint32_t>(in.varint()));
    if (ids.back().value() >= owned_.partitions.size()) return malformed_between_nodes();
  }
  if (!in.done() || ids.empty()) return malformed_between_nodes();
  for (const PartitionId id : ids) {
    if (!owned_.partitions[id.value()]->votes())
      return Error(Errc::busy, fmt::format("partition {} is not on this node", id.value()));
  }
  const auto all = TRY(versions_.states());
  std::string out;
  for (const PartitionId id : ids) write(all[id.value()], out);
  return out;
}

Result<std::string> PartitionAnswers::answer_of_log(PartitionId id, uint8_t what,
                                                    ByteCursor& in) const {
  std::string out;
  if (what == byte_of(PartitionQuestion::read)) {
    const Offset from(in.varint());
    const uint64_t bytes = std::min(in.varint(), kReadBytesMost);
    if (!in.done()) return malformed_between_nodes();
    write(TRY(log_.read(id, from, bytes)), out);
    return out;
  }
  const LogMs time(in.svarint());
  if (!in.done() || what != byte_of(PartitionQuestion::find_time)) return malformed_between_nodes();
  ByteWriter(out).varint(TRY(log_.find_time(id, time)).value());
  return out;
}

Result<std::string> PartitionAnswers::answer_of_review(PartitionId id, uint8_t what,
                                                       ByteCursor& in) const {
  std::string out;
  switch (static_cast<PartitionQuestion>(what)) {
    case PartitionQuestion::applied: {
      ByteWriter(out).varint(TRY(review_.applied(id)).value());
      return out;
    }
    case PartitionQuestion::list: {
      const auto query = TRY(read_review_query(in));
      write(TRY(review_.list(id, query)), out);
      return out;
    }
    case PartitionQuestion::find: {
      const Offset click(in.varint());
      if (!in.done()) return malformed_between_nodes();
      const auto standing = TRY(review_.find(id, click));
      ByteWriter(out).u8(standing.decided ? 1 : 0);
      ByteWriter(out).u8(standing.open ? 1 : 0);
      if (standing.open) write(*standing.open, out);
      return out;
    }
    case PartitionQuestion::decide: {
      auto decision = stream::decode_decision(in.rest());
      if (!decision) return malformed_between_nodes();
      write(TRY(review_.decide(id, *std::move(decision))), out);
      return out;
    }
    case PartitionQuestion::changes: {
      const auto from = TRY(read_change_position(in));
      const LogMs to(in.svarint());
      const uint64_t limit = in.varint();
      if (!in.done()) return malformed_between_nodes();
      write(TRY(review_.changes(id, from, to, std::min<uint64_t>(limit, 20'000))), out);
      return out;
    }
    default: return malformed_between_nodes();
  }
}

/// Waits in the list of those who wait for the partition, on no thread.
void PartitionAnswers::follow(std::string_view question, Calls::Answer answer) {
  ByteCursor in(question.substr(1));
  const uint64_t id = in.varint();
  const Offset from(in.varint());
  const uint64_t wait_ms = std::min(in.varint(), kFollowMsMost);
  if (!in.done() || id >= owned_.partitions.size()) return answer(malformed_between_nodes());
  Partition* const partition = owned_.partitions[id].get();
  if (!partition->votes())
    return answer(Error(Errc::busy, fmt::format("partition {} is not on this node", id)));
  const bool posted =
      owned_.worker_of(partition->id()).try_post([partition, from, wait_ms, answer] {
        partition->follow_for(from, static_cast<int64_t>(wait_ms),
                              [answer](TailReaders::Woken woken) {
                                answer(std::string(1, static_cast<char>(woken)));
                              });
      });
  if (!posted) answer(Error(Errc::busy, "too many requests wait"));
}

}  // namespace clickmill::cluster
