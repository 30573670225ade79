#include "collector/bulk_endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <utility>
#include <vector>

#include "base/ndjson.h"
#include "http/content_encoding.h"

namespace clickmill::collector {
namespace {

constexpr std::string_view kRule = "each click is a line of JSON";
constexpr int64_t kPatienceMs = 10'000;
/// Bodies that go on at a time once there is room: they would take it from each other.
constexpr size_t kResumedMost = 8;
/// So that one body leaves room for the questions of others.
constexpr size_t kAskedMost = 1024;

bool blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

}  // namespace

/// Gathers the fates of a body's clicks; the last one in answers.
class BulkEndpoint::Answer final : public ClickAnswer {
 public:
  Answer(Durability durability, http::Responder respond)
      : durability_(durability), respond_(std::move(respond)) {}

  void expect_one() {
    if (durability_ != Durability::memory) ++waiting_;
  }
  /// It was not taken after all, and is looked at once more.
  void forget_one() {
    if (durability_ != Durability::memory) --waiting_;
  }
  void written() override {
    if (durability_ == Durability::written) done_one();
  }
  void durable() override {
    if (durability_ == Durability::synced) done_one();
  }
  bool waits_for_commit() const override { return durability_ == Durability::replicated; }
  void committed() override { done_one(); }
  void failed() override { refuse(); }
  bool answered() const { return answered_; }
  /// Every line was looked at: the answer may go out. It holds one place itself.
  void all_taken(std::string body) {
    body_ = std::move(body);
    done_one();
  }
  /// What was taken stays taken; the sender, who can't know, sends it all again.
  void refuse(bool late = false) {
    if (answered_.exchange(true)) return;
    auto response = http::problem(
        503, late && waits_for_commit()
                 ? "these clicks are not in the logs of a majority of the nodes yet; send them "
                   "again later"
                 : "the journal can't take these clicks now; send them again later");
    response.headers.emplace_back("Retry-After", "1");
    respond_(std::move(response));
  }

 private:
  void done_one() {
    if (waiting_.fetch_sub(1) != 1 || answered_.exchange(true)) return;
    respond_(http::json_response(std::move(body_), 202));
  }

  const Durability durability_;
  http::Responder respond_;
  std::atomic<size_t> waiting_{1};
  std::atomic<bool> answered_{false};
  std::string body_;
};

/// One body on its way. Its lines are looked at by one thread at a time.
struct BulkEndpoint::Body {
  using Line = std::pair<size_t, std::string_view>;  ///< number and text

  http::RequestPtr request;
  std::string decoded;  ///< of a compressed request
  bool backfill = false;
  std::shared_ptr<Answer> answer;
  LineReport report;
  /// Ads asked for. Each is answered into a place of its own; the last one goes on.
  std::map<std::string, Intake::Target, std::less<>> asked;
  bool all_answered = false;
  std::atomic<size_t> unanswered{0};

