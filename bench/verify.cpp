#include "verify.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>

namespace clickmill::bench {
namespace {

constexpr uint32_t kAdsInOneBody = 2'000;
constexpr double kSettleSeconds = 60;
constexpr size_t kDifferencesShown = 20;

struct Expected {
  uint64_t answered = 0;
  uint64_t open = 0;
};

std::vector<Expected> expected_by_ad(const ClickSource& source, const Ledger& ledger,
                                     uint32_t ads) {
  std::vector<Expected> expected(ads);
  for (uint64_t number = 0; number < ledger.size(); ++number) {
    if (!ledger.was_sent(number)) continue;
    Expected& ad = expected[source.ad_of(number)];
    ++(ledger.was_answered(number) ? ad.answered : ad.open);
  }
  return expected;
}

Result<uint64_t> ask(ApiClient& api, const std::string& target) {
  auto reply = TRY(api.request("GET", target, ""));
  if (reply.status != 200) {
    return Error(Errc::io, fmt::format("GET {}: {} {:.200}", target, reply.status, reply.body));
  }
  return total_clicks(reply.body);
}

/// Seconds until the advertiser's clicks reached `answered`, or the deadline.
Result<double> settle(ApiClient& api, const ClickSource& source, uint64_t answered,
                      const std::string& range) {
  using Clock = std::chrono::steady_clock;
  auto begin = Clock::now();
  std::string target =
      fmt::format("/v1/metrics/top?n=1&advertiser_id={}&{}", source.advertiser_id(), range);
  for (;;) {
    uint64_t counted = TRY(ask(api, target));
    double elapsed = std::chrono::duration<double>(Clock::now() - begin).count();
    if (counted >= answered || elapsed > kSettleSeconds) return elapsed;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace

Status upload_ads(ApiClient& api, const ClickSource& source, uint32_t ads) {
  for (uint32_t begin = 0; begin < ads; begin += kAdsInOneBody) {
    std::string body;
    uint32_t end = std::min(ads, begin + kAdsInOneBody);
    for (uint32_t ad = begin; ad < end; ++ad) body += source.ad_line(ad);
    auto reply = TRY(api.request("POST", "/v1/ads", body));
    std::string all = fmt::format("\"accepted\":{},", end - begin);
    if (reply.status != 200 || reply.body.find(all) == std::string::npos) {
      return Error(Errc::io, fmt::format("POST /v1/ads: {} {:.200}", reply.status, reply.body));
    }
  }
  return {};
}

Result<Verdict> verify(ApiClient& api, const ClickSource& source, const Ledger& ledger,
                       uint32_t ads, int64_t from_ms, int64_t to_ms) {
  std::vector<Expected> expected = expected_by_ad(source, ledger, ads);
  Verdict verdict;
  for (const Expected& ad : expected) verdict.answered += ad.answered;
  std::string range = fmt::format("from={}&to={}", from_ms, to_ms);
  verdict.settled_s = TRY(settle(api, source, verdict.answered, range));
  for (uint32_t ad = 0; ad < ads; ++ad) {
    const Expected& want = expected[ad];
    if (want.answered + want.open == 0) continue;
    ++verdict.ads;
    verdict.open += want.open;
    uint64_t counted = TRY(ask(api, fmt::format("/v1/metrics/clicks?ad_id={}&granularity=total&{}",
                                                source.ad_id(ad), range)));
    verdict.counted += counted;
    if (counted >= want.answered && counted <= want.answered + want.open) continue;
    ++verdict.ads_that_differ;
    if (verdict.differences.size() < kDifferencesShown) {
      verdict.differences.push_back(fmt::format("{}: {} counted, {} answered, {} without an answer",
                                                source.ad_id(ad), counted, want.answered,
                                                want.open));
    }
  }
  return verdict;
}

}  // namespace clickmill::bench
