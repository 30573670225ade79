#include "engine/engine.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "api/context.h"
#include "base/logging.h"
#include "base/process_metrics.h"
#include "base/reserved_file_system.h"
#include "catalog/service.h"
#include "collector/cors.h"
#include "collector/enricher.h"
#include "collector/trusted_proxies.h"
#include "engine/data_dir.h"
#include "engine/early_requests.h"
#include "engine/machine.h"
#include "engine/node_metrics.h"
#include "engine/options.h"
#include "engine/peering.h"
#include "engine/readiness.h"
#include "engine/recovery.h"
#include "engine/shared_ads.h"
#include "http/server.h"

namespace clickmill::engine {
namespace {

constexpr auto kMaintenancePeriod = std::chrono::milliseconds(50);
constexpr uint32_t kDeadlineSweepMs = 5;
constexpr uint32_t kEnrichMs = 50;
// Sealing must keep up with the clicks, but no user waits for it.
constexpr int kBackgroundNice = 5;
// With what comes after them a stop takes less than three seconds.
constexpr uint32_t kDrainMs = 1'000;
constexpr auto kSpoolDrain = std::chrono::milliseconds(500);
constexpr uint64_t kBulkBodyMost = 16 << 20;
// Apart, so that neither listener's clients can take the other's.
constexpr uint32_t kConnectionsMost = 20'000;
constexpr uint32_t kApiConnectionsMost = 4'000;

void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/// Clicks, ads, who asks, health and metrics need no partition.
bool asks_partitions(std::string_view path) {
  constexpr std::string_view kOthers[] = {"/v1/click", "/v1/click.js", "/v1/clicks", "/v1/ads",
                                          "/v1/whoami"};
  return path.starts_with("/v1/") && !path.starts_with("/v1/ads/") &&
         std::find(std::begin(kOthers), std::end(kOthers), path) == std::end(kOthers);
}

}  // namespace

class Engine::Impl {
 public:
  Impl(Config config, FileSystem& files, Clock& clock)
      : config_(std::move(config)),
        files_(files, config_.data_dir + "/journal"),
        clock_(clock),
        auth_(config_.keys) {}
  ~Impl() { stop(); }

  Status start();
  Status wait_until_counting();
  void announce_stop();
  void stop();
  void reload(const Config& next);
  void keep_config(const std::string& why);
  std::string collector_address_;
  std::string api_address_;

 private:
  Status open_catalog();
  catalog::Catalog& ads() { return shared_ads_ ? shared_ads_->catalog() : *catalog_; }
  void open_catalog_service();
  void reload_catalog();
  Status open_machine();
  void find_ad(const std::string& ad_id, collector::Enricher::Done told);
  void open_api();
  Status bind();
  void serve();
  void begin_counting();
  void lose(Error error);
  void handle_api(http::RequestPtr request, http::Responder respond);
  std::vector<std::string> not_ready();
  std::vector<std::string> warnings();
  void drain_spool();

  /// Of the main thread, which alone starts, reloads and stops.
  Config config_;
  ReservedFileSystem files_;
  Clock& clock_;
  Metrics metrics_;
  http::Authenticator auth_;
  const collector::Cors cors_{config_.collector.cors_origins};

  // In order of construction: each may borrow from those above it. stop() ends their
  // threads from the last to the first, so that nobody calls one that is gone.

  /// Holds the lock of the data directory for as long as anything may write there.
  std::unique_ptr<DataDir> dir_;
  /// Its links and beats end before the machine's workers. Null: a node alone.
  std::unique_ptr<Peering> peering_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::unique_ptr<SharedAds> shared_ads_;  ///< around it, where a cluster has its ads in common
  // Only with catalog.source "http"; all three work on the client's thread.
  std::unique_ptr<http::Client> catalog_client_;
  std::unique_ptr<catalog::Source> catalog_source_;
  std::unique_ptr<catalog::Service> catalog_service_;
  std::unique_ptr<collector::Enricher> enricher_;
  /// Seals, merges, writes ads: what may take long and nobody waits for.
  std::unique_ptr<TaskPool> background_;
  /// Writes checkpoints: apart, since the stream waits for them when much is to be written.
  std::unique_ptr<TaskPool> commits_;
  /// Its workers' messages and background_'s tasks point into it: it stays until both
  /// have ended.
  std::unique_ptr<Machine> machine_;

