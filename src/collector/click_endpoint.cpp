#include "collector/click_endpoint.h"

#include <atomic>

#include "base/text.h"
#include "collector/browser.h"
#include "collector/click_request.h"
#include "collector/cors.h"

namespace clickmill::collector {
namespace {

/// The way to the advertiser, as the browser can take it.
http::Response answer_of(const http::Request& request, std::string_view url) {
  http::Response response;
  switch (following_of(request)) {
    case Following::navigation: response.status = 302; break;
    case Following::unseen: response.status = 204; break;
    case Following::script:
      response = http::json_response("{\"redirect_url\":" + json_quoted(url) + "}");
      break;
  }
  response.headers.reserve(6);
  if (response.status == 302) response.headers.emplace_back("Location", std::string(url));
  response.headers.emplace_back("Cache-Control", "no-store");
  response.headers.emplace_back("Referrer-Policy", "strict-origin-when-cross-origin");
  return response;
}

/// A browser uses a prefetched redirect when the person clicks and never asks again; after
/// a 409 it does. No 5xx: balancers take a node out for those.
http::Response prefetch_refused() {
  auto response =
      http::problem(409, "prefetched clicks are not counted; ask again when the person clicks");
  response.headers.emplace_back("Cache-Control", "no-store");
  return response;
}

}  // namespace

/// One click waiting for its record to be durable, or committed. Whoever comes first, the
/// journal, the log or the deadline, answers.
class ClickEndpoint::Answer final : public ClickAnswer {
 public:
  Answer(Durability durability, http::Response response, http::Responder respond, Counter& dropped)
      : durability_(durability),
        response_(std::move(response)),
        respond_(std::move(respond)),
        dropped_(dropped) {}
  void written() override {
    if (durability_ == Durability::written) answer();
  }
  void durable() override {
    synced_ = true;
    if (durability_ != Durability::replicated) answer();
  }
  bool waits_for_commit() const override { return durability_ == Durability::replicated; }
  void committed() override { answer(); }
  void failed() override {
    dropped_.add();
    answer();
  }
  /// True when this call was the one that answered.
  bool answer() {
    if (answered_.exchange(true)) return false;
    respond_(std::move(response_));
    return true;
  }
  bool answered() const { return answered_; }
  bool synced() const { return synced_; }

 private:
  const Durability durability_;
  std::atomic<bool> answered_{false};
  std::atomic<bool> synced_{false};
  http::Response response_;
  http::Responder respond_;
  Counter& dropped_;
};

ClickEndpoint::ClickEndpoint(Intake& intake, const NodeClock& clock, Options options,
                             Metrics& metrics)
    : intake_(intake),
      clock_(clock),
      options_(options),
      answered_unsynced_(
          metrics.counter("clickmill_collector_answered_unsynced_total",
                          "Clicks answered at the deadline, before they were synced.")),
      answered_unreplicated_(metrics.counter(
          "clickmill_collector_answered_unreplicated_total",
          "Clicks answered at the deadline, before they were committed, with durability "
          "replicated.")),
      dropped_(
          metrics.counter("clickmill_collector_dropped_total",
                          "Clicks redirected but not recorded: journal closed or buffer full.")),
      rate_limited_(metrics.counter("clickmill_collector_rate_limited_total",
                                    "Clicks refused for collector.rate_limit.")) {}

void ClickEndpoint::handle(http::RequestPtr request, http::Responder respond) {
  if (request->method == http::Method::options) return respond(Cors::preflight());
  if (auto refused = too_many(*request)) return respond(*std::move(refused));
  if (is_prefetch(*request)) return respond(prefetch_refused());
  click::ParsedClick click;
  if (auto refused = read_click(*request, click)) return respond(*std::move(refused));
  if (const auto target = intake_.known_target(click.ad_id))
    return take(*request, click, *target, std::move(respond));
  ask_and_take(std::move(request), std::move(click), std::move(respond));
}

std::optional<http::Response> ClickEndpoint::too_many(const http::Request& request) {
  if (options_.rate_limit == nullptr || !options_.rate_limit->is_on()) return std::nullopt;
  const int64_t wait_ns =
      options_.rate_limit->wait_ns(intake_.known_client(request), clock_.system().monotonic_ns());
  if (wait_ns == 0) return std::nullopt;
  rate_limited_.add();
  constexpr int64_t kSecondNs = 1'000'000'000;
  auto response = http::problem(429, "this client sends more clicks than it may");
  response.headers.emplace_back("Retry-After",
                                std::to_string((wait_ns + kSecondNs - 1) / kSecondNs));
  response.headers.emplace_back("Cache-Control", "no-store");
  return response;
}

void ClickEndpoint::ask_and_take(http::RequestPtr request, click::ParsedClick&& click,
                                 http::Responder respond) {
  struct Waiting {
    http::RequestPtr request;
    click::ParsedClick click;
    http::Responder respond;
  };
  auto held =
      std::make_shared<Waiting>(Waiting{std::move(request), std::move(click), std::move(respond)});
  intake_.ask_target(held->click.ad_id, [this, held](const Intake::Target& target) {
    take(*held->request, held->click, target, std::move(held->respond));
  });
}

http::Response ClickEndpoint::nowhere_to_go(const std::string& ad_id,
                                            const Intake::Target& target) const {
  if (!target.ad_pending) return http::problem(404, "no such ad: " + ad_id, "ad_id");
  auto response = http::problem(
      503, "the configuration service does not say where ad " + ad_id + " leads; try again");
  response.headers.emplace_back("Retry-After", "1");
  response.headers.emplace_back("Cache-Control", "no-store");
  return response;
}

void ClickEndpoint::take(const http::Request& request, const click::ParsedClick& click,
                         const Intake::Target& target, http::Responder respond) {
  if (target.url.empty()) return respond(nowhere_to_go(click.ad_id, target));
  auto response = answer_of(request, target.url);
  // Shown the way like everybody, but no visit.
  if (request.method == http::Method::head || is_preview(request))
    return respond(std::move(response));
  const auto connection = intake_.connection_of(request);
  auto answer = std::make_shared<Answer>(options_.durability, std::move(response),
                                         std::move(respond), dropped_);
  // A click that could not be spooled is counted as dropped; the person is redirected all the same.
  const bool spooled =
      intake_.spool(click, connection, target, 0, log::Lane::redirects, answer).has_value();
  if (!spooled) return answer->failed();
  if (options_.durability == Durability::memory) {
    answer->answer();
    return;
  }
  await(answer);
}

void ClickEndpoint::await(const std::shared_ptr<Answer>& answer) {
  const int64_t deadline =
      clock_.system().monotonic_ns() + options_.redirect_deadline_ms * 1'000'000;
  if (!answer->waits_for_commit()) return deadlines_.add(deadline, answer);
  deadlines_.keep(deadline, answer);
}

void ClickEndpoint::sweep_deadlines() {
  for (const auto& answer : deadlines_.take_due(clock_.system().monotonic_ns())) {
    if (!answer->answer()) continue;
    if (!answer->synced()) answered_unsynced_.add();
    if (answer->waits_for_commit()) answered_unreplicated_.add();
  }
}

}  // namespace clickmill::collector
