// The journal beside a plain file. Both get the same bytes in the same run, the plain
// file in one write and one fdatasync for everything that waits, pre-written so that
// a sync costs it no metadata: the least that durable appending can cost here.

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <thread>
#include <vector>

#include "click/batch.h"
#include "click_source.h"
#include "histogram.h"
#include "log/partition_log.h"
#include "log_bench.h"
#include "stopwatch.h"

namespace clickmill::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Field = ClickSource::Field;

constexpr int64_t kStartMs = 1'782'295'200'000;
constexpr uint64_t kChunkBytes = 256 << 10;
constexpr auto kTick = std::chrono::milliseconds(1);

void say(const std::string& line) {
  std::fputs((line + "\n").c_str(), stdout);
  std::fflush(stdout);
}

/// Counts what the journal has written and synced, and how long each took.
class Progress {
 public:
  void written() { ++written_; }
  void durable(uint64_t latency_ns) {
    const std::lock_guard lock(mutex_);
    latency_.add(latency_ns);
    ++durable_;
    changed_.notify_all();
  }
  void wait_durable(uint64_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return durable_ >= count; });
  }
  uint64_t written_count() const { return written_; }
  Histogram latency() const {
    const std::lock_guard lock(mutex_);
    return latency_;
  }

 private:
  std::atomic<uint64_t> written_{0};
  mutable std::mutex mutex_;  // guards what the journal thread tells the generator
  std::condition_variable changed_;
  uint64_t durable_ = 0;
  Histogram latency_;
};

class Waiter final : public log::JournalWaiter {
 public:
  Waiter(Progress& progress, Clock::time_point begin) : progress_(progress), begin_(begin) {}
  void written() override { progress_.written(); }
  void durable(JournalPos, std::string&&) override {
    progress_.durable(static_cast<uint64_t>((Clock::now() - begin_).count()));
  }
  void failed(const Error& error, std::string&&) override {
    say("the journal failed: " + error.text());
    std::abort();
  }

 private:
  Progress& progress_;
  Clock::time_point begin_;
};

/// A journal of its own, emptied before and after.
class Bench {
 public:
  explicit Bench(const LogBenchOptions& options)
      : options_(options),
        source_(2, 10'000, "log", "localhost"),
        path_(options.directory + "/journal") {}
  ~Bench() { std::filesystem::remove_all(path_); }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  Status open() {
    std::filesystem::remove_all(path_);
    log::Journal::Options options;
    options.queue_bytes = uint64_t{1} << 30;
    TRY(files_.create_directories(path_));
    journal_ =
        TRY(log::Journal::open(files_, path_, node_clock_, options,
                               [](JournalPos, const log::RecordView&) -> Status { return {}; }));
    journal_->start();
    return {};
  }
  void close() {
    journal_->stop();
    journal_.reset();
  }

  /// An entry of `count` clicks, as the journal holds it.
  std::string entry(uint32_t count) {
    log::Entry entry;
    entry.first = Offset(done_ + 1);
    entry.count = count;
    entry.kind = static_cast<uint8_t>(click::EntryKind::clicks);
    entry.term = Term(1);
    entry.append_ms = LogMs(kStartMs);
    click::encode_batch_header({"n1", false, ArrivalMs(kStartMs)}, entry.payload);
    for (uint32_t i = 0; i < count; ++i) {
      source_.append_record(done_++, kStartMs, Field::none, entry.payload);
    }
    std::string out;
    log::encode_entry(entry, out);
    return out;
  }
  Status append(uint32_t partition, std::string&& payload, Clock::time_point begin) {
    log::Append record;
    record.kind = log::RecordKind::entry;
    record.partition = PartitionId(partition);
    record.payload = std::move(payload);
    record.waiter = std::make_shared<Waiter>(progress_, begin);
    return journal_->append(std::move(record));
  }

  const LogBenchOptions& options_;
  ClickSource source_;
  std::string path_;
  PosixFileSystem files_;
  SystemClock clock_;
  NodeClock node_clock_{clock_};
  std::unique_ptr<log::Journal> journal_;
  Progress progress_;
  uint64_t done_ = 0;
};

/// One file of fixed size, written round and round.
class PlainFile {
 public:
  explicit PlainFile(const std::string& directory) : path_(directory + "/plain") {}
  ~PlainFile() {
    if (file_ >= 0) ::close(file_);
    std::filesystem::remove(path_);
  }
  PlainFile(const PlainFile&) = delete;
  PlainFile& operator=(const PlainFile&) = delete;

