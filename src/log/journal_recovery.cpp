#include "log/journal_recovery.h"

#include <fmt/format.h>

#include <algorithm>

#include "log/journal_scan.h"

namespace clickmill::log {

Result<Recovered> JournalRecovery::find_end() {
  TRY(open_files());
  TRY(check_chain());
  std::vector<JournalPos> groups;  // of the newest file
  for (size_t i = files_.size(); i-- > 0 && found_.time_ms == 0;) {
    // A file without a group says nothing of the time: then the one before it does.
    TRY(read_groups(i, [&](const GroupHeader& header) -> Status {
      found_.time_ms = std::max(found_.time_ms, header.time_ms);
      durable_upto_ = std::max(durable_upto_, header.durable_upto);
      if (i + 1 == files_.size()) groups.push_back(header.position);
      return {};
    }));
  }
  if (!files_.empty()) TRY(keep_tail(files_.back(), groups));
  return found_;
}

Status JournalRecovery::replay(const Replay& replay) {
  for (size_t i = 0; i < files_.size(); ++i) {
    TRY(read_groups(i,
                    [&](const GroupHeader& header) { return deliver(files_[i], header, replay); }));
  }
  return {};
}

Status JournalRecovery::open_files() {
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

Status JournalRecovery::check_chain() {
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
    const JournalPos takes_over = after.header().takes_over_from;
    if (takes_over < before.first_group() || takes_over > after.begin()) {
      return after.damage(after.begin() + 32,
                          "takes over from a position that is not in the file before it");
    }
  }
  return {};
}

/// Position up to which file i's groups count. The newest's is not known before it is read.
std::optional<JournalPos> JournalRecovery::valid_end(size_t i) const {
  if (i + 1 < files_.size()) return files_[i + 1].header().takes_over_from;
  if (found_.end == JournalPos(0)) return std::nullopt;
  return found_.end;
}

Status JournalRecovery::read_groups(size_t i, const OnGroup& on_group) {
  using Kind = JournalScan::Piece::Kind;
  JournalFileReader& file = files_[i];
  const bool newest = i + 1 == files_.size();
  const bool again = newest && found_.end != JournalPos(0);
  JournalScan scan(file, {.taken_over = valid_end(i), .unsynced_bytes = unsynced_bytes_});
  JournalPos end = file.first_group();
  while (const auto piece = TRY(scan.next())) {
    if (piece->kind == Kind::damage && again) {
      return Error(Errc::io, "a group changed while it was read", file.file().path(),
                   piece->begin - file.begin());
    }
    if (piece->kind == Kind::damage) return file.damage(piece->begin, piece->what + piece->why);
    if (piece->kind == Kind::torn) {
      found_.torn_bytes = piece->end - piece->begin;
      continue;
    }
    TRY(on_group(*piece->header));
    end = piece->end;
  }
  if (newest) found_.end = end;
  return {};
}

Status JournalRecovery::deliver(JournalFileReader& file, const GroupHeader& header,
                                const Replay& replay) {
  auto records = parse_records(file.payload(), header.records);
  if (!records) return file.damage(header.position, records.error().message());
  for (const RecordView& record : *records) {
    auto taken = replay(header.position, record);
    if (taken) continue;
    if (taken.error().code() != Errc::corrupt || !taken.error().path().empty()) return taken;
    return file.damage(header.position, taken.error().message());
  }
  return {};
}

/// What is to be written back.
Status JournalRecovery::keep_tail(JournalFileReader& file, const std::vector<JournalPos>& groups) {
  for (const JournalPos position : groups) {
    if (position < durable_upto_) continue;
    if (!TRY(file.read(position))) {
      return Error(Errc::io, "a group changed while it was read", file.file().path(),
                   position - file.begin());
    }
    tail_.emplace_back(position - file.begin(), file.group());
  }
  return {};
}

/// Writes back what no durable_upto covers before it is synced: if a sync of
/// it failed before, its pages may be clean in the cache and absent from the
/// disk, and a sync alone would answer well without writing them.
Status JournalRecovery::settle() {
  const std::lock_guard lock(settle_mutex_);
  if (settled_) return {};
  for (size_t i = 0; i < found_.file_numbers.size(); ++i) {
    const std::string path = directory_ + "/" + journal_file_name(found_.file_numbers[i]);
    auto file = TRY(disk_.open(path, FileSystem::Open::write));
    if (i + 1 == found_.file_numbers.size()) {
      for (const auto& [at, group] : tail_) TRY(file->write_at(at, group));
    }
    TRY(file->sync());
  }
  settled_ = true;
  tail_.clear();
  return {};
}

Result<Recovered> recover_journal(FileSystem& files, const std::string& directory,
                                  uint64_t unsynced_bytes, const Replay& replay) {
  JournalRecovery recovery(files, directory, unsynced_bytes);
  Recovered found = TRY(recovery.find_end());
  TRY(recovery.settle());
  TRY(recovery.replay(replay));
  return found;
}

}  // namespace clickmill::log
