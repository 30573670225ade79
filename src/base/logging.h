#pragma once

#include <cstdint>
#include <string_view>

namespace clickmill {

/// `off` is no level of a line: it silences all (for tests that fail on purpose).
enum class LogLevel : uint8_t { debug, info, warn, error, off };
enum class LogFormat : uint8_t { text, json };

/// Chooses what goes to stderr and how. Process-wide, since stderr is. Thread: any.
void set_logging(LogLevel lowest, LogFormat format);
/// Writes one line `<time> <level> <area>: <message>` to stderr; waits for no reader while a
/// LogWriter lives, and leaves out what repeats without end (LogLimit). Thread: any.
void log_line(LogLevel level, std::string_view area, std::string_view message);

inline void log_info(std::string_view area, std::string_view message) {
  log_line(LogLevel::info, area, message);
}
inline void log_warn(std::string_view area, std::string_view message) {
  log_line(LogLevel::warn, area, message);
}
inline void log_error(std::string_view area, std::string_view message) {
  log_line(LogLevel::error, area, message);
}

}  // namespace clickmill