  // What answers requests; borrowed by the routes, so it outlives the server.
  std::unique_ptr<cluster::VersionReader> reader_;
  std::unique_ptr<cluster::ReviewDesk> review_;
  std::unique_ptr<cluster::LogReader> log_reader_;
  std::unique_ptr<cluster::Recounter> recounter_;
  std::unique_ptr<api::Pools> pools_;
  std::unique_ptr<collector::Intake> intake_;
  std::unique_ptr<collector::ClickEndpoint> clicks_;
  std::unique_ptr<collector::BulkEndpoint> bulk_;
  std::unique_ptr<api::Context> context_;
  http::Router collector_routes_{&metrics_, "collector"};
  http::Router api_routes_{&metrics_, "api"};
  EarlyRequests early_{[this](http::RequestPtr request, http::Responder respond) {
    api_routes_.handle(std::move(request), std::move(respond));
  }};
  std::unique_ptr<http::Server> server_;

  /// Opens what counts, behind the redirects.
  std::unique_ptr<Recovery> recovery_;
  /// Guards the outcome of the recovery, the wait for it, and the trouble, between the
  /// main thread, the recovery's, and those that answer requests.
  std::mutex mutex_;
  std::string catalog_trouble_;  ///< why catalog.file was not taken in; empty: it was
  std::string config_trouble_;   ///< the same of the config, since the start
  std::condition_variable recovered_;
  bool settled_ = false;       ///< it counts, or never will
  std::optional<Error> lost_;  ///< why it never will; taken by who waits
  /// Partitions may be asked: set after everything that is needed for it.
  std::atomic<bool> counting_{false};
  std::atomic<bool> stopping_{false};
  bool started_ = false;
};

/// The listeners come first: when their port is taken, nothing has been touched. Then what
/// a redirect needs, and everything else behind the redirects.
Status Engine::Impl::start() {
  raise_file_limit();
  TRY(bind());
  dir_ = TRY(DataDir::open(files_, config_.data_dir, config_.node_id, config_.log.partitions));
  files_.set_reserve(TRY(reserve_bytes(config_, files_, dir_->path())));
  if (config_.cluster) peering_ = TRY(Peering::open(config_, files_, *dir_));
  TRY(open_catalog());
  background_ = std::make_unique<TaskPool>("background", 1, 4096, kBackgroundNice);
  // Two, so that one's sync is the other's time to write.
  commits_ = std::make_unique<TaskPool>("checkpoint", 2, 4096, kBackgroundNice);
  TRY(open_machine());
  open_api();
  Recovery::Outcome outcome;
  if (peering_) {
    outcome.first = [this](const std::atomic<bool>& stopping) {
      return peering_->wait_until_founded(stopping);
    };
  }
  outcome.recovered = [this] { begin_counting(); };
  outcome.lost = [this](Error error) { lose(std::move(error)); };
  recovery_ =
      std::make_unique<Recovery>(*machine_, *dir_, files_, files_.reserve(), std::move(outcome));
  serve();
  started_ = true;
  if (peering_) TRY(peering_->connect(*machine_));
  if (peering_) peering_->add_metrics(metrics_);
  recovery_->start();
  return {};
}

Status Engine::Impl::open_catalog() {
  catalog_ = TRY(catalog::Catalog::open(files_, dir_->path()));
  if (config_.catalog.source == "builtin") {
    if (peering_) shared_ads_ = std::make_unique<SharedAds>(*catalog_, files_);
    reload_catalog();
    return {};
  }
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
  options.in_background = [this](std::function<void()> task) {
    // An ad that was learned is to be known after a restart.
    return background_->submit(std::move(task), TaskPool::AtStop::run);
  };
  catalog_service_ = std::make_unique<catalog::Service>(*catalog_source_, *catalog_, clock_,
                                                        std::move(options), metrics_);
  enricher_ = std::make_unique<collector::Enricher>(*catalog_service_, clock_,
                                                    collector::Enricher::Options{}, metrics_);
  catalog_client_->every(kDeadlineSweepMs, [this] { catalog_service_->tick(); });
  catalog_client_->every(kEnrichMs, [this] { enricher_->tick(); });
}

void Engine::Impl::find_ad(const std::string& ad_id, collector::Enricher::Done told) {
  if (shared_ads_) return shared_ads_->enricher().find(ad_id, std::move(told));
  if (enricher_) return enricher_->find(ad_id, std::move(told));
  // Left by a run with another catalog.source.
  const auto ads = catalog_->snapshot();
  told(ads->find(ad_id));
}

Status Engine::Impl::open_machine() {
  Machine::Outside outside;
  // A refused task is only delayed: it is tried again.
  outside.in_background = [this](std::function<void()> task) {
    return background_->submit(std::move(task));
  };
  outside.in_commit = [this](std::function<void()> task) {
    return commits_->submit(std::move(task));
  };
  outside.ask_for_ad = [this](const std::string& ad_id, collector::Enricher::Done told) {
    find_ad(ad_id, std::move(told));
  };
  outside.synchronised = kernel_clock_is_synchronised;
  if (shared_ads_) outside.ads = catalog_.get();
  auto options = TRY(machine_options(config_, files_, *dir_));
  if (peering_) peering_->complete(options);
  machine_ = std::make_unique<Machine>(files_, clock_, std::move(options), std::move(outside));
  if (shared_ads_) shared_ads_->connect(*machine_, clock_, config_.catalog.timeout_ms, metrics_);
  return machine_->open_journal();
}

/// Redirects are served from here on.
void Engine::Impl::serve() {
  add_process_metrics(metrics_, clock_.wall_ms());
  add_collector_metrics(metrics_, *machine_);
  add_disk_metrics(metrics_, files_, dir_->path());
  metrics_.gauge_from("clickmill_ready", "1 while /readyz is green, else 0.",
                      [this] { return not_ready().empty() ? 1.0 : 0.0; });
  machine_->journal().start();
  if (catalog_client_) catalog_client_->start();
  server_->every(kDeadlineSweepMs, [this] {
    clicks_->sweep_deadlines();
    bulk_->sweep_deadlines();
    if (shared_ads_) shared_ads_->tick();
    early_.refuse(!recovery_->trouble().empty());
  });
  server_->start();
}

/// Thread: the recovery's.
void Engine::Impl::begin_counting() {
  add_stream_metrics(metrics_, *machine_);
  machine_->upkeep().add_metrics(metrics_);
  machine_->retention().add_metrics(metrics_);
  machine_->upkeep().start();
  auto& workers = machine_->owned().workers;
  for (size_t i = 0; i < workers.size(); ++i) {
    workers[i]->start([this, i] { return machine_->step_worker(i); }, kMaintenancePeriod);
  }
  counting_ = true;
  early_.open();
  const std::lock_guard lock(mutex_);
  settled_ = true;
  recovered_.notify_all();
}

/// Thread: the recovery's, and who stops.
void Engine::Impl::lose(Error error) {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(settled_, true)) lost_ = std::move(error);
  recovered_.notify_all();
}

