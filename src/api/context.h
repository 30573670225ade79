#pragma once

// api/ is the HTTP contract: one file per group of routes. A handler checks who asks
// (admit), reads parameters (Params: unknown, repeated and impossible ones are a 400 that
// names them), asks the layer that knows, and renders.
// Handlers begin on an io thread and must not block it: what touches a disk, a lock or a
// worker goes through run_task. They own nothing; Context lends them everything.
// Promise: an error is application/problem+json, says which field is to blame, and its
// status says whether trying again helps (problem_of).
// Begin with Context, then metrics.cpp as the plainest pair of routes.

#include <functional>
#include <string>
#include <vector>

#include "api/pools.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/params.h"
#include "catalog/catalog.h"
#include "cluster/founded.h"
#include "cluster/log_reader.h"
#include "cluster/peers.h"
#include "cluster/recounter.h"
#include "cluster/review_desk.h"
#include "cluster/version_reader.h"
#include "collector/bulk_endpoint.h"
#include "collector/click_endpoint.h"
#include "http/auth.h"
#include "http/router.h"
#include "query/scatter.h"
#include "store/retention.h"

namespace clickmill::api {

/// What the handlers work on. All borrowed from the engine and alive while
/// requests are served.
struct Context {
  const Clock& clock;
  Metrics& metrics;
  Pools& pools;
  const http::Authenticator& auth;
  catalog::Catalog& catalog;
  cluster::VersionReader& reader;
  cluster::ReviewDesk& review;
  cluster::LogReader& log_reader;
  cluster::Recounter& recounter;
  collector::ClickEndpoint& clicks;
  collector::BulkEndpoint& bulk;
  std::string node_id;
  /// Of the data directory, fixed at its first start: which partition an ad is in, and which
  /// numbers are ids of partitions, follows from it.
  uint32_t partitions = 64;
  uint64_t max_points = 100'000;  ///< of one answer
  /// Why the node is not ready; empty: it is. Thread: any.
  std::function<std::vector<std::string>()> not_ready;
  /// What an operator should know though the node is ready. Thread: any.
  std::function<std::vector<std::string>()> warnings;
  /// The configuration service that has the ads; empty: this node has them.
  std::string catalog_url = {};
  /// Of the cluster that this node belongs to; 0: none yet. Null: it is alone.
  std::function<uint64_t()> cluster_id = nullptr;
  /// The other nodes; null: there are none.
  cluster::Peers* peers = nullptr;
  /// Counts of partitions that other nodes have; null: this one has all.
  query::Scattered* scattered = nullptr;
  /// How this node's cluster came to be; null, or nothing: it belongs to none.
  std::function<std::optional<cluster::Lineage>()> lineage = nullptr;
  /// What has been deleted from the store; null: nothing.
  const store::Retention* retention = nullptr;
  store::TableTimes deleted_before() const {
    return retention != nullptr ? retention->deleted_before() : store::kAllTime;
  }
};

/// Routes of the collector listener: /v1/click, /v1/click.js, /healthz, /readyz without reasons,
/// and / for health checks; nothing else.
void add_collector_routes(http::Router& router, Context& context);
/// Routes of the api listener: everything.
void add_api_routes(http::Router& router, Context& context);

// One function per group of routes, each in its own file.
void add_metrics_routes(http::Router& router, Context& context);
void add_ad_routes(http::Router& router, Context& context);
void add_operation_routes(http::Router& router, Context& context);
void add_bulk_route(http::Router& router, Context& context);
void add_review_routes(http::Router& router, Context& context);
/// What was changed by hand: GET /v1/review/decisions.
http::Response list_changes(Context& context, const http::Request& request);
void add_recount_routes(http::Router& router, Context& context);
void add_raw_log_routes(http::Router& router, Context& context);
void add_cluster_route(http::Router& router, Context& context);
/// What an operator does about the nodes of a cluster.
void add_node_routes(http::Router& router, Context& context);
/// The publisher's script, /v1/click.js.
void add_snippet_route(http::Router& router);
/// What the api listener answers, for programs: /openapi.json. Asks for no key, as the page.
void add_openapi_route(http::Router& router);
/// The page at /, its files under /page/, and /v1/whoami, by which it knows what to show.
void add_page_routes(http::Router& router, Context& context);

/// Who asks; or nothing, after `respond` has answered 401 (or 403 when the
/// role is not among `allowed`; empty: any).
std::optional<http::Principal> admit(const Context& context, const http::Request& request,
                                     std::initializer_list<http::Role> allowed,
                                     std::string_view needed, http::Responder& respond);
/// For a path without parameters: the 400 when there is one all the same.
std::optional<http::Response> refuse_parameters(const http::Request& request);
/// Runs `work` on the pool, or answers 503 when it is full.
void run_task(TaskPool& pool, http::Responder respond, std::function<http::Response()> work);
/// Why the request may not send a large body (POST /v1/clicks, POST /v1/ads): asked before
/// the body is read.
std::optional<http::Response> refuse_large_body(const Context& context,
                                                const http::Request& request);
/// An Error as a problem: busy and closed are 503 with Retry-After, invalid 400, not_found 404,
/// else 500.
http::Response problem_of(const Error& error);
/// 400 that names the parameter.
http::Response problem_of(const ParamError& error);

}  // namespace clickmill::api
