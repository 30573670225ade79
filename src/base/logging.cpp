#include "base/logging.h"

#include <fmt/format.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/log_limit.h"
#include "base/log_writer.h"
#include "base/text.h"
#include "base/time_text.h"

namespace clickmill {
namespace {

std::atomic<LogLevel> lowest_level{LogLevel::info};
std::atomic<LogFormat> line_format{LogFormat::text};

std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return "debug";
    case LogLevel::info: return "info";
    case LogLevel::warn: return "warn";
    case LogLevel::error: return "error";
    case LogLevel::off: break;
  }
  return "?";
}

/// One line whatever it holds: control characters are written as \xNN.
std::string on_one_line(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out.push_back(c);
    }
  }
  return out;
}

/// How many lines like it were left out before; nothing: leave it out.
std::optional<uint64_t> admitted(std::string_view area, std::string_view message, int64_t now_ms) {
  static std::mutex mutex;  // guards the limit, for one look-up
  static LogLimit limit;
  const std::lock_guard lock(mutex);
  return limit.admit(area, message, now_ms);
}

std::string line_of(int64_t now_ms, LogLevel level, std::string_view area,
                    std::string_view message) {
  const std::string time = format_time_ms(now_ms);
  if (line_format.load() == LogFormat::text) {
    return fmt::format("{} {} {}: {}\n", time, name_of(level), area, on_one_line(message));
  }
  return fmt::format("{{\"time\":\"{}\",\"level\":\"{}\",\"area\":\"{}\",\"message\":{}}}\n", time,
                     name_of(level), area, json_quoted(message));
}

}  // namespace

void set_logging(LogLevel lowest, LogFormat format) {
  lowest_level = lowest;
  line_format = format;
}

void log_line(LogLevel level, std::string_view area, std::string_view message) {
  if (level < lowest_level.load(std::memory_order_relaxed)) return;
  const int64_t now_ms = SystemClock().wall_ms();
  const auto left_out = admitted(area, message, now_ms);
  if (!left_out) return;
  std::string text(message);
  if (*left_out != 0) text += fmt::format(" ({} lines like it were left out before)", *left_out);
  std::string line = line_of(now_ms, level, area, text);
  static std::atomic<uint64_t> untold{0};  // lines that were dropped since the last one that wasn't
  const uint64_t dropped = untold.exchange(0);
  if (dropped != 0) {
    line.insert(0, line_of(now_ms, LogLevel::warn, "log",
                           fmt::format("{} lines were dropped: stderr took no more", dropped)));
  }
  if (!write_log(line)) untold += dropped + 1;
}

}  // namespace clickmill
