#include "query/raw_clicks.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "click/json.h"
#include "cluster/one_partition.h"

namespace clickmill::query {
namespace {

using cluster::OnePartition;

constexpr uint64_t kSeed = 20260624;
constexpr PartitionId kPartition{0};

struct Line {
  uint64_t offset;
  int64_t append_ms;
  std::string fields;
  bool again;
};

std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    REQUIRE(end != std::string_view::npos);
    const std::string line(text.substr(0, end));
    text.remove_prefix(end + 1);
    const auto json = nlohmann::json::parse(line);
    const size_t fields = line.find("\"received_ms\"");
    const bool again = json.contains("again");
    const size_t tail = again ? std::string(",\"again\":true}").size() : 1;
    lines.push_back({json["offset"], json["append_ms"],
                     line.substr(fields, line.size() - fields - tail), again});
  }
  return lines;
}

std::string read_all(RawClicks& clicks) {
  std::string out;
  std::string piece;
  for (bool more = true; more; out += piece) more = clicks.next(piece);
  return out;
}

std::unique_ptr<RawClicks> begin(const OnePartition& node, const RawClicksRequest& request) {
  return OnePartition::value(RawClicks::begin(node.reader(), kPartition, request));
}

std::vector<Line> read(const OnePartition& node, const RawClicksRequest& request) {
  return lines_of(read_all(*begin(node, request)));
}

RawClicksRequest from_offset(uint64_t offset, uint64_t limit = 1'000'000) {
  RawClicksRequest request;
  request.offset = Offset(offset);
  request.limit = limit;
  return request;
}

std::string fields_of(const std::string& record) {
  ByteCursor cursor(record);
  click::RecordScratch scratch;
  const auto click = click::decode_record(cursor, scratch);
  REQUIRE(click);
  std::string fields;
  click::append_json(*click, fields);
  return fields;
}

/// Blocks of several batches, some of one click; the last ones are not sealed.
void fill(OnePartition& node) {
  Random random(kSeed);
  for (int i = 0; i < 24; ++i) {
    if (random.one_in(2)) node.advance(static_cast<int64_t>(random.below(12 * kMinuteMs)));
    node.send(random.one_in(3) ? 1 : 1 + random.below(400), random.one_in(4));
  }
  node.wait_sealed(Offset(1));
}

}  // namespace

TEST_CASE("raw clicks: everything recorded comes out once, with all its fields",
          "[query][raw_clicks]") {
  OnePartition node(kSeed);
  fill(node);
  const auto state = node.state();
  REQUIRE(node.partition().segments().last() < state.last);
  const auto lines = read(node, from_offset(0));
  REQUIRE(lines.size() == node.records.size());
  bool any_again = false;
  for (size_t i = 0; i < lines.size(); ++i) {
    CAPTURE(i);
    if (lines[i].fields != fields_of(node.records[i])) FAIL("other fields: " << lines[i].fields);
    if (i > 0) REQUIRE(lines[i].offset > lines[i - 1].offset);
    any_again = any_again || lines[i].again;
  }
  CHECK(any_again);
  CHECK(lines.front().offset >= state.first.value());
  // A tick may stand behind the last of them.
  CHECK(lines.back().offset <= state.committed.value());
}

TEST_CASE("raw clicks: any page is a part of the whole", "[query][raw_clicks]") {
  OnePartition node(kSeed);
  fill(node);
  const auto whole = read(node, from_offset(0));
  Random random(kSeed);
  for (int i = 0; i < 60; ++i) {
    const uint64_t limit = 1 + random.below(900);
    const uint64_t offset = random.below(whole.back().offset + 5);
    CAPTURE(offset, limit);
    const auto page = read(node, from_offset(offset, limit));
    const auto first = std::find_if(whole.begin(), whole.end(),
                                    [&](const Line& line) { return line.offset >= offset; });
    const auto left = static_cast<uint64_t>(whole.end() - first);
    REQUIRE(page.size() == std::min(limit, left));
    for (size_t k = 0; k < page.size(); ++k) {
      REQUIRE(page[k].offset == (first + static_cast<std::ptrdiff_t>(k))->offset);
    }
  }
}

TEST_CASE("raw clicks: a time finds the first click of that log time or later",
          "[query][raw_clicks]") {
  OnePartition node(kSeed);
  fill(node);
  const auto whole = read(node, from_offset(0));
  for (size_t i = 0; i < whole.size(); i += 97) {
    for (const int64_t step : {-1, 0, 1}) {
      RawClicksRequest request;
      request.from = LogMs(whole[i].append_ms + step);
      request.limit = 1;
      const auto found = read(node, request);
      const auto first = std::find_if(whole.begin(), whole.end(), [&](const Line& line) {
        return line.append_ms >= request.from->value();
      });
      CAPTURE(request.from->value());
      REQUIRE(found.size() == (first == whole.end() ? 0 : 1));
      if (!found.empty()) REQUIRE(found[0].offset == first->offset);
    }
  }
}

