#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "click/batch.h"
#include "click/sample_clicks.h"
#include "decoders/decoders.h"
#include "log/manifest.h"
#include "log/sealed_model.h"
#include "log/segment.h"
#include "log/segments.h"
#include "simulation/sim_file_system.h"

namespace clickmill::decoders {
namespace {

using log::Entry;

constexpr Offset kFirst(1);
const std::string kPath = "/1.segment";

std::vector<Entry> some_entries(Random& random) {
  return log::joined(log::random_blocks(random, 2), 0, 1);
}

void put_u64(std::string& bytes, size_t at, uint64_t value) {
  std::string number;
  ByteWriter(number).u64(value);
  bytes.replace(at, number.size(), number);
}

/// A segment file with these bytes, opened.
log::SegmentReader segment_of(simulation::SimFileSystem& files, std::string_view bytes) {
  auto file = files.open(kPath, FileSystem::Open::truncate);
  CM_ASSERT(file && (*file)->write_at(0, bytes));
  auto reader = log::SegmentReader::open(files, kPath, kFirst);
  CM_ASSERT(reader);
  return *std::move(reader);
}

// Segments. The first byte chooses: a block of that compression, whose codec the second
// byte chooses, or a footer. The rest is its bytes.

std::string segment_example(Random& random) {
  const auto entries = some_entries(random);
  const log::RowCodec codec;
  return std::string("\0\1", 2) + codec.encode(entries);
}

/// A block whose header is right about everything but what is in it (byte table:
/// top of segment.cpp).
void check_block(uint8_t compression, uint8_t codec, std::string_view stored) {
  log::BlockInfo info;
  info.first = kFirst;
  info.last = kFirst + 99;
  info.size = static_cast<uint32_t>(72 + stored.size());
  info.raw_size = static_cast<uint32_t>(compression == 0 ? stored.size() : stored.size() * 3);
  info.raw_checksum = xxh64_of(stored);
  std::string block;
  ByteWriter writer(block);
  writer.raw("CMB1");
  writer.u8(codec);
  writer.u8(compression);
  writer.u16(0);
  writer.u64(info.first.value());
  writer.u64(info.last.value());
  writer.u64(0);
  writer.u64(0);
  writer.u64(0);
  writer.u32(info.raw_size);
  writer.u32(static_cast<uint32_t>(stored.size()));
  writer.u64(info.raw_checksum);
  const uint64_t header = xxh64_of(block, kFirst.value() * 0x9e3779b97f4a7c15);
  info.checksum = xxh64_of(stored, header);
  writer.u64(info.checksum);
  writer.raw(stored);
  simulation::SimFileSystem files(1);
  const auto reader = segment_of(files, block);
  const log::RowCodec rows;
  const click::ColumnCodec columns;
  const log::Codec& used = codec == 1 ? static_cast<const log::Codec&>(rows) : columns;
  const auto entries = reader.read_block(info, used);
  if (!entries) {
    CM_ASSERT(entries.error().code() == Errc::corrupt && entries.error().path() == kPath);
    return;
  }
  CM_ASSERT(entries->front().first == info.first && entries->back().last() == info.last);
}

void check_footer(std::string_view footer) {
  log::SegmentInfo info;
  info.first = kFirst;
  info.last = Offset(99);
  info.footer_position = 0;
  info.footer_checksum = xxh64_of(footer, kFirst.value());
  info.bytes = footer.size() + 24;
  simulation::SimFileSystem files(1);
  const auto reader = segment_of(files, std::string(footer) + std::string(24, '\0'));
  const auto blocks = reader.read_footer(info);
  if (blocks) CM_ASSERT(blocks->front().first == info.first && blocks->back().last == info.last);
  CM_ASSERT(!reader.check_trailer(info));
  ignore(reader.check_header(), "either will do, it must only come to an end");
}

void check_segment(std::string_view bytes) {
  if (bytes.size() < 2) return;
  const auto choice = static_cast<uint8_t>(bytes[0]);
  if (choice % 4 == 3) return check_footer(bytes.substr(1));
  check_block(choice % 4, static_cast<uint8_t>(2 - (bytes[1] & 1)), bytes.substr(2));
}

// Manifests. Every second input gets its checksums made right.

std::string manifest_example(Random& random) {
  simulation::SimFileSystem files(1);
  const log::RowCodec codec;
  auto segments = log::Segments::open(files, "/log", codec, {3000, log::Compression::lz4});
  CM_ASSERT(segments);
  const auto blocks = log::random_blocks(random, 1 + random.below(20));
  CM_ASSERT((*segments)->seal(log::joined(blocks, 0, blocks.size())));
  if (random.one_in(2)) CM_ASSERT((*segments)->drop((*segments)->last(), LogMs(INT64_MAX)));
  return read_file(files, "/log/manifest").value();
}

std::string with_right_checksums(std::string bytes) {
  constexpr size_t kHeader = 32;
  constexpr size_t kEdit = 104;
  if (bytes.size() < kHeader) return bytes;
  put_u64(bytes, 24, xxh64_of(std::string_view(bytes).substr(0, 24)));
  for (size_t at = kHeader; at + kEdit <= bytes.size(); at += kEdit) {
    put_u64(bytes, at + 96, xxh64_of(std::string_view(bytes).substr(at, 96), at));
  }
  return bytes;
}

void check_manifest(std::string_view bytes) {
  for (const std::string& text : {std::string(bytes), with_right_checksums(std::string(bytes))}) {
    const auto parsed = log::parse_manifest(text, "m");
    if (!parsed) {
      CM_ASSERT(parsed.error().code() == Errc::corrupt || parsed.error().code() == Errc::invalid);
      continue;
    }
    CM_ASSERT(parsed->end <= text.size() && parsed->durable_upto <= text.size());
    const auto& contents = parsed->contents;
    Offset next = contents.first();
    for (const auto& segment : contents.closed) {
      CM_ASSERT(segment.first == next && segment.last >= segment.first);
      next = segment.last + 1;
    }
    for (const auto& block : contents.open) {
      CM_ASSERT(block.first == next && block.last >= block.first);
      next = block.last + 1;
    }
    CM_ASSERT(contents.last() + 1 == next);
  }
}

// Column blocks and records.

std::vector<Entry> click_entries(Random& random) {
  click::SampleClicks samples(random.next());
  std::vector<Entry> entries;
  Offset next(1 + random.below(100));
  LogMs time(1'782'295'200'000);
  for (uint64_t i = 0; i < 1 + random.below(5); ++i) {
    Entry entry{next, 1, static_cast<uint8_t>(click::EntryKind::tick), Term(1), time, "tick"};
    if (!random.one_in(5)) {
      entry.kind = static_cast<uint8_t>(click::EntryKind::clicks);
      entry.count = static_cast<uint32_t>(1 + random.below(20));
      entry.payload.clear();
      click::encode_batch_header({"n1", random.one_in(4), ArrivalMs(time.value())}, entry.payload);
      for (uint32_t k = 0; k < entry.count; ++k)
        click::encode_record(samples.next(), entry.payload);
    }
    next = entry.last() + 1;
    time = time + 7;
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::string codec_example(Random& random) {
  return click::ColumnCodec().encode(click_entries(random));
}

void check_codec(std::string_view bytes) {
  const click::ColumnCodec codec;
  const auto entries = codec.decode(bytes);
  if (!entries) return;
  const auto again = codec.decode(codec.encode(*entries));
  CM_ASSERT(again && log::text_of(*again) == log::text_of(*entries));
}

std::string record_example(Random& random) {
  click::SampleClicks samples(random.next());
  std::string out;
  click::encode_record(samples.next(), out);
  return out;
}

void check_record(std::string_view bytes) {
  ByteCursor cursor(bytes);
  click::RecordScratch scratch;
  const auto view = click::decode_record(cursor, scratch);
  if (!view) return;
  ByteCursor skipping(bytes);
  const auto skipped = click::skip_record(skipping);
  std::string again;
  click::encode_record(*view, again);
  CM_ASSERT(skipped && again == *skipped);
}

}  // namespace

const Decoder kSegment{"segment", segment_example, check_segment};
const Decoder kManifest{"manifest", manifest_example, check_manifest};
const Decoder kColumnCodec{"column codec", codec_example, check_codec};
const Decoder kRecord{"record", record_example, check_record};

}  // namespace clickmill::decoders
