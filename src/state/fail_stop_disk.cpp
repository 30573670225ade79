#include "state/fail_stop_disk.h"

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <utility>

namespace clickmill::state {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

/// What a file and its file system share.
struct Guard {
  std::shared_ptr<FailStop> fail_stop;
  BeforeWrite before_write;

  /// Says that all went well, whatever happened.
  template <typename Change>
  IOStatus change(const std::string& path, const Change& change_it) const {
    return attempt(path, change_it, IOStatus::OK());
  }

  /// `instead` is answered for a change that wasn't made.
  template <typename Change>
  IOStatus attempt(const std::string& path, const Change& change_it,
                   const IOStatus& instead) const {
    const std::shared_lock lock(fail_stop->writing());
    if (fail_stop->stopped()) return instead;
    IOStatus status = hindrance(path);
    if (status.ok()) status = change_it();
    // Nothing is wrong with a disk that doesn't have a file.
    if (status.ok() || status.IsNotFound() || status.IsPathNotFound()) return status;
    if (status.IsNotSupported()) return status;
    fail_stop->stop(Error(status.IsNoSpace() ? Errc::no_space : Errc::io, status.ToString()));
    return instead;
  }

  IOStatus hindrance(const std::string& path) const {
    if (!before_write) return IOStatus::OK();
    const auto may = before_write(path);
    if (may) return IOStatus::OK();
    const Error& why = may.error();
    return why.code() == Errc::no_space ? IOStatus::NoSpace(why.text())
                                        : IOStatus::IOError(why.text());
  }
};

/// Neither "no space" nor retryable, so that RocksDB doesn't try by itself.
IOStatus not_made() { return IOStatus::IOError("the disk failed before"); }

class FailStopFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FailStopFile(std::unique_ptr<rocksdb::FSWritableFile>&& file, std::string path, Guard guard)
      : FSWritableFileOwnerWrapper(std::move(file)),
        path_(std::move(path)),
        guard_(std::move(guard)) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    return guard_.change(path_, [&] { return target()->Append(data, options, debug); });
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus PositionedAppend(const Slice& data, uint64_t offset, const IOOptions& options,
                            IODebugContext* debug) override {
    return guard_.change(path_,
                         [&] { return target()->PositionedAppend(data, offset, options, debug); });
  }
  IOStatus PositionedAppend(const Slice& data, uint64_t offset, const IOOptions& options,
                            const rocksdb::DataVerificationInfo&, IODebugContext* debug) override {
    return PositionedAppend(data, offset, options, debug);
  }
  IOStatus Truncate(uint64_t size, const IOOptions& options, IODebugContext* debug) override {
    return guard_.change(path_, [&] { return target()->Truncate(size, options, debug); });
  }
  IOStatus Flush(const IOOptions& options, IODebugContext* debug) override {
    return guard_.change(path_, [&] { return target()->Flush(options, debug); });
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return guard_.change(path_, [&] { return target()->Sync(options, debug); });
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return guard_.change(path_, [&] { return target()->Fsync(options, debug); });
  }
  IOStatus RangeSync(uint64_t offset, uint64_t bytes, const IOOptions& options,
                     IODebugContext* debug) override {
    return guard_.change(path_, [&] { return target()->RangeSync(offset, bytes, options, debug); });
  }
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    return guard_.change(path_, [&] { return target()->Close(options, debug); });
  }
  void PrepareWrite(size_t offset, size_t bytes, const IOOptions& options,
                    IODebugContext* debug) override {
    if (!guard_.fail_stop->stopped()) target()->PrepareWrite(offset, bytes, options, debug);
  }
  IOStatus Allocate(uint64_t offset, uint64_t bytes, const IOOptions& options,
                    IODebugContext* debug) override {
    // Only a hint: the write that follows says whether there is room.
    if (guard_.fail_stop->stopped()) return IOStatus::OK();
    return target()->Allocate(offset, bytes, options, debug);
  }

 private:
  const std::string path_;
  const Guard guard_;
};

class FailStopDirectory final : public rocksdb::FSDirectoryWrapper {
 public:
  FailStopDirectory(std::unique_ptr<rocksdb::FSDirectory>&& directory, std::string path,
                    Guard guard)
      : FSDirectoryWrapper(std::move(directory)),
        path_(std::move(path)),
        guard_(std::move(guard)) {}

  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return guard_.change(path_, [&] { return FSDirectoryWrapper::Fsync(options, debug); });
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions& how) override {
    return guard_.change(
        path_, [&] { return FSDirectoryWrapper::FsyncWithDirOptions(options, debug, how); });
  }

 private:
  const std::string path_;
  const Guard guard_;
};

class FailStopFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  explicit FailStopFileSystem(Guard guard)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), guard_(std::move(guard)) {}
  const char* Name() const override { return "FailStopFileSystem"; }

  IOStatus NewWritableFile(const std::string& path, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext* debug) override {
    return make(path, file, [&] { return target()->NewWritableFile(path, options, file, debug); });
  }
  IOStatus ReopenWritableFile(const std::string& path, const FileOptions& options,
                              std::unique_ptr<rocksdb::FSWritableFile>* file,
                              IODebugContext* debug) override {
    return make(path, file,
                [&] { return target()->ReopenWritableFile(path, options, file, debug); });
  }
  IOStatus ReuseWritableFile(const std::string& path, const std::string& old_path,
                             const FileOptions& options,
                             std::unique_ptr<rocksdb::FSWritableFile>* file,
                             IODebugContext* debug) override {
    return make(path, file,
                [&] { return target()->ReuseWritableFile(path, old_path, options, file, debug); });
  }
  IOStatus NewRandomRWFile(const std::string& path, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSRandomRWFile>* file,
                           IODebugContext* debug) override {
    return guard_.attempt(
        path, [&] { return target()->NewRandomRWFile(path, options, file, debug); }, not_made());
  }
  IOStatus NewDirectory(const std::string& path, const IOOptions& options,
                        std::unique_ptr<rocksdb::FSDirectory>* directory,
                        IODebugContext* debug) override {
    auto status = target()->NewDirectory(path, options, directory, debug);
    if (status.ok()) {
      *directory = std::make_unique<FailStopDirectory>(std::move(*directory), path, guard_);
    }
    return status;
  }
  IOStatus DeleteFile(const std::string& path, const IOOptions& options,
                      IODebugContext* debug) override {
    return guard_.change(path, [&] { return target()->DeleteFile(path, options, debug); });
  }
  IOStatus Truncate(const std::string& path, size_t size, const IOOptions& options,
                    IODebugContext* debug) override {
    return guard_.change(path, [&] { return target()->Truncate(path, size, options, debug); });
  }
  IOStatus CreateDirIfMissing(const std::string& path, const IOOptions& options,
                              IODebugContext* debug) override {
    return guard_.change(path, [&] { return target()->CreateDirIfMissing(path, options, debug); });
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* debug) override {
    return guard_.change(from, [&] { return target()->RenameFile(from, to, options, debug); });
  }
  IOStatus LinkFile(const std::string& from, const std::string& to, const IOOptions& options,
                    IODebugContext* debug) override {
    return guard_.change(from, [&] { return target()->LinkFile(from, to, options, debug); });
  }
  // Whoever opens one RocksDB after the other holds the lock over them all.
  IOStatus LockFile(const std::string&, const IOOptions&, rocksdb::FileLock** lock,
                    IODebugContext*) override {
    *lock = new rocksdb::FileLock();
    return IOStatus::OK();
  }
  IOStatus UnlockFile(rocksdb::FileLock* lock, const IOOptions&, IODebugContext*) override {
    delete lock;
    return IOStatus::OK();
  }

 private:
  template <typename Make>
  IOStatus make(const std::string& path, std::unique_ptr<rocksdb::FSWritableFile>* file,
                const Make& make_it) {
    auto status = guard_.attempt(path, make_it, not_made());
    if (status.ok()) *file = std::make_unique<FailStopFile>(std::move(*file), path, guard_);
    return status;
  }

  const Guard guard_;
};

}  // namespace

Error FailStop::cause() const {
  const std::lock_guard lock(mutex_);
  return cause_ ? Error(cause_->code(), cause_->message()) : Error(Errc::io, "not writable");
}

void FailStop::stop(const Error& cause) {
  {
    const std::lock_guard lock(mutex_);
    if (cause_) return;
    cause_.emplace(cause.code(), cause.text());
    stopped_.store(true, std::memory_order_release);
  }
  if (on_stop_) on_stop_();
}

std::shared_ptr<rocksdb::FileSystem> fail_stop_disk(std::shared_ptr<FailStop> fail_stop,
                                                    BeforeWrite before_write) {
  return std::make_shared<FailStopFileSystem>(Guard{std::move(fail_stop), std::move(before_write)});
}

}  // namespace clickmill::state
