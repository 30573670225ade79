// File `cluster` of a data directory, version 1: a JSON object.
//
//   format_version  1
//   storage_id      of this life of the directory; never 0
//   former          [{storage_id, reason}]: those before, oldest first, the last 100
//   cluster_id      0: belongs to none yet, and the next five are not there
//   epoch, epoch_random, partitions, seed
//   founders        [{node_id, storage_id}]
//   copies          of each partition among them; not there: each of them has one
//   epochs          [{epoch, random, committed: [offset by group]}] of forced recoveries, oldest
//                   first; not there: none
//   left_behind     {by, epoch}: another node went on without this one; not there: none did
//   checksum        XXH3, 64 bits, of the object without this field, indented by 2 with its
//                   keys in order
//
// Ids, seed and checksum are 16 hex digits, since JSON readers round 64-bit numbers. A newer
// version is refused by name.

#include "engine/cluster_file.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/checksum.h"
#include "base/random.h"
#include "base/text.h"

namespace clickmill::engine {
namespace {

using Json = nlohmann::json;

constexpr uint32_t kFormatVersion = 1;
constexpr size_t kFormerMost = 100;

std::string hex(uint64_t value) { return fmt::format("{:016x}", value); }

uint64_t from_hex(const Json& json) {
  const std::string text = json.get<std::string>();
  uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, value, 16);
  if (text.size() != 16 || failure != std::errc{} || stop != end)
    throw std::invalid_argument('"' + text + "\" is not 16 hex digits");
  return value;
}

std::string checksum_of(const Json& json) { return hex(xxh64_of(json.dump(2))); }

std::string to_text(const ClusterFile::Kept& kept) {
  Json former = Json::array();
  for (const auto& one : kept.former)
    former.push_back({{"storage_id", hex(one.storage.value())}, {"reason", one.reason}});
  Json json{{"format_version", kFormatVersion},
            {"storage_id", hex(kept.storage.value())},
            {"former", std::move(former)},
            {"cluster_id", hex(kept.founded ? kept.founded->cluster_id : 0)}};
  if (kept.founded) {
    json["epoch"] = kept.founded->epoch;
    json["epoch_random"] = hex(kept.founded->epoch_random);
    json["partitions"] = kept.founded->partitions;
    json["seed"] = hex(kept.founded->seed);
    Json& founders = json["founders"] = Json::array();
    for (const raft::Member& member : kept.founded->founders)
      founders.push_back({{"node_id", member.node}, {"storage_id", hex(member.storage.value())}});
    if (kept.founded->copies != 0) json["copies"] = kept.founded->copies;
  }
  for (const cluster::Epoch& epoch : kept.epochs) {
    Json committed = Json::array();
    for (const Offset offset : epoch.committed) committed.push_back(offset.value());
    json["epochs"].push_back({{"epoch", epoch.number},
                              {"random", hex(epoch.random)},
                              {"committed", std::move(committed)}});
  }
  if (kept.left_behind)
    json["left_behind"] = {{"by", kept.left_behind->by}, {"epoch", kept.left_behind->epoch}};
  json["checksum"] = checksum_of(json);
  return json.dump(2) + "\n";
}

cluster::Founded read_founded(const Json& json) {
  cluster::Founded founded;
  founded.cluster_id = from_hex(json.at("cluster_id"));
  founded.epoch = json.at("epoch").get<uint64_t>();
  founded.epoch_random = from_hex(json.at("epoch_random"));
  founded.partitions = json.at("partitions").get<uint32_t>();
  founded.seed = from_hex(json.at("seed"));
  for (const Json& member : json.at("founders")) {
    founded.founders.push_back({member.at("node_id").get<std::string>(),
                                raft::StorageId(from_hex(member.at("storage_id")))});
  }
  founded.copies = json.value("copies", 0U);
  return founded;
}

/// Throws what nlohmann throws, or std::invalid_argument.
ClusterFile::Kept read_kept(const Json& json) {
  ClusterFile::Kept kept;
  kept.storage = raft::StorageId(from_hex(json.at("storage_id")));
  if (kept.storage == raft::StorageId(0)) throw std::invalid_argument("storage_id is 0");
  for (const Json& one : json.at("former")) {
    kept.former.push_back(
        {raft::StorageId(from_hex(one.at("storage_id"))), one.at("reason").get<std::string>()});
  }
  if (from_hex(json.at("cluster_id")) != 0) kept.founded = read_founded(json);
  for (const Json& one : json.value("epochs", Json::array())) {
    cluster::Epoch& epoch = kept.epochs.emplace_back();
    epoch.number = one.at("epoch").get<uint64_t>();
    epoch.random = from_hex(one.at("random"));
    for (const Json& offset : one.at("committed"))
      epoch.committed.push_back(Offset(offset.get<uint64_t>()));
  }
  if (json.contains("left_behind")) {
    const Json& behind = json.at("left_behind");
    kept.left_behind = {behind.at("by").get<std::string>(), behind.at("epoch").get<uint64_t>()};
  }
  return kept;
}

Result<ClusterFile::Kept> from_text(const std::string& text, const std::string& path) {
  try {
    Json json = Json::parse(text);
    // Before the checksum, which another version may make otherwise.
    const auto version = json.at("format_version").get<uint32_t>();
    const std::string checksum = json.at("checksum").get<std::string>();
    json.erase("checksum");
    if (version > kFormatVersion) {
      return Error(Errc::invalid,
                   fmt::format("format version {} is not {}, which this binary reads", version,
                               kFormatVersion),
                   path);
    }
    if (const std::string right = checksum_of(json); checksum != right) {
      return Error(Errc::corrupt, fmt::format("checksum {}, stored {}", right, checksum), path);
    }
    return read_kept(json);
  } catch (const std::exception& failure) {
    return Error(Errc::corrupt, failure.what(), path);
  }
}

raft::StorageId new_storage_id() {
  while (true) {
    if (const uint64_t drawn = secure_random_u64(); drawn != 0) return raft::StorageId(drawn);
  }
}

}  // namespace

