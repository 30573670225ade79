// `backup.json`, version 1: a JSON object.
//
//   format_version  1
//   made_ms, version, node_id, partitions, notes
//   cluster_id      16 hex digits; "" of a node alone
//   files           [{path, bytes, checksum, immutable}], checksum as 16 hex digits: XXH3-64 of
//                   pieces of 1 MiB, each seeded with the value of those before it
//   checksum        XXH3, 64 bits, of the object without this field, with its keys in order
//                   and no white space
//
// A newer version is refused by name.

#include "tools/backup_manifest.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <numeric>
#include <stdexcept>

#include "base/checksum.h"

namespace clickmill::tools {
namespace {

using Json = nlohmann::json;

constexpr uint32_t kFormatVersion = 1;
constexpr size_t kPiece = 1 << 20;

std::string hex(uint64_t value) { return fmt::format("{:016x}", value); }

uint64_t from_hex(const std::string& text) {
  uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, value, 16);
  if (text.size() != 16 || failure != std::errc{} || stop != end)
    throw std::invalid_argument('"' + text + "\" is not 16 hex digits");
  return value;
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// A restore writes where a path says.
bool stays_inside(const std::string& path) {
  if (path.empty() || path.front() == '/' || path.back() == '/') return false;
  const std::string parts = '/' + path + '/';
  return parts.find("/../") == parts.npos && parts.find("/./") == parts.npos &&
         parts.find("//") == parts.npos && parts.find('\0') == parts.npos;
}

/// Throws what nlohmann throws, or std::invalid_argument.
BackupManifest from_json(const Json& json) {
  BackupManifest manifest;
  manifest.made_ms = json.at("made_ms").get<int64_t>();
  manifest.version = json.at("version").get<std::string>();
  manifest.node_id = json.at("node_id").get<std::string>();
  manifest.partitions = json.at("partitions").get<uint32_t>();
  manifest.cluster_id = json.at("cluster_id").get<std::string>();
  manifest.notes = json.at("notes").get<std::vector<std::string>>();
  for (const Json& one : json.at("files")) {
    BackedUpFile file;
    file.path = one.at("path").get<std::string>();
    if (!stays_inside(file.path))
      throw std::invalid_argument('"' + file.path + "\" leads out of the backup");
    file.bytes = one.at("bytes").get<uint64_t>();
    file.checksum = from_hex(one.at("checksum").get<std::string>());
    file.immutable = one.at("immutable").get<bool>();
    manifest.files.push_back(std::move(file));
  }
  return manifest;
}

}  // namespace

uint64_t BackupManifest::bytes() const {
  return std::accumulate(files.begin(), files.end(), uint64_t{0},
                         [](uint64_t sum, const BackedUpFile& file) { return sum + file.bytes; });
}

void FileChecksum::add(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto taken = bytes.substr(0, kPiece - piece_.size());
    piece_ += taken;
    bytes.remove_prefix(taken.size());
    if (piece_.size() < kPiece) continue;
    value_ = xxh64_of(piece_, value_);
    piece_.clear();
  }
}

uint64_t FileChecksum::value() const { return xxh64_of(piece_, value_); }

std::string to_text(const BackupManifest& manifest) {
  Json json{{"format_version", kFormatVersion},  {"made_ms", manifest.made_ms},
            {"version", manifest.version},       {"node_id", manifest.node_id},
            {"partitions", manifest.partitions}, {"cluster_id", manifest.cluster_id},
            {"notes", manifest.notes},           {"files", Json::array()}};
  for (const auto& file : manifest.files) {
    json["files"].push_back({{"path", file.path},
                             {"bytes", file.bytes},
                             {"checksum", hex(file.checksum)},
                             {"immutable", file.immutable}});
  }
  json["checksum"] = hex(xxh64_of(dump(json)));
  return dump(json) + "\n";
}

Result<BackupManifest> parse_manifest(const std::string& text, const std::string& path) {
  try {
    Json json = Json::parse(text);
    // Before the checksum, which another version may make otherwise.
    const auto version = json.at("format_version").get<uint32_t>();
    if (version > kFormatVersion) {
      return Error(Errc::invalid,
                   fmt::format("format version {} is not {}, which this binary reads", version,
                               kFormatVersion),
                   path);
    }
    const auto checksum = json.at("checksum").get<std::string>();
    json.erase("checksum");
    if (const std::string right = hex(xxh64_of(dump(json))); checksum != right)
      return Error(Errc::corrupt, fmt::format("checksum {}, stored {}", right, checksum), path);
    return from_json(json);
  } catch (const std::exception& failure) {
    return Error(Errc::corrupt, failure.what(), path);
  }
}

Result<BackupManifest> read_manifest(FileSystem& files, const BackupPaths& backup) {
  if (!files.exists(backup.manifest()))
    return Error(Errc::not_found,
                 "no backup, or one that was never finished: it has no backup.json", backup.folder);
  return parse_manifest(TRY(read_file(files, backup.manifest())), backup.manifest());
}

}  // namespace clickmill::tools
