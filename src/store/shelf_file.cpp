// A file that parts share, little-endian:
//
//   header  16 bytes: "clkmshlf" | u32 version, 1 | u32 0
//   parts   one behind the other, each as it would stand in a file of its own
//   list    of each: varint slot | varint bytes | u64 checksum of its footer
//   footer  48 bytes: u64 parts | u64 bytes of the list | u64 XXH3 of the list |
//           u64 bytes of the file | "clkmshlf" | u64 XXH3 of the footer before
//
// A checkpoint names each part with its first byte, so that nobody who answers questions needs
// list and footer: they are for who has no checkpoint. A file without them is torn, and named by
// no checkpoint. A higher version is refused.
#include "store/shelf_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <limits>
#include <utility>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/file_header.h"
#include "store/part_ending.h"

namespace clickmill::store {
namespace {

constexpr FileFormat kFormat{"shared part file", "clkmshlf", 1};
constexpr uint64_t kHeadBytes = 16;
constexpr uint64_t kTailBytes = 48;
constexpr uint32_t kLevels = ShelfName::kFlushed + 1;
constexpr int64_t kDay = 86'400'000;

std::string header() {
  std::string out = begin_file_header(kFormat);
  ByteWriter(out).u32(0);
  return out;
}

struct Tail {
  uint64_t parts = 0;
  uint64_t list_bytes = 0;
  uint64_t list_checksum = 0;
};

std::string encode(const Tail& tail, uint64_t file_bytes) {
  std::string out;
  ByteWriter writer(out);
  writer.u64(tail.parts);
  writer.u64(tail.list_bytes);
  writer.u64(tail.list_checksum);
  writer.u64(file_bytes);
  writer.raw(kFormat.magic);
  append_checksum(out);
  return out;
}

std::optional<Tail> decode(std::string_view bytes, uint64_t file_bytes) {
  const auto body = before_checksum(bytes);
  if (!body) return std::nullopt;
  ByteCursor cursor(*body);
  Tail tail;
  tail.parts = cursor.u64();
  tail.list_bytes = cursor.u64();
  tail.list_checksum = cursor.u64();
  const bool whole = cursor.u64() == file_bytes;
  if (!whole || cursor.raw(kFormat.magic.size()) != kFormat.magic || !cursor.done())
    return std::nullopt;
  if (tail.list_bytes > file_bytes - kHeadBytes - kTailBytes) return std::nullopt;
  return tail;
}

std::string day_text(int64_t ms) {
  const std::chrono::year_month_day day{std::chrono::sys_days{std::chrono::days{ms / kDay}}};
  return fmt::format("{:04}{:02}{:02}", static_cast<int>(day.year()),
                     static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()));
}

std::optional<int64_t> day_of(uint64_t text) {
  const std::chrono::year_month_day day{std::chrono::year{static_cast<int>(text / 10'000)},
                                        std::chrono::month{static_cast<unsigned>(text / 100 % 100)},
                                        std::chrono::day{static_cast<unsigned>(text % 100)}};
  if (text > 99'991'231 || !day.ok()) return std::nullopt;
  return int64_t{std::chrono::sys_days{day}.time_since_epoch().count()} * kDay;
}

/// The text before the next '-' or '.', which goes too.
std::string_view next_word(std::string_view& text) {
  const size_t end = std::min(text.find_first_of("-."), text.size());
  const auto word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

template <typename Number>
bool read_number(std::string_view text, Number& number) {
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  return read.ec == std::errc() && read.ptr == text.data() + text.size();
}

Result<std::vector<ShelfEntry>> entries_of(const PartFile& file, const std::string& list,
                                           const Tail& tail, const std::string& name) {
  std::vector<ShelfEntry> entries;
  const uint64_t list_begin = file.bytes - kTailBytes - tail.list_bytes;
  ByteCursor cursor(list);
  uint64_t position = kHeadBytes;
  for (uint64_t i = 0; i < tail.parts && cursor.ok(); ++i) {
    const uint64_t slot = cursor.varint();
    const uint64_t bytes = cursor.varint();
    const uint64_t checksum = cursor.u64();
    if (!cursor.ok() || slot > std::numeric_limits<uint32_t>::max() ||
        bytes > list_begin - position)
      return corrupt(file, list_begin, "list of parts: format");
    const auto of = state::Slot::of_number(static_cast<uint32_t>(slot));
    auto ending = read_ending({file.file, position, bytes});
    if (ending && ending->checksum != checksum) {
      ending = corrupt(file, position + bytes - kFooterBytes,
                       fmt::format("not the part that the file lists: footer {:016x}, "
                                   "listed {:016x}",
                                   ending->checksum, checksum));
    }
    if (!ending) {
      return std::move(ending).error().with_context(
          fmt::format("partition {}", of.partition().value()));
    }
    ShelfEntry entry{of, meta_of(*ending, name)};
    entry.meta.position = position;
    entries.push_back(std::move(entry));
    position += bytes;
  }
  if (!cursor.done() || position != list_begin)
    return corrupt(file, list_begin, "the parts do not fill the file");
  return entries;
}

}  // namespace

std::string ShelfName::text() const {
  return fmt::format("shelf-{}-{}-{}-{}.parts", number, to_string(table), day_text(period_ms),
                     closed ? std::string("whole") : std::to_string(level));
}

bool ShelfName::shelved(std::string_view text) {
  return text.starts_with("shelf-") && !text.ends_with("-99.parts");
}

std::optional<ShelfName> ShelfName::parse(std::string_view text) {
  std::string_view rest = text;
  if (next_word(rest) != "shelf") return std::nullopt;
  ShelfName name;
  if (!read_number(next_word(rest), name.number)) return std::nullopt;
  const auto table = next_word(rest);
  if (table != to_string(Table::minute))
    name.table = table == to_string(Table::hour) ? Table::hour : Table::day;
  uint64_t day = 0;
  if (!read_number(next_word(rest), day)) return std::nullopt;
  const auto period_ms = day_of(day);
  if (!period_ms) return std::nullopt;
  name.period_ms = *period_ms;
  const auto level = next_word(rest);
  name.closed = level == "whole";
  if (!name.closed && (!read_number(level, name.level) || name.level >= kLevels))
    return std::nullopt;
  // Written back, so that nothing else that reads alike is taken for ours.
  if (name.text() != text) return std::nullopt;
  return name;
}

Result<std::unique_ptr<ShelfWriter>> ShelfWriter::create(FileSystem& files,
                                                         const std::string& directory,
                                                         const std::string& name,
                                                         uint64_t sync_every) {
  const std::string path = directory + "/" + name;
  auto file = TRY(files.open(path, FileSystem::Open::truncate));
  auto writer = std::unique_ptr<ShelfWriter>(new ShelfWriter(std::move(file), name, sync_every));
  if (auto done = writer->file_->write_at(0, header()); !done) {
    ignore(files.remove(path), "the caller hears why there is no file");
    return std::move(done).error();
  }
  writer->position_ = kHeadBytes;
  return writer;
}

Result<PartMeta> ShelfWriter::add(state::Slot slot, const PartWriter& part) {
  PartMeta meta = TRY(part.write_to(*file_, position_, name_));
  TRY(written(meta.bytes));
  entries_.push_back({slot, meta});
  return meta;
}

Status ShelfWriter::written(uint64_t bytes) {
  position_ += bytes;
  unsynced_ += bytes;
  if (unsynced_ < sync_every_) return {};
  unsynced_ = 0;
  auto synced = file_->sync();
  lost_ = lost_ || !synced;
  return synced;
}

void ShelfWriter::cut_to(size_t parts) {
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(parts), entries_.end());
  position_ =
      entries_.empty() ? kHeadBytes : entries_.back().meta.position + entries_.back().meta.bytes;
}

Status ShelfWriter::finish() {
  if (lost_) return Error(Errc::io, "an earlier sync failed", file_->path());
  std::string end;
  ByteWriter writer(end);
  for (const Entry& entry : entries_) {
    writer.varint(entry.slot.value());
    writer.varint(entry.meta.bytes);
    writer.u64(entry.meta.checksum);
  }
  const Tail tail{entries_.size(), end.size(), xxh64_of(end)};
  end += encode(tail, position_ + end.size() + kTailBytes);
  // What was taken back may be longer than what came instead.
  TRY(file_->truncate(position_));
  TRY(file_->write_at(position_, end));
  position_ += end.size();
  return file_->sync();
}

Result<std::vector<ShelfEntry>> read_shelf(FileSystem& files, const std::string& directory,
                                           const std::string& name) {
  auto opened = TRY(files.open(directory + "/" + name, FileSystem::Open::read));
  const auto file = TRY(whole_file(std::move(opened)));
  if (file.bytes < kHeadBytes + kTailBytes) return corrupt(file, file.bytes, "too short");
  std::string bytes;
  TRY(read_exactly(file, 0, kHeadBytes, bytes));
  auto head = read_unchecked_file_header(kFormat, bytes, file.file->path());
  if (!head) return std::move(head).error();
  if (head->fields.u32() != 0 || !head->fields.done()) return corrupt(file, 0, "header damaged");
  const uint64_t at = file.bytes - kTailBytes;
  TRY(read_exactly(file, at, kTailBytes, bytes));
  const auto tail = decode(bytes, file.bytes);
  if (!tail) return corrupt(file, at, "footer: torn, damaged or of another file");
  TRY(read_exactly(file, at - tail->list_bytes, tail->list_bytes, bytes));
  if (xxh64_of(bytes) != tail->list_checksum)
    return corrupt(file, at - tail->list_bytes, "list of parts: checksum");
  return entries_of(file, bytes, *tail, name);
}

}  // namespace clickmill::store
