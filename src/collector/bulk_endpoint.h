#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <utility>

#include "collector/intake.h"
#include "http/message.h"

namespace clickmill::collector {

/// `POST /v1/clicks`: NDJSON from a server, one click a line (DESIGN §7).
/// Answers 202 once every accepted line is as durable as configured; when the
/// journal can't take them all, or not within ten seconds, 503: the sender sends
/// the whole body again, and dedup drops what had been taken.
/// Thread: handle a task pool's (a body takes tens of milliseconds); sweep any.
class BulkEndpoint {
 public:
  explicit BulkEndpoint(Intake& intake) : intake_(intake) {}
  void handle(http::RequestPtr request, bool backfill, http::Responder respond);
  /// Refuses those that have waited too long. Call often.
  void sweep_deadlines();

 private:
  class Answer;
  std::optional<click::FieldError> take_line(std::string_view line, bool backfill,
                                             const Intake::Connection& connection,
                                             const std::shared_ptr<Answer>& answer);
  Intake& intake_;
  // Guards the queue of answers by deadline; all have the same delay. Innermost.
  std::mutex mutex_;
  std::deque<std::pair<int64_t, std::weak_ptr<Answer>>> deadlines_;
};

}  // namespace clickmill::collector
