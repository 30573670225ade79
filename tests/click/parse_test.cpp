#include "click/parse.h"

#include <catch2/catch.hpp>
#include <random>

#include "base/query_params.h"

namespace clickmill::click {
namespace {

/// `field: detail` of what parse_json complains about, or empty.
std::string complaint(std::string_view json, bool connection_fields = false) {
  ParsedClick click;
  const auto wrong = parse_json(json, connection_fields, click);
  return wrong ? wrong->field + ": " + wrong->detail : "";
}

/// The same with one member beside a good ad_id.
std::string complaint_about(const std::string& member, bool connection_fields = false) {
  return complaint(R"({"ad_id":"a",)" + member + "}", connection_fields);
}

ParsedClick parsed(std::string_view json, bool connection_fields = false) {
  ParsedClick click;
  const auto wrong = parse_json(json, connection_fields, click);
  CAPTURE(json);
  REQUIRE_FALSE(wrong);
  return click;
}

std::string quoted(const std::string& text) { return '"' + text + '"'; }

std::string params_complaint(std::vector<std::pair<std::string, std::string>> items,
                             ParsedClick* out = nullptr) {
  QueryParams params;
  params.items = std::move(items);
  ParsedClick click;
  const auto wrong = parse_params(params, out != nullptr ? *out : click);
  return wrong ? wrong->field + ": " + wrong->detail : "";
}

}  // namespace

TEST_CASE("parse_json: all fields are read", "[click]") {
  const auto click = parsed(R"({"click_id":"c-1","ad_id":"ad_8821","timestamp_ms":1782295200000,
      "device_type":"tablet","country":"US","user_id":"ü1","unknown":[1,{"ad_id":"no"}]})");
  REQUIRE(click.click_id == "c-1");
  REQUIRE(click.ad_id == "ad_8821");
  REQUIRE(click.timestamp_ms == 1'782'295'200'000);
  REQUIRE(click.device == Device::tablet);
  REQUIRE(click.country == country_of('U', 'S'));
  REQUIRE(click.user_id == "ü1");
  REQUIRE_FALSE(check_required(click));
}

TEST_CASE("parse_json: null is absent, empty is not", "[click]") {
  const auto click = parsed(R"({"ad_id":"a","click_id":null,"timestamp_ms":null,"device_type":null,
      "country":null,"user_id":null})");
  REQUIRE_FALSE(click.click_id);
  REQUIRE_FALSE(click.timestamp_ms);
  REQUIRE_FALSE(click.device);
  REQUIRE_FALSE(click.country);
  REQUIRE(click.user_id.empty());
  REQUIRE(complaint(R"({"ad_id":null})") == "ad_id: it is required");
  REQUIRE(complaint("{}") == "ad_id: it is required");
  REQUIRE(complaint_about(R"("click_id":"")").starts_with("click_id: \"\" is not 1 to 64"));
  REQUIRE(complaint_about(R"("user_id":"")").empty());
  REQUIRE(complaint_about(R"("country":"")", true).starts_with("country: "));
  REQUIRE(complaint_about(R"("device_type":"")").starts_with("device_type: "));
}

TEST_CASE("parse_json: of a member given twice the last one counts", "[click]") {
  REQUIRE(parsed(R"({"ad_id":"a","ad_id":"b","timestamp_ms":-5,"timestamp_ms":5})").ad_id == "b");
  REQUIRE_FALSE(parsed(R"({"ad_id":"a","click_id":"x","click_id":null})").click_id);
  REQUIRE(complaint(R"({"ad_id":"a","ad_id":7})").starts_with("ad_id: a number"));
}

TEST_CASE("parse_json: timestamp_ms is an integer from 0 to the end of year 9999", "[click]") {
  const auto [value, want] = GENERATE(table<std::string, std::string>({
      {"0", ""},
      {"-0", ""},
      {"253402300799999", ""},
      {"253402300800000", "253402300800000 is above 253402300799999"},
      {"-5", "-5 is below 0"},
      {"-1", "-1 is below 0"},
      {"-9223372036854775808", "-9223372036854775808 is below 0"},
      {"9223372036854775808", "\"9223372036854775808\" is no integer in range"},
      {"1e3", "\"1e3\" is no integer in range"},
      {"1.5", "\"1.5\" is no integer in range"},
      {"1.0", "\"1.0\" is no integer in range"},
      {"99999999999999999999999", "\"99999999999999999999999\" is no integer in range"},
      {"\"123\"", "\"123\" is no integer but a string"},
      {"true", "a boolean is no integer"},
      {"[1]", "an array is no integer"},
      {"{}", "an object is no integer"},
  }));
  CAPTURE(value);
  const std::string told = complaint_about("\"timestamp_ms\":" + value);
  REQUIRE(told == (want.empty() ? "" : "timestamp_ms: " + want));
}

