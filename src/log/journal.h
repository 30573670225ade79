#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/file_system.h"
#include "base/metrics.h"
#include "base/node_clock.h"
#include "log/group_reader.h"
#include "log/journal_files.h"
#include "log/journal_recovery.h"

namespace clickmill::log {

/// Hears what became of one or more appended records. Calls come on the
/// journal's thread, one after the other, and must not block.
class JournalWaiter {
 public:
  virtual ~JournalWaiter() = default;
  /// The record is in the page cache: it survives a kill, not a power loss.
  /// Told once, though a failure may make the journal write it again.
  virtual void written() {}
  /// The record is durable in the group at `position`; its payload is given back.
  virtual void durable(JournalPos position, std::string&& payload) = 0;
  /// The journal has stopped; the record may or may not be found after a restart.
  virtual void failed(const Error& error, std::string&& payload) = 0;
};

/// Who goes first into a group, so that a bulk body delays no user. Redirects
/// and bulk are the spool's clicks, the first to stop when the disk fills; the
/// rest is what makes room again (entries, trims), so it must not wait for them.
enum class Lane : uint8_t { votes = 0, redirects = 1, log = 2, bulk = 3 };
inline constexpr size_t kLanes = 4;
constexpr bool holds_clicks(Lane lane) { return lane == Lane::redirects || lane == Lane::bulk; }

struct Append {
  Lane lane = Lane::log;
  RecordKind kind = RecordKind::entry;
  PartitionId partition;
  std::string payload;
  std::shared_ptr<JournalWaiter> waiter;  ///< may be null
  bool told_written = false;              ///< the journal's own
};

/// The node's write-ahead journal: every byte that must survive goes through it.
/// Format: top of journal_format.cpp. Group commit: one write and one fdatasync
/// serve all records that wait; the next sync starts when the last returned.
///
/// Positions name file and byte and are never reused.
/// Errors: after a failed write or fdatasync everything not known durable is
/// rewritten from memory to a new file (the old one's pages may be clean but
/// lost). While the disk is full, or fails again and again, records wait in memory
/// and are tried again by themselves; append answers Errc::busy at `queue_bytes`.
/// Clicks stop earlier, when one more file would touch the reserve: they wait in
/// memory while everything else is still written. Bulk is refused then, since
/// its sender can wait better than we can.
/// Thread: append, release_before, readers of state: any; pump: one thread.
class Journal {
 public:
  struct Options {
    uint64_t file_bytes = 64 << 20;
    uint64_t group_bytes = 256 << 10;
    uint64_t unsynced_bytes = 4 << 20;  ///< at most so much stands between two syncs
    uint64_t queue_bytes = 64 << 20;    ///< of clicks that wait; bulk takes half of it at most
    uint64_t files_bytes_most = 0;      ///< of all files; 0: as much as the disk has
    uint64_t reserve_bytes = 0;         ///< of that, or of the disk, which clicks leave to the rest
    /// A start goes on in the newest file when less of it is written; else in a new one.
    uint64_t continue_bytes = 0;
    /// Under load a sync waits until so long after the last one for company, or until there are
    /// linger_bytes to write: fewer, fuller groups for a delay that nobody notices. A record
    /// that comes after a quiet moment never waits. With votes or entries among them, whose
    /// commit others wait for, it is log_linger_us.
    int64_t linger_us = 1'000;
    int64_t log_linger_us = 300;
    uint64_t linger_bytes = 10 << 10;
  };
  enum class Health : uint8_t { ok, no_room, failing };

  /// Finds the end of what is there (see JournalRecovery) and is ready to write behind
  /// it, in a new file, which begins with the first record: a start that comes to nothing
  /// leaves none. A file of which little is written is gone on with, or one that is killed
  /// again and again before it has caught up would gather them. replay() must follow before
  /// anything is released. On a disk that is full or can't be written it opens all the same,
  /// and begins the file when it can.
  static Result<std::unique_ptr<Journal>> open(FileSystem& files, const std::string& directory,
                                               NodeClock& clock, Options options);
  /// Hands on what stood there, oldest first; beside append and pump, and again after an
  /// error, until end_replay(). Thread: one.
  Status replay(const Replay& replay);
  void end_replay();
  /// Both in one, and the new file is begun.
  static Result<std::unique_ptr<Journal>> open(FileSystem& files, const std::string& directory,
                                               NodeClock& clock, Options options,
                                               const Replay& replay);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// Queues a record. Errc::busy: its lane is full. Errc::closed: it is stopping.
  /// Errc::invalid: longer than record_bytes_max(). On an error nothing was
  /// queued and the waiter hears nothing.
  Status append(Append&& record);
  /// Everything before is no longer needed; its files are recycled or deleted.
  void release_before(JournalPos position);

  /// Reads durable groups back, for as long as they are not released.
  GroupReader reader() const { return files_.reader(); }

