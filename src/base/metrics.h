#pragma once

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

/// The node's metrics, rendered as Prometheus text.
/// Owns what it hands out; references live as long as it does.
/// Thread: any. The mutex guards registration and rendering only, never counting.
class Metrics {
 public:
  /// `labels` as in the text format, without braces: `partition="3"`.
  Counter& counter(std::string name, std::string help, std::string labels = {});
  Gauge& gauge(std::string name, std::string help, std::string labels = {});
  /// A value read when rendered; `read` must be callable from any thread.
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
    std::function<double()> read;
  };
  Series& add(std::string name, std::string help, const char* type, std::string labels);
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Series>> series_;
};

}  // namespace clickmill
