// A survey as JSON:
//   {"survey": 1, "cluster", "epoch", "epoch_random", "partitions", "copies",
//    "founders", "node_id", "storage_id", "restored", "groups": [{"last", "last_term", "term",
//    "committed", "newest_ms", "usable", "voters": [{"node_id", "storage_id"}, …], "leaving": […],
//    "learners": […]}, …]}
// Ids of clusters and storages are 16 hex digits. Groups are the partitions in order, then the ads.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tools/force_plan.h"
#include "tools/hex_number.h"

namespace clickmill::tools {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;

std::string hex(uint64_t value) { return fmt::format("{:016x}", value); }

json members_json(const std::vector<raft::Member>& members) {
  json out = json::array();
  for (const raft::Member& member : members)
    out.push_back({{"node_id", member.node}, {"storage_id", hex(member.storage.value())}});
  return out;
}

std::vector<raft::Member> members_of(const json& list) {
  std::vector<raft::Member> out;
  for (const json& one : list)
    out.push_back(
        {one.at("node_id").get<std::string>(), raft::StorageId(from_hex(one.at("storage_id")))});
  return out;
}

uint64_t number_of(const json& object, const char* key) {
  const json& value = object.at(key);
  if (!value.is_number_unsigned()) throw std::invalid_argument(std::string(key) + " is no number");
  return value.get<uint64_t>();
}

ForcedGroup group_of(const json& one) {
  ForcedGroup group;
  group.last = Offset(number_of(one, "last"));
  group.last_term = Term(number_of(one, "last_term"));
  group.term = Term(number_of(one, "term"));
  group.committed = Offset(number_of(one, "committed"));
  group.newest = LogMs(one.at("newest_ms").get<int64_t>());
  group.usable = one.at("usable").get<bool>();
  group.members.voters = members_of(one.at("voters"));
  group.members.leaving = members_of(one.at("leaving"));
  group.members.learners = members_of(one.at("learners"));
  return group;
}

}  // namespace

std::string to_json(const Survey& survey) {
  json out{{"survey", kVersion},
           {"cluster", hex(survey.founded.cluster_id)},
           {"epoch", survey.founded.epoch},
           {"epoch_random", hex(survey.founded.epoch_random)},
           {"partitions", survey.founded.partitions},
           {"copies", survey.founded.copies},
           {"founders", members_json(survey.founded.founders)},
           {"node_id", survey.self.node},
           {"storage_id", hex(survey.self.storage.value())},
           {"restored", survey.restored},
           {"groups", json::array()}};
  for (const ForcedGroup& group : survey.groups) {
    out["groups"].push_back({{"last", group.last.value()},
                             {"last_term", group.last_term.value()},
                             {"term", group.term.value()},
                             {"committed", group.committed.value()},
                             {"newest_ms", group.newest.value()},
                             {"usable", group.usable},
                             {"voters", members_json(group.members.voters)},
                             {"leaving", members_json(group.members.leaving)},
                             {"learners", members_json(group.members.learners)}});
  }
  return out.dump(1) + "\n";
}

Result<Survey> survey_of(const std::string& text) {
  try {
    const json in = json::parse(text);
    if (in.at("survey") != kVersion)
      return Error(Errc::invalid, "a newer version of clickmill wrote this survey");
    Survey survey;
    survey.founded.cluster_id = from_hex(in.at("cluster"));
    survey.founded.epoch = number_of(in, "epoch");
    survey.founded.epoch_random = from_hex(in.at("epoch_random"));
    survey.founded.partitions = static_cast<uint32_t>(number_of(in, "partitions"));
    survey.founded.copies = static_cast<uint32_t>(number_of(in, "copies"));
    survey.founded.founders = members_of(in.at("founders"));
    survey.self.node = in.at("node_id").get<std::string>();
    survey.self.storage = raft::StorageId(from_hex(in.at("storage_id")));
    survey.restored = in.at("restored").get<bool>();
    for (const json& one : in.at("groups")) survey.groups.push_back(group_of(one));
    return survey;
  } catch (const std::exception& failure) {
    return Error(Errc::invalid, fmt::format("this is no survey: {}", failure.what()));
  }
}

}  // namespace clickmill::tools
