#include "catalog/catalog.h"

#include <catch2/catch.hpp>
#include <map>

#include "base/random.h"
#include "base/read_only_disk.h"
#include "catalog/ads_file.h"
#include "simulation/quiet_log.h"
#include "simulation/sim_file_system.h"

namespace clickmill::catalog {
namespace {

using simulation::SimFileSystem;
using Model = std::map<std::string, Ad>;

const std::string kDirectory = "/data";
const std::string kPath = "/data/catalog";

Ad ad_of(uint64_t number, uint64_t version = 0) {
  return {"ad_" + std::to_string(number), "adv_" + std::to_string(number % 3), "banner",
          "https://shop.example/" + std::to_string(number) + "/" + std::to_string(version)};
}

Model contents(const Catalog& catalog) {
  Model model;
  for (auto& ad : catalog.snapshot()->list({}, {}, 1'000'000)) model[ad.ad_id] = ad;
  return model;
}

/// A disk, and a catalog on it that can be closed and opened again.
struct Fixture {
  explicit Fixture(uint64_t seed = 1) : files(seed) {
    REQUIRE(files.create_directories(kDirectory));
    REQUIRE(files.sync_directory(kDirectory));
    reopen();
  }
  void reopen() {
    catalog.reset();
    auto opened = Catalog::open(files, kDirectory);
    if (!opened) FAIL(opened.error().text());
    catalog = std::move(opened).value();
  }
  void write(const std::string& path, std::string_view bytes) {
    REQUIRE(write_file_atomically(files, path, bytes));
  }
  std::string file_bytes() { return *read_file(files, kPath); }
  Model all() const { return contents(*catalog); }