  Status open() {
    file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file_ < 0) return Error(Errc::io, "can't open", path_);
    const std::string zeros(1 << 20, '\0');
    for (end_ = 0; end_ < kFileBytes; end_ += zeros.size()) TRY(write(zeros));
    end_ = 0;
    return sync();
  }
  Status append(std::string_view bytes) {
    if (end_ + bytes.size() > kFileBytes) end_ = 0;
    TRY(write(bytes));
    end_ += bytes.size();
    return {};
  }
  Status sync() {
    if (::fdatasync(file_) == 0) return {};
    return Error(Errc::io, "fdatasync failed", path_);
  }

 private:
  static constexpr uint64_t kFileBytes = 64 << 20;
  Status write(std::string_view bytes) {
    const auto done = ::pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(end_));
    if (done == static_cast<ssize_t>(bytes.size())) return {};
    return Error(Errc::io, "pwrite failed", path_);
  }
  std::string path_;
  int file_ = -1;
  uint64_t end_ = 0;
};

void say_throughput(const char* what, double seconds, uint64_t clicks, uint64_t bytes) {
  say(fmt::format("  {:<44} {:8.3f} M clicks/s {:8.1f} MB/s", what,
                  static_cast<double>(clicks) / seconds / 1e6,
                  static_cast<double>(bytes) / seconds / 1e6));
}

/// As fast as it goes: entries of `batch` clicks, all appended at once.
Status bench_throughput(const LogBenchOptions& options) {
  Bench bench(options);
  TRY(bench.open());
  std::vector<std::string> entries;
  uint64_t bytes = 0;
  uint64_t clicks = 0;
  for (; clicks < options.clicks / 2; clicks += options.batch) {
    entries.push_back(bench.entry(options.batch));
    bytes += entries.back().size();
  }
  std::string all;
  for (const auto& entry : entries) all += entry;
  say(fmt::format("append: {} clicks, {} an entry, {} MB", clicks, options.batch,
                  bytes / 1'000'000));

  const uint64_t count = entries.size();
  const Stopwatch watch;
  uint32_t partition = 0;
  for (auto& entry : entries) TRY(bench.append(partition++ % 64, std::move(entry), Clock::now()));
  while (bench.progress_.written_count() < count) std::this_thread::yield();
  say_throughput("journal, written", watch.seconds(), clicks, bytes);
  bench.progress_.wait_durable(count);
  say_throughput("journal, synced", watch.seconds(), clicks, bytes);
  const uint64_t syncs = std::max<uint64_t>(1, bench.journal_->stats().syncs.value());
  bench.close();

  PlainFile plain(options.directory);
  TRY(plain.open());
  const auto write_all = [&](uint64_t sync_count) -> Status {
    const uint64_t sync_every = sync_count == 0 ? bytes : bytes / sync_count + 1;
    uint64_t unsynced = 0;
    for (uint64_t at = 0; at < all.size(); at += kChunkBytes) {
      const auto chunk = std::string_view(all).substr(at, kChunkBytes);
      TRY(plain.append(chunk));
      unsynced += chunk.size();
      if (sync_count == 0 || unsynced < sync_every) continue;
      TRY(plain.sync());
      unsynced = 0;
    }
    return sync_count == 0 ? Status() : plain.sync();
  };
  const Stopwatch writing;
  TRY(write_all(0));
  say_throughput("plain file, written", writing.seconds(), clicks, bytes);
  TRY(plain.sync());
  const Stopwatch syncing;
  TRY(write_all(syncs));
  say_throughput(fmt::format("plain file, written and synced {} times", syncs).c_str(),
                 syncing.seconds(), clicks, bytes);
  return {};
}

