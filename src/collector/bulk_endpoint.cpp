#include "collector/bulk_endpoint.h"

#include <fmt/format.h>

#include <atomic>
#include <vector>

namespace clickmill::collector {
namespace {

constexpr size_t kRejectedListed = 1000;
constexpr int64_t kPatienceMs = 10'000;

bool blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

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
    auto response = http::problem(503, "the journal can't take these clicks now; send them again later");
    response.headers.emplace_back("Retry-After", "1");
    respond_(std::move(response));
  }
  void reject(size_t line, const click::FieldError& error) {
    ++rejected_count_;
    if (rejected_count_ > kRejectedListed) return;
    rejected_ += fmt::format("{}{{\"line\":{},\"field\":{},\"detail\":{}}}", rejected_.empty() ? "" : ",",
                             line, http::json_quoted(error.field), http::json_quoted(error.detail));
  }
  std::string report(size_t accepted) const {
    return fmt::format("{{\"accepted\":{},\"rejected_count\":{},\"rejected\":[{}]}}", accepted,
                       rejected_count_, rejected_);
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
  std::string rejected_;
  size_t rejected_count_ = 0;
};

std::optional<click::FieldError> BulkEndpoint::take_line(std::string_view line, bool backfill,
                                                         const Intake::Connection& connection,
                                                         const std::shared_ptr<Answer>& answer) {
  click::ParsedClick click;
  if (auto error = click::parse_json(line, true, click)) return error;
  if (auto error = click::check_required(click)) return error;
  if (backfill && *click.timestamp_ms > intake_.clock().now().value()) {
    return click::FieldError{"timestamp_ms", fmt::format("{} is in the future", *click.timestamp_ms)};
  }
  const auto target = intake_.target_of(click.ad_id);
  if (!target) return click::FieldError{"ad_id", "no such ad: " + click.ad_id};
  answer->expect_one();
  const uint8_t flags = backfill ? click::kBackfill : 0;
  if (!intake_.spool(click, connection, *target, flags, log::Lane::bulk, answer)) answer->failed();
  return std::nullopt;
}

void BulkEndpoint::handle(http::RequestPtr request, bool backfill, http::Responder respond) {
  auto answer = std::make_shared<Answer>(intake_.options().durability, std::move(respond));
  auto connection = intake_.connection_of(*request);
  // The connection is a server's, not a visitor's: its address and agent say nothing.
  connection.ip.clear();
  connection.user_agent = {};
  connection.referrer = {};
  std::string_view rest = request->body;
  size_t number = 0;
  size_t accepted = 0;
  // Once one was refused the sender has to send them all again anyway.
  while (!rest.empty() && !answer->refused()) {
    ++number;
    const auto end = rest.find('\n');
    const auto line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (blank(line)) continue;
    if (const auto error = take_line(line, backfill, connection, answer)) {
      answer->reject(number, *error);
    } else {
      ++accepted;
    }
  }
  answer->all_taken(answer->report(accepted));
  const int64_t deadline = intake_.clock().system().monotonic_ns() + kPatienceMs * 1'000'000;
  std::lock_guard lock(mutex_);
  deadlines_.emplace_back(deadline, answer);
}

void BulkEndpoint::sweep_deadlines() {
  const int64_t now = intake_.clock().system().monotonic_ns();
  std::vector<std::shared_ptr<Answer>> due;
  {
    std::lock_guard lock(mutex_);
    while (!deadlines_.empty() && (deadlines_.front().first <= now || deadlines_.front().second.expired())) {
      if (auto answer = deadlines_.front().second.lock()) due.push_back(std::move(answer));
      deadlines_.pop_front();
    }
  }
  for (const auto& answer : due) answer->refuse();
}

}  // namespace clickmill::collector
