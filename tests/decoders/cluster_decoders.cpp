// What nodes say to each other behind the handshake.

#include <algorithm>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/assert.h"
#include "cluster/beat.h"
#include "cluster/founding_message.h"
#include "decoders/decoders.h"
#include "raft/codec.h"

namespace clickmill::decoders {
namespace {

// Raft's messages, and the entries in them.

raft::Membership some_members(Random& random) {
  raft::Membership members;
  for (uint64_t left = 1 + random.below(3); left > 0; --left)
    members.voters.push_back({"n" + std::to_string(left), raft::StorageId(random.next())});
  if (random.one_in(3)) members.leaving = members.voters;
  if (random.one_in(3)) members.learners = {{"n9", raft::StorageId(9)}};
  return members;
}

const log::Entry& entry_at(const std::vector<log::Entry>& entries, const raft::EntryHead& head) {
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const log::Entry& entry) {
    return entry.first == head.first;
  });
  CM_ASSERT(found != entries.end() && found->last() == head.last());
  return *found;
}

std::string raft_example(Random& random) {
  raft::Message message{raft::StorageId(random.next()), raft::StorageId(2),
                        Term(random.below(1000)), raft::TakeOver()};
  std::vector<log::Entry> entries;
  raft::Append append;
  switch (random.below(6)) {
    case 0: message.body = raft::VoteRequest{random.one_in(2), Offset(7), Term(3)}; break;
    case 1: message.body = raft::VoteAnswer{random.one_in(2), random.one_in(2)}; break;
    case 2:
      message.body = raft::AppendAnswer{Offset(5), raft::Refusal::log, Offset(3),
                                        Term(1),   Offset(2),          random.below(9)};
      break;
    case 3: message.body = raft::Behind{Offset(random.below(1 << 20))}; break;
    case 4: break;
    default:
      append.prev = Offset(10);
      append.prev_term = Term(2);
      for (Offset next = append.prev + 1; entries.size() < 1 + random.below(3);) {
        log::Entry entry;
        entry.first = next;
        entry.kind = random.one_in(3) ? raft::kMembershipKind : static_cast<uint8_t>(2);
        entry.term = Term(2);
        entry.append_ms = LogMs(1'782'295'200'000);
        entry.payload = std::string(random.below(60), 'p');
        if (entry.kind == raft::kMembershipKind) {
          entry.payload.clear();
          raft::encode_membership(some_members(random), entry.payload);
        }
        next = entry.last() + 1;
        append.entries.push_back(*raft::head_of(entry));
        entries.push_back(std::move(entry));
      }
      message.body = append;
  }
  return raft::encode_message(message, [&](const raft::EntryHead& head) -> const log::Entry& {
    return entry_at(entries, head);
  });
}

std::optional<std::string> raft_again(std::string_view bytes) {
  const auto received = raft::decode_message(bytes);
  if (!received) return std::nullopt;
  return raft::encode_message(
      received->message, [&](const raft::EntryHead& head) -> const auto& {
        return entry_at(received->entries, head);
      });
}

/// A number may be written in more than one way; what was read is written in one.
void check_raft(std::string_view bytes) {
  if (const auto again = raft_again(bytes)) CM_ASSERT(raft_again(*again) == again);
}

// Beats; the first byte chooses what they are of.

std::string beat_example(Random& random) {
  if (random.one_in(2)) {
    cluster::Claims claims;
    claims.life = random.next();
    claims.number = random.below(100);
    for (uint32_t group = 0; group < 64; ++group) {
      if (random.one_in(3)) claims.led.push_back({group, Term(random.below(9))});
    }
    return '\1' + cluster::encode(claims);
  }
  cluster::Beat beat;
  beat.life = random.next();
  beat.number = random.below(1000);
  beat.claims_seen = {random.below(9), random.below(9)};
  beat.wall_ms = 1'782'295'200'000;
  beat.workers = {{1, random.below(9)}, {2, random.below(9)}};
  if (random.one_in(2)) {
    beat.low_waters = cluster::LowWaters{ArrivalMs(1'782'295'200'000), {}};
    for (uint32_t partition = 0; partition < random.below(5); ++partition)
      beat.low_waters->exceptions.push_back({PartitionId(partition), ArrivalMs(5)});
  }
  return '\0' + cluster::encode(beat);
}

void check_beat(std::string_view given) {
  if (given.empty()) return;
  const std::string_view bytes = given.substr(1);
  if ((given[0] & 1) != 0) {
    if (const auto claims = cluster::decode_claims(bytes))
      CM_ASSERT(cluster::decode_claims(cluster::encode(*claims)).value() == *claims);
  } else if (const auto beat = cluster::decode_beat(bytes)) {
    CM_ASSERT(cluster::decode_beat(cluster::encode(*beat)).value() == *beat);
  }
}

// What nodes tell each other before they are a cluster.

std::string founding_example(Random& random) {
  if (random.one_in(2)) {
    cluster::Introduction introduction;
    introduction.life = random.next();
    introduction.storage = raft::StorageId(random.next());
    introduction.nodes = {"n1", "n2", "n3"};
    introduction.partitions = 64;
    introduction.replication = 3;
    return cluster::encode(cluster::FoundingMessage(introduction));
  }
  cluster::Offer offer;
  offer.life = random.next();
  offer.to_life = random.next();
  offer.founded.cluster_id = 1 + random.below(1000);
  offer.founded.partitions = 64;
  offer.founded.founders = some_members(random).voters;
  return cluster::encode(cluster::FoundingMessage(offer));
}

void check_founding(std::string_view bytes) {
  if (const auto message = cluster::decode_founding(bytes))
    CM_ASSERT(cluster::decode_founding(cluster::encode(*message)).value() == *message);
}

}  // namespace

const Decoder kRaftMessage = {"Raft message", raft_example, check_raft};
const Decoder kBeat = {"beat", beat_example, check_beat};
const Decoder kFounding = {"founding", founding_example, check_founding};

}  // namespace clickmill::decoders
