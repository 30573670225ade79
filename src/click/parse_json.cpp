#include "click/fields.h"

namespace clickmill::click {

std::optional<FieldError> parse_json(std::string_view json, bool connection_fields,
                                     ParsedClick& out) {
  out = {};
  const size_t known = connection_fields ? kFields : kOwnFields;
  FieldValues values;
  auto wrong = read_flat_json(json, [&](std::string_view name, FlatValue&& value) {
    const auto field = field_named(name);
    if (field && static_cast<size_t>(*field) < known) {
      values[static_cast<size_t>(*field)] = std::move(value);
    }
  });
  if (wrong) {
    if (!field_named(wrong->member)) wrong->member.clear();
    return FieldError{std::move(wrong->member), std::move(wrong->detail)};
  }
  const Sender sender = connection_fields ? Sender::server : Sender::person;
  return take_fields(std::move(values), sender, out);
}

}  // namespace clickmill::click
