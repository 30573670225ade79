#include "tools/clock_journal.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/node_clock.h"
#include "collector/spool_records.h"
#include "log/journal.h"

namespace clickmill::tools {

Status ClockJournal::read(const std::vector<std::unique_ptr<log::Segments>>& segments,
                          const std::vector<stream::Settings>& settings) {
  for (size_t i = 0; i < segments.size(); ++i) {
    sealed_.push_back(segments[i]->last());
    set_back_.emplace_back(options_.to, settings[i]);
    logs_.emplace_back(sealed_.back());
  }
  hard_states_.resize(segments.size());
  trimmed_.resize(segments.size());
  TRY(finish_swap());
  if (!files_.exists(options_.paths.journal())) return {};
  const auto found = TRY(
      log::recover_journal(files_, options_.paths.journal(), log::Journal::Options{}.unsynced_bytes,
                           [this](JournalPos position, const log::RecordView& record) {
                             return note(position, record);
                           }));
  file_bytes_ = found.file_bytes;
  return {};
}

/// A run that was killed between the two renames has left the new one whole.
Status ClockJournal::finish_swap() {
  if (!replaced() || files_.exists(options_.paths.journal())) return {};
  TRY(files_.rename(fresh(), options_.paths.journal()));
  return files_.sync_directory(options_.paths.root);
}

Status ClockJournal::note(JournalPos position, const log::RecordView& record) {
  progress_.at([&] { return fmt::format("journal: at {}", position.value()); });
  if (record.kind == log::RecordKind::trim) return note_trim(record.payload);
  if (record.partition.value() >= logs_.size())
    return Error(Errc::corrupt, "record of an unknown partition");
  if (collector::RecoveredSpool::is_of_spool(record.kind)) return {};
  if (record.kind == log::RecordKind::hard_state)
    hard_states_[record.partition.value()] = std::string(record.payload);
  return logs_[record.partition.value()].replay(position, record);
}

/// Positions only grow, and what a trim covers stands before it.
Status ClockJournal::note_trim(std::string_view payload) {
  ByteCursor cursor(payload);
  const uint64_t count = cursor.varint();
  for (uint64_t i = 0; i < count && cursor.ok(); ++i) {
    const JournalPos upto(cursor.varint());
    if (i < trimmed_.size()) trimmed_[i] = std::max(trimmed_[i], upto);
  }
  if (!cursor.done()) return Error(Errc::corrupt, "trim record is malformed");
  return {};
}

Result<std::vector<log::Entry>> ClockJournal::unsealed(uint32_t partition) const {
  auto entries = logs_[partition].entries_after(sealed_[partition]);
  for (log::Entry& entry : entries) entry = TRY(set_back_[partition].entry(std::move(entry)));
  return entries;
}

Status ClockJournal::remove_fresh() {
  if (!files_.exists(fresh())) return {};
  for (const std::string& name : TRY(files_.list(fresh())))
    TRY(files_.remove(fresh() + "/" + name));
  return {};
}

Status ClockJournal::replace(const Clock& clock) {
  if (replaced() || !files_.exists(options_.paths.journal())) return {};
  TRY(remove_fresh());
  TRY(files_.create_directories(fresh()));
  NodeClock time(clock);
  log::Journal::Options options;
  if (file_bytes_ != 0) options.file_bytes = file_bytes_;
  const auto nothing = [](JournalPos, const log::RecordView&) { return Status(); };
  {
    const auto journal = TRY(log::Journal::open(files_, fresh(), time, options, nothing));
    TRY(write_logs(*journal));
    TRY(log::recover_journal(files_, options_.paths.journal(), options.unsynced_bytes,
                             [&](JournalPos position, const log::RecordView& record) -> Status {
                               if (record.kind != log::RecordKind::click &&
                                   record.kind != log::RecordKind::copied_clicks)
                                 return {};
                               return copy_clicks(position, record, *journal);
                             }));
    TRY(write(*journal));
  }
  TRY(files_.sync_directory(fresh()));
  TRY(files_.rename(options_.paths.journal(), options_.kept + "/journal"));
  TRY(files_.sync_directory(options_.kept));
  TRY(files_.rename(fresh(), options_.paths.journal()));
  return files_.sync_directory(options_.paths.root);
}

Status ClockJournal::write_logs(log::Journal& journal) {
  for (uint32_t i = 0; i < logs_.size(); ++i) {
    for (const log::Entry& entry : TRY(unsealed(i))) {
      log::Append record;
      record.partition = PartitionId(i);
      log::encode_entry(entry, record.payload);
      TRY(append(journal, std::move(record)));
    }
    if (hard_states_[i].empty()) continue;
    log::Append record;
    record.lane = log::Lane::votes;
    record.kind = log::RecordKind::hard_state;
    record.partition = PartitionId(i);
    record.payload = hard_states_[i];
    TRY(append(journal, std::move(record)));
  }
  return {};
}

Status ClockJournal::copy_clicks(JournalPos position, const log::RecordView& record,
                                 log::Journal& journal) {
  const uint32_t partition = record.partition.value();
  if (position < trimmed_[partition]) return {};
  std::vector<std::string> clicks;
  TRY(collector::for_each_click(record,
                                [&](std::string_view click) { clicks.emplace_back(click); }));
  for (std::string& click : clicks) {
    TRY(set_back_[partition].pending(click));
    log::Append out;
    out.lane = log::Lane::redirects;
    out.kind = log::RecordKind::click;
    out.partition = record.partition;
    out.payload = std::move(click);
    TRY(append(journal, std::move(out)));
  }
  return {};
}

Status ClockJournal::append(log::Journal& journal, log::Append&& record) {
  while (true) {
    // On an error the record stays as it is.
    auto done = journal.append(std::move(record));
    if (done || done.error().code() != Errc::busy) return done;
    TRY(write(journal));
  }
}

Status ClockJournal::write(log::Journal& journal) {
  while (journal.health() == log::Journal::Health::ok && journal.pump()) {
  }
  if (journal.health() == log::Journal::Health::no_room)
    return Error(Errc::no_space, "no room for the new journal", fresh());
  if (journal.health() != log::Journal::Health::ok)
    return Error(Errc::io, "the new journal can't be written", fresh());
  return {};
}

}  // namespace clickmill::tools