  /// The next line to look at, as often as asked until done_with_line(): those of the body,
  /// then those that were put off, once the ads are known.
  std::optional<Line> line() {
    while (!rest.empty()) {
      const std::string_view text = rest.substr(0, rest.find('\n'));
      if (!blank(text)) return Line{number, text};
      done_with_line();
    }
    if (all_answered && next_put_off < put_off.size()) return put_off[next_put_off];
    return std::nullopt;
  }
  void done_with_line() {
    if (rest.empty()) {
      ++next_put_off;
      return;
    }
    rest.remove_prefix(std::min(rest.find('\n'), rest.size() - 1) + 1);
    ++number;
  }
  std::string_view rest;  ///< not looked at yet
  size_t number = 1;      ///< of its first line
  std::vector<Line> put_off;
  size_t next_put_off = 0;
};

std::optional<click::FieldError> BulkEndpoint::parse_line(std::string_view line, bool backfill,
                                                          click::ParsedClick& click) {
  if (auto error = click::parse_json(line, true, click)) return error;
  if (auto error = click::check_sent_by_server(click)) return error;
  if (backfill && *click.timestamp_ms > clock_.now().value()) {
    return click::FieldError{"timestamp_ms",
                             fmt::format("{} is in the future", *click.timestamp_ms)};
  }
  return std::nullopt;
}

/// Where the line's ad leads; empty when the line is put off until that is known.
std::optional<Intake::Target> BulkEndpoint::target_of(Body& body, size_t number,
                                                      std::string_view line,
                                                      const std::string& ad_id) {
  if (body.all_answered) return body.asked.find(ad_id)->second;
  if (auto target = intake_.known_target(ad_id)) return target;
  if (body.asked.size() >= kAskedMost && body.asked.find(ad_id) == body.asked.end())
    return intake_.pending_target();
  body.asked.try_emplace(ad_id);
  body.put_off.emplace_back(number, line);
  return std::nullopt;
}

BulkEndpoint::Fate BulkEndpoint::take_line(Body& body, size_t number, std::string_view line) {
  click::ParsedClick click;
  if (auto error = parse_line(line, body.backfill, click)) {
    body.report.reject(number, std::move(error->field), std::move(error->detail));
    return Fate::looked_at;
  }
  const auto target = target_of(body, number, line, click.ad_id);
  if (!target) return Fate::looked_at;
  if (!target->url.empty()) return spool(body, click, *target);
  const char* const why =
      target->ad_pending ? "the configuration service does not say whether there is such an ad; "
                           "send this line again later: "
                         : "no such ad: ";
  body.report.reject(number, "ad_id", why + click.ad_id);
  return Fate::looked_at;
}

BulkEndpoint::Fate BulkEndpoint::spool(Body& body, const click::ParsedClick& click,
                                       const Intake::Target& target) {
  // Before it is spooled: the journal may tell of it before spool() returns.
  body.answer->expect_one();
  const uint8_t flags = body.backfill ? click::kBackfill : 0;
  const auto taken = intake_.spool(click, {}, target, flags, log::Lane::bulk, body.answer);
  if (taken) {
    body.report.accept();
    return Fate::looked_at;
  }
  body.answer->forget_one();
  if (taken.error().code() == Errc::busy && intake_.takes_bulk()) return Fate::no_room;
  body.answer->failed();
  return Fate::looked_at;
}

void BulkEndpoint::handle(http::RequestPtr request, bool backfill, http::Responder respond) {
  auto body = std::make_shared<Body>();
  if (auto refused = http::decode_body(*request, body->decoded, body->rest))
    return respond(*std::move(refused));
  body->answer = std::make_shared<Answer>(durability_, std::move(respond));
  body->backfill = backfill;
  body->request = std::move(request);
  const int64_t deadline = clock_.system().monotonic_ns() + kPatienceMs * 1'000'000;
  if (body->answer->waits_for_commit()) {
    deadlines_.keep(deadline, body->answer);
  } else {
    deadlines_.add(deadline, body->answer);
  }
  go_on(body);
}

void BulkEndpoint::go_on(const std::shared_ptr<Body>& body) {
  // Once one was refused the sender has to send them all again anyway.
  while (!body->answer->answered()) {
    const auto line = body->line();
    if (!line && !body->all_answered && !body->put_off.empty()) return ask(body);
    if (!line) return body->answer->all_taken(body->report.to_json_with_reason(kRule));
    if (take_line(*body, line->first, line->second) == Fate::no_room) return wait_for_room(body);
    body->done_with_line();
  }
}

void BulkEndpoint::wait_for_room(const std::shared_ptr<Body>& body) {
  std::lock_guard lock(mutex_);
  waiting_for_room_.push_back(body);
}

void BulkEndpoint::resume_some() {
  std::deque<std::shared_ptr<Body>> resumed;
  {
    std::lock_guard lock(mutex_);
    while (!waiting_for_room_.empty() && resumed.size() < kResumedMost) {
      resumed.push_back(std::move(waiting_for_room_.front()));
      waiting_for_room_.pop_front();
    }
  }
  for (const auto& body : resumed) {
    if (!in_pool_([this, body] { go_on(body); })) body->answer->refuse();
  }
}

void BulkEndpoint::ask(const std::shared_ptr<Body>& body) {
  body->unanswered = body->asked.size();
  for (auto& [ad_id, place] : body->asked) {
    intake_.ask_target(ad_id, [this, body, &place = place](const Intake::Target& target) {
      place = target;
      if (body->unanswered.fetch_sub(1) != 1) return;
      body->all_answered = true;
      if (!in_pool_([this, body] { go_on(body); })) body->answer->refuse();
    });
  }
}

void BulkEndpoint::sweep_deadlines() {
  for (const auto& answer : deadlines_.take_due(clock_.system().monotonic_ns()))
    answer->refuse(true);
  resume_some();
}

}  // namespace clickmill::collector
