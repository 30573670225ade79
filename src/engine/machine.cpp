#include "engine/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/damage.h"
#include "base/logging.h"
#include "base/random.h"
#include "cluster/members_file.h"
#include "engine/orphaned_parts.h"

namespace clickmill::engine {
namespace {

// Between two rounds of upkeep.
constexpr int kReplaySlices = 4;
constexpr int64_t kIdsPeriodNs = 10'000'000'000;

/// A folder that can't be written shows now, and not with the first part.
Status try_to_write(FileSystem& files, const std::string& folder) {
  const std::string path = folder + "/probe";
  if (auto probe = files.open(path, FileSystem::Open::truncate); !probe)
    return std::move(probe).error();
  return files.remove(path);
}

/// Whether an error with a partition's files is no sign of what others would meet: not a full
/// disk, say, where waiting helps.
bool keeps_to_itself(const Error& error) {
  return error.code() == Errc::corrupt || wants_a_person(error);
}

/// A node alone leads every partition: the batch goes straight to its log.
class LocalRouter final : public cluster::ClickRouter {
 public:
  explicit LocalRouter(cluster::Owned& owned) : owned_(owned) {}
  void send(PartitionId partition, cluster::Batch&& batch, cluster::Committed committed) override {
    owned_.partitions[partition.value()]->submit(std::move(batch), std::move(committed));
  }

