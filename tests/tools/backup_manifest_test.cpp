#include "tools/backup_manifest.h"

#include <catch2/catch.hpp>
#include <string>

#include "base/checksum.h"
#include "base/file_system.h"
#include "base/temporary_directory.h"

namespace clickmill::tools {
namespace {

BackupManifest example() {
  BackupManifest manifest;
  manifest.made_ms = 1'782'295'200'412;
  manifest.version = "0.1.0";
  manifest.node_id = "n1";
  manifest.partitions = 64;
  manifest.cluster_id = "00000000000000a7";
  manifest.notes = {"clicks that wait in memory are not in the backup"};
  manifest.files = {{"node", 120, 0xffff'ffff'ffff'fffe, false},
                    {"store/p3-17-minute.part", 1 << 20, 7, true}};
  return manifest;
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const auto at = text.find(what);
  REQUIRE(at != text.npos);
  return text.replace(at, what.size(), by);
}

/// With the checksum that belongs to it.
std::string sealed(const std::string& body) {
  const std::string object = body + "}";
  std::string sum(16, '0');
  uint64_t value = xxh64_of(object);
  for (size_t i = 16; i-- > 0; value >>= 4) sum[i] = "0123456789abcdef"[value & 15];
  // The keys are in order: "checksum" stands before "cluster_id".
  return replaced(object, "{", "{\"checksum\":\"" + sum + "\",");
}

TEST_CASE("backup manifest: what is written is read back", "[tools]") {
  const BackupManifest manifest = example();
  const std::string text = to_text(manifest);
  CHECK(parse_manifest(text, "b").value() == manifest);
  CHECK(manifest.bytes() == 120 + (1 << 20));
  CHECK(to_text(parse_manifest(text, "b").value()) == text);
}

TEST_CASE("backup manifest: the first version stays readable", "[tools]") {
  const std::string body =
      R"({"cluster_id":"","files":[{"bytes":5,"checksum":"00000000000000ff","immutable":true,)"
      R"("path":"log/0/00000000000000000001.segment"}],"format_version":1,"made_ms":12,)"
      R"("node_id":"n2","notes":[],"partitions":2,"version":"0.1.0")";
  const auto manifest = parse_manifest(sealed(body), "b");
  REQUIRE(manifest);
  CHECK(manifest->node_id == "n2");
  CHECK(manifest->files ==
        std::vector<BackedUpFile>{{"log/0/00000000000000000001.segment", 5, 0xff, true}});
}

TEST_CASE("backup manifest: any change of it is damage that names the file", "[tools]") {
  const std::string text = to_text(example());
  for (size_t at = 0; at + 1 < text.size(); ++at) {
    std::string changed = text;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    CAPTURE(at);
    const auto parsed = parse_manifest(changed, "b/backup.json");
    if (parsed) {
      // Only white space and the spelling of a number may not matter.
      CHECK(*parsed == example());
      continue;
    }
    CHECK(parsed.error().path() == "b/backup.json");
  }
  CHECK_FALSE(parse_manifest(text.substr(0, text.size() / 2), "b"));
  CHECK_FALSE(parse_manifest("", "b"));
  CHECK_FALSE(parse_manifest("[]", "b"));
}

TEST_CASE("backup manifest: a newer version is refused by name", "[tools]") {
  const auto newer = parse_manifest(
      replaced(to_text(example()), "\"format_version\":1", "\"format_version\":2"), "b");
  REQUIRE_FALSE(newer);
  CHECK(newer.error().code() == Errc::invalid);
  CHECK(newer.error().message().find("version 2") != std::string::npos);
}

TEST_CASE("backup manifest: no path leads out of the backup", "[tools]") {
  for (const char* path : {"/etc/passwd", "../x", "a/../../x", "a/./b", "a//b", "", "a/", ".."}) {
    CAPTURE(path);
    BackupManifest manifest = example();
    manifest.files[0].path = path;
    const auto parsed = parse_manifest(to_text(manifest), "b");
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code() == Errc::corrupt);
  }
  BackupManifest manifest = example();
  manifest.files[0].path = "a/..b/c..";
  CHECK(parse_manifest(to_text(manifest), "b"));
}

TEST_CASE("backup manifest: a file's checksum is its bytes', however they come", "[tools]") {
  const std::string bytes(3'000'000, 'x');
  const auto in_pieces = [&](size_t piece) {
    FileChecksum checksum;
    for (size_t at = 0; at < bytes.size(); at += piece)
      checksum.add(std::string_view(bytes).substr(at, piece));
    return checksum.value();
  };
  CHECK(in_pieces(1000) == in_pieces(bytes.size()));
  CHECK(in_pieces(1 << 20) == in_pieces(bytes.size()));
  FileChecksum shorter;
  shorter.add(std::string_view(bytes).substr(1));
  CHECK(shorter.value() != in_pieces(bytes.size()));
}

TEST_CASE("backup manifest: a folder without one is no backup", "[tools]") {
  const TemporaryDirectory directory;
  PosixFileSystem files;
  const auto none = read_manifest(files, {directory.path()});
  REQUIRE_FALSE(none);
  CHECK(none.error().code() == Errc::not_found);
}

}  // namespace
}  // namespace clickmill::tools