Result<std::unique_ptr<ClusterFile>> ClusterFile::open_or_make(FileSystem& files,
                                                               const std::string& data_dir) {
  auto file = std::unique_ptr<ClusterFile>(new ClusterFile(files, data_dir + "/cluster"));
  if (files.exists(file->path_)) {
    const std::string text = TRY(read_file(files, file->path_));
    file->kept_ = TRY(from_text(text, file->path_));
    return file;
  }
  Kept kept;
  kept.storage = new_storage_id();
  TRY(file->write(std::move(kept)));
  return file;
}

Status ClusterFile::write(Kept kept) {
  TRY(write_file_atomically(files_, path_, to_text(kept)));
  kept_ = std::move(kept);
  return {};
}

Status ClusterFile::save(const cluster::Founded& founded) {
  if (founded.cluster_id == 0) return Error(Errc::invalid, "a cluster's id is not 0", path_);
  Kept kept = kept_;
  kept.founded = founded;
  return write(std::move(kept));
}

Status ClusterFile::save(const cluster::Lineage& lineage) {
  Kept kept = kept_;
  kept.founded = lineage.founded;
  kept.epochs = lineage.epochs;
  kept.left_behind.reset();
  return write(std::move(kept));
}

Status ClusterFile::leave_behind(const LeftBehind& left_behind) {
  if (kept_.left_behind == left_behind) return {};
  Kept kept = kept_;
  kept.left_behind = left_behind;
  return write(std::move(kept));
}

Status ClusterFile::renew_storage_id(const std::string& reason) {
  Kept kept = kept_;
  // A reason may quote a broken file; JSON holds UTF-8 only.
  kept.former.push_back({kept.storage, valid_utf8(reason) ? reason : "(not UTF-8)"});
  if (kept.former.size() > kFormerMost) kept.former.erase(kept.former.begin());
  kept.storage = new_storage_id();
  return write(std::move(kept));
}

}  // namespace clickmill::engine
