#include "history.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/random.h"
#include "base/strong.h"

namespace clickmill::bench {
namespace {

constexpr size_t kBodyBytes = 15 << 20;
constexpr uint64_t kVisitorsOfAd = 20'000;
constexpr int64_t kMinutesOfDay = 1440;
constexpr std::array<const char*, 4> kDevices = {"mobile", "desktop", "tablet", "other"};
constexpr std::array<const char*, 32> kCountries = {
    "US", "IN", "BR", "DE", "GB", "FR", "ID", "MX", "JP", "IT", "ES", "TR", "PL", "CA", "NL", "AU",
    "VN", "PH", "TH", "ZA", "EG", "NG", "AR", "CO", "SE", "BE", "CH", "AT", "PT", "GR", "CZ", "DK"};

using Stream = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

double unit(Random& random) { return static_cast<double>(random.next() >> 11) * 0x1.0p-53; }

/// Draws 0 … size − 1, each number as often as Zipf has it.
class Zipf {
 public:
  explicit Zipf(size_t size) {
    double sum = 0;
    for (size_t i = 0; i < size; ++i)
      cumulative_.push_back(sum += 1.0 / static_cast<double>(i + 1));
  }
  size_t draw(Random& random) const {
    const double at = unit(random) * cumulative_.back();
    return static_cast<size_t>(std::upper_bound(cumulative_.begin(), cumulative_.end() - 1, at) -
                               cumulative_.begin());
  }

 private:
  std::vector<double> cumulative_;
};

class Writer {
 public:
  explicit Writer(const HistoryOptions& options)
      : options_(options),
        random_(options.seed),
        ads_(options.ads),
        countries_(kCountries.size()) {}

  Status run() {
    std::string ads;
    for (uint32_t ad = 0; ad < options_.ads; ++ad) {
      fmt::format_to(std::back_inserter(ads),
                     R"({{"ad_id":"hist_{:05}","advertiser_id":"adv_{:03}","ad_format":"banner",)"
                     R"("redirect_url":"https://example.com/"}})"
                     "\n",
                     ad, ad % std::max(1U, options_.ads / 20));
    }
    TRY(write("ads.ndjson", ads));
    const int64_t end = static_cast<int64_t>(options_.until_s) / 60;
    const auto rows = static_cast<double>(options_.rows);
    TRY(write_stretch(end - 365 * kMinutesOfDay, end - 30 * kMinutesOfDay, rows / 4));
    TRY(write_stretch(end - 30 * kMinutesOfDay, end - 7 * kMinutesOfDay, rows / 4));
    TRY(write_stretch(end - 7 * kMinutesOfDay, end, rows / 2));
    TRY(write_body());
    fmt::print("{} rows, {} clicks, {} bodies\n", rows_, clicks_, bodies_);
    return {};
  }

 private:
  Status write_stretch(int64_t begin, int64_t end, double rows) {
    const double per_minute = rows / static_cast<double>(end - begin);
    double due = 0;
    for (int64_t minute = begin; minute < end; ++minute) {
      due += per_minute;
      const auto count = static_cast<size_t>(due);
      due -= static_cast<double>(count);
      std::unordered_set<size_t> seen;
      for (size_t tries = 0; seen.size() < count && tries < 8 * count; ++tries) {
        const size_t ad = ads_.draw(random_);
        if (seen.insert(ad).second) TRY(write_row(ad, minute));
      }
      rows_ += seen.size();
    }
    return {};
  }

  Status write_row(size_t ad, int64_t minute) {
    // Geometric, so that most rows have a click or two and some have dozens.
    const double share = 1.0 / static_cast<double>(options_.clicks);
    uint64_t clicks = 1;
    while (clicks < 500 && unit(random_) > share) ++clicks;
    for (uint64_t i = 0; i < clicks; ++i) {
      const uint64_t visitor = ad * kVisitorsOfAd + random_.below(kVisitorsOfAd);
      Random own(visitor);
      fmt::format_to(std::back_inserter(body_),
                     R"({{"click_id":"h{:x}","ad_id":"hist_{:05}","timestamp_ms":{},)"
                     R"("device_type":"{}","country":"{}","user_id":"u{:x}"}})"
                     "\n",
                     clicks_++, ad,
                     minute * kMinuteMs + static_cast<int64_t>(random_.below(60'000)),
                     kDevices[std::min<size_t>(own.below(8) / 3, 3)],
                     kCountries[countries_.draw(own)], visitor);
    }
    if (body_.size() < kBodyBytes) return {};
    return write_body();
  }

  Status write_body() {
    if (body_.empty()) return {};
    TRY(write(fmt::format("clicks-{:04}.ndjson", bodies_++), body_));
    body_.clear();
    return {};
  }

  Status write(const std::string& name, std::string_view text) const {
    const std::string path = options_.directory + "/" + name;
    const Stream file(std::fopen(path.c_str(), "w"), &std::fclose);
    if (file == nullptr || std::fwrite(text.data(), 1, text.size(), file.get()) != text.size() ||
        std::fflush(file.get()) != 0) {
      return Error(Errc::io, "can't write", path);
    }
    return {};
  }

  const HistoryOptions options_;
  Random random_;
  const Zipf ads_;
  const Zipf countries_;
  std::string body_;
  uint64_t bodies_ = 0;
  uint64_t clicks_ = 0;
  uint64_t rows_ = 0;
};

}  // namespace

Status write_history(const HistoryOptions& options) { return Writer(options).run(); }

}  // namespace clickmill::bench
