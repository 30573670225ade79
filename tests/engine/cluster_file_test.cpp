#include "engine/cluster_file.h"

#include <catch2/catch.hpp>
#include <set>

#include "engine/data_dir.h"
#include "simulation/sim_file_system.h"

namespace clickmill::engine {
namespace {

using simulation::SimFileSystem;

const std::string kDir = "/data";
const std::string kFile = "/data/cluster";

cluster::Founded example() {
  cluster::Founded founded;
  founded.cluster_id = 0xfedcba9876543210;
  founded.epoch = 3;
  founded.epoch_random = 0xffffffffffffffff;
  founded.partitions = 64;
  founded.seed = 0x8000000000000001;
  founded.founders = {{"n1", raft::StorageId(1)}, {"n2", raft::StorageId(~uint64_t{0})}};
  return founded;
}

std::unique_ptr<ClusterFile> opened(FileSystem& files) {
  auto file = ClusterFile::open_or_make(files, kDir);
  if (!file) FAIL(file.error().text());
  return *std::move(file);
}

class Disk {
 public:
  explicit Disk(uint64_t seed = 1) : files_(seed) {
    REQUIRE(files_.create_directories(kDir));
    REQUIRE(files_.sync_directory("/"));
    REQUIRE(files_.sync_directory(kDir));
  }
  operator FileSystem&() { return files_; }  // NOLINT: it stands for its files
  SimFileSystem* operator->() { return &files_; }
  std::string text() { return *read_file(files_, kFile); }
  void put(const std::string& text) { REQUIRE(write_file_atomically(files_, kFile, text)); }
  void lose_power() {
    files_.crash();
    files_.restart();
  }

