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
// damage in the middle: since each record was synced before the next began, a later one
// proves that it was whole. It is told and kept likewise, the changes before and behind it
// hold, and the file is written anew without it. Where nothing is left, nothing is opened.

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

/// Where the next valid record behind `position` begins; npos: there is none.
size_t next_record(std::string_view file, uint64_t position) {
  size_t at = file.find(kRecordMagic, position + 1);
  while (at != std::string_view::npos && !record_at(file, at)) at = file.find(kRecordMagic, at + 1);
  return at;
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

Result<std::vector<AdsChange>> read_changes(std::string_view body) {
  std::vector<AdsChange> changes;
  ByteCursor cursor(body);
  while (!cursor.empty()) {
    auto change = read_change(cursor);
    if (!change) return Error(Errc::corrupt, "a change of an ad is malformed");
    changes.push_back(*std::move(change));
  }
  return changes;
}

Result<AdsFile> AdsFile::open(FileSystem& files, std::string path,
                              const std::function<void(AdsChange&&)>& on_change) {
  if (!files.exists(path)) {
    TRY(write_file_atomically(files, path, header_bytes(kHeaderBytes)));
  }
  AdsFile file(files, std::move(path));
  auto opened = file.reopen();
  if (!opened && opened.error().code() != Errc::io) return std::move(opened).error();
  std::string bytes;
  if (opened) {
    TRY(file.file_->read_at(0, file.end_, bytes));
  } else {
    bytes = TRY(read_file(files, file.path_));
    log_warn("catalog", "the ads can be read but not changed: " + opened.error().text());
  }
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
  auto header = read_file_header(kFormat, bytes.substr(0, kHeaderBytes), path_);
  if (!header && header.error().code() == Errc::invalid) return std::move(header).error();
  const bool whole = header.has_value();
  uint64_t born_bytes = 0;
  if (whole) {
    header->fields.u32();
    born_bytes = header->fields.u64();
  }
  size_t changes = 0;
  const auto count = [&](AdsChange&& change) {
    ++changes;
    on_change(std::move(change));
  };
  uint64_t position = kHeaderBytes;
  std::optional<uint64_t> hole;
  if (!whole) hole = 0;
  while (position < bytes.size()) {
    if (const auto body = record_at(bytes, position)) {
      TRY(hand_over(*body, position, count));
      position += kRecordHeaderBytes + body->size();
      continue;
    }
    const uint64_t next = std::min<uint64_t>(next_record(bytes, position), bytes.size());
    if (next == bytes.size() && position >= born_bytes && whole) break;
    if (!hole) hole = position;
    TRY(pass_hole(bytes, position, next, count));
    position = next;
  }
  // Cut off within what was whole once.
  if (!hole && position < born_bytes) {
    tell("it is cut off at byte " + std::to_string(position));
    hole = position;
  }
  if (hole && changes == 0) {
    return Error(Errc::corrupt,
                 *hole == 0
                     ? "it doesn't begin like a catalog, and holds no record that can be read"
                     : "no record can be read",
                 path_, *hole);
  }
  if (hole) {
    if (!whole) tell("the header is damaged; the records behind it are not");
    keep_damaged(bytes);
    end_ = bytes.size();
    file_ = nullptr;
    return {};
  }
  if (position < bytes.size()) position = TRY(take_bad_end(bytes, position, on_change));
  end_ = position;
  // A kill may have left a record written but not synced; nobody may see it and
  // then lose it.
  return file_ ? file_->sync() : Status();
}

void AdsFile::tell(std::string damage) {
  log_error("catalog", path_ + ": " + damage);
  damage_ += (damage_.empty() ? path_ + ": " : "; ") + std::move(damage);
}

/// Bad bytes in front of a record, or of the end of what was whole once.
Status AdsFile::pass_hole(std::string_view bytes, uint64_t position, uint64_t end,
                          const std::function<void(AdsChange&&)>& on_change) {
  const std::string_view rest = bytes.substr(position, end - position);
  ByteCursor header(rest);
  header.raw(kRecordMagic.size() + sizeof(uint32_t));
  const uint64_t checksum = header.u64();
  const std::string at = " at byte " + std::to_string(position);
  if (header.ok() && xxh64_of(header.rest(), position) == checksum) {
    TRY(hand_over(rest.substr(kRecordHeaderBytes), position, on_change));
    tell("the header of the record" + at + " was damaged; nothing of it is lost");
    return {};
  }
  tell("what stands" + at + " is damaged, and the changes of ads in it (" +
       std::to_string(rest.size()) + " bytes) are gone; those before and behind it stay");
  return {};
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
    if (file_) TRY(file_->write_at(position, whole));
    tell("the last record's header" + at + " was damaged; nothing is lost");
    return bytes.size();
  }
  if (header.ok() && begins_well && length <= rest.size() - kRecordHeaderBytes) {
    tell("the last record" + at + " is damaged, and the changes of ads in it (" +
         std::to_string(rest.size()) + " bytes) are gone; those before it stay");
    keep_damaged(bytes);
  } else {
    log_warn("catalog", "cut a torn write of " + std::to_string(rest.size()) + " bytes" + at);
  }
  if (file_) TRY(file_->truncate(position));
  return position;
}

/// Under the first name that is free. A disk that doesn't take it keeps nobody from the ads.
void AdsFile::keep_damaged(std::string_view bytes) {
  unsigned number = 1;
  const auto name = [&] { return path_ + ".damaged-" + std::to_string(number); };
  while (files_->exists(name())) ++number;
  const auto kept = write_file_atomically(*files_, name(), bytes);
  tell(kept ? "the file is kept as " + name() : "it can't be kept: " + kept.error().text());
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
