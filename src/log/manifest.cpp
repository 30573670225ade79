// Manifest file, version 1. Numbers are little-endian, checksums XXH3 with 64 bits.
//
// Header, 32 bytes
//    0  8  magic "CMMANIFT"
//    8  4  version, 1
//   12  4  0
//   16  8  durable_upto: the file's length when it was written as a whole (and renamed)
//   24  8  checksum of bytes 0–23
//
// Edits, 104 bytes each
//    0  1  kind: 1 base, 2 block, 3 close, 4 drop
//    1  7  0
//    8  8  durable_upto: everything before this byte was synced when this was written
//   16 80  by kind, the rest 0:
//          base   last offset dropped (8), its term (8), its log time (8; 0: not known)
//          block  first offset of the segment (8), then as in a segment's footer (72)
//          close  first offset, last offset, smallest and largest append_ms, last term,
//                 bytes of the file, position, checksum of its footer, number of blocks
//          drop   first offset of the segment (8)
//   96  8  checksum of bytes 0–95, seeded with the edit's position
//
// Edits have one size so that the good ones behind a bad one can be found. A bad edit
// below any durable_upto was once whole: that is damage, and an error. Otherwise it is
// the torn tail: it and what follows is left out. (The last append can't be told from
// damage to it; what it listed is then sealed again from the journal.) A newer version
// is refused by name; the file is left as it is.

#include "log/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "base/file_header.h"

