#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cluster/log_reader.h"
#include "cluster/review_desk.h"
#include "cluster/version_reader.h"
#include "sinks/progress.h"
#include "sinks/touched.h"
#include "store/retention.h"

namespace clickmill::sinks {

/// One partition's minute rows on their way to a table. The log tells which rows may have
/// changed; what they hold now comes from the partition's state. So a row is always sent whole,
/// with a version that grows with the log, and sending it again does no harm.
/// Rows of minutes that have not passed wait; a partition whose place in the log is not known,
/// or was dropped by retention, sends all its rows once (the walk).
/// Thread: the sink's.
class MinuteFeed {
 public:
  /// All borrowed.
  struct Source {
    const cluster::LogReader& log;
    const cluster::VersionReader& versions;
    const cluster::ReviewDesk& review;
    const store::Retention* retention;  ///< null: rows are kept for ever
  };
  /// What was gathered, until it has arrived.
  struct Rows {
    std::string text;  ///< one JSON object a line
    size_t count = 0;
    std::vector<Touched::Key> keys;  ///< the rows asked for, those that are not there too
    std::optional<uint64_t> walk;    ///< where the walk is once they have arrived
    Offset applied;                  ///< the state that they were in
    LogMs log_time;
    uint64_t life = 0;
    bool nothing() const { return keys.empty() && !walk; }
  };
  MinuteFeed(PartitionId id, const Progress::Place& place)
      : id_(id), walk_(place.walk), begun_(place.begun()), read_(place.arrived) {}
  MinuteFeed(const MinuteFeed&) = delete;
  MinuteFeed& operator=(const MinuteFeed&) = delete;

  /// The partition is there: its time, and whether its log was set back. True: it was, and all
  /// rows are sent once more.
  bool look_at(const cluster::Partition::State& state);
  /// Reads a block of the log, nothing that is not applied yet, while fewer than `keys_most`
  /// rows wait. True: there is more.
  Result<bool> read(const Source& source, size_t keys_most);
  /// Some of what is due; nothing() when nothing is.
  Result<Rows> gather(const Source& source);
  /// They have arrived.
  void sent(const Rows& rows);

  /// Forgets what waits, and goes on from there.
  void begin_at(const Progress::Place& place);
  Progress::Place place() const;
  /// How far all that is due has arrived, and since when the oldest that has not is due, in log
  /// time; none: that is not known.
  struct Lag {
    Offset arrived;
    std::optional<int64_t> since_ms;
  };
  Lag lag() const;
  PartitionId id() const { return id_; }
  size_t waiting() const { return touched_.size(); }
  bool walking() const { return walk_ != 0; }

 private:
  Result<store::Version> version(const Source& source, int64_t from_ms, int64_t to_ms);
  Status pass(const log::Entry& entry, const Source& source);
  Status pass_clicks(const log::Entry& entry);
  Status pass_decision(const log::Entry& entry, const Source& source);
  Status pass_repair(const log::Entry& entry);
  void begin_walk();
  Result<Rows> begun_rows(const Source& source);
  Result<Rows> due_rows(std::vector<Touched::Key> keys, const Source& source);
  Result<Rows> walk_rows(const Source& source);
  Touched::Due due() const;
  Rows rows_at(const store::Version& version) const;
  void add(const store::Row& row, uint64_t automated, Rows& rows) const;

  const PartitionId id_;
  uint64_t walk_;
  bool begun_;
  Offset read_;  ///< of the log, at least
  Offset applied_;
  LogMs log_time_;
  int64_t grace_ms_ = 30'000;
  uint64_t last_version_ = 0;
  uint64_t life_ = 0;  ///< grows with each begin_at()
  int64_t window_ms_ = kHourMs;
  Touched touched_;
};

}  // namespace clickmill::sinks
