#include "click/json.h"

#include <catch2/catch.hpp>

using namespace clickmill;

namespace {

click::ClickView full_click() {
  click::ClickView click;
  click.click_id = "c-1";
  click.ad_id = "ad_1";
  click.advertiser_id = "adv_1";
  click.ad_format = "banner";
  click.timestamp_ms = EventMs(1'000);
  click.received_ms = ArrivalMs(2'000);
  click.device = click::Device::mobile;
  click.country = click::country_of('D', 'E');
  click.user_id = "u1";
  click.ip = "192.0.2.1";
  click.user_agent = "agent";
  click.referrer = "https://a.example/";
  return click;
}

std::string json_of(const click::ClickView& click) {
  std::string out;
  click::append_json(click, out);
  return out;
}

}  // namespace

TEST_CASE("json: a line of the raw log has offset, times and every field", "[click]") {
  std::string out = "before ";
  click::append_json_line(Offset(7), LogMs(3'000), full_click(), out);
  CHECK(out ==
        "before {\"offset\":7,\"append_ms\":3000,\"received_ms\":2000,\"click_id\":\"c-1\","
        "\"ad_id\":\"ad_1\",\"timestamp_ms\":1000,\"device_type\":\"mobile\",\"country\":\"DE\","
        "\"user_id\":\"u1\",\"ip\":\"192.0.2.1\",\"user_agent\":\"agent\","
        "\"referrer\":\"https://a.example/\",\"advertiser_id\":\"adv_1\",\"ad_format\":\"banner\"}\n");
}

TEST_CASE("json: unknown fields stay, flags stand there only when set", "[click]") {
  const click::ClickView empty;
  CHECK(json_of(empty) ==
        "\"received_ms\":0,\"click_id\":\"\",\"ad_id\":\"\",\"timestamp_ms\":0,"
        "\"device_type\":\"other\",\"country\":\"ZZ\",\"user_id\":\"\",\"ip\":\"\","
        "\"user_agent\":\"\",\"referrer\":\"\",\"advertiser_id\":\"\",\"ad_format\":\"\"");
  auto click = full_click();
  click.flags = click::kBackfill | click::kUnknownAd;
  const std::string flagged = json_of(click);
  const std::string end = "\"ad_format\":\"banner\",\"backfill\":true,\"unknown_ad\":true";
  CHECK(flagged.substr(flagged.size() - end.size()) == end);
}

TEST_CASE("json: what a client sent can't break out of its string", "[click]") {
  auto click = full_click();
  click.user_agent = "a\"b\\c\nd\xff";
  CHECK(json_of(click).find("\"user_agent\":\"a\\\"b\\\\c\\nd\xef\xbf\xbd\"") != std::string::npos);
}
