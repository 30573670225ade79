#include "log/journal_recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace clickmill::log {
namespace {

constexpr std::string_view kSuffix = ".journal";
constexpr size_t kDigits = 20;

struct OpenFile {
  FileHeader header;
  std::unique_ptr<File> file;
  uint64_t size = 0;
  JournalPos begin() const { return JournalPos(header.number * header.file_bytes); }
};

/// Number in the name; 0 for a file that is not a journal's.
uint64_t number_of(std::string_view name) {
  if (name.size() != kDigits + kSuffix.size() || !name.ends_with(kSuffix)) return 0;
  uint64_t number = 0;
  const auto [end, failure] = std::from_chars(name.data(), name.data() + kDigits, number);
  return failure == std::errc() && end == name.data() + kDigits ? number : 0;
}

Error damage(const OpenFile& file, JournalPos position, std::string_view what) {
  return Error(Errc::corrupt, std::string(what), file.file->path(),
               position.value() - file.begin().value());
}

class Recovery {
 public:
  Recovery(FileSystem& files, const std::string& directory, uint64_t unsynced_bytes,
           const Replay& replay)
      : disk_(files), directory_(directory), unsynced_bytes_(unsynced_bytes), replay_(replay) {}

  Result<Recovered> run() {
    TRY(open_files());
    for (size_t i = 0; i < open_.size(); ++i) TRY(read_file_groups(i));
    for (const OpenFile& file : open_) {
      // What was read may still be in the page cache only; handing it on as
      // durable would be a promise that a power loss could break.
      TRY(file.file->sync());
    }
    return std::move(found_);
  }

 private:
  Status open_files() {
    for (const std::string& name : TRY(disk_.list(directory_))) {
      if (name.starts_with("spare-")) TRY(disk_.remove(directory_ + "/" + name));
      const uint64_t number = number_of(name);
      if (number != 0) TRY(open_file(name, number));
    }
    for (const OpenFile& file : open_) found_.file_numbers.push_back(file.header.number);
    if (!open_.empty()) {
      found_.journal_id = open_.back().header.journal_id;
      found_.file_bytes = open_.back().header.file_bytes;
    }
    return check_chain();
  }

  Status open_file(const std::string& name, uint64_t number) {
    OpenFile opened;
    const std::string path = directory_ + "/" + name;
    opened.file = TRY(disk_.open(path, FileSystem::Open::write));
    opened.size = TRY(opened.file->size());
    std::string head;
    TRY(opened.file->read_at(0, kJournalAlign, head));
    auto header = decode_file_header(head);
    // A file gets its name only after its header is durable, so a bad one is damage.
    if (!header) return Error(Errc::corrupt, header.error().message(), path, 0);
    if (header->number != number) return Error(Errc::corrupt, "the header names another file number", path, 16);
    opened.header = *header;
    open_.push_back(std::move(opened));
    return {};
  }

  Status check_chain() {
    for (size_t i = 1; i < open_.size(); ++i) {
      const FileHeader& before = open_[i - 1].header;
      const FileHeader& after = open_[i].header;
      if (after.journal_id != before.journal_id || after.file_bytes != before.file_bytes) {
        return damage(open_[i], open_[i].begin(), "file of another journal");
      }
      if (after.number != before.number + 1) {
        return damage(open_[i], open_[i].begin(),
                      fmt::format("file {} before it is missing", after.number - 1));
      }
    }
    return {};
  }

  /// Position up to which file i's groups count; unlimited for the last.
  JournalPos valid_end(size_t i) const {
    return i + 1 < open_.size() ? open_[i + 1].header.takes_over_from : JournalPos(UINT64_MAX);
  }

  Status read_file_groups(size_t i) {
    const OpenFile& file = open_[i];
    JournalPos position = file.begin() + kJournalAlign;
    const JournalPos end = std::min(valid_end(i), file.begin() + file.size);
    while (position < end) {
      const auto header = TRY(read_group(file, position));
      if (!header) return end_of_groups(i, position);
      TRY(deliver(*header));
      position = position + group_.size();
      found_.end = position;
    }
    return {};
  }

  /// The whole group at `position` in group_, or nothing when there is none.
  Result<std::optional<GroupHeader>> read_group(const OpenFile& file, JournalPos position) {
    const uint64_t at = position.value() - file.begin().value();
    TRY(file.file->read_at(at, kJournalAlign, group_));
    const auto header = peek_group(group_, file.size - at);
    if (!header || header->position != position || header->file_number != file.header.number ||
        header->journal_id != file.header.journal_id) {
      return std::optional<GroupHeader>();
    }
    const uint64_t bytes = kGroupHeaderBytes + uint64_t{header->payload_bytes};
    const uint64_t padded = (bytes + kJournalAlign - 1) / kJournalAlign * kJournalAlign;
    if (padded > group_.size()) TRY(file.file->read_at(at, padded, group_));
    group_.resize(padded, '\0');
    if (!group_is_whole(*header, group_)) return std::optional<GroupHeader>();
    return std::optional<GroupHeader>(*header);
  }

  Status deliver(const GroupHeader& header) {
    const auto payload = std::string_view(group_).substr(kGroupHeaderBytes, header.payload_bytes);
    const auto records = TRY(parse_records(payload, header.records));
    found_.time_ms = std::max(found_.time_ms, header.time_ms);
    for (const RecordView& record : records) TRY(replay_(header.position, record));
    return {};
  }

  /// No whole group at `position`: the end, a torn tail, or damage.
  Status end_of_groups(size_t i, JournalPos position) {
    const OpenFile& file = open_[i];
    const JournalPos promised = valid_end(i);
    if (i + 1 < open_.size() && position < promised) {
      return damage(file, position, fmt::format("unreadable group; file {} takes over only from byte {}",
                                                open_[i + 1].header.number,
                                                promised.value() - file.begin().value()));
    }
    JournalPos last_seen = position;
    for (JournalPos later = position + kJournalAlign; later < file.begin() + file.size;
         later = later + kJournalAlign) {
      const auto header = TRY(read_group(file, later));
      if (!header) continue;
      if (header->durable_upto > position) {
        return damage(file, position, "unreadable group that a later one calls durable");
      }
      last_seen = later + group_.size();
    }
    if (last_seen.value() - position.value() > unsynced_bytes_) {
      return damage(file, position, "unreadable stretch longer than could have been unsynced");
    }
    found_.torn_bytes = last_seen.value() - position.value();
    found_.end = std::max(found_.end, position);
    return {};
  }

  FileSystem& disk_;
  const std::string& directory_;
  const uint64_t unsynced_bytes_;
  const Replay& replay_;
  std::vector<OpenFile> open_;
  std::string group_;
  Recovered found_;
};

}  // namespace

std::string journal_file_name(uint64_t number) { return fmt::format("{:020}.journal", number); }

Result<Recovered> recover_journal(FileSystem& files, const std::string& directory,
                                  uint64_t unsynced_bytes, const Replay& replay) {
  return Recovery(files, directory, unsynced_bytes, replay).run();
}

}  // namespace clickmill::log
