#include "engine/memory_alarm.h"

#include <catch2/catch.hpp>
#include <string>

namespace clickmill::engine {

TEST_CASE("memory alarm: tells of every tenth from half of the memory on, once", "[engine]") {
  MemoryAlarm alarm(1'000 << 20);
  CHECK_FALSE(alarm.check(0));
  CHECK_FALSE(alarm.check(499 << 20));
  const auto half = alarm.check(500 << 20);
  REQUIRE(half);
  CHECK(half->find("500 MiB take 50 %") != std::string::npos);
  CHECK_FALSE(alarm.check(599 << 20));
  CHECK(alarm.check(uint64_t{750} << 20));
  CHECK_FALSE(alarm.check(uint64_t{690} << 20));  // falling by less than a tenth is no news
  CHECK_FALSE(alarm.check(uint64_t{750} << 20));
  CHECK_FALSE(alarm.check(uint64_t{450} << 20));
  CHECK(alarm.check(uint64_t{600} << 20));
}

TEST_CASE("memory alarm: without a limit it is silent", "[engine]") {
  MemoryAlarm alarm(0);
  CHECK_FALSE(alarm.check(uint64_t{1} << 60));
}

TEST_CASE("memory limit: the control group's counts when it is less", "[engine]") {
  CHECK(memory_limit(1'000, "400\n") == 400);
  CHECK(memory_limit(1'000, "4000\n") == 1'000);
  CHECK(memory_limit(1'000, "max\n") == 1'000);
  CHECK(memory_limit(1'000, "") == 1'000);
  CHECK(memory_limit_here() > (64u << 20));
}

}  // namespace clickmill::engine
