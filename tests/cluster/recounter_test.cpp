// Goal: a recount of any stretch of a log agrees with the stream that applied it,
// though only a part of the log is read, in pieces, with few identities in memory.
#include "cluster/recounter.h"

#include "cluster/one_partition.h"
#include "stream/review.h"

namespace clickmill::cluster {
namespace {

constexpr int64_t kStart = 1'782'295'200'000;

/// The click of a record, at another time.
std::string copy_at(const std::string& record, int64_t received_ms, int64_t timestamp_ms) {
  ByteCursor cursor(record);
  click::RecordScratch scratch;
  auto click = click::decode_record(cursor, scratch);
  REQUIRE(click);
  click->received_ms = ArrivalMs(received_ms);
  click->timestamp_ms = EventMs(timestamp_ms);
  std::string out;
  click::encode_record(*click, out);
  return out;
}

Recounter::Report run(Recounter& recounter, RecountRequest request) {
  const auto id = recounter.start(std::move(request));
  if (!id) FAIL(id.error().text());
  while (true) {
    auto report = recounter.report(*id, 0, 100);
    // Not REQUIRE: it counts, a million times.
    if (!report) FAIL(report.error().text());
    if (report->state != Recounter::State::running) return *std::move(report);
    std::this_thread::yield();
  }
}

RecountRequest range(int64_t from_ms, int64_t to_ms) {
  RecountRequest request;
  request.from_ms = from_ms;
  request.to_ms = to_ms;
  return request;
}

void check_agrees(const Recounter::Report& report) {
  CAPTURE(report.failure);
  REQUIRE(report.state == Recounter::State::done);
  for (const auto& found : report.found) UNSCOPED_INFO(found.text);
  CHECK(report.differ == 0);
  CHECK(report.judged_from_ms == INT64_MIN);
}

}  // namespace

TEST_CASE("recounter: an hour of a long log, without reading all of it", "[cluster]") {
  OnePartition node(1);
  std::vector<size_t> begins;  // of each hour's clicks
  for (size_t hour = 0; hour < 72; ++hour) {
    begins.push_back(node.records.size());
    node.send(20);
    if (hour >= 20) {
      // Copies of clicks of 20 hours ago, which say that they were made now.
      std::vector<std::string> copies;
      for (size_t i = 0; i < 5; ++i) {
        copies.push_back(
            copy_at(node.records[begins[hour - 20] + i], node.now_ms(), node.now_ms()));
      }
      node.send(std::move(copies));
    }
    node.advance(kHourMs);
  }
  const auto tally = node.partition().tally();
  REQUIRE(tally.counted > 72 * 19);
  REQUIRE(tally.duplicate > 100);
  Recounter::Options options;
  SECTION("as it comes") {}
  SECTION("few identities in memory") { options.ids_most = 150; }
  SECTION("few rows in memory") { options.rows_most = 30; }
  Recounter recounter(node.owned(), node.reader(), options);
  const auto whole = run(recounter, range(kStart, node.now_ms() + kMinuteMs));
  check_agrees(whole);
  CHECK(whole.clicks > 72 * 20);
  const auto hour = run(recounter, range(kStart + 60 * kHourMs, kStart + 61 * kHourMs));
  check_agrees(hour);
  CHECK(hour.clicks >= 25);
  CHECK(hour.compared > 0);
  CHECK(hour.entries < whole.entries);
  CHECK(hour.id == whole.id + 1);
  CHECK_FALSE(recounter.report(whole.id, 0, 1));
}

TEST_CASE("recounter: an accepted click that arrived long before its minute", "[cluster]") {
  OnePartition node(1);
  node.send(1);
  const int64_t minute = kStart + 70 * kHourMs;
  {
    const std::string record = copy_at(node.records[0], node.now_ms(), minute);
    ByteCursor cursor(record);
    click::RecordScratch scratch;
    auto click = click::decode_record(cursor, scratch).value();
    click.click_id = "early";
    click.advertiser_id = "adv";
    std::string other;
    click::encode_record(click, other);
    node.send({other});
  }
  for (int hour = 0; hour < 72; ++hour) {
    node.send(2);
    node.advance(kHourMs);
  }
  const auto flagged = ask<stream::ReviewPage>(
      node.owned(), PartitionId(0), [](Partition& asked, const auto& answer) {
        answer(asked.pipeline().review().list({}, asked.pipeline().horizon().age_ms()));
      });
  REQUIRE(flagged);
  stream::Decision decision;
  decision.verdict = stream::Verdict::accept;
  decision.by = "operator";
  // Samples may be flagged as well, and accepted.
  for (const auto& [click, entry] : flagged->entries) decision.items.push_back({click, 0});
  REQUIRE_FALSE(decision.items.empty());
  const auto done =
      ask<Offset>(node.owned(), PartitionId(0), [decision](Partition& asked, const auto& answer) {
        std::string payload;
        stream::encode_decision(decision, payload);
        asked.propose(click::EntryKind::decision, std::move(payload), answer);
      });
  REQUIRE(done);
  REQUIRE(node.partition().tally().accepted >= 1);
  Recounter recounter(node.owned(), node.reader(), {});
  const auto report = run(recounter, range(minute, minute + kMinuteMs));
  check_agrees(report);
  CHECK(report.compared >= 1);
}

TEST_CASE("recounter: one at a time, and an end when it is told to", "[cluster]") {
  OnePartition node(1);
  node.send(100);
  Recounter recounter(node.owned(), node.reader(), {});
  CHECK_FALSE(recounter.report(0, 0, 1));
  CHECK_FALSE(recounter.cancel(1));
  // The worker is held, so that the recount can't end before it is looked at.
  std::promise<void> go_on;
  node.owned().workers[0]->post([held = go_on.get_future().share()] { held.wait(); });
  const auto first = recounter.start(range(kStart, kStart + kHourMs));
  REQUIRE(first);
  const auto second = recounter.start(range(kStart, kStart + kHourMs));
  REQUIRE_FALSE(second);
  CHECK(second.error().text().find(std::to_string(*first)) != std::string::npos);
  REQUIRE(recounter.cancel(*first));
  go_on.set_value();
  while (recounter.report(*first, 0, 0)->state == Recounter::State::running)
    std::this_thread::yield();
  CHECK(recounter.report(*first, 0, 0)->state == Recounter::State::cancelled);
  check_agrees(run(recounter, range(kStart, kStart + kHourMs)));
}

}  // namespace clickmill::cluster
