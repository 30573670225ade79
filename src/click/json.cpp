#include "click/json.h"

#include "http/message.h"

namespace clickmill::click {
namespace {

void append_text(std::string_view name, std::string_view value, std::string& out) {
  out += ",\"";
  out += name;
  out += "\":";
  out += http::json_quoted(value);
}

}  // namespace

void append_json(const ClickView& click, std::string& out) {
  out += "\"received_ms\":" + std::to_string(click.received_ms.value());
  append_text("click_id", click.click_id, out);
  append_text("ad_id", click.ad_id, out);
  out += ",\"timestamp_ms\":" + std::to_string(click.timestamp_ms.value());
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
}

void append_json_line(Offset offset, LogMs append_ms, const ClickView& click, std::string& out) {
  out += "{\"offset\":" + std::to_string(offset.value());
  out += ",\"append_ms\":" + std::to_string(append_ms.value());
  out += ',';
  append_json(click, out);
  out += "}\n";
}

}  // namespace clickmill::click
