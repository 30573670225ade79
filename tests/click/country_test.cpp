// One list of countries for whoever names one. What a person's request says of it never
// costs the redirect; a server and an asker are told what is wrong.

#include <catch2/catch.hpp>
#include <string>

#include "click/parse.h"

namespace clickmill::click {
namespace {

std::string named(const std::optional<Country>& country) {
  return country ? to_string_country(*country) : "none";
}

struct Sent {
  std::string value;  ///< as JSON
  std::string person;
  std::string server;  ///< "error": refused, naming country
};

std::string taken(const std::string& value, bool server) {
  ParsedClick click;
  const auto error = parse_json(R"({"ad_id":"a","country":)" + value + "}", server, click);
  if (!error) return named(click.country);
  REQUIRE(error->field == "country");
  return "error";
}

}  // namespace

TEST_CASE("country: 250 codes, and ZZ where it may be asked for", "[click]") {
  int known = 0;
  int askable = 0;
  for (char a = 'A'; a <= 'Z'; ++a) {
    for (char b = 'A'; b <= 'Z'; ++b) {
      const std::string code{a, b};
      known += known_country(code).has_value();
      askable += parse_country(code).has_value();
    }
  }
  REQUIRE(known == 250);
  REQUIRE(askable == 251);
  REQUIRE(parse_country("ZZ") == kUnknownCountry);
  REQUIRE_FALSE(known_country("ZZ"));
}

TEST_CASE("country: any case is taken, capitals are written", "[click]") {
  for (const char* text : {"XK", "xk", "Xk", "xK"}) {
    REQUIRE(named(known_country(text)) == "XK");
    REQUIRE(named(parse_country(text)) == "XK");
  }
  REQUIRE(named(parse_country("zz")) == "ZZ");
  REQUIRE_FALSE(parse_country("[["));
  REQUIRE_FALSE(parse_country("{{"));
  REQUIRE_FALSE(parse_country(std::string("U\0", 2)));
}

TEST_CASE("country: what is none is absent for a person and an error for a server", "[click]") {
  const auto sent = GENERATE(values<Sent>({
      {R"("US")", "US", "US"},
      {R"("us")", "US", "US"},
      {R"("uS")", "US", "US"},
      {R"("xk")", "XK", "XK"},
      {R"("ZZ")", "none", "ZZ"},
      {R"("zz")", "none", "ZZ"},
      {"null", "none", "none"},
      {R"("UK")", "none", "error"},
      {R"("XX")", "none", "error"},
      {R"("T1")", "none", "error"},
      {R"("EU")", "none", "error"},
      {R"("AP")", "none", "error"},
      {R"("AN")", "none", "error"},
      {R"("A1")", "none", "error"},
      {R"("AA")", "none", "error"},
      {R"("USA")", "none", "error"},
      {R"("840")", "none", "error"},
      {R"("U")", "none", "error"},
      {R"("")", "none", "error"},
      {R"(" US")", "none", "error"},
      {R"("United States")", "none", "error"},
      {R"("-")", "none", "error"},
      {"840", "none", "error"},
      {"true", "none", "error"},
      {R"(["US"])", "none", "error"},
      {R"({"a":1})", "none", "error"},
  }));
  CAPTURE(sent.value);
  REQUIRE(taken(sent.value, false) == sent.person);
  REQUIRE(taken(sent.value, true) == sent.server);
}

TEST_CASE("country: a link's or a form's is read as a person's", "[click]") {
  ParsedClick click;
  QueryParams params;
  params.items = {{"ad_id", "a"}, {"country", "UK"}};
  REQUIRE_FALSE(parse_params(params, click));
  REQUIRE_FALSE(click.country);
  params.items.back().second = "xk";
  REQUIRE_FALSE(parse_params(params, click));
  REQUIRE(named(click.country) == "XK");
}

TEST_CASE("country: a refusal quotes what was sent and says what is meant", "[click]") {
  const std::string rule = " is no country: it must be an ISO 3166-1 alpha-2 code, XK or ZZ";
  REQUIRE(country_complaint("EU") == "\"EU\"" + rule);
  REQUIRE(country_complaint("uk") == "\"uk\"" + rule + "; write GB");
  REQUIRE(country_complaint("USA") == "\"USA\"" + rule + "; write US");
  REQUIRE(country_complaint(std::string(5000, 'x')).size() < 300);
}

TEST_CASE("country: a code of before that is on no list reads as ZZ", "[click]") {
  REQUIRE(listed_country(country_of('D', 'E')) == country_of('D', 'E'));
  REQUIRE(listed_country(country_of('X', 'K')) == country_of('X', 'K'));
  REQUIRE(listed_country(country_of('X', 'X')) == kUnknownCountry);
  REQUIRE(listed_country(country_of('U', 'K')) == kUnknownCountry);
  REQUIRE(listed_country(kUnknownCountry) == kUnknownCountry);
  REQUIRE(listed_country(0) == kUnknownCountry);
  REQUIRE(listed_country(0xffff) == kUnknownCountry);
}

}  // namespace clickmill::click
