#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/node_clock.h"
#include "collector/deadlines.h"
#include "collector/durability.h"
#include "collector/intake.h"
#include "http/message.h"

namespace clickmill::collector {

/// `POST /v1/clicks`: NDJSON from a server, one click a line (DESIGN §7).
/// Answers 202 once every accepted line is as durable as configured; when the
/// journal (or the logs) can't take them all, or not within ten seconds, 503: the sender sends
/// the whole body again, and dedup drops what had been taken. Lines whose ads must
/// be asked for are put off until all of those have been answered,
/// catalog.timeout_ms at the latest. A body that is larger than what the journal may hold
/// of bulk goes on as that is written, line by line. A large body is cut at line ends into
/// parts, which are looked at side by side: which of two lines with one click_id counts is
/// then as open as for two uploads.
/// Thread: handle a task pool's (a body takes tens of milliseconds); sweep any.
class BulkEndpoint {
 public:
  /// Runs a task on the pool; false when it is full.
  using InPool = std::function<bool(std::function<void()>)>;
  BulkEndpoint(Intake& intake, NodeClock& clock, Durability durability, InPool in_pool,
               size_t parts_most = 1)
      : intake_(intake),
        clock_(clock),
        durability_(durability),
        in_pool_(std::move(in_pool)),
        parts_most_(parts_most) {}
  void handle(http::RequestPtr request, bool backfill, http::Responder respond);
  /// Refuses those that have waited too long, goes on with those that found no room. Call often.
  void sweep_deadlines();

 private:
  class Answer;
  struct Body;
  struct Part;
  enum class Fate : uint8_t { looked_at, no_room };
  static std::vector<std::shared_ptr<Part>> cut(const std::shared_ptr<Body>& body,
                                                std::string_view text, size_t parts_most);
  void go_on(const std::shared_ptr<Part>& part);
  Fate take_line(Part& part, size_t number, std::string_view line);
  Fate spool(Part& part, const click::ParsedClick& click, const Intake::Target& target);
  std::optional<click::FieldError> parse_line(Part& part, std::string_view line,
                                              click::ParsedClick& click);
  std::optional<Intake::Target> target_of(Part& part, size_t number, std::string_view line,
                                          const std::string& ad_id);
  void ask(const std::shared_ptr<Part>& part);
  void wait_for_room(const std::shared_ptr<Part>& part);
  void resume_some();

  Intake& intake_;
  NodeClock& clock_;
  const Durability durability_;
  const InPool in_pool_;
  const size_t parts_most_;
  Deadlines<Answer> deadlines_;
  std::mutex mutex_;  // guards the queue, which pool threads fill and one sweeps
  std::deque<std::shared_ptr<Part>> waiting_for_room_;
};

}  // namespace clickmill::collector
