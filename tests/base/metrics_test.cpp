#include "base/metrics.h"

#include <catch2/catch.hpp>
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
