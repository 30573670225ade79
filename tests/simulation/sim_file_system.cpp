#include "simulation/sim_file_system.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "base/random.h"
#include "simulation/sim_inode.h"

namespace clickmill::simulation {
namespace {

constexpr uint64_t kUnlimited = ~uint64_t{0};
constexpr uint64_t kReportedBytes = uint64_t{1} << 40;

using Names = std::map<std::string, std::shared_ptr<Inode>>;

std::string without_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// A change of names that its folders have not made durable yet.
struct NameChange {
  std::string erased;  ///< path, or empty
  std::string set;     ///< path, or empty
  std::shared_ptr<Inode> inode;

  void apply(Names& names) const {
    if (!erased.empty()) names.erase(erased);
    if (!set.empty()) names[set] = inode;
  }
  std::set<std::string> folders() const {
    std::set<std::string> out;
    if (!erased.empty()) out.insert(parent_of(erased));
    if (!set.empty()) out.insert(parent_of(set));
    return out;
  }
};

/// Counts down to one event.
struct Countdown {
  uint64_t left = 0;
  bool hit() { return left != 0 && --left == 0; }
};

Error closed_error(const std::string& path) {
  return Error(Errc::closed, "the simulated machine is down", path);
}

}  // namespace

class SimFileSystem::Disk {
 public:
  explicit Disk(uint64_t seed) : random(seed) {}

  /// To be called first by everything that changes the disk.
  Status begin_operation(const std::string& path) {
    ++operations;
    if (crash_at.hit()) crash();
    if (down) return closed_error(path);
    return {};
  }
  bool has_directory(const std::string& directory) const {
    return directory == "." || directory == "/" || directory.empty() ||
           directories.count(directory) != 0;
  }
  void change_names(NameChange change) {
    change.apply(names);
    pending.push_back(std::move(change));
  }
  void sync_names(const std::string& directory);
  void crash();
  uint64_t used_bytes() const {
    uint64_t sum = 0;
    for (const auto& [path, inode] : names) sum += inode->size();
    return sum;
  }

  std::mutex mutex;  ///< guards everything here and all inodes
  Random random;
  Names names;
  Names durable_names;
  std::vector<NameChange> pending;
  std::set<std::string> directories;
  std::set<std::string> locks;
  uint64_t life = 1;  ///< handles of an earlier one are dead
  bool down = false;
  bool loses_syncs = false;
  uint64_t operations = 0;
  uint64_t capacity_bytes = kUnlimited;
  Countdown crash_at, fail_sync, fail_write, misdirect_write, flip_read;
};

void SimFileSystem::Disk::sync_names(const std::string& directory) {
  // A rename between folders is one step, so it takes along what stood before it
  // in its other folder.
  std::set<std::string> folders{directory};
  std::vector<bool> chosen(pending.size());
  for (size_t i = pending.size(); i-- > 0;) {
    const auto concerned = pending[i].folders();
    chosen[i] = std::any_of(concerned.begin(), concerned.end(),
                            [&](const auto& folder) { return folders.count(folder) != 0; });
    if (chosen[i]) folders.insert(concerned.begin(), concerned.end());
  }
  std::vector<NameChange> left;
  for (size_t i = 0; i < pending.size(); ++i) {
    if (chosen[i]) {
      pending[i].apply(durable_names);
    } else {
      left.push_back(std::move(pending[i]));
    }
  }
  pending = std::move(left);
}

void SimFileSystem::Disk::crash() {
  std::map<std::string, uint64_t> changes;
  for (const auto& change : pending) {
    for (const auto& folder : change.folders()) ++changes[folder];
  }
  for (auto& [folder, count] : changes) count = random.below(count + 1);
  for (const auto& change : pending) {
    const auto folders = change.folders();
    const bool kept = std::all_of(folders.begin(), folders.end(),
                                  [&](const auto& folder) { return changes[folder] != 0; });
    for (const auto& folder : folders) changes[folder] = kept ? changes[folder] - 1 : 0;
    if (kept) change.apply(durable_names);
  }
  pending.clear();
  names = durable_names;
  std::set<Inode*> settled;
  for (const auto& [path, inode] : names) {
    if (settled.insert(inode.get()).second) inode->crash(random);
  }
  locks.clear();
  ++life;
  down = true;
  crash_at.left = 0;
}

class SimFileSystem::SimFile final : public File {
 public:
  SimFile(std::string path, std::shared_ptr<Disk> disk, std::shared_ptr<Inode> inode, bool writable)
      : File(std::move(path)),
        disk_(std::move(disk)),
        inode_(std::move(inode)),
        life_(disk_->life),
        writable_(writable) {}