Status Engine::Impl::wait_until_counting() {
  std::unique_lock lock(mutex_);
  recovered_.wait(lock, [this] { return settled_; });
  if (lost_) return *std::exchange(lost_, std::nullopt);
  return {};
}

void Engine::Impl::open_api() {
  cluster::Owned& owned = machine_->owned();
  reader_ = std::make_unique<cluster::VersionReader>(owned);
  review_ = std::make_unique<cluster::ReviewDesk>(owned);
  log_reader_ = std::make_unique<cluster::LogReader>(owned);
  recounter_ = std::make_unique<cluster::Recounter>(
      owned, *log_reader_,
      cluster::Recounter::Options{.seed = [this] { return dir_->node().seed; }});
  pools_ = std::make_unique<api::Pools>(threads_of(config_));
  catalog::Lookup* lookup = catalog_service_.get();
  if (shared_ads_) lookup = &shared_ads_->lookup();
  intake_ = std::make_unique<collector::Intake>(machine_->spool(), ads(), lookup,
                                                intake_options(config_), metrics_);
  const collector::Durability durability = config_.collector.durability;
  clicks_ = std::make_unique<collector::ClickEndpoint>(
      *intake_, machine_->clock(),
      collector::ClickEndpoint::Options{
          .durability = durability, .redirect_deadline_ms = config_.collector.redirect_deadline_ms},
      metrics_);
  bulk_ = std::make_unique<collector::BulkEndpoint>(
      *intake_, machine_->clock(), durability,
      [this](std::function<void()> task) { return pools_->bulk.submit(std::move(task)); });
  context_ = std::make_unique<api::Context>(api::Context{
      .clock = clock_,
      .metrics = metrics_,
      .pools = *pools_,
      .auth = auth_,
      .catalog = ads(),
      .reader = *reader_,
      .review = *review_,
      .log_reader = *log_reader_,
      .recounter = *recounter_,
      .clicks = *clicks_,
      .bulk = *bulk_,
      .node_id = config_.node_id,
      .partitions = config_.log.partitions,
      .max_points = config_.query.max_points,
      .not_ready = [this] { return not_ready(); },
      .warnings = [this] { return warnings(); },
      .catalog_url = config_.catalog.url,
      .peers = machine_->peers(),
      .retention = &machine_->retention(),
  });
  api::add_collector_routes(collector_routes_, *context_);
  api::add_api_routes(api_routes_, *context_);
}

