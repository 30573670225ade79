#include "simulation/chain.h"

#include <fmt/format.h>

namespace clickmill::simulation {

/// A node alone leads every partition; breaks what it is told to break.
class Chain::LossyRouter final : public cluster::ClickRouter {
 public:
  LossyRouter(Chain& chain, cluster::Owned& owned) : chain_(chain), owned_(owned) {}
  void send(PartitionId partition, cluster::Batch&& batch, cluster::Committed committed) override {
    const Break& broken = chain_.options_.broken;
    if (broken.never_again) batch.again = false;
    if (broken.low_water_is_now) batch.low_water = chain_.node_.machine().clock().now();
    if (chain_.outage_) return committed(Error(Errc::not_leader, "no leader"));
    auto& leader = *owned_.partitions[partition.value()];
    if (!broken.commit_when_sent) return leader.submit(std::move(batch), std::move(committed));
    owned_.worker_of(partition).post([committed = std::move(committed)] { committed({}); });
    const auto late = std::make_shared<cluster::Batch>(std::move(batch));
    chain_.node_.post_in_background(
        [&leader, late] { leader.submit(std::move(*late), [](Status) {}); });
  }

 private:
  Chain& chain_;
  cluster::Owned& owned_;
};

Chain::Chain(uint64_t seed, Options options)
    : options_(options), clients_(seed), node_(seed, clock, node_options()) {
  if (options_.broken.answer_when_written) clients_.answer_when_written();
}

SimNode::Options Chain::node_options() {
  SimNode::Options options;
  options.partitions = options_.partitions;
  options.spool_memory_bytes = options_.spool_memory_bytes;
  options.buffer_bytes = options_.buffer_bytes;
  options.reserve_bytes = options_.reserve_bytes;
  options.router = [this](cluster::Owned& owned) {
    return std::make_unique<LossyRouter>(*this, owned);
  };
  return options;
}

void Chain::die(bool power_loss) { node_.die(power_loss); }

void Chain::maintain() {
  node_.step();
  if (!options_.broken.free_at_once) return;
  auto& journal = node_.machine().journal();
  journal.release_before(JournalPos(journal.current_file() * journal.file_bytes()));
}

bool Chain::settle() {
  for (int round = 0; round < 3000; ++round) {
    pump();
    run_background(SIZE_MAX);
    const bool worked = run_worker(SIZE_MAX);
    if (!worked && node_.caught_up() && held_clicks() == 0 &&
        node_.machine().journal().queued_bytes() == 0)
      return true;
    clock.advance_ms(50);
    maintain();
    if (failure() || journal_fails()) return false;
  }
  return false;
}

std::optional<std::string> Chain::check_journal_shrinks() {
  const uint64_t most = engine::Machine::Options().journal_files_in_peace + 2;
  for (int round = 0; round < 500 && journal_files() > most; ++round) {
    maintain();
    pump();
    run_background(SIZE_MAX);
    run_worker(SIZE_MAX);
  }
  if (journal_files() <= most) return std::nullopt;
  return fmt::format("{} journal files stay, though nothing needs them", journal_files());
}

std::optional<std::string> Chain::check_tallies() const {
  const stream::Tally tally = total();
  if (tally.received == tally.counted + tally.duplicate + tally.review_total()) return std::nullopt;
  return fmt::format("received {} is not counted {} + duplicate {} + review {}", tally.received,
                     tally.counted, tally.duplicate, tally.review_total());
}

std::optional<std::string> Chain::check_at_the_end() const {
  Fates fates;
  for (const auto& partition : node_.partitions()) {
    if (partition->pipeline().applied() != partition->log().last())
      return "the stream has not applied all";
    if (auto problem = fates.read(*partition)) return problem;
  }
  if (auto problem = check_tallies()) return problem;
  return fates.check(clients_, total());
}

}  // namespace clickmill::simulation
