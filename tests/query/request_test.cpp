#include "query/request.h"

#include <catch2/catch.hpp>

#include "base/query_params.h"
#include "base/time_text.h"
#include "query/zone_files.h"

namespace clickmill::query {
namespace {

constexpr uint64_t kPoints = 100'000;
constexpr int64_t kNow = 1'782'295'331'123;  // 2026-06-24T10:02:11.123Z

/// "field" of the failure, "" for one without a field, "ok" for none.
std::string clicks_blames(const std::string& query, uint64_t max_points = kPoints) {
  const auto parsed = parse_clicks(parse_query(query), max_points);
  const auto* error = std::get_if<ParamError>(&parsed);
  return error == nullptr ? "ok" : error->field;
}
std::string detail(const std::string& query, uint64_t max_points) {
  return std::get<ParamError>(parse_clicks(parse_query(query), max_points)).detail;
}
ClicksRequest clicks(const std::string& query) {
  return std::get<ClicksRequest>(parse_clicks(parse_query(query), kPoints));
}
std::string top_blames(const std::string& query) {
  const auto parsed = parse_top(parse_query(query), kNow);
  const auto* error = std::get_if<ParamError>(&parsed);
  return error == nullptr ? "ok" : error->field;
}
std::string raw_clicks_blames(const std::string& query) {
  const auto parsed = parse_raw_clicks(parse_query(query));
  const auto* error = std::get_if<ParamError>(&parsed);
  return error == nullptr ? "ok" : error->field;
}
TopRequest top(const std::string& query) {
  return std::get<TopRequest>(parse_top(parse_query(query), kNow));
}

const std::string kHour = "&from=2026-06-24T10:00:00Z&to=2026-06-24T11:00:00Z";

TEST_CASE("request: every wrong parameter of a clicks query is named", "[query]") {
  const auto [query, field] = GENERATE_COPY(table<std::string, std::string>({
      {"ad_id=a" + kHour, "ok"},
      {"advertiser_id=a" + kHour, "ok"},
      {kHour, "ad_id"},
      {"ad_id=" + kHour, "ad_id"},
      {"ad_id=a%20b" + kHour, "ad_id"},
      {"ad_id=" + std::string(64, 'x') + kHour, "ok"},
      {"ad_id=" + std::string(65, 'x') + kHour, "ad_id"},
      {"advertiser_id=a/b" + kHour, "advertiser_id"},
      {"advertiser_id=*" + kHour, "ok"},
      {"advertiser_id=**" + kHour, "advertiser_id"},
      {"ad_id=*" + kHour, "ad_id"},
      {"ad_id=a&advertiser_id=*" + kHour, "advertiser_id"},
      {"ad_id=a&advertiser_id=b" + kHour, "advertiser_id"},
      {"advertiser_id=b&ad_id=a" + kHour, "ad_id"},
      {"ad_id=a&color=red" + kHour, "color"},
      {"ad_id=a&automated=include" + kHour, "ok"},
      {"ad_id=a&automated=only&country=DE&breakdown=country" + kHour, "ok"},
      {"ad_id=a&automated=true" + kHour, "automated"},
      {"ad_id=a&automated=" + kHour, "automated"},
      {"ad_id=a&automated=only&automated=only" + kHour, "automated"},
      {"ad_id=a&ad_id=a" + kHour, "ad_id"},
      {"ad_id=a&to=5" + kHour, "to"},
      {"ad_id=a&fill=%zz" + kHour, ""},
      {"ad_id=a&to=1782295200000", "from"},
      {"ad_id=a&from=1782295200000", "to"},
      {"ad_id=a&from=yesterday&to=1782295200000", "from"},
      {"ad_id=a&from=0&to=1970-01-01T00:01:00Z", "ok"},
      {"ad_id=a&from=-1&to=1970-01-01T00:01:00Z", "from"},
      {"ad_id=a&from=1969-12-31T15:00:00Z&to=1970-01-01T00:01:00Z", "ok"},
      {"ad_id=a&granularity=total&from=0000-01-01T00:00:00Z&to=2026-06-24", "ok"},
      {"ad_id=a&from=0000-01-01T00:00:00%2B01:00&to=2026-06-24", "from"},
      {"ad_id=a&from=1782295200000&to=1782295200000", "to"},
      {"ad_id=a&from=1782295200000&to=1782295200001", "ok"},
      {"ad_id=a&from=1782295200001&to=1782295200000", "to"},
      {"ad_id=a&from=100000000000&to=100000000001", "ok"},
      {"ad_id=a&from=99999999999&to=100000000001", "from"},
      {"ad_id=a&from=0&to=1782295200", "to"},
      {"ad_id=a&from=1&to=1782295200000", "from"},
      {"ad_id=a&from=2026-06-24&to=2026-06-25", "ok"},
      {"ad_id=a&from=2026-06-24T10:00&to=2026-06-24T10:00:30.5", "ok"},
      {"ad_id=a&from=2026-02-29&to=2026-06-25", "from"},
      {"ad_id=a&from=2026-06-24Z&to=2026-06-25", "from"},
      {"ad_id=a&from=2026-06&to=2026-06-25", "from"},
      {"ad_id=a&granularity=total&from=0&to=9999-12-31T23:59:59.999Z", "ok"},
      {"ad_id=a&granularity=total&from=0&to=253402300799999", "ok"},
      {"ad_id=a&granularity=total&from=0&to=253402300800000", "to"},
      {"ad_id=a&granularity=total&from=0&to=9223372036854775807", "to"},
      {"ad_id=a&granularity=total&from=0&to=99999999999999999999999", "to"},
      {"ad_id=a&granularity=1m" + kHour, "ok"},
      {"ad_id=a&granularity=2m" + kHour, "granularity"},
      {"ad_id=a&granularity=" + kHour, "granularity"},
      {"ad_id=a&timezone=UTC" + kHour, "ok"},
      {"ad_id=a&timezone=Mars/Base" + kHour, "timezone"},
      {"ad_id=a&timezone=" + kHour, "timezone"},
      {"ad_id=a&timezone=../../etc/passwd" + kHour, "timezone"},
      {"ad_id=a&timezone=/etc/passwd" + kHour, "timezone"},
      {"ad_id=a&timezone=Europe" + kHour, "timezone"},
      {"ad_id=a&breakdown=device_type" + kHour, "ok"},
      {"ad_id=a&breakdown=country" + kHour, "ok"},
      {"ad_id=a&breakdown=none" + kHour, "breakdown"},
      {"ad_id=a&device_type=tablet" + kHour, "ok"},
      {"ad_id=a&device_type=Tablet" + kHour, "device_type"},
      {"ad_id=a&country=ZZ" + kHour, "ok"},
      {"ad_id=a&country=us" + kHour, "ok"},
      {"ad_id=a&country=zz" + kHour, "ok"},
      {"ad_id=a&country=XK" + kHour, "ok"},
      {"ad_id=a&country=UK" + kHour, "country"},
      {"ad_id=a&country=T1" + kHour, "country"},
      {"ad_id=a&country=" + kHour, "country"},
      {"ad_id=a&country=XX" + kHour, "country"},
      {"ad_id=a&country=USA" + kHour, "country"},
      {"ad_id=a&format=csv" + kHour, "ok"},
      {"ad_id=a&format=xml" + kHour, "format"},
      {"ad_id=a&fill=none" + kHour, "ok"},
      {"ad_id=a&fill=null" + kHour, "fill"},
  }));
  CAPTURE(query);
  REQUIRE(clicks_blames(query) == field);
}

TEST_CASE("request: of devices and countries the second is refused", "[query]") {
  const auto [query, field] = GENERATE(table<std::string, std::string>({
      {"breakdown=device_type&device_type=mobile", "ok"},
      {"breakdown=country&country=DE", "ok"},
      {"breakdown=device_type&country=DE", "country"},
      {"country=DE&breakdown=device_type", "breakdown"},
      {"breakdown=country&device_type=mobile", "device_type"},
      {"device_type=mobile&breakdown=country", "breakdown"},
      {"device_type=mobile&country=DE", "country"},
      {"country=DE&device_type=mobile", "device_type"},
      {"device_type=mobile&country=DE&breakdown=country", "country"},
      {"breakdown=country&device_type=mobile&country=DE", "device_type"},
  }));
  CAPTURE(query);
  REQUIRE(clicks_blames(query + "&ad_id=a" + kHour) == field);
}

TEST_CASE("request: ranges are widened outward to whole buckets", "[query]") {
  struct Case {
    std::string granularity, from, to, wide_from, wide_to;
  };
  const auto c = GENERATE(values<Case>({
      {"1m", "10:00:00", "10:01:00", "10:00:00", "10:01:00"},
      {"1m", "10:00:59.999", "10:01:00.001", "10:00:00", "10:02:00"},
      {"1h", "10:59:59", "11:00:00", "10:00:00", "11:00:00"},
      {"1h", "10:59:59", "11:00:01", "10:00:00", "12:00:00"},
      {"1d", "10:00:00", "10:00:01", "00:00:00", "24"},
      {"total", "10:00:01", "11:30:01", "10:00:00", "11:31:00"},
  }));
  CAPTURE(c.granularity, c.from, c.to);
  const std::string day = "2026-06-24T";
  const auto request = clicks("ad_id=a&granularity=" + c.granularity + "&from=" + day + c.from +
                              "Z&to=" + day + c.to + "Z");
  REQUIRE(format_time_ms(request.from_ms) == day + c.wide_from + "Z");
  REQUIRE(format_time_ms(request.to_ms) ==
          (c.wide_to == "24" ? "2026-06-25T00:00:00Z" : day + c.wide_to + "Z"));
}

TEST_CASE("request: more buckets than allowed name the granularity that would fit", "[query]") {
  const std::string day = "ad_id=a&from=2026-06-24T00:00:00Z&to=2026-06-25T00:00:00Z";
  REQUIRE(clicks_blames(day, 1440) == "ok");
  REQUIRE(clicks_blames(day, 1439) == "granularity");
  REQUIRE(detail(day, 1439) == "1m gives more than 1439 buckets for this range; 1h would fit");
  REQUIRE(detail(day, 23) == "1m gives more than 23 buckets for this range; 1d would fit");
  REQUIRE(clicks_blames(day + "&granularity=1h", 24) == "ok");
  REQUIRE(detail(day + "&granularity=1h", 23).find("; 1d would fit") != std::string::npos);
  REQUIRE(clicks_blames(day + "&fill=none", 1439) == "granularity");
  REQUIRE(clicks_blames(day + "&granularity=total", 1) == "ok");
  // One more ms is one more bucket.
  REQUIRE(clicks_blames("ad_id=a&from=2026-01-01&to=2026-03-11T10:40", 100'000) == "ok");
  REQUIRE(clicks_blames("ad_id=a&from=2026-01-01&to=2026-03-11T10:40:00.001", 100'000) ==
          "granularity");
}

TEST_CASE("request: all of time by minute, hour or day is refused without counting it out",
          "[query]") {
  const std::string all = "ad_id=a&from=0&to=9999-12-31T23:59:59.999Z";
  const std::string zone =
      ZoneFiles::system().load("America/New_York") ? "&timezone=America/New_York" : "";
  for (const std::string granularity : {"1m", "1h", "1d"}) {
    CAPTURE(granularity);
    REQUIRE(detail(all + "&granularity=" + granularity, kPoints).find("total would fit") !=
            std::string::npos);
    REQUIRE(clicks_blames(all + zone + "&granularity=" + granularity) == "granularity");
  }
}

TEST_CASE("request: dates and times without Z are the zone's", "[query]") {
  if (!ZoneFiles::system().load("America/New_York")) {
    WARN("SKIPPED: there is no zone data");
    return;
  }
  const auto [from, to, first, last] =
      GENERATE(table<std::string, std::string, std::string, std::string>({
          {"2026-11-01", "2026-11-02", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
          // 01:00 to 02:00 comes twice: the first of both.
          {"2026-11-01T01:30", "2026-11-01T02:00", "2026-11-01T05:30:00Z", "2026-11-01T07:00:00Z"},
          {"2026-11-01T00:30", "2026-11-01T01:30", "2026-11-01T04:30:00Z", "2026-11-01T05:30:00Z"},
          // 02:00 to 03:00 is skipped: the change, at 03:00.
          {"2026-03-08T02:30", "2026-03-08T03:30", "2026-03-08T07:00:00Z", "2026-03-08T07:30:00Z"},
          {"2026-03-08T01:59", "2026-03-08T02:00", "2026-03-08T06:59:00Z", "2026-03-08T07:00:00Z"},
          // What says where it is stays where it is.
          {"2026-07-01T00:00:00Z", "2026-07-01T02:00:00-04:00", "2026-07-01T00:00:00Z",
           "2026-07-01T06:00:00Z"},
      }));
  CAPTURE(from, to);
  const auto request = clicks("timezone=america/new_york&ad_id=a&from=" + from + "&to=" + to);
  CHECK(request.zone->name() == "America/New_York");
  CHECK(format_time_ms(request.from_ms) == first);
  CHECK(format_time_ms(request.to_ms) == last);
  CHECK(format_time_ms(clicks("ad_id=a&from=2026-11-01&to=2026-11-01T01:00").to_ms) ==
        "2026-11-01T01:00:00Z");
}

TEST_CASE("request: a from that an answer shows can be sent back", "[query]") {
  for (const std::string zone : {"UTC", "Asia/Tokyo", "America/Los_Angeles", "Asia/Kathmandu"}) {
    if (!ZoneFiles::system().load(zone)) continue;
    for (const std::string granularity : {"1m", "1h", "1d", "total"}) {
      std::string from = granularity == "total" ? "0" : "1969-12-31T15:00:00Z";
      for (int i = 0; i < 4; ++i) {
        CAPTURE(zone, granularity, from);
        const auto request = clicks("ad_id=a&to=1970-01-03&from=" + from +
                                    "&granularity=" + granularity + "&timezone=" + zone);
        const std::string shown = format_time_ms(request.from_ms);
        if (i > 0) REQUIRE(shown == from);
        from = shown;
      }
    }
  }
}

TEST_CASE("request: a refusal quotes what was sent and says what would be right", "[query]") {
  const auto [query, quoted, right] = GENERATE_COPY(table<std::string, std::string, std::string>({
      {"granularty=1h" + kHour, "\"granularty\"", "granularity"},
      {"granularity=2h" + kHour, "\"2h\"", "1m, 1h, 1d, total"},
      {"granularity=1h&granularity=1d" + kHour, "\"1d\"", "\"1h\""},
      {"fill=null" + kHour, "\"null\"", "zero, none"},
      {"format=xml" + kHour, "\"xml\"", "json, csv"},
      {"breakdown=os" + kHour, "\"os\"", "device_type, country"},
      {"device_type=phone" + kHour, "\"phone\"", "mobile, desktop, tablet, other"},
      {"from=1795829153&to=1795832753000", "\"1795829153\"", "1795829153000"},
      {"from=yesterday&to=2026-06-25", "\"yesterday\"", "2026-06-24T10:00:00Z"},
      {"from=2026-06-25&to=2026-06-24", "\"2026-06-24\"", "\"2026-06-25\""},
      {"timezone=europe/berln" + kHour, "\"europe/berln\"", "Europe/Berlin"},
      {"timezone=localtime" + kHour, "\"localtime\"", "the nearest are"},
  }));
  CAPTURE(query);
  const std::string text = detail("ad_id=a&" + query, kPoints);
  CAPTURE(text);
  CHECK(text.find(quoted) != std::string::npos);
  CHECK(text.find(right) != std::string::npos);
  CHECK(text.find("file") == std::string::npos);
}

TEST_CASE("request: defaults, and a plus sign that became a space", "[query]") {
  const auto request =
      clicks("ad_id=a&from=2026-06-24T12:00:00+02:00&to=2026-06-24T13:00:00+02:00");
  REQUIRE(request.ad_id == "a");
  REQUIRE(request.advertiser_id.empty());
  REQUIRE(format_time_ms(request.from_ms) == "2026-06-24T10:00:00Z");
  REQUIRE(request.granularity == Granularity::minute);
  REQUIRE(request.zone->is_utc());
  REQUIRE(request.breakdown == Breakdown::none);
  REQUIRE(request.format == Format::json);
  REQUIRE(request.fill_zero);
  REQUIRE_FALSE(request.device);
  REQUIRE_FALSE(request.country);
  if (ZoneFiles::system().load("Etc/GMT+5")) {
    REQUIRE(clicks("ad_id=a&timezone=Etc/GMT+5" + kHour).zone->name() == "Etc/GMT+5");
  }
}

TEST_CASE("request: every wrong parameter of a top query is named", "[query]") {
  const auto [query, field] = GENERATE_COPY(table<std::string, std::string>({
      {kHour, "ok"},
      {"", "from"},
      {"to=2026-06-24", "from"},
      {"from=2026-06-24", "to"},
      {"from=2026-06-24&to=2026-06-24T00:00", "to"},
      {"from=1782295200&to=2026-06-25", "from"},
      {"from=2026-06-24&to=2026-06-25", "ok"},
      {"n=1" + kHour, "ok"},
      {"n=1000" + kHour, "ok"},
      {"n=0" + kHour, "n"},
      {"n=1001" + kHour, "n"},
      {"n=1.5" + kHour, "n"},
      {"n=" + kHour, "n"},
      {"n=-1" + kHour, "n"},
      {"n=99999999999999999999" + kHour, "n"},
      {"minutes=1", "ok"},
      {"minutes=0", "minutes"},
      {"minutes=29704923", "ok"},
      {"minutes=29704924", "minutes"},
      {"minutes=18446744073709551615", "minutes"},
      {"minutes=5&from=2026-06-24", "from"},
      {"to=2026-06-24&minutes=5", "minutes"},
      {"minutes=5&minutes=5", "minutes"},
      {"ad_id=a&minutes=5", "ad_id"},
      {"advertiser_id=b&minutes=5", "ok"},
      {"advertiser_id=&minutes=5", "advertiser_id"},
      {"device_type=phone&minutes=5", "device_type"},
      {"country=X&minutes=5", "country"},
      {"country=DE&device_type=mobile&minutes=5", "device_type"},
      {"device_type=mobile&country=DE&minutes=5", "country"},
  }));
  CAPTURE(query);
  REQUIRE(top_blames(query) == field);
}

TEST_CASE("request: the last minutes of a top query end with the running one", "[query]") {
  const auto request = top("minutes=5&n=3&advertiser_id=b&country=DE");
  REQUIRE(format_time_ms(request.from_ms) == "2026-06-24T09:58:00Z");
  REQUIRE(format_time_ms(request.to_ms) == "2026-06-24T10:03:00Z");
  REQUIRE(request.n == 3);
  REQUIRE(request.advertiser_id == "b");
  REQUIRE(request.country == click::country_of('D', 'E'));
  const auto range = top("from=2026-06-24T10:00:30Z&to=2026-06-24T10:01:30Z");
  REQUIRE(range.n == 10);
  REQUIRE(format_time_ms(range.from_ms) == "2026-06-24T10:00:00Z");
  REQUIRE(format_time_ms(range.to_ms) == "2026-06-24T10:02:00Z");
}

TEST_CASE("request: every wrong parameter of a raw clicks query is named", "[query]") {
  const auto [query, field] = GENERATE(table<std::string, std::string>({
      {"", "ok"},
      {"offset=0", "ok"},
      {"offset=9223372036854775807", "ok"},
      {"offset=9223372036854775808", "offset"},
      {"offset=-1", "offset"},
      {"offset=", "offset"},
      {"offset=1.5", "offset"},
      {"offset=1&offset=2", "offset"},
      {"from=2026-06-24T10:00:00Z", "ok"},
      {"from=0", "ok"},
      {"from=-1", "from"},
      {"from=now", "from"},
      {"offset=1&from=0", "from"},
      {"from=0&offset=1", "offset"},
      {"limit=0", "limit"},
      {"limit=1", "ok"},
      {"limit=1000000", "ok"},
      {"limit=1000001", "limit"},
      {"limit=all", "limit"},
      {"wait_ms=0", "ok"},
      {"wait_ms=30000", "ok"},
      {"wait_ms=30001", "wait_ms"},
      {"wait_ms=-1", "wait_ms"},
      {"colour=red", "colour"},
      {"offset=%zz", ""},
  }));
  CAPTURE(query);
  CHECK(raw_clicks_blames(query) == field);
}

TEST_CASE("request: what a raw clicks query leaves out has its default", "[query]") {
  const auto read = [](const std::string& query) {
    return std::get<RawClicksRequest>(parse_raw_clicks(parse_query(query)));
  };
  const auto absent = read("");
  CHECK(!absent.offset);
  CHECK(!absent.from);
  CHECK(absent.limit == 1000);
  CHECK(absent.wait_ms == 0);
  const auto given = read("from=2026-06-24T10:00:00Z&limit=5&wait_ms=7");
  CHECK(given.from == LogMs(1'782'295'200'000));
  CHECK(given.limit == 5);
  CHECK(given.wait_ms == 7);
  CHECK(read("offset=12").offset == Offset(12));
}

}  // namespace
}  // namespace clickmill::query
