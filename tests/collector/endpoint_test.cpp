// The endpoints when the journal can't keep up: users are redirected whatever
// happens, senders of bulk are told to wait, and only what was answered and not
// recorded is counted as dropped.

#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "collector/bulk_endpoint.h"
#include "collector/click_endpoint.h"
#include "collector/intake.h"
#include "collector/spool_fixture.h"
#include "http/sent_request.h"

namespace clickmill::collector {
namespace {

constexpr uint64_t kFileBytes = 64 << 10;

using http::SentRequest;

std::string click_json(uint64_t id, size_t padding = 0) {
  return R"({"click_id":"c)" + std::to_string(id) + R"(","ad_id":"ad","timestamp_ms":)" +
         std::to_string(kStartMs) + R"(,"referrer":")" + std::string(padding, 'r') + R"("})";
}

/// Both endpoints above a journal on a simulated disk.
struct Endpoints : SpoolMachine {
  explicit Endpoints(Durability durability = Durability::synced, uint64_t memory_bytes = 64 << 20)
      : SpoolMachine(1, memory_bytes) {
    journal_options.reserve_bytes = 4 * kFileBytes;
    journal_options.queue_bytes = 200'000;
    restart();
    REQUIRE(files.create_directories("/data"));
    auto opened = catalog::Catalog::open(files, "/data");
    REQUIRE(opened);
    catalog = *std::move(opened);
    REQUIRE(catalog->put({"ad", "adv", "banner", "https://example.com/landing"}));
    Intake::Options options;
    options.partitions = spool_options.partitions;
    intake = std::make_unique<Intake>(*spool, *catalog, nullptr, options, metrics);
    clicks = std::make_unique<ClickEndpoint>(
        *intake, *node_clock, ClickEndpoint::Options{.durability = durability}, metrics);
    bulk = std::make_unique<BulkEndpoint>(*intake, *node_clock, durability, [](auto task) {
      task();
      return true;
    });
  }

  ~Endpoints() { journal.reset(); }  // answers in it come here

  http::Responder responder() {
    return http::Responder(
        [this](http::Response&& response) { answers.push_back(std::move(response)); });
  }
  void send_click(size_t padding = 0) {
    clicks->handle(
        std::make_shared<SentRequest>(http::Method::post, click_json(next_id++, padding)),
        responder());
  }
  void send_bulk(size_t lines) {
    std::string text;
    for (size_t i = 0; i < lines; ++i) text += click_json(next_id++) + '\n';
    bulk->handle(std::make_shared<SentRequest>(http::Method::post, text), false, responder());
  }
  void sweep_after_ms(int64_t ms) {
    clock.advance_ms(ms);
    clicks->sweep_deadlines();
    bulk->sweep_deadlines();
  }
  /// Clicks until only the reserve is left.
  void fill_disk() {
    files.set_capacity_bytes(20 * kFileBytes);
    while (!journal->clicks_wait()) {
      send_click(900);
      pump();
    }
    clicks_before = next_id;
    sweep_after_ms(50);
    answers.clear();
    unsynced_before = clicks->answered_unsynced();
  }
  uint64_t dropped() { return clicks->dropped(); }
  uint64_t unsynced() { return clicks->answered_unsynced() - unsynced_before; }
  /// Everything the spool gives out.
  size_t recorded() {
    size_t count = 0;
    for (uint32_t partition = 0; partition < spool_options.partitions; ++partition)
      count += drain(partition).size();
    return count;
  }

