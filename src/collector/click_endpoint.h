#pragma once

#include <memory>

#include "collector/deadlines.h"
#include "collector/intake.h"
#include "http/message.h"

namespace clickmill::collector {

/// `/v1/click`: one click in, one redirect out (DESIGN §3); to a background request, which
/// can't follow one, 204 or JSON. What every answer carries (Cors) is added by the server.
/// Answers when the
/// click is as durable as configured, or at the deadline, whichever is first. A
/// click whose ad must be asked for waits for that first, it alone and no longer
/// than catalog.timeout_ms.
/// Thread: any.
class ClickEndpoint {
 public:
  explicit ClickEndpoint(Intake& intake) : intake_(intake) {}
  void handle(http::RequestPtr request, http::Responder respond);
  /// Answers those whose deadline has passed. Call every few milliseconds.
  void sweep_deadlines();

 private:
  class Answer;
  void take(const http::Request& request, const click::ParsedClick& click,
            const Intake::Target& target, http::Responder respond);
  void ask_and_take(http::RequestPtr request, click::ParsedClick&& click, http::Responder respond);
  http::Response nowhere_to_go(const std::string& ad_id, const Intake::Target& target) const;

  Intake& intake_;
  Deadlines<Answer> deadlines_;
};

}  // namespace clickmill::collector
