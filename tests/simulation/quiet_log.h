#pragma once

#include "base/logging.h"

namespace clickmill::simulation {

/// While it lives nothing is logged: what a test breaks on purpose is no news.
class QuietLog {
 public:
  QuietLog() { set_logging(static_cast<LogLevel>(255), LogFormat::text); }
  ~QuietLog() { set_logging(LogLevel::info, LogFormat::text); }
  QuietLog(const QuietLog&) = delete;
  QuietLog& operator=(const QuietLog&) = delete;
};

}  // namespace clickmill::simulation
