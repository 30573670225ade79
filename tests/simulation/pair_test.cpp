// Goal: two nodes in one process: every click that one of them acknowledged ends exactly
// once in the log of its partition's leader, whichever node that is; and both streams
// agree with a naive reader of the logs. Method: random runs of two SimNodes, of which
// the first leads all partitions but the last, and the second the last.
// Fault model: SimNode's of each; the network delivers late, in order, loses requests and
// answers (the sender is told that it can't know); a node that dies loses what it had
// asked, and who had asked it is told the same.

#include <catch2/catch.hpp>
#include <map>

#include "simulation/clients.h"
#include "simulation/quiet_log.h"

namespace clickmill::simulation {
namespace {

constexpr uint32_t kPartitions = 3;

size_t leader_of(PartitionId partition) { return partition.value() + 1 == kPartitions ? 1 : 0; }

/// Two nodes and what is on its way between them.
class Pair {
 public:
  explicit Pair(uint64_t seed) : random_(seed) {
    for (size_t i = 0; i < 2; ++i) {
      SimNode::Options options;
      options.node_id = i == 0 ? "n1" : "n2";
      options.nodes = {"n1", "n2"};
      options.partitions = kPartitions;
      options.router = [this, i](cluster::Owned&) {
        return std::make_unique<LossyRouter>(*this, i);
      };
      nodes_.push_back(std::make_unique<SimNode>(2 * seed + i, clock, options));
    }
  }

  std::optional<std::string> open(size_t node) { return nodes_[node]->open(); }
  std::optional<std::string> restart(size_t node, bool power_loss) {
    nodes_[node]->die(power_loss);
    std::vector<uint64_t> unknown;
    for (auto at = asked_.begin(); at != asked_.end();) {
      if (at->second.to == node && at->second.from != node) unknown.push_back(at->first);
      at = at->second.from == node ? asked_.erase(at) : std::next(at);
    }
    for (const uint64_t number : unknown) answer_later(number, Error(Errc::io, "gone"));
    return open(node);
  }

  /// Delivers up to `most` messages, some of which are lost.
  void deliver(size_t most, bool lossy) {
    for (size_t i = 0; i < most && !network_.empty(); ++i) {
      Message message = std::move(network_.front());
      network_.pop_front();
      if (lossy && random_.one_in(8)) {
        answer(message.number, Error(Errc::io, "lost"));
      } else {
        message.arrive();
      }
    }
  }

  bool settle() {
    for (int round = 0; round < 3000; ++round) {
      bool busy = !network_.empty() || !asked_.empty();
      deliver(SIZE_MAX, false);
      for (const auto& node : nodes_) {
        node->pump();
        node->run_background(SIZE_MAX);
        busy |= node->run_workers(SIZE_MAX) || !node->caught_up();
        busy |= node->machine().spool().held_clicks() != 0;
        if (node->failure() || node->journal_fails()) return false;
      }
      if (!busy) return true;
      clock.advance_ms(50);
      for (const auto& node : nodes_) node->step();
    }
    return false;
  }

  std::optional<std::string> check(const Clients& clients, stream::Tally& total) const {
    Fates fates;
    for (uint32_t i = 0; i < kPartitions; ++i) {
      const auto& partition = *nodes_[leader_of(PartitionId(i))]->partitions()[i];
      if (auto problem = fates.read(partition)) return problem;
      const stream::Tally& tally = partition.pipeline().tally();
      total.received += tally.received;
      total.counted += tally.counted;
      total.duplicate += tally.duplicate;
      total.resent += tally.resent;
      for (size_t at = 0; at < total.review.size(); ++at) total.review[at] += tally.review[at];
    }
    return fates.check(clients, total);
  }

  SimNode& node(size_t at) { return *nodes_[at]; }
  const QuietLog quiet;
  ManualClock clock{1'782'295'200'000};

 private:
  struct Asked {
    size_t from;
    size_t to;
    cluster::Committed committed;  ///< of the sender: called once, or never if it died
  };
  struct Message {
    uint64_t number;
    std::function<void()> arrive;
  };
  class LossyRouter final : public cluster::ClickRouter {
   public:
    LossyRouter(Pair& pair, size_t from) : pair_(pair), from_(from) {}
    void send(PartitionId partition, cluster::Batch&& batch,
              cluster::Committed committed) override {
      pair_.ask(from_, partition, std::move(batch), std::move(committed));
    }