 private:
  cluster::Owned& owned_;
};

/// Damage may be all that an operator sees of this program today.
Error with_way_out(Error error) {
  if (error.code() != Errc::corrupt) return error;
  return Error(Errc::corrupt,
               error.message() +
                   " (clickmill recover --force-quorum --config FILE goes on with what is "
                   "readable and says what is gone)",
               error.path(), error.position());
}

}  // namespace

Machine::Machine(FileSystem& files, const Clock& clock, Options options, Outside outside)
    : files_(files),
      clock_(clock),
      options_(std::move(options)),
      outside_(std::move(outside)),
      seed_(options_.seed),
      status_(options_.partitions),
      replay_next_(options_.workers),
      memory_alarm_(options_.memory_limit_bytes) {
  for (unsigned i = 0; i < options_.workers; ++i) {
    owned_.workers.push_back(std::make_unique<cluster::Worker>(fmt::format("worker-{}", i)));
  }
  if (options_.peering) open_peers();
}

Machine::~Machine() { stop_journal(); }

void Machine::stop_workers() {
  if (peers_) peers_->stop();
  if (upkeep_) upkeep_->stop();
  for (const auto& worker : owned_.workers) worker->stop();
}

void Machine::stop_journal() {
  if (journal_) journal_->stop();
}

Status Machine::open_journal() {
  retention_ =
      TRY(store::Retention::open(files_, options_.paths.root + "/retention", options_.store_days));
  auto journal = log::Journal::open(files_, options_.paths.journal(), clock_, options_.journal);
  if (!journal) return with_way_out(std::move(journal).error());
  journal_ = *std::move(journal);
  clock_.begin_at(ArrivalMs(journal_->recovered().time_ms));
  if (peers_) make_claim();
  open_spool();
  return {};
}

void Machine::open_spool() {
  collector::Spool::Options of_spool = options_.spool;
  of_spool.partitions = options_.partitions;
  of_spool.ask_for_ad = outside_.ask_for_ad;
  spool_ = std::make_unique<collector::Spool>(
      *journal_, clock_, std::move(of_spool),
      [this](PartitionId id) { forwarders_[id.value() % forwarders_.size()]->ready(id); });
  if (outside_.router) {
    router_ = outside_.router(owned_);
  } else {
    router_ = peers_ ? peers_->router() : std::make_unique<LocalRouter>(owned_);
  }
  Random jitter(options_.jitter_seed);
  collector::Forwarder::Options of_forwarder = options_.forwarder;
  of_forwarder.node_id = options_.node_id;
  for (unsigned i = 0; i < options_.workers; ++i) {
    cluster::Worker& worker = *owned_.workers[i];
    if (options_.answers_wait_for_commit) {
      of_forwarder.soon = [&worker] { worker.soon(); };
      of_forwarder.soon_again = [&worker] { worker.soon_again(); };
      worker.set_soon([this, i] { forwarders_[i]->forward(); });
    }
    forwarders_.push_back(std::make_unique<collector::Forwarder>(*spool_, *router_, clock_.system(),
                                                                 of_forwarder, jitter.next()));
  }
}

void Machine::open_peers() {
  cluster::Peers::Options of;
  of.node_id = options_.node_id;
  of.nodes = options_.peering->nodes;
  of.storage = options_.peering->storage;
  of.life = options_.peering->life;
  of.caretaker = options_.peering->caretaker;
  of.state_piece_bytes = options_.peering->state_piece_bytes;
  of.partitions = options_.partitions;
  of.low_water = [this](PartitionId id) { return spool_->low_water(id); };
  of.in_background = outside_.in_background;
  of.durable = [this] { return journal_ ? journal_->last_durable() : JournalPos(0); };
  of.check_claims = options_.peering->check_claims;
  of.well = [this] { return journal_->health() == log::Journal::Health::ok; };
  of.keeps_up = [this] { return journal_->keeps_up(); };
  of.synchronised = outside_.synchronised;
  of.keep_members = [this](PartitionId id, Offset offset, const raft::Membership& members) {
    return cluster::write_members(files_, options_.paths.members(id.value()), {offset, members});
  };
  of.freeze_state = [this](PartitionId id) {
    return stream::FrozenState::freeze(id, *state_, files_, options_.paths.store());
  };
  of.deleted_before = [this] { return retention_->deleted_before(); };
  of.levels = options_.peering->levels;
  of.log_kept_ms = options_.retention.bytes == 0 ? options_.retention.age_ms : 0;
  peers_ = std::make_unique<cluster::Peers>(std::move(of), owned_, clock_);
  cluster::AdsDesk::Options of_desk;
  of_desk.node_id = options_.node_id;
  ads_desk_ = std::make_unique<cluster::AdsDesk>(std::move(of_desk), owned_.worker_of(ads_id()),
                                                 peers_->calls(), clock_.system());
}

void Machine::found(cluster::Founded founded) {
  seed_ = founded.seed;
  founded_ = std::move(founded);
}

Result<cluster::Partition::Group> Machine::group_of(PartitionId id) {
  auto kept = TRY(cluster::read_members(files_, options_.paths.members(id.value())));
  auto group = peers_->group_of(id, kept ? std::move(kept->members) : founded_.voters_of(id));
  if (outside_.around_group) outside_.around_group(group);
  return group;
}

Status Machine::open_partitions(std::shared_ptr<state::Store> state) {
  state_ = std::move(state);
  const DataPaths& paths = options_.paths;
  if (peers_) TRY(files_.create_directories(paths.members()));
  for (const std::string& folder : {paths.ids(), paths.store()}) {
    TRY(files_.create_directories(folder));
    TRY(try_to_write(files_, folder));
  }
  id_spaces_ = std::make_unique<dedup::IdSpaces>(*state_);
  images_ = std::make_unique<dedup::TableImages>(
      files_, dedup::TableImages::Options{paths.ids(), outside_.in_background});
  open_shelf();
  closed_logs_ = 0;
  for (uint32_t i = 0; i < options_.partitions; ++i) TRY(open_partition(PartitionId(i)));
  if (peers_) TRY(open_ads());
  return {};
}

/// What any checkpoint needs is known before a file could go.
void Machine::open_shelf() {
  shelf_ = std::make_unique<store::Shelf>(files_, options_.paths.store());
  for (uint32_t i = 0; i < options_.partitions; ++i)
    stream::hold_named(PartitionId(i), *state_, *shelf_);
  owned_.shelf = shelf_.get();
  cluster::Shelving::Options of;
  of.rules = options_.shelf_rules ? *options_.shelf_rules
                                  : stream::ShelfRules::of_days(options_.store_days);
  of.directory = options_.paths.store();
  of.every_ms = options_.shelf_every_ms;
  of.in_background = outside_.in_background;
  shelving_ =
      std::make_unique<cluster::Shelving>(std::move(of), owned_, files_, *shelf_, clock_.system());
}

void Machine::close_partitions() {
  if (peers_) peers_->close_groups();
  upkeep_.reset();
  if (ads_desk_) ads_desk_->attach(nullptr);
  owned_.ads.reset();
  owned_.partitions.clear();
  shelving_.reset();
  owned_.shelf = nullptr;
  shelf_.reset();
  images_.reset();
  id_spaces_.reset();
  state_.reset();
}

Status Machine::open_partition(PartitionId id) {
  auto segments =
      log::Segments::open(files_, options_.paths.log(id.value()), codec_, options_.segments);
  stream::Pipeline::Options of_pipeline = options_.pipeline;
  of_pipeline.seed = seed_;
  of_pipeline.store_directory = options_.paths.store();
  of_pipeline.images = images_.get();
  of_pipeline.shelf = shelf_.get();
  cluster::Partition::Options of_partition = options_.partition;
  of_partition.rebuilder =
      std::make_shared<stream::Rebuilder>(id, *state_, files_, std::move(of_pipeline));
  if (peers_) {
    auto group = group_of(id);
    of_partition.group = group ? *std::move(group) : peers_->group_of(id, founded_.voters_of(id));
    // Nobody knows then who decides over its log.
    if (!group && segments) segments = std::move(group).error();
  }
  std::unique_ptr<stream::Pipeline> pipeline;
  if (segments) {
    pipeline = TRY(open_stream(of_partition, (*segments)->first(), (*segments)->last()));
  } else if (!keeps_to_itself(segments.error()) || ++closed_logs_ == options_.partitions) {
    // All of them: then it is not theirs.
    return std::move(segments).error();
  } else {
    of_partition.log_trouble = segments.error().text();
    segments = log::unusable_segments(of_partition.log_trouble);
    pipeline = of_partition.rebuilder->stand_in();
  }
  of_partition.node_id = options_.node_id;
  of_partition.random_seed = options_.jitter_seed;
  of_partition.retention = retention_.get();
  of_partition.low_water = [this](PartitionId partition) { return spool_->low_water(partition); };
  of_partition.in_background = outside_.in_background;
  of_partition.in_commit = outside_.in_commit;
  if (outside_.in_commit && !commits_)
    commits_ = std::make_unique<stream::JointCommits>(outside_.in_commit);
  of_partition.commits = commits_.get();
  of_partition.on_worker = [this, id](std::function<void()> task) {
    owned_.worker_of(id).post(std::move(task));
  };
  owned_.partitions.push_back(std::make_unique<cluster::Partition>(
      id, clock_, *std::move(segments), std::move(pipeline), std::move(of_partition)));
  return {};
}

/// A part that can't be opened is its partition's trouble; what stands in the state store, all
/// partitions'.
Result<std::unique_ptr<stream::Pipeline>> Machine::open_stream(cluster::Partition::Options& of,
                                                               Offset log_first, Offset sealed) {
  auto opened = of.rebuilder->open(log_first, sealed);
  if (opened || !keeps_to_itself(opened.error()) ||
      !opened.error().path().starts_with(options_.paths.store() + "/"))
    return opened;
  of.stream_trouble = opened.error().text();
  return of.rebuilder->stand_in();
}

/// Nothing of their log is ever dropped, and the monthly scrub leaves it out: Upkeep counts
/// partitions.
Status Machine::open_ads() {
  auto segments = TRY(log::Segments::open(files_, options_.paths.log(ads_id().value()), ads_codec_,
                                          options_.segments));
  cluster::AdsGroup::Options of;
  of.node_id = options_.node_id;
  of.group = TRY(group_of(ads_id()));
  of.catalog = outside_.ads;
  of.random_seed = options_.jitter_seed;
  // An entry is one record.
  of.entry_bytes = std::min<size_t>(of.entry_bytes, journal_->record_bytes_max() / 2);
  of.in_background = outside_.in_background;
  of.in_commit = outside_.in_commit;
  of.on_worker = [this](std::function<void()> task) {
    owned_.worker_of(ads_id()).post(std::move(task));
  };
  of.found_own = [this](const std::vector<catalog::Ad>& ads) {
    cluster::AdsProposal own;
    own.kind = cluster::AdsProposal::Kind::own;
    for (const catalog::Ad& ad : ads)
      own.changes.push_back({catalog::AdsChange::Kind::upsert, ad, {}});
    ads_desk_->bring(std::move(own), nullptr);
  };
  of.levels = options_.peering->levels.levels;
  of.on_level = [this](FeatureLevel level) { peers_->know_level(level); };
  owned_.ads =
      std::make_unique<cluster::AdsGroup>(ads_id(), clock_, std::move(segments), std::move(of));
  return {};
}

std::string Machine::unknown_record(PartitionId id) const {
  if (id == ads_id())
    return "the journal holds a cluster's ads, but no cluster is configured for this node";
  return "record of an unknown partition";
}

Status Machine::recover(const std::atomic<bool>& stopping) {
  // Only now: a store that was set aside is not to lose what nobody names yet.
  TRY(remove_orphaned_parts(options_.paths, files_, owned_));
  std::vector<log::RecoveredLog> logs;
  for (cluster::GroupMember* const group : owned_.groups())
    logs.emplace_back(group->segments().last());
  collector::RecoveredSpool spooled;
  const auto replay = [&](JournalPos position, const log::RecordView& record) -> Status {
    if (stopping) return Error(Errc::closed, "the node stops");
    if (record.partition.value() >= logs.size())
      return Error(Errc::corrupt, unknown_record(record.partition));
    if (collector::RecoveredSpool::is_of_spool(record.kind))
      return spooled.replay(position, record);
    return logs[record.partition.value()].replay(position, record);
  };
  if (auto replayed = journal_->replay(replay); !replayed)
    return with_way_out(std::move(replayed).error());
  if (owned_.ads) {
    auto opened = owned_.ads->open(*journal_, std::move(logs.back()));
    if (!opened) return with_way_out(std::move(opened).error());
    ads_desk_->attach(owned_.ads.get());
  }
  for (size_t i = 0; i < owned_.partitions.size(); ++i) {
    auto opened = owned_.partitions[i]->open(*journal_, std::move(logs[i]));
    if (!opened) return with_way_out(std::move(opened).error());
  }
  TRY(refuse_closed());
  TRY(open_upkeep());
  journal_->end_replay();
  spool_->recover(std::move(spooled));
  // The others' clicks can go on once their partitions have caught up. Those that can't here, since
  // they are lost, or with other nodes, go to these.
  for (const auto& partition : owned_.partitions) {
    if (partition->log_closed() || partition->failure())
      forwarders_[partition->id().value() % forwarders_.size()]->ready(partition->id());
  }
  if (peers_) peers_->open_groups();
  return {};
}

/// When all of them have lost entries, it is the journal that has.
Status Machine::refuse_closed() const {
  for (const auto& partition : owned_.partitions) {
    if (!partition->log_closed()) return {};
  }
  return with_way_out(Error(Errc::corrupt, owned_.partitions.front()->failure()->message()));
}

/// Before the workers' first step, whose ticks would move log time to a clock that may
/// be wrong.
Status Machine::open_upkeep() {
  log::Upkeep::Options of_upkeep;
  of_upkeep.directory = options_.paths.root;
  of_upkeep.rules = options_.retention;
  of_upkeep.on_vouched = [this] { clock_.believe(); };
  of_upkeep.tell_time = [this](int64_t trusted_ms) { retention_->trust(trusted_ms); };
  of_upkeep.needs = [this](size_t partition) -> log::Upkeep::Needs {
    const auto share = status_.share(partition);
    Offset from = share.checkpointed + 1;
    if (peers_) {
      const auto held = peers_->states().held_from(PartitionId(static_cast<uint32_t>(partition)));
      from = std::min(from, held.value_or(from));
    }
    return {from, share.log_time};
  };
  std::vector<log::Segments*> segments;
  LogMs newest(0);
  for (const auto& partition : owned_.partitions) {
    segments.push_back(&partition->segments());
    newest = std::max(
        {newest, partition->log().last_append_ms(), partition->pipeline().horizon().log_time()});
  }
  upkeep_ = TRY(log::Upkeep::open(files_, clock_.system(), std::move(segments), newest,
                                  std::move(of_upkeep)));
  return {};
}

bool Machine::step_worker(size_t worker) {
  // Taken before the partitions say what they need: what is on its way to the journal
  // meanwhile stands in this file or a later one.
  const JournalPos current = begin_of_current();
  const JournalPos leave = leave_before();
  const uint64_t copied_most = copied_at_once() / options_.partitions;
  // Before the replay, which may take long: a node that is killed again and again before
  // it has caught up must not gather journal files.
  for (size_t i = worker; i < owned_.partitions.size(); i += owned_.workers.size()) {
    cluster::Partition& partition = *owned_.partitions[i];
    partition.maintain();
    partition.release_soon(leave, copied_most);
    partition.refresh_hard_state(current);
    status_.update(partition, current);
  }
  if (owned_.ads && ads_id().value() % owned_.workers.size() == worker)
    maintain_ads(current, leave);
  if (peers_) peers_->looped(worker);
  forwarders_[worker]->forward();
  if (worker == 0) maintain_journal();
  if (worker == 0) maintain_ids();
  if (worker == 0) shelving_->step();
  if (worker == 0 && peers_) keep_claims();
  for (int i = 0; i < kReplaySlices; ++i) {
    if (!replay(worker)) return false;
  }
  return true;
}

void Machine::maintain_ads(JournalPos current, JournalPos leave) {
  owned_.ads->maintain();
  peers_->raise_level(*owned_.ads);
  ads_desk_->tick();
  owned_.ads->release_soon(leave, copied_at_once() / options_.partitions);
  ads_need_ = std::min(current, owned_.ads->oldest_needed()).value();
}

/// A slice of one partition's replay, of the next one by the next call. False: all have
/// caught up, or stopped.
bool Machine::replay(size_t worker) {
  const size_t workers = owned_.workers.size();
  const size_t partitions = owned_.partitions.size();
  const size_t mine = partitions > worker ? (partitions - worker + workers - 1) / workers : 0;
  for (size_t tried = 0; tried < mine; ++tried) {
    const size_t at = replay_next_[worker]++ % mine;
    cluster::Partition& partition = *owned_.partitions[worker + at * workers];
    if (partition.caught_up() || partition.failure()) continue;
    partition.replay_slice();
    // What the last run left in the spool can go on now.
    if (partition.caught_up() || partition.failure()) forwarders_[worker]->ready(partition.id());
    status_.update(partition, begin_of_current());
    return true;
  }
  return false;
}

JournalPos Machine::begin_of_current() const {
  return JournalPos(journal_->current_file() * journal_->file_bytes());
}

/// What stands before it is copied forward.
JournalPos Machine::leave_before() const {
  const uint64_t current = journal_->current_file();
  const uint64_t in_peace = options_.journal_files_in_peace;
  return JournalPos((current - std::min(current, in_peace)) * journal_->file_bytes());
}

uint64_t Machine::copied_at_once() const {
  return journal_->file_bytes() / options_.copied_part_of_file;
}

void Machine::maintain_journal() {
  spool_->write_trims();
  spool_->copy_forward(leave_before(), copied_at_once());
  const JournalPos current = begin_of_current();
  JournalPos needed = std::min({current, spool_->oldest_needed(), status_.oldest_needed()});
  if (owned_.ads) needed = std::min(needed, JournalPos(ads_need_));
  journal_->release_before(needed);
}

/// Watches the ids' memory, and gives the space of forgotten ones back: in the
/// background, since files are unlinked.
void Machine::maintain_ids() {
  const int64_t now = clock_.system().monotonic_ns();
  if (now < next_ids_ns_) return;
  next_ids_ns_ = now + kIdsPeriodNs;
  const double table_bytes = status_.sum([](const cluster::PartitionStatus::Share& share) {
    return static_cast<double>(share.dedup.memory_bytes);
  });
  if (auto alarm = memory_alarm_.check(static_cast<uint64_t>(table_bytes)))
    log_warn("dedup", *alarm);
  // What is asked now may be wrong by then: a partition that is rebuilt files ids of hours
  // that were forgotten before.
  const bool taken = outside_.in_background([this] {
    if (auto done = id_spaces_->maintain(status_.oldest_durable_hour()); !done)
      log_warn("dedup", done.error().text());
  });
  ignore(taken, "when the queue is full, the next period does it");
}

void Machine::post_checkpoints() {
  for (const auto& partition : owned_.partitions) {
    owned_.worker_of(partition->id()).post([&partition] { partition->checkpoint_now(); });
  }
}

}  // namespace clickmill::engine
