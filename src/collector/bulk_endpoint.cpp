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
/// Less is not worth a thread of its own.
constexpr size_t kPartBytesLeast = 512 << 10;

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

/// One upload, of which the last part to end tells all.
struct BulkEndpoint::Body {
  void end_part(LineReport&& part) {
    std::string told;
    {
      const std::lock_guard lock(mutex);
      report.add(std::move(part));
      if (--parts_left > 0) return;
      told = report.to_json_with_reason(kRule);
    }
    answer->all_taken(std::move(told));
  }

  http::RequestPtr request;
  std::string decoded;  ///< of a compressed request
  bool backfill = false;
  std::shared_ptr<Answer> answer;
  std::mutex mutex;  // guards what the parts tell at their end
  LineReport report;
  size_t parts_left = 0;
};

/// A stretch of a body's lines. They are looked at by one thread at a time.
struct BulkEndpoint::Part {
  using Line = std::pair<size_t, std::string_view>;  ///< number and text

  std::shared_ptr<Body> body;
  LineReport report;
  size_t asked_most = kAskedMost;
  int64_t passed_ms = 0;  ///< node time when it was looked at last
  /// Ads asked for. Each is answered into a place of its own; the last one goes on.
  std::map<std::string, Intake::Target, std::less<>> asked;
  bool all_answered = false;
  std::atomic<size_t> unanswered{0};

  /// The next line to look at, as often as asked until done_with_line(): those of the part,
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

std::vector<std::shared_ptr<BulkEndpoint::Part>> BulkEndpoint::cut(
    const std::shared_ptr<Body>& body, std::string_view text, size_t parts_most) {
  const size_t count = std::clamp<size_t>(text.size() / kPartBytesLeast, 1, parts_most);
  std::vector<std::shared_ptr<Part>> parts;
  size_t number = 1;
  for (size_t left = count; left > 0; --left) {
    const size_t end = left == 1 ? std::string_view::npos : text.find('\n', text.size() / left);
    const std::string_view stretch = text.substr(0, std::min(end, text.size() - 1) + 1);
    auto part = std::make_shared<Part>();
    part->body = body;
    part->asked_most = kAskedMost / count;
    part->rest = stretch;
    part->number = number;
    text.remove_prefix(stretch.size());
    if (left > 1) number += static_cast<size_t>(std::count(stretch.begin(), stretch.end(), '\n'));
    parts.push_back(std::move(part));
    if (text.empty()) break;
  }
  body->parts_left = parts.size();
  return parts;
}

std::optional<click::FieldError> BulkEndpoint::parse_line(Part& part, std::string_view line,
                                                          click::ParsedClick& click) {
  if (auto error = click::parse_json(line, true, click)) return error;
  if (auto error = click::check_sent_by_server(click)) return error;
  if (!part.body->backfill) return std::nullopt;
  // What isn't ahead of a time that has passed needs no look at the clock.
  if (*click.timestamp_ms > part.passed_ms) part.passed_ms = clock_.now().value();
  if (*click.timestamp_ms <= part.passed_ms) return std::nullopt;
  return click::FieldError{"timestamp_ms", fmt::format("{} is in the future", *click.timestamp_ms)};
}

/// Where the line's ad leads; empty when the line is put off until that is known.
std::optional<Intake::Target> BulkEndpoint::target_of(Part& part, size_t number,
                                                      std::string_view line,
                                                      const std::string& ad_id) {
  if (part.all_answered) return part.asked.find(ad_id)->second;
  if (auto target = intake_.known_target(ad_id)) return target;
  if (part.asked.size() >= part.asked_most && part.asked.find(ad_id) == part.asked.end())
    return intake_.pending_target();
  part.asked.try_emplace(ad_id);
  part.put_off.emplace_back(number, line);
  return std::nullopt;
}

BulkEndpoint::Fate BulkEndpoint::take_line(Part& part, size_t number, std::string_view line) {
  click::ParsedClick click;
  if (auto error = parse_line(part, line, click)) {
    part.report.reject(number, std::move(error->field), std::move(error->detail));
    return Fate::looked_at;
  }
  const auto target = target_of(part, number, line, click.ad_id);
  if (!target) return Fate::looked_at;
  if (!target->url.empty()) return spool(part, click, *target);
  const char* const why =
      target->ad_pending ? "the configuration service does not say whether there is such an ad; "
                           "send this line again later: "
                         : "no such ad: ";
  part.report.reject(number, "ad_id", why + click.ad_id);
  return Fate::looked_at;
}

BulkEndpoint::Fate BulkEndpoint::spool(Part& part, const click::ParsedClick& click,
                                       const Intake::Target& target) {
  Body& body = *part.body;
  // Before it is spooled: the journal may tell of it before spool() returns.
  body.answer->expect_one();
  const uint8_t flags = body.backfill ? click::kBackfill : 0;
  const auto taken = intake_.spool(click, {}, target, flags, log::Lane::bulk, body.answer);
  if (taken) {
    part.report.accept();
    return Fate::looked_at;
  }
  body.answer->forget_one();
  if (taken.error().code() == Errc::busy && intake_.takes_bulk()) return Fate::no_room;
  body.answer->failed();
  return Fate::looked_at;
}

void BulkEndpoint::handle(http::RequestPtr request, bool backfill, http::Responder respond) {
  auto body = std::make_shared<Body>();
  std::string_view text;
  if (auto refused = http::decode_body(*request, body->decoded, text))
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
  const auto parts = cut(body, text, parts_most_);
  std::vector<std::shared_ptr<Part>> here{parts.front()};
  for (size_t i = 1; i < parts.size(); ++i) {
    if (!in_pool_([this, part = parts[i]] { go_on(part); })) here.push_back(parts[i]);
  }
  for (const auto& part : here) go_on(part);
}

void BulkEndpoint::go_on(const std::shared_ptr<Part>& part) {
  Body& body = *part->body;
  // Once one was refused the sender has to send them all again anyway.
  while (!body.answer->answered()) {
    const auto line = part->line();
    if (!line && !part->all_answered && !part->put_off.empty()) return ask(part);
    if (!line) return body.end_part(std::move(part->report));
    if (take_line(*part, line->first, line->second) == Fate::no_room) return wait_for_room(part);
    part->done_with_line();
  }
}

void BulkEndpoint::wait_for_room(const std::shared_ptr<Part>& part) {
  std::lock_guard lock(mutex_);
  waiting_for_room_.push_back(part);
}

void BulkEndpoint::resume_some() {
  std::deque<std::shared_ptr<Part>> resumed;
  {
    std::lock_guard lock(mutex_);
    while (!waiting_for_room_.empty() && resumed.size() < kResumedMost) {
      resumed.push_back(std::move(waiting_for_room_.front()));
      waiting_for_room_.pop_front();
    }
  }
  for (const auto& part : resumed) {
    if (!in_pool_([this, part] { go_on(part); })) part->body->answer->refuse();
  }
}

void BulkEndpoint::ask(const std::shared_ptr<Part>& part) {
  part->unanswered = part->asked.size();
  for (auto& [ad_id, place] : part->asked) {
    intake_.ask_target(ad_id, [this, part, &place = place](const Intake::Target& target) {
      place = target;
      if (part->unanswered.fetch_sub(1) != 1) return;
      part->all_answered = true;
      if (!in_pool_([this, part] { go_on(part); })) part->body->answer->refuse();
    });
  }
}

void BulkEndpoint::sweep_deadlines() {
  for (const auto& answer : deadlines_.take_due(clock_.system().monotonic_ns()))
    answer->refuse(true);
  resume_some();
}

}  // namespace clickmill::collector
