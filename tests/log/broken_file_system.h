#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/file_system.h"
#include "log/journal_format.h"

namespace clickmill::log {

/// What a careless journal would do differently, seen from the disk: each flaw
/// leaves a step out or writes a byte differently, as that journal would.
enum class Flaw {
  none,
  answers_before_sync,           ///< groups are never synced
  new_name_not_synced,           ///< the folder is not synced after a new file's renaming
  header_synced_after_name,      ///< nor its header before
  reuses_before_name_is_synced,  ///< the folder is not synced after a file became a spare
  recovery_syncs_nothing,        ///< what was read is handed on as it is
  recovery_writes_nothing_back,  ///< and only synced
  retries_failed_sync,           ///< instead of writing anew
  ignores_failed_write,
  durable_upto_ahead,      ///< of the sync: each group says that all before it is durable
  takes_over_from_all,     ///< the next file doesn't void what was rewritten into it
  no_number_in_checksum,   ///< a group of a former life of the file is believed
  no_checksum_of_records,  ///< a plausible header is believed
  frees_a_file_too_early,  ///< JournalLife::free_too_much
};

/// Stands between a sound journal and the simulated disk and puts one flaw in.
class BrokenFileSystem final : public FileSystem {
 public:
  BrokenFileSystem(FileSystem& base, Flaw flaw) : base_(base), flaw_(flaw) {}

  Result<std::unique_ptr<File>> open(const std::string& path, Open mode) override {
    auto file = TRY(base_.open(path, mode));
    return std::unique_ptr<File>(std::make_unique<BrokenFile>(*this, std::move(file)));
  }
  Status rename(const std::string& from, const std::string& to) override {
    TRY(base_.rename(from, to));
    if (is_journal(to)) recovering_ = false;
    skip_sync_ = is_journal(to) ? flaw_ == Flaw::new_name_not_synced
                                : flaw_ == Flaw::reuses_before_name_is_synced;
    return {};
  }
  Status sync_directory(const std::string& directory) override {
    if (std::exchange(skip_sync_, false)) return {};
    return base_.sync_directory(directory);
  }
  Status remove(const std::string& path) override { return base_.remove(path); }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    // The journal lists its folder when it recovers, until its first new file.
    recovering_ = true;
    return base_.list(directory);
  }
  Status create_directories(const std::string& directory) override {
    return base_.create_directories(directory);
  }
  bool exists(const std::string& path) override { return base_.exists(path); }
  Result<Space> space(const std::string& path) override { return base_.space(path); }
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    return base_.lock(path);
  }

 private:
  static bool is_journal(const std::string& path) { return path.ends_with(".journal"); }

  class BrokenFile final : public File {
   public:
    BrokenFile(BrokenFileSystem& disk, std::unique_ptr<File> base)
        : File(base->path()), disk_(disk), base_(std::move(base)) {}

    Status write_at(uint64_t position, std::string_view bytes) override {
      if (disk_.recovering_ && is_journal(path()) && is(Flaw::recovery_writes_nothing_back))
        return {};
      std::string changed(bytes);
      if (position == 0) change_file_header(changed);
      if (position > 0) change_group(changed);
      auto done = base_->write_at(position, changed);
      if (!done && done.error().code() == Errc::io && is(Flaw::ignores_failed_write)) return {};
      return done;
    }
    Status read_at(uint64_t position, size_t length, std::string& out) override {
      TRY(base_->read_at(position, length, out));
      if (position > 0 && is_journal(path())) TRY(believe(position, out));
      return {};
    }
    Status sync() override {
      const bool of_groups = is_journal(path()) && !disk_.recovering_;
      const bool of_recovery = is_journal(path()) && disk_.recovering_;
      if (of_groups && is(Flaw::answers_before_sync)) return {};
      if (of_recovery && is(Flaw::recovery_syncs_nothing)) return {};
      if (!is_journal(path()) && is(Flaw::header_synced_after_name)) return {};
      auto done = base_->sync();
      if (!done && of_groups && is(Flaw::retries_failed_sync)) return base_->sync();
      return done;
    }
    Result<uint64_t> size() override { return base_->size(); }
    Status truncate(uint64_t length) override { return base_->truncate(length); }

   private:
    bool is(Flaw flaw) const { return disk_.flaw_ == flaw; }

    void change_file_header(std::string& bytes) const {
      auto header = decode_file_header(bytes);
      if (!header || !is(Flaw::takes_over_from_all)) return;
      header->takes_over_from = JournalPos(header->number * header->file_bytes);
      bytes = encode_file_header(*header);
    }
    void change_group(std::string& bytes) const {
      auto header = peek_group(bytes, bytes.size());
      if (!header || !is(Flaw::durable_upto_ahead)) return;
      header->durable_upto = header->position;
      bytes.resize(kGroupHeaderBytes + header->payload_bytes);
      seal_group(*header, bytes);
    }
    /// Makes of what was read the group that a reader who checks less would see.
    Status believe(uint64_t position, std::string& out) {
      if (!is(Flaw::no_number_in_checksum) && !is(Flaw::no_checksum_of_records)) return {};
      const uint64_t size = TRY(base_->size());
      auto header = peek_group(out, size - position);
      if (!header) return {};
      std::string group, head;
      TRY(base_->read_at(position, kGroupHeaderBytes + header->payload_bytes, group));
      TRY(base_->read_at(0, kJournalAlign, head));
      const auto file = decode_file_header(head);
      const bool whole = group_is_whole(*header, group);
      if (!file || (is(Flaw::no_number_in_checksum) && !whole)) return {};
      if (is(Flaw::no_checksum_of_records) && header->file_number != file->number) return {};
      header->file_number = file->number;
      header->position = JournalPos(file->number * file->file_bytes + position);
      seal_group(*header, group);
      out.assign(group, 0, out.size());
      return {};
    }

    BrokenFileSystem& disk_;
    std::unique_ptr<File> base_;
  };

  FileSystem& base_;
  const Flaw flaw_;
  bool recovering_ = false;
  bool skip_sync_ = false;
};

}  // namespace clickmill::log
