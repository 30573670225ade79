#pragma once

#include <cstdint>
#include <string>

namespace clickmill {

/// While one lives, log lines are written by a thread of its own, so that nobody who
/// logs waits for stderr: a full pipe, a stopped terminal, a disk that hangs. What it
/// can't hold is dropped and counted.
/// One per process. Thread: made and destroyed by one.
class LogWriter {
 public:
  LogWriter();
  /// Writes what waits, but waits a moment only for a stderr that doesn't move.
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  /// Lines that were dropped because nobody read them. Thread: any.
  static uint64_t dropped();
};

/// Hands a whole line to the writer, or writes it here when there is none; false when
/// it was dropped. Thread: any.
bool write_log(const std::string& line);

}  // namespace clickmill
