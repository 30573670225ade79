#include "click/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "base/text.h"

namespace clickmill::click {
namespace {

bool is_plain(char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; }

/// Nearly every value is plain; escaping is for the one that does it for all.
void append_value(std::string_view text, std::string& out) {
  if (!std::all_of(text.begin(), text.end(), is_plain)) {
    out += json_quoted(text);
    return;
  }
  out += '"';
  out += text;
  out += '"';
}

void append_text(std::string_view member, std::string_view text, std::string& out) {
  out += ",\"";
  out += member;
  out += "\":";
  append_value(text, out);
}

void append_number(int64_t value, std::string& out) {
  const fmt::format_int digits(value);
  out.append(digits.data(), digits.size());
}

}  // namespace

void append_json(const ClickView& click, std::string& out) {
  out += "\"received_ms\":";
  append_number(click.received_ms.value(), out);
  append_text("click_id", click.click_id, out);
  append_text("ad_id", click.ad_id, out);
  out += ",\"timestamp_ms\":";
  append_number(click.timestamp_ms.value(), out);
  append_text("device_type", to_string(click.device), out);
  append_text("country", to_string_country(click.country), out);
  append_text("user_id", click.user_id, out);
  append_text("ip", click.ip, out);
  append_text("user_agent", click.user_agent, out);
  append_text("referrer", click.referrer, out);
  append_text("advertiser_id", click.advertiser_id, out);
  append_text("ad_format", click.ad_format, out);
  if ((click.flags & kBackfill) != 0) out += ",\"backfill\":true";
  if ((click.flags & kUnknownAd) != 0) out += ",\"unknown_ad\":true";
  if ((click.flags & kIdMade) != 0) out += ",\"id_made\":true";
  if ((click.flags & kAutomated) != 0) out += ",\"automated\":true";
}

void append_json_line(Offset offset, LogMs append_ms, const ClickView& click, std::string& out) {
  out += "{\"offset\":" + std::to_string(offset.value());
  out += ",\"append_ms\":";
  append_number(append_ms.value(), out);
  out += ',';
  append_json(click, out);
  out += "}\n";
}

}  // namespace clickmill::click