Status Engine::Impl::bind() {
  http::Server::Options options;
  options.io_threads = threads_of(config_);
  options.max_connections = kConnectionsMost;
  options.idle_timeout_ms = config_.idle_timeout_s * 1'000;
  server_ = std::make_unique<http::Server>(options, metrics_);
  http::Server::Listener collector;
  collector.name = "collector";
  collector.address = config_.listen.collector;
  collector.max_body_bytes = config_.collector.max_body_bytes;
  collector.handler = collector_routes_.handler();
  if (config_.collector.proxy_protocol) {
    collector.expects_proxy_header =
        [proxies = collector::TrustedProxies(config_.collector.trusted_proxies)](
            std::string_view peer_ip) { return proxies.trusts(peer_ip); };
  }
  collector.finish = cors_.on_all();
  collector.max_connections = kConnectionsMost - kApiConnectionsMost;
  collector_address_ = TRY(server_->listen(std::move(collector)));
  http::Server::Listener api;
  api.name = "api";
  api.address = config_.listen.api;
  api.max_body_bytes = config_.collector.max_body_bytes;
  api.large_body_paths = {"/v1/clicks", "/v1/ads"};
  api.large_body_bytes = kBulkBodyMost;
  api.refuse_large = [this](const http::Request& request) {
    return api::refuse_large_body(*context_, request);
  };
  api.max_connections = kApiConnectionsMost;
  api.handler = [this](http::RequestPtr request, http::Responder respond) {
    handle_api(std::move(request), std::move(respond));
  };
  api.finish = cors_.on_path("/v1/click");
  api_address_ = TRY(server_->listen(std::move(api)));
  return {};
}

/// What asks partitions waits until they can be asked.
void Engine::Impl::handle_api(http::RequestPtr request, http::Responder respond) {
  if (asks_partitions(request->path)) return early_.take(std::move(request), std::move(respond));
  api_routes_.handle(std::move(request), std::move(respond));
}

std::vector<std::string> Engine::Impl::warnings() {
  std::vector<std::string> warnings;
  if (counting_) warnings = machine_->upkeep().warnings();
  for (std::string& damage : machine_->status().warnings()) warnings.push_back(std::move(damage));
  if (std::string damage = catalog_->damage(); !damage.empty())
    warnings.push_back("catalog: " + damage);
  const std::lock_guard lock(mutex_);
  if (!catalog_trouble_.empty()) warnings.push_back(catalog_trouble_);
  if (!config_trouble_.empty()) warnings.push_back(config_trouble_);
  return warnings;
}

std::vector<std::string> Engine::Impl::not_ready() {
  std::vector<std::string> reasons = machine_->status().reasons();
  if (stopping_) reasons.emplace_back("node: it is being stopped");
  if (std::string trouble = counting_ ? std::string() : recovery_->trouble(); !trouble.empty())
    reasons.push_back(std::move(trouble));
  if (peering_) {
    for (std::string& reason : peering_->reasons()) reasons.push_back(std::move(reason));
  }
  for (std::string& reason : waits_of(*machine_)) reasons.push_back(std::move(reason));
  return reasons;
}

