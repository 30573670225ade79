#include "freshness.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

namespace clickmill::bench {
namespace {

using Steady = std::chrono::steady_clock;

constexpr auto kBetweenProbes = std::chrono::milliseconds(100);
constexpr auto kBetweenQuestions = std::chrono::milliseconds(1);
constexpr auto kLongest = std::chrono::seconds(60);

int64_t now_ms() {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count();
}

}  // namespace

FreshnessProbe::FreshnessProbe(const Options& options, std::string run)
    : collector_(options.collector), api_(options.api), ad_id_("bench-" + run + "-freshness") {}

FreshnessProbe::~FreshnessProbe() { stop(); }

Status FreshnessProbe::start() {
  const std::string line =
      fmt::format(R"({{"ad_id":"{}","advertiser_id":"bench-freshness","ad_format":"banner",)"
                  R"("redirect_url":"https://shop.example.com/"}})"
                  "\n",
                  ad_id_);
  const auto reply = TRY(api_.request("POST", "/v1/ads", line));
  if (reply.status != 200) {
    return Error(Errc::io, fmt::format("POST /v1/ads: {} {:.200}", reply.status, reply.body));
  }
  begin_ms_ = now_ms();
  thread_ = std::thread([this] { run(); });
  return {};
}

FreshnessProbe::Report FreshnessProbe::stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
  return std::move(report_);
}

void FreshnessProbe::run() {
  for (uint64_t number = 1; !stopping_; ++number) {
    if (auto done = probe(number); !done) {
      report_.failure = done.error().text();
      return;
    }
    std::this_thread::sleep_for(kBetweenProbes);
  }
}

/// Sends the number-th click and waits until the total says so.
Status FreshnessProbe::probe(uint64_t number) {
  const std::string body = fmt::format(R"({{"click_id":"f{}","ad_id":"{}","timestamp_ms":{}}})",
                                       number, ad_id_, now_ms());
  const auto answer = TRY(collector_.request("POST", "/v1/click", body));
  const auto answered = Steady::now();
  if (answer.status != 302) {
    return Error(Errc::io, fmt::format("POST /v1/click: {} {:.200}", answer.status, answer.body));
  }
  for (;;) {
    const auto reply =
        TRY(api_.request("GET",
                         fmt::format("/v1/metrics/clicks?ad_id={}&granularity=total&from={}&to={}",
                                     ad_id_, begin_ms_, now_ms() + 60'000),
                         ""));
    const auto elapsed = Steady::now() - answered;
    // Any other answer asks for patience (429, 503).
    uint64_t total = 0;
    if (reply.status == 200) total = TRY(total_clicks(reply.body));
    if (total >= number) {
      const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count();
      report_.visible_ns.add(static_cast<uint64_t>(ns));
      return {};
    }
    if (elapsed > kLongest) {
      return Error(Errc::io, fmt::format("click {} was not seen within a minute", number));
    }
    std::this_thread::sleep_for(kBetweenQuestions);
  }
}

}  // namespace clickmill::bench
