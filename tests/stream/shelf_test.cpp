// Goal: whatever becomes of parts that partitions share, and wherever a node dies meanwhile, each
// partition has exactly the rows of its last durable checkpoint, and no file is lost or left over.
// Method: some partitions on one disk and one store, random flushes, checkpoints, merges,
// repairs, rebuilds, deletions and steps of shelving, in small steps of which any may be the
// last; beside each partition a map of what it must hold.

#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/random.h"
#include "simulation/sim_file_system.h"
#include "state/memory_store.h"
#include "state/slots.h"
#include "stream/arriving_state.h"
#include "stream/checkpoint.h"
#include "stream/commit.h"
#include "stream/head.h"
#include "stream/parts.h"
#include "stream/shelf_work.h"

namespace clickmill::stream {
namespace {

constexpr int64_t kStart = 1'782'295'200'000;  // 2026-06-24
constexpr uint32_t kPartitions = 3;
constexpr const char* kStore = "/store";

/// Clicks by table, bucket and ad.
using Model = std::map<std::tuple<size_t, int64_t, std::string>, uint64_t>;

ShelfRules small_rules() {
  ShelfRules rules;
  rules.periods = {Period::day, Period::month, Period::month};
  rules.loose_most = 7;
  rules.late_most = 4;
  rules.fan_in = 3;
  rules.rows_apart = 6;
  return rules;
}

class Node {
 public:
  explicit Node(uint64_t seed) : files_(seed), random_(seed) {
    REQUIRE(files_.create_directories(kStore));
    open();
  }

  /// Whatever is due next by chance; an error of the disk ends this life.
  void step() {
    now_ms_ += static_cast<int64_t>(random_.below(random_.one_in(20) ? 40 : 4)) * kHourMs;
    const auto i = random_.below(kPartitions);
    const auto done = step_of(partitions_[i]);
    if (done && !files_.crashed()) return;
    if (!done && !files_.crashed()) FAIL(done.error().text());
    die();
  }
  void die_soon() { files_.crash_at_operation(1 + random_.below(150)); }
  void die() {
    work_.reset();
    finished_ = false;
    partitions_.clear();
    shelf_.reset();
    files_.crash_at_operation(0);
    files_.crash();
    store_.crash();
    files_.restart();
    open();
    check("after a crash");
  }
  /// Every partition has its rows, and the disk the files that its checkpoints name.
  void check(const std::string& when) {
    CAPTURE(when);
    for (const auto& partition : partitions_) {
      CAPTURE(partition.id.value());
      REQUIRE(rows_of(partition) == kept(partition.model));
    }
  }
  void settle() {
    while (work_) REQUIRE(shelve());
    for (auto& partition : partitions_) REQUIRE(commit(partition));
    check("at the end");
    std::set<std::string> named;
    for (const auto& partition : partitions_) {
      for (const auto& meta : partition.parts->metas()) named.insert(meta.name);
    }
    const auto there = files_.list(kStore);
    REQUIRE(there);
    // What a crash leaves goes at the start; what this life has let go of is gone.
    REQUIRE(std::set<std::string>(there->begin(), there->end()) == named);
  }
  uint64_t shelved = 0;
  uint64_t declined = 0;
  uint64_t deaths = 0;

 private:
  struct Partition {
    PartitionId id;
    state::Slot slot;
    std::unique_ptr<Parts> parts;
    Model model;
    std::shared_ptr<Parts::Merge> merge;
    std::map<uint64_t, Model> at;  ///< by what the checkpoint has as its offset
    uint64_t version = 0;
  };