TEST_CASE("raw clicks: a reader whose place retention has dropped is told, not moved on",
          "[query][raw_clicks]") {
  OnePartition node(kSeed, 1);  // each block is a segment
  for (int i = 0; i < 6; ++i) {
    node.advance(10 * kMinuteMs);
    node.send(1500);
  }
  const auto whole = read(node, from_offset(0));
  node.wait_sealed(Offset(whole[5 * 1500 - 1].offset));
  auto clicks = begin(node, from_offset(0));
  std::string piece;
  // The first block holds no clicks.
  while (piece.empty()) REQUIRE(clicks->next(piece));
  node.drop(Offset(whole[3 * 1500].offset));
  const Offset first = node.state().first;
  REQUIRE(first.value() > whole[2 * 1500].offset);
  // What was decoded already comes out, and then nothing more.
  std::string more;
  Status status;
  while (status) {
    piece += std::exchange(more, {});
    auto went_on = clicks->read(more);
    if (!went_on) status = std::move(went_on).error();
  }
  CHECK(status.error().code() == Errc::not_found);
  CHECK(status.error().message().find(std::to_string(first.value())) != std::string::npos);
  std::vector<uint64_t> want;
  for (const Line& line : whole) {
    if (line.offset < whole[1500].offset) want.push_back(line.offset);
  }
  std::vector<uint64_t> got;
  for (const Line& line : lines_of(piece)) got.push_back(line.offset);
  CHECK(got == want);
  CHECK_THROWS(clicks->next(more));

  for (const uint64_t gone : {uint64_t{0}, uint64_t{1}, first.value() - 1}) {
    const auto refused = RawClicks::begin(node.reader(), kPartition, from_offset(gone));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == Errc::not_found);
  }
  CHECK(read(node, from_offset(first.value())).front().offset >= first.value());
  CHECK(read(node, RawClicksRequest()).front().offset >= first.value());
  RawClicksRequest old;
  old.from = LogMs(0);
  CHECK(read(node, old).front().offset >= first.value());
}

TEST_CASE("raw clicks: it ends at what was committed, and can be extended", "[query][raw_clicks]") {
  OnePartition node(kSeed);
  node.send(10);
  auto clicks = begin(node, from_offset(0));
  node.send(10);
  CHECK(lines_of(read_all(*clicks)).size() == 10);
  OnePartition::require(clicks->extend());
  CHECK(lines_of(read_all(*clicks)).size() == 10);
  OnePartition::require(clicks->extend());
  CHECK(read_all(*clicks).empty());
}

TEST_CASE("raw clicks: pieces stay small, whatever is asked for", "[query][raw_clicks]") {
  OnePartition node(kSeed);
  node.send(4000);
  node.send(4000);
  auto clicks = begin(node, from_offset(0));
  size_t most = 0;
  size_t bytes = 0;
  std::string piece;
  for (bool more = true; more;) {
    more = clicks->next(piece);
    most = std::max(most, piece.size());
    bytes += piece.size();
  }
  CHECK(bytes > 2'000'000);
  CHECK(most < 300'000);
}

TEST_CASE(
    "log reader: a follower hears of the next commit, of the end of its time, and of the node's",
    "[cluster]") {
  using Woken = cluster::TailReaders::Woken;
  OnePartition node(kSeed);
  node.send(3);
  const Offset end = node.state().committed;
  const auto follow = [&](Offset from, int64_t wait_ms) {
    auto woken = std::make_shared<std::promise<Woken>>();
    node.reader().follow(kPartition, from, node.monotonic_ns() + wait_ms * 1'000'000,
                         [woken](Woken why) { woken->set_value(why); });
    return woken->get_future();
  };
  CHECK(follow(end, 1000).get() == Woken::committed);
  auto next = follow(end + 1, 1000);
  auto later = follow(end + 1000, 1000);
  node.send(1);
  CHECK(next.get() == Woken::committed);
  node.advance(1000);
  CHECK(later.get() == Woken::over);
  auto last = follow(end + 1000, 1000);
  node.reader().end_following();
  CHECK(last.get() == Woken::over);
  CHECK(follow(end + 1000, 1000).get() == Woken::over);
}

}  // namespace clickmill::query
