#include "engine/engine.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "api/context.h"
#include "base/logging.h"
#include "base/process_metrics.h"
#include "base/random.h"
#include "collector/enricher.h"
#include "collector/forwarder.h"
#include "engine/data_dir.h"
#include "engine/log_upkeep.h"
#include "engine/memory_alarm.h"
#include "engine/node_metrics.h"
#include "engine/options.h"
#include "engine/partitions.h"
#include "engine/state_recovery.h"
#include "http/server.h"
#include "stream/id_spaces.h"

namespace clickmill::engine {
namespace {

constexpr auto kMaintenancePeriod = std::chrono::milliseconds(50);
constexpr int64_t kIdsPeriodNs = 10'000'000'000;
constexpr uint32_t kDeadlineSweepMs = 5;
constexpr uint32_t kEnrichMs = 50;
// Sealing must keep up with the clicks, but no user waits for it.
constexpr int kBackgroundNice = 5;
constexpr uint32_t kDrainMs = 3'000;
constexpr auto kSpoolDrain = std::chrono::seconds(3);
constexpr uint64_t kBulkBodyMost = 16 << 20;
constexpr uint64_t kStateCacheBytes = 32 << 20;
// The oldest files that are not left in peace: what still holds one back is
// copied forward, so that a quiet partition doesn't keep gigabytes.
constexpr uint64_t kJournalFilesInPeace = 5;

void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

unsigned threads_of(const Config& config) {
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  return config.threads != 0 ? config.threads : cores;
}

/// A node alone leads every partition: the batch goes straight to its log.
class LocalRouter final : public cluster::Router {
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

class Engine::Impl {
 public:
  Impl(Config config, FileSystem& files, Clock& clock)
      : config_(std::move(config)),
        files_(files),
        clock_(clock),
        node_clock_(clock),
        auth_(config_.keys) {}
  ~Impl() { stop(); }

  Status start();
  void stop();
  Status reload(const Config& next);
  std::string collector_address_;
  std::string api_address_;

 private:
  Status open_storage();
  Status open_state();
  Status open_journal();
  Status start_upkeep();
  Status open_catalog();
  Status reload_catalog();
  void ask_for_ad(PartitionId partition, collector::Spool::UntoldClick click,
                  const std::string& ad_id);
  void start_workers();
  bool idle(size_t worker);
  void maintain_journal(JournalPos leave_before);
  void maintain_ids();
  Status start_http();
  std::vector<std::string> not_ready();
  void drain_spool();

  Config config_;
  FileSystem& files_;
  Clock& clock_;
  NodeClock node_clock_;
  Metrics metrics_;
  http::Authenticator auth_;

