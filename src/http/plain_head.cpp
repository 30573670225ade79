#include "http/plain_head.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <system_error>
#include <utility>

#include "base/text.h"

namespace clickmill::http {
namespace {

/// What a byte may be part of.
enum Part : uint8_t { kToken = 1, kTarget = 2, kValue = 4 };

constexpr std::array<uint8_t, 256> make_parts() {
  std::array<uint8_t, 256> parts{};
  for (size_t c = ' '; c <= '~'; ++c) parts[c] |= kValue;
  parts['\t'] |= kValue;
  const auto add = [&parts](std::string_view characters, uint8_t part) {
    for (const char c : characters) parts[static_cast<unsigned char>(c)] |= part;
  };
  constexpr std::string_view kAlphanumeric =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  add(kAlphanumeric, kToken | kTarget);
  add("!#$%&'*+-.^_`|~", kToken);
  add("-._~!$&'()*+,;=:@/?%", kTarget);
  return parts;
}
constexpr auto kParts = make_parts();

bool all(std::string_view text, uint8_t part) {
  return std::all_of(text.begin(), text.end(), [part](char c) {
    return (kParts[static_cast<unsigned char>(c)] & part) != 0;
  });
}

bool take(std::string_view& text, std::string_view begin) {
  if (!text.starts_with(begin)) return false;
  text.remove_prefix(begin.size());
  return true;
}

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Those that say how a message is framed, or what must be answered before its body.
bool is_unusual(std::string_view name) {
  constexpr std::string_view kUnusual[] = {"transfer-encoding", "expect",  "upgrade",
                                           "proxy-connection",  "trailer", "te"};
  return std::any_of(std::begin(kUnusual), std::end(kUnusual), [name](std::string_view unusual) {
    return name.size() == unusual.size() && same_without_case(name, unusual);
  });
}

bool is_named(std::string_view name, std::string_view wanted) {
  return name.size() == wanted.size() && same_without_case(name, wanted);
}

}  // namespace

bool PlainHead::read(std::string_view whole) {
  std::string_view rest = whole;
  for (bool first = true;; first = false) {
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos || end == 0 || rest[end - 1] != '\r') return false;
    const std::string_view line = rest.substr(0, end - 1);
    rest.remove_prefix(end + 1);
    if (line.empty()) break;
    if (!(first ? read_request_line(line) : read_field(line))) return false;
  }
  bytes = whole.size() - rest.size();
  return has_host_;
}

bool PlainHead::read_request_line(std::string_view line) {
  if (take(line, "POST ")) {
    method = Method::post;
  } else if (take(line, "GET ")) {
    method = Method::get;
  } else if (take(line, "HEAD ")) {
    method = Method::head;
  } else {
    return false;
  }
  constexpr std::string_view kVersion = " HTTP/1.1";
  if (!line.ends_with(kVersion)) return false;
  target = line.substr(0, line.size() - kVersion.size());
  return target.starts_with('/') && all(target, kTarget);
}

bool PlainHead::read_field(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0 || count_ == fields_.size()) return false;
  Field& field = fields_[count_++];
  field.name = line.substr(0, colon);
  field.value = line.substr(colon + 1);
  if (!all(field.name, kToken) || !all(field.value, kValue)) return false;
  field.value = without_blanks(field.value);
  return note(field);
}

bool PlainHead::note(const Field& field) {
  switch (field.name.size()) {
    case 4:
      if (is_named(field.name, "host")) return !std::exchange(has_host_, true);
      break;
    case 10:
      if (is_named(field.name, "connection")) {
        const bool close = is_named(field.value, "close");
        if (close) keep_alive = false;
        return close || is_named(field.value, "keep-alive");
      }
      break;
    case 14:
      if (is_named(field.name, "content-length")) {
        const char* const end = field.value.data() + field.value.size();
        const auto [rest, failure] = std::from_chars(field.value.data(), end, body_bytes);
        const bool number = failure == std::errc() && rest == end && !field.value.empty();
        return number && !std::exchange(has_length_, true);
      }
      break;
    default: break;
  }
  return !is_unusual(field.name);
}

}  // namespace clickmill::http
