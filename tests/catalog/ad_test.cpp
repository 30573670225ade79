#include <catch2/catch.hpp>

#include "catalog/catalog.h"

namespace clickmill::catalog {
namespace {

std::string complaint(std::string_view json, std::string_view path_ad_id = {}) {
  Ad ad;
  const auto wrong = parse_ad(json, path_ad_id, ad);
  return wrong ? wrong->field + ": " + wrong->detail : "";
}

Ad good_ad() { return {"ad_1", "adv_1", "banner", "https://shop.example/a?b=c#d"}; }

std::string blamed(const Ad& ad) {
  const auto wrong = check_ad(ad);
  return wrong ? wrong->field : "";
}

}  // namespace

TEST_CASE("parse_ad: what ad_to_json wrote is read back", "[catalog]") {
  Ad ad;
  REQUIRE_FALSE(parse_ad(ad_to_json(good_ad()), {}, ad));
  REQUIRE(ad == good_ad());
  REQUIRE_FALSE(parse_ad(ad_to_json(good_ad()), "ad_1", ad));
  REQUIRE(ad == good_ad());
}

TEST_CASE("parse_ad: the path gives the ad_id, which the body must not contradict", "[catalog]") {
  const std::string rest =
      R"("advertiser_id":"v","ad_format":"f","redirect_url":"http://h/","x":{"ad_id":[]}})";
  Ad ad;
  REQUIRE_FALSE(parse_ad("{" + rest, "p", ad));
  REQUIRE(ad.ad_id == "p");
  REQUIRE(complaint("{" + rest) == "ad_id: it is required");
  REQUIRE(complaint(R"({"ad_id":null,)" + rest, "p").empty());
  REQUIRE(complaint(R"({"ad_id":"q",)" + rest, "p") == "ad_id: \"q\" is not the path's \"p\"");
  REQUIRE(complaint("{" + rest, "p/q").starts_with("ad_id: "));
}

TEST_CASE("parse_ad: wrong bodies are told", "[catalog]") {
  REQUIRE(complaint("{").starts_with(": malformed JSON at byte 2"));
  REQUIRE(complaint("[]") == ": the JSON value must be an object, not an array");
  REQUIRE(complaint(R"({"ad_id":"a"})") == "advertiser_id: it is required");
  REQUIRE(complaint(R"({"ad_id":7})") == "ad_id: it is no string");
  REQUIRE(complaint(R"({"ad_id":"a","advertiser_id":"v","ad_format":"f","redirect_url":"x"})") ==
          "redirect_url: \"x\": it must be an absolute http:// or https:// URL");
}

TEST_CASE("check_ad: identifiers and format just inside and just outside", "[catalog]") {
  const auto [id, good] = GENERATE(table<std::string, bool>({{"a", true},
                                                             {std::string(64, 'Z'), true},
                                                             {"a.b_c:d-9", true},
                                                             {"", false},
                                                             {std::string(65, 'Z'), false},
                                                             {"a b", false},
                                                             {"ä", false}}));
  CAPTURE(id);
  Ad ad = good_ad();
  ad.ad_id = id;
  REQUIRE(blamed(ad) == (good ? "" : "ad_id"));
  ad = good_ad();
  ad.advertiser_id = id;
  REQUIRE(blamed(ad) == (good ? "" : "advertiser_id"));
}

TEST_CASE("check_ad: ad_format is 1 to 32 of a-z 0-9 _ -", "[catalog]") {
  const auto [format, good] = GENERATE(table<std::string, bool>({{"a", true},
                                                                 {std::string(32, 'z'), true},
                                                                 {"native_video-9", true},
                                                                 {"", false},
                                                                 {std::string(33, 'z'), false},
                                                                 {"Banner", false},
                                                                 {"a.b", false}}));
  Ad ad = good_ad();
  ad.ad_format = format;
  REQUIRE(blamed(ad) == (good ? "" : "ad_format"));
}

TEST_CASE("check_ad: redirect_url is an absolute URL that can't break a header", "[catalog]") {
  const auto [url, good] = GENERATE(table<std::string, bool>({
      {"http://a", true},
      {"HTTPS://a.example:8443/x", true},
      {"https://user:p@a.example/", true},
      {"https://[2001:db8::1]:80/", true},
      {"https://a?x", true},
      {"https://a#x", true},
      {"http://a:65535/", true},
      {"http://a/" + std::string(2048 - 9, 'x'), true},
      {"http://a/" + std::string(2049 - 9, 'x'), false},
      {"http://a:65536/", false},
      {"http://a:x/", false},
      {"", false},
      {"http://", false},
      {"http:///path", false},
      {"https://?q", false},
      {"https://:80/", false},
      {"https://user@/", false},
      {"https://[]/", false},
      {"https://[zz]/", false},
      {"https://[::1/", false},
      {"https://\\evil.example/", false},
      {"ftp://a/", false},
      {"javascript:alert(1)", false},
      {"//a/", false},
      {"/path", false},
      {"http:/a", false},
      {"https://a/ b", false},
      {"https://a/\r\nSet-Cookie: x=1", false},
      {"https://a/\x7f", false},
      {std::string("https://a/\0", 11), false},
      {"https://ä.example/", false},
      {" https://a/", false},
  }));
  CAPTURE(url);
  Ad ad = good_ad();
  ad.redirect_url = url;
  REQUIRE(blamed(ad) == (good ? "" : "redirect_url"));
}

}  // namespace clickmill::catalog