 private:
  SimFileSystem files_;
};

}  // namespace

TEST_CASE("cluster file: a new one has a storage id of its own and no cluster", "[engine]") {
  std::set<uint64_t> ids;
  for (uint64_t i = 0; i < 20; ++i) {
    Disk disk;
    const auto file = opened(disk);
    CHECK_FALSE(file->founded());
    CHECK(file->former().empty());
    CHECK(file->storage_id() != raft::StorageId(0));
    ids.insert(file->storage_id().value());
    CHECK(opened(disk)->storage_id() == file->storage_id());
  }
  CHECK(ids.size() == 20);
}

TEST_CASE("cluster file: what is saved is there after a power loss", "[engine]") {
  Disk disk(GENERATE(range<uint64_t>(1, 20)));
  const auto storage = opened(disk)->storage_id();
  disk.lose_power();
  auto file = opened(disk);
  CHECK(file->storage_id() == storage);
  REQUIRE(file->save(example()));
  disk.lose_power();
  file = opened(disk);
  CHECK(file->storage_id() == storage);
  CHECK(file->founded() == example());
}

TEST_CASE("cluster file: a renewed storage id keeps the cluster and the former ids", "[engine]") {
  Disk disk;
  auto file = opened(disk);
  REQUIRE(file->save(example()));
  const auto first = file->storage_id();
  REQUIRE(file->renew_storage_id("journal/3: damaged at byte 4096"));
  const auto second = file->storage_id();
  CHECK(second != first);
  REQUIRE(file->renew_storage_id("\xff"));
  file = opened(disk);
  CHECK(file->founded() == example());
  CHECK(file->former() == std::vector<ClusterFile::Former>{
                              {first, "journal/3: damaged at byte 4096"}, {second, "(not UTF-8)"}});
  CHECK(file->storage_id() != first);
  CHECK(file->storage_id() != second);
  for (int i = 0; i < 120; ++i) REQUIRE(file->renew_storage_id(std::to_string(i)));
  file = opened(disk);
  REQUIRE(file->former().size() == 100);
  CHECK(file->former().back().reason == "119");
}

TEST_CASE("cluster file: a crash at any point leaves the old or the new", "[engine]") {
  for (uint64_t at = 1; at < 10; ++at) {
    for (uint64_t seed = 0; seed < 5; ++seed) {
      CAPTURE(at, seed);
      Disk disk(seed);
      auto file = opened(disk);
      const auto storage = file->storage_id();
      disk->crash_at_operation(at);
      const bool saved = file->save(example()).has_value();
      if (!saved) CHECK_FALSE(file->founded());
      disk.lose_power();
      file = opened(disk);
      CHECK(file->storage_id() == storage);
      if (saved) CHECK(file->founded() == example());
      if (file->founded()) CHECK(file->founded() == example());
    }
  }
}

TEST_CASE("cluster file: a failed write changes nothing here and can be repeated", "[engine]") {
  Disk disk;
  auto file = opened(disk);
  const auto storage = file->storage_id();
  disk->fail_write_after(1);
  CHECK_FALSE(file->save(example()));
  CHECK_FALSE(file->founded());
  disk->fail_sync_after(1);
  CHECK_FALSE(file->renew_storage_id("x"));
  CHECK(file->storage_id() == storage);
  REQUIRE(file->save(example()));
  CHECK(opened(disk)->founded() == example());
  CHECK_FALSE(file->save(cluster::Founded{}));
}

TEST_CASE("cluster file: damage anywhere is named, never taken for another node", "[engine]") {
  Disk disk;
  auto file = opened(disk);
  REQUIRE(file->save(example()));
  REQUIRE(file->renew_storage_id("why"));
  const std::string good = disk.text();
  const auto storage = file->storage_id();
  for (size_t at = 0; at < good.size(); ++at) {
    for (const int bit : {0, 3, 6, 7}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      disk.put(bad);
      const auto read = ClusterFile::open_or_make(disk, kDir);
      if (read) {
        // A blank between two values; they are as they were.
        const bool same = (*read)->storage_id() == storage && (*read)->founded() == example();
        if (!same) FAIL("bit " << bit << " of byte " << at);
        continue;
      }
      // Of the version, it may look like a newer one's.
      if (read.error().code() != Errc::corrupt && read.error().code() != Errc::invalid)
        FAIL(read.error().text());
      if (read.error().path() != kFile) FAIL(read.error().text());
    }
  }
  for (const std::string text : {"", "{}", "[]", "null", "{\"format_version\":1}"}) {
    disk.put(text);
    const auto read = ClusterFile::open_or_make(disk, kDir);
    REQUIRE_FALSE(read);
    CHECK(read.error().code() == Errc::corrupt);
    CHECK(read.error().path() == kFile);
  }
  disk.put(good.substr(0, good.size() / 2));
  CHECK_FALSE(ClusterFile::open_or_make(disk, kDir));
}

TEST_CASE("cluster file: that of a newer version is left alone", "[engine]") {
  Disk disk;
  const std::string newer = R"({"format_version":2,"checksum":"of another kind"})";
  disk.put(newer);
  const auto read = ClusterFile::open_or_make(disk, kDir);
  REQUIRE_FALSE(read);
  CHECK(read.error().code() == Errc::invalid);
  CHECK(read.error().message() == "format version 2 is not 1, which this binary reads");
  CHECK(disk.text() == newer);
}

TEST_CASE("cluster file: one of version 1 stays readable", "[engine]") {
  Disk disk;
  disk.put(R"({
  "checksum": "bcb64f1b74c81a23",
  "cluster_id": "00000000000000ab",
  "epoch": 1,
  "epoch_random": "0000000000000000",
  "format_version": 1,
  "former": [
    {
      "reason": "journal missing",
      "storage_id": "0000000000000007"
    }
  ],
  "founders": [
    {
      "node_id": "n1",
      "storage_id": "0000000000000007"
    }
  ],
  "partitions": 64,
  "seed": "00000000000000cd",
  "storage_id": "0000000000000008"
}
)");
  const auto file = opened(disk);
  CHECK(file->storage_id() == raft::StorageId(8));
  REQUIRE(file->founded());
  CHECK(file->founded()->cluster_id == 0xab);
  CHECK(file->founded()->epoch == 1);
  CHECK(file->founded()->seed == 0xcd);
  CHECK(file->founded()->founders == std::vector<raft::Member>{{"n1", raft::StorageId(7)}});
  CHECK(file->former() ==
        std::vector<ClusterFile::Former>{{raft::StorageId(7), "journal missing"}});
}

TEST_CASE("data directory: the cluster's seed is taken over while nothing was hashed", "[engine]") {
  Disk disk;
  auto dir = DataDir::open(disk, kDir, "n1", 64);
  REQUIRE(dir);
  const uint64_t own = (*dir)->node().seed;
  CHECK((*dir)->adopt_seed(disk, own, true));
  const Status refused = (*dir)->adopt_seed(disk, own + 1, true);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Errc::invalid);
  CHECK(refused.error().path() == "/data/node");
  CHECK((*dir)->node().seed == own);
  REQUIRE((*dir)->adopt_seed(disk, own + 1, false));
  CHECK((*dir)->node().seed == own + 1);
  disk.lose_power();
  const auto again = DataDir::open(disk, kDir, "n1", 64);
  REQUIRE(again);
  CHECK((*again)->node().seed == own + 1);
}

}  // namespace clickmill::engine
