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
#include "collector/enricher.h"
#include "engine/data_dir.h"
#include "engine/machine.h"
#include "engine/node_metrics.h"
#include "engine/options.h"
#include "engine/state_recovery.h"
#include "http/server.h"
#include "state/store.h"

namespace clickmill::engine {
namespace {

constexpr auto kMaintenancePeriod = std::chrono::milliseconds(50);
constexpr uint32_t kDeadlineSweepMs = 5;
constexpr uint32_t kEnrichMs = 50;
// Sealing must keep up with the clicks, but no user waits for it.
constexpr int kBackgroundNice = 5;
constexpr uint32_t kDrainMs = 3'000;
constexpr auto kSpoolDrain = std::chrono::seconds(3);
constexpr uint64_t kBulkBodyMost = 16 << 20;
constexpr uint64_t kStateCacheBytes = 32 << 20;

void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

class Engine::Impl {
 public:
  Impl(Config config, FileSystem& files, Clock& clock)
      : config_(std::move(config)), files_(files), clock_(clock), auth_(config_.keys) {}
  ~Impl() { stop(); }

  Status start();
  void stop();
  Status reload(const Config& next);
  std::string collector_address_;
  std::string api_address_;

 private:
  Status open_catalog();
  void open_catalog_service();
  Status reload_catalog();
  Status open_machine();
  Status open_state();
  void ask_for_ad(PartitionId partition, collector::Spool::UntoldClick click,
                  const std::string& ad_id);
  void start_threads();
  void open_api();
  Status start_http();
  std::vector<std::string> not_ready();
  void drain_spool();

  /// Of the main thread, which alone starts, reloads and stops.
  Config config_;
  FileSystem& files_;
  Clock& clock_;
  Metrics metrics_;
  http::Authenticator auth_;

  // In order of construction: each may borrow from those above it. stop() ends their
  // threads from the last to the first, so that nobody calls one that is gone.

  /// Holds the lock of the data directory for as long as anything may write there.
  std::unique_ptr<DataDir> dir_;
  std::unique_ptr<catalog::Catalog> catalog_;
  // Only with catalog.source "http"; all three work on the client's thread.
  std::unique_ptr<http::Client> catalog_client_;
  std::unique_ptr<catalog::Source> catalog_source_;
  std::unique_ptr<catalog::Service> catalog_service_;
  std::unique_ptr<collector::Enricher> enricher_;
  /// Seals, merges, writes ads: what may take long and nobody waits for.
  std::unique_ptr<TaskPool> background_;
  /// Replaced once, before anybody has seen it, when it is found damaged.
  std::unique_ptr<state::Store> state_;
  /// Its workers' messages and background_'s tasks point into it: it stays until both
  /// have ended.
  std::unique_ptr<Machine> machine_;

