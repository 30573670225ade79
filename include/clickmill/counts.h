#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace clickmill {

// Times are ms since 1970, ranges [from, to).

enum class Granularity : std::uint8_t { minute, hour, day, total };
enum class Breakdown : std::uint8_t { none, device_type, country };
/// Clicks of everybody, of people alone, or of machines alone.
enum class Automated : std::uint8_t { include, exclude, only };

/// Whose clicks are asked for: one of ad_id and advertiser_id. Devices and countries are
/// counted apart, so breakdown and filters may name one of the two.
struct CountsQuery {
  std::string ad_id;
  std::string advertiser_id;  ///< "*": of all
  std::int64_t from_ms = 0;   ///< widened to whole buckets, as is to_ms
  std::int64_t to_ms = 0;
  Granularity granularity = Granularity::total;
  std::string timezone = "UTC";  ///< an IANA name; cuts hours and days
  Breakdown breakdown = Breakdown::none;
  std::string device_type;  ///< only these; empty: all
  std::string country;
  Automated automated = Automated::include;
  bool empty_buckets = true;  ///< false: they are left out
};

struct Bucket {
  std::int64_t start_ms = 0;
  std::uint64_t clicks = 0;
  /// An estimate (standard error 1.6 %); nobody knows it with a filter by device or country.
  std::optional<std::uint64_t> unique_users;
  std::uint64_t automated_clicks = 0;  ///< of machines, whether `clicks` takes them in or not
  bool complete = false;               ///< log time has passed its end and the grace
  std::map<std::string, std::uint64_t> breakdown;  ///< by device or country
};

struct Counts {
  std::string advertiser_id;
  std::int64_t from_ms = 0;  ///< as widened
  std::int64_t to_ms = 0;
  std::vector<Bucket> series;  ///< for Granularity::total one bucket
  /// Of the whole range: its visitors are those of the union, not a sum.
  Bucket total;
  std::int64_t as_of_ms = 0;  ///< log time: what came before is counted
};

struct TopQuery {
  std::size_t n = 10;  ///< at most 1,000
  std::int64_t from_ms = 0;
  std::int64_t to_ms = 0;
  std::string advertiser_id;  ///< of one; empty: of all
  std::string device_type;
  std::string country;
  Automated automated = Automated::include;
};

struct Top {
  struct Item {
    std::string ad_id;
    std::string advertiser_id;
    std::uint64_t clicks = 0;
    std::uint64_t automated_clicks = 0;  ///< see Bucket
  };
  std::vector<Item> ads;           ///< by clicks, descending
  std::uint64_t total_clicks = 0;  ///< of all ads
  std::uint64_t total_automated_clicks = 0;
  std::int64_t as_of_ms = 0;
};

}  // namespace clickmill
