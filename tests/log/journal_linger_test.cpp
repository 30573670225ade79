// A journal under load waits for company; here so long that only its end shows.
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "log/journal_life.h"
#include "log/journal_reader.h"
#include "log/journal_recovery.h"

namespace clickmill::log {
namespace {

class Told final : public JournalWaiter {
 public:
  void durable(JournalPos, std::string&&) override {
    ++durable_;
    durable_.notify_all();
  }
  void failed(const Error&, std::string&&) override {}
  void wait_for(int count) const {
    for (int seen = durable_; seen < count; seen = durable_) durable_.wait(seen);
  }
  int count() const { return durable_; }

 private:
  std::atomic<int> durable_{0};
};

struct Lingering {
  Lingering() {
    auto options = JournalLife::small_options();
    options.linger_us = 3'600'000'000;
    options.linger_bytes = 2'000;
    auto opened = Journal::open(sim, "journal", clock, options,
                                [](JournalPos, const RecordView&) { return Status(); });
    REQUIRE(opened);
    journal = *std::move(opened);
    journal->start();
  }
  void append(size_t bytes, Lane lane = Lane::redirects) {
    Append record;
    record.lane = lane;
    record.payload = std::string(bytes, 'x');
    record.waiter = told;
    REQUIRE(journal->append(std::move(record)));
  }
  simulation::SimFileSystem sim{1};
  SystemClock wall;
  NodeClock clock{wall};
  std::shared_ptr<Told> told = std::make_shared<Told>();
  std::unique_ptr<Journal> journal;
};

TEST_CASE("journal: who waits for company goes as soon as there is enough", "[log]") {
  Lingering node;
  // The clock counts from its start, which may be less ago than the journal waits.
  for (int i = 1; i <= 3; ++i) {
    node.append(100);
    node.append(2'000);
    node.told->wait_for(2 * i);
  }
  CHECK(node.told->count() == 6);
}

TEST_CASE("journal: clicks that wait for company go with an entry that comes", "[log]") {
  const auto lane = GENERATE(Lane::votes, Lane::log);
  Lingering node;
  node.append(2'000);
  node.told->wait_for(1);
  node.append(100);
  node.append(100, lane);
  node.told->wait_for(3);
  CHECK(node.told->count() == 3);
}

TEST_CASE("journal: who waits for company is written when it stops", "[log]") {
  Lingering node;
  node.append(2'000);
  node.told->wait_for(1);
  node.append(100);
  node.journal->stop();
  CHECK(node.told->count() == 2);
}

}  // namespace
}  // namespace clickmill::log
