#include "query/tzif.h"

#include <catch2/catch.hpp>

#include "base/random.h"
#include "base/time_text.h"
#include "query/posix_rule.h"

namespace clickmill::query {
namespace {

std::string big_endian(uint64_t value, int bytes) {
  std::string out;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    out += static_cast<char>(value >> shift);
  return out;
}

struct Zone {
  std::vector<std::pair<int64_t, uint8_t>> transitions;
  std::vector<int32_t> offsets_s{0};
  std::string rule = "UTC0";
  uint32_t leap = 0;
};

std::string block(const Zone& zone, int width, char version) {
  std::string out = "TZif";
  out += version;
  out += std::string(15, '\0');
  for (const size_t count : {size_t{0}, size_t{0}, size_t{zone.leap}, zone.transitions.size(),
                             zone.offsets_s.size(), size_t{4}}) {
    out += big_endian(count, 4);
  }
  for (const auto& transition : zone.transitions) {
    out += big_endian(static_cast<uint64_t>(transition.first), width);
  }
  for (const auto& transition : zone.transitions) out += static_cast<char>(transition.second);
  for (const int32_t offset_s : zone.offsets_s) {
    out += big_endian(static_cast<uint32_t>(offset_s), 4) + std::string(2, '\0');
  }
  out += std::string("ABC\0", 4);
  for (uint32_t i = 0; i < zone.leap; ++i) out += std::string(static_cast<size_t>(width) + 4, '\0');
  return out;
}

std::string file(const Zone& zone) {
  return block(Zone{}, 4, '2') + block(zone, 8, '2') + "\n" + zone.rule + "\n";
}

TEST_CASE("tzif: the 64-bit block is read, a version 1 file by its 32-bit one", "[query]") {
  const Zone zone{{{-100, 1}, {4'000'000'020, 0}}, {3600, 7200}, "", 0};
  const auto table = parse_tzif(file(zone));
  REQUIRE(table);
  REQUIRE(table->first_offset_ms == 3'600'000);
  REQUIRE(table->transitions.size() == 2);
  REQUIRE(table->transitions[0].at_ms == -120'000);
  REQUIRE(table->transitions[0].offset_ms == 7'200'000);
  REQUIRE(table->transitions[1].at_ms == 4'000'000'020'000);
  REQUIRE_FALSE(table->cycle_begin_ms);

  const Zone old{{{1000, 1}}, {0, -2700}, "", 0};
  const auto first = parse_tzif(block(old, 4, '\0'));
  REQUIRE(first);
  REQUIRE(first->transitions.size() == 1);
  REQUIRE(first->transitions[0].offset_ms == -2'700'000);
}

TEST_CASE("tzif: offsets and transitions are cut to minutes, changes of name left out", "[query]") {
  const auto table = parse_tzif(file({{{63'593'070, 1}, {70'000'000, 1}}, {-2670, 0}, "GMT0", 0}));
  REQUIRE(table);
  REQUIRE(table->first_offset_ms == -45 * 60'000);
  REQUIRE(table->transitions.size() == 1);
  REQUIRE(table->transitions[0].at_ms == 63'593'040'000);
}

TEST_CASE("tzif: a far past transition is where the table begins", "[query]") {
  const auto table = parse_tzif(file({{{-(int64_t{1} << 59), 1}}, {60, 3600}, "", 0}));
  REQUIRE(table);
  REQUIRE(table->first_offset_ms == 3'600'000);
  REQUIRE(table->transitions.empty());
  REQUIRE(parse_tzif(file({{{INT64_MIN, 1}, {INT64_MAX, 0}}, {60, 3600}, "", 0})));
}

TEST_CASE("tzif: what can't be a zone file is refused", "[query]") {
  REQUIRE_FALSE(parse_tzif(""));
  REQUIRE_FALSE(parse_tzif("TZif"));
  REQUIRE_FALSE(parse_tzif(file({{{5, 2}}, {0, 60}, "", 0})));
  REQUIRE_FALSE(parse_tzif(file({{{5, 0}, {5, 1}}, {0, 60}, "", 0})));
  REQUIRE_FALSE(parse_tzif(file({{}, {}, "", 0})));
  REQUIRE_FALSE(parse_tzif(file({{}, {26 * 3600}, "", 0})));
  REQUIRE_FALSE(parse_tzif(file({{}, {-25 * 3600}, "", 0})));
  REQUIRE(parse_tzif(file({{}, {26 * 3600 - 1}, "", 0})));
  REQUIRE_FALSE(parse_tzif(file({{}, {0}, "", 1})));
  REQUIRE_FALSE(parse_tzif(file({{}, {0}, "X", 0})));
  REQUIRE_FALSE(parse_tzif(file({{}, {0}, "EST5EDT", 0})));
}

TEST_CASE("tzif: no cut and no random change makes it crash", "[query]") {
  const std::string good =
      file({{{100, 1}, {2'000'000'000, 0}}, {-18000, -14400}, "EST5EDT,M3.2.0,M11.1.0", 0});
  REQUIRE(parse_tzif(good));
  for (size_t size = 0; size < good.size(); ++size) {
    if (parse_tzif(std::string_view(good).substr(0, size))) FAIL(size);
  }
  const uint64_t seed = 11;
  CAPTURE(seed);
  Random random(seed);
  size_t read = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string bad = good;
    for (uint64_t changes = 1 + random.below(3); changes > 0; --changes) {
      bad[random.below(bad.size())] = static_cast<char>(random.next());
    }
    const auto table = parse_tzif(bad);
    if (table) read += table->transitions.size();
  }
  REQUIRE(read > 0);
}

TEST_CASE("posix rule: the forms that zone files have", "[query]") {
  struct Case {
    std::string text;
    int64_t standard_s, summer_s;
    std::string begin_2026, end_2026;  // local
  };
  const auto c = GENERATE(values<Case>({
      {"CET-1CEST,M3.5.0,M10.5.0/3", 3600, 7200, "2026-03-29T02:00:00Z", "2026-10-25T03:00:00Z"},
      {"EST5EDT,M3.2.0,M11.1.0", -18000, -14400, "2026-03-08T02:00:00Z", "2026-11-01T02:00:00Z"},
      {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 37800, 39600, "2026-10-04T02:00:00Z",
       "2026-04-05T02:00:00Z"},
      {"IST-1GMT0,M10.5.0,M3.5.0/1", 3600, 0, "2026-10-25T02:00:00Z", "2026-03-29T01:00:00Z"},
      {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", -7200, -3600, "2026-03-28T23:00:00Z",
       "2026-10-25T00:00:00Z"},
      {"IST-2IDT,M3.4.4/26,M10.5.0", 7200, 10800, "2026-03-27T02:00:00Z", "2026-10-25T02:00:00Z"},
      {"AAA0BBB,J60,J365/23:30:15", 0, 3600, "2026-03-01T02:00:00Z", "2026-12-31T23:30:15Z"},
      {"XXX3EDT4,0/0,364/23", -10800, -14400, "2026-01-01T00:00:00Z", "2026-12-31T23:00:00Z"},
  }));
  CAPTURE(c.text);
  const auto rule = parse_posix_rule(c.text);
  REQUIRE(rule);
  REQUIRE(rule->has_summer);
  REQUIRE(rule->standard_offset_s == c.standard_s);
  REQUIRE(rule->summer_offset_s == c.summer_s);
  REQUIRE(format_time_ms(rule->summer_begin.at(2026) * 1000) == c.begin_2026);
  REQUIRE(format_time_ms(rule->summer_end.at(2026) * 1000) == c.end_2026);
}

TEST_CASE("posix rule: days count as the form says in leap years", "[query]") {
  const auto rule = parse_posix_rule("AAA0BBB,J60/0,59/0");
  REQUIRE(rule);
  REQUIRE(format_time_ms(rule->summer_begin.at(2024) * 1000) == "2024-03-01T00:00:00Z");
  REQUIRE(format_time_ms(rule->summer_end.at(2024) * 1000) == "2024-02-29T00:00:00Z");
}

TEST_CASE("posix rule: anything else is refused", "[query]") {
  REQUIRE_FALSE(parse_posix_rule("<+00>0")->has_summer);
  for (const std::string text :
       {"", "A", "AB5", "EST", "EST25", "EST5EDT", "EST5EDT,", "EST5EDT,M3.2.0",
        "EST5EDT,M13.2.0,M11.1.0", "EST5EDT,M3.6.0,M11.1.0", "EST5EDT,M3.2.7,M11.1.0",
        "EST5EDT,M3.2.0/168,M11.1.0", "EST5EDT,J0,J5", "EST5EDT,J366,J5", "EST5EDT,366,5",
        "EST5EDT,M3.2.0,M11.1.0x", "<EST5", "EST5:60", "EST5 "}) {
    CAPTURE(text);
    REQUIRE_FALSE(parse_posix_rule(text));
  }
}

}  // namespace
}  // namespace clickmill::query