/// A file that can't be taken in is told, and leaves the ads as they are.
void Engine::Impl::reload_catalog() {
  std::string trouble;
  if (config_.catalog.source == "builtin" && !config_.catalog.file.empty()) {
    auto taken = ads().take_in_file(config_.catalog.file);
    if (!taken) {
      trouble = "catalog.file: " + taken.error().text();
      log_error("catalog", trouble + "; the ads stay as they were");
    } else if (*taken > 0) {
      log_info("catalog", fmt::format("took in {} ads from {}", *taken, config_.catalog.file));
    }
  }
  const std::lock_guard lock(mutex_);
  catalog_trouble_ = std::move(trouble);
}

void Engine::Impl::keep_config(const std::string& why) {
  log_error("config", why + "; what was in force stays");
  {
    const std::lock_guard lock(mutex_);
    config_trouble_ = "config: " + why + " (what was in force stays)";
  }
  reload_catalog();
}

void Engine::Impl::reload(const Config& next) {
  Config changed = config_;
  changed.keys = next.keys;
  changed.log_level = next.log_level;
  changed.log_format = next.log_format;
  changed.catalog.file = next.catalog.file;
  check_config(changed);
  config_ = std::move(changed);
  set_logging(config_.log_level, config_.log_format);
  auth_.replace(config_.keys);
  {
    const std::lock_guard lock(mutex_);
    config_trouble_.clear();
  }
  log_info("config", "taken in again");
  if (!(config_ == next))
    log_warn("config", "some of what changed comes into force at the next start only");
  reload_catalog();
}

/// Gives what was answered a moment to be committed. What stays in the spool is
/// durable all the same and goes on at the next start.
void Engine::Impl::drain_spool() {
  const auto deadline = std::chrono::steady_clock::now() + kSpoolDrain;
  // Those that wait for the configuration service may wait longer than that.
  const collector::Spool& spool = machine_->spool();
  while (spool.held_clicks() > spool.pending_clicks() &&
         std::chrono::steady_clock::now() < deadline &&
         machine_->journal().health() == log::Journal::Health::ok &&
         machine_->status().reasons().empty()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void Engine::Impl::announce_stop() {
  stopping_ = true;
  if (server_) server_->end_connections();
}

void Engine::Impl::stop() {
  if (recovery_) recovery_->stop();
  // While everybody still hears of it.
  if (peering_ && counting_) machine_->peers()->hand_over_all();
  lose(Error(Errc::closed, "the node was stopped"));
  early_.refuse(true);
  if (counting_) log_reader_->end_following();
  if (server_) server_->stop(kDrainMs);
  // After the server, or a last request could begin another one.
  if (recounter_) recounter_->stop();
  if (pools_) pools_->stop();
  if (started_ && counting_) drain_spool();
  if (catalog_client_) catalog_client_->stop();
  if (started_ && counting_) {
    machine_->post_checkpoints();
    machine_->spool().write_trims();
  }
  if (peering_) peering_->stop();
  const bool was_started = std::exchange(started_, false);
  if (machine_) machine_->stop_workers();
  if (background_) background_->stop();
  if (commits_) commits_->stop();
  if (machine_) machine_->stop_journal();
  if (const uint64_t left = was_started ? machine_->spool().waiting_clicks() : 0; left != 0) {
    log_error("spool", fmt::format("{} clicks that waited in memory could not be written", left));
  }
  server_.reset();
  pools_.reset();
}

Engine::Engine(Config config, FileSystem& files, Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(config), files, clock)) {}
Engine::~Engine() = default;
Status Engine::start() { return impl_->start(); }
Status Engine::wait_until_counting() { return impl_->wait_until_counting(); }
void Engine::announce_stop() { impl_->announce_stop(); }
void Engine::stop() { impl_->stop(); }
const std::string& Engine::collector_address() const { return impl_->collector_address_; }
const std::string& Engine::api_address() const { return impl_->api_address_; }
void Engine::reload(const Config& next) { impl_->reload(next); }
void Engine::keep_config(const std::string& why) { impl_->keep_config(why); }

}  // namespace clickmill::engine
