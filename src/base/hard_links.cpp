#include "base/hard_links.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "base/file_system.h"

namespace clickmill {
namespace {

constexpr size_t kPiece = 1 << 20;

Status copy_to(FileSystem& files, const std::string& from, const std::string& to) {
  const auto source = TRY(files.open(from, FileSystem::Open::read));
  const auto target = TRY(files.open(to, FileSystem::Open::truncate));
  std::string piece;
  for (uint64_t at = 0;; at += piece.size()) {
    TRY(source->read_at(at, kPiece, piece));
    if (piece.empty()) return target->sync();
    TRY(target->write_at(at, piece));
  }
}

}  // namespace

Status add_name(const std::string& existing, const std::string& added) {
  if (::link(existing.c_str(), added.c_str()) == 0) return {};
  Errc code = Errc::io;
  if (errno == ENOENT) code = Errc::not_found;
  if (errno == ENOSPC || errno == EDQUOT) code = Errc::no_space;
  if (errno == EXDEV || errno == EPERM || errno == EMLINK || errno == EOPNOTSUPP)
    code = Errc::invalid;
  return Error(code, std::string("link: ") + std::strerror(errno), existing);
}

bool has_other_names(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink > 1;
}

bool on_one_disk(const std::string& one, const std::string& other) {
  struct stat first {};
  struct stat second {};
  return ::stat(one.c_str(), &first) == 0 && ::stat(other.c_str(), &second) == 0 &&
         first.st_dev == second.st_dev;
}

Status break_link(const std::string& path) {
  if (!has_other_names(path)) return {};
  PosixFileSystem files;
  const std::string own = path + ".own";
  if (auto copied = copy_to(files, path, own); !copied) {
    ignore(files.remove(own), "the caller hears why it was not made");
    return copied;
  }
  TRY(files.rename(own, path));
  return files.sync_directory(path.substr(0, std::max<size_t>(path.rfind('/'), 1)));
}

Status remove_tree(const std::string& path) {
  std::error_code failed;
  std::filesystem::remove_all(path, failed);
  if (!failed) return {};
  return Error(Errc::io, "remove: " + failed.message(), path);
}

}  // namespace clickmill
