// What other nodes' logs lack of what is sealed here, and this one's of what is there.
#include <utility>

#include "base/bytes.h"
#include "cluster/blocks.h"
#include "cluster/peers.h"

namespace clickmill::cluster {

void Peers::serve_blocks(std::string_view question, Calls::Answer answer) {
  ByteCursor cursor(question);
  const uint64_t id = cursor.varint();
  const Offset from{cursor.varint()};
  GroupMember* const of = cursor.done() ? group(id) : nullptr;
  if (of == nullptr) return answer(Error(Errc::busy, "the node is starting"));
  const bool taken =
      options_.in_background([of, from, answer] { answer(encode_blocks(of->segments(), from)); });
  if (!taken) answer(Error(Errc::busy, "too much waits"));
}

void Peers::fetch_blocks(PartitionId id, Offset from) {
  GroupMember* const group = owned_.group(id.value());
  Worker& worker = owned_.worker_of(id);
  const raft::Member* leader = group->replica().leader();
  const auto took = [group, &worker](Result<std::string> answer) {
    using Blocks = Result<std::vector<log::Entry>>;
    auto blocks = std::make_shared<Blocks>(answer ? decode_blocks(*answer)
                                                  : Blocks(std::move(answer).error()));
    worker.post([group, blocks] { group->take_blocks(std::move(*blocks)); });
  };
  if (leader == nullptr) return took(Error(Errc::busy, "no leader is known"));
  std::string question;
  ByteWriter writer(question);
  writer.varint(id.value());
  writer.varint(from.value());
  calls_.ask(leader->node, CallKind::blocks, question, took);
}

void Peers::serve_older(std::string_view question, Calls::Answer answer) {
  ByteCursor cursor(question);
  const uint64_t id = cursor.varint();
  const Offset before{cursor.varint()};
  const Offset from{cursor.varint()};
  Partition* const of = cursor.done() ? partition(id) : nullptr;
  if (of == nullptr) return answer(Error(Errc::busy, "the node is starting"));
  const bool taken = options_.in_background([of, before, from, answer] {
    if (from != Offset(0)) return answer(encode_blocks(of->segments(), from));
    const auto head = older_head(of->segments(), before);
    answer(head ? Result<std::string>(encode(*head))
                : Error(head.error().code(), head.error().message()));
  });
  if (!taken) answer(Error(Errc::busy, "too much waits"));
}

}  // namespace clickmill::cluster
