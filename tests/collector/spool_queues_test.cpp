// One partition's queues by themselves: positions and arrivals are given by hand.
#include "collector/spool_queues.h"

#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "click/click.h"

namespace clickmill::collector {
namespace {

using Queue = SpoolQueues::Queue;
constexpr JournalPos kNone(UINT64_MAX);
constexpr ArrivalMs kNow(1'000'000);

std::string record_of(const std::string& click_id, int64_t received_ms, uint8_t flags = 0) {
  const std::string ad_id = "ad_of_" + click_id;
  click::ClickView click;
  click.click_id = click_id;
  click.ad_id = ad_id;
  click.received_ms = ArrivalMs(received_ms);
  click.flags = flags;
  std::string record;
  click::encode_record(click, record);
  return record;
}

/// "c1" for a click whose ad nobody asked for, "c1:adv" or "c1:unknown" for one that was
/// pending.
std::vector<std::string> shown(const std::vector<std::string>& records) {
  std::vector<std::string> out;
  for (const std::string& record : records) {
    ByteCursor cursor(record);
    click::RecordScratch scratch;
    const auto click = click::decode_record(cursor, scratch).value();
    out.emplace_back(click.click_id);
    if (click.flags & click::kUnknownAd) out.back() += ":unknown";
    if (!click.advertiser_id.empty()) out.back() += ':' + std::string(click.advertiser_id);
  }
  return out;
}

struct Silent final : ClickAnswer {
  void durable() override {}
  void failed() override {}
};
using Answer = std::shared_ptr<ClickAnswer>;

/// Queues that are told of clicks which become durable at once.
struct Fixture {
  void add(const std::string& click_id, int64_t received_ms, uint64_t position,
           Queue queue = Queue::redirects, uint8_t flags = 0) {
    queues.append(queue, ArrivalMs(received_ms));
    queues.durable(queue, JournalPos(position), record_of(click_id, received_ms, flags),
                   memory_full);
  }
  /// A click that somebody waits for.
  void add_awaited(const std::string& click_id, uint64_t position, Queue queue = Queue::redirects,
                   uint8_t flags = 0) {
    const auto answer = std::make_shared<Silent>();
    awaited[click_id] = answer;
    queues.append(queue, ArrivalMs(10));
    queues.durable(queue, JournalPos(position), record_of(click_id, 10, flags), memory_full,
                   Answer(answer));
  }
  /// Whose answers leave with the batch that was taken.
  std::vector<std::string> told() const {
    std::vector<std::string> ids;
    for (const auto& waiting : taken.answers) {
      for (const auto& [id, answer] : awaited) {
        if (answer != nullptr && waiting.answer.lock() == answer) ids.push_back(id);
      }
    }
    return ids;
  }
  /// Reads so many runs of the backlog, which give these records.
  void read_back(size_t count, std::vector<std::string> records) {
    const auto runs = queues.begin_reading(100);
    REQUIRE(runs.size() >= count);
    taken = {};
    taken.records = std::move(records);
    queues.end_reading(runs, count, taken);
    pending = queues.set_aside(taken);
  }
  std::vector<std::string> take(Queue queue = Queue::redirects, size_t most = 100) {
    auto batch = queues.take(queue, most, 1 << 20);
    if (!batch) return {};
    taken = *std::move(batch);
    pending = queues.set_aside(taken);
    return shown(taken.records);
  }
  void commit() { queues.committed(taken); }
  int64_t low_water() const { return queues.low_water(kNow).value(); }

