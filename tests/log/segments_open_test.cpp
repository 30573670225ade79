// A start must not depend on how much is sealed: manifests are read, segments are not.

#include <catch2/catch.hpp>
#include <functional>

#include "log/manifest.h"
#include "log/partition_log.h"
#include "simulation/sim_file_system.h"

namespace clickmill::log {
namespace {

constexpr uint32_t kPartitions = 64;
constexpr uint64_t kSegmentBytes = 268'435'456;
constexpr uint64_t kTotalBytes = 100'000'000'000;
constexpr uint64_t kSegmentsEach = kTotalBytes / kSegmentBytes / kPartitions + 1;
constexpr uint64_t kBlocksEach = 1'200;

/// Counts what is opened and read on the way to another file system.
class CountingFileSystem final : public FileSystem {
 public:
  explicit CountingFileSystem(FileSystem& below) : below_(below) {}

  Result<std::unique_ptr<File>> open(const std::string& path, Open mode) override {
    opened.push_back(path);
    auto file = TRY(below_.open(path, mode));
    return std::unique_ptr<File>(std::make_unique<CountingFile>(*this, std::move(file)));
  }
  Status rename(const std::string& from, const std::string& to) override {
    return below_.rename(from, to);
  }
  Status remove(const std::string& path) override { return below_.remove(path); }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    return below_.list(directory);
  }
  Status create_directories(const std::string& directory) override {
    return below_.create_directories(directory);
  }
  Status sync_directory(const std::string& directory) override {
    return below_.sync_directory(directory);
  }
  bool exists(const std::string& path) override { return below_.exists(path); }
  Result<Space> space(const std::string& path) override { return below_.space(path); }
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    return below_.lock(path);
  }

  std::vector<std::string> opened;
  uint64_t bytes_read = 0;

 private:
  class CountingFile final : public File {
   public:
    CountingFile(CountingFileSystem& disk, std::unique_ptr<File> below)
        : File(below->path()), disk_(disk), below_(std::move(below)) {}
    Status write_at(uint64_t position, std::string_view bytes) override {
      return below_->write_at(position, bytes);
    }
    Status read_at(uint64_t position, size_t length, std::string& out) override {
      TRY(below_->read_at(position, length, out));
      disk_.bytes_read += out.size();
      return {};
    }
    Status sync() override { return below_->sync(); }
    Result<uint64_t> size() override { return below_->size(); }
    Status truncate(uint64_t length) override { return below_->truncate(length); }

   private:
    CountingFileSystem& disk_;
    std::unique_ptr<File> below_;
  };

  FileSystem& below_;
};

std::string directory_of(uint32_t partition) { return "/log/" + std::to_string(partition); }

/// The manifest of a log with full segments and half a one. The files themselves
/// aren't there: whoever looks into one fails.
void write_manifest(FileSystem& files, const std::string& directory) {
  REQUIRE(files.create_directories(directory));
  REQUIRE(Manifest::create(files, directory + "/manifest", {}));
  auto manifest = Manifest::open(files, directory + "/manifest");
  REQUIRE(manifest);
  std::vector<Edit> edits;
  Offset next(1);
  const LogMs time(1'782'295'200'000);
  for (uint64_t i = 0; i < kSegmentsEach; ++i) {
    SegmentInfo info;
    info.first = next;
    info.last = next + (kBlocksEach * kBlockOffsets - 1);
    info.min_append_ms = info.max_append_ms = time;
    info.last_term = Term(1);
    info.bytes = kSegmentBytes;
    info.blocks = kBlocksEach;
    next = info.last + 1;
    edits.push_back(Edit::close(info));
  }
  BlockInfo block;
  block.position = kSegmentHeaderBytes;
  block.size = static_cast<uint32_t>(kSegmentBytes / kBlocksEach);
  const Offset segment = next;
  for (uint64_t i = 0; i < kBlocksEach / 2; ++i) {
    block.first = next;
    block.last = next + (kBlockOffsets - 1);
    block.last_term = Term(1);
    edits.push_back(Edit::add(segment, block));
    block.position += block.size;
    next = block.last + 1;
  }
  REQUIRE((*manifest)->append(edits));
}

TEST_CASE("segments: opening 100 GB in 64 partitions reads their manifests alone", "[log]") {
  simulation::SimFileSystem disk(1);
  for (uint32_t i = 0; i < kPartitions; ++i) write_manifest(disk, directory_of(i));
  CountingFileSystem files(disk);
  const RowCodec codec;
  std::vector<std::unique_ptr<Segments>> logs;
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < kPartitions; ++i) {
    auto opened = Segments::open(files, directory_of(i), codec, {});
    REQUIRE(opened);
    logs.push_back(*std::move(opened));
    bytes += logs.back()->bytes();
  }
  CHECK(bytes >= kTotalBytes);
  for (const auto& path : files.opened) REQUIRE(path.find("/manifest") != std::string::npos);
  CHECK(files.opened.size() <= 3 * kPartitions);
  CHECK(files.bytes_read <= kPartitions * 100'000);

  // Nor does what stands on top of them need more to begin.
  files.opened.clear();
  ManualClock clock(1'782'295'200'000);
  NodeClock node_clock(clock);
  Journal::Options options;
  options.file_bytes = 1 << 20;
  options.unsynced_bytes = 256 << 10;
  auto journal = Journal::open(files, "/journal", node_clock, options,
                               [](JournalPos, const RecordView&) -> Status { return {}; });
  REQUIRE(journal);
  for (uint32_t i = 0; i < kPartitions; ++i) {
    auto log = PartitionLog::open(PartitionId(i), *logs[i], **journal, {}, {});
    REQUIRE(log);
    CHECK((*log)->last() == logs[i]->last());
  }
  for (const auto& path : files.opened) REQUIRE(path.find(".segment") == std::string::npos);

  // The numbers above mean something: a look into a segment would have shown.
  CHECK_FALSE(logs[0]->read_block(Offset(1)));
  CHECK(files.opened.back().find(".segment") != std::string::npos);
}

}  // namespace
}  // namespace clickmill::log