  void open() {
    shelf_ = std::make_unique<store::Shelf>(files_, kStore);
    for (uint32_t i = 0; i < kPartitions; ++i) hold_named(PartitionId(i), store_, *shelf_);
    ++deaths;
    std::set<std::string> named;
    for (uint32_t i = 0; i < kPartitions; ++i) {
      auto& old = lives_[i];
      Partition partition{PartitionId(i), PartitionId(i), nullptr, {}, nullptr, {}, 0};
      const auto standing = state::read_standing(partition.id, store_);
      REQUIRE(standing);
      if (standing->building) REQUIRE(state::abandon_slot(partition.id, store_));
      partition.slot = standing->live;
      const auto record = read_checkpoint(partition.slot, store_);
      REQUIRE(record);
      partition.parts = std::make_unique<Parts>(partition.slot, files_, kStore, shelf_.get());
      if (*record) {
        const auto opened = partition.parts->open((*record)->parts, (*record)->next_part);
        if (!opened) FAIL(opened.error().text());
        partition.version = (*record)->applied.value();
        partition.model = old.at(partition.version);
        for (const auto& meta : (*record)->parts) named.insert(meta.name);
      } else {
        REQUIRE(partition.parts->open({}, 1));
      }
      partition.at[partition.version] = partition.model;
      old = partition.at;
      partitions_.push_back(std::move(partition));
    }
    // As the engine does.
    const auto there = files_.list(kStore);
    REQUIRE(there);
    const auto unneeded = shelf_->unneeded(*there);
    for (const auto& name : *there) {
      const bool shared = store::Shelf::is_shared(name);
      const bool gone =
          shared ? std::count(unneeded.begin(), unneeded.end(), name) > 0 : named.count(name) == 0;
      CHECK((!shared || gone == (named.count(name) == 0)));
      if (gone) REQUIRE(files_.remove(std::string(kStore) + "/" + name));
    }
    REQUIRE(files_.sync_directory(kStore));
  }

  Status step_of(Partition& partition) {
    switch (random_.below(12)) {
      case 0:
      case 1:
      case 2: return flush(partition);
      case 3: return flush_together();
      case 4: return commit(partition);
      case 5: return merge(partition);
      case 6: return random_.one_in(5) ? repair(partition) : Status();
      case 7: return random_.one_in(25) ? rebuild(partition) : Status();
      case 8: return random_.one_in(10) ? forget() : Status();
      default: return shelve();
    }
  }

  /// Clicks of now, and some of long ago.
  std::vector<Head::Click> clicks() {
    std::vector<Head::Click> out;
    for (uint64_t n = 1 + random_.below(12); n > 0; --n) {
      Head::Click click;
      const uint64_t kind = random_.below(30);
      const uint64_t back_h = kind == 0  ? random_.below(24 * 200)
                              : kind < 4 ? random_.below(72)
                                         : 1;
      click.timestamp_ms =
          EventMs(now_ms_ - static_cast<int64_t>(random_.below(back_h * 60 + 1)) * kMinuteMs);
      click.ad_id = random_.one_in(2) ? "ad_1" : "ad_2";
      click.advertiser_id = "adv";
      click.ad_hash = MinuteRows::hash_of(click.ad_id);
      out.push_back(click);
    }
    return out;
  }
  static void count(const Head::Click& click, uint64_t clicks, Model& model) {
    for (size_t table = 0; table < store::kTables; ++table) {
      const int64_t unit = store::bucket_ms(static_cast<store::Table>(table));
      model[{table, floor_to(click.timestamp_ms.value(), unit), std::string(click.ad_id)}] +=
          clicks;
    }
  }

  /// Flushed and committed at once, as nobody may see rows that are in no checkpoint.
  Status flush(Partition& partition) {
    auto begun = begin_flush(partition);
    return end(partition, *begun.commit, begun.flush);
  }

  struct Begun {
    std::shared_ptr<Parts::Flush> flush;
    std::shared_ptr<Commit> commit;
  };
  Begun begin_flush(Partition& partition) {
    Head head{partition.id};
    Model model = partition.model;
    for (const auto& click : clicks()) {
      head.add(click);
      count(click, 1, model);
    }
    head.freeze_before(INT64_MAX);
    const auto flush = partition.parts->begin_flush(head.frozen());
    return {flush, begin(partition, flush, &model)};
  }

  /// All partitions at once, whose parts go into one file.
  Status flush_together() {
    std::vector<Begun> begun;
    std::vector<std::shared_ptr<Commit>> commits;
    for (Partition& partition : partitions_) {
      begun.push_back(random_.one_in(4) ? Begun{nullptr, begin(partition, nullptr, nullptr)}
                                        : begin_flush(partition));
      commits.push_back(begun.back().commit);
    }
    Commit::run_together(commits);
    Status all;
    for (size_t i = 0; i < begun.size(); ++i) {
      auto done = end(partitions_[i], *begun[i].commit, begun[i].flush);
      if (all) all = std::move(done);
    }
    return all;
  }

