#include "lines.h"

#include <fmt/format.h>

#include <chrono>

#include "base/file_system.h"
#include "base/random.h"
#include "click_source.h"

namespace clickmill::bench {
namespace {

constexpr size_t kBodyBytesMost = 15 << 20;
constexpr size_t kLineBytesMost = 512;
constexpr int64_t kDayMs = 86'400'000;

Status write_file(const std::string& path, std::string_view bytes) {
  auto file = TRY(PosixFileSystem().open(path, FileSystem::Open::truncate));
  return file->write_at(0, bytes);
}

}  // namespace

Status write_lines(const LinesOptions& options) {
  const int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                             std::chrono::system_clock::now().time_since_epoch())
                             .count();
  ClickSource source(1, options.ads, fmt::format("{:x}", now_ms), "localhost");
  std::string text;
  for (uint32_t ad = 0; ad < options.ads; ++ad) text += source.ad_line(ad);
  TRY(write_file(options.directory + "/ads.ndjson", text));
  Random random(1);
  uint64_t number = 0;
  for (int body = 1; number < options.clicks; ++body) {
    text.clear();
    while (number < options.clicks && text.size() + kLineBytesMost < kBodyBytesMost) {
      const auto ago_ms = static_cast<int64_t>(random.below(options.days * uint64_t{kDayMs}));
      source.append_line(number++, now_ms - ago_ms, text);
    }
    TRY(write_file(fmt::format("{}/clicks-{:04}.ndjson", options.directory, body), text));
  }
  return {};
}

}  // namespace clickmill::bench
