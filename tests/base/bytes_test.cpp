#include "base/bytes.h"

#include <catch2/catch.hpp>

#include "base/random.h"

namespace clickmill {

TEST_CASE("bytes: what a writer wrote a cursor reads, to the last byte", "[base]") {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.u8(0xfe);
  writer.u16(0xfedc);
  writer.u32(0xfedcba98);
  writer.u64(0xfedcba9876543210);
  writer.i64(INT64_MIN);
  writer.varint(UINT64_MAX);
  writer.svarint(INT64_MIN);
  writer.svarint(-1);
  writer.bytes("click");
  writer.raw("mill");
  ByteCursor cursor(bytes);
  CHECK(cursor.u8() == 0xfe);
  CHECK(cursor.u16() == 0xfedc);
  CHECK(cursor.u32() == 0xfedcba98);
  CHECK(cursor.u64() == 0xfedcba9876543210);
  CHECK(cursor.i64() == INT64_MIN);
  CHECK(cursor.varint() == UINT64_MAX);
  CHECK(cursor.svarint() == INT64_MIN);
  CHECK(cursor.svarint() == -1);
  CHECK(cursor.bytes() == "click");
  CHECK_FALSE(cursor.done());
  CHECK(cursor.raw(4) == "mill");
  CHECK(cursor.done());
}

TEST_CASE("bytes: numbers are little-endian and varints as short as can be", "[base]") {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.u32(0x01020304);
  writer.varint(127);
  writer.varint(128);
  CHECK(bytes == std::string("\x04\x03\x02\x01\x7f\x80\x01", 7));
}

TEST_CASE("bytes: a cursor that ran short stays failed and reads nothing more", "[base]") {
  ByteCursor cursor("abc");
  CHECK(cursor.u32() == 0);
  CHECK_FALSE(cursor.ok());
  CHECK(cursor.u8() == 0);
  CHECK(cursor.rest().empty());
  CHECK_FALSE(cursor.done());
}

TEST_CASE("bytes: a length beyond the end and a varint that overflows fail", "[base]") {
  ByteCursor too_long(
      std::string_view("\x05"
                       "abcd",
                       5));
  CHECK(too_long.bytes().empty());
  CHECK_FALSE(too_long.ok());
  ByteCursor huge(std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10));
  CHECK(huge.bytes().empty());
  CHECK_FALSE(huge.ok());
  ByteCursor overflowing(std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10));
  CHECK(overflowing.varint() == 0);
  CHECK_FALSE(overflowing.ok());
  ByteCursor endless(std::string_view("\x80\x80\x80", 3));
  CHECK(endless.varint() == 0);
  CHECK_FALSE(endless.ok());
}

TEST_CASE("bytes: random varints come back", "[base]") {
  Random random(7);
  std::string bytes;
  ByteWriter writer(bytes);
  std::vector<uint64_t> numbers;
  for (int i = 0; i < 10'000; ++i) numbers.push_back(random.next() >> random.below(64));
  for (const uint64_t number : numbers) {
    writer.varint(number);
    writer.svarint(static_cast<int64_t>(number));
  }
  ByteCursor cursor(bytes);
  std::vector<uint64_t> read;
  bool same = true;
  for (size_t i = 0; i < numbers.size(); ++i) {
    read.push_back(cursor.varint());
    same = same && cursor.svarint() == static_cast<int64_t>(numbers[i]);
  }
  CHECK(read == numbers);
  CHECK(same);
  CHECK(cursor.done());
}

TEST_CASE("bytes: keys sort as their numbers do", "[base]") {
  const auto key = [](uint64_t number) {
    std::string out;
    append_key_u64(out, number);
    return out;
  };
  CHECK(key(255) < key(256));
  CHECK(key(1ULL << 63) > key((1ULL << 63) - 1));
  CHECK(read_key_u64(key(0x0123456789abcdef)) == 0x0123456789abcdef);
}

}  // namespace clickmill
