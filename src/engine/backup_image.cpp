// `backup/answer`: a JSON object.
//
//   token        of the request
//   error        why there is no image, and nothing else
//   made_ms, node_id, partitions, notes
//   journal_end  position, or null
//   state        [{name, bytes, immutable}]

#include "engine/backup_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/hard_links.h"
#include "log/journal_reader.h"

namespace clickmill::engine {
namespace {

using Json = nlohmann::json;

/// Not synced: an image lasts no longer than the processes that use it.
Status make_folder(const std::string& path) {
  std::error_code failed;
  std::filesystem::create_directories(path, failed);
  if (failed) return Error(Errc::io, "can't be made: " + failed.message(), path);
  return {};
}

class Freezing {
 public:
  Freezing(const DataPaths& paths, const FreezeSources& sources)
      : root_(paths.root), image_(FreezePaths{paths.root}.image()), sources_(sources) {}

  Status run(FrozenImage& out) {
    TRY(remove_tree(image_));
    for (const char* folder : {"journal", "state", "store", "ids", "log"})
      TRY(make_folder(image_ + "/" + folder));
    TRY(link_journal());
    const auto hold = sources_.hold ? sources_.hold() : nullptr;
    out.state = TRY(sources_.state(image_ + "/state"));
    TRY(link_folder("store"));
    TRY(link_folder("ids"));
    TRY(freeze_log());
    TRY(copy_folder("members"));
    TRY(copy_folder("sinks"));
    for (const char* name : {"node", "cluster", "catalog", "retention", "upkeep"}) TRY(copy(name));
    out.journal_end = TRY(link_journal());
    return {};
  }

 private:
  /// Gives the end up to which it was linked.
  Result<std::optional<JournalPos>> link_journal() {
    std::optional<JournalPos> end;
    if (sources_.journal_end) end = sources_.journal_end();
    if (!files_.exists(root_ + "/journal")) return end;
    for (const std::string& name : TRY(files_.list(root_ + "/journal"))) {
      const uint64_t number = log::journal_file_number(name);
      // One behind the end may not be whole yet.
      if (number == 0 || (end && number > end->value() / sources_.journal_file_bytes)) continue;
      TRY(link("journal/" + name));
    }
    return end;
  }

  Status freeze_log() {
    // A node that was killed in its first moments has none.
    if (!files_.exists(root_ + "/log")) return {};
    for (const std::string& partition : TRY(files_.list(root_ + "/log"))) {
      const std::string folder = "log/" + partition;
      TRY(make_folder(image_ + "/" + folder));
      TRY(copy(folder + "/manifest"));
      TRY(link_folder(folder, ".segment"));
    }
    return {};
  }

  Status link_folder(const std::string& folder, std::string_view ending = "") {
    if (!files_.exists(root_ + "/" + folder)) return {};
    for (const std::string& name : TRY(files_.list(root_ + "/" + folder))) {
      if (name.ends_with(ending)) TRY(link(folder + "/" + name));
    }
    return {};
  }

  /// A file that is gone was not named by anything.
  Status link(const std::string& name) {
    if (files_.exists(image_ + "/" + name)) return {};
    auto linked = add_name(root_ + "/" + name, image_ + "/" + name);
    if (linked || linked.error().code() == Errc::not_found) return {};
    if (linked.error().code() != Errc::invalid) return linked;
    return std::move(linked).error().with_context(
        "a backup needs hard links, and all of the data directory on one file system");
  }

  Status copy_folder(const std::string& folder) {
    if (!files_.exists(root_ + "/" + folder)) return {};
    TRY(make_folder(image_ + "/" + folder));
    for (const std::string& name : TRY(files_.list(root_ + "/" + folder))) {
      if (!name.ends_with(".tmp")) TRY(copy(folder + "/" + name));
    }
    return {};
  }

  /// Of a small file that is replaced or grows.
  Status copy(const std::string& name) {
    auto bytes = read_file(files_, root_ + "/" + name);
    if (!bytes && bytes.error().code() == Errc::not_found) return {};
    if (!bytes) return std::move(bytes).error();
    const auto file = TRY(files_.open(image_ + "/" + name, FileSystem::Open::create));
    return file->write_at(0, *bytes);
  }

  PosixFileSystem files_;
  const std::string root_;
  const std::string image_;
  const FreezeSources& sources_;
};

Json to_json(const FrozenImage& image) {
  Json json{{"made_ms", image.made_ms},
            {"node_id", image.node_id},
            {"partitions", image.partitions},
            {"notes", image.notes},
            {"state", Json::array()}};
  json["journal_end"] = image.journal_end ? Json(image.journal_end->value()) : Json(nullptr);
  for (const auto& file : image.state)
    json["state"].push_back(
        {{"name", file.name}, {"bytes", file.bytes}, {"immutable", file.immutable}});
  return json;
}

FrozenImage from_json(const Json& json) {
  FrozenImage image;
  image.made_ms = json.at("made_ms").get<int64_t>();
  image.node_id = json.at("node_id").get<std::string>();
  image.partitions = json.at("partitions").get<uint32_t>();
  image.notes = json.at("notes").get<std::vector<std::string>>();
  if (const Json& end = json.at("journal_end"); !end.is_null())
    image.journal_end = JournalPos(end.get<uint64_t>());
  for (const Json& file : json.at("state"))
    image.state.push_back({file.at("name").get<std::string>(), file.at("bytes").get<uint64_t>(),
                           file.at("immutable").get<bool>()});
  return image;
}

}  // namespace

std::string answer_text(const std::string& token, const Result<FrozenImage>& image) {
  Json json = image ? to_json(*image) : Json{{"error", image.error().text()}};
  json["token"] = token;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Answer> parse_answer(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    const auto token = json.at("token").get<std::string>();
    if (json.contains("error"))
      return Answer{token, Error(Errc::closed, json.at("error").get<std::string>())};
    return Answer{token, from_json(json)};
  } catch (const std::exception& failure) {
    return Error(Errc::corrupt, std::string("the node's answer can't be read: ") + failure.what());
  }
}

Result<FrozenImage> freeze(const DataPaths& paths, const NodeFile& node, int64_t now_ms,
                           const FreezeSources& sources) {
  FrozenImage image;
  image.made_ms = now_ms;
  image.node_id = node.node_id;
  image.partitions = node.partitions;
  TRY(Freezing(paths, sources).run(image));
  return image;
}

Result<std::vector<state::FrozenFile>> freeze_stopped_state(const std::string& directory,
                                                            const std::string& into) {
  std::vector<state::FrozenFile> frozen;
  PosixFileSystem files;
  if (!files.exists(directory)) return frozen;
  for (const std::string& name : TRY(files.list(directory))) {
    // RocksDB's own text logs and lock are not of the store.
    const bool text = name.starts_with("LOG") || name == "LOCK" || name.ends_with(".dbtmp");
    if (text) continue;
    TRY(add_name(directory + "/" + name, into + "/" + name));
    const auto file = TRY(files.open(into + "/" + name, FileSystem::Open::read));
    frozen.push_back({name, TRY(file->size()), name.ends_with(".sst")});
  }
  return frozen;
}

}  // namespace clickmill::engine
