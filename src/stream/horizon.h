#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/strong.h"

namespace clickmill::stream {

/// How far back a partition must remember ids, from log time and the nodes'
/// low-waters (DESIGN §5, "Which ids are kept").
///
/// stale_before (T there) = min(log time, every node's low-water) − 10 minutes, cut
/// to its hour; a click that arrived before it may have had a first copy whose id is
/// gone. first_kept_hour (F) = stale_before − dedup_hours: log hours before it are
/// forgotten. Neither ever falls. A node silent for stale_after_hours no longer holds
/// them back; silence counts log time, in which a jump counts as a minute, so that a
/// long shutdown of everything is no silence.
/// Deterministic: a function of the entries seen. Thread: worker.
class Horizon {
 public:
  /// An entry with this append_ms is being applied.
  void advance(LogMs append_ms);
  /// A node's low-water, as a batch or tick carries it; the node was heard since
  /// the entry before (a leader must not repeat what it was told long ago).
  void tell(std::string_view node, ArrivalMs low_water);
  /// A settings entry names a node: it counts from here if it was not known.
  void name(std::string_view node);
  /// A settings entry names all nodes: of the others those fallen silent are
  /// forgotten, which changes nothing but what is kept of them.
  void keep(const std::vector<std::string>& names, int64_t stale_after_hours);
  /// Takes the new values in; call after advance/tell/name of one entry.
  void settle(int64_t dedup_hours, int64_t stale_after_hours);

  /// As if log time had never been above `to`; not to be called where others apply the same
  /// entries. The owner brings back the ids of hours that are kept again.
  void set_back(LogMs to, int64_t dedup_hours, int64_t stale_after_hours);

  LogMs log_time() const { return log_time_; }
  /// Log time as silence counts it, since the partition began: what is kept for
  /// so many days is measured by it, so that a clock that jumped deletes nothing.
  int64_t age_ms() const { return age_ms_; }
  ArrivalMs stale_before() const { return stale_before_; }
  LogHour first_kept_hour() const { return first_kept_hour_; }
  /// Minimum of the low-waters of nodes not silent, at most log time.
  ArrivalMs low_water(int64_t stale_after_hours) const;

  struct Node {
    ArrivalMs low_water;
    int64_t silent_ms = 0;
    friend bool operator==(const Node&, const Node&) = default;
  };
  using Nodes = std::map<std::string, Node, std::less<>>;
  const Nodes& nodes() const { return nodes_; }

  void encode(std::string& out) const;
  static Result<Horizon> decode(ByteCursor& cursor);
  friend bool operator==(const Horizon&, const Horizon&) = default;

 private:
  Nodes nodes_;
  LogMs log_time_;
  int64_t age_ms_ = 0;
  ArrivalMs stale_before_;
  LogHour first_kept_hour_;
};

}  // namespace clickmill::stream
