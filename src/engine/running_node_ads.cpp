// Where a node has its ads from.
#include <fmt/format.h>

#include <algorithm>

#include "engine/running_node.h"

namespace clickmill::engine {
namespace {

// Of who waits for an ad, and of clicks that do.
constexpr uint32_t kDeadlineSweepMs = 5;
constexpr uint32_t kEnrichMs = 50;

}  // namespace

Status RunningNode::open_catalog() {
  const std::string file = dir_->path() + "/catalog";
  if (files_.exists(dir_->journal()) && !files_.exists(file)) {
    catalog_lost_ = "catalog: " + file +
                    " is missing, though clicks were recorded here: ads that " +
                    "stood nowhere else are gone";
    log_error("catalog", catalog_lost_);
  }
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

void RunningNode::open_catalog_service() {
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

void RunningNode::find_ad(const std::string& ad_id, collector::Enricher::Done told) {
  if (shared_ads_) return shared_ads_->enricher().find(ad_id, std::move(told));
  if (enricher_) return enricher_->find(ad_id, std::move(told));
  // Left by a run with another catalog.source.
  const auto ads = catalog_->snapshot();
  told(ads->find(ad_id));
}

/// A file that can't be taken in is told, and leaves the ads as they are.
void RunningNode::reload_catalog() {
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

}  // namespace clickmill::engine
