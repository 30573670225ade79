#include "base/logging.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <string>

#include "base/clock.h"
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

std::string json_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (byte < 0x20 || byte >= 0x7f) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out.push_back(c);
    }
  }
  return out;
}

}  // namespace

void set_logging(LogLevel lowest, LogFormat format) {
  lowest_level = lowest;
  line_format = format;
}

void log_line(LogLevel level, std::string_view area, std::string_view message) {
  if (level < lowest_level.load(std::memory_order_relaxed)) return;
  const std::string time = format_time_ms(SystemClock().wall_ms());
  const std::string line =
      line_format.load() == LogFormat::json
          ? fmt::format("{{\"time\":\"{}\",\"level\":\"{}\",\"area\":\"{}\",\"message\":\"{}\"}}\n",
                        time, name_of(level), area, json_escaped(message))
          : fmt::format("{} {} {}: {}\n", time, name_of(level), area, message);
  // A full or closed stderr must never stop a click.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace clickmill
