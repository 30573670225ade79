#include "cluster/position.h"

#include <catch2/catch.hpp>

namespace clickmill::cluster {
namespace {

TEST_CASE("position: what an answer gives is read back", "[cluster]") {
  std::vector<store::Version> versions(2);
  versions[0].applied = Offset(8120);
  versions[1].applied = Offset(UINT64_MAX);
  const std::string text = position_text({PartitionId(3), PartitionId(17)}, versions);
  CHECK(text == "3:8120,17:18446744073709551615");
  const Position want{{PartitionId(3), Offset(8120)}, {PartitionId(17), Offset(UINT64_MAX)}};
  CHECK(parse_position(text, 64) == want);
  CHECK(parse_position("", 64) == Position());
  // Of two answers the farther one counts.
  CHECK(parse_position("3:5,3:9,3:7", 64) == Position{{PartitionId(3), Offset(9)}});
}

TEST_CASE("position: anything else is none", "[cluster]") {
  for (const char* text : {"3", "3:", ":5", "3:5,", "3:5;4:6", "64:1", "-1:5", "3:-5", "3:5 ",
                           "3:18446744073709551616", "a:b", "99999999999:1"})
    CHECK_FALSE(parse_position(text, 64));
}

TEST_CASE("position: says which cluster gave it", "[cluster]") {
  const std::string given = position_in(0xf35acc7f6f095a09, "3:8120,17:44");
  CHECK(given == "f35acc7f6f095a09/3:8120,17:44");
  std::string_view text = given;
  CHECK(take_cluster_id(text) == 0xf35acc7f6f095a09);
  CHECK(text == "3:8120,17:44");
  text = "00000000000000a7/";
  CHECK(take_cluster_id(text) == 0xa7);
  CHECK(text.empty());
  // What names none stays as it is, for parse_position() to judge.
  for (const std::string_view none : {"", "3:8120", "f35acc7f6f095a0/3:1", "f35acc7f6f095a09",
                                      "/3:1", "f35acc7f6f095a0x/3:1", "+35acc7f6f095a09/3:1"}) {
    CAPTURE(none);
    text = none;
    CHECK(take_cluster_id(text) == 0);
    CHECK(text == none);
  }
}

}  // namespace
}  // namespace clickmill::cluster
