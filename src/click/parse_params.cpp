#include <charconv>

#include "base/query_params.h"
#include "click/fields.h"

namespace clickmill::click {
namespace {

/// What JSON would have said: digits are an integer, anything else stays text
/// and is refused where an integer is needed.
FlatValue number_value(const std::string& text) {
  FlatValue value{FlatValue::Kind::other_number, 0, text};
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value.integer);
  if (error == std::errc() && stopped == end) value.kind = FlatValue::Kind::integer;
  return value;
}

}  // namespace

std::optional<FieldError> parse_params(const QueryParams& params, ParsedClick& out) {
  out = {};
  FieldValues values;
  for (const auto& [name, text] : params.items) {
    const auto field = field_named(name);
    if (!field || static_cast<size_t>(*field) >= kOwnFields) continue;
    values[static_cast<size_t>(*field)] = *field == Field::timestamp_ms
                                              ? number_value(text)
                                              : FlatValue{FlatValue::Kind::string, 0, text};
  }
  return take_fields(std::move(values), Sender::person, out);
}

}  // namespace clickmill::click
