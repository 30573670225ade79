#pragma once

#include <cstdint>
#include <map>

#include "base/result.h"
#include "click_source.h"
#include "histogram.h"
#include "ledger.h"
#include "options.h"

namespace clickmill::bench {

/// What a run gave.
struct LoadReport {
  Histogram latency_ns;  ///< from the intended send time to the whole answer
  /// The slowest answers, latency first, and when they were due; ms since 1970.
  std::multimap<uint64_t, double> slowest;
  std::map<int, uint64_t> answers_by_status;
  uint64_t requests = 0;  ///< sent, copies included
  uint64_t copies = 0;    ///< of these, copies of earlier clicks
  uint64_t request_bytes = 0;
  uint64_t unanswered = 0;  ///< their connection ended, or the run did, before an answer
  uint64_t never_sent = 0;  ///< due within the run, but no connection was free until long after
  uint64_t connect_failures = 0;
  double elapsed_s = 0;  ///< from the first intended send to the last answer
};

/// Sends clicks over many connections from one thread (epoll, one request at a
/// time on each) for options.seconds.
///
/// At a fixed rate the i-th click is due at start + i / rate whatever the node
/// does, and its latency counts from then: a stall of the node shows in every
/// click that it delayed, also in those that waited for a free connection.
/// Without a rate each connection sends as soon as it was answered.
/// A connection that breaks is opened again; its click stays unanswered.
Result<LoadReport> run_load(const Options& options, ClickSource& source, Ledger& ledger);

}  // namespace clickmill::bench
