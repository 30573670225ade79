#include "store/retention.h"

#include <catch2/catch.hpp>

#include "base/time_text.h"
#include "simulation/sim_file_system.h"

namespace clickmill::store {
namespace {

int64_t ms(std::string_view text) { return *parse_time_ms(text); }

std::unique_ptr<Retention> open(FileSystem& files, Retention::Days days = {2, 30, 400}) {
  auto retention = Retention::open(files, "/retention", days);
  if (!retention) FAIL(retention.error().text());
  return *std::move(retention);
}

}  // namespace

TEST_CASE("retention: whole UTC days are kept, each table's as many as its rule says", "[store]") {
  simulation::SimFileSystem files(1);
  const auto retention = open(files);
  const LogMs log_time(ms("2026-06-24T23:59:59.999Z"));
  CHECK(retention->oldest_kept(log_time) == kAllTime);
  retention->trust(ms("2026-06-24T23:59:59Z"));
  CHECK(retention->oldest_kept(log_time) == TableTimes{ms("2026-06-22T00:00:00Z"),
                                                       ms("2026-05-25T00:00:00Z"),
                                                       ms("2025-05-20T00:00:00Z")});
  retention->trust(ms("2026-06-25T00:00:00Z"));
  CHECK(retention->oldest_kept(log_time)[0] == ms("2026-06-22T00:00:00Z"));
  CHECK(retention->oldest_kept(LogMs(ms("2026-06-25T00:00:00Z")))[0] == ms("2026-06-23T00:00:00Z"));
}

TEST_CASE("retention: log time that ran ahead with a wrong clock makes nothing old", "[store]") {
  simulation::SimFileSystem files(1);
  const auto retention = open(files);
  retention->trust(ms("2026-06-24T10:00:00Z"));
  CHECK(retention->oldest_kept(LogMs(ms("2066-01-01T00:00:00Z")))[0] == ms("2026-06-22T00:00:00Z"));
}

TEST_CASE("retention: marks only rise, and stay over a restart", "[store]") {
  simulation::SimFileSystem files(1);
  {
    const auto retention = open(files);
    CHECK(retention->deleted_before() == kAllTime);
    CHECK_FALSE(files.exists("/retention"));
    REQUIRE(retention->mark(Table::minute, 2000));
    REQUIRE(retention->mark(Table::minute, 1000));
    REQUIRE(retention->mark(Table::day, -5));
    CHECK(retention->deleted_before() == TableTimes{2000, kAlways, -5});
  }
  CHECK(open(files)->deleted_before() == TableTimes{2000, kAlways, -5});
  CHECK(*read_file(files, "/retention") ==
        std::string("clkmkept\1\0\0\0\xd0\7\0\0\0\0\0\0\0\0\0\0\0\0\0\x80", 28) +
            std::string("\xfb\xff\xff\xff\xff\xff\xff\xff", 8) +
            read_file(files, "/retention")->substr(36));
}

TEST_CASE("retention: of a damaged file everything old counts as deleted", "[store]") {
  simulation::SimFileSystem files(1);
  REQUIRE(open(files)->mark(Table::minute, 2000));
  std::string bytes = *read_file(files, "/retention");
  const size_t at = GENERATE(0, 8, 12, 30, 43, 44);
  CAPTURE(at);
  if (at < bytes.size()) {
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
  } else {
    bytes.pop_back();
  }
  REQUIRE(write_file_atomically(files, "/retention", bytes));
  const auto retention = open(files);
  retention->trust(ms("2026-06-24T10:00:00Z"));
  CHECK(retention->deleted_before()[0] == ms("2026-06-22T00:00:00Z"));
  CHECK(retention->deleted_before()[2] == ms("2025-05-20T00:00:00Z"));
}

}  // namespace clickmill::store
