// What a node answers requests with, and what it says of itself.
#include <algorithm>

#include "engine/running_node.h"

namespace clickmill::engine {
void RunningNode::open_readers() {
  cluster::Owned& owned = machine_->owned();
  own_reader_ = std::make_unique<cluster::VersionReader>(owned);
  own_review_ = std::make_unique<cluster::ReviewDesk>(owned);
  own_log_reader_ = std::make_unique<cluster::LogReader>(owned);
  elsewhere_ = std::make_unique<cluster::Elsewhere>(owned, machine_->peers());
  reader_ = std::make_unique<cluster::VersionReader>(owned, elsewhere_.get());
  review_ = std::make_unique<cluster::ReviewDesk>(owned, elsewhere_.get());
  log_reader_ = std::make_unique<cluster::LogReader>(owned, elsewhere_.get());
  if (elsewhere_->possible())
    scattered_ = std::make_unique<query::Scattered>(*own_reader_, *elsewhere_);
}

/// What other nodes ask is answered by threads of their own: those that ask others wait for these.
void RunningNode::answer_nodes() {
  if (machine_->peers() == nullptr) return;
  const auto in_pool = [this](std::function<void()> task) {
    return pools_->nodes.submit(std::move(task));
  };
  answers_ = std::make_unique<cluster::PartitionAnswers>(machine_->owned(), in_pool);
  using cluster::CallKind;
  using cluster::Calls;
  const auto when_counting = [this](Calls::Serve serve) -> Calls::Serve {
    return [this, serve = std::move(serve)](const std::string& from, std::string_view question,
                                            Calls::Answer answer) {
      if (!counting_) return answer(Error(Errc::busy, "the node is starting"));
      serve(from, question, std::move(answer));
    };
  };
  Calls& calls = machine_->peers()->calls();
  calls.serve(
      CallKind::partition,
      when_counting([this](const std::string&, std::string_view question, Calls::Answer answer) {
        answers_->give(question, std::move(answer));
      }));
  calls.serve(CallKind::rows,
              when_counting([this, in_pool](const std::string&, std::string_view question,
                                            const Calls::Answer& answer) {
                const bool taken = in_pool([this, text = std::string(question), answer] {
                  answer(query::give_rows(*own_reader_, config_.log.partitions,
                                          machine_->retention().deleted_before(), text));
                });
                if (!taken) answer(Error(Errc::busy, "too many questions of other nodes wait"));
              }));
}

void RunningNode::open_api() {
  open_readers();
  recounter_ = std::make_unique<cluster::Recounter>(
      machine_->owned(), *own_log_reader_,
      cluster::Recounter::Options{.seed = [this] { return dir_->node().seed; }});
  pools_ = std::make_unique<api::Pools>(threads_of(config_));
  answer_nodes();
  catalog::Lookup* lookup = catalog_service_.get();
  if (shared_ads_) lookup = &shared_ads_->lookup();
  auto of_intake = intake_options(config_);
  of_intake.countries = &edge_.countries();
  intake_ = std::make_unique<collector::Intake>(machine_->spool(), ads(), lookup,
                                                std::move(of_intake), metrics_);
  const collector::Durability durability = config_.collector.durability;
  clicks_ = std::make_unique<collector::ClickEndpoint>(
      *intake_, machine_->clock(),
      collector::ClickEndpoint::Options{
          .durability = durability,
          .redirect_deadline_ms = config_.collector.redirect_deadline_ms,
          .rate_limit = &edge_.rate_limit()},
      metrics_);
  bulk_ = std::make_unique<collector::BulkEndpoint>(
      *intake_, machine_->clock(), durability,
      [this](std::function<void()> task) { return pools_->bulk.submit(std::move(task)); },
      threads_of(config_));
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
      .cluster_id =
          peering_ ? [this] { return peering_->cluster_id(); } : std::function<uint64_t()>(),
      .peers = machine_->peers(),
      .scattered = scattered_.get(),
      .lineage = [this] { return peering_ ? peering_->lineage() : std::nullopt; },
      .retention = &machine_->retention(),
  });
  api::add_collector_routes(collector_routes_, *context_);
  api::add_api_routes(api_routes_, *context_);
}

Status RunningNode::bind() {
  server_ = std::make_unique<http::Server>(server_options(config_), metrics_);
  if (config_.listen.collector.empty()) return {};
  http::Server::Listener collector = collector_listener(config_);
  collector.handler = collector_routes_.handler();
  collector.finish = cors_.on_all();
  collector_address_ = TRY(server_->listen(std::move(collector)));
  http::Server::Listener api = api_listener(config_);
  api.refuse_large = [this](const http::Request& request) {
    return api::refuse_large_body(*context_, request);
  };
  api.handler = [this](http::RequestPtr request, http::Responder respond) {
    handle_api(std::move(request), std::move(respond));
  };
  api.finish = cors_.on_path("/v1/click");
  api_address_ = TRY(server_->listen(std::move(api)));
  server_->set_tls(edge_.certificate());
  return {};
}

/// What asks partitions waits until they can be asked.
void RunningNode::handle_api(http::RequestPtr request, http::Responder respond) {
  if (asks_partitions(request->path)) return early_.take(std::move(request), std::move(respond));
  api_routes_.handle(std::move(request), std::move(respond));
}

std::vector<std::string> RunningNode::warnings() {
  std::vector<std::string> warnings;
  if (counting_) warnings = machine_->upkeep().warnings();
  for (std::string& damage : machine_->status().warnings()) warnings.push_back(std::move(damage));
  if (const cluster::Peers* peers = machine_->peers()) {
    std::ranges::move(peers->agreement().warnings(), std::back_inserter(warnings));
    std::ranges::move(peers->misfits(), std::back_inserter(warnings));
  }
  if (std::string damage = catalog_->damage(); !damage.empty())
    warnings.push_back("catalog: " + damage);
  if (sinks_) std::ranges::move(sinks_->warnings(), std::back_inserter(warnings));
  for (std::string& text : edge_.warnings(clock_.wall_ms())) warnings.push_back(std::move(text));
  for (std::string& text : server_->troubles()) warnings.push_back(std::move(text));
  if (const cluster::Peers* const peers = counting_ ? machine_->peers() : nullptr) {
    for (const std::string& node : peers->who_want_another())
      warnings.push_back("cluster: " + node +
                         " has other cluster.peers, or another cluster.replication, in its config; "
                         "no copy is given up until all nodes have the same");
  }
  const std::lock_guard lock(mutex_);
  if (!catalog_lost_.empty()) warnings.push_back(catalog_lost_);
  if (!catalog_trouble_.empty()) warnings.push_back(catalog_trouble_);
  if (!config_trouble_.empty()) warnings.push_back(config_trouble_);
  return warnings;
}

std::vector<std::string> RunningNode::not_ready() {
  std::vector<std::string> reasons = machine_->status().reasons();
  if (stopping_) reasons.emplace_back("node: it is being stopped");
  if (std::string trouble = counting_ ? std::string() : recovery_->trouble(); !trouble.empty())
    reasons.push_back(std::move(trouble));
  if (peering_) {
    for (std::string& reason : peering_->reasons()) reasons.push_back(std::move(reason));
  }
  if (machine_->peers() != nullptr && machine_->peers()->draining())
    reasons.emplace_back("cluster: this node is being drained");
  if (machine_->peers() != nullptr && !machine_->peers()->misfit().empty())
    reasons.push_back(machine_->peers()->misfit());
  for (std::string& reason : waits_of(*machine_)) reasons.push_back(std::move(reason));
  return reasons;
}

}  // namespace clickmill::engine
