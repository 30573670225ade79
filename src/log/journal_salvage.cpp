// One damaged file after the other, oldest first, each in steps that a crash may
// come between:
//   1. the copy is written to `salvage.tmp` and synced;
//   2. it is renamed to `N.journal.whole`, which says that it is complete;
//   3. `N.journal` is renamed to `N.journal.damaged`;
//   4. `N.journal.whole` is renamed to `N.journal`.
// Found at the next run: `.whole` beside the original: before step 3, it is made
// anew. `.whole` without: step 4 is made up for. A missing file skips step 3.
#include "log/journal_salvage.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "log/journal_reader.h"
#include "log/journal_scan.h"

namespace clickmill::log {
namespace {

constexpr std::string_view kWhole = ".whole";
constexpr const char* kTemporary = "/salvage.tmp";
constexpr uint64_t kMissingMost = 1024;

/// What is to be known of a journal whose parts may be missing.
struct Identity {
  uint64_t journal_id = 0;
  uint64_t file_bytes = 0;
};

using Piece = JournalScan::Piece;

class Salvage {
 public:
  using Reading = std::function<void(const std::string& path)>;
  Salvage(FileSystem& files, const std::string& directory, uint64_t unsynced_bytes,
          const Reading& reading)
      : disk_(files), directory_(directory), unsynced_bytes_(unsynced_bytes), reading_(reading) {}

  Result<Salvaged> run() {
    TRY(finish_interrupted());
    TRY(read_headers());
    if (headers_.empty()) return std::move(result_);
    TRY(identify());
    if (identity_.journal_id == 0) return set_everything_aside();
    const uint64_t first = headers_.begin()->first;
    const uint64_t last = headers_.rbegin()->first;
    if (last - first >= headers_.size() + kMissingMost) {
      return Error(Errc::invalid,
                   fmt::format("files {} to {}, but only {} of them are here; move away what "
                               "doesn't belong to this journal",
                               first, last, headers_.size()),
                   directory_);
    }
    for (uint64_t n = first; n <= last; ++n) TRY(treat(n));
    return std::move(result_);
  }

 private:
  std::string path_of(uint64_t number) const {
    return directory_ + "/" + journal_file_name(number);
  }

  Status finish_interrupted() {
    for (const std::string& name : TRY(disk_.list(directory_))) {
      if (!name.ends_with(kWhole)) continue;
      const std::string original = directory_ + "/" + name.substr(0, name.size() - kWhole.size());
      if (disk_.exists(original)) {
        TRY(disk_.remove(directory_ + "/" + name));
      } else {
        TRY(disk_.rename(directory_ + "/" + name, original));
      }
    }
    return disk_.sync_directory(directory_);
  }

  /// Every file's header, or nothing for a file without a sound one.
  Status read_headers() {
    for (const std::string& name : TRY(disk_.list(directory_))) {
      const uint64_t number = journal_file_number(name);
      if (number == 0) continue;
      auto file = JournalFileReader::open(disk_, directory_ + "/" + name, number);
      headers_[number] = file ? std::optional(file->header()) : std::nullopt;
      if (!file) problems_[number] = file.error().message();
    }
    return {};
  }

  /// Goes by the newest sound header, else by the first group that is whole in itself.
  Status identify() {
    for (const auto& [number, header] : headers_) {
      if (header) identity_ = {header->journal_id, header->file_bytes};
    }
    for (auto at = headers_.begin(); at != headers_.end() && identity_.journal_id == 0; ++at) {
      TRY(identify_by_groups(at->first));
    }
    for (auto& [number, header] : headers_) {
      if (!header || (header->journal_id == identity_.journal_id &&
                      header->file_bytes == identity_.file_bytes))
        continue;
      problems_[number] = "file of another journal";
      header.reset();
    }
    return {};
  }

  Status identify_by_groups(uint64_t number) {
    auto file = TRY(disk_.open(path_of(number), FileSystem::Open::read));
    const uint64_t size = TRY(file->size());
    std::string bytes;
    for (uint64_t at = kJournalAlign; at < size; at += kJournalAlign) {
      if (!file->read_at(at, kGroupHeaderBytes, bytes)) continue;
      const auto header = peek_group(bytes, size - at);
      if (!header || header->file_number != number || header->position.value() < at) continue;
      if (!file->read_at(at, kGroupHeaderBytes + header->payload_bytes, bytes)) continue;
      const uint64_t file_bytes = (header->position.value() - at) / number;
      if (file_bytes * number + at != header->position.value() || !is_file_size(file_bytes))
        continue;
      if (!group_is_whole(*header, bytes)) continue;
      identity_ = {header->journal_id, file_bytes};
      return {};
    }
    return {};
  }

  Result<Salvaged> set_everything_aside() {
    for (const auto& [number, header] : headers_) {
      note(path_of(number), 0, 0, problems_[number] + "; nothing in it can be read");
      TRY(set_aside(path_of(number)));
    }
    TRY(disk_.sync_directory(directory_));
    return std::move(result_);
  }

  /// What the next file says of where file `number` ends; empty: it can't say.
  std::optional<JournalPos> taken_over(uint64_t number) const {
    const auto next = headers_.find(number + 1);
    if (next == headers_.end() || !next->second) return std::nullopt;
    const JournalPos at = next->second->takes_over_from;
    const JournalPos begin(number * identity_.file_bytes);
    if (at < begin + kJournalAlign || at > begin + identity_.file_bytes) return std::nullopt;
    return at;
  }

