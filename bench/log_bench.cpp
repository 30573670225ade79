#include "log_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "base/random.h"
#include "click/batch.h"
#include "click_source.h"
#include "log/segments.h"
#include "stopwatch.h"

namespace clickmill::bench {
namespace {

using Field = ClickSource::Field;
using log::Compression;
using log::Entry;

constexpr int64_t kStartMs = 1'782'295'200'000;
// 10,000 clicks/s over 64 partitions, each with its share of the ads.
constexpr uint32_t kPartitions = 64;
constexpr double kMsBetweenClicks = 6.4;
constexpr uint32_t kAds = 10'000;
constexpr uint64_t kEntriesAtOnce = 512;

void say(const std::string& line) {
  std::fputs((line + "\n").c_str(), stdout);
  std::fflush(stdout);
}

FileSystem& disk() {
  static PosixFileSystem files;
  return files;
}

/// Numbers of the clicks that go to one partition, and when they arrive.
struct Traffic {
  std::vector<uint64_t> numbers;
  std::vector<int64_t> received_ms;
};

ClickSource new_source() { return {1, kAds, "log", "localhost"}; }

Traffic traffic_of(const LogBenchOptions& options) {
  const ClickSource source = new_source();
  std::vector<bool> here(kAds);
  for (uint32_t ad = 0; ad < kAds; ++ad) {
    here[ad] = click::partition_of(source.ad_id(ad), kPartitions) == PartitionId(0);
  }
  Traffic out;
  Random random(3);
  double now = 0;
  for (uint64_t number = 0; out.numbers.size() < options.clicks; ++number) {
    if (!here[source.ad_of(number)]) continue;
    out.numbers.push_back(number);
    // Arrivals are independent of each other, so the gaps are exponential.
    now += -std::log(1 - static_cast<double>(random.next() >> 11) * 0x1p-53) * kMsBetweenClicks;
    out.received_ms.push_back(kStartMs + static_cast<int64_t>(now));
  }
  return out;
}

/// The log of one partition: batches as the forwarder makes them.
class Log {
 public:
  Log(const LogBenchOptions& options, const Traffic& traffic, Field without)
      : options_(options), traffic_(traffic), without_(without), source_(new_source()) {}

  /// The next entries; empty at the end.
  std::vector<Entry> next() {
    std::vector<Entry> out;
    while (done_ < options_.clicks && out.size() < kEntriesAtOnce) out.push_back(next_entry());
    return out;
  }
  uint64_t row_bytes() const { return row_bytes_; }

 private:
  Entry next_entry() {
    Entry entry;
    entry.first = Offset(done_ + 1);
    const uint64_t room = log::kBlockOffsets - entry.first.value() % log::kBlockOffsets;
    entry.count =
        static_cast<uint32_t>(std::min({room, uint64_t{options_.batch}, options_.clicks - done_}));
    entry.kind = static_cast<uint8_t>(click::EntryKind::clicks);
    entry.term = Term(1);
    entry.append_ms = LogMs(traffic_.received_ms[done_ + entry.count - 1] + 2);
    click::encode_batch_header({"n1", false, ArrivalMs(entry.append_ms.value() - 1)},
                               entry.payload);
    const size_t header = entry.payload.size();
    for (uint32_t i = 0; i < entry.count; ++i, ++done_) {
      source_.append_record(traffic_.numbers[done_], traffic_.received_ms[done_], without_,
                            entry.payload);
    }
    row_bytes_ += entry.payload.size() - header;
    return entry;
  }

