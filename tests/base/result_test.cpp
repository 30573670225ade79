#include "base/result.h"

#include <catch2/catch.hpp>
#include <memory>

namespace clickmill {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return Error(Errc::invalid, "odd");
  return number / 2;
}

Result<int> quarter(int number) {
  const int once = TRY(half(number));
  return half(once);
}

Result<std::unique_ptr<int>> owned(int number) {
  auto pointer = std::make_unique<int>(TRY(quarter(number)));
  return pointer;
}

}  // namespace

TEST_CASE("result: TRY passes values on and returns errors", "[base]") {
  CHECK(quarter(12).value() == 3);
  CHECK(quarter(6).error().message() == "odd");
  CHECK(*owned(8).value() == 2);
  CHECK_FALSE(owned(3).has_value());
}

TEST_CASE("result: an error tells what, where and with which context", "[base]") {
  auto error =
      Error(Errc::corrupt, "bad checksum", "log/1.segment", 4096).with_context("partition 12");
  CHECK(error.code() == Errc::corrupt);
  CHECK(error.path() == "log/1.segment");
  CHECK(error.position() == 4096);
  for (const char* part : {"partition 12", "bad checksum", "log/1.segment", "4096"}) {
    CHECK(error.text().find(part) != std::string::npos);
  }
}

TEST_CASE("result: success costs no more than a pointer", "[base]") {
  CHECK(sizeof(Error) == sizeof(void*));
  CHECK(Status().has_value());
}

}  // namespace clickmill