  // What answers requests; borrowed by the routes, so it outlives the server.
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
  bool started_ = false;
};

Status Engine::Impl::start() {
  raise_file_limit();
  dir_ = TRY(DataDir::open(files_, config_.data_dir, config_.node_id, config_.log.partitions));
  TRY(open_catalog());
  background_ = std::make_unique<TaskPool>("background", 1, 4096, kBackgroundNice);
  TRY(open_machine());
  start_threads();
  open_api();
  TRY(start_http());
  started_ = true;
  return {};
}

Status Engine::Impl::open_catalog() {
  catalog_ = TRY(catalog::Catalog::open(files_, dir_->path()));
  if (config_.catalog.source == "builtin") return reload_catalog();
  http::Client::Options client;
  client.url = TRY(http::parse_url(config_.catalog.url));
  catalog_client_ = std::make_unique<http::Client>(std::move(client));
  open_catalog_service();
  return {};
}

void Engine::Impl::open_catalog_service() {
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
                           const catalog::Ad* ad) { machine_->spool().told(partition, click, ad); };
  enricher_ = std::make_unique<collector::Enricher>(*catalog_service_, clock_,
                                                    collector::Enricher::Options{}, tell, metrics_);
  catalog_client_->every(kDeadlineSweepMs, [this] { catalog_service_->tick(); });
  catalog_client_->every(kEnrichMs, [this] { enricher_->tick(); });
}

void Engine::Impl::ask_for_ad(PartitionId partition, collector::Spool::UntoldClick click,
                              const std::string& ad_id) {
  if (enricher_) return enricher_->add(partition, click, ad_id);
  // Left by a run with another catalog.source.
  const auto ads = catalog_->snapshot();
  machine_->spool().told(partition, click, ads->find(ad_id));
}

Status Engine::Impl::open_machine() {
  Machine::Outside outside;
  // A refused task is only delayed: it is tried again.
  outside.in_background = [this](std::function<void()> task) {
    return background_->submit(std::move(task));
  };
  outside.ask_for_ad = [this](PartitionId partition, collector::Spool::UntoldClick click,
                              const std::string& ad_id) { ask_for_ad(partition, click, ad_id); };
  machine_ = std::make_unique<Machine>(files_, clock_, TRY(machine_options(config_, files_, *dir_)),
                                       std::move(outside));
  auto opened = open_state();
  if (!opened && is_damage(opened.error())) {
    machine_->close_partitions();
    state_.reset();
    TRY(set_state_aside(*dir_, files_, opened.error()));
    opened = open_state();
  }
  TRY(std::move(opened));
  return machine_->open_journal();
}

Status Engine::Impl::open_state() {
  TRY(files_.create_directories(dir_->state()));
  state_ = TRY(state::open_rocks_store(dir_->state(), kStateCacheBytes));
  return machine_->open_partitions(*state_);
}

void Engine::Impl::start_threads() {
  add_process_metrics(metrics_, clock_.wall_ms());
  add_node_metrics(metrics_, *machine_, *state_);
  machine_->upkeep().add_metrics(metrics_);
  machine_->upkeep().start();
  machine_->journal().start();
  if (catalog_client_) catalog_client_->start();
  auto& workers = machine_->owned().workers;
  for (size_t i = 0; i < workers.size(); ++i) {
    workers[i]->start([this, i] { return machine_->step_worker(i); }, kMaintenancePeriod);
  }
}

void Engine::Impl::open_api() {
  cluster::Owned& owned = machine_->owned();
  reader_ = std::make_unique<cluster::Reader>(owned);
  review_ = std::make_unique<cluster::ReviewDesk>(owned);
  log_reader_ = std::make_unique<cluster::LogReader>(owned);
  recounter_ = std::make_unique<cluster::Recounter>(
      owned, *log_reader_, cluster::Recounter::Options{.seed = dir_->node().seed});
  queries_ = std::make_unique<TaskPool>("query", std::max(2U, threads_of(config_)), 1024);
  intake_ =
      std::make_unique<collector::Intake>(machine_->spool(), *catalog_, catalog_service_.get(),
                                          machine_->clock(), intake_options(config_), metrics_);
  clicks_ = std::make_unique<collector::ClickEndpoint>(*intake_);
  bulk_ = std::make_unique<collector::BulkEndpoint>(
      *intake_, [this](std::function<void()> task) { return queries_->submit(std::move(task)); });
  context_ = std::make_unique<api::Context>(api::Context{
      clock_, metrics_, *queries_, auth_, *catalog_, *reader_, *review_, *log_reader_, *recounter_,
      *clicks_, *bulk_, config_.node_id, config_.log.partitions, config_.query.max_points,
      [this] { return not_ready(); }, [this] { return machine_->upkeep().warnings(); }});
  context_->catalog_url = config_.catalog.url;
  api::add_collector_routes(collector_routes_, *context_);
  api::add_api_routes(api_routes_, *context_);
}

Status Engine::Impl::start_http() {
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
  std::vector<std::string> reasons = machine_->status().reasons();
  switch (machine_->journal().health()) {
    case log::Journal::Health::ok:
      if (machine_->journal().clicks_wait()) {
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
  if (std::string trouble = machine_->clock().trouble(); !trouble.empty())
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
  const collector::Spool& spool = machine_->spool();
  while (spool.held_clicks() > spool.untold_clicks() &&
         std::chrono::steady_clock::now() < deadline &&
         machine_->journal().health() == log::Journal::Health::ok &&
         machine_->status().reasons().empty()) {
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
    machine_->post_checkpoints();
    machine_->spool().write_trims();
  }
  const bool was_started = std::exchange(started_, false);
  if (machine_) machine_->stop_workers();
  if (background_) background_->stop();
  if (machine_) machine_->stop_journal();
  if (const uint64_t left = was_started ? machine_->spool().waiting_clicks() : 0; left != 0) {
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
