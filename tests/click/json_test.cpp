#include "click/json.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "base/text.h"
#include "http/message.h"
#include "sample_clicks.h"

namespace clickmill::click {
namespace {

std::string json_of(const ClickView& click) {
  std::string out = "{";
  append_json(click, out);
  return out + "}";
}

/// What JSON can carry of a text.
nlohmann::json carried(std::string_view text) { return nlohmann::json::parse(json_quoted(text)); }

}  // namespace

TEST_CASE("click json: all fields stand in it, in the order of the contract", "[click]") {
  ClickView click;
  click.click_id = "c-1";
  click.ad_id = "ad_1";
  click.advertiser_id = "adv_1";
  click.ad_format = "video";
  click.timestamp_ms = EventMs(-5);
  click.received_ms = ArrivalMs(1'782'295'200'123);
  click.device = Device::tablet;
  click.country = country_of('U', 'S');
  click.user_id = "u \"1\"\\";
  click.ip = "2001:db8::1";
  click.user_agent = "a\tb\x7f";
  CHECK(json_of(click) ==
        R"({"received_ms":1782295200123,"click_id":"c-1","ad_id":"ad_1","timestamp_ms":-5,)"
        R"("device_type":"tablet","country":"US","user_id":"u \"1\"\\","ip":"2001:db8::1",)"
        "\"user_agent\":\"a\\tb\x7f\",\"referrer\":\"\","
        R"("advertiser_id":"adv_1","ad_format":"video"})");
  click.flags = kAutomated;
  CHECK(json_of(click).ends_with(R"("ad_format":"video","automated":true})"));
  click.flags = kBackfill | kUnknownAd;
  CHECK(json_of(click).ends_with(R"("ad_format":"video","backfill":true,"unknown_ad":true})"));
}

TEST_CASE("click json: a JSON reader gets back what was recorded", "[click]") {
  constexpr uint64_t kSeed = 20260624;
  SampleClicks samples(kSeed);
  for (int i = 0; i < 2000; ++i) {
    CAPTURE(kSeed, i);
    const ClickView& click = samples.next();
    const auto json = nlohmann::json::parse(json_of(click));
    nlohmann::json want = {{"received_ms", click.received_ms.value()},
                           {"click_id", carried(click.click_id)},
                           {"ad_id", carried(click.ad_id)},
                           {"timestamp_ms", click.timestamp_ms.value()},
                           {"device_type", std::string(to_string(click.device))},
                           {"country", to_string_country(click.country)},
                           {"user_id", carried(click.user_id)},
                           {"ip", carried(click.ip)},
                           {"user_agent", carried(click.user_agent)},
                           {"referrer", carried(click.referrer)},
                           {"advertiser_id", carried(click.advertiser_id)},
                           {"ad_format", carried(click.ad_format)}};
    if ((click.flags & kBackfill) != 0) want["backfill"] = true;
    if ((click.flags & kUnknownAd) != 0) want["unknown_ad"] = true;
    if ((click.flags & kIdMade) != 0) want["id_made"] = true;
    if ((click.flags & kAutomated) != 0) want["automated"] = true;
    if (json != want) {
      CAPTURE(json.dump(), want.dump());
      FAIL("a field differs");
    }
  }
}

TEST_CASE("click json: a line of the raw log begins with offset and log time", "[click]") {
  ClickView click;
  click.click_id = "c-1";
  std::string out = "before ";
  append_json_line(Offset(7), LogMs(3'000), click, out);
  CHECK(out == "before {\"offset\":7,\"append_ms\":3000," + json_of(click).substr(1) + "\n");
}

}  // namespace clickmill::click
