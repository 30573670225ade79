#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace clickmill::bench {

/// Realistic clicks, each a pure function of seed and number, so that a copy of
/// any click can be made without keeping it. A few ads get most clicks (Zipf,
/// exponent 1); visitors keep their browser, device and country.
/// As one JSON object with ip, agent and referrer a click has about 500 bytes;
/// agent and referrer travel as headers, as a browser sends them.
class ClickSource {
 public:
  /// `run` stands in every ad_id, so that runs against one node don't add up.
  ClickSource(uint64_t seed, uint32_t ads, std::string run, std::string host);

  /// Index of the ad that click `number` is on.
  uint32_t ad_of(uint64_t number) const;
  std::string ad_id(uint32_t ad) const;
  std::string advertiser_id() const { return "bench-" + run_; }
  /// One NDJSON line for POST /v1/ads.
  std::string ad_line(uint32_t ad) const;
  /// Puts the whole POST /v1/click request into `out` (cleared first).
  void write_request(uint64_t number, int64_t timestamp_ms, std::string& out);
  /// Appends the same click as the collector would record it. `without`: leaves one
  /// field out, to show what it costs; for a field that must be there, a constant.
  enum class Field : uint8_t {
    none,
    click_id,
    ad_id,
    timestamp_ms,
    device_type,
    country,
    user_id,
    ip,
    user_agent,
    referrer
  };
  void append_record(uint64_t number, int64_t received_ms, Field without, std::string& out);
  /// Appends one NDJSON line for POST /v1/clicks.
  void append_line(uint64_t number, int64_t timestamp_ms, std::string& out);

 private:
  uint64_t visitor_of(uint64_t number) const;
  void append_body(uint64_t number, int64_t timestamp_ms, std::string& out) const;
  uint64_t seed_;
  std::string run_;
  std::string host_;
  std::vector<double> cumulative_;  ///< share of the clicks that go to ads 0 … i
  std::string body_;                ///< kept for its memory
  std::string click_id_, user_id_, ad_id_, advertiser_id_, ip_, referrer_;  ///< likewise
};

}  // namespace clickmill::bench
