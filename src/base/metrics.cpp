#include "base/metrics.h"

#include <fmt/format.h>

#include <algorithm>

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
    out += series->name;
    if (!series->labels.empty()) out += "{" + series->labels + "}";
    if (series->counter) out += fmt::format(" {}\n", series->counter->value());
    if (series->gauge) out += fmt::format(" {}\n", series->gauge->value());
    if (series->read) out += fmt::format(" {}\n", series->read());
  }
  return out;
}

}  // namespace clickmill
