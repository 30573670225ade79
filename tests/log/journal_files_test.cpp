#include "log/journal_files.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <future>
#include <string>
#include <utility>

#include "simulation/sim_file_system.h"

namespace clickmill::log {
namespace {

constexpr uint64_t kFile = 8 << 20;

/// Tells of every write to a spare.
class WatchedDisk final : public FileSystem {
 public:
  explicit WatchedDisk(FileSystem& base) : base_(base) {}
  std::function<void()> on_spare_write = [] {};

  Result<std::unique_ptr<File>> open(const std::string& path, Open mode) override {
    auto file = TRY(base_.open(path, mode));
    return std::unique_ptr<File>(std::make_unique<WatchedFile>(*this, std::move(file)));
  }
  Status rename(const std::string& from, const std::string& to) override {
    return base_.rename(from, to);
  }
  Status remove(const std::string& path) override { return base_.remove(path); }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    return base_.list(directory);
  }
  Status create_directories(const std::string& directory) override {
    return base_.create_directories(directory);
  }
  Status sync_directory(const std::string& directory) override {
    return base_.sync_directory(directory);
  }
  bool exists(const std::string& path) override { return base_.exists(path); }
  Result<Space> space(const std::string& path) override { return base_.space(path); }
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    return base_.lock(path);
  }

 private:
  class WatchedFile final : public File {
   public:
    WatchedFile(WatchedDisk& disk, std::unique_ptr<File> base)
        : File(base->path()), disk_(disk), base_(std::move(base)) {}
    Status write_at(uint64_t position, std::string_view bytes) override {
      auto done = base_->write_at(position, bytes);
      if (path().find("spare-") != std::string::npos) disk_.on_spare_write();
      return done;
    }
    Status read_at(uint64_t position, size_t length, std::string& out) override {
      return base_->read_at(position, length, out);
    }
    Status sync() override { return base_->sync(); }
    Result<uint64_t> size() override { return base_->size(); }
    Status truncate(uint64_t length) override { return base_->truncate(length); }

   private:
    WatchedDisk& disk_;
    const std::unique_ptr<File> base_;
  };
  FileSystem& base_;
};

TEST_CASE("journal files: a spare under way ends with the preparing, and leaves nothing", "[log]") {
  simulation::SimFileSystem disk(1);
  REQUIRE(disk.create_directories("/journal"));
  WatchedDisk watched(disk);
  JournalFiles files(watched, "/journal", kFile);
  REQUIRE(files.adopt(7, {}));
  std::atomic<int> pieces = 0;
  std::promise<void> begun;
  watched.on_spare_write = [&] {
    files.end_preparing();
    if (++pieces == 1) begun.set_value();
  };
  files.start_preparing();
  begun.get_future().wait();
  files.stop_preparing();
  CHECK(pieces == 1);
  CHECK(disk.list("/journal").value().empty());

  // Who needs the file waits for all of it.
  REQUIRE(files.advance(JournalPos(0)));
  CHECK(pieces > 8);
}

}  // namespace
}  // namespace clickmill::log
