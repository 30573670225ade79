#include "base/logging.h"

#include <catch2/catch.hpp>
#include <string>

#include "base/log_limit.h"
#include "base/log_writer.h"
#include "base/pipe_as_stderr.h"

namespace clickmill {

TEST_CASE("logging: a line is one line, whatever the message holds", "[base]") {
  const PipeAsStderr pipe;
  log_warn("test", "a\nb\r\x01 \xc3\xa4 end");
  CHECK(pipe.read_until("\n").find(" warn test: a\\x0ab\\x0d\\x01 \xc3\xa4 end\n") !=
        std::string::npos);
}

TEST_CASE("logging: a JSON line is UTF-8 and escapes what JSON escapes", "[base]") {
  const PipeAsStderr pipe;
  set_logging(LogLevel::info, LogFormat::json);
  log_warn("test", "\"\\\n \xc3\xa4 \xff end");
  CHECK(pipe.read_until("}\n").find(R"("level":"warn","area":"test","message":"\"\\\n )"
                                    "\xc3\xa4 \xef\xbf\xbd end\"}\n") != std::string::npos);
}

TEST_CASE("logging: nobody waits for a stderr that nobody reads, and the gap is told", "[base]") {
  const PipeAsStderr pipe;
  const uint64_t dropped_before = LogWriter::dropped();
  const std::string filler(2000, 'x');
  {
    const LogWriter writer;
    // Each is a kind of its own, so that none is left out as a repetition.
    std::string kind;
    while (LogWriter::dropped() == dropped_before) log_info("test", (kind += 'y') + filler);
    std::string text = pipe.read_until("x\n");
    // The reader is back: what waits comes, then what is logged next.
    while (text.find("lines were dropped: stderr took no more\n") == std::string::npos) {
      log_info("test", kind += 'z');
      text = pipe.read_until("\n");
    }
  }
  CHECK(LogWriter::dropped() > dropped_before);
}

TEST_CASE("log writer: its end waits for no reader", "[base]") {
  const PipeAsStderr pipe;
  std::string kind;
  const LogWriter writer;
  for (int i = 0; i < 100; ++i) log_info("test", (kind += 'e') + std::string(2000, 'x'));
}

TEST_CASE("log limit: lines that differ in their numbers only end after a while", "[base]") {
  LogLimit limit;
  for (uint32_t i = 0; i < LogLimit::kLines; ++i) {
    CHECK(limit.admit("log", "partition " + std::to_string(i) + ": can't seal", 1000) == 0);
  }
  CHECK(limit.admit("log", "partition 7: can't seal", 1000) == std::nullopt);
  CHECK(limit.admit("log", "partition 8: can't seal", 2000) == std::nullopt);
  CHECK(limit.admit("log", "partition 8: can't merge", 2000) == 0);
  CHECK(limit.admit("store", "partition 8: can't seal", 2000) == 0);
  CHECK(limit.admit("log", "partition 9: can't seal", 1000 + LogLimit::kPeriodMs) == 2);
  CHECK(limit.admit("log", "partition 9: can't seal", 1000 + LogLimit::kPeriodMs) == 0);
}

TEST_CASE("log limit: what it remembers is bounded", "[base]") {
  LogLimit limit;
  std::string message;
  for (size_t i = 0; i < 4 * LogLimit::kKindsMost; ++i) {
    message += static_cast<char>('a' + i % 26);
    CHECK(limit.admit("log", message, 1000) == 0);
  }
}

}  // namespace clickmill