  Status commit(Partition& partition, const std::shared_ptr<Parts::Flush>& flush = nullptr,
                const Model* model = nullptr) {
    return end(partition, *begin(partition, flush, model), flush);
  }

  std::shared_ptr<Commit> begin(Partition& partition, const std::shared_ptr<Parts::Flush>& flush,
                                const Model* model) {
    Commit::Work work{
        partition.slot, store_, files_, {}, {}, flush, partition.parts->take_replaced(),
        shelf_.get()};
    work.record.parts = partition.parts->metas();
    work.record.next_part = partition.parts->next_part();
    work.record.applied = Offset(++partition.version);
    if (model != nullptr) partition.model = *model;
    partition.at[partition.version] = partition.model;
    lives_[partition.id.value()] = partition.at;
    return std::make_shared<Commit>(std::move(work));
  }

  static Status end(Partition& partition, Commit& commit,
                    const std::shared_ptr<Parts::Flush>& flush) {
    TRY(commit.run());
    if (flush) partition.parts->take_flush(*flush);
    return {};
  }

  Status merge(Partition& partition) {
    if (!partition.merge) {
      partition.merge = partition.parts->due_merge(oldest_ms_);
      return {};
    }
    const auto merge = std::exchange(partition.merge, nullptr);
    TRY(merge->run());
    partition.parts->take_merge(*merge);
    return {};
  }

  /// Has some minute hold another number of clicks.
  Status repair(Partition& partition) {
    Model model = partition.model;
    for (const auto& [key, clicks] : partition.model) {
      const auto& [table, bucket_ms, ad] = key;
      // Of days that every table has still whole.
      if (table != 0 || floor_to(bucket_ms, kDayMs) < newest_forgotten() || !random_.one_in(9))
        continue;
      store::Row row;
      row.advertiser_id = "adv";
      row.ad_id = ad;
      row.bucket_ms = bucket_ms;
      for (uint64_t i = 0; i < clicks + 2; ++i)
        row.counts.add(click::Device::mobile, click::kUnknownCountry);
      Head::Click click;
      click.timestamp_ms = EventMs(bucket_ms);
      click.ad_id = ad;
      count(click, 2, model);
      const auto rewrite = partition.parts->begin_rewrite(nullptr);
      TRY(rewrite->open());
      TRY(rewrite->run({row}));
      REQUIRE(partition.parts->take_rewrite(*rewrite));
      partition.model = std::move(model);
      return {};
    }
    return {};
  }

  /// All that it has comes into a fresh slot, as from its log, and the old one goes.
  Status rebuild(Partition& partition) {
    const auto standing = TRY(state::begin_slot(partition.id, store_));
    const state::Slot old = partition.slot;
    Head head{partition.id};
    for (const auto& [key, clicks] : partition.model) {
      const auto& [table, bucket_ms, ad] = key;
      if (table != 0) continue;
      Head::Click click;
      click.timestamp_ms = EventMs(bucket_ms);
      click.ad_id = ad;
      click.advertiser_id = "adv";
      click.ad_hash = MinuteRows::hash_of(ad);
      for (uint64_t i = 0; i < clicks; ++i) head.add(click);
    }
    head.freeze_before(INT64_MAX);
    partition.slot = standing.current();
    partition.merge = nullptr;
    partition.parts = std::make_unique<Parts>(partition.slot, files_, kStore, shelf_.get());
    REQUIRE(partition.parts->open({}, 1));
    TRY(commit(partition,
               head.frozen().empty() ? nullptr : partition.parts->begin_flush(head.frozen())));
    TRY(state::take_slot(partition.id, store_));
    remove_parts_of(old, files_, kStore);
    shelf_->release_all(old);
    return {};
  }

