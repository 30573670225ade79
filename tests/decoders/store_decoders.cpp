// What the log's entries say to the stream, and what the store keeps of it.

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "decoders/decoders.h"
#include "simulation/sim_file_system.h"
#include "sketch/hll.h"
#include "store/part.h"
#include "store/part_format.h"
#include "store/part_writer.h"
#include "stream/repair.h"
#include "stream/review.h"
#include "stream/tick.h"

namespace clickmill::decoders {
namespace {

constexpr int64_t kStart = 1'782'295'200'000;

// Payloads; the first byte chooses the kind.

store::Row some_row(Random& random, int64_t minute_ms) {
  store::Row row;
  row.advertiser_id = "adv_" + std::to_string(random.below(3));
  row.ad_id = "ad_" + std::to_string(random.below(5));
  row.bucket_ms = minute_ms;
  for (uint64_t left = 1 + random.below(20); left > 0; --left) {
    row.counts.add(static_cast<click::Device>(random.below(click::kDevices)),
                   random.one_in(2) ? click::country_of('U', 'S') : click::kUnknownCountry);
    row.visitors.add(random.next());
  }
  return row;
}

std::string payload_example(Random& random) {
  std::string out;
  stream::Footing footing;
  stream::Decision decision;
  stream::Repair repair;
  std::vector<stream::LowWater> low_waters{{"n1", ArrivalMs(kStart)}, {"n2", ArrivalMs(5)}};
  switch (random.below(4)) {
    case 0:
      footing.settings.nodes = {"n1", "n2"};
      footing.tick(LogMs(kStart), low_waters);
      stream::encode_tick(low_waters, random.one_in(2) ? &footing : nullptr, out);
      return '\0' + out;
    case 1:
      footing.settings.nodes = {"n1"};
      stream::encode_settings(footing.settings, out);
      return '\1' + out;
    case 2:
      decision.verdict = stream::Verdict::accept;
      decision.by = "somebody";
      decision.ads = {{"adv_1", "banner"}};
      decision.items = {{Offset(3), 0}, {Offset(9 + random.below(1000)), 1}};
      stream::encode_decision(decision, out);
      return '\2' + out;
    default:
      repair.by = "somebody";
      repair.items.push_back({some_row(random, kStart), Hash128{1, 2}});
      return '\3' + stream::encode_repair(repair).front();
  }
}

/// Decoded and encoded again it is the same, where one text says one thing.
void check_payload(std::string_view given) {
  if (given.empty()) return;
  const std::string_view bytes = given.substr(1);
  std::string again;
  switch (given[0] & 3) {
    case 0:
      if (const auto tick = stream::decode_tick(bytes)) {
        stream::encode_tick(tick->low_waters, tick->footing ? &*tick->footing : nullptr, again);
        CM_ASSERT(stream::decode_tick(again).has_value());
      }
      return;
    case 1:
      if (const auto settings = stream::decode_settings(bytes)) {
        stream::encode_settings(*settings, again);
        const auto read = stream::decode_settings(again);
        CM_ASSERT(read && *read == *settings);
      }
      return;
    case 2:
      if (const auto decision = stream::decode_decision(bytes)) {
        stream::encode_decision(*decision, again);
        const auto read = stream::decode_decision(again);
        CM_ASSERT(read && *read == *decision);
      }
      return;
    default:
      if (const auto repair = stream::decode_repair(bytes)) {
        for (size_t i = 1; i < repair->items.size(); ++i)
          CM_ASSERT(store::key_less(repair->items[i - 1].row, repair->items[i].row));
        for (const std::string& part : stream::encode_repair(*repair))
          CM_ASSERT(stream::decode_repair(part).has_value());
      }
  }
}

// Sketches.

std::string sketch_example(Random& random) {
  sketch::Hll sketch;
  for (uint64_t left = random.below(random.one_in(3) ? 3'000 : 20); left > 0; --left)
    sketch.add(random.next());
  return sketch.serialize();
}

void check_sketch(std::string_view bytes) {
  const auto sketch = sketch::Hll::parse(bytes);
  sketch::Hll merged;
  const Status united = merged.merge_serialized(bytes);
  CM_ASSERT(united.has_value() == sketch.has_value());
  if (!sketch) return;
  CM_ASSERT(sketch->serialize() == bytes && merged == *sketch);
}

// Part files.

const std::string kName = "a.part";

std::string part_example(Random& random) {
  simulation::SimFileSystem files(1);
  CM_ASSERT(files.create_directories("/store").has_value());
  std::vector<store::Row> rows;
  for (int ad = 0; ad < 3; ++ad) {
    for (uint64_t minute = 0; minute < 1 + random.below(200); ++minute) {
      store::Row row = some_row(random, kStart + static_cast<int64_t>(minute) * 60'000);
      row.advertiser_id = "adv";
      row.ad_id = "ad_" + std::to_string(ad);
      rows.push_back(std::move(row));
    }
  }
  CM_ASSERT(store::write_part(files, "/store", kName, store::Table::minute, rows).has_value());
  return *read_file(files, "/store/" + kName);
}

void put_u64(std::string& bytes, size_t at, uint64_t value) {
  std::string number;
  ByteWriter(number).u64(value);
  bytes.replace(at, number.size(), number);
}

uint64_t u64_at(std::string_view bytes, size_t at) { return ByteCursor(bytes.substr(at)).u64(); }

/// The same bytes with checksums of dictionary, directory and footer that are right (byte
/// table: top of part_format.cpp). Those of blocks stand as bits in the directory.
std::string part_vouched_for(std::string bytes) {
  if (bytes.size() < store::kHeaderBytes + store::kFooterBytes) return bytes;
  const size_t footer = bytes.size() - store::kFooterBytes;
  const uint64_t directory = u64_at(bytes, footer + 80);
  const uint64_t dictionary = u64_at(bytes, footer + 64);
  if (directory <= footer && dictionary <= footer - directory) {
    const std::string_view all = bytes;
    const uint64_t of_dictionary =
        xxh64_of(all.substr(footer - directory - dictionary, dictionary));
    const uint64_t of_directory = xxh64_of(all.substr(footer - directory, directory));
    put_u64(bytes, footer + 72, of_dictionary);
    put_u64(bytes, footer + 88, of_directory);
  }
  put_u64(bytes, footer + 96, bytes.size());
  put_u64(bytes, footer + 120, xxh64_of(std::string_view(bytes).substr(footer, 120)));
  return bytes;
}

void check_part(std::string_view given) {
  const std::string bytes = part_vouched_for(std::string(given));
  store::Footer footer;
  if (bytes.size() < store::kFooterBytes ||
      !store::decode_footer(std::string_view(bytes).substr(bytes.size() - store::kFooterBytes),
                            bytes.size(), footer)
           .empty()) {
    return;
  }
  simulation::SimFileSystem files(1);
  CM_ASSERT(files.create_directories("/store").has_value());
  auto file = files.open("/store/" + kName, FileSystem::Open::truncate);
  CM_ASSERT(file && (*file)->write_at(0, bytes));
  const int64_t unit = store::bucket_ms(footer.table);
  const store::PartMeta meta{
      kName,       footer.table, footer.min_bucket * unit,       footer.max_bucket * unit,
      footer.rows, bytes.size(), u64_at(bytes, bytes.size() - 8)};
  const auto part = store::Part::open(files, "/store", meta);
  if (!part) return;
  store::Scan scan;
  scan.to_ms = INT64_MAX;
  scan.countries = scan.visitors = true;
  uint64_t rows = 0;
  const Status read = (*part)->scan(scan, [&](const store::RowView& row) {
    ++rows;
    uint64_t devices = 0;
    for (const uint64_t count : row.devices) devices += count;
    CM_ASSERT(row.bucket_ms >= meta.min_bucket_ms && row.bucket_ms <= meta.max_bucket_ms);
    CM_ASSERT(devices == row.clicks);
  });
  CM_ASSERT(!read || rows == meta.rows);
  const Status summed = (*part)->sum(scan, [](const store::AdSum&) {});
  CM_ASSERT(summed || summed.error().code() == Errc::corrupt);
}

}  // namespace

const Decoder kEntryPayload = {"entry payload", payload_example, check_payload};
const Decoder kSketch = {"sketch", sketch_example, check_sketch};
const Decoder kPart = {"part", part_example, check_part};

}  // namespace clickmill::decoders
