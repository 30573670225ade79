#include "cluster/agreement.h"

#include <catch2/catch.hpp>

namespace clickmill::cluster {
namespace {

using Names = std::vector<std::string>;
using Points = std::deque<stream::Digest>;
constexpr PartitionId kOne{0};

stream::Digest point(uint64_t offset, uint64_t value) { return {Offset(offset), value}; }

Standing standing_of(uint64_t offset, uint64_t value) {
  return {.disk = {}, .partitions = {{Offset(offset), point(offset, value)}}};
}

TEST_CASE("agreement: a standing survives its bytes, and nothing else is one", "[cluster]") {
  const Standing standing{
      .disk = {raft::StorageId(0xfeedULL << 48), JournalPos(1ULL << 40), raft::StorageId(2), {}},
      .partitions = {{Offset(70'000), point(69'000, 0xfeedULL << 40)}, {Offset(3), {}}, {}}};
  const std::string bytes = encode(standing);
  const auto back = decode_standing(bytes);
  REQUIRE(back);
  CHECK(*back == standing);
  for (size_t size = 0; size < bytes.size(); ++size)
    CHECK_FALSE(decode_standing(std::string_view(bytes).substr(0, size)));
  std::string wrong = bytes;
  wrong.push_back('x');
  CHECK_FALSE(decode_standing(wrong));
  wrong = bytes;
  wrong.front() = 2;
  CHECK_FALSE(decode_standing(wrong));
  std::string many = encode(Standing());
  many.back() = '\xff';
  many.push_back('\xff');
  many.push_back('\x0f');
  CHECK_FALSE(decode_standing(many));
}

TEST_CASE("agreement: of three the one that came to something else is wrong", "[cluster]") {
  struct Values {
    uint64_t n1, n2, n3;
  };
  const auto [values, wrong, known] = GENERATE(table<Values, Names, bool>({
      {{5, 5, 5}, {}, false},
      {{5, 5, 6}, {"n3"}, true},
      {{6, 5, 5}, {"n1"}, true},
      {{5, 6, 5}, {"n2"}, true},
      {{5, 6, 7}, {"n1", "n2", "n3"}, false},
  }));
  CAPTURE(values.n1, values.n2, values.n3);
  const std::map<std::string, uint64_t> all{
      {"n1", values.n1}, {"n2", values.n2}, {"n3", values.n3}};
  for (const auto& [self, own] : all) {
    Agreement agreement(self, 1);
    agreement.note(kOne, {point(100, own)}, Offset(120));
    for (const auto& [node, value] : all) agreement.heard(node, standing_of(100, value));
    const auto verdict = agreement.verdict(kOne);
    CAPTURE(self);
    CHECK(verdict.wrong == wrong);
    if (!wrong.empty()) CHECK(verdict.known == known);
    CHECK(verdict.is_wrong(self) == (known && wrong == Names{self}));
    CHECK(agreement.warnings().size() == (wrong.empty() ? 0 : 1));
  }
}

TEST_CASE("agreement: of two that differ nobody can say who is right", "[cluster]") {
  Agreement agreement("n1", 1);
  agreement.note(kOne, {point(100, 5)}, Offset(120));
  agreement.heard("n2", standing_of(100, 6));
  CHECK(agreement.verdict(kOne).wrong == Names{"n1", "n2"});
  CHECK_FALSE(agreement.verdict(kOne).is_wrong("n1"));
  CHECK_FALSE(agreement.verdict(kOne).agrees);
}

TEST_CASE("agreement: the newest point of both is compared", "[cluster]") {
  Agreement agreement("n1", 1);
  // Ahead of us: not to be judged yet.
  agreement.heard("n2", standing_of(300, 9));
  agreement.heard("n3", standing_of(300, 9));
  CHECK_FALSE(agreement.verdict(kOne).agrees);
  agreement.note(kOne, {point(100, 1), point(200, 2)}, Offset(200));
  CHECK(agreement.verdict(kOne).wrong.empty());
  agreement.note(kOne, {point(100, 1), point(200, 2), point(300, 8)}, Offset(300));
  CHECK(agreement.verdict(kOne).is_wrong("n1"));
  CHECK(agreement.verdict(kOne).at == Offset(300));
  // It has begun anew, and comes to the same once more.
  agreement.note(kOne, {}, Offset(0));
  CHECK(agreement.verdict(kOne).wrong.empty());
  agreement.note(kOne, {point(200, 2), point(300, 9)}, Offset(301));
  CHECK(agreement.verdict(kOne).agrees);
  CHECK(agreement.verdict(kOne).wrong.empty());
}

TEST_CASE("agreement: a peer that has begun anew is judged by what it tells since", "[cluster]") {
  Agreement agreement("n1", 1);
  agreement.note(kOne, {point(100, 1), point(200, 2)}, Offset(200));
  agreement.heard("n2", standing_of(200, 2));
  agreement.heard("n3", standing_of(200, 7));
  CHECK(agreement.verdict(kOne).wrong == Names{"n3"});
  agreement.heard("n3", standing_of(100, 1));
  CHECK(agreement.verdict(kOne).wrong.empty());
  CHECK(agreement.applied(kOne) ==
        std::vector<std::pair<std::string, Offset>>{{"n2", Offset(200)}, {"n3", Offset(100)}});
}

TEST_CASE("agreement: a standing of another number of partitions is left out", "[cluster]") {
  Agreement agreement("n1", 2);
  agreement.heard("n2", standing_of(100, 1));
  CHECK(agreement.applied(kOne).empty());
}

}  // namespace
}  // namespace clickmill::cluster
