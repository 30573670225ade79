// On real files: what a forced recovery leaves, and the way back, interrupted anywhere.
#include "tools/rejoin.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "base/temporary_directory.h"
#include "collector/spool_records.h"
#include "engine/cluster_file.h"
#include "engine/data_dir.h"
#include "tools/forced_epoch.h"

namespace clickmill::tools {
namespace {

namespace fs = std::filesystem;

/// A member's data directory with some clicks in its spool.
struct Fixture {
  Fixture() {
    config.node_id = "n1";
    config.data_dir = directory.path() + "/data";
    config.log.partitions = 2;
    auto dir = engine::DataDir::open(files, config.data_dir, "n1", 2);
    REQUIRE(dir);
    founded.cluster_id = 7;
    founded.partitions = 2;
    founded.seed = (*dir)->node().seed;
    auto cluster = engine::ClusterFile::open_or_make(files, config.data_dir);
    REQUIRE(cluster);
    REQUIRE((*cluster)->save(founded));
    REQUIRE((*cluster)->leave_behind({"n3", 2}));
    storage = (*cluster)->storage_id();
    NodeClock node_clock(clock);
    auto writer = SpoolWriter::open(files, (*dir)->journal(), node_clock, {});
    REQUIRE(writer);
    for (int i = 0; i < 5; ++i)
      REQUIRE(writer->add(PartitionId(i % 2), std::string(100, static_cast<char>('a' + i))));
    REQUIRE(writer->finish());
    for (uint32_t group = 0; group < 3; ++group)
      REQUIRE(files.create_directories((*dir)->log(group)));
    std::ofstream(config.data_dir + "/retention") << "something";
  }

  cluster::Lineage next_epoch() const {
    cluster::Lineage lineage{founded, {{2, 99, {Offset(0), Offset(0), Offset(0)}}}};
    lineage.founded.epoch = 2;
    lineage.founded.epoch_random = 99;
    lineage.founded.seed = 0;  // is told to nobody
    lineage.founded.founders = {{"n3", raft::StorageId(33)}};
    return lineage;
  }
  std::unique_ptr<Rejoin> open() {
    auto rejoin = Rejoin::open(config, files, clock);
    REQUIRE(rejoin);
    return *std::move(rejoin);
  }
  /// What the directory's spool would send.
  size_t spooled() {
    size_t clicks = 0;
    NodeClock node_clock(clock);
    REQUIRE(visit_left_clicks(files, node_clock, {config.data_dir}, {}, {Offset(0), Offset(0)},
                              [&](PartitionId, std::string_view record) -> Status {
                                CHECK(record.size() == 100);
                                ++clicks;
                                return {};
                              }));
    return clicks;
  }

