#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/metrics.h"
#include "log/compression.h"
#include "log/entry.h"
#include "log/older_segment.h"

namespace clickmill::log {

/// The sealed part of one partition's log: files of checksummed, compressed
/// blocks, found through a manifest. Committed entries only; immutable.
/// Formats: top of segment.cpp and manifest.cpp.
///
/// A directory holds `manifest` and `<first offset, 20 digits>.segment`. Blocks
/// are appended to the last segment until it passes `segment_bytes`, or until one
/// begins in another day of log time than the segment's first: then it is closed
/// with a footer (block index) and the next one begins. So what is dropped by age
/// goes within a day of it, however little there is. The manifest is
/// an append-only list of checksummed edits (block added, segment closed,
/// segment dropped), rewritten whole when it has grown; so opening reads the
/// manifest alone, never the segments.
///
/// Durability: seal() returns after segment data, then manifest edit (in that
/// order) are synced; a crash in between leaves bytes behind the last listed
/// block, which are cut off or overwritten by the next seal.
/// A damaged manifest is made anew from the segments; where they don't follow each other,
/// what is gone is listed as by bridge().
/// A segment that can't be gone on with is closed as it is: what can't be read in it is lost,
/// and a new one begins.
/// Errors: Errc::corrupt names file and byte. After a failed seal the object
/// stays usable for reading and seal may be retried: it starts again from the
/// last listed block and rewrites everything behind it, so that what a failed
/// sync has dropped is written, not only synced, a second time.
/// Reading an offset that a drop takes away meanwhile may answer not_found.
/// Thread: any, concurrently; what changes them (seal, drop, take_older …) waits for each other.
class Segments {
 public:
  struct Options {
    uint64_t segment_bytes = 268'435'456;
    Compression compression = Compression::lz4;
  };

  /// Opens or creates. `codec` is borrowed and outlives it.
  static Result<std::unique_ptr<Segments>> open(FileSystem& files, std::string directory,
                                                const Codec& codec, Options options);
  virtual ~Segments() = default;

  /// Appends whole blocks: `entries` are contiguous, start right after last(),
  /// and are cut into blocks by same_block().
  virtual Status seal(std::span<const Entry> entries) = 0;
  /// Offsets covered: first() > last() when empty. last() is 0 at the start.
  virtual Offset first() const = 0;
  virtual Offset last() const = 0;
  virtual Term last_term() const = 0;
  /// Of the entry before first().
  virtual Term dropped_term() const = 0;
  /// Newest log time up to last(); 0: not known, or nothing was ever there.
  virtual LogMs last_append_ms() const = 0;
  /// Decoded entries of the block that holds `offset` (or the first after it),
  /// those before `offset` included. Errc::not_found past the end or before
  /// first() when nothing follows.
  virtual Result<std::vector<Entry>> read_block(Offset offset) const = 0;
  /// First offset whose block's max_append_ms >= time; empty when all is older.
  virtual Result<std::optional<Offset>> find_time(LogMs time) const = 0;
  /// Drops whole closed segments that end before `offset` and whose newest
  /// append_ms is below `older_than`: manifest first, then unlink.
  virtual Status drop(Offset before, LogMs older_than) = 0;
  /// Forgets all that it holds and goes on behind `last`, which is beyond it, as if everything
  /// up to there had been dropped. Errors: it isn't known whether it has; it must be called
  /// again before anything else.
  virtual Status reset_to(Offset last, Term term, LogMs append_ms) = 0;
  /// A segment that is to get in front of first(); `first`: of it.
  virtual Result<std::unique_ptr<OlderSegment>> begin_older(Offset first) = 0;
  /// Lists it, durably. `before`: term of the entry before it; 0: there is none. Errc::invalid:
  /// it doesn't end where first() begins.
  virtual Status take_older(OlderSegment& older, Term before) = 0;
  /// A closed segment, as far as it matters for dropping it.
  struct Closed {
    Offset first;
    Offset last;
    LogMs max_append_ms;
    uint64_t bytes = 0;
  };
  /// What it should hold behind last() up to `upto` is gone, and the log goes on behind that:
  /// it is listed as a segment whose file is missing, and reading there says so. `term` and
  /// `append_ms`: those of the entry at `upto`, or not above them.
  virtual Status bridge(Offset upto, Term term, LogMs append_ms) = 0;
  /// Oldest first. The segment that is still written to is not among them.
  virtual std::vector<Closed> closed() const = 0;
  /// What was damaged when it was opened, and that it was mended; empty: nothing was.
  virtual const std::string& mended() const = 0;
  /// Bytes on disk of the listed segments.
  virtual uint64_t bytes() const = 0;
  struct VerifyReport {
    uint64_t blocks = 0;
    uint64_t entries = 0;
    std::vector<std::string> damage;  ///< one line each: file, byte, what
  };
  /// Is told how many bytes are read next, and may wait; false ends the reading.
  using Pace = std::function<bool(uint64_t bytes)>;
  /// Reads everything: every checksum, offset continuity, manifest against files.
  virtual VerifyReport verify(const Pace& pace) const = 0;
  VerifyReport verify() const {
    return verify([](uint64_t) { return true; });
  }
};

/// In place of segments that can't be opened: they hold nothing, end where bridge() says, and
/// whatever else is asked of them answers `why`.
std::unique_ptr<Segments> unusable_segments(std::string why);

}  // namespace clickmill::log