/// Calls `due` at each tick with the clicks that are due by then, until the time is up.
/// It is given the instant at which they were due, so that falling behind counts.
template <typename Due>
Status generate(uint64_t rate, uint32_t seconds, Due due) {
  const auto begin = Clock::now();
  const uint64_t per_tick = std::max<uint64_t>(1, rate / 1000);
  for (uint64_t tick = 0; tick < uint64_t{seconds} * 1000; ++tick) {
    const auto at = begin + tick * kTick;
    std::this_thread::sleep_until(at);
    TRY(due(at, static_cast<uint32_t>(per_tick)));
  }
  return {};
}

Result<Histogram> journal_latency(const LogBenchOptions& options, uint64_t rate,
                                  uint32_t partitions) {
  Bench bench(options);
  TRY(bench.open());
  uint64_t appended = 0;
  uint32_t next = 0;
  const auto append_due = [&](Clock::time_point at, uint32_t clicks) -> Status {
    const uint32_t parts = std::min(partitions, clicks);
    for (uint32_t i = 0; i < parts; ++i) {
      const uint32_t share = clicks / parts + (i < clicks % parts ? 1 : 0);
      TRY(bench.append(next++ % partitions, bench.entry(share), at));
      ++appended;
    }
    return {};
  };
  TRY(generate(rate, options.seconds, append_due));
  bench.progress_.wait_durable(appended);
  bench.close();
  return bench.progress_.latency();
}

/// The same bytes, in one write and one sync for all that is due when the last sync
/// returned: a sync that takes longer than a tick delays what came meanwhile, once.
Result<Histogram> plain_latency(const LogBenchOptions& options, uint64_t rate,
                                uint32_t partitions) {
  Bench source(options);
  PlainFile plain(options.directory);
  TRY(plain.open());
  Histogram latency;
  const auto begin = Clock::now();
  const uint64_t ticks = uint64_t{options.seconds} * 1000;
  const auto clicks = static_cast<uint32_t>(std::max<uint64_t>(1, rate / 1000));
  const uint32_t parts = std::min(partitions, clicks);
  for (uint64_t tick = 0; tick < ticks;) {
    std::this_thread::sleep_until(begin + tick * kTick);
    const uint64_t first = tick;
    std::string bytes;
    for (; tick < ticks && begin + tick * kTick <= Clock::now(); ++tick) {
      for (uint32_t i = 0; i < parts; ++i) {
        bytes += source.entry(clicks / parts + (i < clicks % parts ? 1 : 0));
      }
    }
    TRY(plain.append(bytes));
    TRY(plain.sync());
    const auto now = Clock::now();
    for (uint64_t done = first; done < tick; ++done) {
      const auto waited = static_cast<uint64_t>((now - begin - done * kTick).count());
      for (uint32_t i = 0; i < parts; ++i) latency.add(waited);
    }
  }
  return latency;
}

Status bench_latency(const LogBenchOptions& options, uint64_t rate, uint32_t partitions) {
  const Histogram plain = TRY(plain_latency(options, rate, partitions));
  const Histogram journal = TRY(journal_latency(options, rate, partitions));
  std::string line =
      fmt::format("  {:>7} clicks/s, {:>2} partitions, ms (ratio):", rate, partitions);
  for (const double share : {0.5, 0.9, 0.99, 0.999}) {
    const double ours = static_cast<double>(journal.percentile(share)) / 1e6;
    const double bare = static_cast<double>(plain.percentile(share)) / 1e6;
    line += fmt::format("  p{:g} {:.3f} / {:.3f} ({:.2f})", share * 100, ours, bare, ours / bare);
  }
  say(line);
  return {};
}

}  // namespace

Status bench_appending(const LogBenchOptions& options) {
  TRY(bench_throughput(options));
  say("commit latency: journal / plain file written and synced whenever something is due");
  for (const uint64_t rate : {uint64_t{10'000}, uint64_t{100'000}}) {
    for (const uint32_t partitions : {1U, 64U}) TRY(bench_latency(options, rate, partitions));
  }
  return {};
}

}  // namespace clickmill::bench
