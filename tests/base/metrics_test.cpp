#include "base/metrics.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <thread>

namespace clickmill {

TEST_CASE("metrics: render as Prometheus text, families together and sorted", "[base]") {
  Metrics metrics;
  metrics.counter("b_total", "Bees.", "kind=\"honey\"").add(2);
  metrics.gauge("a", "Ants.").set(-3);
  metrics.counter_from(
      "b_total", "Bees.", [] { return 5.0; }, "kind=\"bumble\"");
  metrics.gauge_from("c", "Cats.", [] { return 0.5; });
  CHECK(metrics.render() ==
        "# HELP a Ants.\n# TYPE a gauge\na -3\n"
        "# HELP b_total Bees.\n# TYPE b_total counter\nb_total{kind=\"honey\"} 2\n"
        "b_total{kind=\"bumble\"} 5\n"
        "# HELP c Cats.\n# TYPE c gauge\nc 0.5\n");
}

TEST_CASE("metrics: what is not known is left out", "[base]") {
  Metrics metrics;
  bool known = false;
  metrics.counter_from("n_total", "N.", [&] { return known ? 7 : std::nan(""); });
  CHECK(metrics.render() == "# HELP n_total N.\n# TYPE n_total counter\n");
  known = true;
  CHECK(metrics.render() == "# HELP n_total N.\n# TYPE n_total counter\nn_total 7\n");
}

TEST_CASE("metrics: a histogram's buckets hold what is below them, and the last holds all",
          "[base]") {
  Metrics metrics;
  Histogram& histogram = metrics.histogram("wait_seconds", "Waits.", "listener=\"api\"");
  for (const int64_t ns : {0, 500'000, 500'001, 2'000'000'000}) histogram.add_ns(ns);
  histogram.add_ns(11'000'000'000);
  const std::string text = metrics.render();
  CAPTURE(text);
  const auto has = [&](const char* line) { return text.find(line) != std::string::npos; };
  CHECK(has(
      "# TYPE wait_seconds histogram\nwait_seconds_bucket{listener=\"api\",le=\"0.0005\"} 2\n"));
  CHECK(has("le=\"0.001\"} 3\n"));
  CHECK(has("le=\"1\"} 3\n"));
  CHECK(has("le=\"2.5\"} 4\n"));
  CHECK(has("le=\"10\"} 4\nwait_seconds_bucket{listener=\"api\",le=\"+Inf\"} 5\n"));
  CHECK(has("wait_seconds_sum{listener=\"api\"} 13.001000001\n"));
  CHECK(has("wait_seconds_count{listener=\"api\"} 5\n"));
}

TEST_CASE("metrics: counts of many threads all arrive", "[base]") {
  Metrics metrics;
  Counter& counter = metrics.counter("n_total", "N.");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int step = 0; step < 10'000; ++step) counter.add();
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(counter.value() == 40'000);
}

TEST_CASE("metrics: large numbers keep all their digits", "[base]") {
  Metrics metrics;
  metrics.counter_from("n_total", "N.", [] { return 864'000'001.0; });
  CHECK(metrics.render().find("n_total 864000001\n") != std::string::npos);
}

}  // namespace clickmill