  Status treat(uint64_t number) {
    const auto known = headers_.find(number);
    const bool there = known != headers_.end();
    std::optional<FileHeader> header = there ? known->second : std::nullopt;
    const size_t damage_before = result_.damage.size();
    const std::string path = path_of(number);
    reading_(path);
    // Also where the header's own word can't be right.
    const bool chained =
        header &&
        (!previous_end_ || (header->takes_over_from <= JournalPos(number * identity_.file_bytes) &&
                            header->takes_over_from >= *previous_end_));
    if (!chained) {
      if (there && problems_[number].empty())
        problems_[number] = "takes over from a position that is not in the file before it";
      note(path, 0, there ? kJournalAlign : identity_.file_bytes,
           there ? problems_[number] : "the file is missing");
      header = FileHeader{identity_.journal_id, number, identity_.file_bytes,
                          previous_end_.value_or(JournalPos(0))};
    }
    std::vector<Piece> pieces;
    std::optional<JournalFileReader> source;
    if (there) source = TRY(JournalFileReader::open_as(disk_, path, *header));
    TRY(survey(source ? &*source : nullptr, *header, taken_over(number), pieces));
    previous_end_ = pieces.empty() ? JournalPos(number * identity_.file_bytes) + kJournalAlign
                                   : pieces.back().end;
    if (result_.damage.size() == damage_before) return {};
    TRY(write_copy(source ? &*source : nullptr, *header, pieces));
    source.reset();
    return put_in_place(path, there);
  }

  /// Cuts the file into readable groups and damaged stretches, up to where the
  /// next file takes over, or to where a torn tail may begin.
  Status survey(JournalFileReader* file, const FileHeader& header,
                std::optional<JournalPos> taken_over, std::vector<Piece>& pieces) {
    using Kind = Piece::Kind;
    const JournalPos begin(header.number * header.file_bytes);
    if (file == nullptr) {
      if (taken_over && *taken_over > begin + kJournalAlign)
        pieces.push_back({Kind::damage, begin + kJournalAlign, *taken_over});
      return {};
    }
    JournalScan scan(*file, {.taken_over = taken_over,
                             .unsynced_bytes = unsynced_bytes_,
                             .failed_reads_are_damage = true});
    while (auto piece = TRY(scan.next())) {
      if (piece->kind == Kind::torn) break;
      if (piece->kind == Kind::damage)
        note(path_of(header.number), piece->begin - begin, piece->end - begin, piece->what);
      pieces.push_back(*std::move(piece));
    }
    return {};
  }

  Status write_copy(JournalFileReader* source, const FileHeader& header,
                    const std::vector<Piece>& pieces) {
    auto copy = TRY(disk_.open(directory_ + kTemporary, FileSystem::Open::truncate));
    TRY(copy->write_at(0, encode_file_header(header)));
    const JournalPos begin(header.number * header.file_bytes);
    for (const Piece& piece : pieces) {
      if (piece.kind == Piece::Kind::damage) {
        TRY(write_empty_groups(*copy, header, piece));
        continue;
      }
      const auto group = TRY(source->read(piece.begin));
      if (!group) return source->damage(piece.begin, "a group changed while it was read");
      time_ms_ = std::max(time_ms_, group->time_ms);
      TRY(copy->write_at(piece.begin - begin, source->group()));
    }
    if (TRY(copy->size()) < header.file_bytes) TRY(copy->truncate(header.file_bytes));
    return copy->sync();
  }

  Status write_empty_groups(File& copy, const FileHeader& header, const Piece& piece) {
    const JournalPos begin(header.number * header.file_bytes);
    for (JournalPos at = piece.begin; at < piece.end; at = at + kJournalAlign) {
      GroupHeader empty;
      empty.journal_id = header.journal_id;
      empty.file_number = header.number;
      empty.position = at;
      empty.durable_upto = at;
      empty.time_ms = time_ms_;
      std::string bytes(kGroupHeaderBytes, '\0');
      seal_group(empty, bytes);
      TRY(copy.write_at(at - begin, bytes));
    }
    return {};
  }

  Status put_in_place(const std::string& path, bool there) {
    const std::string whole = path + std::string(kWhole);
    TRY(disk_.rename(directory_ + kTemporary, whole));
    TRY(disk_.sync_directory(directory_));
    if (there) TRY(set_aside(path));
    TRY(disk_.rename(whole, path));
    return disk_.sync_directory(directory_);
  }

  Status set_aside(const std::string& path) {
    std::string aside = path + ".damaged";
    for (int i = 2; disk_.exists(aside); ++i) aside = fmt::format("{}.damaged-{}", path, i);
    TRY(disk_.rename(path, aside));
    result_.kept_aside.push_back(std::move(aside));
    return {};
  }

  void note(std::string path, uint64_t from, uint64_t to, std::string what) {
    result_.damage.push_back({std::move(path), from, to, std::move(what)});
  }

  FileSystem& disk_;
  const std::string& directory_;
  const uint64_t unsynced_bytes_;
  const Reading& reading_;
  std::map<uint64_t, std::optional<FileHeader>> headers_;  // by number
  std::map<uint64_t, std::string> problems_;
  Identity identity_;
  std::optional<JournalPos> previous_end_;  ///< of what counts in the file before
  int64_t time_ms_ = 0;
  Salvaged result_;
};

}  // namespace

Result<Salvaged> salvage_journal(FileSystem& files, const std::string& directory,
                                 uint64_t unsynced_bytes,
                                 const std::function<void(const std::string& path)>& reading) {
  return Salvage(files, directory, unsynced_bytes, reading).run();
}

}  // namespace clickmill::log
