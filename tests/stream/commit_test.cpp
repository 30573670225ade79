// Goal: checkpoints that are written together cost one file and are each whole or not there;
// what hinders one, or the disk, loses nothing and can be tried again.
#include "stream/commit.h"

#include <catch2/catch.hpp>

#include "simulation/sim_file_system.h"
#include "state/memory_store.h"
#include "stream/head.h"
#include "stream/joint_commits.h"

namespace clickmill::stream {
namespace {

constexpr const char* kStore = "/store";
constexpr int64_t kAt = 1'782'295'200'000;  // 2026-06-24

class Some {
 public:
  Some() {
    REQUIRE(files.create_directories(kStore));
    for (uint32_t i = 0; i < 3; ++i) {
      parts.push_back(std::make_unique<Parts>(PartitionId(i), files, kStore, &shelf));
      REQUIRE(parts.back()->open({}, 1));
    }
  }

  std::shared_ptr<Parts::Flush> flush(uint32_t i, int64_t at_ms = kAt) {
    Head head{PartitionId(i)};
    Head::Click click;
    click.timestamp_ms = EventMs(at_ms);
    click.ad_id = "ad";
    click.advertiser_id = "adv";
    click.ad_hash = MinuteRows::hash_of(click.ad_id);
    head.add(click);
    head.freeze_before(INT64_MAX);
    return parts[i]->begin_flush(head.frozen());
  }
  std::shared_ptr<Commit> commit(uint32_t i, std::shared_ptr<Parts::Flush> flush) {
    Commit::Work work{
        PartitionId(i), store, files, {}, {}, std::move(flush), parts[i]->take_replaced(), &shelf};
    work.record.parts = parts[i]->metas();
    work.record.next_part = parts[i]->next_part();
    work.record.applied = Offset(7);
    return std::make_shared<Commit>(std::move(work));
  }
  bool stored(uint32_t i) {
    const auto record = read_checkpoint(PartitionId(i), store);
    REQUIRE(record);
    return record->has_value();
  }
  std::vector<std::string> names() {
    const auto names = files.list(kStore);
    REQUIRE(names);
    return *names;
  }

  simulation::SimFileSystem files{1};
  state::MemoryStore store;
  store::Shelf shelf{files, kStore};
  std::vector<std::unique_ptr<Parts>> parts;
};

TEST_CASE("commits: the parts of those that are written together are one file", "[stream]") {
  Some some;
  std::vector<std::shared_ptr<Parts::Flush>> flushes;
  std::vector<std::shared_ptr<Commit>> commits;
  for (uint32_t i = 0; i < 3; ++i) {
    flushes.push_back(some.flush(i));
    commits.push_back(some.commit(i, flushes.back()));
  }
  Commit::run_together(commits);
  const auto names = some.names();
  REQUIRE(names.size() == 1);
  CHECK(store::Shelf::is_shared(names.front()));
  // It waits for merges and for the shelf as a file of its own would.
  CHECK_FALSE(store::Shelf::is_shelved(names.front()));
  CHECK(store::read_shelf(some.files, kStore, names.front())->size() == 9);
  some.files.crash();
  some.store.crash();
  some.files.restart();
  store::Shelf after(some.files, kStore);
  for (uint32_t i = 0; i < 3; ++i) {
    REQUIRE(commits[i]->run());
    some.parts[i]->take_flush(*flushes[i]);
    const auto record = read_checkpoint(PartitionId(i), some.store);
    REQUIRE((record && *record));
    REQUIRE((*record)->parts.size() == store::kTables);
    for (const auto& meta : (*record)->parts) CHECK(after.open(meta));
  }
  // The file goes with the last part in it.
  for (uint32_t i = 0; i < 3; ++i) {
    CHECK(some.names().size() == 1);
    REQUIRE(some.shelf.release(PartitionId(i), names.front()));
  }
  CHECK(some.names().empty());
}

TEST_CASE("commits: rows that make no part are one partition's trouble", "[stream]") {
  Some some;
  const std::vector<std::shared_ptr<Commit>> commits{some.commit(0, some.flush(0)),
                                                     some.commit(1, some.flush(1, -kMinuteMs)),
                                                     some.commit(2, some.flush(2))};
  Commit::run_together(commits);
  CHECK(commits[0]->run());
  CHECK_FALSE(commits[1]->run());
  CHECK(commits[2]->run());
  CHECK(some.stored(0));
  CHECK_FALSE(some.stored(1));
  CHECK(some.stored(2));
  REQUIRE(some.names().size() == 1);
  CHECK(store::read_shelf(some.files, kStore, some.names().front())->size() == 6);
  // Nothing but such rows leaves nothing.
  CHECK_FALSE(some.commit(1, some.flush(1, -kMinuteMs))->run());
  CHECK(some.names().size() == 1);
}

TEST_CASE("commits: what a disk refuses leaves no file, and can be written again", "[stream]") {
  Some some;
  const auto flush_0 = some.flush(0);
  const auto flush_1 = some.flush(1);
  std::vector<std::shared_ptr<Commit>> commits{some.commit(0, flush_0), some.commit(1, flush_1)};
  SECTION("as it writes") { some.files.set_capacity_bytes(64); }
  SECTION("as it syncs") { some.files.fail_sync_after(1); }
  Commit::run_together(commits);
  CHECK_FALSE(commits[0]->run());
  CHECK_FALSE(commits[1]->run());
  CHECK_FALSE(some.stored(0));
  CHECK_FALSE(some.stored(1));
  CHECK(some.names().empty());
  some.files.set_capacity_bytes(1 << 20);
  commits = {some.commit(0, flush_0), some.commit(1, flush_1)};
  Commit::run_together(commits);
  CHECK(commits[0]->run());
  CHECK(commits[1]->run());
  CHECK(some.names().size() == 1);
}

TEST_CASE("commits: a file of which some was not synced is never called whole", "[stream]") {
  Some some;
  const std::string name = store::ShelfName{1, store::Table::minute, 0, false, 0}.text();
  auto file = store::ShelfWriter::create(some.files, kStore, name, 1);
  REQUIRE(file);
  REQUIRE(some.flush(0)->write_to(**file));
  some.files.fail_sync_after(1);
  CHECK_FALSE(some.flush(1)->write_to(**file));
  // The disk says no more of it, and what it lost may be the first ones'.
  CHECK_FALSE((*file)->finish());
}

TEST_CASE("joint commits: what waits is written together, and each is told once", "[stream]") {
  Some some;
  std::vector<std::function<void()>> tasks;
  bool takes = true;
  JointCommits joint([&](std::function<void()> task) {
    if (takes) tasks.push_back(std::move(task));
    return takes;
  });
  std::array<int, 3> told{};
  for (uint32_t i = 0; i < 2; ++i)
    REQUIRE(joint.add(some.commit(i, some.flush(i)), [&told, i] { ++told[i]; }));
  takes = false;
  CHECK_FALSE(joint.add(some.commit(2, some.flush(2)), [&told] { ++told[2]; }));
  REQUIRE(tasks.size() == 2);
  for (const auto& task : tasks) task();
  CHECK(told == std::array<int, 3>{1, 1, 0});
  CHECK(some.names().size() == 1);
  CHECK(some.stored(0));
  CHECK(some.stored(1));
  CHECK_FALSE(some.stored(2));
}

}  // namespace
}  // namespace clickmill::stream
