#include "collector/bulk_endpoint.h"

#include <fmt/format.h>

#include <atomic>
#include <map>
#include <utility>
#include <vector>

#include "base/text.h"
#include "http/content_encoding.h"

namespace clickmill::collector {
namespace {

constexpr size_t kRejectedListed = 1000;
constexpr int64_t kPatienceMs = 10'000;
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
  void written() override {
    if (durability_ == Durability::written) done_one();
  }
  void durable() override {
    if (durability_ == Durability::synced) done_one();
  }
  void failed() override { refuse(); }
  bool refused() const { return answered_; }
  /// Every line was looked at: the answer may go out. It holds one place itself.
  void all_taken(std::string body) {
    body_ = std::move(body);
    done_one();
  }
  /// What was taken stays taken; the sender, who can't know, sends it all again.
  void refuse() {
    if (answered_.exchange(true)) return;
    auto response =
        http::problem(503, "the journal can't take these clicks now; send them again later");
    response.headers.emplace_back("Retry-After", "1");
    respond_(std::move(response));
  }
  void reject(size_t line, click::FieldError error) {
    ++rejected_count_;
    rejected_.emplace(line, std::move(error));
    if (rejected_.size() > kRejectedListed) rejected_.erase(std::prev(rejected_.end()));
  }
  std::string report(size_t accepted) const {
    const std::string why = accepted == 0 ? ",\"detail\":" + json_quoted(why_none()) : "";
    std::string list;
    for (const auto& [line, error] : rejected_) {
      list += fmt::format("{}{{\"line\":{},\"field\":{},\"detail\":{}}}", list.empty() ? "" : ",",
                          line, json_quoted(error.field), json_quoted(error.detail));
    }
    return fmt::format("{{\"accepted\":{},\"rejected_count\":{},\"rejected\":[{}]{}}}", accepted,
                       rejected_count_, list, why);
  }

 private:
  /// For a sender that looks at the first lines of an answer only.
  std::string why_none() const {
    if (rejected_count_ == 0) return "the body holds no line; each click is a line of JSON";
    const auto& [line, error] = *rejected_.begin();
    return fmt::format("none of {} lines was accepted; the first, line {}: {}{}{}", rejected_count_,
                       line, error.field, error.field.empty() ? "" : ": ", error.detail);
  }
  void done_one() {
    if (waiting_.fetch_sub(1) != 1 || answered_.exchange(true)) return;
    respond_(http::json_response(std::move(body_), 202));
  }

  const Durability durability_;
  http::Responder respond_;
  std::atomic<size_t> waiting_{1};
  std::atomic<bool> answered_{false};
  std::string body_;
  std::map<size_t, click::FieldError> rejected_;  ///< by line: the first so many
  size_t rejected_count_ = 0;
};

/// One body on its way. Its lines are looked at by one thread at a time.
struct BulkEndpoint::Body {
  http::RequestPtr request;
  std::string decoded;  ///< of a compressed request
  bool backfill = false;
  std::shared_ptr<Answer> answer;
  size_t accepted = 0;
  std::vector<std::pair<size_t, std::string_view>> put_off;  ///< number and line
  /// Ads asked for. Each is answered into a place of its own; the last one goes on.
  std::map<std::string, Intake::Target, std::less<>> asked;
  bool all_answered = false;
  std::atomic<size_t> unanswered{0};
};

std::optional<click::FieldError> BulkEndpoint::parse_line(std::string_view line, bool backfill,
                                                          click::ParsedClick& click) {
  if (auto error = click::parse_json(line, true, click)) return error;
  if (auto error = click::check_sent_by_server(click)) return error;
  if (backfill && *click.timestamp_ms > intake_.clock().now().value()) {
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
    return intake_.untold_target();
  body.asked.try_emplace(ad_id);
  body.put_off.emplace_back(number, line);
  return std::nullopt;
}

void BulkEndpoint::take_line(Body& body, size_t number, std::string_view line) {
  click::ParsedClick click;
  if (auto error = parse_line(line, body.backfill, click))
    return body.answer->reject(number, *std::move(error));
  const auto target = target_of(body, number, line, click.ad_id);
  if (!target) return;
  if (target->url.empty()) {
    const char* const why =
        target->not_told ? "the configuration service does not say whether there is such an ad; "
                           "send this line again later: "
                         : "no such ad: ";
    return body.answer->reject(number, {"ad_id", why + click.ad_id});
  }
  ++body.accepted;
  body.answer->expect_one();
  const uint8_t flags = body.backfill ? click::kBackfill : 0;
  if (!intake_.spool(click, {}, *target, flags, log::Lane::bulk, body.answer))
    body.answer->failed();
}

void BulkEndpoint::handle(http::RequestPtr request, bool backfill, http::Responder respond) {
  auto body = std::make_shared<Body>();
  std::string_view rest;
  if (auto refused = http::decode_body(*request, body->decoded, rest))
    return respond(*std::move(refused));
  body->answer = std::make_shared<Answer>(intake_.options().durability, std::move(respond));
  body->backfill = backfill;
  body->request = std::move(request);
  // Once one was refused the sender has to send them all again anyway.
  for (size_t number = 1; !rest.empty() && !body->answer->refused(); ++number) {
    const auto end = rest.find('\n');
    const auto line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (!blank(line)) take_line(*body, number, line);
  }
  deadlines_.add(intake_.clock().system().monotonic_ns() + kPatienceMs * 1'000'000, body->answer);
  if (!body->put_off.empty()) return ask(body);
  body->answer->all_taken(body->answer->report(body->accepted));
}

void BulkEndpoint::ask(const std::shared_ptr<Body>& body) {
  body->unanswered = body->asked.size();
  for (auto& [ad_id, place] : body->asked) {
    intake_.ask_target(ad_id, [this, body, &place = place](const Intake::Target& target) {
      place = target;
      if (body->unanswered.fetch_sub(1) != 1) return;
      if (!in_pool_([this, body] { take_put_off(*body); })) body->answer->refuse();
    });
  }
}

void BulkEndpoint::take_put_off(Body& body) {
  body.all_answered = true;
  for (const auto& [number, line] : std::exchange(body.put_off, {})) take_line(body, number, line);
  body.answer->all_taken(body.answer->report(body.accepted));
}

void BulkEndpoint::sweep_deadlines() {
  for (const auto& answer : deadlines_.take_due(intake_.clock().system().monotonic_ns()))
    answer->refuse();
}

}  // namespace clickmill::collector
