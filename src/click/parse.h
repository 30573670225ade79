#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/query_params.h"
#include "base/result.h"
#include "base/text.h"
#include "click/click.h"

namespace clickmill::click {

/// Why a click was refused: names the field and the rule.
struct FieldError {
  std::string field;
  std::string detail;
};

/// A click as the client gave it, owning its strings, before defaults from the
/// connection and the catalog. Absent and null fields are empty optionals.
struct ParsedClick {
  std::optional<std::string> click_id;
  std::string ad_id;
  std::optional<int64_t> timestamp_ms;
  std::optional<Device> device;
  std::optional<Country> country;
  std::string user_id;
  // A bulk line may carry what a connection otherwise tells. The address has its one
  // spelling, the headers are cut to kHeaderBytesKept.
  std::optional<std::string> ip;
  std::optional<std::string> user_agent;
  std::optional<std::string> referrer;
  std::optional<bool> automated;  ///< whether a machine clicked; absent: the agent tells
};

/// Both give an empty FieldError optional on success. Rules: DESIGN §3
/// (lengths, characters, ranges); unknown fields are ignored; for malformed
/// JSON the field is empty and the detail says where. A field given twice: the last wins.
/// A live click whose country is none counts as one without; a bulk line's is an error.
/// `connection_fields`: a bulk line, so ip, user_agent and referrer are read too.
std::optional<FieldError> parse_json(std::string_view json, bool connection_fields,
                                     ParsedClick& out);
/// Form body or query string.
std::optional<FieldError> parse_params(const QueryParams& params, ParsedClick& out);
/// click_id and timestamp_ms are required of JSON.
std::optional<FieldError> check_required(const ParsedClick& click);
/// A timestamp_ms below can only be seconds (10^11 s are the year 5138).
inline constexpr int64_t kEarliestMeantMs = 100'000'000'000;
/// check_required(), and that timestamp_ms is milliseconds: of a bulk line, whose sender
/// reads the answer. A live click is redirected all the same, and late.
std::optional<FieldError> check_sent_by_server(const ParsedClick& click);

/// Field rules, shared with catalog and config.
bool valid_ad_id(std::string_view text);     ///< 1–64 of [A-Za-z0-9._:-]
bool valid_click_id(std::string_view text);  ///< 1–64 visible ASCII
/// One list for all who name a country: ISO 3166-1 alpha-2 and XK, in any case.
/// Empty for anything else.
std::optional<Country> known_country(std::string_view text);
/// As known_country(), and ZZ, which is how answers show the unknown.
std::optional<Country> parse_country(std::string_view text);
/// Why parse_country() refuses the text, for an error's detail.
std::string country_complaint(std::string_view text);
/// The code, or ZZ when it isn't on the list: rows and records of older versions may
/// hold any two capitals.
Country listed_country(Country code);
/// What is kept of a user agent and of a referrer, so that 10,000 clicks/s stay about 500
/// bytes each: enough to tell visitors and pages apart.
inline constexpr size_t kHeaderBytesKept = 1024;
using clickmill::shown;

/// What a browser says of itself beside the agent, as the headers stand; empty: not sent.
struct DeviceHints {
  std::string_view mobile;        ///< Sec-CH-UA-Mobile
  std::string_view form_factors;  ///< Sec-CH-UA-Form-Factors
  std::string_view brands;        ///< Sec-CH-UA
};
struct AgentTells {
  Device device = Device::other;  ///< robots, screens and what is unknown are `other`
  /// A known robot, link preview, script or headless browser; never what is only unknown.
  bool automated = false;
};
/// What sent the agent. Never fails. Rules: device_rules.h.
AgentTells read_agent(std::string_view user_agent, const DeviceHints& hints = {});
inline Device device_of(std::string_view user_agent, const DeviceHints& hints = {}) {
  return read_agent(user_agent, hints).device;
}

}  // namespace clickmill::click