namespace clickmill::log {
namespace {

constexpr FileFormat kFormat{"manifest", "CMMANIFT", 1};
constexpr size_t kHeaderBytes = 32;
constexpr size_t kEditBytes = 104;
constexpr size_t kEditChecked = 96;
// Small enough to be read at every start, large enough to be rewritten rarely.
constexpr uint64_t kRewriteBytes = 64 * 1024;

std::string encode_header(uint64_t durable_upto) {
  std::string out = begin_file_header(kFormat);
  ByteWriter writer(out);
  writer.u32(0);
  writer.u64(durable_upto);
  append_checksum(out);
  return out;
}

std::string encode_edit(const Edit& edit, uint64_t position, uint64_t durable_upto) {
  std::string out;
  ByteWriter writer(out);
  writer.u64(static_cast<uint8_t>(edit.kind));
  writer.u64(durable_upto);
  switch (edit.kind) {
    case Edit::Kind::base:
      writer.u64(edit.closed.last.value());
      writer.u64(edit.closed.last_term.value());
      writer.i64(edit.closed.max_append_ms.value());
      break;
    case Edit::Kind::block:
      writer.u64(edit.segment.value());
      write_info(writer, edit.block);
      break;
    case Edit::Kind::close: write_info(writer, edit.closed); break;
    case Edit::Kind::drop: writer.u64(edit.segment.value()); break;
  }
  out.resize(kEditChecked);
  writer.u64(xxh64_of(out, position));
  return out;
}

struct PlacedEdit {
  Edit edit;
  uint64_t durable_upto = 0;
};

/// Empty for bytes that are no edit of this position.
std::optional<PlacedEdit> decode_edit(std::string_view bytes, uint64_t position) {
  if (bytes.size() < kEditBytes) return std::nullopt;
  ByteCursor check(bytes.substr(kEditChecked));
  if (check.u64() != xxh64_of(bytes.substr(0, kEditChecked), position)) return std::nullopt;
  ByteCursor cursor(bytes);
  PlacedEdit out;
  const uint64_t kind = cursor.u64();
  out.durable_upto = cursor.u64();
  switch (kind) {
    case static_cast<uint64_t>(Edit::Kind::base):
      out.edit.closed.last = Offset(cursor.u64());
      out.edit.closed.last_term = Term(cursor.u64());
      out.edit.closed.max_append_ms = LogMs(cursor.i64());
      break;
    case static_cast<uint64_t>(Edit::Kind::block):
      out.edit.segment = Offset(cursor.u64());
      out.edit.block = read_block_info(cursor);
      break;
    case static_cast<uint64_t>(Edit::Kind::close):
      out.edit.closed = read_segment_info(cursor);
      out.edit.segment = out.edit.closed.first;
      break;
    case static_cast<uint64_t>(Edit::Kind::drop): out.edit.segment = Offset(cursor.u64()); break;
    default: return std::nullopt;
  }
  out.edit.kind = static_cast<Edit::Kind>(kind);
  return out;
}

/// Largest durable_upto of the good edits from `position` on.
uint64_t durable_upto_after(std::string_view bytes, uint64_t position) {
  uint64_t upto = 0;
  for (; position + kEditBytes <= bytes.size(); position += kEditBytes) {
    const auto edit = decode_edit(bytes.substr(position, kEditBytes), position);
    if (edit) upto = std::max(upto, edit->durable_upto);
  }
  return upto;
}

bool apply_block(Contents& contents, const Edit& edit) {
  const BlockInfo& block = edit.block;
  const bool begins = contents.open.empty();
  const Offset segment = begins ? block.first : contents.open.front().first;
  const uint64_t position = begins ? kSegmentHeaderBytes : contents.open.back().end();
  if (edit.segment != segment || block.first != contents.last() + 1 || block.last < block.first ||
      block.position != position) {
    return false;
  }
  contents.open.push_back(block);
  return true;
}

bool apply_close(Contents& contents, const SegmentInfo& info) {
  if (contents.open.empty()) {
    if (info.first != contents.last() + 1 || info.last < info.first) return false;
  } else if (info.first != contents.open.front().first || info.last != contents.last() ||
             info.footer_position != contents.open.back().end() ||
             info.blocks != contents.open.size()) {
    return false;
  }
  contents.open.clear();
  contents.closed.push_back(info);
  return true;
}

bool apply_drop(Contents& contents, Offset segment) {
  if (contents.closed.empty() || contents.closed.front().first != segment) return false;
  contents.dropped_last = contents.closed.front().last;
  contents.dropped_term = contents.closed.front().last_term;
  contents.dropped_ms = contents.closed.front().max_append_ms;
  contents.closed.erase(contents.closed.begin());
  return true;
}

/// The fewest edits that give the contents.
std::vector<Edit> edits_of(const Contents& contents) {
  std::vector<Edit> edits(1);
  edits[0].closed.last = contents.dropped_last;
  edits[0].closed.last_term = contents.dropped_term;
  edits[0].closed.max_append_ms = contents.dropped_ms;
  for (const auto& info : contents.closed) edits.push_back(Edit::close(info));
  for (const auto& block : contents.open) {
    edits.push_back(Edit::add(contents.open.front().first, block));
  }
  return edits;
}

uint64_t bytes_needed(const Contents& contents) {
  return kHeaderBytes + (1 + contents.closed.size() + contents.open.size()) * kEditBytes;
}

std::string encode_whole(const Contents& contents) {
  const uint64_t size = bytes_needed(contents);
  std::string out = encode_header(size);
  out.reserve(size);
  for (const auto& edit : edits_of(contents)) out += encode_edit(edit, out.size(), size);
  CM_ASSERT(out.size() == size);
  return out;
}

/// The header's durable_upto.
Result<uint64_t> parse_header(std::string_view bytes, const std::string& path) {
  auto header = TRY(read_file_header(kFormat, bytes.substr(0, kHeaderBytes), path));
  const uint32_t zero = header.fields.u32();
  const uint64_t durable_upto = header.fields.u64();
  if (zero != 0 || !header.fields.done()) {
    return Error(Errc::invalid, "manifest: file header of another shape", path, 12);
  }
  if (durable_upto > bytes.size()) {
    return Error(Errc::corrupt,
                 fmt::format("manifest: the file ends here, it once had {} bytes", durable_upto),
                 path, bytes.size());
  }
  return durable_upto;
}

}  // namespace

Offset Contents::last() const {
  if (!open.empty()) return open.back().last;
  return closed.empty() ? dropped_last : closed.back().last;
}

Offset Contents::first() const { return dropped_last + 1; }

Term Contents::last_term() const {
  if (!open.empty()) return open.back().last_term;
  return closed.empty() ? dropped_term : closed.back().last_term;
}

LogMs Contents::last_append_ms() const {
  if (!open.empty()) return open.back().max_append_ms;
  return closed.empty() ? dropped_ms : closed.back().max_append_ms;
}

uint64_t Contents::bytes() const {
  uint64_t sum = open.empty() ? 0 : open.back().end();
  for (const auto& info : closed) sum += info.bytes;
  return sum;
}

bool apply(Contents& contents, const Edit& edit) {
  switch (edit.kind) {
    case Edit::Kind::base:
      if (contents != Contents{}) return false;
      contents.dropped_last = edit.closed.last;
      contents.dropped_term = edit.closed.last_term;
      contents.dropped_ms = edit.closed.max_append_ms;
      return true;
    case Edit::Kind::block: return apply_block(contents, edit);
    case Edit::Kind::close: return apply_close(contents, edit.closed);
    case Edit::Kind::drop: return apply_drop(contents, edit.segment);
  }
  return false;
}

Result<ParsedManifest> parse_manifest(std::string_view bytes, const std::string& path) {
  ParsedManifest out;
  out.durable_upto = TRY(parse_header(bytes, path));
  out.end = kHeaderBytes;
  while (out.end < bytes.size()) {
    const auto placed = decode_edit(bytes.substr(out.end, kEditBytes), out.end);
    if (!placed) {
      const uint64_t upto = durable_upto_after(bytes, out.end + kEditBytes);
      if (out.end < std::max(out.durable_upto, upto)) {
        return Error(Errc::corrupt, "manifest: damaged edit", path, out.end);
      }
      out.cut = true;
      return out;
    }
    if (!apply(out.contents, placed->edit)) {
      return Error(Errc::corrupt, "manifest: edit doesn't follow from those before", path, out.end);
    }
    out.durable_upto = std::max(out.durable_upto, placed->durable_upto);
    out.end += kEditBytes;
  }
  if (out.durable_upto > out.end) {
    return Error(
        Errc::corrupt,
        fmt::format("manifest: the file ends here, it once had {} bytes", out.durable_upto), path,
        out.end);
  }
  return out;
}

Status Manifest::create(FileSystem& files, const std::string& path, const Contents& contents) {
  return write_file_atomically(files, path, encode_whole(contents));
}

Result<std::unique_ptr<Manifest>> Manifest::open(FileSystem& files, const std::string& path) {
  const std::string bytes = TRY(read_file(files, path));
  auto parsed = TRY(parse_manifest(bytes, path));
  std::unique_ptr<Manifest> manifest(new Manifest(files, path));
  manifest->contents_ = std::move(parsed.contents);
  if (parsed.cut) {
    // Not continued in place: behind the torn edit there may be good ones.
    TRY(manifest->prepare());
    return manifest;
  }
  auto file = TRY(files.open(path, FileSystem::Open::write));
  if (parsed.durable_upto < parsed.end) {
    // Written, not only synced: after a failed sync the pages look clean.
    TRY(file->write_at(parsed.durable_upto, std::string_view(bytes).substr(parsed.durable_upto)));
    TRY(file->sync());
  } else {
    // Not appended to since it was written as a whole, so its name may be new.
    TRY(files.sync_directory(path.substr(0, path.rfind('/'))));
  }
  manifest->file_ = std::move(file);
  manifest->end_ = parsed.end;
  return manifest;
}

Status Manifest::prepare() {
  if (file_ && (end_ <= kRewriteBytes || end_ <= 2 * bytes_needed(contents_))) return {};
  file_.reset();
  const std::string whole = encode_whole(contents_);
  TRY(write_file_atomically(files_, path_, whole));
  file_ = TRY(files_.open(path_, FileSystem::Open::write));
  end_ = whole.size();
  return {};
}

Status Manifest::append(std::span<const Edit> edits) {
  TRY(prepare());
  Contents changed = contents_;
  std::string bytes;
  for (const auto& edit : edits) {
    CM_ASSERT(apply(changed, edit));
    bytes += encode_edit(edit, end_ + bytes.size(), end_);
  }
  // Until the sync has succeeded, the file may hold anything behind end_.
  auto file = std::move(file_);
  TRY(file->write_at(end_, bytes));
  TRY(file->sync());
  file_ = std::move(file);
  end_ += bytes.size();
  contents_ = std::move(changed);
  return {};
}

Status Manifest::replace(const Contents& contents) {
  // Until all of it is durable, the file may be the old one or the new.
  file_.reset();
  const std::string whole = encode_whole(contents);
  TRY(write_file_atomically(files_, path_, whole));
  file_ = TRY(files_.open(path_, FileSystem::Open::write));
  end_ = whole.size();
  contents_ = contents;
  return {};
}

}  // namespace clickmill::log