  SimFileSystem files;
  std::unique_ptr<Catalog> catalog;
};

/// One random change on the catalog and its model. False when the disk refused it.
bool random_change(Random& random, Catalog& catalog, Model& model) {
  const Ad ad = ad_of(random.below(40), random.below(1000));
  switch (random.below(4)) {
    case 0: {
      const auto removed = catalog.remove(ad.ad_id);
      if (!removed) return false;
      REQUIRE(*removed == (model.erase(ad.ad_id) == 1));
      return true;
    }
    case 1: {
      std::vector<Ad> ads;
      for (uint64_t i = 0; i < random.below(20); ++i) ads.push_back(ad_of(random.below(40), i));
      if (!catalog.put_all(ads)) return false;
      for (const auto& each : ads) model[each.ad_id] = each;
      return true;
    }
    default: {
      const auto added = catalog.put(ad);
      if (!added) return false;
      REQUIRE(*added == !model.contains(ad.ad_id));
      model[ad.ad_id] = ad;
      return true;
    }
  }
}

}  // namespace

TEST_CASE("catalog: what was put is found, also after reopening", "[catalog]") {
  Fixture fixture;
  REQUIRE(fixture.catalog->snapshot()->size() == 0);
  REQUIRE(*fixture.catalog->put(ad_of(1)));
  REQUIRE_FALSE(*fixture.catalog->put(ad_of(1, 2)));
  REQUIRE(*fixture.catalog->put(ad_of(2)));
  REQUIRE(*fixture.catalog->remove("ad_2"));
  REQUIRE_FALSE(*fixture.catalog->remove("ad_2"));
  for (int i = 0; i < 2; ++i) {
    const auto snapshot = fixture.catalog->snapshot();
    REQUIRE(snapshot->size() == 1);
    REQUIRE(*snapshot->find("ad_1") == ad_of(1, 2));
    REQUIRE(snapshot->find("ad_2") == nullptr);
    REQUIRE(snapshot->find("") == nullptr);
    fixture.reopen();
  }
}

TEST_CASE("catalog: a snapshot doesn't change", "[catalog]") {
  Fixture fixture;
  REQUIRE(fixture.catalog->put(ad_of(1)));
  const auto before = fixture.catalog->snapshot();
  const Ad* ad = before->find("ad_1");
  REQUIRE(fixture.catalog->put(ad_of(1, 9)));
  REQUIRE(fixture.catalog->put(ad_of(2)));
  REQUIRE(fixture.catalog->remove("ad_1"));
  REQUIRE(*ad == ad_of(1));
  REQUIRE(before->find("ad_1") == ad);
  REQUIRE(before->size() == 1);
  fixture.catalog.reset();
  REQUIRE(*ad == ad_of(1));
}

TEST_CASE("catalog: lists are in order, after an id, of one advertiser, limited", "[catalog]") {
  Fixture fixture;
  std::vector<Ad> ads;
  for (uint64_t i = 0; i < 50; ++i) ads.push_back(ad_of(i));
  REQUIRE(fixture.catalog->put_all(ads));
  std::sort(ads.begin(), ads.end(), [](const Ad& a, const Ad& b) { return a.ad_id < b.ad_id; });
  const auto snapshot = fixture.catalog->snapshot();
  for (const std::string advertiser : {"", "adv_0", "adv_2", "adv_9"}) {
    for (const std::string after : {"", "ad_1", "ad_25", "ad_99", "zz"}) {
      for (const size_t limit : {size_t{0}, size_t{1}, size_t{7}, size_t{50}, size_t{1000}}) {
        std::vector<Ad> want;
        for (const auto& ad : ads) {
          if (ad.ad_id <= after || want.size() == limit) continue;
          if (advertiser.empty() || ad.advertiser_id == advertiser) want.push_back(ad);
        }
        REQUIRE(snapshot->list(advertiser, after, limit) == want);
      }
    }
  }
}

TEST_CASE("catalog: random changes and reopenings agree with a map", "[catalog]") {
  const uint64_t seed = GENERATE(1, 2, 3);
  CAPTURE(seed);
  Random random(seed);
  Fixture fixture(seed);
  Model model;
  for (int i = 0; i < 600; ++i) {
    REQUIRE(random_change(random, *fixture.catalog, model));
    if (random.one_in(20)) fixture.reopen();
    if (random.one_in(10)) REQUIRE(fixture.all() == model);
  }
  REQUIRE(fixture.all() == model);
  REQUIRE(fixture.catalog->snapshot()->size() == model.size());
}

TEST_CASE("catalog: the file doesn't outgrow what it holds", "[catalog]") {
  Fixture fixture;
  for (uint64_t i = 0; i < 4000; ++i) REQUIRE(fixture.catalog->put(ad_of(i % 10, i)));
  REQUIRE(fixture.file_bytes().size() < 70'000);
  const Model before = fixture.all();
  fixture.reopen();
  REQUIRE(fixture.all() == before);
  REQUIRE(before.size() == 10);
}

TEST_CASE("catalog: a put that changes nothing writes nothing", "[catalog]") {
  Fixture fixture;
  REQUIRE(fixture.catalog->put(ad_of(1)));
  const uint64_t operations = fixture.files.operations();
  REQUIRE_FALSE(*fixture.catalog->put(ad_of(1)));
  REQUIRE(fixture.catalog->put_all({}));
  REQUIRE(fixture.files.operations() == operations);
}

TEST_CASE("catalog: an ad that breaks a rule is refused, and all beside it", "[catalog]") {
  Fixture fixture;
  Ad bad = ad_of(2);
  bad.redirect_url = "https://a/\r\nX: y";
  REQUIRE(fixture.catalog->put(bad).error().code() == Errc::invalid);
  REQUIRE(fixture.catalog->put_all({ad_of(1), bad}).error().code() == Errc::invalid);
  REQUIRE(fixture.all().empty());
}

TEST_CASE("catalog: a file cut anywhere opens with a prefix of the changes", "[catalog]") {
  Fixture fixture;
  // States by file length: after each change, and at the start.
  std::map<size_t, Model> states{{fixture.file_bytes().size(), {}}};
  Random random(4);
  Model model;
  for (int i = 0; i < 12; ++i) {
    REQUIRE(random_change(random, *fixture.catalog, model));
    states[fixture.file_bytes().size()] = model;
  }
  const std::string whole = fixture.file_bytes();
  fixture.catalog.reset();
  for (size_t length = 0; length <= whole.size(); ++length) {
    CAPTURE(length);
    fixture.write(kPath, whole.substr(0, length));
    auto opened = Catalog::open(fixture.files, kDirectory);
    if (length < 32) {
      // The header is written atomically, so a cut one is damage.
      REQUIRE_FALSE(opened);
      REQUIRE(opened.error().code() == Errc::corrupt);
      continue;
    }
    REQUIRE(opened);
    REQUIRE(contents(**opened) == std::prev(states.upper_bound(length))->second);
    // The cut tail doesn't stand in the way of what comes next.
    REQUIRE((*opened)->put(ad_of(99)));
    opened = Catalog::open(fixture.files, kDirectory);
    REQUIRE(opened);
    REQUIRE((*opened)->snapshot()->find("ad_99") != nullptr);
  }
}

TEST_CASE("catalog: a flipped bit is told with its position, and costs one change at most",
          "[catalog]") {
  const simulation::QuietLog quiet;
  Fixture fixture;
  std::vector<size_t> ends;
  std::vector<Model> states;
  Model model;
  for (uint64_t i = 0; i < 5; ++i) {
    ends.push_back(fixture.file_bytes().size());
    states.push_back(fixture.all());
    REQUIRE(fixture.catalog->put(ad_of(i)));
  }
  const std::string whole = fixture.file_bytes();
  const Model all = fixture.all();
  fixture.catalog.reset();
  for (size_t byte = 0; byte < whole.size(); ++byte) {
    CAPTURE(byte);
    std::string damaged = whole;
    damaged[byte] ^= static_cast<char>(1U << (byte % 8));
    fixture.write(kPath, damaged);
    auto opened = Catalog::open(fixture.files, kDirectory);
    REQUIRE(opened);
    Model kept = all;
    std::string place = "header";
    if (byte >= ends.front()) {
      const auto record = std::prev(std::upper_bound(ends.begin(), ends.end(), byte));
      place = "byte " + std::to_string(*record);
      // In front of the checksum is nothing that the rest doesn't prove.
      if (byte >= *record + 8) kept.erase("ad_" + std::to_string(record - ends.begin()));
    }
    REQUIRE(contents(**opened) == kept);
    REQUIRE((*opened)->damage().find(place) != std::string::npos);
    const bool was_kept = fixture.files.exists(kPath + ".damaged-1");
    REQUIRE(was_kept == !(byte >= ends.back() && byte < ends.back() + 8));
    // It is told once; what comes next stands behind what stayed.
    opened = Catalog::open(fixture.files, kDirectory);
    REQUIRE(opened);
    REQUIRE((*opened)->damage().empty());
    REQUIRE(contents(**opened) == kept);
    REQUIRE((*opened)->put(ad_of(99)));
    opened = Catalog::open(fixture.files, kDirectory);
    REQUIRE((*opened)->snapshot()->size() == kept.size() + 1);
    if (was_kept) REQUIRE(fixture.files.remove(kPath + ".damaged-1"));
  }
}

TEST_CASE("catalog: damage that leaves no ad is refused, and named", "[catalog]") {
  const simulation::QuietLog quiet;
  Fixture fixture;
  REQUIRE(fixture.catalog->put(ad_of(1)));
  std::string bytes = fixture.file_bytes();
  fixture.catalog.reset();
  bytes[50] ^= 1;
  // The last record's damage leaves the file as it was made, without any ad.
  fixture.write(kPath, bytes);
  REQUIRE(Catalog::open(fixture.files, kDirectory));
  bytes[8] ^= 1;
  fixture.write(kPath, bytes);
  const auto refused = Catalog::open(fixture.files, kDirectory);
  REQUIRE_FALSE(refused);
  REQUIRE(refused.error().code() == Errc::corrupt);
  REQUIRE(refused.error().path() == kPath);
}

TEST_CASE("catalog: a disk that can't be written is read, and takes changes once it can",
          "[catalog]") {
  const simulation::QuietLog quiet;
  Fixture fixture;
  for (uint64_t i = 0; i < 3; ++i) REQUIRE(fixture.catalog->put(ad_of(i)));
  std::string bytes = fixture.file_bytes();
  const bool damaged = GENERATE(false, true);
  if (damaged) bytes[40] ^= 1;
  fixture.write(kPath, bytes);
  const Model all = fixture.all();
  ReadOnlyDisk disk(fixture.files);
  auto opened = Catalog::open(disk, kDirectory);
  REQUIRE(opened);
  Model kept = all;
  if (damaged) kept.erase("ad_0");
  REQUIRE(contents(**opened) == kept);
  REQUIRE(fixture.file_bytes() == bytes);
  REQUIRE((*opened)->put(ad_of(7)).error().code() == Errc::io);
  REQUIRE(contents(**opened) == kept);
  disk.read_only = false;
  REQUIRE((*opened)->put(ad_of(7)));
  opened = Catalog::open(fixture.files, kDirectory);
  REQUIRE((*opened)->snapshot()->size() == kept.size() + 1);
}

TEST_CASE("catalog: a rewritten file has no tail that may be cut", "[catalog]") {
  Fixture fixture;
  size_t size_before = 0;
  for (uint64_t i = 0;; ++i) {
    REQUIRE(fixture.catalog->put(ad_of(i % 5, i)));
    const size_t size = fixture.file_bytes().size();
    if (size < size_before) break;
    size_before = size;
  }
  const std::string whole = fixture.file_bytes();
  fixture.catalog.reset();
  fixture.write(kPath, std::string_view(whole).substr(0, whole.size() - 1));
  REQUIRE(Catalog::open(fixture.files, kDirectory).error().code() == Errc::corrupt);
}

TEST_CASE("catalog: noise for a file is refused", "[catalog]") {
  Fixture fixture;
  fixture.catalog.reset();
  Random random(8);
  for (int i = 0; i < 200; ++i) {
    std::string noise(random.below(200), '\0');
    for (auto& byte : noise) byte = static_cast<char>(random.next());
    fixture.write(kPath, noise);
    REQUIRE_FALSE(Catalog::open(fixture.files, kDirectory));
  }
}

TEST_CASE("catalog: after a power loss at any operation nothing answered is missing", "[catalog]") {
  const uint64_t seed = GENERATE(range(1, 40));
  CAPTURE(seed);
  Random random(seed);
  Fixture fixture(seed);
  Model model;
  for (int round = 0; round < 6; ++round) {
    fixture.files.crash_at_operation(1 + random.below(60));
    Model attempted = model;
    while (!fixture.files.crashed()) {
      const uint64_t state = random.next();
      Random change(state);
      if (!random_change(change, *fixture.catalog, model)) {
        // The same change on the model alone: it may have survived or not.
        attempted = model;
        SimFileSystem scratch(1);
        REQUIRE(scratch.create_directories(kDirectory));
        auto other = Catalog::open(scratch, kDirectory);
        REQUIRE(other);
        std::vector<Ad> ads;
        for (const auto& [id, ad] : model) ads.push_back(ad);
        REQUIRE((*other)->put_all(ads));
        Random again(state);
        REQUIRE(random_change(again, **other, attempted));
      } else {
        attempted = model;
      }
    }
    fixture.files.restart();
    fixture.reopen();
    const Model now = fixture.all();
    if (now != attempted) REQUIRE(now == model);
    model = now;
  }
}

TEST_CASE("catalog: a failed write or sync changes nothing, and the next one works", "[catalog]") {
  const uint64_t seed = GENERATE(range(1, 20));
  const bool fail_sync = GENERATE(false, true);
  CAPTURE(seed, fail_sync);
  Random random(seed);
  Fixture fixture(seed);
  Model model;
  for (int i = 0; i < 60; ++i) {
    const Model before = model;
    if (random.one_in(5)) {
      if (fail_sync) {
        fixture.files.fail_sync_after(1);
      } else {
        fixture.files.fail_write_after(1);
      }
    }
    if (!random_change(random, *fixture.catalog, model)) model = before;
    fixture.files.fail_sync_after(0);
    fixture.files.fail_write_after(0);
    REQUIRE(fixture.all() == model);
    if (!random.one_in(8)) continue;
    // One change that succeeds settles what the failed one left on disk.
    REQUIRE(fixture.catalog->put(ad_of(77, static_cast<uint64_t>(i))));
    model["ad_77"] = ad_of(77, static_cast<uint64_t>(i));
    fixture.catalog.reset();
    fixture.files.crash();
    fixture.files.restart();
    fixture.reopen();
    REQUIRE(fixture.all() == model);
  }
}

TEST_CASE("catalog: an ads file is taken in once per content", "[catalog]") {
  Fixture fixture;
  const std::string path = "/data/ads.ndjson";
  REQUIRE(fixture.catalog->take_in_file(path).error().code() == Errc::not_found);
  fixture.write(path, ad_to_json(ad_of(1)) + "\n\n  " + ad_to_json(ad_of(2)) + " \r\n");
  REQUIRE(*fixture.catalog->take_in_file(path) == 2);
  REQUIRE(*fixture.catalog->take_in_file(path) == 0);
  REQUIRE(fixture.catalog->put(ad_of(1, 5)));
  fixture.reopen();
  REQUIRE(*fixture.catalog->take_in_file(path) == 0);
  REQUIRE(*fixture.catalog->snapshot()->find("ad_1") == ad_of(1, 5));
  fixture.write(path, ad_to_json(ad_of(1)));
  REQUIRE(*fixture.catalog->take_in_file(path) == 1);
  REQUIRE(fixture.all() == Model{{"ad_1", ad_of(1)}, {"ad_2", ad_of(2)}});
}

TEST_CASE("catalog: an ads file with a bad line names it and leaves all as it was", "[catalog]") {
  Fixture fixture;
  const std::string path = "/data/ads.ndjson";
  fixture.write(path, ad_to_json(ad_of(1)) + "\n\n{\"ad_id\":\"x y\"}\n");
  const auto taken = fixture.catalog->take_in_file(path);
  REQUIRE(taken.error().code() == Errc::invalid);
  REQUIRE(taken.error().message() == "line 3: advertiser_id: it is required");
  REQUIRE(fixture.all().empty());
  fixture.write(path, ad_to_json(ad_of(1)) + "\n");
  REQUIRE(*fixture.catalog->take_in_file(path) == 1);
}

TEST_CASE("catalog: changes are applied in their order, all at once, and stay", "[catalog]") {
  using Kind = AdsChange::Kind;
  Fixture fixture;
  REQUIRE(fixture.catalog->put(ad_of(1)));
  const AdsChange removal{Kind::remove, {ad_of(1).ad_id, {}, {}, {}}, {}};
  const Hash128 file{7, 8};
  REQUIRE(fixture.catalog->apply({{Kind::upsert, ad_of(2), {}},
                                  removal,
                                  {Kind::upsert, ad_of(3), {}},
                                  {Kind::remove, {"unknown", {}, {}, {}}, {}},
                                  {Kind::upsert, ad_of(2, 5), {}},
                                  {Kind::source, {}, file}}));
  const Model expected{{"ad_2", ad_of(2, 5)}, {"ad_3", ad_of(3)}};
  CHECK(fixture.all() == expected);
  CHECK(fixture.catalog->taken_in() == file);
  fixture.reopen();
  CHECK(fixture.all() == expected);
  CHECK(fixture.catalog->taken_in() == file);
  // What says nothing new writes nothing, and one that breaks a rule none of the others.
  const std::string before = fixture.file_bytes();
  REQUIRE(fixture.catalog->apply({{Kind::upsert, ad_of(3), {}}, removal}));
  CHECK_FALSE(fixture.catalog->apply(
      {{Kind::remove, ad_of(3), {}}, {Kind::upsert, {"not an id", "a", "b", "c"}, {}}}));
  CHECK(fixture.file_bytes() == before);
  CHECK(fixture.all() == expected);
}

TEST_CASE("catalog: changes are read back as they were written", "[catalog]") {
  using Kind = AdsChange::Kind;
  std::string body;
  append_change({Kind::upsert, ad_of(1), {}}, body);
  append_change({Kind::remove, {"ad_2", {}, {}, {}}, {}}, body);
  append_change({Kind::source, {}, {1, 2}}, body);
  const auto changes = read_changes(body);
  REQUIRE(changes);
  REQUIRE(changes->size() == 3);
  CHECK((*changes)[0].ad == ad_of(1));
  CHECK((*changes)[1].ad.ad_id == "ad_2");
  CHECK((*changes)[2].source == Hash128{1, 2});
  body.pop_back();
  CHECK(read_changes(body).error().code() == Errc::corrupt);
}

TEST_CASE("catalog: what an ads file gave is remembered when the file is rewritten", "[catalog]") {
  Fixture fixture;
  const std::string path = "/data/ads.ndjson";
  fixture.write(path, ad_to_json(ad_of(1)));
  REQUIRE(*fixture.catalog->take_in_file(path) == 1);
  for (uint64_t i = 0; i < 3000; ++i) REQUIRE(fixture.catalog->put(ad_of(i % 5, i + 1)));
  fixture.reopen();
  REQUIRE(*fixture.catalog->take_in_file(path) == 0);
}

}  // namespace clickmill::catalog
