#include "cluster/state_offer.h"

#include <catch2/catch.hpp>

#include "base/random.h"

namespace clickmill::cluster {
namespace {

StateOffer some_offer() {
  StateOffer offer;
  offer.transfer = 77;
  offer.term = Term(5);
  offer.members.voters = {{"n1", raft::StorageId(1)}, {"n2", raft::StorageId(9)}};
  offer.members.learners = {{"n3", raft::StorageId(4)}};
  offer.deleted_before = {1'000, store::kAlways, -5};
  offer.head.key_bytes = 123'456;
  offer.head.record.applied = Offset(4'095);
  offer.head.record.running_digest = 99;
  offer.head.record.tally.received = 3;
  store::PartMeta part;
  part.name = "p7-3-minute.part";
  part.bytes = 1'000;
  offer.head.record.parts = {part};
  return offer;
}

TEST_CASE("state: an offer is read as it was written, and a damaged one is none", "[cluster]") {
  const StateOffer offer = some_offer();
  const std::string bytes = encode(offer);
  const auto read = decode_state_offer(bytes);
  REQUIRE(read);
  CHECK(read->transfer == 77);
  CHECK(read->term == Term(5));
  CHECK(read->members == offer.members);
  CHECK(read->deleted_before == offer.deleted_before);
  CHECK(read->upto() == Offset(4'095));
  CHECK(read->head.bytes() == 124'456);
  CHECK(read->head.record.running_digest == 99);
  REQUIRE(read->head.record.parts.size() == 1);
  CHECK(read->head.record.parts[0].name == "p7-3-minute.part");
  for (size_t length = 0; length < bytes.size(); ++length)
    CHECK_FALSE(decode_state_offer(std::string_view(bytes).substr(0, length)));
  CHECK_FALSE(decode_state_offer(bytes + "x"));
  CHECK_FALSE(decode_state_offer("\x02" + bytes.substr(1)));
}

TEST_CASE("state: whatever is made of an offer or a question, reading it ends", "[cluster]") {
  Random random(1);
  StateQuestion question;
  question.cursor = "where";
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = random.one_in(2) ? encode(some_offer()) : encode(question);
    for (uint64_t changes = 1 + random.below(3); changes > 0; --changes)
      bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    if (random.one_in(4)) bytes.resize(random.below(bytes.size()));
    ignore(decode_state_offer(bytes), "either will do");
    ignore(decode_state_question(bytes), "either will do");
  }
}

TEST_CASE("state: questions for one are read as they were written", "[cluster]") {
  StateQuestion question;
  question.kind = StateQuestion::Kind::piece;
  question.partition = PartitionId(63);
  question.transfer = UINT64_MAX;
  question.cursor = "where";
  const std::string bytes = encode(question);
  const auto read = decode_state_question(bytes);
  REQUIRE(read);
  CHECK(read->kind == StateQuestion::Kind::piece);
  CHECK(read->partition == PartitionId(63));
  CHECK(read->transfer == UINT64_MAX);
  CHECK(read->cursor == "where");
  for (size_t length = 0; length < bytes.size(); ++length)
    CHECK_FALSE(decode_state_question(std::string_view(bytes).substr(0, length)));
  CHECK_FALSE(decode_state_question("\x03" + bytes.substr(1)));
  CHECK_FALSE(decode_state_question(bytes + "x"));
}

}  // namespace
}  // namespace clickmill::cluster
