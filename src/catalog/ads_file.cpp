// The catalog file, little-endian. A header:
//
//   offset  size  field
//   0       8     "CMADSCAT"
//   8       4     version, 1; a reader refuses any other
//   12      4     zero
//   16      8     born_bytes: length of the file when it was made. It was whole and
//                 synced then, so nothing in front of this can be a torn tail.
//   24      8     XXH3 of bytes 0 … 23
//
// then records, each synced before the next is written:
//
//   0       4     "CMAR"
//   4       4     length of the body, at most 1 GiB
//   8       8     XXH3 of the body, seeded with the record's position, so that bytes
//                 of an earlier or failed write are no record at another place
//   16      …     body: changes, all of which hold or none
//
// A change is a kind (u8), then by kind ("bytes" = varint length, bytes):
//
//   1 upsert   bytes ad_id, bytes advertiser_id, bytes ad_format, bytes redirect_url
//   2 remove   bytes ad_id
//   3 source   u64 low, u64 high: XXH3-128 of the ads file that was taken in
//
// A record at or after born_bytes that the file's end cuts off is a torn write, never
// answered, and is cut. One that is there in its whole length and bad, and has no valid
// record behind it, is damage that took the newest changes: they are told and cut, the
// file is kept under another name, and the ads before them stay. Any other bad record is
// damage in the middle, and nothing is opened: since each record was synced before the
// next began, a later one proves that it was whole.

#include "catalog/ads_file.h"

#include <optional>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/file_header.h"
#include "base/logging.h"

