// The command on the data directory of a node that really ran, then with one
// stored row falsified in its state.
#include "tools/recount_command.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <memory>
#include <thread>

#include "base/bytes.h"
#include "base/temporary_directory.h"
#include "base/time_text.h"
#include "engine/engine.h"
#include "http/auth.h"
#include "http/test_client.h"
#include "state/store.h"
#include "store/merge.h"
#include "store/part.h"
#include "store/part_writer.h"
#include "store/row.h"
#include "stream/checkpoint.h"
#include "stream/parts.h"

namespace clickmill::tools {
namespace {

using Lines = std::vector<std::string>;

struct Outcome {
  int code = 0;
  Lines printed;
  std::string told;
};

/// A node that counts some clicks of one minute and is stopped: of the running minute,
/// whose row stands in the checkpoint, or of one long closed, whose row stands in a part.
struct Fixture {
  explicit Fixture(int64_t age_ms = 0) {
    config.data_dir = directory.path() + "/data";
    config.listen = {"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"};
    config.log.partitions = 2;
    PosixFileSystem files;
    SystemClock clock;
    engine::Engine engine(config, files, clock);
    REQUIRE(engine.start());
    REQUIRE(engine.wait_until_counting());
    now_ms = clock.wall_ms() - age_ms;
    http::TestClient api(engine.api_address());
    // What a stop finds uncounted it leaves to the next start while the log is replayed.
    while (api.call("GET", "/readyz").status != 200) std::this_thread::yield();
    REQUIRE(api.call("PUT", "/v1/ads/ad_1",
                     R"({"advertiser_id":"adv_1","ad_format":"video",)"
                     R"("redirect_url":"https://a.example/"})")
                .status == 201);
    std::string lines;
    for (int i = 0; i < 5; ++i) {
      lines += R"({"click_id":"c)" + std::to_string(i) + R"(","ad_id":"ad_1","timestamp_ms":)" +
               std::to_string(now_ms) + R"(,"device_type":"tablet","country":"US","user_id":"u)" +
               std::to_string(i) + "\"}\n";
    }
    REQUIRE(api.call("POST", "/v1/clicks?mode=backfill", lines).status == 202);
    engine.stop();
  }
  Outcome recount(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"--data-dir", config.data_dir});
    return run(std::move(more));
  }
  Outcome recount_on(const engine::Engine& engine, std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"--node", "http://" + engine.api_address()});
    return run(std::move(more));
  }
  Outcome run(std::vector<std::string> more) const {
    std::vector<std::string> arguments = {"--from", std::to_string(now_ms - 60'000), "--to",
                                          std::to_string(now_ms + 60'000)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Outcome outcome;
    outcome.code = recount_command(
        arguments, [&](const std::string& line) { outcome.printed.push_back(line); },
        [&](const std::string& line) { outcome.told += line + "\n"; });
    return outcome;
  }
  /// Changes the one row that the last checkpoint names in a part, in all three tables.
  void falsify_part(const std::function<void(store::Row&)>& change) const {
    PosixFileSystem files;
    const std::string folder = config.data_dir + "/store";
    auto state = state::open_rocks_store(config.data_dir + "/state", 1 << 20).value();
    uint64_t number = 0;
    state::Batch batch;
    for (uint32_t i = 0; i < config.log.partitions; ++i) {
      auto checkpoint = stream::read_checkpoint(PartitionId(i), *state).value().value();
      for (store::PartMeta& meta : checkpoint.parts) {
        auto rows = store::read_merged({store::Part::open(files, folder, meta).value()}, 0).value();
        REQUIRE(rows.size() == 1);
        change(rows.front());
        const auto name = stream::part_name_of(PartitionId(i), 1000 + number++, meta.table);
        meta = store::write_part(files, folder, name, meta.table, rows).value();
      }
      stream::put_checkpoint(PartitionId(i), checkpoint, batch);
    }
    REQUIRE(state->commit(batch, true));
  }
  /// Changes the one row that the last checkpoint holds.
  void falsify(const std::function<void(store::Row&)>& change) const {
    auto state = state::open_rocks_store(config.data_dir + "/state", 1 << 20).value();
    state::Batch batch;
    REQUIRE(state->scan(state::kRowsSpace, std::string(1, '\0'), "\xff",
                        [&](std::string_view key, std::string_view value) {
                          ByteCursor cursor(value);
                          auto row = store::decode_row(cursor).value();
                          change(row);
                          std::string bytes;
                          store::encode_row(row, bytes);
                          batch.put(state::kRowsSpace, std::string(key), bytes);
                          return true;
                        }));
    REQUIRE(batch.operations().size() == 1);
    REQUIRE(state->commit(batch, true));
  }
  std::string minute() const { return format_time_ms(floor_to(now_ms, kMinuteMs)); }

  TemporaryDirectory directory;
  engine::Config config;
  int64_t now_ms = 0;  ///< of the clicks
};

}  // namespace

TEST_CASE("recount command: agrees with an honest store and lists what a falsified one says",
          "[tools]") {
  const Fixture fixture;
  const auto honest = fixture.recount();
  CAPTURE(honest.told);
  CHECK(honest.code == 0);
  CHECK(honest.printed.empty());
  CHECK(honest.told.find("5 clicks in the range, 1 minutes of ads compared, 0 differ") !=
        std::string::npos);

  fixture.falsify([](store::Row& row) {
    row.counts.clicks = 6;
    row.counts.devices[static_cast<size_t>(click::Device::tablet)] = 6;
  });
  const std::string prefix = "ad_1 " + fixture.minute() + " adv_1: ";
  const auto more = fixture.recount();
  CHECK(more.code == 1);
  CHECK(more.printed ==
        Lines{prefix + "clicks stored 6, recounted 5; tablet stored 6, recounted 5"});
  CHECK(fixture.recount({"--ad", "ad_1"}).printed == more.printed);
  CHECK(fixture.recount({"--ad", "ad_2"}).code == 0);

  fixture.falsify([](store::Row& row) {
    row.counts.clicks = 5;
    row.counts.devices[static_cast<size_t>(click::Device::tablet)] = 5;
    row.counts.countries = {{click::country_of('D', 'E'), 5}};
    row.visitors.add(1);
  });
  CHECK(fixture.recount().printed ==
        Lines{prefix + "DE stored 5, recounted 0; US stored 0, recounted 5; unique_users stored 6, "
                       "recounted 5"});

  fixture.falsify([](store::Row& row) { row.bucket_ms += 10 * kMinuteMs; });
  CHECK(fixture.recount().printed.size() == 1);
  CHECK(fixture.recount({"--to", std::to_string(fixture.now_ms + kHourMs)}).printed.size() == 2);
}

TEST_CASE(
    "recount command: a running node's directory is refused, and the node then starts as ever",
    "[tools]") {
  const Fixture fixture;
  PosixFileSystem files;
  SystemClock clock;
  {
    engine::Engine engine(fixture.config, files, clock);
    REQUIRE(engine.start());
    REQUIRE(engine.wait_until_counting());
    const auto refused = fixture.recount();
    CHECK(refused.code == 2);
    CHECK(refused.told.find("in use by another clickmill process") != std::string::npos);
    CHECK(refused.told.find("--node") != std::string::npos);
    engine.stop();
  }
  CHECK(fixture.recount().code == 0);
}

TEST_CASE("recount command: on a running node it agrees, lists, repairs and then agrees again",
          "[tools]") {
  const Fixture fixture(10 * kMinuteMs);
  const bool sketch_too = GENERATE(false, true);
  fixture.falsify_part([&](store::Row& row) {
    row.counts.devices[static_cast<size_t>(click::Device::tablet)] = 7;
    row.counts.clicks = 7;
    row.counts.countries = {{click::country_of('U', 'S'), 7}};
    if (sketch_too) row.visitors.add(1);
  });
  PosixFileSystem files;
  SystemClock clock;
  auto running = std::make_unique<engine::Engine>(fixture.config, files, clock);
  const engine::Engine& engine = *running;
  REQUIRE(running->start());
  http::TestClient api(engine.api_address());
  const auto wait_ready = [&] {
    while (api.call("GET", "/readyz").status != 200) std::this_thread::yield();
  };
  wait_ready();
  const std::string users = sketch_too ? "; unique_users stored 6, recounted 5" : "";
  const std::string line = "ad_1 " + fixture.minute() +
                           " adv_1: clicks stored 7, recounted 5; tablet stored 7, recounted 5; US "
                           "stored 7, recounted 5" +
                           users;
  const auto wrong = fixture.recount_on(engine);
  CAPTURE(wrong.told);
  CHECK(wrong.code == 1);
  CHECK(wrong.printed == Lines{line});
  CHECK(fixture.recount_on(engine, {"--ad", "ad_2"}).code == 0);

  const auto repaired = fixture.recount_on(engine, {"--repair", "--ad", "ad_1"});
  CAPTURE(repaired.told);
  CHECK(repaired.code == 1);
  CHECK(repaired.printed == Lines{line + " (repaired)"});
  CHECK(repaired.told.find("1 differ, 1 repaired") != std::string::npos);
  const auto honest = fixture.recount_on(engine);
  CHECK(honest.code == 0);
  CHECK(honest.told.find("5 clicks in the range, 1 minutes of ads compared, 0 differ") !=
        std::string::npos);

  for (const char* granularity : {"1m", "1h", "1d", "total"}) {
    const auto answer =
        api.call("GET", "/v1/metrics/clicks?ad_id=ad_1&granularity=" + std::string(granularity) +
                            "&from=" + std::to_string(fixture.now_ms) +
                            "&to=" + std::to_string(fixture.now_ms + 1));
    CAPTURE(granularity, answer.body);
    CHECK(answer.body.find(R"("total":{"click_count":5,"unique_users":5,)") != std::string::npos);
  }
  const auto changes = api.call("GET", "/v1/review/decisions");
  CAPTURE(changes.body);
  CHECK(changes.body.find(R"("kind":"repair","decision":"repair","reason":"recount",)"
                          R"("ad_id":"ad_1","by":"loopback")") != std::string::npos);
  CHECK(changes.body.find(R"("click_count":-2})") != std::string::npos);
  running->stop();
  running.reset();
  CHECK(fixture.recount().code == 0);
}

TEST_CASE("recount command: what a node refuses, and what is no node", "[tools]") {
  const Fixture fixture;
  const auto nobody = fixture.run({"--node", "http://127.0.0.1:1"});
  CHECK(nobody.code == 2);
  const auto offline = fixture.recount({"--repair"});
  CHECK(offline.code == 2);
  CHECK(offline.told.find("--node") != std::string::npos);
  CHECK(fixture.run({"--node", "nonsense"}).code == 2);

  engine::Config config = fixture.config;
  config.keys = {{.name = "auditor",
                  .sha256_hex = http::sha256_hex("secret"),
                  .role = http::Role::admin,
                  .advertiser_id = ""}};
  PosixFileSystem files;
  SystemClock clock;
  engine::Engine engine(config, files, clock);
  REQUIRE(engine.start());
  REQUIRE(engine.wait_until_counting());
  const auto without_key = fixture.recount_on(engine);
  CHECK(without_key.code == 2);
  CHECK(without_key.told.find("401") != std::string::npos);
  const std::string key_file = fixture.directory.path() + "/key";
  std::ofstream(key_file) << "secret\n";
  const auto with_key = fixture.recount_on(engine, {"--key-file", key_file});
  CAPTURE(with_key.told);
  CHECK(with_key.code == 0);
  engine.stop();
}

}  // namespace clickmill::tools
