// Entries of a partition's log that are gone: it is closed, or goes on behind them, and nobody
// else feels it.
#include <map>

#include "cluster/partition.h"
#include "cluster/partition_fixture.h"
#include "simulation/quiet_log.h"

namespace clickmill::cluster {
namespace {

/// Several sealed blocks, each in a segment of its own, and clicks behind them.
struct SealedPartition : PartitionFixture {
  SealedPartition() {
    replay();
    for (int i = 0; i < 3; ++i) {
      REQUIRE(send(5000));
      pass(1000);
    }
    partition_->checkpoint_now();
    pass(1000);
    REQUIRE(partition_->segments().last() > Offset(8000));
  }
  std::vector<std::string> segment_names() {
    auto names = files_.list("log").value();
    std::erase_if(names, [](const std::string& name) { return !name.ends_with(".segment"); });
    return names;
  }
};

TEST_CASE_METHOD(SealedPartition, "partition: a log that has lost entries is closed, none more is",
                 "[cluster]") {
  const simulation::QuietLog quiet;
  const Offset sealed = partition_->segments().last();
  std::map<std::string, std::string> kept;
  const auto names = files_.list("log").value();
  for (const std::string& name : names) {
    kept[name] = read_file(files_, "log/" + name).value();
    REQUIRE(files_.remove("log/" + name));
  }
  freed_upto_ = sealed;
  kill();
  REQUIRE(partition_->log_closed());
  REQUIRE(partition_->failure());
  CHECK(partition_->failure()->message().find("offsets 1 to ") != std::string::npos);
  CHECK(clicks().error().message().find("partition 7") != std::string::npos);
  const Offset last = partition_->log().last();
  CHECK_FALSE(send(1));
  live(120'000);
  CHECK(partition_->log().last() == last);
  // What the journal has of it can go on to newer files.
  const JournalPos before = partition_->oldest_needed();
  const JournalPos end(UINT64_MAX);
  for (int i = 0; i < 100; ++i) {
    partition_->release_soon(end, 1 << 20);
    settle();
  }
  CHECK(partition_->oldest_needed() > before);
  for (const auto& [name, bytes] : kept)
    REQUIRE(write_file_atomically(files_, "log/" + name, bytes));
  kill();
  replay();
  CHECK_FALSE(partition_->failure());
  CHECK(clicks().value() == 15'000);
  CHECK(send(10));
  CHECK(clicks().value() == 15'010);
}

TEST_CASE_METHOD(SealedPartition,
                 "partition: where the segments are damaged the log goes on behind the hole",
                 "[cluster]") {
  const simulation::QuietLog quiet;
  freed_upto_ = partition_->segments().last();
  const auto names = segment_names();
  REQUIRE(names.size() > 1);
  const bool last = GENERATE(true, false);
  REQUIRE(files_.remove("log/" + (last ? names.back() : names.front())));
  REQUIRE(write_file_atomically(files_, "log/manifest", "nonsense"));
  kill();
  replay();
  CHECK_FALSE(partition_->failure());
  CHECK_FALSE(partition_->log_closed());
  CHECK(partition_->damaged_parts().size() >= 1);
  CHECK(clicks().value() == 15'000);
  CHECK(send(10'000));
  pass(1000);
  CHECK(clicks().value() == 25'000);
  kill();
  replay();
  CHECK(clicks().value() == 25'000);
}

}  // namespace
}  // namespace clickmill::cluster