  Metrics metrics;
  std::unique_ptr<catalog::Catalog> catalog;
  std::unique_ptr<Intake> intake;
  std::unique_ptr<ClickEndpoint> clicks;
  std::unique_ptr<BulkEndpoint> bulk;
  std::vector<http::Response> answers;
  uint64_t next_id = 0;
  uint64_t clicks_before = 0;
  uint64_t unsynced_before = 0;
};

TEST_CASE(
    "collector: on a full disk users are redirected at the deadline, their clicks written later",
    "[collector]") {
  Endpoints node;
  node.fill_disk();
  for (int i = 0; i < 10; ++i) node.send_click();
  node.pump();
  CHECK(node.answers.empty());
  node.sweep_after_ms(50);
  REQUIRE(node.answers.size() == 10);
  for (const auto& answer : node.answers) CHECK(answer.status == 302);
  CHECK(node.unsynced() == 10);
  CHECK(node.spool->waiting_clicks() >= 10);
  CHECK(node.dropped() == 0);
  node.files.set_capacity_bytes(40 * kFileBytes);
  node.pump();
  CHECK(node.spool->waiting_clicks() == 0);
  CHECK(node.recorded() == node.next_id);
  CHECK(node.answers.size() == 10);
}

TEST_CASE("collector: what the buffer can't hold is redirected at once and counted as dropped",
          "[collector]") {
  Endpoints node;
  node.fill_disk();
  while (node.dropped() == 0) node.send_click(500);
  REQUIRE(node.answers.size() == 1);
  CHECK(node.answers[0].status == 302);
  for (int i = 0; i < 20; ++i) node.send_click(900);
  CHECK(node.dropped() > 10);
  node.sweep_after_ms(50);
  CHECK(node.answers.size() == node.next_id - node.clicks_before);
  node.files.set_capacity_bytes(100 * kFileBytes);
  node.pump();
  CHECK(node.recorded() == node.next_id - node.dropped());
}

TEST_CASE(
    "collector: clicks that wait while the disk fails are redirected at the deadline, and kept",
    "[collector]") {
  Endpoints node;
  node.send_click();
  node.send_click();
  node.files.crash();
  node.pump();
  CHECK(node.answers.empty());
  node.send_click();
  node.sweep_after_ms(50);
  REQUIRE(node.answers.size() == 3);
  for (const auto& answer : node.answers) CHECK(answer.status == 302);
  CHECK(node.unsynced() == 3);
  CHECK(node.dropped() == 0);
  CHECK(node.spool->waiting_clicks() == 3);
}

TEST_CASE(
    "collector: bulk on a full disk is told to come again, and nothing of it is called dropped",
    "[collector]") {
  Endpoints node;
  node.fill_disk();
  node.send_bulk(100);
  REQUIRE(node.answers.size() == 1);
  CHECK(node.answers[0].status == 503);
  const auto& headers = node.answers[0].headers;
  CHECK(std::any_of(headers.begin(), headers.end(),
                    [](const auto& header) { return header.first == "Retry-After"; }));
  CHECK(node.dropped() == 0);
  CHECK(node.journal->queued_bytes() == 0);
}

TEST_CASE("collector: bulk that overfills its lane goes on as the journal takes it",
          "[collector]") {
  Endpoints node;
  node.send_bulk(2000);
  CHECK(node.answers.empty());
  // The other half of the buffer is left to users.
  node.send_click();
  for (int i = 0; i < 100 && node.answers.size() < 2; ++i) {
    node.pump();
    node.sweep_after_ms(5);
  }
  REQUIRE(node.answers.size() == 2);
  CHECK(node.answers[0].status == 302);
  CHECK(node.answers[1].status == 202);
  CHECK(node.answers[1].body.starts_with("{\"accepted\":2000,\"rejected_count\":0,"));
  CHECK(node.recorded() == 2001);
  CHECK(node.dropped() == 0);
}

TEST_CASE("collector: a large body is looked at in parts and answered as one", "[collector]") {
  Endpoints node;
  // Run after handle() has returned, the last one first.
  std::vector<std::function<void()>> tasks;
  BulkEndpoint bulk(
      *node.intake, *node.node_clock, Durability::synced,
      [&](std::function<void()> task) {
        tasks.push_back(std::move(task));
        return true;
      },
      4);
  std::string text;
  size_t lines = 0;
  std::string want = "\"rejected\":[";
  for (; text.size() < (3 << 20); ++lines) {
    if (lines % 900 != 5) {
      text += click_json(node.next_id++, lines % 900) + (lines % 7 == 0 ? "\r\n" : "\n");
      continue;
    }
    if (lines > 5) want += ',';
    want += "{\"line\":" + std::to_string(lines + 1) +
            ",\"field\":\"ad_id\",\"detail\":\"it is required\"}";
    text += "{}\n";
  }
  text.pop_back();
  bulk.handle(std::make_shared<SentRequest>(http::Method::post, text), false, node.responder());
  CHECK(tasks.size() == 3);
  for (int i = 0; i < 1'000 && node.answers.empty(); ++i) {
    while (!tasks.empty()) {
      const auto task = std::move(tasks.back());
      tasks.pop_back();
      task();
    }
    node.pump();
    node.clock.advance_ms(5);
    bulk.sweep_deadlines();
  }
  REQUIRE(node.answers.size() == 1);
  CHECK(node.answers[0].status == 202);
  CHECK(node.answers[0].body.find("\"accepted\":" + std::to_string(node.next_id) + ',') !=
        std::string::npos);
  CHECK(node.answers[0].body.find(want + ']') != std::string::npos);
  CHECK(node.recorded() == node.next_id);
}

TEST_CASE("collector: several bodies that overfill the lane all come through", "[collector]") {
  Endpoints node;
  for (int i = 0; i < 12; ++i) node.send_bulk(600);
  for (int i = 0; i < 1000 && node.answers.size() < 12; ++i) {
    node.pump();
    node.sweep_after_ms(5);
  }
  REQUIRE(node.answers.size() == 12);
  for (const auto& answer : node.answers) CHECK(answer.status == 202);
  CHECK(node.recorded() == 12 * 600);
}

TEST_CASE("collector: bulk that waits for room when the disk fills up is told to come again",
          "[collector]") {
  Endpoints node;
  node.send_bulk(2000);
  CHECK(node.answers.empty());
  node.files.set_capacity_bytes(20 * kFileBytes);
  while (!node.journal->clicks_wait()) {
    node.send_click(900);
    node.pump();
  }
  node.answers.clear();
  node.sweep_after_ms(5);
  REQUIRE(node.answers.size() == 1);
  CHECK(node.answers[0].status == 503);
  CHECK(node.dropped() == 0);
}

TEST_CASE("collector: bulk that never finds room is told so after ten seconds", "[collector]") {
  Endpoints node;
  node.send_bulk(2000);
  node.sweep_after_ms(9'900);
  CHECK(node.answers.empty());
  node.sweep_after_ms(200);
  REQUIRE(node.answers.size() == 1);
  CHECK(node.answers[0].status == 503);
  node.pump();
  node.sweep_after_ms(5);
  CHECK(node.answers.size() == 1);
}

TEST_CASE("collector: durability replicated redirects once the click is committed", "[collector]") {
  Endpoints node(Durability::replicated);
  node.send_click();
  node.send_click();
  node.pump();
  CHECK(node.answers.empty());
  node.sweep_after_ms(40);
  CHECK(node.answers.empty());
  CHECK(node.recorded() == 2);
  REQUIRE(node.answers.size() == 2);
  for (const auto& answer : node.answers) CHECK(answer.status == 302);
  node.sweep_after_ms(100);
  CHECK(node.answers.size() == 2);
  CHECK(node.clicks->answered_unreplicated() == 0);
  CHECK(node.unsynced() == 0);
}

TEST_CASE("collector: nobody waits for a cluster: at the deadline it redirects, and counts that",
          "[collector]") {
  Endpoints node(Durability::replicated);
  node.send_click();
  node.pump();
  node.send_click();  // not even synced
  node.sweep_after_ms(50);
  REQUIRE(node.answers.size() == 2);
  for (const auto& answer : node.answers) CHECK(answer.status == 302);
  CHECK(node.clicks->answered_unreplicated() == 2);
  CHECK(node.unsynced() == 1);
  node.pump();
  CHECK(node.recorded() == 2);
  CHECK(node.answers.size() == 2);
  CHECK(node.dropped() == 0);
  // The other modes don't count it.
  Endpoints synced;
  synced.send_click();
  synced.sweep_after_ms(50);
  CHECK(synced.unsynced() == 1);
  CHECK(synced.clicks->answered_unreplicated() == 0);
}

TEST_CASE("collector: durability replicated accepts bulk once all of it is committed",
          "[collector]") {
  const uint64_t memory_bytes = GENERATE(uint64_t{64 << 20}, uint64_t{0});
  Endpoints node(Durability::replicated, memory_bytes);
  node.send_bulk(3);
  node.pump();
  node.sweep_after_ms(5'000);
  CHECK(node.answers.empty());
  CHECK(node.recorded() == 3);
  REQUIRE(node.answers.size() == 1);
  CHECK(node.answers[0].status == 202);
}

TEST_CASE("collector: bulk of which a part is not committed in time is to be sent again",
          "[collector]") {
  Endpoints node(Durability::replicated);
  node.send_bulk(3);
  node.pump();
  for (uint32_t partition = 0; partition < node.spool_options.partitions; ++partition) {
    if (const auto taken = node.take(partition, 1, 1))
      node.spool->committed(PartitionId(partition), *taken);
  }
  node.sweep_after_ms(9'900);
  CHECK(node.answers.empty());
  node.sweep_after_ms(200);
  REQUIRE(node.answers.size() == 1);
  CHECK(node.answers[0].status == 503);
  CHECK(node.answers[0].body.find("majority of the nodes") != std::string::npos);
  CHECK(node.recorded() == 2);
  CHECK(node.answers.size() == 1);
}

TEST_CASE("collector: bulk waits ten seconds for the journal, then is told to come again",
          "[collector]") {
  Endpoints node;
  node.send_bulk(10);
  node.sweep_after_ms(9'900);
  CHECK(node.answers.empty());
  node.sweep_after_ms(200);
  REQUIRE(node.answers.size() == 1);
  CHECK(node.answers[0].status == 503);
  node.pump();
  CHECK(node.answers.size() == 1);
  CHECK(node.recorded() == 10);
  // One that is written in time is answered as usual, and only once.
  node.send_bulk(10);
  node.pump();
  node.sweep_after_ms(20'000);
  REQUIRE(node.answers.size() == 2);
  CHECK(node.answers[1].status == 202);
}

}  // namespace
}  // namespace clickmill::collector
