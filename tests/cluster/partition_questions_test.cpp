#include "cluster/partition_questions.h"

#include <catch2/catch.hpp>
#include <functional>

#include "base/bytes.h"
#include "base/random.h"

namespace clickmill::cluster {
namespace {

/// Its bytes come back as they were, shorter ones are refused, and no others do harm.
template <typename Value, typename Read>
void check_codec(const Value& value, Read read) {
  std::string bytes;
  write(value, bytes);
  ByteCursor in(bytes);
  const auto back = read(in);
  REQUIRE(back);
  CHECK(in.done());
  std::string again;
  write(*back, again);
  CHECK(again == bytes);
  for (size_t length = 0; length < bytes.size(); ++length) {
    ByteCursor cut(std::string_view(bytes).substr(0, length));
    const auto part = read(cut);
    if (part && cut.done()) FAIL("a part of it is a whole");
  }
  Random random(1);
  for (int i = 0; i < 2'000; ++i) {
    std::string bad = bytes;
    bad[random.below(bad.size())] = static_cast<char>(random.next());
    ByteCursor wrong(bad);
    ignore(read(wrong), "nothing is asserted of it");
  }
}

}  // namespace

TEST_CASE("questions between nodes: what is asked and answered comes back as it was", "[cluster]") {
  Partition::State state;
  state.id = PartitionId(63);
  state.term = Term(9);
  state.leader = "n2";
  state.members.voters = {{"n1", raft::StorageId(1)}, {"n2", raft::StorageId(~uint64_t{0})}};
  state.members.learners = {{"n3", raft::StorageId(3)}};
  state.first = Offset(1);
  state.last = state.committed = Offset(1'000'000);
  state.applied = Offset(999);
  state.log_time = LogMs(1'782'295'200'000);
  state.low_water = ArrivalMs(-1);
  state.digest = {Offset(4096), 0xfedcba9876543210};
  check_codec(state, read_state);

  stream::ReviewQuery query;
  query.reason = stream::Reason::stale;
  query.ad_id = "ad_1";
  query.after = Offset(7);
  check_codec(query, read_review_query);

  stream::ReviewPage page;
  page.entries.emplace_back(Offset(5), stream::ReviewEntry{stream::Reason::late, LogMs(1), "abc"});
  page.entries.emplace_back(Offset(9),
                            stream::ReviewEntry{stream::Reason::clock_ahead, LogMs(2), {}});
  page.scanned = Offset(9);
  page.scans = 12;
  page.done = false;
  check_codec(page, read_review_page);

  stream::Change change;
  change.kind = stream::Change::Kind::repair;
  change.subject = Offset(3);
  change.by = "somebody";
  change.clicks = -5;
  check_codec(std::vector<stream::Changes::Listed>{{{LogMs(1), Offset(2), 3}, change}},
              read_changes);
  check_codec(std::vector<Offset>{Offset(1), Offset(1) + (uint64_t{1} << 40)}, read_offsets);
}

}  // namespace clickmill::cluster
