#include "collector/rate_limit.h"

#include <algorithm>

#include "base/checksum.h"
#include "base/ip_address.h"

namespace clickmill::collector {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr size_t kV6NetworkBytes = 8;

}  // namespace

RateLimit::RateLimit(Rule rule, uint64_t seed) : seed_(seed), shards_(kShards) { set(rule); }

void RateLimit::set(Rule rule) {
  const int64_t interval = rule.clicks_per_s == 0 ? 0 : kSecondNs / rule.clicks_per_s;
  tolerance_ns_ = interval * (int64_t{std::max(rule.burst, 1U)} - 1);
  interval_ns_ = interval;
}

int64_t RateLimit::wait_ns(std::string_view ip, int64_t now_ns) {
  const int64_t interval = interval_ns_;
  const auto address = interval == 0 ? std::nullopt : parse_ip_address(ip);
  if (!address) return 0;
  const size_t bytes = address->is_v4() ? address->bytes.size() : kV6NetworkBytes;
  const std::string_view who(reinterpret_cast<const char*>(address->bytes.data()), bytes);
  const uint64_t key = std::max<uint64_t>(xxh64_of(who, seed_), 1);
  Shard& shard = shards_[key % kShards];
  const std::lock_guard lock(shard.mutex);
  auto& place = shard.places[key / kShards % kPlaces];
  auto client = std::find_if(place.begin(), place.end(),
                             [key](const Client& each) { return each.key == key; });
  if (client == place.end()) {
    client = std::min_element(place.begin(), place.end(), [](const Client& a, const Client& b) {
      return a.full_at_ns < b.full_at_ns;
    });
    *client = {key, 0};
  }
  const int64_t full_at = std::max(client->full_at_ns, now_ns);
  const int64_t early = full_at - now_ns - tolerance_ns_;
  if (early > 0) return early;
  client->full_at_ns = full_at + interval;
  return 0;
}

}  // namespace clickmill::collector
