#include "base/ndjson.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

namespace clickmill {
namespace {

using Lines = std::vector<std::pair<size_t, std::string>>;

Lines lines_of(std::string_view text, size_t most = SIZE_MAX) {
  Lines lines;
  for_each_line(text, [&](std::string_view line, size_t number) {
    lines.emplace_back(number, line);
    return lines.size() < most;
  });
  return lines;
}

}  // namespace

TEST_CASE("ndjson: blank lines are counted and passed over", "[base]") {
  CHECK(lines_of("").empty());
  CHECK(lines_of("\n \r\n\t\n").empty());
  CHECK(lines_of("a") == Lines{{1, "a"}});
  CHECK(lines_of("a\n") == Lines{{1, "a"}});
  CHECK(lines_of("\na\r\n\n b \nc") == Lines{{2, "a\r"}, {4, " b "}, {5, "c"}});
  CHECK(lines_of("a\nb\nc", 2) == Lines{{1, "a"}, {2, "b"}});
}

TEST_CASE("ndjson: a report lists the first thousand of all that was rejected", "[base]") {
  LineReport report;
  CHECK(report.to_json() == R"({"accepted":0,"rejected_count":0,"rejected":[]})");
  report.accept();
  report.accept(2);
  report.reject(9, "ad_id", "no such ad: \"x\"");
  report.reject(4, "", "no JSON");
  CHECK(report.to_json() ==
        R"({"accepted":3,"rejected_count":2,"rejected":[{"line":4,"field":"","detail":"no JSON"},)"
        R"({"line":9,"field":"ad_id","detail":"no such ad: \"x\""}]})");
  for (size_t line = 2000; line > 1000; --line) report.reject(line, "f", "d");
  CHECK(report.rejected() == 1002);
  const std::string json = report.to_json();
  CHECK(json.find(R"("line":4,)") != std::string::npos);
  CHECK(json.find(R"("line":1998,)") != std::string::npos);
  CHECK(json.find(R"("line":1999,)") == std::string::npos);
}

TEST_CASE("ndjson: where nothing was accepted the report says why, if asked", "[base]") {
  LineReport report;
  CHECK(report.to_json_with_reason("each is a line") ==
        R"({"accepted":0,"rejected_count":0,"rejected":[],)"
        R"("detail":"the body holds no line; each is a line"})");
  report.reject(7, "ad_id", "is missing");
  report.reject(3, "", "no JSON");
  CHECK(report.to_json_with_reason("").find(
            R"(],"detail":"none of 2 lines was accepted; the first, line 3: no JSON"})") !=
        std::string::npos);
  CHECK(report.to_json().find("none of") == std::string::npos);
  report.accept();
  CHECK(report.to_json_with_reason("each is a line") == report.to_json());
}

}  // namespace clickmill
