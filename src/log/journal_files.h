#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/file_system.h"
#include "log/group_reader.h"
#include "log/journal_format.h"

namespace clickmill::log {

/// The journal's files on disk: pre-written spares, the one being written, and
/// older ones until they are released; then they become spares again under a
/// new number. fallocate alone would leave unwritten extents, which cost a
/// metadata write at every sync; so spares are written in full once.
///
/// Thread: advance, file by the journal's thread; release_before and readers any.
/// The mutex guards the lists of numbers and spares between the journal thread
/// and the preparing thread; no I/O is done under it.
class JournalFiles {
 public:
  JournalFiles(FileSystem& files, std::string directory, uint64_t file_bytes);
  ~JournalFiles();
  JournalFiles(const JournalFiles&) = delete;
  JournalFiles& operator=(const JournalFiles&) = delete;

  /// Takes over what recovery found, and the spares in the directory. Before anything else.
  Status adopt(uint64_t journal_id, std::deque<uint64_t> numbers);
  /// Makes a spare when there is none.
  Status keep_spare() { return keep_spare(Wanted::by_the_journal); }
  /// Begins the next file. After an error the new file's name may stand in the
  /// directory all the same, and be found by recovery: nothing may be written to
  /// the current one before advance has succeeded with the same position.
  Status advance(JournalPos takes_over_from);
  /// Goes on in the newest of the files that adopt() found, behind `end`. What stood
  /// `torn_bytes` behind it goes first: a group there would seem to follow a new one.
  Status resume(JournalPos end, uint64_t torn_bytes);
  File& file() { return *current_; }
  JournalPos current_begin() const { return JournalPos(current_number() * file_bytes_); }
  uint64_t current_number() const { return current_number_.load(std::memory_order_relaxed); }
  uint64_t count() const;
  uint64_t file_bytes() const { return file_bytes_; }
  uint64_t journal_id() const { return journal_id_; }
  GroupReader reader() const { return GroupReader(disk_, directory_, journal_id_, file_bytes_); }
  /// Bound of all files together, spares included; 0: none.
  void set_bytes_most(uint64_t bytes) { bytes_most_ = bytes; }
  /// Whether a further file would leave `reserve_bytes` of the disk, and of the bound.
  bool has_room_for_one_more(uint64_t reserve_bytes) const;
  void release_before(JournalPos position);
  /// Keeps a spare ready and recycles from a thread of its own; without it,
  /// advance and release_before do both themselves (tests, simulation).
  void start_preparing();
  /// Tells the thread to end: a spare that it is writing goes, after the piece that is on
  /// its way to the disk. Thread: any.
  void end_preparing();
  /// Does so and waits for it.
  void stop_preparing();

 private:
  enum class Wanted { by_the_journal, by_preparing };
  Status keep_spare(Wanted wanted);
  Result<std::string> take_spare();
  Result<std::string> make_spare(Wanted wanted);
  bool may_make_spare() const;
  std::string next_spare_name();
  Status label(const std::string& spare, const FileHeader& header);
  void discard(const std::string& path);
  Status recycle_released();
  Status recycle(uint64_t number);
  Status settle_names();
  bool has_released() const;
  void prepare_loop();

  FileSystem& disk_;
  const std::string directory_;
  const uint64_t file_bytes_;
  uint64_t journal_id_ = 0;
  std::unique_ptr<File> current_;
  std::atomic<uint64_t> current_number_{0};
  std::atomic<uint64_t> bytes_most_{0};

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<uint64_t> numbers_;  // oldest first, the current one included
  std::deque<std::string> spares_;
  uint64_t released_number_ = 0;  // files below may go
  uint64_t next_spare_ = 0;
  std::atomic<bool> preparing_{false};  // written under the mutex, for the wait
  // Whoever recycles: names that went, and spares made of them, until their
  // folder is synced.
  std::deque<std::string> freed_;
  bool names_unsynced_ = false;
  std::thread thread_;
};

}  // namespace clickmill::log
