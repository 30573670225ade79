#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "cluster/log_reader.h"
#include "http/message.h"
#include "query/request.h"

namespace clickmill::query {

/// The recorded clicks of one partition as NDJSON, read piece by piece: it holds
/// one block's entries at most, however much is asked for.
///
/// Ends at what was committed when it began, or at the limit. Begins and goes on where it was
/// asked to or not at all: Errc::not_found names the offset that retention has dropped, and
/// the first one that is kept.
/// Thread: query (one at a time).
class RawClicks final : public http::BodyStream {
 public:
  static Result<std::unique_ptr<RawClicks>> begin(const cluster::LogReader& log,
                                                  PartitionId partition,
                                                  const RawClicksRequest& request);

  /// Appends some lines, or none for a stretch without clicks; false at the end.
  /// One call reads one block at most.
  Result<bool> read(std::string& out);
  /// The same for a connection. Throws on an error: a body that breaks off is
  /// the only way left to tell the client that something is missing.
  bool next(std::string& out) override;

  /// The last offset that is looked at.
  Offset until() const { return until_; }
  /// Goes on with what has been committed since. Only after the end, before the limit.
  Status extend();

 private:
  RawClicks(const cluster::LogReader& log, PartitionId partition, const RawClicksRequest& request)
      : log_(log),
        partition_(partition),
        from_(request.from.value_or(LogMs(0))),
        lines_left_(request.limit) {}
  bool ended() const { return lines_left_ == 0 || next_ > until_; }
  bool full(const std::string& out) const { return out.size() >= kPieceBytes || ended(); }
  Status fetch();
  Status still_kept() const;
  Status append_entry(const log::Entry& entry, std::string& out);
  Status open_entry(const log::Entry& entry);
  Status append_line(const log::Entry& entry, std::string& out);

  static constexpr size_t kPieceBytes = 256 * 1024;

  const cluster::LogReader& log_;
  const PartitionId partition_;
  const LogMs from_;  ///< older entries are passed over
  uint64_t lines_left_;
  Offset next_;  ///< the first offset not looked at yet
  Offset until_;
  cluster::Partition::Entries entries_;  ///< read and not yet written out, from at_ on
  size_t at_ = 0;
  std::optional<ByteCursor> records_;  ///< within the entry at at_; empty: not begun
  bool again_ = false;                 ///< of that entry's header
};

}  // namespace clickmill::query
