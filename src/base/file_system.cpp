#include "base/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace clickmill {
namespace {

Error errno_error(const char* what, const std::string& path, uint64_t position = 0) {
  const int number = errno;
  Errc code = Errc::io;
  if (number == ENOSPC || number == EDQUOT) code = Errc::no_space;
  if (number == ENOENT) code = Errc::not_found;
  return Error(code, std::string(what) + ": " + std::strerror(number), path, position);
}

class PosixFile final : public File {
 public:
  PosixFile(std::string path, int descriptor) : File(std::move(path)), descriptor_(descriptor) {}
  ~PosixFile() override { ::close(descriptor_); }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  Status write_at(uint64_t position, std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t done =
          ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(position));
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) return errno_error("write", path(), position);
      position += static_cast<uint64_t>(done);
      bytes.remove_prefix(static_cast<size_t>(done));
    }
    return {};
  }

  Status read_at(uint64_t position, size_t length, std::string& out) override {
    out.resize(length);
    size_t have = 0;
    while (have < length) {
      const ssize_t done = ::pread(descriptor_, out.data() + have, length - have,
                                   static_cast<off_t>(position + have));
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) return errno_error("read", path(), position + have);
      if (done == 0) break;
      have += static_cast<size_t>(done);
    }
    out.resize(have);
    return {};
  }

  Status sync() override {
    if (::fdatasync(descriptor_) != 0) return errno_error("fdatasync", path());
    return {};
  }

  Result<uint64_t> size() override {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) return errno_error("fstat", path());
    return static_cast<uint64_t>(status.st_size);
  }

  Status truncate(uint64_t length) override {
    if (::ftruncate(descriptor_, static_cast<off_t>(length)) != 0) {
      return errno_error("truncate", path(), length);
    }
    return {};
  }

 private:
  int descriptor_;
};

class PosixFileLock final : public FileLock {
 public:
  explicit PosixFileLock(int descriptor) : descriptor_(descriptor) {}
  ~PosixFileLock() override { ::close(descriptor_); }
  PosixFileLock(const PosixFileLock&) = delete;
  PosixFileLock& operator=(const PosixFileLock&) = delete;

 private:
  int descriptor_;
};

int open_flags(FileSystem::Open mode) {
  switch (mode) {
    case FileSystem::Open::read: return O_RDONLY;
    case FileSystem::Open::write: return O_RDWR;
    case FileSystem::Open::create: return O_RDWR | O_CREAT | O_EXCL;
    case FileSystem::Open::truncate: return O_RDWR | O_CREAT | O_TRUNC;
  }
  return O_RDONLY;
}

/// How many a file has.
nlink_t names_of(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) ? status.st_nlink : 0;
}

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Result<std::unique_ptr<File>> PosixFileSystem::open(const std::string& path, Open mode) {
  // A backup's file may share it; that one keeps its bytes.
  if (mode == Open::truncate && names_of(path) > 1) TRY(remove(path));
  const int descriptor = ::open(path.c_str(), open_flags(mode) | O_CLOEXEC, 0644);
  if (descriptor < 0) return errno_error("open", path);
  return std::unique_ptr<File>(std::make_unique<PosixFile>(path, descriptor));
}

Status PosixFileSystem::rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return errno_error("rename", from);
  return {};
}

Status PosixFileSystem::remove(const std::string& path) {
  if (::unlink(path.c_str()) != 0) return errno_error("unlink", path);
  return {};
}

Result<std::vector<std::string>> PosixFileSystem::list(const std::string& directory) {
  DIR* handle = ::opendir(directory.c_str());
  if (handle == nullptr) return errno_error("opendir", directory);
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(handle)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  ::closedir(handle);
  std::sort(names.begin(), names.end());
  return names;
}

Status PosixFileSystem::create_directories(const std::string& directory) {
  for (size_t end = 1; end <= directory.size(); ++end) {
    if (end != directory.size() && directory[end] != '/') continue;
    const std::string prefix = directory.substr(0, end);
    if (::mkdir(prefix.c_str(), 0755) == 0) {
      // The new folder's own entry must survive too, or everything in it is lost with it.
      TRY(sync_directory(parent_of(prefix)));
      continue;
    }
    if (errno != EEXIST) return errno_error("mkdir", prefix);
  }
  return {};
}

Status PosixFileSystem::sync_directory(const std::string& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return errno_error("open", directory);
  const int answer = ::fsync(descriptor);
  const int saved = errno;
  ::close(descriptor);
  errno = saved;
  if (answer != 0) return errno_error("fsync", directory);
  return {};
}

bool PosixFileSystem::exists(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0;
}

Result<FileSystem::Space> PosixFileSystem::space(const std::string& path) {
  struct statvfs status {};
  if (::statvfs(path.c_str(), &status) != 0) return errno_error("statvfs", path);
  return Space{status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize};
}

Result<std::unique_ptr<FileLock>> PosixFileSystem::lock(const std::string& path) {
  int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  // A lock needs no writing.
  if (descriptor < 0 && errno != ENOENT) descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return errno_error("open", path);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    const bool taken = errno == EWOULDBLOCK;
    auto error = errno_error("flock", path);
    ::close(descriptor);
    if (taken) return Error(Errc::busy, "another process holds the lock", path);
    return error;
  }
  return std::unique_ptr<FileLock>(std::make_unique<PosixFileLock>(descriptor));
}

Result<std::string> read_file(FileSystem& files, const std::string& path) {
  auto file = TRY(files.open(path, FileSystem::Open::read));
  const uint64_t size = TRY(file->size());
  std::string bytes;
  TRY(file->read_at(0, size, bytes));
  return bytes;
}

Status write_file_atomically(FileSystem& files, const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".tmp";
  {
    auto file = TRY(files.open(temporary, FileSystem::Open::truncate));
    TRY(file->write_at(0, bytes));
    TRY(file->sync());
  }
  TRY(files.rename(temporary, path));
  // A rename is durable only once its folder is; without this a power loss
  // brings the old file back.
  return files.sync_directory(parent_of(path));
}

}  // namespace clickmill
