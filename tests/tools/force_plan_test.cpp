#include "tools/force_plan.h"

#include <catch2/catch.hpp>

namespace clickmill::tools {
namespace {

using Fate = ForcePlan::Group::Fate;

raft::Member member(int number) {
  return {"n" + std::to_string(number), raft::StorageId(static_cast<uint64_t>(number))};
}

raft::Membership voters(std::initializer_list<int> numbers) {
  raft::Membership out;
  for (const int number : numbers) out.voters.push_back(member(number));
  return out;
}

/// Two partitions on some of five nodes, and the ads on all.
Survey survey(int number, const raft::Membership& first, const raft::Membership& second) {
  Survey out;
  out.self = member(number);
  out.founded.cluster_id = 7;
  out.founded.partitions = 2;
  out.founded.copies = 3;
  for (int i = 1; i <= 5; ++i) out.founded.founders.push_back(member(i));
  for (const auto& members : {first, second, voters({1, 2, 3, 4, 5})}) {
    ForcedGroup group;
    group.members = members;
    if (members.contains(out.self.storage)) {
      group.last = Offset(100);
      group.committed = Offset(90);
      group.last_term = group.term = Term(3);
    }
    out.groups.push_back(group);
  }
  return out;
}

std::string why_not(std::vector<Survey> surveys) {
  const auto plan = plan_force(std::move(surveys));
  REQUIRE_FALSE(plan);
  CHECK(plan.error().code() == Errc::invalid);
  return plan.error().message();
}

}  // namespace

TEST_CASE("force: a group with a majority stays, another goes on from its newest copy", "[tools]") {
  auto n3 = survey(3, voters({1, 2, 3}), voters({3, 4, 5}));
  auto n4 = survey(4, voters({1, 2, 3}), voters({3, 4, 5}));
  auto n5 = survey(5, voters({1, 2, 3}), voters({3, 4, 5}));
  n3.groups[0].last = Offset(120);
  n4.groups[1].committed = Offset(95);
  const auto plan = plan_force({n4, n3, n5});
  REQUIRE(plan);
  CHECK(plan->survivors == std::vector<std::string>{"n3", "n4", "n5"});
  CHECK(plan->gone == std::vector<std::string>{"n1", "n2"});
  CHECK(plan->of(Fate::stays) == std::vector<uint32_t>{1, 2});
  CHECK(plan->of(Fate::forced) == std::vector<uint32_t>{0});
  CHECK(plan->groups[0].by == "n3");
  CHECK(plan->groups[0].order.members == voters({3}));
  CHECK(plan->groups[0].order.term == Term(1'003));
  CHECK(plan->groups[0].uncertain == Offset(30));
  CHECK(plan->epoch.number == 2);
  CHECK(plan->epoch.committed == std::vector<Offset>{Offset(90), Offset(95), Offset(90)});
  CHECK(plan->orders_of("n3")[0].has_value());
  CHECK_FALSE(plan->orders_of("n3")[1].has_value());
  CHECK_FALSE(plan->orders_of("n4")[0].has_value());
  // The order of the surveys is nothing, what they say is everything.
  CHECK(plan_force({n5, n4, n3})->epoch == plan->epoch);
  n5.groups[1].last = Offset(101);
  CHECK(plan_force({n5, n4, n3})->epoch.random != plan->epoch.random);
}

TEST_CASE("force: of copies without a majority that of the later term goes on", "[tools]") {
  const auto five = voters({1, 2, 3, 4, 5});
  auto n4 = survey(4, five, five);
  auto n5 = survey(5, five, five);
  n4.groups[0].last = Offset(500);
  n5.groups[0].last_term = Term(4);
  n5.groups[1].last = Offset(101);
  n4.groups[2].term = Term(9);
  const auto plan = plan_force({n4, n5});
  REQUIRE(plan);
  CHECK(plan->of(Fate::forced) == std::vector<uint32_t>{0, 1, 2});
  CHECK(plan->groups[0].by == "n5");
  CHECK(plan->groups[1].by == "n5");
  CHECK(plan->groups[2].by == "n4");
  CHECK(plan->groups[2].order.term == Term(1'009));
  raft::Membership members = voters({5});
  members.learners.push_back(member(4));
  CHECK(plan->groups[0].order.members == members);
}

TEST_CASE("force: entries that can't be gone on from are told, and never taken for others",
          "[tools]") {
  const auto five = voters({1, 2, 3, 4, 5});
  auto n4 = survey(4, five, five);
  auto n5 = survey(5, five, five);
  n4.groups[0].last = Offset(130);
  n4.groups[0].usable = false;  // it has lost its state
  n4.groups[1].usable = false;  // here too, but its log ends where the other's does
  const auto plan = plan_force({n4, n5});
  REQUIRE(plan);
  CHECK(plan->groups[0].by == "n5");
  CHECK(plan->groups[0].longer == "n4");
  CHECK(plan->groups[0].given_up == Offset(30));
  CHECK(plan->groups[0].order.leaves_out);
  CHECK(plan->groups[1].longer.empty());
  CHECK_FALSE(plan->groups[1].order.leaves_out);
}

TEST_CASE("force: a disk has what it had under a former name, unless it was emptied", "[tools]") {
  std::vector<ForcedGroup> groups(3);
  for (ForcedGroup& group : groups) group.members = voters({1, 2, 3});
  groups[0].last = groups[1].last = Offset(100);
  groups[1].members = voters({1, 2, 13});  // it has come back already
  const raft::Member self{"n3", raft::StorageId(13)};
  CHECK(take_former_disks(groups, self, {raft::StorageId(33), raft::StorageId(3)}));
  CHECK(groups[0].members.contains(self.storage));
  CHECK(groups[1].members == voters({1, 2, 13}));
  CHECK_FALSE(groups[2].members.contains(self.storage));
  CHECK_FALSE(take_former_disks(groups, self, {raft::StorageId(33)}));
}

TEST_CASE("force: what nobody has begins empty behind every offset that is known", "[tools]") {
  auto n4 = survey(4, voters({1, 2, 3}), voters({2, 4, 5}));
  auto n5 = survey(5, voters({1, 2, 3}), voters({2, 4, 5}));
  SECTION("no copy") {}
  SECTION("an empty one") {
    n4 = survey(4, voters({1, 2, 4}), voters({2, 4, 5})), n4.groups[0].last = Offset(0);
  }
  SECTION("one whose state went with it") {
    n4 = survey(4, voters({1, 2, 4}), voters({2, 4, 5}));
    n4.groups[0].usable = false;
  }
  const auto plan = plan_force({n4, n5});
  REQUIRE(plan);
  CHECK(plan->of(Fate::lost) == std::vector<uint32_t>{0});
  CHECK(plan->epoch.committed[0] == Offset(0));
  const auto& group = plan->groups[0];
  CHECK(group.order.empty_at > Offset(uint64_t{1} << 40));
  REQUIRE(group.order.members.voters.size() == 1);
  CHECK(group.order.members.voters[0].node == group.by);
}

TEST_CASE("force: a change of members under way needs a majority of both", "[tools]") {
  auto joint = voters({3, 4, 5});
  joint.leaving = {member(1), member(2), member(3)};
  const auto n3 = survey(3, joint, voters({1, 2, 3}));
  const auto n4 = survey(4, joint, voters({1, 2, 3}));
  const auto plan = plan_force({n3, n4});
  REQUIRE(plan);
  CHECK(plan->of(Fate::forced) == std::vector<uint32_t>{0, 1, 2});
}

TEST_CASE("force: surveys that don't go together are refused", "[tools]") {
  const auto of = [](int number) { return survey(number, voters({1, 2, 3}), voters({3, 4, 5})); };
  CHECK(why_not({}) == "no survey is given");
  CHECK(why_not({of(3), of(3)}) == "the survey of n3 is there twice");
  auto other = of(4);
  other.founded.cluster_id = 8;
  CHECK_THAT(why_not({of(3), other}), Catch::Contains("is of cluster 0000000000000008"));
  other = of(4);
  other.founded.epoch = 2;
  CHECK_THAT(why_not({of(3), other}), Catch::Contains("is of epoch 2, that of n3 of 1"));
  other = of(4);
  other.founded.epoch_random = 2;
  CHECK_THAT(why_not({of(3), other}), Catch::Contains("which began elsewhere"));
  other = of(4);
  other.groups.pop_back();
  CHECK_THAT(why_not({of(3), other}), Catch::Contains("every partition"));
}

TEST_CASE("force: a survey is read as it was written, and nothing else is one", "[tools]") {
  auto one = survey(3, voters({1, 2, 3}), voters({3, 4, 5}));
  one.groups[0].members.learners.push_back(member(4));
  one.groups[1].usable = false;
  one.groups[2].newest = LogMs(1'782'295'200'000);
  const std::string text = to_json(one);
  const auto read = survey_of(text);
  REQUIRE(read);
  CHECK(*read == one);
  for (const char* const wrong : {"", "[]", "{}", "{\"survey\":2}", "{\"survey\":1}"})
    CHECK_FALSE(survey_of(wrong));
  for (size_t cut = 0; cut + 2 < text.size(); cut += 7) CHECK_FALSE(survey_of(text.substr(0, cut)));
}

}  // namespace clickmill::tools
