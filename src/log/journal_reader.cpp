#include "log/journal_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace clickmill::log {
namespace {

constexpr std::string_view kSuffix = ".journal";
constexpr size_t kDigits = 20;
constexpr uint64_t kWindowBytes = 256 << 10;

}  // namespace

std::string journal_file_name(uint64_t number) { return fmt::format("{:020}{}", number, kSuffix); }

uint64_t journal_file_number(std::string_view name) {
  if (name.size() != kDigits + kSuffix.size() || !name.ends_with(kSuffix)) return 0;
  uint64_t number = 0;
  const auto [end, failure] = std::from_chars(name.data(), name.data() + kDigits, number);
  return failure == std::errc() && end == name.data() + kDigits ? number : 0;
}

Result<JournalFileReader> JournalFileReader::open(FileSystem& files, const std::string& path,
                                                  uint64_t number) {
  auto file = TRY(files.open(path, FileSystem::Open::read));
  const uint64_t size = TRY(file->size());
  std::string head;
  TRY(file->read_at(0, kJournalAlign, head));
  const auto header = decode_file_header(head);
  // A file gets its name only after its header is durable, so a bad one is damage.
  if (!header) return Error(Errc::corrupt, header.error().message(), path, 0);
  if (header->number != number) {
    return Error(Errc::corrupt, fmt::format("the header is that of file {}", header->number), path,
                 16);
  }
  return JournalFileReader(*header, std::move(file), size);
}

Result<JournalFileReader> JournalFileReader::open_as(FileSystem& files, const std::string& path,
                                                     const FileHeader& header) {
  auto file = TRY(files.open(path, FileSystem::Open::read));
  const uint64_t size = TRY(file->size());
  return JournalFileReader(header, std::move(file), size);
}

std::optional<GroupHeader> JournalFileReader::peek(JournalPos position) const {
  const auto header = peek_group(group_, end() - position);
  if (!header || header->position != position || header->file_number != header_.number ||
      header->journal_id != header_.journal_id) {
    return std::nullopt;
  }
  return header;
}

/// Fills group_, with fewer bytes only at the end of the file.
Status JournalFileReader::fetch(uint64_t at, uint64_t bytes) {
  if (at < window_at_ || at + bytes > window_at_ + window_.size()) {
    // Whatever the outcome: what is in it now must not be taken for something else.
    window_at_ = at;
    if (auto done = file_->read_at(at, std::max<uint64_t>(bytes, kWindowBytes), window_); !done) {
      window_.clear();
      return done;
    }
  }
  group_.assign(window_, at - window_at_, bytes);
  return {};
}

Result<std::optional<GroupHeader>> JournalFileReader::read(JournalPos position) {
  if (position >= end()) return std::optional<GroupHeader>();
  const uint64_t at = position - begin();
  TRY(fetch(at, kJournalAlign));
  const auto header = peek(position);
  if (!header) return std::optional<GroupHeader>();
  const uint64_t bytes = padded(kGroupHeaderBytes + uint64_t{header->payload_bytes});
  if (bytes > group_.size()) TRY(fetch(at, bytes));
  group_.resize(bytes, '\0');
  if (!group_is_whole(*header, group_)) return std::optional<GroupHeader>();
  payload_bytes_ = header->payload_bytes;
  return header;
}

std::string JournalFileReader::describe(JournalPos position) {
  if (position >= end() || !file_->read_at(position - begin(), kJournalAlign, group_))
    return "unreadable";
  const auto header = peek(position);
  if (!header) return "its header is unreadable too";
  return fmt::format("its header speaks of {} records in {} bytes", header->records,
                     header->payload_bytes);
}

Error JournalFileReader::damage(JournalPos position, std::string what) const {
  return Error(Errc::corrupt, std::move(what), file_->path(), position - begin());
}

}  // namespace clickmill::log
