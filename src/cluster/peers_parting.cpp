// How a node that holds a partition no more lets go of it. A member that leaves doesn't get the
// entry that says so, most of the time, and must not take anybody's word but the leader's.
//
// The question: v group | u64 storage. The answer: the place, as a StateOffer.
#include <memory>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "cluster/peers.h"

namespace clickmill::cluster {

void Peers::ask_to_part(Partition& partition) {
  const std::string leader = leader_of(partition.id(), &partition.replica());
  if (leader.empty() || leader == options_.node_id) return;
  std::string question;
  ByteWriter writer(question);
  writer.varint(partition.id().value());
  writer.u64(options_.storage.value());
  Worker& worker = owned_.worker_of(partition.id());
  calls_.ask(leader, CallKind::parting, question,
             [&worker, &partition](const Result<std::string>& answer) {
               if (!answer) return;
               auto place = decode_state_offer(*answer);
               if (!place) return;
               const auto shared = std::make_shared<StateOffer>(*std::move(place));
               ignore(worker.try_post([&partition, shared] { partition.part(std::move(*shared)); }),
                      "it asks again");
             });
}

void Peers::serve_parting(std::string_view question, Calls::Answer answer) {
  ByteCursor in(question);
  const uint64_t id = in.varint();
  const raft::StorageId storage(in.u64());
  Partition* const of = in.done() ? partition(id) : nullptr;
  if (of == nullptr) return answer(Error(Errc::busy, "the node is starting"));
  const bool posted = owned_.worker_of(of->id()).try_post([of, storage, answer] {
    auto place = of->parting_from(storage);
    answer(place ? Result<std::string>(encode(*place)) : std::move(place).error());
  });
  if (!posted) answer(Error(Errc::busy, "too many requests wait"));
}

}  // namespace clickmill::cluster
