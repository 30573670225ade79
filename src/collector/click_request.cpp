#include "collector/click_request.h"

#include <iterator>
#include <string>
#include <utility>

#include "base/query_params.h"
#include "http/content_encoding.h"
#include "http/media_type.h"
#include "http/multipart.h"

namespace clickmill::collector {
namespace {

using Refusal = std::optional<http::Response>;

constexpr std::string_view kForm = "application/x-www-form-urlencoded";
constexpr std::string_view kMultipart = "multipart/form-data";
constexpr std::string_view kBlanks = " \t\r\n";

Refusal refused(const std::optional<click::FieldError>& error) {
  if (!error) return std::nullopt;
  return http::problem(400, error->detail, error->field);
}

/// A plus in a click_id stays one: no click_id holds a blank, and many are base64.
QueryParams parse_encoded(std::string_view text) { return parse_query(text, "click_id"); }

bool begins_like_json(std::string_view body) {
  const size_t first = body.find_first_not_of(kBlanks);
  return first != std::string_view::npos && std::string_view("{[\"").find(body[first]) < 3;
}

/// What a form with enctype="text/plain" sends: name=value lines, in which a line break
/// in a value can't be told from the next field.
bool is_plain_form(std::string_view body) {
  const std::string_view line = body.substr(0, body.find('\n'));
  return line.find('=') != std::string_view::npos && !begins_like_json(body);
}

Refusal read_form(const http::Request& request, std::string_view body, click::ParsedClick& out) {
  body = body.substr(0, body.find_last_not_of("\r\n") + 1);
  auto params = parse_encoded(request.query);
  auto fields = parse_encoded(body);
  // The action's query stays under a POST; what the form says itself comes last and wins.
  std::move(fields.items.begin(), fields.items.end(), std::back_inserter(params.items));
  return refused(click::parse_params(params, out));
}

Refusal read_multipart(const http::Request& request, std::string_view body,
                       click::ParsedClick& out) {
  auto fields = http::parse_multipart(request.header("Content-Type"), body);
  if (!fields) return http::problem(400, fields.error().message(), "Content-Type");
  auto params = parse_encoded(request.query);
  std::move(fields->items.begin(), fields->items.end(), std::back_inserter(params.items));
  return refused(click::parse_params(params, out));
}

Refusal read_json(std::string_view body, click::ParsedClick& out) {
  auto error = click::parse_json(body, false, out);
  return refused(error ? error : click::check_required(out));
}

Refusal plain_form_refused() {
  return http::problem(415,
                       "a form with enctype text/plain can't be read for sure; a click comes as "
                       "application/json, as text/plain holding JSON, as "
                       "application/x-www-form-urlencoded or as multipart/form-data",
                       "Content-Type");
}

}  // namespace

Refusal read_click(const http::Request& request, click::ParsedClick& out) {
  const auto from_query = [&] {
    return refused(click::parse_params(parse_encoded(request.query), out));
  };
  if (request.method != http::Method::post) return from_query();
  std::string decoded;
  std::string_view body;
  if (auto refusal = http::decode_body(request, decoded, body)) return refusal;
  const std::string type = http::media_type(request.header("Content-Type"));
  const bool blank = body.find_first_not_of(kBlanks) == std::string_view::npos;
  if (type == "text/ping" || blank) return from_query();
  if (type == kMultipart) return read_multipart(request, body, out);
  // curl -d calls everything a form; one that begins like JSON is JSON.
  if (type == kForm && !begins_like_json(body)) return read_form(request, body, out);
  if (type == "text/plain" && is_plain_form(body)) return plain_form_refused();
  return read_json(body, out);
}

}  // namespace clickmill::collector