  SpoolQueues queues;
  SpoolQueues::Taken taken;
  std::map<std::string, Answer> awaited;
  std::vector<SpoolQueues::Pending> pending;
  bool memory_full = false;
};
using Ids = std::vector<std::string>;

}  // namespace

TEST_CASE("spool queues: a click holds its place until it is committed", "[collector]") {
  Fixture f;
  CHECK(f.low_water() == kNow.value());
  CHECK(f.queues.oldest_position() == kNone);
  f.queues.append(Queue::redirects, ArrivalMs(10));
  CHECK(f.take().empty());
  CHECK(f.low_water() == 10);
  CHECK(f.queues.on_their_way() == 1);
  f.queues.durable(Queue::redirects, JournalPos(4096), record_of("c1", 10), false);
  CHECK(f.queues.on_their_way() == 0);
  CHECK(f.queues.memory_bytes() > 0);
  CHECK(f.queues.oldest_position() == JournalPos(4096));
  CHECK(f.take() == Ids{"c1"});
  CHECK(f.queues.memory_bytes() == 0);
  CHECK(f.low_water() == 10);
  CHECK(f.queues.oldest_position() == JournalPos(4096));
  CHECK(f.queues.trim_position() == JournalPos(4096));
  f.commit();
  CHECK(f.low_water() == kNow.value());
  CHECK(f.queues.oldest_position() == kNone);
  CHECK(f.queues.trim_position() == JournalPos(4097));
}

TEST_CASE("spool queues: a trim leaves out a group of which not all is durable yet",
          "[collector]") {
  Fixture f;
  f.add("c1", 10, 4096);
  f.queues.append(Queue::redirects, ArrivalMs(11));
  CHECK(f.take() == Ids{"c1"});
  f.commit();
  CHECK(f.queues.trim_position() == JournalPos(4096));
}

TEST_CASE("spool queues: a click that the journal gave up holds the low-water for ever",
          "[collector]") {
  Fixture f;
  f.queues.append(Queue::bulk, ArrivalMs(10));
  f.queues.failed(Queue::bulk);
  CHECK(f.take(Queue::bulk).empty());
  CHECK(f.low_water() == 10);
}

TEST_CASE("spool queues: a batch is bounded by count and by bytes, but has one click",
          "[collector]") {
  Fixture f;
  for (int i = 0; i < 5; ++i) f.add("c" + std::to_string(i), i, 4096);
  CHECK(f.take(Queue::redirects, 2) == Ids{"c0", "c1"});
  CHECK(f.queues.take(Queue::redirects, 100, 1)->records.size() == 1);
  CHECK(f.take() == Ids{"c3", "c4"});
  CHECK_FALSE(f.queues.any_ready());
}

TEST_CASE("spool queues: with memory full a whole group stays on disk", "[collector]") {
  Fixture f;
  f.add("c1", 10, 4096);
  f.memory_full = true;
  // Its group is in memory already: reading it would give c1 twice.
  f.add("c2", 11, 4096);
  f.add("c3", 12, 8192);
  f.memory_full = false;
  // Its group is on disk already.
  f.add("c4", 13, 8192);
  CHECK(f.take() == Ids{"c1", "c2"});
  CHECK(f.queues.has_backlog());
  const auto runs = f.queues.begin_reading(100);
  REQUIRE(runs.size() == 1);
  CHECK(runs[0].position == JournalPos(8192));
  CHECK(runs[0].clicks == 2);
  f.commit();
  CHECK(f.low_water() == 12);
  SpoolQueues::Taken read;
  f.queues.end_reading(runs, 1, read);
  CHECK_FALSE(f.queues.has_backlog());
  CHECK(f.low_water() == 12);
  f.queues.committed({});
  CHECK(f.low_water() == kNow.value());
}

TEST_CASE("spool queues: a click whose ad is pending waits, its neighbours don't", "[collector]") {
  Fixture f;
  f.add("c1", 10, 4096, Queue::redirects, click::kAdPending);
  f.add("c2", 11, 4096);
  f.add("c3", 12, 8192, Queue::redirects, click::kAdPending);
  CHECK(f.take() == Ids{"c2"});
  REQUIRE(f.pending.size() == 2);
  CHECK(f.pending[0].ad_id == "ad_of_c1");
  CHECK(f.taken.held == 1);
  f.commit();
  CHECK(f.low_water() == 10);
  CHECK(f.queues.oldest_position() == JournalPos(4096));
  const auto pending = f.pending;
  f.queues.resolve(pending[1].id, nullptr);
  CHECK(f.queues.any_ready());
  CHECK(f.take(Queue::resolved) == Ids{"c3:unknown"});
  CHECK(f.pending.empty());
  f.commit();
  CHECK(f.low_water() == 10);
  const catalog::Ad ad{"ad_of_c1", "adv", "banner", "https://example.com/"};
  f.queues.resolve(pending[0].id, &ad);
  CHECK(f.take(Queue::resolved) == Ids{"c1:adv"});
  CHECK(f.low_water() == 10);
  f.commit();
  CHECK(f.low_water() == kNow.value());
  CHECK(f.queues.oldest_position() == kNone);
}

TEST_CASE("spool queues: what is copied forward goes by the copy, wherever it is", "[collector]") {
  Fixture f;
  f.add("out", 9, 4096, Queue::redirects, click::kAdPending);
  f.add("sent", 10, 4096);
  f.add("here", 11, 4096, Queue::bulk);
  CHECK(f.take() == Ids{"sent"});
  CHECK_FALSE(f.queues.begin_copy(JournalPos(4096)));
  CHECK(f.queues.begin_copy(JournalPos(8192)) == JournalPos(4096));
  CHECK_FALSE(f.queues.begin_copy(JournalPos(8192)));
  const Backlog::Run copy{JournalPos(20480), ArrivalMs(9), 3, false, true};
  // All three stand in the copy; one of them was in memory.
  CHECK(f.queues.moved(JournalPos(4096), copy) == 2);
  CHECK(f.queues.oldest_position() == JournalPos(20480));
  CHECK(f.queues.memory_bytes() == 0);
  const auto runs = f.queues.begin_reading(100);
  REQUIRE(runs.size() == 1);
  // Those that were sent meanwhile come again.
  CHECK(runs[0].again);
  CHECK(runs[0].copied);
}

TEST_CASE("spool queues: an answer leaves with its click's batch", "[collector]") {
  Fixture f;
  f.add_awaited("c1", 4096);
  f.add("c2", 10, 4096);
  f.add_awaited("c3", 4096);
  f.add_awaited("c4", 4096);
  f.add_awaited("b1", 8192, Queue::bulk);
  CHECK(f.take(Queue::redirects, 2) == Ids{"c1", "c2"});
  CHECK(f.told() == Ids{"c1"});
  f.commit();
  CHECK(f.take(Queue::bulk) == Ids{"b1"});
  CHECK(f.told() == Ids{"b1"});
  f.commit();
  // One that was given meanwhile is nobody's.
  f.awaited["c3"] = nullptr;
  CHECK(f.take() == Ids{"c3", "c4"});
  CHECK(f.told() == Ids{"c4"});
}

TEST_CASE("spool queues: the answer of a click on disk leaves with the run that holds it",
          "[collector]") {
  Fixture f;
  f.memory_full = true;
  f.add_awaited("c1", 4096);
  f.add_awaited("b1", 4096, Queue::bulk);
  f.add_awaited("c2", 8192);
  f.add_awaited("c3", 12288);
  f.read_back(1, {record_of("c1", 10), record_of("b1", 10)});
  CHECK(f.told() == Ids{"c1", "b1"});
  f.commit();
  SECTION("whole") {
    f.read_back(2, {record_of("c2", 10), record_of("c3", 10)});
    CHECK(f.told() == Ids{"c2", "c3"});
  }
  SECTION("damage has taken one of them: nobody is told that it is safe") {
    f.read_back(2, {record_of("c3", 10)});
    CHECK(f.told().empty());
  }
  SECTION("one of them is set aside: it isn't on its way to the log") {
    f.read_back(2, {record_of("c2", 10, click::kAdPending), record_of("c3", 10)});
    CHECK(f.pending.size() == 1);
    CHECK(f.told().empty());
  }
}

TEST_CASE("spool queues: the answer of a click whose ad is pending waits with it", "[collector]") {
  Fixture f;
  f.add_awaited("c1", 4096, Queue::redirects, click::kAdPending);
  f.add_awaited("c2", 4096);
  f.add_awaited("c3", 4096, Queue::redirects, click::kAdPending);
  CHECK(f.take() == Ids{"c2"});
  CHECK(f.told() == Ids{"c2"});
  f.commit();
  REQUIRE(f.pending.size() == 2);
  const auto pending = f.pending;
  f.queues.resolve(pending[1].id, nullptr);
  CHECK(f.take(Queue::resolved) == Ids{"c3:unknown"});
  CHECK(f.told() == Ids{"c3"});
  f.commit();
  f.queues.resolve(pending[0].id, nullptr);
  CHECK(f.take(Queue::resolved) == Ids{"c1:unknown"});
  CHECK(f.told() == Ids{"c1"});
}

TEST_CASE("spool queues: a copy that is read tells nobody, whatever stands beside it",
          "[collector]") {
  Fixture f;
  f.add_awaited("old", 4096);
  REQUIRE(f.queues.begin_copy(JournalPos(8192)));
  f.memory_full = true;
  f.add_awaited("c1", 8192);
  // Its group holds a new click as well, which stays on disk too.
  f.add_awaited("c2", 12288);
  f.queues.moved(JournalPos(4096), {JournalPos(12288), ArrivalMs(10), 1, false, true});
  f.read_back(2, {record_of("c1", 10), record_of("c2", 10)});
  CHECK(f.told() == Ids{"c1", "c2"});
  f.commit();
  f.read_back(1, {record_of("old", 10)});
  CHECK(f.told().empty());
  f.commit();
  // What the copy took out of memory leaves its neighbours' answers to their clicks.
  f.memory_full = false;
  f.add_awaited("c3", 16384);
  CHECK(f.take() == Ids{"c3"});
  CHECK(f.told() == Ids{"c3"});
}

TEST_CASE("spool queues: answers that were given hold no memory, however long the clicks stay",
          "[collector]") {
  WaitingAnswers waiting;
  auto first = std::make_shared<Silent>();
  waiting.add(0, first);
  for (uint64_t i = 1; i < 1000; ++i) waiting.add(i, std::make_shared<Silent>());
  // None of them was given before its own time, but in order.
  CHECK(waiting.size() <= 1000);
  first.reset();
  const auto last = std::make_shared<Silent>();
  waiting.add(1000, last);
  CHECK(waiting.size() == 1);
  waiting.add(1001, {});
  CHECK(waiting.size() == 1);
}

TEST_CASE("spool queues: the low-water is the oldest arrival of a naive model", "[collector]") {
  const uint64_t seed = GENERATE(range<uint64_t>(1, 20));
  CAPTURE(seed);
  Random random(seed);
  Fixture f;
  std::map<Queue, std::vector<int64_t>> waiting;
  std::vector<int64_t> out;
  int64_t now = 1;
  for (int step = 0; step < 500; ++step) {
    const Queue queue = random.below(2) == 0 ? Queue::redirects : Queue::bulk;
    if (random.below(3) > 0) {
      f.add("c" + std::to_string(now), now, 4096 * static_cast<uint64_t>(1 + now / 5), queue);
      waiting[queue].push_back(now++);
    } else if (out.empty()) {
      const auto count = static_cast<std::ptrdiff_t>(
          f.take(queue, 1 + static_cast<size_t>(random.below(4))).size());
      auto& from = waiting[queue];
      out.assign(from.begin(), from.begin() + count);
      from.erase(from.begin(), from.begin() + count);
    } else {
      f.commit();
      out.clear();
    }
    int64_t oldest = kNow.value();
    for (const int64_t received : out) oldest = std::min(oldest, received);
    for (const auto& [name, all] : waiting) {
      if (!all.empty()) oldest = std::min(oldest, all.front());
    }
    REQUIRE(f.low_water() == oldest);
  }
}

}  // namespace clickmill::collector