  const LogBenchOptions& options_;
  const Traffic& traffic_;
  Field without_;
  ClickSource source_;
  uint64_t done_ = 0;
  uint64_t row_bytes_ = 0;
};

struct Sealed {
  uint64_t bytes = 0;
  uint64_t row_bytes = 0;
  double core_seconds = 0;  ///< of sealing alone
  std::unique_ptr<log::Segments> segments;
};

Result<Sealed> seal(const LogBenchOptions& options, const Traffic& traffic, const log::Codec& codec,
                    Compression compression, Field without) {
  const std::string directory = options.directory + "/sealed";
  std::filesystem::remove_all(directory);
  Sealed out;
  out.segments = TRY(log::Segments::open(disk(), directory, codec, {268'435'456, compression}));
  Log source(options, traffic, without);
  for (auto entries = source.next(); !entries.empty(); entries = source.next()) {
    const Stopwatch watch;
    TRY(out.segments->seal(entries));
    out.core_seconds += watch.core_seconds();
  }
  out.bytes = out.segments->bytes();
  out.row_bytes = source.row_bytes();
  return out;
}

/// Reads everything sealed; `records` decodes each click too, as the stream does.
Result<double> read(const LogBenchOptions& options, const log::Segments& segments, bool records) {
  const Stopwatch watch;
  uint64_t clicks = 0;
  click::RecordScratch scratch;
  for (Offset next(1); next <= segments.last();) {
    const auto entries = TRY(segments.read_block(next));
    for (const auto& entry : entries) {
      clicks += entry.count;
      if (!records) continue;
      ByteCursor cursor(entry.payload);
      TRY(click::decode_batch_header(cursor));
      for (uint32_t i = 0; i < entry.count; ++i) TRY(click::decode_record(cursor, scratch));
    }
    next = entries.back().last() + 1;
  }
  if (clicks != options.clicks) return Error(Errc::corrupt, "log bench: not all clicks were read");
  return static_cast<double>(clicks) / watch.core_seconds();
}

double per_click(uint64_t bytes, const LogBenchOptions& options) {
  return static_cast<double>(bytes) / static_cast<double>(options.clicks);
}

Status bench_compression(const LogBenchOptions& options, const Traffic& traffic,
                         const log::Codec& codec, Compression compression, const char* name) {
  const auto sealed = TRY(seal(options, traffic, codec, compression, Field::none));
  const double blocks = TRY(read(options, *sealed.segments, false));
  const double records = TRY(read(options, *sealed.segments, true));
  say(fmt::format(
      "{:<5} {:6.2f} bytes a click ({:.0f} as a row); sealed {:.2f} M/s, read {:.2f} M/s, "
      "read and parsed {:.2f} M/s, each per core",
      name, per_click(sealed.bytes, options), per_click(sealed.row_bytes, options),
      static_cast<double>(options.clicks) / sealed.core_seconds / 1e6, blocks / 1e6,
      records / 1e6));
  return {};
}

struct NamedField {
  Field field;
  const char* name;
};
constexpr NamedField kFields[] = {{Field::click_id, "click_id"},
                                  {Field::ad_id, "ad, advertiser"},
                                  {Field::timestamp_ms, "timestamp_ms"},
                                  {Field::device_type, "device_type"},
                                  {Field::country, "country"},
                                  {Field::user_id, "user_id"},
                                  {Field::ip, "ip"},
                                  {Field::user_agent, "user_agent"},
                                  {Field::referrer, "referrer"}};

Status bench_fields(const LogBenchOptions& options, const Traffic& traffic,
                    const log::Codec& codec) {
  say("bytes a click that a field costs (what is saved without it):      lz4    zstd");
  LogBenchOptions fewer = options;
  fewer.clicks = std::min<uint64_t>(options.clicks, 100'000);
  const auto size = [&](Compression compression, Field without) -> Result<double> {
    const auto sealed = TRY(seal(fewer, traffic, codec, compression, without));
    return per_click(sealed.bytes, fewer);
  };
  const double lz4 = TRY(size(Compression::lz4, Field::none));
  const double zstd = TRY(size(Compression::zstd, Field::none));
  for (const auto& [field, name] : kFields) {
    const double without_lz4 = TRY(size(Compression::lz4, field));
    const double without_zstd = TRY(size(Compression::zstd, field));
    say(fmt::format("  {:<60} {:6.2f}  {:6.2f}", name, lz4 - without_lz4, zstd - without_zstd));
  }
  say(fmt::format("  {:<60} {:6.2f}  {:6.2f}", "all", lz4, zstd));
  return {};
}

}  // namespace

Status bench_sizes_and_reading(const LogBenchOptions& options) {
  const Traffic traffic = traffic_of(options);
  const click::ColumnCodec columns;
  const log::RowCodec rows;
  say(fmt::format("sealed: {} clicks in blocks of {} offsets, {} an entry", options.clicks,
                  log::kBlockOffsets, options.batch));
  TRY(bench_compression(options, traffic, columns, Compression::none, "none"));
  TRY(bench_compression(options, traffic, columns, Compression::lz4, "lz4"));
  TRY(bench_compression(options, traffic, columns, Compression::zstd, "zstd"));
  const auto row_wise = TRY(seal(options, traffic, rows, Compression::lz4, Field::none));
  say(fmt::format("for comparison, row by row with lz4: {:.2f} bytes a click",
                  per_click(row_wise.bytes, options)));
  TRY(bench_fields(options, traffic, columns));
  std::filesystem::remove_all(options.directory + "/sealed");
  return {};
}

Status run_log_bench(const LogBenchOptions& options) {
  std::filesystem::create_directories(options.directory);
  TRY(bench_sizes_and_reading(options));
  return bench_appending(options);
}

}  // namespace clickmill::bench
