#include "engine/early_requests.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "api/context.h"

namespace clickmill::engine {
namespace {

using Steady = std::chrono::steady_clock;
// About what clients and balancers wait before they give up.
constexpr auto kPatience = std::chrono::seconds(5);
constexpr size_t kWaitingMost = 1024;

http::Response not_yet() {
  return api::problem_of(Error(Errc::busy, "counts are being opened after a start"));
}

}  // namespace

bool asks_partitions(std::string_view path) {
  constexpr std::string_view kOthers[] = {"/v1/click", "/v1/click.js", "/v1/clicks", "/v1/ads",
                                          "/v1/whoami"};
  return path.starts_with("/v1/") && !path.starts_with("/v1/ads/") &&
         std::find(std::begin(kOthers), std::end(kOthers), path) == std::end(kOthers);
}

void EarlyRequests::take(http::RequestPtr request, http::Responder respond) {
  if (open_) return handle_(std::move(request), std::move(respond));
  {
    const std::lock_guard lock(mutex_);
    if (!open_ && waiting_.size() < kWaitingMost) {
      waiting_.push_back({std::move(request), std::move(respond), Steady::now() + kPatience});
      return;
    }
  }
  if (!open_) return respond(not_yet());
  // It was opened in between, and nobody else would come for this one.
  handle_(std::move(request), std::move(respond));
}

void EarlyRequests::open() {
  std::deque<Waiting> waiting;
  {
    const std::lock_guard lock(mutex_);
    open_ = true;
    waiting.swap(waiting_);
  }
  // Without the lock: a handler may answer here and now, and its client ask again.
  for (Waiting& each : waiting) handle_(std::move(each.request), std::move(each.respond));
}

void EarlyRequests::refuse(bool all) {
  if (open_) return;
  std::deque<Waiting> refused;
  {
    const std::lock_guard lock(mutex_);
    const auto now = Steady::now();
    while (!waiting_.empty() && (all || waiting_.front().until <= now)) {
      refused.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
  }
  for (Waiting& each : refused) each.respond(not_yet());
}

}  // namespace clickmill::engine
