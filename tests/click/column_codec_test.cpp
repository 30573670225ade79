#include <algorithm>
#include <catch2/catch.hpp>
#include <optional>

#include "base/random.h"
#include "click/batch.h"
#include "click/column.h"
#include "click/sample_clicks.h"

namespace clickmill::log {

static bool operator==(const Entry& a, const Entry& b) {
  return a.first == b.first && a.count == b.count && a.kind == b.kind && a.term == b.term &&
         a.append_ms == b.append_ms && a.payload == b.payload;
}

}  // namespace clickmill::log

namespace clickmill::click {
namespace {

using log::Entry;
using Entries = std::vector<Entry>;

Entry batch_of(SampleClicks& samples, uint32_t count, const BatchHeader& header) {
  Entry entry;
  entry.kind = static_cast<uint8_t>(EntryKind::clicks);
  entry.count = count;
  encode_batch_header(header, entry.payload);
  for (uint32_t i = 0; i < count; ++i) encode_record(samples.next(), entry.payload);
  return entry;
}

std::string noise(Random& random, size_t bytes_max) {
  std::string bytes(random.below(bytes_max + 1), '\0');
  for (auto& byte : bytes) byte = static_cast<char>(random.next());
  return bytes;
}

/// A log of batches, ticks and oddities.
Entries random_entries(Random& random) {
  SampleClicks samples(random.next());
  Entries entries;
  uint64_t offset = random.below(1'000'000);
  int64_t append_ms = 1'782'295'200'000;
  for (uint64_t number = random.below(12); number > 0; --number) {
    const BatchHeader header{random.one_in(2) ? "n1" : "n2", random.one_in(9),
                             ArrivalMs(append_ms - static_cast<int64_t>(random.below(100)))};
    Entry entry = batch_of(samples, static_cast<uint32_t>(random.below(60)), header);
    if (random.one_in(4)) {
      entry = {};
      entry.kind = static_cast<uint8_t>(random.below(7));
      entry.payload = noise(random, 50);
    }
    if (random.one_in(15)) entry.count += 1;
    if (random.one_in(15)) entry.payload += "x";
    if (random.one_in(15) && !entry.payload.empty()) entry.payload.pop_back();
    if (random.one_in(20)) offset = random.next();
    entry.first = Offset(offset);
    offset += entry.count;
    append_ms += static_cast<int64_t>(random.below(50));
    entry.append_ms = LogMs(random.one_in(30) ? static_cast<int64_t>(random.next()) : append_ms);
    entry.term = Term(random.one_in(10) ? random.next() : 3);
    entries.push_back(std::move(entry));
  }
  return entries;
}

void check_round_trip(const Entries& entries) {
  const ColumnCodec codec;
  const std::string bytes = codec.encode(entries);
  const auto decoded = codec.decode(bytes);
  if (!decoded) FAIL(decoded.error().text());
  REQUIRE(decoded->size() == entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    CAPTURE(i);
    REQUIRE((*decoded)[i] == entries[i]);
  }
  REQUIRE(codec.encode(entries) == bytes);
}

}  // namespace

TEST_CASE("batch header: comes back; damage is refused", "[click]") {
  std::string bytes;
  encode_batch_header({"node-7", true, ArrivalMs(1'782'295'200'123)}, bytes);
  ByteCursor cursor(bytes);
  const auto header = decode_batch_header(cursor);
  REQUIRE(header);
  REQUIRE(cursor.done());
  REQUIRE(header->sender == "node-7");
  REQUIRE(header->again);
  REQUIRE(header->low_water == ArrivalMs(1'782'295'200'123));
  for (size_t length = 0; length < bytes.size(); ++length) {
    ByteCursor cut(std::string_view(bytes).substr(0, length));
    REQUIRE(decode_batch_header(cut).error().code() == Errc::corrupt);
  }
  bytes[7] = 2;
  ByteCursor again(bytes);
  REQUIRE_FALSE(decode_batch_header(again));
  ByteCursor nobody(std::string_view("\0\0\0\0\0\0\0\0\0\0", 10));
  REQUIRE_FALSE(decode_batch_header(nobody));
}

TEST_CASE("column codec: an empty block, empty entries and one click", "[click]") {
  check_round_trip({});
  check_round_trip({Entry{}});
  SampleClicks samples(1);
  check_round_trip({batch_of(samples, 0, {"n1", false, ArrivalMs(5)})});
  check_round_trip({batch_of(samples, 1, {"n1", false, ArrivalMs(5)})});
}

TEST_CASE("column codec: random logs come back exactly", "[click]") {
  const uint64_t seed = GENERATE(1, 2, 3, 4);
  CAPTURE(seed);
  Random random(seed);
  for (int i = 0; i < 60; ++i) {
    CAPTURE(i);
    check_round_trip(random_entries(random));
  }
}

TEST_CASE("column codec: clicks with a bit flipped come back exactly", "[click]") {
  const uint64_t seed = 6;
  CAPTURE(seed);
  Random random(seed);
  SampleClicks samples(seed);
  for (int i = 0; i < 200; ++i) {
    Entry entry = batch_of(samples, 5, {"n1", false, ArrivalMs(5)});
    entry.payload[random.below(entry.payload.size())] ^= static_cast<char>(1U << random.below(8));
    check_round_trip({entry});
  }
}

TEST_CASE("column codec: extreme times and offsets come back", "[click]") {
  Entries entries;
  for (const uint64_t value :
       {uint64_t{0}, ~uint64_t{0}, uint64_t{1} << 63, (uint64_t{1} << 63) - 1}) {
    ClickView click;
    click.click_id = "c";
    click.ad_id = "a";
    click.received_ms = ArrivalMs(static_cast<int64_t>(value));
    click.timestamp_ms = EventMs(static_cast<int64_t>(~value));
    Entry entry;
    entry.kind = static_cast<uint8_t>(EntryKind::clicks);
    entry.first = Offset(value);
    entry.term = Term(~value);
    entry.append_ms = LogMs(static_cast<int64_t>(~value));
    encode_batch_header({"n", false, ArrivalMs(static_cast<int64_t>(value))}, entry.payload);
    encode_record(click, entry.payload);
    entries.push_back(entry);
  }
  entries.push_back(entries.front());
  entries.back().count = ~uint32_t{0};
  check_round_trip(entries);
}

TEST_CASE("column codec: a long or crowded block is stored, not refused", "[click]") {
  SampleClicks samples(2);
  check_round_trip({batch_of(samples, 70'000, {"n1", false, ArrivalMs(5)})});
}

TEST_CASE("column codec: a block of usual clicks is a fraction of its rows", "[click]") {
  SampleClicks samples(2);
  Entries entries;
  size_t rows = 0;
  for (int i = 0; i < 80; ++i) {
    entries.push_back(batch_of(samples, 50, {"n1", false, ArrivalMs(5)}));
    rows += entries.back().payload.size();
  }
  REQUIRE(ColumnCodec().encode(entries).size() * 2 < rows);
}

TEST_CASE("column codec: a cut block is refused at every length", "[click]") {
  Random random(3);
  Entries entries = random_entries(random);
  const ColumnCodec codec;
  const std::string bytes = codec.encode(entries);
  for (size_t length = 0; length < bytes.size(); ++length) {
    const auto decoded = codec.decode(std::string_view(bytes).substr(0, length));
    REQUIRE_FALSE(decoded);
    REQUIRE(decoded.error().code() == Errc::corrupt);
  }
  REQUIRE_FALSE(codec.decode(bytes + "x"));
}

TEST_CASE("column codec: damaged blocks and noise are survived", "[click]") {
  const uint64_t seed = GENERATE(1, 2, 3);
  CAPTURE(seed);
  Random random(seed);
  const ColumnCodec codec;
  const std::string bytes = codec.encode(random_entries(random));
  for (int i = 0; i < 300; ++i) {
    std::string damaged = bytes;
    for (uint64_t flips = 1 + random.below(3); flips > 0; --flips) {
      damaged[random.below(damaged.size())] = static_cast<char>(random.next());
    }
    const auto decoded = codec.decode(damaged);
    // What still decodes must at least be entries that can be stored again.
    if (decoded) ignore(codec.encode(*decoded), "it must only come to an end");
  }
  for (int i = 0; i < 1000; ++i) {
    ignore(codec.decode("\x01" + noise(random, 100)), "it must only come to an end");
  }
}

TEST_CASE("number column: values of any spread come back", "[click]") {
  const uint64_t seed = 5;
  CAPTURE(seed);
  Random random(seed);
  for (int i = 0; i < 500; ++i) {
    std::vector<uint64_t> values(random.below(300));
    const uint64_t base = random.one_in(2) ? random.next() : 0;
    const unsigned bits = static_cast<unsigned>(random.below(64));
    for (auto& value : values) {
      value = base + (random.next() >> bits);
      if (random.one_in(40)) value = random.next();
    }
    std::string bytes;
    append_numbers(values, bytes);
    ByteCursor cursor(bytes);
    REQUIRE(read_numbers(cursor, values.size()) == values);
    REQUIRE(cursor.done());
  }
}

TEST_CASE("number column: equal numbers take a few bytes, rare wide ones a few more", "[click]") {
  std::vector<uint64_t> values(4096, 77);
  std::string bytes;
  append_numbers(values, bytes);
  REQUIRE(bytes.size() == 3);
  values[100] = ~uint64_t{0};
  values[4095] = 1'000'000;
  bytes.clear();
  append_numbers(values, bytes);
  REQUIRE(bytes.size() < 25);
}

TEST_CASE("number column: malformed ones are refused", "[click]") {
  const auto refused = [](std::string_view bytes, size_t count) {
    ByteCursor cursor(bytes);
    read_numbers(cursor, count);
    return !cursor.done();
  };
  REQUIRE_FALSE(refused(std::string_view("\x05\x00\x00", 3), 10));
  REQUIRE_FALSE(refused(std::string_view("\x05\x00\x01\x09\x01", 5), 10));
  REQUIRE(refused(std::string_view("\x05\x00\x01\x0a\x01", 5), 10));  // exception behind the end
  REQUIRE(refused(std::string_view("\x05\x00\x01\x00\x00", 5), 10));  // exception that is none
  REQUIRE(refused(std::string_view("\x05\x39\x00", 3), 0 + 1));       // width 57
  REQUIRE(refused(std::string_view("\x05\x41\x00", 3), 1));           // width 65
  REQUIRE(refused(std::string_view("\x00\x01\x02\x00", 4), 1));       // padding
  REQUIRE(refused(std::string_view("\x00\x01\x01", 3), 1));           // cut
}

TEST_CASE("text column: every form comes back", "[click]") {
  const uint64_t seed = 9;
  CAPTURE(seed);
  Random random(seed);
  const auto text_of_kind = [&](uint64_t kind) -> std::string {
    switch (kind) {
      case 0: return "user_" + std::to_string(random.below(1'000'000));
      case 1: return "00" + std::to_string(random.below(100));
      case 2: return std::string(random.below(5), '0');
      case 3: return std::to_string(random.next()) + std::to_string(random.next());
      case 4:
        return "00000000-0000-4000-8000-" + std::to_string(100'000'000'000 + random.below(1000));
      case 5: return noise(random, 20);
      default: return random.one_in(2) ? "same" : "other";
    }
  };
  for (int i = 0; i < 300; ++i) {
    std::vector<std::string> owned(random.below(200));
    const uint64_t kind = random.below(8);
    for (auto& text : owned) text = text_of_kind(kind == 7 ? random.below(7) : kind);
    const std::vector<std::string_view> texts(owned.begin(), owned.end());
    std::string bytes;
    append_texts(texts, bytes);
    ByteCursor cursor(bytes);
    TextReader reader(1 << 20);
    REQUIRE(reader.read(cursor, texts.size()) == texts);
    REQUIRE(cursor.done());
  }
}

TEST_CASE("text column: texts that would take too much memory are refused", "[click]") {
  std::vector<std::string> numbered;
  for (int i = 0; i < 100; ++i) numbered.push_back("user_" + std::to_string(i * 7919));
  const std::vector<std::string_view> texts(numbered.begin(), numbered.end());
  std::string bytes;
  append_texts(texts, bytes);
  ByteCursor cursor(bytes);
  TextReader reader(100);
  REQUIRE(reader.read(cursor, texts.size()).empty());
  REQUIRE_FALSE(cursor.ok());
}

TEST_CASE("dictionary: frequent keys come first, then earlier ones", "[click]") {
  const Dictionary dictionary =
      make_dictionary({{"b"}, {"a", 1}, {"a"}, {"c"}, {"a", 1}, {"c"}, {"d"}});
  REQUIRE(dictionary.first_at == std::vector<size_t>{1, 3, 0, 2, 6});
  REQUIRE(dictionary.index_of == std::vector<uint64_t>{2, 0, 3, 1, 0, 1, 4});
}

}  // namespace clickmill::click
