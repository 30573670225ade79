#include "collector/click_endpoint.h"

#include <algorithm>
#include <atomic>

#include "base/query_params.h"

namespace clickmill::collector {
namespace {

bool contains_word(std::string_view value, std::string_view word) {
  const auto same = [](char a, char b) { return (a | 0x20) == b; };
  return std::search(value.begin(), value.end(), word.begin(), word.end(), same) != value.end();
}

/// A browser uses a prefetched redirect when the person clicks and never asks
/// again; after a 503 it does.
bool is_prefetch(const http::Request& request) {
  for (const auto name : {"Sec-Purpose", "Purpose", "X-Moz", "X-Purpose"}) {
    const auto value = request.header(name);
    if (contains_word(value, "prefetch") || contains_word(value, "prerender")) return true;
  }
  return false;
}

http::Response redirect_to(std::string_view url) {
  http::Response response;
  response.status = 302;
  response.headers.reserve(4);
  response.headers.emplace_back("Location", std::string(url));
  response.headers.emplace_back("Cache-Control", "no-store");
  response.headers.emplace_back("Referrer-Policy", "strict-origin-when-cross-origin");
  return response;
}

http::Response refused(const click::FieldError& error) {
  return http::problem(400, error.detail, error.field);
}

bool begins_with_brace(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{';
}

std::optional<click::FieldError> parse(const http::Request& request, click::ParsedClick& out) {
  if (request.method != http::Method::post)
    return click::parse_params(parse_query(request.query), out);
  std::optional<click::FieldError> error;
  // curl -d calls everything a form; one that begins with a brace is JSON.
  const bool form =
      contains_word(request.header("Content-Type"), "application/x-www-form-urlencoded");
  if (form && !begins_with_brace(request.body)) {
    error = click::parse_params(parse_query(request.body), out);
  } else {
    error = click::parse_json(request.body, false, out);
  }
  return error ? error : click::check_required(out);
}

}  // namespace

/// One click waiting for its record to be durable. Whoever comes first, the
/// journal or the deadline, answers.
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
  void durable() override { answer(); }
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

 private:
  const Durability durability_;
  std::atomic<bool> answered_{false};
  http::Response response_;
  http::Responder respond_;
  Counter& dropped_;
};

http::Response ClickEndpoint::with_cors(const http::Request& request,
                                        http::Response response) const {
  const auto& origins = intake_.options().cors_origins;
  const auto origin = request.header("Origin");
  if (std::find(origins.begin(), origins.end(), "*") != origins.end()) {
    response.headers.emplace_back("Access-Control-Allow-Origin", "*");
  } else if (!origins.empty()) {
    response.headers.emplace_back("Vary", "Origin");
    if (std::find(origins.begin(), origins.end(), origin) != origins.end()) {
      response.headers.emplace_back("Access-Control-Allow-Origin", std::string(origin));
    }
  }
  return response;
}

void ClickEndpoint::handle(http::RequestPtr request, http::Responder respond) {
  if (request->method == http::Method::options) {
    http::Response response;
    response.status = 204;
    response.headers = {{"Access-Control-Allow-Methods", "GET, POST, HEAD, OPTIONS"},
                        {"Access-Control-Allow-Headers", "Content-Type"},
                        {"Access-Control-Max-Age", "86400"}};
    return respond(with_cors(*request, std::move(response)));
  }
  if (is_prefetch(*request)) {
    auto response =
        http::problem(503, "prefetched clicks are not counted; ask again when the person clicks");
    response.headers.emplace_back("Cache-Control", "no-store");
    return respond(with_cors(*request, std::move(response)));
  }
  click::ParsedClick click;
  if (const auto error = parse(*request, click))
    return respond(with_cors(*request, refused(*error)));
  if (const auto target = intake_.known_target(click.ad_id))
    return take(*request, click, *target, std::move(respond));
  ask_and_take(std::move(request), std::move(click), std::move(respond));
}

void ClickEndpoint::ask_and_take(http::RequestPtr request, click::ParsedClick&& click,
                                 http::Responder respond) {
  struct Held {
    http::RequestPtr request;
    click::ParsedClick click;
    http::Responder respond;
  };
  auto held =
      std::make_shared<Held>(Held{std::move(request), std::move(click), std::move(respond)});
  intake_.ask_target(held->click.ad_id, [this, held](const Intake::Target& target) {
    take(*held->request, held->click, target, std::move(held->respond));
  });
}

http::Response ClickEndpoint::nowhere_to_go(const std::string& ad_id,
                                            const Intake::Target& target) const {
  if (!target.not_told) return http::problem(404, "no such ad: " + ad_id, "ad_id");
  auto response = http::problem(
      503, "the configuration service does not say where ad " + ad_id + " leads; try again");
  response.headers.emplace_back("Retry-After", "1");
  response.headers.emplace_back("Cache-Control", "no-store");
  return response;
}

void ClickEndpoint::take(const http::Request& request, const click::ParsedClick& click,
                         const Intake::Target& target, http::Responder respond) {
  if (target.url.empty()) return respond(with_cors(request, nowhere_to_go(click.ad_id, target)));
  auto response = with_cors(request, redirect_to(target.url));
  if (request.method == http::Method::head) return respond(std::move(response));
  const auto durability = intake_.options().durability;
  const auto connection = intake_.connection_of(request);
  auto answer = std::make_shared<Answer>(durability, std::move(response), std::move(respond),
                                         intake_.dropped());
  // A click that could not be spooled is counted as dropped; the person is redirected all the same.
  const bool spooled =
      intake_.spool(click, connection, target, 0, log::Lane::redirects, answer).has_value();
  if (!spooled) return answer->failed();
  if (durability == Durability::memory) {
    answer->answer();
    return;
  }
  const int64_t deadline =
      intake_.clock().system().monotonic_ns() + intake_.options().redirect_deadline_ms * 1'000'000;
  deadlines_.add(deadline, answer);
}

void ClickEndpoint::sweep_deadlines() {
  for (const auto& answer : deadlines_.take_due(intake_.clock().system().monotonic_ns())) {
    if (answer->answer()) intake_.answered_unsynced().add();
  }
}

}  // namespace clickmill::collector