  // In order of construction; stop() takes them down from the last.
  std::unique_ptr<DataDir> dir_;
  std::unique_ptr<catalog::Catalog> catalog_;
  // Only with catalog.source "http".
  std::unique_ptr<http::Client> catalog_client_;
  std::unique_ptr<catalog::Source> catalog_source_;
  std::unique_ptr<catalog::Service> catalog_service_;
  std::unique_ptr<collector::Enricher> enricher_;
  std::unique_ptr<stream::StateStore> state_;
  std::unique_ptr<stream::IdSpaces> id_spaces_;
  std::unique_ptr<stream::TableImages> images_;
  cluster::Owned owned_;
  std::unique_ptr<TaskPool> background_;
  std::unique_ptr<log::Journal> journal_;
  std::unique_ptr<collector::Spool> spool_;
  std::unique_ptr<LocalRouter> router_;
  std::vector<std::unique_ptr<collector::Forwarder>> forwarders_;  // by worker
  std::unique_ptr<PartitionStatus> status_;
  std::unique_ptr<LogUpkeep> upkeep_;
  std::unique_ptr<cluster::Reader> reader_;
  std::unique_ptr<cluster::ReviewDesk> review_;
  std::unique_ptr<cluster::LogReader> log_reader_;
  std::unique_ptr<cluster::Recounter> recounter_;
  std::unique_ptr<TaskPool> queries_;
  std::unique_ptr<collector::Intake> intake_;
  std::unique_ptr<collector::ClickEndpoint> clicks_;
  std::unique_ptr<collector::BulkEndpoint> bulk_;
  std::unique_ptr<api::Context> context_;
  http::Router collector_routes_{&metrics_, "collector"};
  http::Router api_routes_{&metrics_, "api"};
  std::unique_ptr<http::Server> server_;
  MemoryAlarm memory_alarm_{memory_limit_here()};  // of worker 0
  int64_t next_ids_ns_ = 0;                        // of worker 0
  bool started_ = false;
};

Status Engine::Impl::start() {
  raise_file_limit();
  TRY(open_storage());
  TRY(open_journal());
  TRY(start_upkeep());
  start_workers();
  TRY(start_http());
  started_ = true;
  return {};
}

Status Engine::Impl::open_storage() {
  dir_ = TRY(DataDir::open(files_, config_.data_dir, config_.node_id, config_.log.partitions));
  TRY(open_catalog());
  background_ = std::make_unique<TaskPool>("background", 1, 4096, kBackgroundNice);
  for (unsigned i = 0; i < threads_of(config_); ++i) {
    owned_.workers.push_back(std::make_unique<cluster::Worker>(fmt::format("worker-{}", i)));
  }
  auto opened = open_state();
  if (!opened && is_damage(opened.error())) {
    owned_.partitions.clear();
    images_.reset();
    id_spaces_.reset();
    state_.reset();
    TRY(set_state_aside(*dir_, files_, opened.error()));
    opened = open_state();
  }
  TRY(std::move(opened));
  return remove_orphaned_parts(*dir_, files_, owned_);
}

Status Engine::Impl::open_state() {
  TRY(files_.create_directories(dir_->state()));
  TRY(files_.create_directories(dir_->ids()));
  TRY(files_.create_directories(dir_->store()));
  state_ = TRY(stream::open_rocks_state_store(dir_->state(), kStateCacheBytes));
  id_spaces_ = std::make_unique<stream::IdSpaces>(*state_);
  PartitionHooks hooks;
  hooks.low_water = [this](PartitionId id) { return spool_->low_water(id); };
  hooks.in_background = [this](std::function<void()> task) {
    // A refused task is only delayed: it is tried again.
    return background_->submit(std::move(task));
  };
  images_ = std::make_unique<stream::TableImages>(
      files_, stream::TableImages::Options{dir_->ids(), hooks.in_background});
  hooks.images = images_.get();
  owned_.partitions =
      TRY(open_partitions(config_, *dir_, files_, node_clock_, *state_, owned_, hooks));
  return {};
}

Status Engine::Impl::open_catalog() {
  catalog_ = TRY(catalog::Catalog::open(files_, dir_->path()));
  if (config_.catalog.source == "builtin") return reload_catalog();
  http::Client::Options client;
  client.url = TRY(http::parse_url(config_.catalog.url));
  catalog_client_ = std::make_unique<http::Client>(std::move(client));
  catalog_source_ = catalog::open_http_source(*catalog_client_, config_.catalog.timeout_ms);
  catalog::Service::Options options;
  options.timeout_ms = config_.catalog.timeout_ms;
  options.ttl_ms = int64_t{config_.catalog.ttl_s} * 1000;
  options.absent_ttl_ms = std::min(options.ttl_ms, options.absent_ttl_ms);
  const auto in_background = [this](std::function<void()> task) {
    return background_->submit(std::move(task));
  };
  catalog_service_ = std::make_unique<catalog::Service>(*catalog_source_, *catalog_, clock_,
                                                        options, in_background, metrics_);
  const auto tell = [this](PartitionId partition, collector::Spool::UntoldClick click,
                           const catalog::Ad* ad) { spool_->told(partition, click, ad); };
  enricher_ = std::make_unique<collector::Enricher>(*catalog_service_, clock_,
                                                    collector::Enricher::Options{}, tell, metrics_);
  catalog_client_->every(kDeadlineSweepMs, [this] { catalog_service_->tick(); });
  catalog_client_->every(kEnrichMs, [this] { enricher_->tick(); });
  return {};
}

void Engine::Impl::ask_for_ad(PartitionId partition, collector::Spool::UntoldClick click,
                              const std::string& ad_id) {
  if (enricher_) return enricher_->add(partition, click, ad_id);
  // Left by a run with another catalog.source.
  const auto ads = catalog_->snapshot();
  spool_->told(partition, click, ads->find(ad_id));
}

Status Engine::Impl::open_journal() {
  std::vector<log::RecoveredLog> logs;
  for (const auto& partition : owned_.partitions) logs.emplace_back(partition->segments().last());
  collector::RecoveredSpool spooled;
  const auto replay = [&](JournalPos position, const log::RecordView& record) -> Status {
    if (record.partition.value() >= logs.size())
      return Error(Errc::corrupt, "record of an unknown partition");
    if (collector::RecoveredSpool::is_of_spool(record.kind))
      return spooled.replay(position, record);
    return logs[record.partition.value()].replay(position, record);
  };
  const auto options = TRY(journal_options(config_, files_, dir_->path()));
  auto journal = log::Journal::open(files_, dir_->journal(), node_clock_, options, replay);
  if (!journal) return with_way_out(std::move(journal).error());
  journal_ = *std::move(journal);
  for (size_t i = 0; i < logs.size(); ++i) {
    auto opened = owned_.partitions[i]->open(*journal_, std::move(logs[i]));
    if (!opened) return with_way_out(std::move(opened).error());
  }
  collector::Spool::Options spool_options;
  spool_options.partitions = config_.log.partitions;
  spool_options.on_untold = [this](PartitionId partition, collector::Spool::UntoldClick click,
                                   const std::string& ad_id) {
    ask_for_ad(partition, click, ad_id);
  };
  spool_ = std::make_unique<collector::Spool>(
      *journal_, node_clock_, std::move(spool_options),
      [this](PartitionId id) { forwarders_[id.value() % forwarders_.size()]->ready(id); });
  spool_->recover(std::move(spooled));
  return {};
}

/// Before the workers, whose ticks would move log time to a clock that may be wrong.
Status Engine::Impl::start_upkeep() {
  status_ = std::make_unique<PartitionStatus>(owned_.partitions.size());
  LogUpkeep::Options options;
  options.directory = dir_->path();
  options.rules = {int64_t{config_.log.retention_days} * kDayMs, config_.log.retention_bytes};
  options.needs = [this](size_t partition) -> LogUpkeep::Needs {
    const auto share = status_->share(partition);
    return {share.checkpointed + 1, share.log_time};
  };
  std::vector<log::Segments*> segments;
  LogMs newest(0);
  for (const auto& partition : owned_.partitions) {
    segments.push_back(&partition->segments());
    newest = std::max(
        {newest, partition->log().last_append_ms(), partition->pipeline().horizon().log_time()});
  }
  upkeep_ = TRY(LogUpkeep::open(files_, clock_, std::move(segments), newest, std::move(options)));
  upkeep_->add_metrics(metrics_);
  upkeep_->start();
  return {};
}

void Engine::Impl::start_workers() {
  router_ = std::make_unique<LocalRouter>(owned_);
  for (size_t i = 0; i < owned_.workers.size(); ++i) {
    forwarders_.push_back(std::make_unique<collector::Forwarder>(
        *spool_, *router_, clock_, collector::Forwarder::Options{.node_id = config_.node_id},
        secure_random_u64()));
  }
  add_process_metrics(metrics_, clock_.wall_ms());
  add_node_metrics(metrics_, owned_, *status_, *journal_, *spool_, *state_);
  journal_->start();
  if (catalog_client_) catalog_client_->start();
  for (size_t i = 0; i < owned_.workers.size(); ++i) {
    owned_.workers[i]->start([this, i] { return idle(i); }, kMaintenancePeriod);
  }
}

/// What a worker does between messages: replay, then the partitions' upkeep.
bool Engine::Impl::idle(size_t worker) {
  bool replaying = false;
  const uint64_t current = journal_->current_file();
  const uint64_t keep_from = current > kJournalFilesInPeace ? current - kJournalFilesInPeace : 0;
  const JournalPos leave_before(keep_from * journal_->file_bytes());
  const uint64_t copy_most = journal_->file_bytes() / 8 / owned_.partitions.size();
  for (size_t i = worker; i < owned_.partitions.size(); i += owned_.workers.size()) {
    cluster::Partition& partition = *owned_.partitions[i];
    if (!partition.caught_up() && !partition.failure()) {
      replaying |= partition.replay_slice();
      // What the last run left in the spool can go on now.
      if (partition.caught_up()) forwarders_[worker]->ready(partition.id());
    }
    partition.maintain();
    partition.release_soon(leave_before, copy_most);
    status_->update(partition, JournalPos(current * journal_->file_bytes()));
  }
  forwarders_[worker]->forward();
  if (worker == 0) maintain_journal(leave_before);
  if (worker == 0) maintain_ids();
  return replaying;
}

void Engine::Impl::maintain_journal(JournalPos leave_before) {
  spool_->write_trims();
  spool_->copy_forward(leave_before, journal_->file_bytes() / 8);
  const JournalPos current(journal_->current_file() * journal_->file_bytes());
  const JournalPos spool_needs = spool_->oldest_needed();
  journal_->release_before(std::min({current, spool_needs, status_->oldest_needed()}));
}

/// Watches the ids' memory, and gives the space of forgotten ones back: in the
/// background, since files are unlinked.
void Engine::Impl::maintain_ids() {
  const int64_t now = clock_.monotonic_ns();
  if (now < next_ids_ns_) return;
  next_ids_ns_ = now + kIdsPeriodNs;
  const double table_bytes = status_->sum([](const PartitionStatus::Share& share) {
    return static_cast<double>(share.dedup.memory_bytes);
  });
  if (auto alarm = memory_alarm_.check(static_cast<uint64_t>(table_bytes)))
    log_warn("dedup", *alarm);
  const int64_t oldest = status_->oldest_durable_hour();
  // When the queue is full, the next period does it.
  (void)background_->submit([this, oldest] {
    if (auto done = id_spaces_->maintain(oldest); !done) log_warn("dedup", done.error().text());
  });
}

Status Engine::Impl::start_http() {
  reader_ = std::make_unique<cluster::Reader>(owned_);
  review_ = std::make_unique<cluster::ReviewDesk>(owned_);
  log_reader_ = std::make_unique<cluster::LogReader>(owned_);
  recounter_ = std::make_unique<cluster::Recounter>(
      owned_, *log_reader_, cluster::Recounter::Options{.seed = dir_->node().seed});
  queries_ = std::make_unique<TaskPool>("query", std::max(2U, threads_of(config_)), 1024);
  intake_ = std::make_unique<collector::Intake>(*spool_, *catalog_, catalog_service_.get(),
                                                node_clock_, intake_options(config_), metrics_);
  clicks_ = std::make_unique<collector::ClickEndpoint>(*intake_);
  bulk_ = std::make_unique<collector::BulkEndpoint>(
      *intake_, [this](std::function<void()> task) { return queries_->submit(std::move(task)); });
  context_ = std::make_unique<api::Context>(api::Context{
      clock_, metrics_, *queries_, auth_, *catalog_, *reader_, *review_, *log_reader_, *recounter_,
      *clicks_, *bulk_, config_.node_id, config_.log.partitions, config_.query.max_points,
      [this] { return not_ready(); }, [this] { return upkeep_->warnings(); }});
  context_->catalog_url = config_.catalog.url;
  api::add_collector_routes(collector_routes_, *context_);
  api::add_api_routes(api_routes_, *context_);

  http::Server::Options options;
  options.io_threads = threads_of(config_);
  server_ = std::make_unique<http::Server>(options, metrics_);
  http::Server::Listener collector;
  collector.address = config_.listen.collector;
  collector.max_body_bytes = config_.collector.max_body_bytes;
  collector.handler = [this](http::RequestPtr request, http::Responder respond) {
    collector_routes_.handle(std::move(request), std::move(respond));
  };
  collector_address_ = TRY(server_->listen(std::move(collector)));
  http::Server::Listener api;
  api.address = config_.listen.api;
  api.max_body_bytes = config_.collector.max_body_bytes;
  api.large_body_paths = {"/v1/clicks", "/v1/ads"};
  api.large_body_bytes = kBulkBodyMost;
  api.handler = [this](http::RequestPtr request, http::Responder respond) {
    api_routes_.handle(std::move(request), std::move(respond));
  };
  api_address_ = TRY(server_->listen(std::move(api)));
  server_->every(kDeadlineSweepMs, [this] {
    clicks_->sweep_deadlines();
    bulk_->sweep_deadlines();
  });
  server_->start();
  return {};
}

std::vector<std::string> Engine::Impl::not_ready() {
  std::vector<std::string> reasons = status_->reasons();
  switch (journal_->health()) {
    case log::Journal::Health::ok:
      if (journal_->clicks_wait()) {
        reasons.push_back("journal: no space but the reserve; clicks wait in memory");
      }
      break;
    case log::Journal::Health::no_room:
      reasons.push_back("journal: no room for a new file; clicks and log wait in memory");
      break;
    case log::Journal::Health::closed:
      reasons.push_back("journal: closed after failed writes; clicks are not recorded");
      break;
  }
  if (std::string trouble = node_clock_.trouble(); !trouble.empty())
    reasons.push_back(std::move(trouble));
  return reasons;
}

Status Engine::Impl::reload_catalog() {
  if (config_.catalog.source != "builtin" || config_.catalog.file.empty()) return {};
  const size_t taken = TRY(catalog_->take_in_file(config_.catalog.file));
  if (taken > 0)
    log_info("catalog", fmt::format("took in {} ads from {}", taken, config_.catalog.file));
  return {};
}

Status Engine::Impl::reload(const Config& next) {
  Config changed = config_;
  changed.keys = next.keys;
  changed.log_level = next.log_level;
  changed.log_format = next.log_format;
  changed.catalog.file = next.catalog.file;
  check_config(changed);
  config_ = std::move(changed);
  set_logging(config_.log_level, config_.log_format);
  auth_.replace(config_.keys);
  log_info("config", "taken in again");
  if (!(config_ == next))
    log_warn("config", "some of what changed comes into force at the next start only");
  return reload_catalog();
}

/// Gives what was answered a moment to be committed. What stays in the spool is
/// durable all the same and goes on at the next start.
void Engine::Impl::drain_spool() {
  const auto deadline = std::chrono::steady_clock::now() + kSpoolDrain;
  // Those that wait for the configuration service may wait longer than that.
  while (spool_->held_clicks() > spool_->untold_clicks() &&
         std::chrono::steady_clock::now() < deadline &&
         journal_->health() == log::Journal::Health::ok && status_->reasons().empty()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void Engine::Impl::stop() {
  if (log_reader_) log_reader_->end_following();
  if (server_) server_->stop(kDrainMs);
  // After the server, or a last request could begin another one.
  if (recounter_) recounter_->stop();
  if (queries_) queries_->stop();
  if (started_) drain_spool();
  if (catalog_client_) catalog_client_->stop();
  if (started_) {
    for (const auto& partition : owned_.partitions) {
      owned_.worker_of(partition->id()).post([&partition] { partition->checkpoint_now(); });
    }
    spool_->write_trims();
  }
  const bool was_started = std::exchange(started_, false);
  if (upkeep_) upkeep_->stop();
  for (const auto& worker : owned_.workers) worker->stop();
  if (background_) background_->stop();
  if (journal_) journal_->stop();
  if (const uint64_t left = was_started ? spool_->waiting_clicks() : 0; left != 0) {
    log_error("spool", fmt::format("{} clicks that waited in memory could not be written", left));
  }
  server_.reset();
  queries_.reset();
}

Engine::Engine(Config config, FileSystem& files, Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(config), files, clock)) {}
Engine::~Engine() = default;
Status Engine::start() { return impl_->start(); }
void Engine::stop() { impl_->stop(); }
const std::string& Engine::collector_address() const { return impl_->collector_address_; }
const std::string& Engine::api_address() const { return impl_->api_address_; }
Status Engine::reload(const Config& next) { return impl_->reload(next); }

}  // namespace clickmill::engine
