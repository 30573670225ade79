#include "http/wire.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>

namespace clickmill::http {
namespace {

void append_number(std::string& out, uint64_t value, int base = 10) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, base).ptr;
  out.append(digits.data(), static_cast<size_t>(end - digits.data()));
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  const size_t start = out.size();
  out += value;
  // Not find_first_of: that calls memchr for each byte, half a microsecond an answer.
  std::replace_if(
      out.begin() + static_cast<std::ptrdiff_t>(start), out.end(),
      [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, ' ');
  out += "\r\n";
}

/// RFC 9110, 5.6.7; not strftime, whose names depend on the locale.
void write_date(std::string& out, std::time_t now) {
  constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  const auto two_digits = [&out](int value) {
    out += static_cast<char>('0' + value / 10);
    out += static_cast<char>('0' + value % 10);
  };
  out = kDays.substr(static_cast<size_t>(utc.tm_wday) * 3, 3);
  out += ", ";
  two_digits(utc.tm_mday);
  out += ' ';
  out += kMonths.substr(static_cast<size_t>(utc.tm_mon) * 3, 3);
  out += ' ';
  append_number(out, static_cast<uint64_t>(utc.tm_year + 1900));
  out += ' ';
  two_digits(utc.tm_hour);
  out += ':';
  two_digits(utc.tm_min);
  out += ':';
  two_digits(utc.tm_sec);
  out += " GMT";
}

}  // namespace

std::string_view http_date() {
  thread_local std::time_t made_at = -1;
  thread_local std::string text;
  const std::time_t now = std::time(nullptr);
  if (now != made_at) {
    write_date(text, now);
    made_at = now;
  }
  return text;
}

void append_head(std::string& out, const Response& response, Framing framing, bool close,
                 int http_minor) {
  out += "HTTP/1.1 ";
  append_number(out, static_cast<uint64_t>(response.status));
  out += ' ';
  out += status_title(response.status);
  out += "\r\nDate: ";
  out += http_date();
  out += "\r\n";
  for (const auto& [name, value] : response.headers) append_header(out, name, value);
  if (!response.content_type.empty()) append_header(out, "Content-Type", response.content_type);
  if (framing == Framing::length) {
    out += "Content-Length: ";
    append_number(out, response.body.size());
    out += "\r\n";
  } else if (framing == Framing::chunked) {
    out += "Transfer-Encoding: chunked\r\n";
  }
  if (close) {
    out += "Connection: close\r\n";
  } else if (http_minor == 0) {
    out += "Connection: keep-alive\r\n";
  }
  out += "\r\n";
}

void append_chunk(std::string& out, std::string_view piece) {
  if (piece.empty()) return;
  append_number(out, piece.size(), 16);
  out += "\r\n";
  out += piece;
  out += "\r\n";
}

}  // namespace clickmill::http
