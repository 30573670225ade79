#include "click/fields.h"

#include <algorithm>

#include "base/ip_address.h"
#include "base/text.h"

namespace clickmill::click {
namespace {

using Kind = FlatValue::Kind;

constexpr std::array<std::string_view, kFields> kNames = {
    "click_id", "ad_id", "timestamp_ms", "device_type", "country",
    "user_id",  "ip",    "user_agent",   "referrer",    "automated"};

constexpr int64_t kTimestampMsMax = 253'402'300'799'999;  // the end of year 9999
constexpr size_t kIdCharsMax = 64;
constexpr size_t kUserIdBytesMax = 256;

/// Why a value is wrong, or nothing.
using Complaint = std::optional<std::string>;

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::integer:
    case Kind::other_number: return "a number";
    case Kind::string: return "a string";
    case Kind::boolean: return "a boolean";
    case Kind::object: return "an object";
    case Kind::array: return "an array";
    case Kind::absent:
    case Kind::null: break;
  }
  return "null";
}

Complaint require_string(const FlatValue& value) {
  if (value.kind == Kind::string) return std::nullopt;
  return std::string(kind_name(value.kind)) + " is no string";
}

Complaint require_at_most(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return std::nullopt;
  return std::to_string(text.size()) + " bytes are more than " + std::to_string(bytes_max);
}

Complaint take_click_id(FlatValue&& value, ParsedClick& out) {
  if (auto wrong = require_string(value)) return wrong;
  if (!valid_click_id(value.text)) {
    return shown(value.text) + " is not 1 to 64 visible ASCII characters";
  }
  out.click_id = std::move(value.text);
  return std::nullopt;
}

Complaint take_ad_id(FlatValue&& value, ParsedClick& out) {
  if (auto wrong = require_string(value)) return wrong;
  if (!valid_ad_id(value.text)) {
    return shown(value.text) + " is not 1 to 64 characters of A-Z a-z 0-9 . _ : -";
  }
  out.ad_id = std::move(value.text);
  return std::nullopt;
}

Complaint take_timestamp(FlatValue&& value, ParsedClick& out) {
  if (value.kind == Kind::other_number) return shown(value.text) + " is no integer in range";
  if (value.kind == Kind::string) return shown(value.text) + " is no integer but a string";
  if (value.kind != Kind::integer) return std::string(kind_name(value.kind)) + " is no integer";
  if (value.integer < 0) return std::to_string(value.integer) + " is below 0";
  if (value.integer > kTimestampMsMax) {
    return std::to_string(value.integer) + " is above " + std::to_string(kTimestampMsMax);
  }
  out.timestamp_ms = value.integer;
  return std::nullopt;
}

Complaint take_device(FlatValue&& value, ParsedClick& out) {
  if (auto wrong = require_string(value)) return wrong;
  const auto device = parse_device(value.text);
  if (!device) return shown(value.text) + " is none of mobile, desktop, tablet, other";
  out.device = *device;
  return std::nullopt;
}

Complaint take_country(FlatValue&& value, ParsedClick& out) {
  if (auto wrong = require_string(value)) return wrong;
  out.country = parse_country(value.text);
  if (out.country) return std::nullopt;
  return country_complaint(value.text);
}

/// Proxies and databases say XX, T1, EU, AP, UK …: none of that costs anyone the redirect.
void take_country_if_known(const FlatValue& value, ParsedClick& out) {
  if (value.kind == Kind::string) out.country = known_country(value.text);
}

Complaint take_user_id(FlatValue&& value, ParsedClick& out) {
  if (auto wrong = require_string(value)) return wrong;
  if (auto wrong = require_at_most(value.text, kUserIdBytesMax)) return wrong;
  if (!valid_utf8(value.text)) return "it is no valid UTF-8";
  out.user_id = std::move(value.text);
  return std::nullopt;
}

Complaint take_ip(FlatValue&& value, ParsedClick& out) {
  if (auto wrong = require_string(value)) return wrong;
  const auto address = read_ip_address(value.text);
  if (!address) return shown(value.text) + " is no IP address";
  out.ip = to_string(*address);
  return std::nullopt;
}

Complaint take_header(FlatValue&& value, std::optional<std::string>& out) {
  if (auto wrong = require_string(value)) return wrong;
  out = cut_utf8(value.text, kHeaderBytesKept);
  return std::nullopt;
}

Complaint take_automated(const FlatValue& value, ParsedClick& out) {
  if (value.kind != Kind::boolean) {
    const bool is_text = value.kind == Kind::string;
    return (is_text ? shown(value.text) : std::string(kind_name(value.kind))) +
           " is neither true nor false";
  }
  out.automated = value.integer != 0;
  return std::nullopt;
}

Complaint take_field(Field field, FlatValue&& value, ParsedClick& out) {
  switch (field) {
    case Field::click_id: return take_click_id(std::move(value), out);
    case Field::ad_id: return take_ad_id(std::move(value), out);
    case Field::timestamp_ms: return take_timestamp(std::move(value), out);
    case Field::device_type: return take_device(std::move(value), out);
    case Field::country: return take_country(std::move(value), out);
    case Field::user_id: return take_user_id(std::move(value), out);
    case Field::ip: return take_ip(std::move(value), out);
    case Field::user_agent: return take_header(std::move(value), out.user_agent);
    case Field::referrer: return take_header(std::move(value), out.referrer);
    case Field::automated: return take_automated(value, out);
  }
  return std::nullopt;
}

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

std::optional<Field> field_named(std::string_view name) {
  for (size_t i = 0; i < kFields; ++i) {
    if (kNames[i] == name) return static_cast<Field>(i);
  }
  return std::nullopt;
}

std::optional<FieldError> take_fields(FieldValues&& values, Sender sender, ParsedClick& out) {
  for (size_t i = 0; i < kFields; ++i) {
    const Kind kind = values[i].kind;
    const auto field = static_cast<Field>(i);
    if (kind == Kind::absent || kind == Kind::null) {
      if (field == Field::ad_id) return FieldError{"ad_id", "it is required"};
      continue;
    }
    if (field == Field::country && sender == Sender::person) {
      take_country_if_known(values[i], out);
      continue;
    }
    if (auto wrong = take_field(field, std::move(values[i]), out)) {
      return FieldError{std::string(kNames[i]), std::move(*wrong)};
    }
  }
  return std::nullopt;
}

std::optional<FieldError> check_required(const ParsedClick& click) {
  if (!click.click_id) return FieldError{"click_id", "it is required"};
  if (!click.timestamp_ms) return FieldError{"timestamp_ms", "it is required"};
  return std::nullopt;
}

bool valid_ad_id(std::string_view text) {
  return !text.empty() && text.size() <= kIdCharsMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return is_letter_or_digit(c) || c == '.' || c == '_' || c == ':' || c == '-';
         });
}

bool valid_click_id(std::string_view text) {
  return !text.empty() && text.size() <= kIdCharsMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x21 && c <= 0x7e; });
}

std::optional<FieldError> check_sent_by_server(const ParsedClick& click) {
  if (auto error = check_required(click)) return error;
  if (*click.timestamp_ms >= kEarliestMeantMs) return std::nullopt;
  return FieldError{"timestamp_ms", std::to_string(*click.timestamp_ms) +
                                        " is before March 1973, so these must be seconds; "
                                        "milliseconds since 1970 are needed"};
}

}  // namespace clickmill::click
