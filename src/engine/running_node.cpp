#include "engine/running_node.h"

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

namespace clickmill::engine {
namespace {

constexpr auto kMaintenancePeriod = std::chrono::milliseconds(50);
constexpr uint32_t kDeadlineSweepMs = 5;
// Sealing must keep up with the clicks, but no user waits for it.
constexpr int kBackgroundNice = 5;
// With what comes after them a stop takes less than three seconds.
constexpr uint32_t kDrainMs = 1'000;
constexpr uint32_t kLookAgainMs = 10'000;
constexpr auto kSpoolDrain = std::chrono::milliseconds(500);

void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

/// The listeners come first: when their port is taken, nothing has been touched. Then what
/// a redirect needs, and everything else behind the redirects.
Status RunningNode::start() {
  raise_file_limit();
  TRY(sinks::check_settings(config_.sinks));
  TRY(edge_.open());
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
  sinks_ = TRY(sinks::Sinks::open(
      config_.sinks,
      {files_, dir_->path(), config_.node_id, config_.log.partitions, *own_log_reader_,
       *own_reader_, *own_review_, &machine_->retention(), clock_, metrics_, machine_->peers()}));
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

Status RunningNode::open_machine() {
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
void RunningNode::serve() {
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
  server_->every(kLookAgainMs, [this] {
    ignore(background_->submit([this] { edge_.look_again(false); }), "the next look makes up");
  });
  server_->start();
}

/// Thread: the recovery's.
void RunningNode::begin_counting() {
  add_stream_metrics(metrics_, *machine_);
  machine_->upkeep().add_metrics(metrics_);
  machine_->retention().add_metrics(metrics_);
  machine_->upkeep().start();
  auto& workers = machine_->owned().workers;
  for (size_t i = 0; i < workers.size(); ++i) {
    workers[i]->start([this, i] { return machine_->step_worker(i); }, kMaintenancePeriod);
  }
  counting_ = true;
  if (sinks_) sinks_->start();
  backups_ = std::make_unique<BackupDesk>(*dir_, *machine_, files_, clock_);
  backups_->start();
  early_.open();
  const std::lock_guard lock(mutex_);
  settled_ = true;
  recovered_.notify_all();
}

/// Thread: the recovery's, and who stops.
void RunningNode::lose(Error error) {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(settled_, true)) lost_ = std::move(error);
  recovered_.notify_all();
}

Status RunningNode::wait_until_counting() {
  std::unique_lock lock(mutex_);
  recovered_.wait(lock, [this] { return settled_; });
  if (lost_) return *std::exchange(lost_, std::nullopt);
  return {};
}

void RunningNode::keep_config(const std::string& why) {
  log_error("config", why + "; what was in force stays");
  {
    const std::lock_guard lock(mutex_);
    config_trouble_ = "config: " + why + " (what was in force stays)";
  }
  reload_catalog();
}

void RunningNode::reload(const Config& next) {
  Config changed = config_;
  changed.keys = next.keys;
  changed.log_level = next.log_level;
  changed.log_format = next.log_format;
  changed.catalog.file = next.catalog.file;
  changed.collector.rate_limit = next.collector.rate_limit;
  if (!config_.tls.cert.empty() && !next.tls.cert.empty()) changed.tls = next.tls;
  if (changed.cluster && next.cluster)
    changed.cluster->hold_feature_level = next.cluster->hold_feature_level;
  check_config(changed);
  config_ = std::move(changed);
  set_logging(config_.log_level, config_.log_format);
  auth_.replace(config_.keys);
  edge_.reload(config_, *server_);
  if (peering_) machine_->peers()->hold_level(config_.cluster->hold_feature_level);
  ignore(background_->submit([this] { edge_.look_again(true); }),
         "made up for by the next look, if the file is another one");
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
void RunningNode::drain_spool() {
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

void RunningNode::announce_stop() {
  stopping_ = true;
  if (server_) server_->end_connections();
}

void RunningNode::stop() {
  if (recovery_) recovery_->stop();
  // While everybody still hears of it.
  if (peering_ && counting_) machine_->peers()->hand_over_all();
  lose(Error(Errc::closed, "the node was stopped"));
  early_.refuse(true);
  if (backups_) backups_->stop();
  if (sinks_) sinks_->stop();
  if (counting_) own_log_reader_->end_following();
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

}  // namespace clickmill::engine
