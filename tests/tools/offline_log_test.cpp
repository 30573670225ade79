#include "tools/offline_log.h"

#include <catch2/catch.hpp>
#include <string>

#include "base/clock.h"
#include "base/node_clock.h"
#include "base/temporary_directory.h"
#include "collector/spool_records.h"
#include "engine/data_dir.h"
#include "log/journal.h"

namespace clickmill::tools {
namespace {

TEST_CASE("offline log: clicks that the spool has copied forward are no log entries", "[tools]") {
  const TemporaryDirectory directory;
  PosixFileSystem files;
  SystemClock clock;
  NodeClock node_clock(clock);
  {
    const auto dir = engine::DataDir::open(files, directory.path(), "n1", 2).value();
    log::Journal::Options options;
    options.file_bytes = 8 << 20;
    const auto journal = log::Journal::open(files, dir->journal(), node_clock, options).value();
    for (const std::string& payload : {collector::copied_clicks({"one", "other"}), std::string()}) {
      log::Append record;
      record.lane = log::Lane::redirects;
      record.kind = log::RecordKind::copied_clicks;
      record.partition = PartitionId(1);
      record.payload = payload;
      REQUIRE(journal->append(std::move(record)));
    }
    while (journal->pump()) {
    }
    journal->stop();
  }
  Progress progress(clock, [](const std::string&) {});
  const auto log = OfflineLog::open(files, directory.path(), progress).value();
  CHECK(log->damage().empty());
  CHECK(log->journal_records() == 2);
  CHECK(log->unsealed(1).empty());
}

}  // namespace
}  // namespace clickmill::tools