  Status write_at(uint64_t position, std::string_view bytes) override {
    const std::lock_guard lock(disk_->mutex);
    TRY(begin_change());
    if (disk_->fail_write.hit()) {
      inode_->write(position, bytes.substr(0, disk_->random.below(bytes.size() + 1)));
      return Error(Errc::io, "write: simulated failure", path(), position);
    }
    if (disk_->misdirect_write.hit()) {
      position = disk_->random.below(inode_->size() / kSectorBytes + 2) * kSectorBytes;
    }
    const uint64_t room = room_for(position + bytes.size());
    if (position + bytes.size() > room) {
      if (room > position) inode_->write(position, bytes.substr(0, room - position));
      return Error(Errc::no_space, "write: simulated disk is full", path(), position);
    }
    inode_->write(position, bytes);
    return {};
  }

  Status read_at(uint64_t position, size_t length, std::string& out) override {
    const std::lock_guard lock(disk_->mutex);
    TRY(check_alive());
    inode_->read(position, length, out);
    if (disk_->flip_read.hit() && !out.empty()) {
      char& byte = out[disk_->random.below(out.size())];
      byte = static_cast<char>(byte ^ (1 << disk_->random.below(8)));
    }
    return {};
  }

  Status sync() override {
    const std::lock_guard lock(disk_->mutex);
    TRY(disk_->begin_operation(path()));
    TRY(check_alive());
    if (disk_->loses_syncs) return {};
    if (disk_->fail_sync.hit()) {
      inode_->fail_sync(disk_->random);
      return Error(Errc::io, "fdatasync: simulated failure", path());
    }
    inode_->sync();
    return {};
  }

  Result<uint64_t> size() override {
    const std::lock_guard lock(disk_->mutex);
    TRY(check_alive());
    return inode_->size();
  }

  Status truncate(uint64_t length) override {
    const std::lock_guard lock(disk_->mutex);
    TRY(begin_change());
    inode_->truncate(length);
    return {};
  }

 private:
  Status check_alive() const {
    if (disk_->down || life_ != disk_->life) return closed_error(path());
    return {};
  }
  Status begin_change() {
    TRY(disk_->begin_operation(path()));
    TRY(check_alive());
    if (!writable_) return Error(Errc::io, "the file was opened for reading", path());
    return {};
  }
  /// How long the file may be, when it wants to be `end` long.
  uint64_t room_for(uint64_t end) const {
    if (disk_->capacity_bytes == kUnlimited || end <= inode_->size()) return end;
    const uint64_t used = disk_->used_bytes();
    const uint64_t free = disk_->capacity_bytes > used ? disk_->capacity_bytes - used : 0;
    return inode_->size() + std::min(free, end - inode_->size());
  }

  std::shared_ptr<Disk> disk_;
  std::shared_ptr<Inode> inode_;
  uint64_t life_;
  bool writable_;
};

SimFileSystem::SimFileSystem(uint64_t seed) : disk_(std::make_shared<Disk>(seed)) {}
SimFileSystem::~SimFileSystem() = default;

Result<std::unique_ptr<File>> SimFileSystem::open(const std::string& path, Open mode) {
  const std::lock_guard lock(disk_->mutex);
  if (disk_->down) return closed_error(path);
  auto found = disk_->names.find(path);
  const bool there = found != disk_->names.end();
  if (there && mode == Open::create) return Error(Errc::io, "open: file exists", path);
  if (!there && (mode == Open::read || mode == Open::write)) {
    return Error(Errc::not_found, "open: no such file", path);
  }
  if (disk_->directories.count(path) != 0) return Error(Errc::io, "open: is a directory", path);
  if (!there && !disk_->has_directory(parent_of(path))) {
    return Error(Errc::not_found, "open: no such directory", path);
  }
  if (mode == Open::create || mode == Open::truncate) {
    TRY(disk_->begin_operation(path));
    if (!there) disk_->change_names({{}, path, std::make_shared<Inode>()});
    found = disk_->names.find(path);
    if (there) found->second->truncate(0);
  }
  found->second->evict(disk_->random);
  return std::unique_ptr<File>(
      std::make_unique<SimFile>(path, disk_, found->second, mode != Open::read));
}

Status SimFileSystem::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(disk_->mutex);
  TRY(disk_->begin_operation(from));
  const auto found = disk_->names.find(from);
  if (found == disk_->names.end()) return Error(Errc::not_found, "rename: no such file", from);
  if (!disk_->has_directory(parent_of(to))) {
    return Error(Errc::not_found, "rename: no such directory", to);
  }
  if (from != to) disk_->change_names({from, to, found->second});
  return {};
}

Status SimFileSystem::remove(const std::string& path) {
  const std::lock_guard lock(disk_->mutex);
  TRY(disk_->begin_operation(path));
  if (disk_->names.count(path) == 0) return Error(Errc::not_found, "unlink: no such file", path);
  disk_->change_names({path, {}, nullptr});
  return {};
}

Result<std::vector<std::string>> SimFileSystem::list(const std::string& directory) {
  const std::lock_guard lock(disk_->mutex);
  const std::string folder = without_slash(directory);
  if (disk_->down) return closed_error(folder);
  if (!disk_->has_directory(folder)) {
    return Error(Errc::not_found, "opendir: no such directory", folder);
  }
  std::set<std::string> names;
  const auto add = [&](const std::string& path) {
    if (parent_of(path) == folder) names.insert(path.substr(path.rfind('/') + 1));
  };
  for (const auto& [path, inode] : disk_->names) add(path);
  for (const auto& path : disk_->directories) add(path);
  return std::vector<std::string>(names.begin(), names.end());
}