  /// Starts the journal thread and the one that prepares files.
  void start();
  /// Writes and syncs what waits, clicks into the reserve if need be, then ends
  /// the threads. Later appends: closed; what could not be written hears failed().
  void stop();
  /// One round without threads: writes what waits, syncs, tells the waiters.
  /// False when there was nothing to do or it failed. For tests and simulation.
  bool pump();

  Health health() const { return health_.load(std::memory_order_relaxed); }
  /// False while a vote or an entry waits for the disk for longer than a second, and for ten
  /// seconds after that. Thread: any.
  bool keeps_up() const;
  /// Whether clicks wait in memory because only the reserve is left.
  bool clicks_wait() const { return clicks_wait_.load(std::memory_order_relaxed); }
  /// Everything before it is durable, and stays as it is.
  JournalPos durable_end() const { return JournalPos(durable_end_); }
  /// Number of the file that is written now, and how many there are.
  uint64_t current_file() const { return files_.current_number(); }
  uint64_t file_count() const { return files_.count(); }
  uint64_t file_bytes() const { return files_.file_bytes(); }
  /// What is unsynced fits under unsynced_bytes with any one record in it.
  uint64_t record_bytes_max() const { return options_.unsynced_bytes - 2 * kJournalAlign; }
  /// Bytes that wait in the lanes.
  uint64_t queued_bytes() const { return queued_total_.load(std::memory_order_relaxed); }
  struct Stats {
    Counter groups;
    Counter syncs;
    Counter bytes;
    Counter rewrites;
    Histogram sync_took;
  };
  const Stats& stats() const { return stats_; }
  const Recovered& recovered() const { return recovered_; }
  /// Where the newest group begins that was synced since the start; 0: there is none.
  JournalPos last_durable() const { return JournalPos(last_durable_.load()); }

 private:
  struct Group {
    JournalPos position;
    std::vector<Append> appends;
  };
  Journal(FileSystem& files, const std::string& directory, NodeClock& clock, Options options);

  void run();
  bool wait_for_work();
  void linger();
  bool may_queue(Lane lane, uint64_t bytes) const;
  uint64_t held_bytes(Lane lane) const;
  bool may_write(size_t lane) const;
  bool has_writable() const;
  bool holds_log() const;
  void look_for_room();
  bool take_queued(std::vector<Append>& out);
  void give_back(std::vector<Append>&& records);
  Status write_and_sync(std::vector<Append>& records);
  Status write_all(std::vector<Append>& records, size_t& written);
  Status make_room(uint64_t bytes);
  Status write_group(std::string& bytes, uint32_t records);
  Status settle_recovered();
  Status continue_file();
  Status next_file();
  Status sync_unsynced();
  void complete_unsynced();
  void set_durable(JournalPos position);
  void note_health(const Status& done);
  void note_log_durable(int64_t round_began_ns);
  Status wait_if_passing(const Status& failed);
  void fail_queued(const Error& error);
  void note_durable_when_idle();

  NodeClock& clock_;
  const Options options_;
  Recovered recovered_;
  JournalFiles files_;
  Stats stats_;
  std::atomic<Health> health_{Health::ok};
  std::atomic<bool> clicks_wait_{false};
  std::atomic<uint64_t> last_durable_{0};
  /// Not after the oldest vote or entry came that is not durable; 0: none waits. Set under mutex_.
  std::atomic<int64_t> log_waits_since_ns_{0};
  std::atomic<int64_t> slow_until_ns_{INT64_MIN};

  // Journal thread only.
  std::vector<Group> unsynced_;
  JournalPos end_;                        ///< where the next group goes
  JournalPos durable_upto_;               ///< everything below is synced
  std::atomic<uint64_t> durable_end_{0};  ///< the same, for others
  int64_t last_sync_ns_ = 0;
  bool noted_durable_ = true;  ///< a group on disk already says so
  uint64_t room_seen_in_ = 0;  ///< number of the file in which room for the next was seen
  /// A write, a sync or a change of files went wrong: nothing more may be written
  /// to the current file. Some of it may be lost, and the name of a next file,
  /// which voids it from durable_upto_ on, may stand in the directory already.
  /// At first there is none.
  bool abandon_file_ = true;
  bool may_continue_ = false;  ///< the newest file that recovery found

  // Guards the lanes below, which any thread fills and the journal thread
  // empties whole: a mailbox with three classes and a byte bound. Innermost lock.
  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable enough_;  ///< of what linger() waits for
  std::array<std::deque<Append>, kLanes> lanes_;
  std::array<uint64_t, kLanes> lane_bytes_{};
  bool stopping_ = false;
  /// Until end_replay(). Guarded as well: the journal thread may need it once more.
  std::shared_ptr<JournalRecovery> recovery_;
  std::atomic<uint64_t> queued_total_{0};
  std::thread thread_;
};

}  // namespace clickmill::log
