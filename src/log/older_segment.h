#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "log/compression.h"
#include "log/segment.h"

namespace clickmill::log {

/// A segment that another node's log has and this one lacks at its beginning, on its way:
/// Segments::begin_older() makes it, Segments::take_older() lists it. Until then its file has a
/// name that no log looks at (`<first offset>.segment.older`), and goes with it.
/// Thread: background.
class OlderSegment {
 public:
  /// `files` and `codec` are borrowed.
  static Result<std::unique_ptr<OlderSegment>> begin(FileSystem& files, std::string path,
                                                     Offset first, const Codec& codec,
                                                     Compression compression);
  ~OlderSegment();
  OlderSegment(const OlderSegment&) = delete;
  OlderSegment& operator=(const OlderSegment&) = delete;

  /// What comes next. Errc::invalid: it has a gap.
  Status add(std::span<const Entry> entries);
  /// First offset that add() has not had yet.
  Offset next() const { return next_; }
  /// All of it stands in its file, durably. May be called again after an error of what follows.
  Result<SegmentInfo> close();
  const std::string& path() const { return path_; }
  /// Its file has another name now.
  void keep() { kept_ = true; }

 private:
  OlderSegment(FileSystem& files, std::string path, Offset first, const Codec& codec,
               Compression compression)
      : files_(files),
        path_(std::move(path)),
        codec_(codec),
        compression_(compression),
        next_(first) {}
  Status write_blocks(bool all);

  FileSystem& files_;
  const std::string path_;
  const Codec& codec_;
  const Compression compression_;
  Offset next_;
  std::unique_ptr<SegmentWriter> writer_;  ///< null once it is closed
  std::vector<Entry> held_;                ///< whose block may go on
  SegmentInfo info_;
  bool kept_ = false;
};

}  // namespace clickmill::log
