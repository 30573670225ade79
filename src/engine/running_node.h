#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "api/context.h"
#include "base/logging.h"
#include "base/process_metrics.h"
#include "base/reserved_file_system.h"
#include "catalog/service.h"
#include "cluster/partition_answers.h"
#include "collector/cors.h"
#include "collector/enricher.h"
#include "collector/trusted_proxies.h"
#include "engine/backup_desk.h"
#include "engine/data_dir.h"
#include "engine/early_requests.h"
#include "engine/edge.h"
#include "engine/machine.h"
#include "engine/node_metrics.h"
#include "engine/options.h"
#include "engine/peering.h"
#include "engine/readiness.h"
#include "engine/recovery.h"
#include "engine/shared_ads.h"
#include "http/server.h"
#include "query/scatter.h"
#include "sinks/sinks.h"

namespace clickmill::engine {

/// What Engine owns: everything that runs in a node, in the order in which it is built.
/// running_node_ads.cpp has the catalog, running_node_api.cpp what answers requests,
/// running_node.cpp the rest. See Engine for what its functions promise.
class RunningNode {
 public:
  RunningNode(Config config, FileSystem& files, Clock& clock)
      : config_(std::move(config)),
        files_(files, config_.data_dir + "/journal"),
        clock_(clock),
        auth_(config_.keys) {}
  ~RunningNode() { stop(); }
  RunningNode(const RunningNode&) = delete;
  RunningNode& operator=(const RunningNode&) = delete;

  Status start();
  Status wait_until_counting();
  void announce_stop();
  void stop();
  void reload(const Config& next);
  void keep_config(const std::string& why);
  std::vector<std::string> not_ready();
  api::Context& context() { return *context_; }
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
  void open_readers();
  void answer_nodes();
  Status bind();
  void serve();
  void begin_counting();
  void lose(Error error);
  void handle_api(http::RequestPtr request, http::Responder respond);
  std::vector<std::string> warnings();
  void drain_spool();

  /// Of the main thread, which alone starts, reloads and stops.
  Config config_;
  ReservedFileSystem files_;
  Clock& clock_;
  Metrics metrics_;
  http::Authenticator auth_;
  const collector::Cors cors_{config_.collector.cors_origins};
  Edge edge_{config_, metrics_};

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
  // Of what is on this node:
  std::unique_ptr<cluster::VersionReader> own_reader_;
  std::unique_ptr<cluster::ReviewDesk> own_review_;
  std::unique_ptr<cluster::LogReader> own_log_reader_;
  // of everything, wherever it is:
  std::unique_ptr<cluster::Elsewhere> elsewhere_;
  std::unique_ptr<cluster::VersionReader> reader_;
  std::unique_ptr<cluster::ReviewDesk> review_;
  std::unique_ptr<cluster::LogReader> log_reader_;
  std::unique_ptr<query::Scattered> scattered_;  ///< null: everything is here
  std::unique_ptr<cluster::PartitionAnswers> answers_;
  std::unique_ptr<cluster::Recounter> recounter_;
  std::unique_ptr<sinks::Sinks> sinks_;  ///< null: none is configured
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
  std::unique_ptr<BackupDesk> backups_;  ///< once it counts
  /// Guards the outcome of the recovery, the wait for it, and the trouble, between the
  /// main thread, the recovery's, and those that answer requests.
  std::mutex mutex_;
  std::string catalog_lost_;     ///< that the start found none of the ads; before the rest
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

}  // namespace clickmill::engine
