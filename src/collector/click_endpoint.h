#pragma once

// collector/ takes clicks in and loses none that it answered. An endpoint (here, and
// bulk_endpoint.h) reads a click, Intake says where its ad leads and appends it to the Spool
// (spool.h: the node's journal), and the redirect goes out once that is durable or at its
// deadline. A Forwarder per worker then brings what is spooled to the ad's partition, in
// batches, at least once.
// Endpoints run on io threads and never wait for the log or for counting; forwarders run on
// the workers. Nobody outside reads the spool.
// Promise: a click that was answered is forwarded until its partition has committed it, over
// restarts too; what found no room is counted as dropped.
// Begin with ClickEndpoint, then Spool.

#include <memory>
#include <optional>

#include "base/metrics.h"
#include "base/node_clock.h"
#include "collector/deadlines.h"
#include "collector/durability.h"
#include "collector/intake.h"
#include "collector/rate_limit.h"
#include "http/message.h"

namespace clickmill::collector {

/// `/v1/click`: one click in, one redirect out (DESIGN §3); to a background request, which
/// can't follow one, 204 or JSON. What every answer carries (Cors) is added by the server.
/// Answers when the
/// click is as durable as configured, or at the deadline, whichever is first: no person
/// waits for a cluster. A
/// click whose ad must be asked for waits for that first, it alone and no longer
/// than catalog.timeout_ms.
/// Thread: any.
class ClickEndpoint {
 public:
  struct Options {
    Durability durability = Durability::synced;
    int64_t redirect_deadline_ms = 50;
    RateLimit* rate_limit = nullptr;  ///< borrowed; null: none
  };
  ClickEndpoint(Intake& intake, const NodeClock& clock, Options options, Metrics& metrics);
  void handle(http::RequestPtr request, http::Responder respond);
  /// Answers those whose deadline has passed. Call every few milliseconds.
  void sweep_deadlines();
  uint64_t answered_unsynced() const { return answered_unsynced_.value(); }
  uint64_t answered_unreplicated() const { return answered_unreplicated_.value(); }
  uint64_t dropped() const { return dropped_.value(); }
  /// For who takes clicks without HTTP: they are dropped in the same count.
  Intake& intake() { return intake_; }
  Counter& dropped_counter() { return dropped_; }
  Durability durability() const { return options_.durability; }

 private:
  class Answer;
  void take(const http::Request& request, const click::ParsedClick& click,
            const Intake::Target& target, http::Responder respond);
  std::optional<http::Response> too_many(const http::Request& request);
  void ask_and_take(http::RequestPtr request, click::ParsedClick&& click, http::Responder respond);
  void await(const std::shared_ptr<Answer>& answer);
  http::Response nowhere_to_go(const std::string& ad_id, const Intake::Target& target) const;

  Intake& intake_;
  const NodeClock& clock_;
  const Options options_;
  Counter& answered_unsynced_;
  Counter& answered_unreplicated_;
  Counter& dropped_;
  Counter& rate_limited_;
  Deadlines<Answer> deadlines_;
};

}  // namespace clickmill::collector
