// The command on the data directory of a node that really ran, then with one
// stored row falsified in its state.
#include "engine/recount_command.h"

#include <catch2/catch.hpp>

#include "base/bytes.h"
#include "base/time_text.h"
#include "engine/engine.h"
#include "http/test_client.h"
#include "store/row.h"
#include "stream/state_store.h"
#include "stream/temporary_directory.h"

namespace clickmill::engine {
namespace {

using Lines = std::vector<std::string>;

struct Outcome {
  int code = 0;
  Lines printed;
  std::string told;
};

/// A node that counts some clicks of one minute and is stopped.
struct Fixture {
  Fixture() {
    config.data_dir = directory.path() + "/data";
    config.listen = {"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"};
    config.log.partitions = 2;
    PosixFileSystem files;
    SystemClock clock;
    Engine engine(config, files, clock);
    REQUIRE(engine.start());
    now_ms = clock.wall_ms();
    http::TestClient api(engine.api_address());
    REQUIRE(api.call("PUT", "/v1/ads/ad_1", R"({"advertiser_id":"adv_1","ad_format":"video","redirect_url":"https://a.example/"})").status == 201);
    std::string lines;
    for (int i = 0; i < 5; ++i) {
      lines += R"({"click_id":"c)" + std::to_string(i) + R"(","ad_id":"ad_1","timestamp_ms":)" + std::to_string(now_ms) +
               R"(,"device_type":"tablet","country":"US","user_id":"u)" + std::to_string(i) + "\"}\n";
    }
    REQUIRE(api.call("POST", "/v1/clicks", lines).status == 202);
    engine.stop();
  }
  Outcome recount(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"--data-dir", config.data_dir, "--from", std::to_string(now_ms - 60'000),
                                          "--to",       std::to_string(now_ms + 60'000)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Outcome outcome;
    outcome.code = recount_command(arguments, [&](const std::string& line) { outcome.printed.push_back(line); },
                                   [&](const std::string& line) { outcome.told += line + "\n"; });
    return outcome;
  }
  /// Changes the one row that the last checkpoint holds.
  void falsify(const std::function<void(store::Row&)>& change) const {
    auto state = stream::open_rocks_state_store(config.data_dir + "/state", 1 << 20).value();
    stream::StateBatch batch;
    REQUIRE(state->scan(stream::kRowsSpace, std::string(1, '\0'), "\xff", [&](std::string_view key, std::string_view value) {
      ByteCursor cursor(value);
      auto row = store::decode_row(cursor).value();
      change(row);
      std::string bytes;
      store::encode_row(row, bytes);
      batch.put(stream::kRowsSpace, std::string(key), bytes);
      return true;
    }));
    REQUIRE(batch.operations().size() == 1);
    REQUIRE(state->commit(batch, true));
  }
  std::string minute() const { return format_time_ms(floor_to(now_ms, kMinuteMs)); }

  stream::TemporaryDirectory directory;
  Config config;
  int64_t now_ms = 0;
};

}  // namespace

TEST_CASE("recount command: agrees with an honest store and lists what a falsified one says", "[engine]") {
  const Fixture fixture;
  const auto honest = fixture.recount();
  CAPTURE(honest.told);
  CHECK(honest.code == 0);
  CHECK(honest.printed.empty());
  CHECK(honest.told.find("5 clicks in the range, 1 minutes of ads compared, 0 differ") != std::string::npos);

  fixture.falsify([](store::Row& row) {
    row.counts.clicks = 6;
    row.counts.devices[static_cast<size_t>(click::Device::tablet)] = 6;
  });
  const std::string prefix = "ad_1 " + fixture.minute() + " adv_1: ";
  const auto more = fixture.recount();
  CHECK(more.code == 1);
  CHECK(more.printed == Lines{prefix + "clicks stored 6, recounted 5; tablet stored 6, recounted 5"});
  CHECK(fixture.recount({"--ad", "ad_1"}).printed == more.printed);
  CHECK(fixture.recount({"--ad", "ad_2"}).code == 0);

  fixture.falsify([](store::Row& row) {
    row.counts.clicks = 5;
    row.counts.devices[static_cast<size_t>(click::Device::tablet)] = 5;
    row.counts.countries = {{click::country_of('D', 'E'), 5}};
    row.visitors.add(1);
  });
  CHECK(fixture.recount().printed ==
        Lines{prefix + "DE stored 5, recounted 0; US stored 0, recounted 5; unique_users stored 6, recounted 5"});

  fixture.falsify([](store::Row& row) { row.bucket_ms += 10 * kMinuteMs; });
  CHECK(fixture.recount().printed.size() == 1);
  CHECK(fixture.recount({"--to", std::to_string(fixture.now_ms + kHourMs)}).printed.size() == 2);
}

TEST_CASE("recount command: a running node's directory is refused, and the node then starts as ever", "[engine]") {
  const Fixture fixture;
  PosixFileSystem files;
  SystemClock clock;
  {
    Engine engine(fixture.config, files, clock);
    REQUIRE(engine.start());
    const auto refused = fixture.recount();
    CHECK(refused.code == 2);
    CHECK(refused.told.find("in use by another clickmill process") != std::string::npos);
    engine.stop();
  }
  CHECK(fixture.recount().code == 0);
}

}  // namespace clickmill::engine
