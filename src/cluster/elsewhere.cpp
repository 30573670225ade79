#include "cluster/elsewhere.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

namespace clickmill::cluster {
namespace {

// Longer than who is asked waits for its workers.
constexpr auto kPatience = std::chrono::seconds(7);

/// Whether another node may say otherwise.
bool passes(const Error& error, bool once) {
  if (once && error.code() == Errc::io) return false;
  return error.code() != Errc::invalid && error.code() != Errc::not_found;
}

}  // namespace

bool Elsewhere::is(PartitionId id) const {
  if (!possible()) return false;
  const Partition& partition = *owned_.partitions[id.value()];
  return peers_->placement().partial() ? !partition.serves() : partition.apart();
}

/// Its leader first, which has most; then who else is to have it, and is heard.
std::vector<std::string> Elsewhere::holders(PartitionId id) const {
  std::vector<std::string> nodes;
  const auto add = [&](const std::string& node) {
    const bool known = std::find(nodes.begin(), nodes.end(), node) != nodes.end();
    if (!known && !node.empty() && node != peers_->options().node_id) nodes.push_back(node);
  };
  const int64_t now = peers_->now_ns();
  add(peers_->leader_of(id));
  for (const std::string& node : peers_->placement().replicas(id)) {
    if (peers_->sights().heard(node, now)) add(node);
  }
  return nodes;
}

std::vector<Result<std::string>> Elsewhere::ask_nodes(
    const std::vector<std::pair<std::string, std::string>>& questions, CallKind kind) const {
  // Shared with the answers, which may come after the asker has given up.
  struct Gathering {
    std::mutex mutex;
    std::condition_variable told;
    std::vector<std::optional<Result<std::string>>> answers;
    size_t missing = 0;
  };
  const auto gathering = std::make_shared<Gathering>();
  gathering->answers.resize(questions.size());
  gathering->missing = questions.size();
  for (size_t i = 0; i < questions.size(); ++i) {
    const auto& [node, question] = questions[i];
    peers_->calls().ask(node, kind, question, [gathering, i](Result<std::string> answer) {
      const std::lock_guard lock(gathering->mutex);
      gathering->answers[i] = std::move(answer);
      if (--gathering->missing == 0) gathering->told.notify_one();
    });
  }
  std::unique_lock lock(gathering->mutex);
  gathering->told.wait_for(lock, kPatience, [&] { return gathering->missing == 0; });
  std::vector<Result<std::string>> out;
  for (auto& answer : gathering->answers) {
    if (answer) {
      out.push_back(*std::move(answer));
    } else {
      out.emplace_back(Error(Errc::io, "no answer in time"));
    }
  }
  return out;
}

Elsewhere::Unanswered Elsewhere::ask_around(const std::vector<PartitionId>& ids, CallKind kind,
                                            const Question& question, const Take& take,
                                            bool once) const {
  Unanswered out;
  std::vector<PartitionId>& open = out.ids;
  open = ids;
  std::map<PartitionId, std::vector<std::string>> nodes;
  for (const PartitionId id : ids) nodes[id] = holders(id);
  for (size_t turn = 0; !open.empty(); ++turn) {
    std::map<std::string, std::vector<PartitionId>> by_node;
    std::vector<PartitionId> left;
    for (const PartitionId id : open) {
      if (turn < nodes[id].size()) {
        by_node[nodes[id][turn]].push_back(id);
      } else {
        left.push_back(id);
      }
    }
    if (by_node.empty()) break;
    std::vector<std::pair<std::string, std::string>> questions;
    for (const auto& [node, of] : by_node) questions.emplace_back(node, question(of));
    const auto answers = ask_nodes(questions, kind);
    auto asked = by_node.begin();
    for (const auto& answer : answers) {
      const auto& [node, of] = *asked++;
      auto taken = answer ? take(of, *answer)
                          : Status(Error(answer.error().code(), answer.error().message()));
      if (taken) continue;
      out.why = fmt::format("{}: {}", node, taken.error().message());
      if (!passes(taken.error(), once)) out.refused = std::move(taken).error();
      left.insert(left.end(), of.begin(), of.end());
    }
    open = std::move(left);
    if (out.refused) break;
  }
  return out;
}

Status Elsewhere::ask(const std::vector<PartitionId>& ids, CallKind kind, const Question& question,
                      const Take& take, bool once) const {
  auto left = ask_around(ids, kind, question, take, once);
  if (left.refused) return *std::move(left.refused);
  if (left.ids.empty()) return {};
  return nobody_has(std::move(left));
}

Error Elsewhere::nobody_has(Unanswered unanswered) {
  auto& open = unanswered.ids;
  const std::string& why = unanswered.why;
  std::sort(open.begin(), open.end());
  std::vector<uint32_t> numbers;
  for (const PartitionId id : open) numbers.push_back(id.value());
  return Error(Errc::busy, fmt::format("no node that has partition{} {} answers{}{}",
                                       numbers.size() == 1 ? "" : "s", fmt::join(numbers, ", "),
                                       why.empty() ? "" : "; the last said: ", why));
}

Result<std::string> Elsewhere::ask(PartitionId id, CallKind kind, const std::string& question,
                                   bool once) const {
  std::string given;
  TRY(ask(
      {id}, kind, [&](const std::vector<PartitionId>&) { return question; },
      [&](const std::vector<PartitionId>&, std::string_view answer) -> Status {
        given = answer;
        return {};
      },
      once));
  return given;
}

void Elsewhere::ask_later(PartitionId id, CallKind kind, const std::string& question,
                          Calls::Answer answer) const {
  const auto nodes = holders(id);
  if (nodes.empty()) return answer(Error(Errc::busy, "no node that has it is there"));
  peers_->calls().ask(nodes.front(), kind, question, std::move(answer));
}

}  // namespace clickmill::cluster
