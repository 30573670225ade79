#include "engine/data_dir.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/random.h"

namespace clickmill::engine {
namespace {

constexpr uint32_t kFormatVersion = 1;

std::string to_json(const NodeFile& node) {
  return nlohmann::json{{"format_version", node.format_version},
                        {"node_id", node.node_id},
                        {"partitions", node.partitions},
                        {"seed", fmt::format("{:016x}", node.seed)}}
             .dump(2) +
         "\n";
}

Result<NodeFile> from_json(const std::string& text, const std::string& path) {
  try {
    const auto json = nlohmann::json::parse(text);
    NodeFile node;
    node.format_version = json.at("format_version").get<uint32_t>();
    node.node_id = json.at("node_id").get<std::string>();
    node.partitions = json.at("partitions").get<uint32_t>();
    node.seed = std::stoull(json.at("seed").get<std::string>(), nullptr, 16);
    return node;
  } catch (const std::exception& failure) {
    return Error(Errc::corrupt, failure.what(), path);
  }
}

/// Refuses a newer format by name; nothing else in the directory is looked at before.
Result<NodeFile> read_node(FileSystem& files, const std::string& file) {
  const std::string text = TRY(read_file(files, file));
  NodeFile node = TRY(from_json(text, file));
  if (node.format_version != kFormatVersion) {
    return Error(Errc::invalid,
                 fmt::format("format version {} is not {}, which this binary reads",
                             node.format_version, kFormatVersion),
                 file);
  }
  return node;
}

Result<std::unique_ptr<FileLock>> lock_directory(FileSystem& files, const std::string& path) {
  auto lock = files.lock(path + "/LOCK");
  if (lock || lock.error().code() != Errc::busy) return lock;
  return std::move(lock).error().with_context("data_dir is in use by another clickmill process");
}

}  // namespace

std::string DataPaths::log(uint32_t partition) const {
  return fmt::format("{}/log/{}", root, partition);
}

Result<std::unique_ptr<DataDir>> DataDir::open(FileSystem& files, const std::string& path,
                                               const std::string& node_id, uint32_t partitions) {
  TRY(files.create_directories(path));
  // Not inside the new expression: TRY would return from the middle of it and leak.
  auto lock = TRY(lock_directory(files, path));
  auto dir = std::unique_ptr<DataDir>(new DataDir(path, std::move(lock)));
  if (files.exists(dir->paths_.setting_clock())) {
    return Error(Errc::invalid,
                 "clickmill recover --clock was interrupted here; run it once more, it goes on "
                 "where it was",
                 path);
  }
  const std::string file = path + "/node";
  if (files.exists(path + "/rejoin/ready")) {
    return Error(Errc::invalid,
                 "`clickmill cluster rejoin` was interrupted here; run it again before the node",
                 path);
  }
  if (!files.exists(file)) {
    dir->node_ = {kFormatVersion, node_id, partitions, secure_random_u64()};
    // A directory with clicks but without its seed would count them all anew.
    if (files.exists(path + "/journal")) {
      return Error(Errc::corrupt, "the node file is missing, but the directory holds a journal",
                   file);
    }
    TRY(write_file_atomically(files, file, to_json(dir->node_)));
    return dir;
  }
  dir->node_ = TRY(read_node(files, file));
  const NodeFile& node = dir->node_;
  // The log knows nodes by it: under another name the old one would hold back what may be
  // forgotten until it counts as silent.
  if (node.node_id != node_id) {
    return Error(Errc::invalid,
                 fmt::format("the directory belongs to node_id \"{}\", the config says \"{}\"",
                             node.node_id, node_id),
                 file);
  }
  if (node.partitions != partitions) {
    return Error(Errc::invalid,
                 fmt::format("the directory has {} partitions, log.partitions says {}; "
                             "the number is fixed at the first start",
                             node.partitions, partitions),
                 file);
  }
  return dir;
}

Status DataDir::adopt_seed(FileSystem& files, uint64_t seed, bool holds_records) {
  if (seed == node_.seed) return {};
  const std::string file = paths_.root + "/node";
  if (holds_records) {
    return Error(Errc::invalid,
                 "the directory holds clicks that were hashed with another seed than the "
                 "cluster's; a node joins with an empty data_dir",
                 file);
  }
  NodeFile node = node_;
  node.seed = seed;
  TRY(write_file_atomically(files, file, to_json(node)));
  node_ = std::move(node);
  return {};
}

Result<std::unique_ptr<DataDir>> DataDir::open_existing(FileSystem& files,
                                                        const std::string& path) {
  const std::string file = path + "/node";
  if (!files.exists(file))
    return Error(Errc::not_found, "not a data directory: it has no node file", path);
  auto lock = TRY(lock_directory(files, path));
  auto dir = std::unique_ptr<DataDir>(new DataDir(path, std::move(lock)));
  dir->node_ = TRY(read_node(files, file));
  return dir;
}

}  // namespace clickmill::engine
