#include "tools/backup_maker.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "base/hard_links.h"
#include "base/random.h"
#include "base/reserved_file_system.h"
#include "engine/cluster_file.h"
#include "engine/options.h"
#include "log/journal_format.h"
#include "log/journal_reader.h"
#include "log/manifest.h"
#include "log/segment.h"

namespace clickmill::tools {
namespace {

// A file in a folder that is not finished: only such a one is removed for another try.
constexpr const char* kMarker = "/this backup is not finished";
// Beside the reserve of the node's disk: the journal's next files.
constexpr uint64_t kRoomForNode = 256 << 20;
constexpr int64_t kSecondNs = 1'000'000'000;
constexpr auto kPoll = std::chrono::milliseconds(20);
constexpr int64_t kLockPatienceNs = 2 * kSecondNs;
constexpr int64_t kAnswerPatienceNs = 120 * kSecondNs;

Status expect_empty(FileSystem& files, const std::string& folder) {
  if (!files.exists(folder)) return {};
  const auto names = files.list(folder);
  if (names && names->empty()) return {};
  return Error(Errc::invalid, "exists and is not an empty folder", folder);
}

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string without_end_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

}  // namespace

BackupMaker::BackupMaker(BackupRequest request, const Clock& clock, Print tell)
    : request_(std::move(request)),
      clock_(clock),
      tell_(std::move(tell)),
      progress_(clock_, tell_),
      frozen_{request_.config.data_dir},
      target_{without_end_slash(request_.folder)},
      partial_{target_.partial()} {}

BackupMaker::~BackupMaker() {
  if (!lock_) return;
  ignore(remove_tree(frozen_.image()), "the node removes it");
  ignore(disk_.remove(frozen_.answer()), "the next backup replaces it");
  ignore(disk_.remove(frozen_.request()), "the node has taken it");
}

Result<BackupManifest> BackupMaker::run() {
  auto made = make();
  if (made) return std::move(manifest_);
  if (folder_made_) ignore(remove_tree(partial_.folder), "its name says that it is not finished");
  return std::move(made).error();
}

Status BackupMaker::make() {
  if (!disk_.exists(request_.config.data_dir + "/node")) {
    return Error(Errc::not_found, "not a data directory: it has no node file",
                 request_.config.data_dir);
  }
  TRY(take_lock());
  TRY(prepare_folder());
  TRY(take_image());
  TRY(copy_all());
  TRY(check());
  return finish();
}

Status BackupMaker::prepare_folder() {
  TRY(expect_empty(disk_, target_.folder));
  if (disk_.exists(target_.folder) && !on_one_disk(target_.folder, parent_of(target_.folder)))
    return Error(Errc::invalid, "is a mount point: name a new folder in it", target_.folder);
  if (disk_.exists(partial_.folder + kMarker)) {
    // Held while somebody writes there.
    folder_lock_ = TRY(disk_.lock(partial_.folder + kMarker));
    TRY(remove_tree(partial_.folder));
  }
  TRY(expect_empty(disk_, partial_.folder));
  TRY(disk_.create_directories(partial_.folder));
  folder_made_ = true;
  folder_lock_ = TRY(disk_.lock(partial_.folder + kMarker));
  // What is backed up must not stop for want of room.
  auto reserved = std::make_unique<ReservedFileSystem>(disk_, "no folder");
  if (on_one_disk(partial_.folder, request_.config.data_dir)) {
    const auto options =
        TRY(engine::journal_options(request_.config, disk_, request_.config.data_dir));
    reserved->set_reserve(options.reserve_bytes + kRoomForNode);
  }
  files_ = std::move(reserved);
  copier_ = std::make_unique<BackupFiles>(
      *files_, clock_, progress_,
      BackupFiles::Options{.bytes_per_second = request_.bytes_per_second});
  return {};
}

Status BackupMaker::take_lock() {
  TRY(disk_.create_directories(frozen_.folder()));
  const int64_t until_ns = clock_.monotonic_ns() + kLockPatienceNs;
  while (!lock_) {
    auto lock = disk_.lock(frozen_.lock());
    if (lock) {
      lock_ = *std::move(lock);
    } else if (lock.error().code() != Errc::busy) {
      return std::move(lock).error();
    } else if (clock_.monotonic_ns() > until_ns) {
      return Error(Errc::busy, "another backup of this node is being made", frozen_.lock());
    } else {
      // The node looks now and then whether anybody holds it.
      std::this_thread::sleep_for(kPoll);
    }
  }
  return {};
}

Status BackupMaker::take_image() {
  auto dir = engine::DataDir::open_existing(disk_, request_.config.data_dir);
  if (dir) return take_image_of_stopped(*std::move(dir));
  if (dir.error().code() != Errc::busy) return std::move(dir).error();
  return take_image_of_running();
}

Status BackupMaker::take_image_of_running() {
  const std::string token = fmt::format("{:016x}", secure_random_u64());
  ignore(disk_.remove(frozen_.answer()), "there is none, as a rule");
  TRY(write_file_atomically(disk_, frozen_.request(), token));
  image_ = TRY(await_answer(token));
  return {};
}

Result<engine::FrozenImage> BackupMaker::await_answer(const std::string& token) {
  const int64_t begin_ns = clock_.monotonic_ns();
  while (clock_.monotonic_ns() - begin_ns < kAnswerPatienceNs) {
    if (disk_.exists(frozen_.answer())) {
      const std::string text = TRY(read_file(disk_, frozen_.answer()));
      auto answer = TRY(engine::parse_answer(text));
      if (answer.token == token) return std::move(answer.image);
    }
    progress_.at([] { return std::string("waiting for the node, until it counts"); });
    std::this_thread::sleep_for(kPoll);
  }
  return Error(Errc::busy,
               "a process holds the data directory, but no node answers: one that is still "
               "replaying (/readyz says so), an older version, or another command",
               request_.config.data_dir);
}

Status BackupMaker::take_image_of_stopped(std::unique_ptr<engine::DataDir> dir) {
  data_dir_ = std::move(dir);
  engine::FreezeSources sources;
  sources.state = [this](const std::string& into) {
    return engine::freeze_stopped_state(data_dir_->state(), into);
  };
  image_ = TRY(engine::freeze(data_dir_->paths(), data_dir_->node(), clock_.wall_ms(), sources));
  return {};
}

Status BackupMaker::copy_all() {
  manifest_.made_ms = image_.made_ms;
  manifest_.version = CLICKMILL_VERSION;
  manifest_.node_id = image_.node_id;
  manifest_.partitions = image_.partitions;
  manifest_.notes = image_.notes;
  // The journal first: what has been freed of it meanwhile takes room until it is copied.
  TRY(make_folder(""));
  TRY(copy_journal());
  TRY(copy_state());
  named_ = TRY(read_named(*files_, partial_.data(), image_.partitions));
  TRY(share_named());
  TRY(make_folder("log"));
  for (const std::string& partition : TRY(disk_.list(frozen_.image() + "/log")))
    TRY(copy_log(partition));
  TRY(copy_small());
  return note_cluster();
}

Status BackupMaker::make_folder(const std::string& name) {
  folders_.push_back(name.empty() ? partial_.data() : partial_.data() + "/" + name);
  return disk_.create_directories(folders_.back());
}

void BackupMaker::list(const std::string& name, uint64_t bytes, uint64_t checksum, bool immutable) {
  manifest_.files.push_back({name, bytes, checksum, immutable});
}

Status BackupMaker::copy(const std::string& name, uint64_t bytes) {
  const uint64_t checksum =
      TRY(copier_->copy(frozen_.image() + "/" + name, partial_.data() + "/" + name, bytes));
  list(name, bytes, checksum, false);
  return {};
}

Status BackupMaker::copy_if_there(const std::string& name) {
  if (!disk_.exists(frozen_.image() + "/" + name)) return {};
  const auto file = TRY(disk_.open(frozen_.image() + "/" + name, FileSystem::Open::read));
  return copy(name, TRY(file->size()));
}

Status BackupMaker::share(const std::string& name, uint64_t bytes) {
  const uint64_t checksum =
      TRY(copier_->share(frozen_.image() + "/" + name, partial_.data() + "/" + name, bytes));
  list(name, bytes, checksum, true);
  return {};
}

Status BackupMaker::copy_journal() {
  TRY(make_folder("journal"));
  uint64_t before = 0;
  for (const std::string& name : TRY(disk_.list(frozen_.image() + "/journal"))) {
    const std::string path = "journal/" + name;
    const uint64_t number = log::journal_file_number(name);
    const auto file = TRY(disk_.open(frozen_.image() + "/" + path, FileSystem::Open::read));
    const uint64_t size = TRY(file->size());
    if (before != 0 && number != before + 1)
      return Error(Errc::busy, "a journal file was freed meanwhile; try again", path);
    before = number;
    if (!image_.journal_end || number != image_.journal_end->value() / size) {
      TRY(copy(path, size));
      continue;
    }
    // What stands behind the end is not in the backup, and would be taken for damage if a part
    // of it were.
    const uint64_t used = image_.journal_end->value() % size;
    const uint64_t checksum =
        TRY(copier_->copy(frozen_.image() + "/" + path, partial_.data() + "/" + path, used, size));
    list(path, size, checksum, false);
  }
  return {};
}

Status BackupMaker::copy_state() {
  TRY(make_folder("state"));
  for (const auto& file : image_.state) {
    const std::string name = "state/" + file.name;
    TRY(file.immutable ? share(name, file.bytes) : copy(name, file.bytes));
  }
  return {};
}

Status BackupMaker::share_named() {
  TRY(make_folder("store"));
  TRY(make_folder("ids"));
  const auto take = [this](const std::string& name) -> Status {
    const auto file = TRY(disk_.open(frozen_.image() + "/" + name, FileSystem::Open::read));
    return share(name, TRY(file->size()));
  };
  for (const std::string& part : named_.parts) TRY(take("store/" + part));
  for (const std::string& table : named_.tables) {
    if (disk_.exists(frozen_.image() + "/ids/" + table)) TRY(take("ids/" + table));
  }
  return {};
}

/// The manifest is written anew, so that it names what is here: closed segments as they are,
/// and the blocks that the open one had.
Status BackupMaker::copy_log(const std::string& partition) {
  const std::string folder = "log/" + partition;
  const std::string from = frozen_.image() + "/" + folder + "/manifest";
  TRY(make_folder(folder));
  if (!disk_.exists(from)) return {};
  const std::string text = TRY(read_file(disk_, from));
  const auto parsed = TRY(log::parse_manifest(text, from));
  const log::Contents& contents = parsed.contents;
  for (const auto& closed : contents.closed)
    TRY(share(folder + "/" + log::segment_name(closed.first), closed.bytes));
  if (!contents.open.empty()) {
    TRY(copy(folder + "/" + log::segment_name(contents.open.front().first),
             contents.open.back().end()));
  }
  const std::string to = partial_.data() + "/" + folder + "/manifest";
  TRY(log::Manifest::create(*files_, to, contents));
  const auto manifest = TRY(disk_.open(to, FileSystem::Open::read));
  const uint64_t bytes = TRY(manifest->size());
  list(folder + "/manifest", bytes, TRY(copier_->checksum_of(to, bytes)), false);
  return {};
}

Status BackupMaker::copy_small() {
  for (const char* folder : {"members", "sinks"}) {
    if (!disk_.exists(frozen_.image() + "/" + folder)) continue;
    TRY(make_folder(folder));
    for (const std::string& name : TRY(disk_.list(frozen_.image() + "/" + folder)))
      TRY(copy_if_there(std::string(folder) + "/" + name));
  }
  for (const char* name : {"node", "cluster", "catalog", "retention", "upkeep"})
    TRY(copy_if_there(name));
  return {};
}

Status BackupMaker::note_cluster() {
  if (!disk_.exists(partial_.data() + "/cluster")) return {};
  const auto file = TRY(engine::ClusterFile::open_or_make(*files_, partial_.data()));
  if (file->founded()) manifest_.cluster_id = fmt::format("{:016x}", file->founded()->cluster_id);
  return {};
}

Status BackupMaker::check() {
  const auto wrong = TRY(check_data(*files_, partial_.data(), named_, progress_));
  if (wrong.empty()) return {};
  return Error(Errc::corrupt, "a node would not start from this backup: " + wrong.front());
}

Status BackupMaker::finish() {
  for (const std::string& folder : folders_) TRY(disk_.sync_directory(folder));
  TRY(write_file_atomically(*files_, partial_.manifest(), to_text(manifest_)));
  TRY(disk_.remove(partial_.folder + kMarker));
  TRY(disk_.sync_directory(partial_.folder));
  TRY(disk_.rename(partial_.folder, target_.folder));
  folder_made_ = false;
  return disk_.sync_directory(parent_of(target_.folder));
}

}  // namespace clickmill::tools