TEST_CASE("parse_json: a number no double holds is told by field and byte", "[click]") {
  REQUIRE(complaint(R"({"timestamp_ms":1e999})") ==
          "timestamp_ms: 1e999 at byte 21 is out of range");
  REQUIRE(complaint(R"({"other":1e999})").starts_with(": 1e999 at byte "));
}

TEST_CASE("parse_json: each text field just inside and just outside its rule", "[click]") {
  const std::string id64(64, 'x');
  const std::string id65(65, 'x');
  const auto [member, field] = GENERATE_COPY(table<std::string, std::string>({
      {"\"click_id\":" + quoted(id64), ""},
      {"\"click_id\":" + quoted(id65), "click_id"},
      {R"("click_id":"!~")", ""},
      {R"("click_id":"a b")", "click_id"},
      {R"("click_id":"a\u007f")", "click_id"},
      {R"("click_id":"a\u001f")", "click_id"},
      {R"("click_id":"é")", "click_id"},
      {R"("click_id":7)", "click_id"},
      {"\"ad_id\":" + quoted(id64), ""},
      {"\"ad_id\":" + quoted(id65), "ad_id"},
      {R"("ad_id":"Az09._:-")", ""},
      {R"("ad_id":"a/b")", "ad_id"},
      {R"("ad_id":"a b")", "ad_id"},
      {R"("ad_id":"")", "ad_id"},
      {R"("ad_id":[])", "ad_id"},
      {R"("device_type":"mobile")", ""},
      {R"("device_type":"other")", ""},
      {R"("device_type":"phone")", "device_type"},
      {R"("device_type":1)", "device_type"},
      {R"("country":"DE")", ""},
      {"\"user_id\":" + quoted(std::string(256, 'u')), ""},
      {"\"user_id\":" + quoted(std::string(257, 'u')), "user_id"},
      {R"("user_id":12)", "user_id"},
  }));
  CAPTURE(member);
  const std::string told = complaint_about(member);
  REQUIRE(told.substr(0, told.find(':')) == field);
}

TEST_CASE("parse_json: a wrong device is told the allowed words", "[click]") {
  REQUIRE(complaint_about(R"("device_type":"phone")") ==
          "device_type: \"phone\" is none of mobile, desktop, tablet, other");
}

TEST_CASE("parse_json: connection fields are read from bulk lines only", "[click]") {
  const std::string json =
      R"({"ad_id":"a","ip":"10.0.0.1","user_agent":"x","referrer":"https://r.example/"})";
  const auto bulk = parsed(json, true);
  REQUIRE(bulk.ip == "10.0.0.1");
  REQUIRE(bulk.user_agent == "x");
  REQUIRE(bulk.referrer == "https://r.example/");
  const auto single = parsed(json, false);
  REQUIRE_FALSE(single.ip);
  REQUIRE_FALSE(single.user_agent);
  REQUIRE_FALSE(single.referrer);
  REQUIRE(complaint_about(R"("ip":7)").empty());
  REQUIRE(complaint_about(R"("ip":7)", true) == "ip: a number is no string");
  REQUIRE(complaint_about(R"("user_agent":[])", true) == "user_agent: an array is no string");
}