  /// The next days are not kept any more.
  Status forget() {
    for (size_t table = 0; table < store::kTables; ++table) {
      oldest_ms_[table] =
          std::max(oldest_ms_[table], floor_to(now_ms_, kDayMs) -
                                          static_cast<int64_t>(60 + random_.below(60)) * kDayMs);
    }
    return {};
  }
  int64_t newest_forgotten() const {
    return *std::max_element(oldest_ms_.begin(), oldest_ms_.end());
  }

  /// The next step of what is done with the parts of all.
  Status shelve() {
    if (!work_) {
      std::vector<ShelfView> views;
      for (const auto& partition : partitions_) {
        if (random_.one_in(8)) continue;
        views.push_back({partition.id, partition.slot, LogMs(now_ms_), partition.parts->free()});
      }
      auto plan = plan_shelving(views, small_rules());
      if (!plan) return {};
      std::erase_if(plan->shares, [&](const auto& share) {
        if (random_.one_in(10)) return true;
        REQUIRE(partitions_[share.id.value()].parts->begin_shelving(share.parts));
        return false;
      });
      if (plan->shares.empty()) return {};
      work_ = std::make_unique<ShelfWork>(*std::move(plan), files_, kStore, *shelf_);
      return {};
    }
    if (!work_->written()) return work_->write_next();
    if (!finished_) {
      TRY(work_->finish());
      finished_ = true;
      return {};
    }
    return take_shares();
  }

  Status take_shares() {
    for (auto& share : work_->shares()) {
      REQUIRE_FALSE(share.damage);
      Partition& partition = partitions_[share.id.value()];
      if (partition.slot == share.slot &&
          partition.parts->take_shelved(*share.parts, share.written)) {
        ++shelved;
        continue;
      }
      ++declined;
      for (const auto& part : share.written) TRY(shelf_->release(share.slot, part->meta().name));
    }
    work_.reset();
    finished_ = false;
    return {};
  }

  Model rows_of(const Partition& partition) const {
    Model rows;
    for (size_t table = 0; table < store::kTables; ++table) {
      const auto read = store::read_merged((*partition.parts->snapshot())[table],
                                           std::numeric_limits<int64_t>::min());
      if (!read) FAIL(read.error().text());
      for (const auto& row : *read) rows[{table, row.bucket_ms, row.ad_id}] += row.counts.clicks;
    }
    return kept(rows);
  }
  Model kept(const Model& model) const {
    Model out = model;
    std::erase_if(out, [&](const auto& row) {
      return std::get<1>(row.first) < oldest_ms_[std::get<0>(row.first)];
    });
    return out;
  }

