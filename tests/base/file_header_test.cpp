#include "base/file_header.h"

#include <catch2/catch.hpp>
#include <string>

#include "base/checksum.h"

namespace clickmill {
namespace {

constexpr FileFormat kFormat{"diary", "CMDIARY.", 3, 2};
constexpr FileFormat kInMagic{"letter", "LETTER01", 0};
const std::string kPath = "d/diary";

std::string header(uint32_t version = 3, uint64_t field = 7) {
  FileFormat format = kFormat;
  format.version = version;
  std::string out = begin_file_header(format);
  ByteWriter(out).u64(field);
  append_checksum(out);
  return out;
}

std::string problem_of(const std::string& bytes, const FileFormat& format = kFormat) {
  const auto read = read_file_header(format, bytes, kPath);
  return read ? "" : read.error().text();
}

}  // namespace

TEST_CASE("file header: what was written is read, and where it stands", "[base]") {
  const std::string bytes = header();
  CHECK(bytes.size() == 28);
  CHECK(bytes.substr(0, 12) == std::string("CMDIARY.\x03\0\0\0", 12));
  auto read = read_file_header(kFormat, bytes, kPath);
  REQUIRE(read);
  CHECK(read->version == 3);
  CHECK(read->fields.u64() == 7);
  CHECK(read->fields.done());
  CHECK(read_file_header(kFormat, header(2), kPath)->version == 2);
}

TEST_CASE("file header: the first and last versions are read, none beside them", "[base]") {
  CHECK(problem_of(header(1)) ==
        "d/diary: byte 8: diary: version 1, this program reads 2 to 3 "
        "(invalid)");
  CHECK(problem_of(header(2)) == "");
  CHECK(problem_of(header(3)) == "");
  CHECK(problem_of(header(4)) ==
        "d/diary: byte 8: diary: version 4, this program reads 2 to 3 "
        "(invalid)");
}

TEST_CASE("file header: every flipped bit, every byte too few or many is told", "[base]") {
  const std::string whole = header();
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    CAPTURE(bit);
    std::string bytes = whole;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    const auto read = read_file_header(kFormat, bytes, kPath);
    REQUIRE_FALSE(read);
    // Never taken for another version.
    CHECK(read.error().code() == Errc::corrupt);
    CHECK(read.error().message() ==
          (bit < 64 ? "not a diary" : "diary: file header fails its checksum"));
  }
  for (size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    CHECK_FALSE(read_file_header(kFormat, whole.substr(0, size), kPath));
    CHECK_FALSE(before_checksum(std::string_view(whole).substr(0, size)));
  }
  CHECK_FALSE(read_file_header(kFormat, whole + '\0', kPath));
}

TEST_CASE("file header: a magic may end in the version", "[base]") {
  std::string bytes = begin_file_header(kInMagic);
  CHECK(bytes == "LETTER01");
  append_checksum(bytes);
  CHECK(problem_of(bytes, kInMagic) == "");
  bytes[7] = '2';
  CHECK(problem_of(bytes, kInMagic) == "d/diary: byte 0: not a letter of this version (corrupt)");
}

TEST_CASE("file header: one that something else covers has no checksum", "[base]") {
  std::string bytes = begin_file_header(kFormat);
  ByteWriter(bytes).u32(5);
  auto read = read_unchecked_file_header(kFormat, bytes, kPath);
  REQUIRE(read);
  CHECK(read->fields.u32() == 5);
  CHECK(read->fields.done());
  CHECK_FALSE(read_unchecked_file_header(kFormat, bytes.substr(0, 11), kPath));
}

}  // namespace clickmill
