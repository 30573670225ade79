#include "base/text.h"

#include <catch2/catch.hpp>
#include <string>

namespace clickmill {

TEST_CASE("text: case is that of ASCII letters alone", "[base]") {
  CHECK(lower(std::string("AbZ[@`{\xc3\x84")) == "abz[@`{\xc3\x84");
  CHECK(same_without_case("Content-TYPE", "content-type"));
  CHECK_FALSE(same_without_case("a", "ab"));
  CHECK_FALSE(same_without_case("@", "`"));
  CHECK(starts_without_case("Bearer x", "bEARER "));
  CHECK(starts_without_case("a", ""));
  CHECK_FALSE(starts_without_case("bear", "bearer"));
}

}  // namespace clickmill