  TemporaryDirectory directory;
  PosixFileSystem files;
  SystemClock clock;
  engine::Config config;
  cluster::Founded founded;
  raft::StorageId storage;
};

void check_rejoined(Fixture& fixture) {
  auto cluster = engine::ClusterFile::open_or_make(fixture.files, fixture.config.data_dir);
  REQUIRE(cluster);
  CHECK((*cluster)->storage_id() != fixture.storage);
  CHECK((*cluster)->founded()->epoch == 2);
  CHECK((*cluster)->founded()->seed == fixture.founded.seed);
  CHECK((*cluster)->epochs().size() == 1);
  CHECK_FALSE((*cluster)->left_behind());
  const fs::path aside = fixture.config.data_dir + "/left-behind-epoch-1";
  for (const char* const name : {"journal", "log", "cluster", "retention"}) {
    CAPTURE(name);
    CHECK(fs::exists(aside / name));
  }
  CHECK_FALSE(fs::exists(fixture.config.data_dir + "/retention"));
  CHECK(engine::DataDir::open(fixture.files, fixture.config.data_dir, "n1", 2));
  CHECK(fixture.spooled() == 5);
}

TEST_CASE("rejoin: the clicks of the spool stand in a directory of the next epoch", "[tools]") {
  Fixture fixture;
  auto rejoin = fixture.open();
  REQUIRE(rejoin->follow(fixture.next_epoch()));
  const auto surveyed = rejoin->survey(ArrivalMs(0));
  REQUIRE(surveyed);
  CHECK(surveyed->clicks == 5);
  CHECK(fixture.spooled() == 5);
  const auto prepared = rejoin->prepare();
  REQUIRE(prepared);
  CHECK(prepared->clicks == 5);
  REQUIRE(rejoin->finish());
  rejoin.reset();
  check_rejoined(fixture);
}

TEST_CASE("rejoin: interrupted anywhere it is gone on with", "[tools]") {
  Fixture fixture;
  {
    auto rejoin = fixture.open();
    REQUIRE(rejoin->follow(fixture.next_epoch()));
    REQUIRE(rejoin->prepare());
  }
  const fs::path data = fixture.config.data_dir;
  const fs::path aside = data / "left-behind-epoch-1";
  // As far as these renames it came.
  const std::vector<std::pair<fs::path, fs::path>> renames{
      {data / "cluster", aside / "cluster"},
      {data / "journal", aside / "journal"},
      {data / "log", aside / "log"},
      {data / "retention", aside / "retention"},
      {data / "rejoin/journal", data / "journal"},
      {data / "rejoin/cluster", data / "cluster"}};
  const size_t done = GENERATE(0U, 1U, 2U, 3U, 4U, 5U, 6U);
  CAPTURE(done);
  fs::create_directories(aside);
  for (size_t i = 0; i < done; ++i) fs::rename(renames[i].first, renames[i].second);
  const auto start = engine::DataDir::open(fixture.files, data, "n1", 2);
  REQUIRE_FALSE(start);
  CHECK(start.error().text().find("cluster rejoin") != std::string::npos);
  {
    auto rejoin = fixture.open();
    REQUIRE(rejoin->under_way());
    REQUIRE(rejoin->finish());
  }
  check_rejoined(fixture);
}

TEST_CASE("rejoin: what was made and not completed is made anew", "[tools]") {
  Fixture fixture;
  {
    auto rejoin = fixture.open();
    REQUIRE(rejoin->follow(fixture.next_epoch()));
    REQUIRE(rejoin->prepare());
  }
  fs::remove(fixture.config.data_dir + "/rejoin/ready");
  auto rejoin = fixture.open();
  CHECK_FALSE(rejoin->under_way());
  REQUIRE(rejoin->follow(fixture.next_epoch()));
  REQUIRE(rejoin->prepare());
  REQUIRE(rejoin->finish());
  rejoin.reset();
  check_rejoined(fixture);
}

TEST_CASE("rejoin: only a later epoch of the same cluster is followed", "[tools]") {
  Fixture fixture;
  const auto rejoin = fixture.open();
  auto other = fixture.next_epoch();
  other.founded.cluster_id = 8;
  CHECK_FALSE(rejoin->follow(other));
  auto same = fixture.next_epoch();
  same.founded.epoch = 1;
  same.founded.epoch_random = 0;
  CHECK_FALSE(rejoin->follow(same));
  auto forgetful = fixture.next_epoch();
  forgetful.epochs.clear();
  CHECK_FALSE(rejoin->follow(forgetful));
  auto far = fixture.next_epoch();
  far.founded.epoch = 3;
  CHECK_FALSE(rejoin->follow(far));
  far.epochs.push_back({3, 98, {Offset(9), Offset(0), Offset(0)}});
  CHECK(rejoin->follow(far));
}

TEST_CASE("rejoin: not of a node alone", "[tools]") {
  Fixture fixture;
  fixture.config.data_dir = fixture.directory.path() + "/alone";
  REQUIRE(engine::DataDir::open(fixture.files, fixture.config.data_dir, "n1", 2));
  CHECK_FALSE(Rejoin::open(fixture.config, fixture.files, fixture.clock));
}

}  // namespace
}  // namespace clickmill::tools