   private:
    Pair& pair_;
    const size_t from_;
  };

  void ask(size_t from, PartitionId partition, cluster::Batch&& batch,
           cluster::Committed committed) {
    const size_t to = leader_of(partition);
    const uint64_t number = next_++;
    asked_.emplace(number, Asked{from, to, std::move(committed)});
    const auto sent = std::make_shared<cluster::Batch>(std::move(batch));
    network_.push_back({number, [this, number, to, partition, sent] {
                          nodes_[to]->partitions()[partition.value()]->submit(
                              std::move(*sent), [this, number](Status status) {
                                answer_later(number, std::move(status));
                              });
                        }});
  }
  void answer_later(uint64_t number, Status status) {
    const auto told = std::make_shared<Status>(std::move(status));
    network_.push_back({number, [this, number, told] { answer(number, std::move(*told)); }});
  }
  void answer(uint64_t number, Status status) {
    const auto at = asked_.find(number);
    if (at == asked_.end()) return;
    const auto committed = std::move(at->second.committed);
    asked_.erase(at);
    committed(std::move(status));
  }

  Random random_;
  std::map<uint64_t, Asked> asked_;
  std::deque<Message> network_;
  uint64_t next_ = 0;
  std::vector<std::unique_ptr<SimNode>> nodes_;
};

/// One random run; what was found wrong, or nothing.
class PairRun {
 public:
  explicit PairRun(uint64_t seed) : random_(seed), clients_(seed), pair_(seed) {}

  std::optional<std::string> go() {
    for (size_t i = 0; i < 2; ++i) {
      if (auto problem = pair_.open(i)) return problem;
    }
    for (int step = 0; step < 250; ++step) {
      if (auto problem = one_step()) return problem;
    }
    for (size_t i = 0; i < 2; ++i) pair_.node(i).files.fail_sync_after(0);
    if (!pair_.settle()) return "clicks stay in a spool";
    return pair_.check(clients_, total);
  }
  stream::Tally total;
  size_t acknowledged() const { return clients_.acknowledged().size(); }

 private:
  std::optional<std::string> one_step() {
    const size_t at = random_.below(2);
    SimNode& node = pair_.node(at);
    switch (random_.below(12)) {
      case 0:
      case 1:
      case 2: send(node); break;
      case 3:
      case 4: node.pump(); break;
      case 5: node.run_workers(1 + random_.below(6)); break;
      case 6: node.step(); break;
      case 7: node.run_background(1 + random_.below(2)); break;
      case 8:
      case 9: pair_.deliver(1 + random_.below(4), true); break;
      case 10: pair_.clock.advance_ms(static_cast<int64_t>(random_.below(2000))); break;
      default:
        if (random_.one_in(4)) node.files.fail_sync_after(1 + random_.below(4));
        if (random_.one_in(4)) return pair_.restart(at, random_.one_in(2));
        break;
    }
    if (node.journal_fails() || node.failure()) return pair_.restart(at, random_.one_in(2));
    return std::nullopt;
  }

  /// People send some clicks again, not always to the same node.
  void send(SimNode& node) {
    const uint64_t count = random_.one_in(5) ? random_.below(30) : 1;
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t identity = next_ > 0 && random_.one_in(6)
                                    ? next_ - 1 - random_.below(std::min<uint64_t>(next_, 20))
                                    : next_++;
      clients_.send(node, identity, EventMs(pair_.clock.wall_ms()),
                    random_.one_in(3) ? log::Lane::bulk : log::Lane::redirects);
    }
  }

  Random random_;
  Clients clients_;
  Pair pair_;
  uint64_t next_ = 0;
};

TEST_CASE("pair: of two nodes, every acknowledged click ends exactly once in its leader's log",
          "[simulation]") {
  uint64_t acknowledged = 0;
  uint64_t resent = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    PairRun run(seed);
    const auto problem = run.go();
    CAPTURE(seed, problem.value_or(""));
    REQUIRE_FALSE(problem);
    acknowledged += run.acknowledged();
    resent += run.total.resent;
  }
  CHECK(acknowledged > 60 * 50);
  CHECK(resent > 60);
}

}  // namespace
}  // namespace clickmill::simulation