namespace clickmill::catalog {
namespace {

constexpr FileFormat kFormat{"catalog", "CMADSCAT", 1};
constexpr size_t kHeaderBytes = 32;
constexpr std::string_view kRecordMagic = "CMAR";
constexpr size_t kRecordHeaderBytes = 16;
constexpr uint64_t kBodyBytesMax = uint64_t{1} << 30;

std::string header_bytes(uint64_t born_bytes) {
  std::string out = begin_file_header(kFormat);
  ByteWriter writer(out);
  writer.u32(0);
  writer.u64(born_bytes);
  append_checksum(out);
  return out;
}

void append_record(uint64_t position, std::string_view body, std::string& out) {
  ByteWriter writer(out);
  writer.raw(kRecordMagic);
  writer.u32(static_cast<uint32_t>(body.size()));
  writer.u64(xxh64_of(body, position));
  writer.raw(body);
}

/// The body of the record at `position`, if there is a valid one.
std::optional<std::string_view> record_at(std::string_view file, uint64_t position) {
  ByteCursor cursor(file.substr(position));
  const auto magic = cursor.raw(kRecordMagic.size());
  const uint32_t length = cursor.u32();
  const uint64_t checksum = cursor.u64();
  const auto body = cursor.raw(length);
  if (!cursor.ok() || magic != kRecordMagic || length > kBodyBytesMax) return std::nullopt;
  if (xxh64_of(body, position) != checksum) return std::nullopt;
  return body;
}

bool record_follows(std::string_view file, uint64_t position) {
  for (size_t at = file.find(kRecordMagic, position + 1); at != std::string_view::npos;
       at = file.find(kRecordMagic, at + 1)) {
    if (record_at(file, at)) return true;
  }
  return false;
}

std::optional<AdsChange> read_change(ByteCursor& cursor) {
  AdsChange change;
  change.kind = static_cast<AdsChange::Kind>(cursor.u8());
  switch (change.kind) {
    case AdsChange::Kind::upsert:
      change.ad.ad_id = cursor.bytes();
      change.ad.advertiser_id = cursor.bytes();
      change.ad.ad_format = cursor.bytes();
      change.ad.redirect_url = cursor.bytes();
      break;
    case AdsChange::Kind::remove: change.ad.ad_id = cursor.bytes(); break;
    case AdsChange::Kind::source:
      change.source.low = cursor.u64();
      change.source.high = cursor.u64();
      break;
    default: return std::nullopt;
  }
  if (!cursor.ok()) return std::nullopt;
  return change;
}

}  // namespace

void append_upsert(const Ad& ad, std::string& body) {
  ByteWriter writer(body);
  writer.u8(static_cast<uint8_t>(AdsChange::Kind::upsert));
  writer.bytes(ad.ad_id);
  writer.bytes(ad.advertiser_id);
  writer.bytes(ad.ad_format);
  writer.bytes(ad.redirect_url);
}

size_t upsert_bytes(const Ad& ad) {
  return 6 + ad.ad_id.size() + ad.advertiser_id.size() + ad.ad_format.size() +
         ad.redirect_url.size();
}

void append_change(const AdsChange& change, std::string& body) {
  if (change.kind == AdsChange::Kind::upsert) return append_upsert(change.ad, body);
  ByteWriter writer(body);
  writer.u8(static_cast<uint8_t>(change.kind));
  if (change.kind == AdsChange::Kind::remove) {
    writer.bytes(change.ad.ad_id);
  } else {
    writer.u64(change.source.low);
    writer.u64(change.source.high);
  }
}

Result<AdsFile> AdsFile::open(FileSystem& files, std::string path,
                              const std::function<void(AdsChange&&)>& on_change) {
  if (!files.exists(path)) {
    TRY(write_file_atomically(files, path, header_bytes(kHeaderBytes)));
  }
  AdsFile file(files, std::move(path));
  TRY(file.reopen());
  std::string bytes;
  TRY(file.file_->read_at(0, file.end_, bytes));
  TRY(file.replay(bytes, on_change));
  return file;
}

Status AdsFile::reopen() {
  auto opened = TRY(files_->open(path_, FileSystem::Open::write));
  end_ = TRY(opened->size());
  file_ = std::move(opened);
  return {};
}

Status AdsFile::replay(std::string_view bytes, const std::function<void(AdsChange&&)>& on_change) {
  auto header = TRY(read_file_header(kFormat, bytes.substr(0, kHeaderBytes), path_));
  header.fields.u32();
  const uint64_t born_bytes = header.fields.u64();
  uint64_t position = kHeaderBytes;
  while (position < bytes.size()) {
    const auto body = record_at(bytes, position);
    if (!body) break;
    TRY(hand_over(*body, position, on_change));
    position += kRecordHeaderBytes + body->size();
  }
  if (position < born_bytes || (position < bytes.size() && record_follows(bytes, position))) {
    return Error(Errc::corrupt, "the record's checksum is wrong", path_, position);
  }
  if (position < bytes.size()) position = TRY(take_bad_end(bytes, position, on_change));
  end_ = position;
  // A kill may have left a record written but not synced; nobody may see it and
  // then lose it.
  return file_->sync();
}

Status AdsFile::hand_over(std::string_view body, uint64_t position,
                          const std::function<void(AdsChange&&)>& on_change) const {
  ByteCursor cursor(body);
  while (!cursor.empty()) {
    auto change = read_change(cursor);
    if (!change) return Error(Errc::corrupt, "a change is malformed", path_, position);
    on_change(*std::move(change));
  }
  return {};
}

/// The last record is bad. Answers where the file ends now.
Result<uint64_t> AdsFile::take_bad_end(std::string_view bytes, uint64_t position,
                                       const std::function<void(AdsChange&&)>& on_change) {
  const std::string_view rest = bytes.substr(position);
  ByteCursor header(rest);
  const bool begins_well = header.raw(kRecordMagic.size()) == kRecordMagic;
  const uint32_t length = header.u32();
  const uint64_t checksum = header.u64();
  const std::string at = " at byte " + std::to_string(position);
  if (header.ok() && xxh64_of(header.rest(), position) == checksum) {
    const std::string_view body = rest.substr(kRecordHeaderBytes);
    TRY(hand_over(body, position, on_change));
    std::string whole;
    append_record(position, body, whole);
    TRY(file_->write_at(position, whole));
    damage_ = path_ + ": the last record's header" + at + " was damaged; nothing is lost";
    log_error("catalog", damage_);
    return bytes.size();
  }
  if (header.ok() && begins_well && length <= rest.size() - kRecordHeaderBytes) {
    const std::string kept = TRY(keep_damaged(bytes));
    damage_ = path_ + ": the last record" + at + " is damaged, and the changes of ads in it (" +
              std::to_string(rest.size()) + " bytes) are gone; those before it stay; the file is " +
              "kept as " + kept;
    log_error("catalog", damage_);
  } else {
    log_warn("catalog", "cut a torn write of " + std::to_string(rest.size()) + " bytes" + at);
  }
  TRY(file_->truncate(position));
  return position;
}

/// Under the first name that is free.
Result<std::string> AdsFile::keep_damaged(std::string_view bytes) {
  unsigned number = 1;
  const auto name = [&] { return path_ + ".damaged-" + std::to_string(number); };
  while (files_->exists(name())) ++number;
  TRY(write_file_atomically(*files_, name(), bytes));
  return name();
}

Status AdsFile::append(std::string_view body) {
  if (body.size() > kBodyBytesMax) return Error(Errc::invalid, "more than 1 GiB of ads at once");
  std::string record;
  record.reserve(kRecordHeaderBytes + body.size());
  append_record(end_, body, record);
  Status written = file_->write_at(end_, record);
  if (!written) {
    // What was written of it must not stand in front of later records.
    if (!file_->truncate(end_)) file_ = nullptr;
    return written;
  }
  Status synced = file_->sync();
  if (!synced) {
    // The record's pages may be lost though clean, and so may the file's length:
    // no later sync says anything about this file.
    ignore(file_->truncate(end_), "the file is given up in any case");
    file_ = nullptr;
    return synced;
  }
  end_ += record.size();
  return {};
}

Status AdsFile::rewrite(const std::vector<std::string>& bodies) {
  uint64_t size = kHeaderBytes;
  for (const auto& body : bodies) size += kRecordHeaderBytes + body.size();
  std::string bytes = header_bytes(size);
  bytes.reserve(size);
  for (const auto& body : bodies) append_record(bytes.size(), body, bytes);
  // Once the name may stand for the new file, writes to the old one would be lost.
  file_ = nullptr;
  TRY(write_file_atomically(*files_, path_, bytes));
  return reopen();
}

}  // namespace clickmill::catalog
