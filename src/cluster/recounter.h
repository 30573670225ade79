#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "cluster/log_reader.h"
#include "stream/recount.h"

namespace clickmill::cluster {

struct RecountRequest {
  int64_t from_ms = 0;  ///< whole minutes
  int64_t to_ms = 0;
  std::string ad_id;    ///< empty: every ad
  bool repair = false;  ///< puts repair records for what differs into the log
  std::string by;       ///< name of the key that asks
};

/// Recounts a running node's log (stream::recount) and compares it with what is
/// stored, partition by partition, each as of one applied offset. One recount at a
/// time, on a thread of its own that gives way to all others. What it finds is kept
/// until the next one begins.
///
/// Memory: `ids_most` identities, `rows_most` rows of each side; where a range has
/// more rows it is taken in shorter pieces. Thread: any, but for stop().
class Recounter {
 public:
  struct Options {
    /// The data's. Thread: any.
    std::function<uint64_t()> seed = [] { return uint64_t{0}; };
    size_t ids_most = 1'000'000;
    size_t rows_most = 100'000;
    size_t listed_most = 10'000;  ///< differences that are kept; the rest are only counted
  };
  Recounter(Owned& owned, const LogReader& log, Options options)
      : owned_(owned), log_(log), options_(options) {}
  ~Recounter() { stop(); }
  Recounter(const Recounter&) = delete;
  Recounter& operator=(const Recounter&) = delete;

  /// Begins one and answers its number. Errc::busy names the one that is under way;
  /// Errc::not_leader: the ad is in a partition of other nodes.
  Result<uint64_t> start(RecountRequest request);

  /// One minute of one ad that is stored otherwise than recounted.
  struct Found {
    std::string advertiser_id;
    std::string ad_id;
    bool automated = false;
    int64_t minute_ms = 0;
    struct Side {
      uint64_t clicks = 0;
      uint64_t unique_users = 0;
    };
    Side stored;
    Side recounted;
    std::string text;       ///< see stream::to_text
    bool repaired = false;  ///< and checked by another recount of that minute
  };
  enum class State : uint8_t { running, done, failed, cancelled };
  struct Report {
    uint64_t id = 0;
    State state = State::running;
    std::string failure;
    RecountRequest request;
    std::vector<PartitionId> partitions;  ///< to be looked at: those that this node holds
    uint32_t partitions_done = 0;
    uint64_t entries = 0;   ///< read from the log, each reading of it
    uint64_t clicks = 0;    ///< of the range, copies included
    uint64_t compared = 0;  ///< minutes of ads
    uint64_t differ = 0;
    uint64_t repaired = 0;
    /// Minutes before it lack clicks or ids that the log no longer holds, and were not compared.
    int64_t judged_from_ms = INT64_MIN;
    std::vector<Found> found;  ///< at most `limit`, from `after` on
  };
  /// Errc::not_found: that recount is not the last one.
  Result<Report> report(uint64_t id, size_t after, size_t limit) const;
  /// Ends it soon if it is under way. Errc::not_found as above.
  Status cancel(uint64_t id);
  /// Ends what is under way and waits for it. Thread: the one that destroys it.
  void stop();

 private:
  struct Comparison;
  void run();
  bool is_here(PartitionId partition) const;
  Status recount_partition(PartitionId partition);
  Status recount_piece(PartitionId partition, int64_t from_ms, int64_t to_ms);
  Result<Comparison> compare(PartitionId partition, int64_t from_ms, int64_t to_ms);
  Result<stream::Recounted> recount_log(PartitionId partition, const Comparison& stored,
                                        int64_t from_ms, int64_t to_ms);
  Result<std::vector<stream::Difference>> repair(PartitionId partition,
                                                 std::vector<stream::Difference> differences);
  void note(const Comparison& comparison, const std::vector<stream::Difference>& left);
  Status read_log(PartitionId partition, Offset from, Offset last,
                  const std::function<Status(const log::Entry&)>& visit);

  Owned& owned_;
  const LogReader& log_;
  const Options options_;
  std::atomic<bool> cancelled_{false};
  RecountRequest request_;           ///< of the one under way
  std::vector<PartitionId> wanted_;  ///< likewise: those that are on this node

  // Guards the report between the recount's thread and those who ask.
  mutable std::mutex mutex_;
  Report report_;  ///< but for `found`
  std::vector<Found> found_;
  std::thread thread_;
};
std::string_view to_string(Recounter::State state);

}  // namespace clickmill::cluster