TEST_CASE("parse_json: a bulk line's address has its one spelling or is refused", "[click]") {
  const auto [text, want] = GENERATE(table<std::string, std::string>({
      {"203.0.113.7", "203.0.113.7"},
      {"::ffff:203.0.113.7", "203.0.113.7"},
      {"2001:DB8:0:0::7", "2001:db8::7"},
      {"203.0.113.7:51234", "203.0.113.7"},
      {"[2001:db8::7]:443", "2001:db8::7"},
      {"", ""},
      {"unknown", ""},
      {"203.0.113.256", ""},
      {"203.0.113.7/32", ""},
      {std::string(100'000, '1'), ""},
  }));
  CAPTURE(text);
  const std::string member = "\"ip\":" + quoted(text);
  if (want.empty()) {
    const std::string told = complaint_about(member, true);
    REQUIRE(told.starts_with("ip: \""));
    REQUIRE(told.ends_with("\" is no IP address"));
  } else {
    REQUIRE(parsed(R"({"ad_id":"a",)" + member + "}", true).ip == want);
  }
}

TEST_CASE("parse_json: a bulk line's agent and referrer are cut like a header's", "[click]") {
  const std::string whole(1024, 'x');
  const auto click = parsed(
      R"({"ad_id":"a","user_agent":")" + whole + R"(x","referrer":")" + whole.substr(1) + "ü\"}",
      true);
  REQUIRE(click.user_agent == whole);
  REQUIRE(click.referrer == whole.substr(1));
}

TEST_CASE("cut_utf8: at most so many bytes, and no half character", "[click]") {
  REQUIRE(cut_utf8("abc", 3) == "abc");
  REQUIRE(cut_utf8("abcd", 3) == "abc");
  REQUIRE(cut_utf8("aü", 3) == "aü");
  REQUIRE(cut_utf8("aü", 2) == "a");
  REQUIRE(cut_utf8("a€", 3) == "a");
  REQUIRE(cut_utf8("a\xf0\x9f\x98\x80", 4) == "a");
  REQUIRE(cut_utf8("a\xf0\x9f\x98\x80", 5) == "a\xf0\x9f\x98\x80");
  // Bytes that are no UTF-8 are no reason to lose more.
  REQUIRE(cut_utf8(std::string(20, '\x80'), 10) == std::string(10, '\x80'));
  REQUIRE(cut_utf8(std::string(20, '\xff'), 10) == std::string(10, '\xff'));
  REQUIRE(cut_utf8("", 0).empty());
}

TEST_CASE("parse_json: malformed JSON is told by byte", "[click]") {
  const auto [json, want] = GENERATE(table<std::string, std::string>({
      {"", "malformed JSON at byte 1"},
      {"{", "malformed JSON at byte 2"},
      {R"({"ad_id":"a",})", "malformed JSON at byte 14"},
      {R"({"ad_id":"a"}x)", "malformed JSON at byte 14"},
      {R"({"ad_id":"a"} {})", "malformed JSON at byte 15"},
      {R"({"ad_id":truth})", "malformed JSON at byte 13"},
      {R"({ad_id:"a"})", "malformed JSON at byte 2"},
      {R"(/**/{"ad_id":"a"})", "malformed JSON at byte 1"},
      {std::string("{\"ad_id\":\"a\"}\0x", 15), "malformed JSON at byte 14: a NUL"},
      {"{\"ad_id\":\"a\nb\"}", "malformed JSON at byte 12"},
      {"{\"user_id\":\"\xc0\xaf\"}", "malformed JSON at byte 13"},
      {"{\"user_id\":\"\xff\"}", "malformed JSON at byte 13"},
      {R"({"user_id":"\ud800"})", "malformed JSON at byte "},
      {R"({"x":01})", "malformed JSON at byte 7"},
      {R"([{"ad_id":"a"}])", "the JSON value must be an object, not an array"},
      {R"("ad_id")", "the JSON value must be an object"},
      {"7", "the JSON value must be an object"},
      {"null", "the JSON value must be an object"},
  }));
  CAPTURE(json);
  const std::string told = complaint(json);
  CAPTURE(told);
  REQUIRE(told.starts_with(": " + want));
}

TEST_CASE("parse_json: a server may say whether a machine clicked, a client may not", "[click]") {
  const auto said = [](const std::string& value, bool by_server) {
    return parsed(R"({"ad_id":"a","automated":)" + value + "}", by_server).automated;
  };
  CHECK(said("true", true) == true);
  CHECK(said("false", true) == false);
  CHECK_FALSE(said("null", true));
  CHECK_FALSE(said("true", false));
  CHECK_FALSE(said("\"what\"", false));
  CHECK(complaint_about(R"("automated":1)", true) ==
        "automated: a number is neither true nor false");
  CHECK(complaint_about(R"("automated":"yes")", true) ==
        "automated: \"yes\" is neither true nor false");
  CHECK(complaint_about(R"("automated":[])", true) ==
        "automated: an array is neither true nor false");
}

TEST_CASE("parse_json: an error never quotes much of the input", "[click]") {
  const std::string noise(100'000, 'x');
  REQUIRE(complaint("{\"a\":\"" + noise).size() < 300);
  REQUIRE(complaint("{\"" + noise + "\":\"\n\"}").size() < 300);
  REQUIRE(complaint_about("\"click_id\":" + quoted(noise)).size() < 300);
  REQUIRE(complaint_about("\"timestamp_ms\":" + std::string(1000, '9')).size() < 300);
  REQUIRE(complaint_about("\"timestamp_ms\":1" + std::string(300, '0')).size() < 300);
}

TEST_CASE("parse_json: 32 levels are skipped, 33 refused, a million don't matter", "[click]") {
  const auto nested = [](size_t levels, bool closed) {
    std::string json = R"({"ad_id":"a","x":)" + std::string(levels - 1, '[');
    if (closed) json += std::string(levels - 1, ']') + "}";
    return json;
  };
  REQUIRE(complaint(nested(32, true)).empty());
  REQUIRE(complaint(nested(33, true)) == ": JSON is nested deeper than 32 levels");
  REQUIRE(complaint(nested(1'000'000, false)) == ": JSON is nested deeper than 32 levels");
  std::string objects = R"({"ad_id":"a")";
  for (int i = 0; i < 100'000; ++i) objects += R"(,"x":{"ad_id":7)";
  REQUIRE(complaint(objects) == ": JSON is nested deeper than 32 levels");
}

TEST_CASE("parse_json: what an earlier parse left is forgotten", "[click]") {
  ParsedClick click;
  REQUIRE_FALSE(parse_json(R"({"ad_id":"a","click_id":"c","user_id":"u"})", false, click));
  REQUIRE_FALSE(parse_json(R"({"ad_id":"b"})", false, click));
  REQUIRE_FALSE(click.click_id);
  REQUIRE(click.user_id.empty());
}

TEST_CASE("parse_params: fields are read, unknown ones ignored, the last wins", "[click]") {
  ParsedClick click;
  REQUIRE(params_complaint({{"utm_source", "x"},
                            {"ad_id", "a"},
                            {"ad_id", "b"},
                            {"timestamp_ms", "1782295200000"},
                            {"click_id", "c"},
                            {"user_id", ""},
                            {"country", "FR"},
                            {"ip", "1.2.3.4"},
                            {"device_type", "desktop"}},
                           &click)
              .empty());
  REQUIRE(click.ad_id == "b");
  REQUIRE(click.timestamp_ms == 1'782'295'200'000);
  REQUIRE(click.device == Device::desktop);
  REQUIRE(click.country == country_of('F', 'R'));
  REQUIRE_FALSE(click.ip);
}

TEST_CASE("parse_params: timestamp_ms takes digits only", "[click]") {
  const auto [text, good] = GENERATE(table<std::string, bool>({{"0", true},
                                                               {"253402300799999", true},
                                                               {"253402300800000", false},
                                                               {"-1", false},
                                                               {"-0", true},
                                                               {"+1", false},
                                                               {"1.5", false},
                                                               {" 1", false},
                                                               {"1 ", false},
                                                               {"0x10", false},
                                                               {"1e3", false},
                                                               {"", false},
                                                               {"99999999999999999999", false}}));
  CAPTURE(text);
  const std::string told = params_complaint({{"ad_id", "a"}, {"timestamp_ms", text}});
  REQUIRE(told.empty() == good);
  if (!good) REQUIRE(told.starts_with("timestamp_ms: "));
}

TEST_CASE("parse_params: wrong fields are named", "[click]") {
  REQUIRE(params_complaint({}) == "ad_id: it is required");
  REQUIRE(params_complaint({{"ad_id", "a"}, {"click_id", ""}}).starts_with("click_id: "));
  REQUIRE(params_complaint({{"ad_id", "a"}, {"user_id", "\xff"}}) ==
          "user_id: it is no valid UTF-8");
}

TEST_CASE("check_required: click_id and timestamp_ms", "[click]") {
  REQUIRE(check_required(parsed(R"({"ad_id":"a","timestamp_ms":1})"))->field == "click_id");
  REQUIRE(check_required(parsed(R"({"ad_id":"a","click_id":"c"})"))->field == "timestamp_ms");
}

TEST_CASE("check_sent_by_server: a timestamp before 1973 can only be seconds", "[click]") {
  const auto told = [](const std::string& timestamp) {
    const auto error = check_sent_by_server(
        parsed(R"({"ad_id":"a","click_id":"c","timestamp_ms":)" + timestamp + "}"));
    return error ? error->field + ": " + error->detail : "";
  };
  REQUIRE(told("100000000000").empty());
  REQUIRE(told("99999999999").starts_with("timestamp_ms: 99999999999 is before March 1973"));
  REQUIRE(told("1795829153").find("seconds") != std::string::npos);
  REQUIRE(told("0").starts_with("timestamp_ms: 0 is"));
  REQUIRE(check_sent_by_server(parsed(R"({"ad_id":"a","timestamp_ms":1})"))->field == "click_id");
}

TEST_CASE("valid_utf8: well-formed sequences only", "[click]") {
  const auto [text, good] = GENERATE(table<std::string, bool>({
      {"", true},
      {"abc", true},
      {"\xc2\x80", true},
      {"\xdf\xbf", true},
      {"\xe0\xa0\x80", true},
      {"\xed\x9f\xbf", true},
      {"\xef\xbf\xbf", true},
      {"\xf0\x90\x80\x80", true},
      {"\xf4\x8f\xbf\xbf", true},
      {"\x80", false},
      {"\xc1\xbf", false},
      {"\xe0\x9f\xbf", false},
      {"\xed\xa0\x80", false},
      {"\xf0\x8f\xbf\xbf", false},
      {"\xf4\x90\x80\x80", false},
      {"\xf5\x80\x80\x80", false},
      {"\xc3", false},
      {"a\xe2\x82", false},
      {"\xf0\x90\x80", false},
      {"\xe2\x28\xa1", false},
  }));
  REQUIRE(valid_utf8(text) == good);
}

// Goal: what the quick reader takes is what the library would have taken, and the same.
// Method: an escape in the first member makes any text the library's.
TEST_CASE("parse_json: quickly read or not, a text says the same", "[click]") {
  const std::vector<std::string> pieces = {R"("ad_id":"a-1")",
                                           R"("click_id":"c.2")",
                                           R"("timestamp_ms":1782295200412)",
                                           R"("timestamp_ms":-1)",
                                           R"("timestamp_ms":01)",
                                           R"("timestamp_ms":1.5)",
                                           R"("timestamp_ms":0)",
                                           R"("timestamp_ms":99999999999999999999)",
                                           R"("country":"DE")",
                                           R"("country":null)",
                                           R"("device_type":true)",
                                           R"("x":false)",
                                           R"("x":{"ad_id":"b"})",
                                           R"("x":[1,"a"])",
                                           ",",
                                           ":",
                                           "}",
                                           "{",
                                           "\"",
                                           " ",
                                           "\n",
                                           "\t",
                                           "nul",
                                           R"("user_id":"ü")",
                                           R"("user_id":"\n")",
                                           "\x01",
                                           "7",
                                           R"("timestamp_ms":12e3)",
                                           R"("user_id":"~ \u00e9")"};
  std::mt19937_64 random(GENERATE(1, 2, 3));
  const auto below = [&random](size_t bound) { return static_cast<size_t>(random() % bound); };
  const auto told = [](const std::string& members) {
    ParsedClick click;
    const auto wrong = parse_json("{" + members, true, click);
    // Bytes are counted from other places.
    if (wrong) return wrong->field + (wrong->field.empty() ? "" : wrong->detail);
    return click.ad_id + '|' + click.click_id.value_or("-") + '|' + click.user_id + '|' +
           std::to_string(click.timestamp_ms.value_or(-1)) + '|' +
           std::to_string(click.country.value_or(0));
  };
  std::string differs;
  for (int round = 0; round < 20'000 && differs.empty(); ++round) {
    std::string members = R"("ad_id":"first")";
    for (size_t count = below(6); count > 0; --count) {
      if (below(8) != 0) members += ',';
      members += pieces[below(pieces.size())];
    }
    members += '}';
    if (told(members) != told(R"("z":"\u0041",)" + members)) differs = members;
  }
  CHECK(differs.empty());
}

}  // namespace clickmill::click
