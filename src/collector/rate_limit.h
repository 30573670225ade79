#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

namespace clickmill::collector {

/// How many clicks a second one client may send: a bucket of `burst` clicks that fills at
/// `clicks_per_s` (the GCRA, ITU-T I.371). A client is an IPv4 address or an IPv6 /64,
/// which is what one household or machine has to itself.
///
/// The table is bounded (1 MiB): among clients that share a place the one that has been
/// quiet for the longest is forgotten, which can only let somebody through. Places follow
/// from a secret seed, so that nobody can aim at another's.
/// Thread: any. The mutexes guard parts of the table; each call takes one.
class RateLimit {
 public:
  struct Rule {
    uint32_t clicks_per_s = 0;  ///< 0: no limit
    uint32_t burst = 0;         ///< at least 1, unless there is no limit
    friend bool operator==(const Rule&, const Rule&) = default;
  };
  RateLimit(Rule rule, uint64_t seed);
  /// Holds for the clicks that come from now on.
  void set(Rule rule);
  bool is_on() const { return interval_ns_.load(std::memory_order_relaxed) != 0; }
  /// Takes one click of the client's; 0 when it may be served, else how long the client
  /// must wait for the next. What is no address is never limited.
  int64_t wait_ns(std::string_view ip, int64_t now_ns);

 private:
  /// Who stands at one place of the table, and until when its bucket is not full.
  struct Client {
    uint64_t key = 0;  ///< 0: nobody
    int64_t full_at_ns = 0;
  };
  static constexpr size_t kShards = 64;
  static constexpr size_t kPlaces = 128;  ///< of a shard
  static constexpr size_t kWays = 8;      ///< clients that share a place
  struct Shard {
    std::mutex mutex;
    std::array<std::array<Client, kWays>, kPlaces> places{};
  };

  const uint64_t seed_;
  std::atomic<int64_t> interval_ns_{0};   ///< between two clicks at the rate; 0: no limit
  std::atomic<int64_t> tolerance_ns_{0};  ///< by how much they may come before that
  std::vector<Shard> shards_;
};

}  // namespace clickmill::collector
