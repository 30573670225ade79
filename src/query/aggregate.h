#pragma once

// query/ answers the two questions of an advertiser: clicks of an ad over time, and the top
// ads. A request is parsed and checked (request.h), cut into buckets of its time zone
// (buckets.h), planned onto minute, hour and day rows (plan.h), read from one version per
// partition (rows.h) and rendered (render.cpp). raw_clicks.h streams the log itself.
// Everything here runs on query threads and works on snapshots, so that neither the stream
// nor a redirect waits for a query.
// Promise: a click is in an answer once or not yet, never twice, while its row moves from
// head to part. Begin with request.h, then aggregate_clicks.

#include <span>
#include <string>

#include "base/result.h"
#include "query/answer.h"
#include "query/request.h"
#include "store/version.h"

namespace clickmill::query {

/// What to read of the versions: the finest table that the request needs.
/// Unions sketches per bucket and over the range (invariant 6); reads hours
/// and days from their tables where whole UTC hours and days are covered,
/// finer ones at the edges and for zones with other offsets.
Result<ClicksAnswer> aggregate_clicks(const ClicksRequest& request,
                                      std::span<const store::Version> versions);
/// Body of the answer, JSON (or CSV, per the request) exactly as DESIGN §7 shows it.
std::string render_clicks(const ClicksRequest& request, const ClicksAnswer& answer);

Result<TopAnswer> aggregate_top(const TopRequest& request,
                                std::span<const store::Version> versions);
std::string render_top(const TopRequest& request, const TopAnswer& answer);

/// The head rows that a request needs (given to the worker that owns them).
store::Scan head_scan(const ClicksRequest& request);
store::Scan head_scan(const TopRequest& request);

}  // namespace clickmill::query
