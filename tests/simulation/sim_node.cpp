#include "simulation/sim_node.h"

namespace clickmill::simulation {
namespace {

constexpr uint64_t kSeed = 42;

}  // namespace

SimNode::SimNode(uint64_t seed, const Clock& clock, Options options)
    : files(seed), clock_(clock), options_(std::move(options)), random_(seed) {}

engine::Machine::Options SimNode::machine_options() {
  engine::Machine::Options options;
  options.node_id = options_.node_id;
  options.paths = paths();
  options.partitions = options_.partitions;
  options.workers = options_.workers;
  options.seed = seed();
  options.jitter_seed = random_.next();
  options.journal = journal_options();
  options.segments.segment_bytes = options_.segment_bytes;
  options.retention.age_ms = options_.log_age_ms;
  options.pipeline.flush_rows = 8;
  options.shelf_rules.emplace();
  options.shelf_rules->loose_most = 2;
  options.shelf_rules->fan_in = 2;
  options.shelf_every_ms = 2'000;
  if (options_.shelves) {
    options.pipeline.flush_rows = 2;
    options.pipeline.flush_age_ms = kMinuteMs;
    options.shelf_every_ms = 200;
  }
  options.partition.settings.nodes = options_.nodes;
  options.partition.settings.stale_after_hours = options_.stale_after_hours;
  options.partition.checkpoint_interval_ms = options_.shelves ? 2'000 : 20'000;
  options.spool.memory_bytes = options_.spool_memory_bytes;
  options.answers_wait_for_commit = options_.answers_wait_for_commit;
  options.forwarder.batch_clicks = 20;
  options.forwarder.batch_bytes = 4 << 10;
  if (options_.storage != 0) {
    options.peering.emplace();
    options.peering->nodes = options_.nodes;
    options.peering->storage = raft::StorageId(options_.storage);
    options.peering->life = random_.next() | 1;
    options.peering->check_claims = options_.check_claims;
    options.peering->caretaker.replace_after_ms = 2'000;
    options.peering->caretaker.prefer_after_ms = 5'000;
    if (options_.copies != 0) options.peering->caretaker.replication = options_.copies;
    options.peering->levels = options_.levels;
    options.peering->state_piece_bytes = options_.state_piece_bytes;
    options.forwarder.backoff_most_ms = 200;
  }
  return options;
}

log::Journal::Options SimNode::journal_options() const {
  log::Journal::Options options;
  options.file_bytes = kFileBytes;
  options.group_bytes = 4 << 10;
  options.unsynced_bytes = 16 << 10;
  options.continue_bytes = kFileBytes / 2;
  options.queue_bytes = options_.buffer_bytes;
  options.reserve_bytes = options_.reserve_bytes;
  return options;
}

engine::Machine::Outside SimNode::outside() {
  engine::Machine::Outside outside;
  outside.in_background = [this](std::function<void()> task) {
    background_.push_back(std::move(task));
    return true;
  };
  outside.in_commit = outside.in_background;
  outside.router = options_.router;
  outside.synchronised = [this] { return clock_.synchronised(); };
  if (options_.storage == 0) return outside;
  outside.ads = own_ads_.get();
  outside.router = [this](cluster::Owned& owned) {
    auto router =
        std::make_unique<CarelessRouter>(machine_->peers()->router(), owned, options_.careless);
    careless_router_ = router.get();
    return router;
  };
  outside.around_group = [this](cluster::Partition::Group& group) {
    make_careless(group, clock_, options_.careless);
  };
  return outside;
}

uint64_t SimNode::seed() const {
  return options_.careless.seed_of_its_own ? kSeed + options_.storage : kSeed;
}

std::optional<std::string> SimNode::begin() {
  if (options_.storage != 0) {
    if (auto problem = open_ads()) return problem;
  }
  files.lose_syncs(options_.careless.syncs_nothing);
  if (options_.careless.forgets_claim && files.exists("/data/claim"))
    ignore(files.remove("/data/claim"), "it is careless");
  machine_ = std::make_unique<engine::Machine>(files, clock_, machine_options(), outside());
  if (cluster::Peers* peers = machine_->peers()) {
    ads_->connect(*machine_->ads_desk());
    careless_transport_ = std::make_unique<CarelessTransport>(*options_.transport);
    peers->send_through(options_.careless.claims_for_ever ? *careless_transport_
                                                          : *options_.transport);
    cluster::Founded founded;
    founded.seed = seed();
    founded.partitions = options_.partitions;
    founded.founders = options_.founders.voters;
    founded.copies = options_.copies;
    machine_->found(std::move(founded));
  }
  if (auto opened = machine_->open_journal(); !opened) return opened.error().text();
  return std::nullopt;
}

std::optional<std::string> SimNode::open_ads() {
  if (auto made = files.create_directories("/data"); !made) return made.error().text();
  auto opened = catalog::Catalog::open(files, "/data");
  if (!opened) return opened.error().text();
  own_ads_ = *std::move(opened);
  ads_ = std::make_unique<cluster::SharedCatalog>(*own_ads_, files);
  return std::nullopt;
}

std::optional<std::string> SimNode::recover() {
  // The state outlives the machine, as a disk does.
  const auto borrowed = std::make_shared<CarelessStore>(state, options_.careless);
  const std::atomic<bool> stopping{false};
  auto opened = machine_->open_partitions(borrowed);
  if (opened) opened = machine_->recover(stopping);
  if (!opened) return opened.error().text();
  return std::nullopt;
}

void SimNode::die(bool power_loss) {
  files.crash_at_operation(0);
  files.fail_sync_after(0);
  if (power_loss || files.crashed()) {
    files.crash();
    state.crash();
    files.restart();
  } else {
    files.kill();
  }
  background_.clear();
  // The journal tells what waits in it that it failed: nobody hears that any more.
  machine_.reset();
  careless_router_ = nullptr;
  ads_.reset();
  own_ads_.reset();
}

bool SimNode::run_workers(size_t most) {
  bool any = false;
  for (const auto& worker : machine_->owned().workers) any |= worker->step(most);
  return any;
}

void SimNode::run_background(size_t most) {
  for (size_t i = 0; i < most && !background_.empty(); ++i) {
    auto task = std::move(background_.front());
    background_.pop_front();
    task();
  }
}

void SimNode::step() {
  for (unsigned i = 0; i < options_.workers; ++i) machine_->step_worker(i);
  machine_->upkeep().round();
  if (careless_router_ != nullptr) careless_router_->look();
}

bool SimNode::caught_up() const {
  for (const auto& partition : partitions()) {
    if (!partition->caught_up()) return false;
  }
  return true;
}

std::optional<std::string> SimNode::failure() const {
  for (const auto& partition : partitions()) {
    if (partition->failure() && !partition->hollow()) return partition->failure()->text();
  }
  return std::nullopt;
}

stream::Tally SimNode::total() const {
  stream::Tally total;
  for (const auto& partition : partitions()) {
    const stream::Tally& tally = partition->pipeline().tally();
    total.received += tally.received;
    total.counted += tally.counted;
    total.duplicate += tally.duplicate;
    total.resent += tally.resent;
    for (size_t i = 0; i < total.review.size(); ++i) total.review[i] += tally.review[i];
  }
  return total;
}

}  // namespace clickmill::simulation
