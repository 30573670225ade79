#include "base/params.h"

#include <catch2/catch.hpp>
#include <string>
#include <tuple>

#include "base/strong.h"

namespace clickmill {
namespace {

/// "field: detail" of what failed, empty when nothing did.
std::string failed(const Params& params) {
  if (!params.failure()) return {};
  return params.failure()->field + ": " + params.failure()->detail;
}

std::string blamed(const Params& params) {
  return params.failure() ? params.failure()->field : "nothing";
}

}  // namespace

TEST_CASE("params: unknown, repeated and broken ones are named", "[base]") {
  const auto [query, blame] = GENERATE(table<std::string, std::string>({
      {"", "nothing"},
      {"a=1&b=2", "nothing"},
      {"b=&a", "nothing"},
      {"c=1", "c"},
      {"a=1&a=1", "a"},
      {"a=1&%61=2", "a"},
      {"a=%zz", ""},
      {"=1", ""},
  }));
  CAPTURE(query);
  Params params(query);
  params.expect_only({"a", "b"});
  CHECK(blamed(params) == blame);
}

TEST_CASE("params: where none is known, any is unknown", "[base]") {
  Params params("a=1");
  params.expect_only({});
  CHECK(blamed(params) == "a");
  Params none("");
  none.expect_only({});
  CHECK(blamed(none) == "nothing");
}

TEST_CASE("params: a number is digits within its limits, whatever its length", "[base]") {
  const auto [query, want, blame] = GENERATE(table<std::string, uint64_t, std::string>({
      {"", 7, "nothing"},
      {"n=3", 3, "nothing"},
      {"n=10", 10, "nothing"},
      {"n=2", 7, "n"},
      {"n=11", 7, "n"},
      {"n=", 7, "n"},
      {"n=+3", 7, "n"},
      {"n=-3", 7, "n"},
      {"n=3.0", 7, "n"},
      {"n=3%20", 7, "n"},
      {"n=0x3", 7, "n"},
      {"n=18446744073709551615", 7, "n"},
      {"n=18446744073709551616", 7, "n"},
      {"n=18446744073709551619", 7, "n"},
  }));
  CAPTURE(query);
  Params params(query);
  CHECK(params.number("n", 7, 3, 10) == want);
  CHECK(blamed(params) == blame);
}

TEST_CASE("params: a range is two times, the later one behind", "[base]") {
  const auto [query, blame] = GENERATE(table<std::string, std::string>({
      {"from=0&to=1782295200000", "nothing"},
      {"from=1970-01-01T00:00:00Z&to=9999-12-31T23:59:59.999Z", "nothing"},
      {"from=2026-06-24&to=2026-06-25", "nothing"},
      {"from=0&to=253402300799999", "nothing"},
      {"from=0&to=253402300800000", "to"},
      {"from=0&to=9223372036854775807", "to"},
      {"from=0&to=99999999999999999999999", "to"},
      {"from=-1&to=1782295200000", "from"},
      {"from=1782295200000&to=1782295200000", "to"},
      {"from=1782295200001&to=1782295200000", "to"},
      {"to=1782295200000", "from"},
      {"from=1782295200000", "to"},
      {"from=&to=1782295200000", "from"},
      {"from=yesterday&to=1782295200000", "from"},
  }));
  CAPTURE(query);
  Params params(query);
  params.range();
  CHECK(blamed(params) == blame);
}

TEST_CASE("params: a range that may be absent is open where it is", "[base]") {
  Params params("from=1782295200000");
  const TimeRange range = params.range({0, INT64_MAX});
  CHECK(failed(params).empty());
  CHECK(range.from_ms == 1'782'295'200'000);
  CHECK(range.to_ms == INT64_MAX);
  Params wrong("from=-5");
  wrong.range({0, INT64_MAX});
  CHECK(blamed(wrong) == "from");
}

TEST_CASE("params: a time without a zone is what a clock shows", "[base]") {
  Params utc("at=1970-01-02");
  CHECK(utc.time("at") == kDayMs);
  Params elsewhere("at=1970-01-02&exact=1970-01-02T00:00:00Z");
  elsewhere.read_local_times([](int64_t shown_ms) { return shown_ms - kHourMs; });
  CHECK(elsewhere.time("at") == kDayMs - kHourMs);
  CHECK(elsewhere.time("exact") == kDayMs);
}

TEST_CASE("params: words and flags", "[base]") {
  Params params("repair=true&colour=red");
  CHECK(params.flag("repair", false));
  CHECK(params.flag("other", true));
  static constexpr std::array<std::pair<std::string_view, int>, 2> kSizes{
      {{"small", 1}, {"large", 2}}};
  CHECK(params.word("size", 5, kSizes) == 5);
  CHECK(failed(params).empty());
  CHECK(params.word("colour", 5, kSizes) == 5);
  CHECK(failed(params) == "colour: \"red\" is none of small, large");
}

TEST_CASE("params: the first failure is the one told", "[base]") {
  Params params("a=x&b=y");
  params.number("b", 0, 0, 9);
  params.number("a", 0, 0, 9);
  CHECK(blamed(params) == "b");
  CHECK(params.later("a", "b") == "b");
  CHECK(params.later("a", "absent") == "absent");
}

}  // namespace clickmill
