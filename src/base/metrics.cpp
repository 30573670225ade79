#include "base/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

namespace clickmill {

Metrics::Series& Metrics::add(std::string name, std::string help, const char* type,
                              std::string labels) {
  std::lock_guard lock(mutex_);
  series_.push_back(std::make_unique<Series>());
  Series& series = *series_.back();
  series.name = std::move(name);
  series.help = std::move(help);
  series.type = type;
  series.labels = std::move(labels);
  return series;
}

Counter& Metrics::counter(std::string name, std::string help, std::string labels) {
  Series& series = add(std::move(name), std::move(help), "counter", std::move(labels));
  series.counter = std::make_unique<Counter>();
  return *series.counter;
}

Gauge& Metrics::gauge(std::string name, std::string help, std::string labels) {
  Series& series = add(std::move(name), std::move(help), "gauge", std::move(labels));
  series.gauge = std::make_unique<Gauge>();
  return *series.gauge;
}

void Metrics::counter_from(std::string name, std::string help, std::function<double()> read,
                           std::string labels) {
  add(std::move(name), std::move(help), "counter", std::move(labels)).read = std::move(read);
}

void Metrics::gauge_from(std::string name, std::string help, std::function<double()> read,
                         std::string labels) {
  add(std::move(name), std::move(help), "gauge", std::move(labels)).read = std::move(read);
}

Histogram& Metrics::histogram(std::string name, std::string help, std::string labels) {
  Series& series = add(std::move(name), std::move(help), "histogram", std::move(labels));
  series.own_histogram = std::make_unique<Histogram>();
  series.histogram = series.own_histogram.get();
  return *series.own_histogram;
}

void Metrics::histogram_of(std::string name, std::string help, const Histogram& histogram,
                           std::string labels) {
  add(std::move(name), std::move(help), "histogram", std::move(labels)).histogram = &histogram;
}

void Histogram::add_ns(int64_t took_ns) {
  const double seconds = static_cast<double>(took_ns) / 1e9;
  const auto bucket = std::lower_bound(kSeconds.begin(), kSeconds.end(), seconds);
  counts_[static_cast<size_t>(bucket - kSeconds.begin())].fetch_add(1, std::memory_order_relaxed);
  sum_ns_.fetch_add(took_ns, std::memory_order_relaxed);
}

std::array<uint64_t, Histogram::kSeconds.size() + 1> Histogram::cumulative() const {
  std::array<uint64_t, kSeconds.size() + 1> out{};
  uint64_t total = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    total += counts_[i].load(std::memory_order_relaxed);
    out[i] = total;
  }
  return out;
}

double Histogram::sum_seconds() const {
  return static_cast<double>(sum_ns_.load(std::memory_order_relaxed)) / 1e9;
}

namespace {

void append_series(std::string& out, std::string_view name, std::string_view labels,
                   std::string_view more, const auto& value) {
  out += name;
  if (!labels.empty() || !more.empty()) {
    const std::string_view comma = labels.empty() || more.empty() ? "" : ",";
    out += fmt::format("{{{}{}{}}}", labels, comma, more);
  }
  out += fmt::format(" {}\n", value);
}

}  // namespace

void Metrics::render_one(const Series& series, std::string& out) {
  const std::string& name = series.name;
  const std::string& labels = series.labels;
  if (series.counter) append_series(out, name, labels, {}, series.counter->value());
  if (series.gauge) append_series(out, name, labels, {}, series.gauge->value());
  if (series.read) {
    const double value = series.read();
    if (!std::isnan(value)) append_series(out, name, labels, {}, value);
  }
  if (series.histogram == nullptr) return;
  const auto counts = series.histogram->cumulative();
  for (size_t i = 0; i < Histogram::kSeconds.size(); ++i) {
    append_series(out, name + "_bucket", labels, fmt::format("le=\"{}\"", Histogram::kSeconds[i]),
                  counts[i]);
  }
  append_series(out, name + "_bucket", labels, "le=\"+Inf\"", counts.back());
  append_series(out, name + "_sum", labels, {}, series.histogram->sum_seconds());
  append_series(out, name + "_count", labels, {}, counts.back());
}

std::string Metrics::render() const {
  std::lock_guard lock(mutex_);
  std::vector<const Series*> sorted;
  for (const auto& series : series_) sorted.push_back(series.get());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Series* a, const Series* b) { return a->name < b->name; });
  std::string out;
  const std::string* family = nullptr;
  for (const Series* series : sorted) {
    if (family == nullptr || *family != series->name) {
      out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", series->name, series->help, series->name,
                         series->type);
      family = &series->name;
    }
    render_one(*series, out);
  }
  return out;
}

}  // namespace clickmill
