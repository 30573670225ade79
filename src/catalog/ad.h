#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace clickmill::catalog {

struct Ad {
  std::string ad_id;
  std::string advertiser_id;  ///< 1–64 of [A-Za-z0-9._:-]
  std::string ad_format;      ///< [a-z0-9_-]{1,32}
  std::string redirect_url;   ///< http or https, ≤ 2,048 bytes, no control characters or spaces
  friend bool operator==(const Ad&, const Ad&) = default;
};

/// Field to blame and why.
struct AdError {
  std::string field;
  std::string detail;
};
/// Reads one ad from a JSON object. `path_ad_id`: given in the URL; the body
/// may leave ad_id out, and must not contradict it.
std::optional<AdError> parse_ad(std::string_view json, std::string_view path_ad_id, Ad& out);
std::string ad_to_json(const Ad& ad);
/// The rule that an ad breaks, if any. put and put_all refuse such an ad (Errc::invalid).
std::optional<AdError> check_ad(const Ad& ad);

}  // namespace clickmill::catalog
