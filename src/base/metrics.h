#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace clickmill {

/// A number that only rises. Thread: any; one relaxed add.
class Counter {
 public:
  void add(uint64_t step = 1) { value_.fetch_add(step, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

/// A number that rises and falls. Thread: any.
class Gauge {
 public:
  void set(int64_t value) { value_.store(value, std::memory_order_relaxed); }
  void add(int64_t step) { value_.fetch_add(step, std::memory_order_relaxed); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

/// How often something took how long. Thread: any; three relaxed adds.
class Histogram {
 public:
  /// Upper bounds of the buckets, of 0.5 ms and more: what waits for a disk takes that.
  static constexpr std::array<double, 14> kSeconds = {
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
  void add_ns(int64_t took_ns);
  /// How many took at most kSeconds[bucket]; of the last index: all.
  std::array<uint64_t, kSeconds.size() + 1> cumulative() const;
  double sum_seconds() const;

 private:
  std::array<std::atomic<uint64_t>, kSeconds.size() + 1> counts_{};
  std::atomic<int64_t> sum_ns_{0};
};

/// The node's metrics, rendered as Prometheus text.
/// Owns what it hands out; references live as long as it does.
/// Thread: any. The mutex guards registration and rendering only, never counting.
class Metrics {
 public:
  /// `labels` as in the text format, without braces: `partition="3"`.
  Counter& counter(std::string name, std::string help, std::string labels = {});
  Gauge& gauge(std::string name, std::string help, std::string labels = {});
  /// The name ends with _seconds.
  Histogram& histogram(std::string name, std::string help, std::string labels = {});
  /// One that somebody else owns, who outlives this.
  void histogram_of(std::string name, std::string help, const Histogram& histogram,
                    std::string labels = {});
  /// A value read when rendered; `read` must be callable from any thread. NaN: not known
  /// now, and left out, since a counter that falls is read as a restart.
  void counter_from(std::string name, std::string help, std::function<double()> read,
                    std::string labels = {});
  void gauge_from(std::string name, std::string help, std::function<double()> read,
                  std::string labels = {});
  /// Prometheus text format 0.0.4, families sorted by name.
  std::string render() const;

 private:
  struct Series {
    std::string name;
    std::string help;
    const char* type;
    std::string labels;
    std::unique_ptr<Counter> counter;
    std::unique_ptr<Gauge> gauge;
    std::unique_ptr<Histogram> own_histogram;
    const Histogram* histogram = nullptr;
    std::function<double()> read;
  };
  static void render_one(const Series& series, std::string& out);
  Series& add(std::string name, std::string help, const char* type, std::string labels);
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Series>> series_;
};

}  // namespace clickmill
