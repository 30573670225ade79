#include "tools/restore.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/hard_links.h"
#include "tools/backup_check.h"
#include "tools/backup_files.h"
#include "tools/restored_life.h"

namespace clickmill::tools {
namespace {

constexpr const char* kNode = "node";

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

/// What a start makes by itself, or who serves: a mount point has the second.
bool of_no_account(const std::string& name) { return name == "LOCK" || name == "lost+found"; }

class Restoring {
 public:
  Restoring(const RestoreRequest& request, FileSystem& files, const Clock& clock, const Print& tell)
      : request_(request), files_(files), clock_(clock), tell_(tell), progress_(clock, tell) {}

  Result<Restored> run() {
    Restored out;
    out.manifest = TRY(read_manifest(files_, request_.backup));
    TRY(check_member(out.manifest));
    TRY(take_folder());
    BackupFiles copier(files_, clock_, progress_,
                       {.bytes_per_second = 0, .bytes_expected = out.manifest.bytes()});
    auto made = fill(out.manifest, copier);
    if (!made) {
      remove_all();
      return std::move(made).error();
    }
    out.bytes_shared = copier.bytes_shared();
    out.one_of_many = is_one_of_many(out.manifest);
    return out;
  }

 private:
  bool is_one_of_many(const BackupManifest& manifest) const {
    return request_.one_of_many && !manifest.cluster_id.empty();
  }

  Status check_member(const BackupManifest& manifest) const {
    if (is_one_of_many(manifest) && manifest.node_id != request_.node_id)
      return Error(Errc::invalid,
                   fmt::format("the backup is of node {}, the config of {}; where a node has only "
                               "some of the partitions, each is restored from its own",
                               manifest.node_id, request_.node_id),
                   request_.backup.folder);
    if (manifest.cluster_id.empty() || request_.new_cluster) return {};
    return Error(
        Errc::invalid,
        "the backup is of a member of a cluster. While the others live, start this node with an "
        "empty data_dir: they bring it back. If all of them are lost, --new-cluster begins a "
        "cluster anew with this copy",
        request_.backup.folder);
  }

  Status take_folder() {
    TRY(files_.create_directories(request_.data_dir));
    auto lock = files_.lock(request_.data_dir + "/LOCK");
    if (!lock && lock.error().code() == Errc::busy)
      return std::move(lock).error().with_context("a node runs on this data directory");
    if (!lock) return std::move(lock).error();
    lock_ = *std::move(lock);
    for (const std::string& name : TRY(files_.list(request_.data_dir))) {
      if (of_no_account(name)) continue;
      return Error(Errc::invalid, "not empty: \"" + name + "\" stands in it", request_.data_dir);
    }
    return {};
  }

  Status fill(const BackupManifest& manifest, BackupFiles& copier) {
    // The journal's folder at once: without a node file beside it no node takes the rest for new.
    for (const std::string& folder : {std::string("journal"), std::string("state")})
      TRY(make_folder(folder));
    const BackedUpFile* node = nullptr;
    for (const BackedUpFile& file : manifest.files) {
      if (file.path == kNode) {
        node = &file;
      } else if (is_one_of_many(manifest) || begins_a_life(file.path)) {
        TRY(make_folder(folder_of(file.path)));
        TRY(take(file, copier, file.path));
      }
    }
    if (node == nullptr)
      return Error(Errc::corrupt, "lists no node file", request_.backup.manifest());
    const std::string waiting = std::string(kNode) + ".restored";
    TRY(take(*node, copier, waiting));
    if (is_one_of_many(manifest)) {
      TRY(stay_member(request_.data_dir, files_));
    } else {
      TRY(begin_life(request_.data_dir, manifest, files_, clock_, progress_));
    }
    for (const std::string& folder : folders_)
      TRY(files_.sync_directory(request_.data_dir + "/" + folder));
    TRY(files_.rename(request_.data_dir + "/" + waiting, request_.data_dir + "/" + kNode));
    return files_.sync_directory(request_.data_dir);
  }

  Status make_folder(const std::string& folder) {
    if (folder.empty() || !folders_.insert(folder).second) return {};
    return files_.create_directories(request_.data_dir + "/" + folder);
  }

  Status take(const BackedUpFile& file, BackupFiles& copier, const std::string& name) {
    const std::string from = request_.backup.data() + "/" + file.path;
    const std::string to = request_.data_dir + "/" + name;
    auto checksum =
        file.immutable ? copier.share(from, to, file.bytes) : copier.copy(from, to, file.bytes);
    if (!checksum && checksum.error().code() == Errc::not_found)
      return Error(Errc::corrupt, "is missing, though backup.json lists it", from);
    if (!checksum) return std::move(checksum).error();
    if (*checksum == file.checksum) return {};
    return Error(Errc::corrupt, "is damaged: its checksum is not the one in backup.json", from);
  }

  void remove_all() {
    const auto names = files_.list(request_.data_dir);
    if (!names) return;
    for (const std::string& name : *names) {
      if (!of_no_account(name))
        ignore(remove_tree(request_.data_dir + "/" + name), "without a node file it is no data");
    }
  }

  const RestoreRequest& request_;
  FileSystem& files_;
  const Clock& clock_;
  const Print& tell_;
  Progress progress_;
  std::unique_ptr<FileLock> lock_;
  std::set<std::string> folders_;
};

Status verify_file(const BackupPaths& backup, const BackedUpFile& file, BackupFiles& reader) {
  const std::string path = backup.data() + "/" + file.path;
  const auto checksum = reader.checksum_of(path, file.bytes);
  if (!checksum && checksum.error().code() == Errc::not_found)
    return Error(Errc::corrupt, "is missing, though backup.json lists it", path);
  if (!checksum) return Error(checksum.error().code(), checksum.error().message(), path);
  if (*checksum == file.checksum) return {};
  return Error(Errc::corrupt, "is damaged: its checksum is not the one in backup.json", path);
}

}  // namespace

Result<std::vector<std::string>> verify_backup(const BackupPaths& backup, FileSystem& files,
                                               const Clock& clock, uint64_t bytes_per_second,
                                               const Print& tell) {
  std::vector<std::string> wrong;
  auto manifest = read_manifest(files, backup);
  if (!manifest && manifest.error().code() == Errc::corrupt)
    return std::vector{manifest.error().text()};
  if (!manifest) return std::move(manifest).error();
  Progress progress(clock, tell);
  BackupFiles reader(files, clock, progress,
                     {.bytes_per_second = bytes_per_second, .bytes_expected = manifest->bytes()});
  for (const BackedUpFile& file : manifest->files) {
    if (auto fine = verify_file(backup, file, reader); !fine) wrong.push_back(fine.error().text());
  }
  // What is damaged would only be found again, in other words.
  if (!wrong.empty()) return wrong;
  const auto named = read_named(files, backup.data(), manifest->partitions);
  if (!named) return std::vector{named.error().text()};
  return check_data(files, backup.data(), *named, progress);
}

Result<Restored> restore_backup(const RestoreRequest& request, FileSystem& files,
                                const Clock& clock, const Print& tell) {
  return Restoring(request, files, clock, tell).run();
}

}  // namespace clickmill::tools
