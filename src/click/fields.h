#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "click/flat_json.h"
#include "click/parse.h"

namespace clickmill::click {

/// The fields a click may carry, in the order in which they are checked.
enum class Field : uint8_t {
  click_id,
  ad_id,
  timestamp_ms,
  device_type,
  country,
  user_id,
  ip,
  user_agent,
  referrer,
  automated,
};
inline constexpr size_t kFields = 10;
/// The first of those that tell of the connection, or what a server knows.
inline constexpr size_t kOwnFields = 6;

std::optional<Field> field_named(std::string_view name);

/// The last value given for each field; absent where none was.
using FieldValues = std::array<FlatValue, kFields>;

/// Who sent the fields: a person who waits to be redirected, or a server.
enum class Sender : uint8_t { person, server };

/// Checks every value against its rule and moves it into `out`; the first wrong
/// one in the order of Field is told.
std::optional<FieldError> take_fields(FieldValues&& values, Sender sender, ParsedClick& out);

}  // namespace clickmill::click
