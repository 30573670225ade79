#include <catch2/catch.hpp>

#include "base/query_params.h"
#include "base/time_text.h"
#include "query/aggregate.h"

namespace clickmill::query {
namespace {

ClicksRequest request_of(const std::string& query) {
  return std::get<ClicksRequest>(parse_clicks(
      parse_query("from=2026-06-24T10:00:00Z&to=2026-06-24T10:02:00Z&" + query), 100'000));
}

ClicksAnswer answer() {
  Bucket first;
  first.start_ms = *parse_time_ms("2026-06-24T10:00:00Z");
  first.clicks = 72;
  first.unique_users = 61;
  first.automated = 5;
  first.complete = true;
  first.devices = {44, 22, 6, 0};
  first.countries = {{click::country_of('U', 'S'), 40}, {click::country_of('D', 'E'), 32}};
  Bucket second;
  second.start_ms = first.start_ms + 60'000;
  second.countries = {{click::country_of('C', 'H'), 0}};
  ClicksAnswer out;
  out.advertiser_id = "adv_17";
  out.total = first;
  out.data = {first, second};
  out.as_of_ms = *parse_time_ms("2026-06-24T11:02:11Z");
  return out;
}

TEST_CASE("render: a clicks answer is what the contract shows", "[query]") {
  REQUIRE(render_clicks(request_of("ad_id=ad_8821&breakdown=device_type"), answer()) ==
          R"({"ad_id":"ad_8821","advertiser_id":"adv_17","from":"2026-06-24T10:00:00Z",)"
          R"("to":"2026-06-24T10:02:00Z","granularity":"1m","timezone":"UTC",)"
          R"("breakdown":"device_type",)"
          R"("data":[{"window_start":"2026-06-24T10:00:00Z","click_count":72,"unique_users":61,)"
          R"("automated_clicks":5,"complete":true,)"
          R"("device_type":{"mobile":44,"desktop":22,"tablet":6,"other":0}},)"
          R"({"window_start":"2026-06-24T10:01:00Z","click_count":0,"unique_users":0,)"
          R"("automated_clicks":0,"complete":false,)"
          R"("device_type":{"mobile":0,"desktop":0,"tablet":0,"other":0}}],)"
          R"("total":{"click_count":72,"unique_users":61,"automated_clicks":5,)"
          R"("device_type":{"mobile":44,"desktop":22,"tablet":6,"other":0}},)"
          R"("as_of":"2026-06-24T11:02:11Z"})");
}

TEST_CASE("render: countries without clicks are left out", "[query]") {
  REQUIRE(
      render_clicks(request_of("advertiser_id=adv_17&breakdown=country"), answer()) ==
      R"({"advertiser_id":"adv_17","from":"2026-06-24T10:00:00Z",)"
      R"("to":"2026-06-24T10:02:00Z","granularity":"1m","timezone":"UTC","breakdown":"country",)"
      R"("data":[{"window_start":"2026-06-24T10:00:00Z","click_count":72,"unique_users":61,)"
      R"("automated_clicks":5,"complete":true,"country":{"DE":32,"US":40}},)"
      R"({"window_start":"2026-06-24T10:01:00Z","click_count":0,"unique_users":0,)"
      R"("automated_clicks":0,"complete":false,"country":{}}],)"
      R"("total":{"click_count":72,"unique_users":61,"automated_clicks":5,)"
      R"("country":{"DE":32,"US":40}},)"
      R"("as_of":"2026-06-24T11:02:11Z"})");
}

TEST_CASE("render: with a filter nobody knows the unique users", "[query]") {
  auto filtered = answer();
  filtered.data.pop_back();
  REQUIRE(render_clicks(request_of("ad_id=a&device_type=mobile"), filtered) ==
          R"({"ad_id":"a","advertiser_id":"adv_17","from":"2026-06-24T10:00:00Z",)"
          R"("to":"2026-06-24T10:02:00Z","granularity":"1m","timezone":"UTC",)"
          R"("data":[{"window_start":"2026-06-24T10:00:00Z","click_count":72,)"
          R"("automated_clicks":5,"complete":true}],)"
          R"("total":{"click_count":72,"automated_clicks":5},"as_of":"2026-06-24T11:02:11Z"})");
  REQUIRE(render_clicks(request_of("ad_id=a&country=DE&format=csv"), filtered) ==
          "window_start,click_count,unique_users,complete\n2026-06-24T10:00:00Z,72,,true\n");
}

TEST_CASE("render: an answer without points", "[query]") {
  auto empty = answer();
  empty.data.clear();
  REQUIRE(render_clicks(request_of("ad_id=a&fill=none&format=csv"), empty) ==
          "window_start,click_count,unique_users,complete\n");
  REQUIRE(render_clicks(request_of("ad_id=a&fill=none"), empty).find(R"("data":[],"total":{)") !=
          std::string::npos);
}

TEST_CASE("render: CSV has a column for each device, or each country that occurs", "[query]") {
  REQUIRE(render_clicks(request_of("ad_id=a&format=csv&breakdown=device_type"), answer()) ==
          "window_start,click_count,unique_users,complete,mobile,desktop,tablet,other\n"
          "2026-06-24T10:00:00Z,72,61,true,44,22,6,0\n"
          "2026-06-24T10:01:00Z,0,0,false,0,0,0,0\n");
  REQUIRE(render_clicks(request_of("ad_id=a&format=csv&breakdown=country"), answer()) ==
          "window_start,click_count,unique_users,complete,DE,US\n"
          "2026-06-24T10:00:00Z,72,61,true,32,40\n"
          "2026-06-24T10:01:00Z,0,0,false,0,0\n");
}

TEST_CASE("render: an answer says whose clicks it has; a CSV only who asks", "[query]") {
  const auto json = render_clicks(request_of("ad_id=a&automated=exclude"), answer());
  REQUIRE(json.find(R"("timezone":"UTC","automated":"exclude","data":[)") != std::string::npos);
  REQUIRE(render_clicks(request_of("ad_id=a&automated=include"), answer())
              .find(R"("timezone":"UTC","data":[)") != std::string::npos);
  REQUIRE(render_clicks(request_of("ad_id=a&format=csv&breakdown=country&automated=include"),
                        answer()) ==
          "window_start,click_count,unique_users,complete,automated_clicks,DE,US\n"
          "2026-06-24T10:00:00Z,72,61,true,5,32,40\n"
          "2026-06-24T10:01:00Z,0,0,false,0,0,0\n");
  TopRequest request;
  request.automated = store::Automated::only;
  REQUIRE(render_top(request, {}).find(R"(Z","automated":"only","data":[)") != std::string::npos);
}

TEST_CASE("render: times before 1970, of other days and past the year 9999", "[query]") {
  auto edges = answer();
  edges.data = {Bucket{}, Bucket{}, Bucket{}};
  edges.data[0].start_ms = -3'600'000;
  edges.data[1].start_ms = 86'400'000;
  edges.data[2].start_ms = 253'402'300'800'000;
  REQUIRE(render_clicks(request_of("ad_id=a&format=csv"), edges) ==
          "window_start,click_count,unique_users,complete\n"
          "1969-12-31T23:00:00Z,0,0,false\n"
          "1970-01-02T00:00:00Z,0,0,false\n" +
              format_time_ms(253'402'300'799'999) + ",0,0,false\n");
}

TEST_CASE("render: what is not listed is other", "[query]") {
  TopRequest request;
  request.from_ms = *parse_time_ms("2026-06-24T10:00:00Z");
  request.to_ms = *parse_time_ms("2026-06-24T11:00:00Z");
  TopAnswer top;
  top.data = {{"ad_1", "adv_1", 7, 3}, {"ad_2", "adv_2", 5, 0}};
  top.total_clicks = 20;
  top.total_automated = 4;
  top.as_of_ms = *parse_time_ms("2026-06-24T11:02:11.5Z");
  REQUIRE(render_top(request, top) ==
          R"({"from":"2026-06-24T10:00:00Z","to":"2026-06-24T11:00:00Z",)"
          R"("data":[{"ad_id":"ad_1","advertiser_id":"adv_1","click_count":7,)"
          R"("automated_clicks":3},)"
          R"({"ad_id":"ad_2","advertiser_id":"adv_2","click_count":5,"automated_clicks":0}],)"
          R"("other":{"click_count":8,"automated_clicks":1},)"
          R"("total":{"click_count":20,"automated_clicks":4},)"
          R"("as_of":"2026-06-24T11:02:11.500Z"})");
  REQUIRE(render_top(request, {}).find(R"("data":[],"other":{"click_count":0,)") !=
          std::string::npos);
}

}  // namespace
}  // namespace clickmill::query