  simulation::SimFileSystem files_;
  state::MemoryStore store_;
  std::unique_ptr<store::Shelf> shelf_;
  std::vector<Partition> partitions_;
  std::map<uint32_t, std::map<uint64_t, Model>> lives_;
  std::unique_ptr<ShelfWork> work_;
  bool finished_ = false;
  store::TableTimes oldest_ms_ = store::kAllTime;
  Random random_;
  int64_t now_ms_ = kStart;
};

TEST_CASE("shelf: partitions keep their rows through merges, repairs, rebuilds and deletions",
          "[stream]") {
  const uint64_t seed = GENERATE(range<uint64_t>(1, 5));
  CAPTURE(seed);
  Node node(seed);
  for (int i = 0; i < 600; ++i) {
    node.step();
    if (i % 20 == 0) node.check("on the way");
  }
  node.settle();
  CHECK(node.shelved > 20);
}

TEST_CASE("shelf: a node that dies at any moment has what its checkpoints say", "[stream]") {
  const uint64_t seed = GENERATE(range<uint64_t>(1, 9));
  CAPTURE(seed);
  Node node(seed + 100);
  for (int i = 0; i < 400; ++i) {
    if (i % 20 == 10) node.die_soon();
    node.step();
  }
  node.die();
  node.settle();
  CHECK(node.deaths > 10);
  CHECK(node.shelved > 0);
}

/// Flushes one row.
void flush_one(Parts& parts, int64_t at_ms) {
  Head head{PartitionId(0)};
  Head::Click click;
  click.timestamp_ms = EventMs(at_ms);
  click.ad_id = "ad";
  click.advertiser_id = "adv";
  click.ad_hash = MinuteRows::hash_of(click.ad_id);
  head.add(click);
  head.freeze_before(INT64_MAX);
  const auto flush = parts.begin_flush(head.frozen());
  REQUIRE(flush->run());
  parts.take_flush(*flush);
}

TEST_CASE("shelf: damage is one partition's, and keeps no other from going on", "[stream]") {
  simulation::SimFileSystem files(1);
  REQUIRE(files.create_directories(kStore));
  store::Shelf shelf(files, kStore);
  std::vector<std::unique_ptr<Parts>> parts;
  for (uint32_t i = 0; i < 3; ++i) {
    parts.push_back(std::make_unique<Parts>(PartitionId(i), files, kStore, &shelf));
    for (int n = 0; n < 3; ++n) flush_one(*parts[i], kStart + n * kMinuteMs);
  }
  const auto plan = [&] {
    std::vector<ShelfView> views;
    for (uint32_t i = 0; i < 3; ++i)
      views.push_back({PartitionId(i), PartitionId(i), LogMs(kStart + kHourMs), parts[i]->free()});
    ShelfRules rules;
    rules.loose_most = 4;
    return plan_shelving(views, rules);
  };
  const std::string damaged = (*parts[1]->snapshot())[0][1]->meta().name;
  for (uint64_t byte = 16; byte < 24; ++byte)
    files.flip_bit(std::string(kStore) + "/" + damaged, byte);
  {
    ShelfWork work(plan().value(), files, kStore, shelf);
    while (!work.written()) REQUIRE(work.write_next());
    REQUIRE(work.finish());
    for (auto& share : work.shares()) {
      const auto i = share.id.value();
      CHECK(share.damage.has_value() == (i == 1));
      if (share.damage) {
        CHECK(share.damage->path() == std::string(kStore) + "/" + damaged);
        CHECK(share.written.empty());
        parts[i]->shelving_failed(*share.parts, *share.damage);
        continue;
      }
      REQUIRE(share.written.size() == 1);
      CHECK(share.written[0]->meta().rows == 3);
      CHECK(parts[i]->take_shelved(*share.parts, share.written));
      // What others have in the file is not in its way.
      CHECK((*parts[i]->snapshot())[0] == share.written);
    }
    const auto listed =
        store::read_shelf(files, kStore, (*parts[0]->snapshot())[0][0]->meta().name);
    REQUIRE(listed);
    REQUIRE(listed->size() == 2);
    CHECK((*listed)[0].slot == state::Slot(PartitionId(0)));
    CHECK((*listed)[1].slot == state::Slot(PartitionId(2)));
  }
  // From now on it stays where it is, and the rest of its partition doesn't.
  const auto free = parts[1]->free()[0];
  CHECK(free.size() == 2);
  for (const auto& part : free) CHECK(part->meta().name != damaged);
}

TEST_CASE("shelf: a disk that fails leaves everything as it was", "[stream]") {
  for (uint64_t at = 1; at < 40; ++at) {
    CAPTURE(at);
    simulation::SimFileSystem files(at);
    REQUIRE(files.create_directories(kStore));
    store::Shelf shelf(files, kStore);
    Parts parts(PartitionId(0), files, kStore, &shelf);
    for (int n = 0; n < 4; ++n) flush_one(parts, kStart + n * kMinuteMs);
    ShelfRules rules;
    rules.loose_most = 4;
    const auto before = files.list(kStore).value();
    auto plan = plan_shelving(
        {{PartitionId(0), PartitionId(0), LogMs(kStart + kHourMs), parts.free()}}, rules);
    REQUIRE(plan);
    bool done = false;
    {
      ShelfWork work(*std::move(plan), files, kStore, shelf);
      if (at % 2 == 0) files.fail_write_after(at / 2);
      if (at % 2 == 1) files.fail_sync_after(at / 2);
      done = work.write_next() && work.finish();
    }
    files.fail_write_after(0);
    files.fail_sync_after(0);
    if (!done) CHECK(files.list(kStore).value() == before);
    if (done) CHECK(files.list(kStore)->size() == before.size() + 1);
  }
}

}  // namespace
}  // namespace clickmill::stream