Status SimFileSystem::create_directories(const std::string& directory) {
  const std::lock_guard lock(disk_->mutex);
  if (disk_->down) return closed_error(directory);
  for (std::string folder = without_slash(directory); !disk_->has_directory(folder);
       folder = parent_of(folder)) {
    if (disk_->names.count(folder) != 0) return Error(Errc::io, "mkdir: file exists", folder);
    disk_->directories.insert(folder);
  }
  return {};
}

Status SimFileSystem::sync_directory(const std::string& directory) {
  const std::lock_guard lock(disk_->mutex);
  const std::string folder = without_slash(directory);
  TRY(disk_->begin_operation(folder));
  if (!disk_->has_directory(folder)) {
    return Error(Errc::not_found, "open: no such directory", folder);
  }
  if (disk_->loses_syncs) return {};
  if (disk_->fail_sync.hit()) return Error(Errc::io, "fsync: simulated failure", folder);
  disk_->sync_names(folder);
  return {};
}

bool SimFileSystem::exists(const std::string& path) {
  const std::lock_guard lock(disk_->mutex);
  return !disk_->down &&
         (disk_->names.count(path) != 0 || disk_->has_directory(without_slash(path)));
}

Result<FileSystem::Space> SimFileSystem::space(const std::string& path) {
  const std::lock_guard lock(disk_->mutex);
  if (disk_->down) return closed_error(path);
  const uint64_t total = std::min(disk_->capacity_bytes, kReportedBytes);
  return Space{total, total - std::min(total, disk_->used_bytes())};
}

Result<std::unique_ptr<FileLock>> SimFileSystem::lock(const std::string& path) {
  class Held final : public FileLock {
   public:
    Held(std::shared_ptr<Disk> disk, std::string name)
        : disk_(std::move(disk)), path_(std::move(name)), life_(disk_->life) {}
    ~Held() override {
      const std::lock_guard guard(disk_->mutex);
      if (life_ == disk_->life) disk_->locks.erase(path_);
    }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

   private:
    std::shared_ptr<Disk> disk_;
    std::string path_;
    uint64_t life_;
  };
  const std::lock_guard guard(disk_->mutex);
  if (disk_->down) return closed_error(path);
  if (!disk_->has_directory(parent_of(path))) {
    return Error(Errc::not_found, "open: no such directory", path);
  }
  if (disk_->locks.count(path) != 0) {
    return Error(Errc::busy, "another process holds the lock", path);
  }
  if (disk_->names.count(path) == 0) disk_->change_names({{}, path, std::make_shared<Inode>()});
  disk_->locks.insert(path);
  return std::unique_ptr<FileLock>(std::make_unique<Held>(disk_, path));
}

void SimFileSystem::crash() {
  const std::lock_guard lock(disk_->mutex);
  if (!disk_->down) disk_->crash();
}

void SimFileSystem::kill() {
  const std::lock_guard lock(disk_->mutex);
  disk_->locks.clear();
  ++disk_->life;
}

void SimFileSystem::fail_sync_after(uint64_t n) {
  const std::lock_guard lock(disk_->mutex);
  disk_->fail_sync.left = n;
}

void SimFileSystem::lose_syncs(bool on) {
  const std::lock_guard lock(disk_->mutex);
  disk_->loses_syncs = on;
}

void SimFileSystem::fail_write_after(uint64_t n) {
  const std::lock_guard lock(disk_->mutex);
  disk_->fail_write.left = n;
}

void SimFileSystem::misdirect_write_after(uint64_t n) {
  const std::lock_guard lock(disk_->mutex);
  disk_->misdirect_write.left = n;
}

void SimFileSystem::flip_read_after(uint64_t n) {
  const std::lock_guard lock(disk_->mutex);
  disk_->flip_read.left = n;
}

void SimFileSystem::set_capacity_bytes(uint64_t bytes) {
  const std::lock_guard lock(disk_->mutex);
  disk_->capacity_bytes = bytes;
}

void SimFileSystem::flip_bit(const std::string& path, uint64_t byte) {
  const std::lock_guard lock(disk_->mutex);
  const auto found = disk_->names.find(path);
  if (found == disk_->names.end() || byte >= found->second->size()) return;
  found->second->flip(byte, static_cast<unsigned>(disk_->random.below(8)));
}

uint64_t SimFileSystem::operations() const {
  const std::lock_guard lock(disk_->mutex);
  return disk_->operations;
}

void SimFileSystem::crash_at_operation(uint64_t n) {
  const std::lock_guard lock(disk_->mutex);
  disk_->crash_at.left = n;
}

bool SimFileSystem::crashed() const {
  const std::lock_guard lock(disk_->mutex);
  return disk_->down;
}

void SimFileSystem::restart() {
  const std::lock_guard lock(disk_->mutex);
  disk_->down = false;
}

}  // namespace clickmill::simulation
