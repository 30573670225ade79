#include "log/journal_recovery.h"

#include <fmt/format.h>

#include <algorithm>

#include "log/journal_reader.h"

namespace clickmill::log {
namespace {

class Recovery {
 public:
  Recovery(FileSystem& files, const std::string& directory, uint64_t unsynced_bytes,
           const Replay& replay)
      : disk_(files), directory_(directory), unsynced_bytes_(unsynced_bytes), replay_(replay) {}

  Result<Recovered> run() {
    TRY(open_files());
    TRY(check_chain());
    for (size_t i = 0; i < files_.size(); ++i) TRY(read_file_groups(i));
    if (!files_.empty()) TRY(make_tail_durable(files_.back()));
    for (JournalFileReader& file : files_) TRY(file.file().sync());
    return std::move(found_);
  }

 private:
  Status open_files() {
    for (const std::string& name : TRY(disk_.list(directory_))) {
      const uint64_t number = journal_file_number(name);
      if (number == 0) continue;
      files_.push_back(TRY(JournalFileReader::open(disk_, directory_ + "/" + name, number)));
      found_.file_numbers.push_back(number);
    }
    if (files_.empty()) return {};
    found_.journal_id = files_.back().header().journal_id;
    found_.file_bytes = files_.back().header().file_bytes;
    return {};
  }

  Status check_chain() {
    for (size_t i = 1; i < files_.size(); ++i) {
      const JournalFileReader& before = files_[i - 1];
      const JournalFileReader& after = files_[i];
      if (after.header().journal_id != before.header().journal_id ||
          after.header().file_bytes != before.header().file_bytes) {
        return after.damage(after.begin(), "file of another journal");
      }
      if (after.header().number != before.header().number + 1) {
        return after.damage(after.begin(),
                            fmt::format("file {} before it is missing", after.header().number - 1));
      }
      if (valid_end(i - 1) < before.first_group() || valid_end(i - 1) > after.begin()) {
        return after.damage(after.begin() + 32,
                            "takes over from a position that is not in the file before it");
      }
    }
    return {};
  }

  /// Position up to which file i's groups count; unlimited for the last.
  JournalPos valid_end(size_t i) const {
    return i + 1 < files_.size() ? files_[i + 1].header().takes_over_from : JournalPos(UINT64_MAX);
  }

  Status read_file_groups(size_t i) {
    JournalFileReader& file = files_[i];
    const bool last = i + 1 == files_.size();
    const JournalPos end = std::min(valid_end(i), file.begin() + file.header().file_bytes);
    JournalPos position = file.first_group();
    found_.end = std::max(found_.end, position);
    while (position < end) {
      const auto header = TRY(file.read(position));
      if (!header || position + file.group().size() > end) {
        return last ? end_of_groups(file, position) : not_the_end(i, position);
      }
      TRY(deliver(file, *header));
      if (last) newest_file_.push_back(position);
      durable_upto_ = std::max(durable_upto_, header->durable_upto);
      position = position + file.group().size();
      found_.end = position;
    }
    return {};
  }

  Status deliver(JournalFileReader& file, const GroupHeader& header) {
    found_.time_ms = std::max(found_.time_ms, header.time_ms);
    auto records = parse_records(file.payload(), header.records);
    if (!records) return file.damage(header.position, records.error().message());
    for (const RecordView& record : *records) {
      auto taken = replay_(header.position, record);
      if (taken) continue;
      if (taken.error().code() != Errc::corrupt || !taken.error().path().empty()) return taken;
      return file.damage(header.position, taken.error().message());
    }
    return {};
  }

  Error not_the_end(size_t i, JournalPos position) {
    return files_[i].damage(
        position, fmt::format("unreadable group ({}); file {} takes over only from byte {}",
                              files_[i].describe(position), files_[i + 1].header().number,
                              valid_end(i) - files_[i].begin()));
  }

  /// No whole group at `position` of the last file: the end, a torn tail, or damage.
  Status end_of_groups(JournalFileReader& file, JournalPos position) {
    JournalPos last_seen = position;
    for (JournalPos later = position + kJournalAlign; later < file.end();
         later = later + kJournalAlign) {
      const auto header = TRY(file.read(later));
      if (!header) continue;
      last_seen = later + file.group().size();
      if (header->durable_upto > position) {
        return file.damage(position,
                           fmt::format("unreadable group ({}) that a later one calls durable",
                                       file.describe(position)));
      }
    }
    if (last_seen - position > unsynced_bytes_) {
      return file.damage(position,
                         fmt::format("unreadable group ({}), and {} bytes from it to the last "
                                     "whole one: more than could have been unsynced",
                                     file.describe(position), last_seen - position));
    }
    found_.torn_bytes = last_seen - position;
    return {};
  }

  /// Writes back what no durable_upto covers before it is synced: if a sync of
  /// it failed before, its pages may be clean in the cache and absent from the
  /// disk, and a sync alone would answer well without writing them.
  Status make_tail_durable(JournalFileReader& file) {
    for (const JournalPos position : newest_file_) {
      if (position < durable_upto_) continue;
      if (!TRY(file.read(position))) {
        return Error(Errc::io, "a group changed while it was read", file.file().path(),
                     position - file.begin());
      }
      TRY(file.file().write_at(position - file.begin(), file.group()));
    }
    return {};
  }

  FileSystem& disk_;
  const std::string& directory_;
  const uint64_t unsynced_bytes_;
  const Replay& replay_;
  std::vector<JournalFileReader> files_;
  std::vector<JournalPos> newest_file_;  ///< its groups that count
  JournalPos durable_upto_;              ///< as the newest group says
  Recovered found_;
};

}  // namespace

Result<Recovered> recover_journal(FileSystem& files, const std::string& directory,
                                  uint64_t unsynced_bytes, const Replay& replay) {
  return Recovery(files, directory, unsynced_bytes, replay).run();
}

}  // namespace clickmill::log
