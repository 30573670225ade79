#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/file_system.h"
#include "base/result.h"
#include "base/strong.h"

namespace clickmill::sinks {

/// How far each partition's minute rows have arrived at a sink, in a file that holds the old
/// places or the new ones after any crash. Behind what was acknowledged by what was since the
/// last save(), which is then sent again.
/// Thread: one at a time.
class Progress {
 public:
  struct Place {
    /// Every row of a passed minute that the log up to there has changed has arrived as it was
    /// then, or newer; but for the rows of `walk`. 0 with a walk: it has not begun.
    Offset arrived;
    /// All rows are sent once, whatever changed them, from this minute (since 1970) less one on;
    /// 0: they have been.
    uint64_t walk = 1;
    bool begun() const { return arrived != Offset(0) || walk == 0; }
    friend bool operator==(const Place&, const Place&) = default;
  };
  /// A missing file: nothing has arrived yet. Errc::corrupt: it is damaged, and nobody knows.
  static Result<Progress> open(FileSystem& files, std::string path, size_t partitions);

  const Place& of(PartitionId id) const { return places_[id.value()]; }
  void set(PartitionId id, const Place& place);
  /// Makes them durable, if any has changed.
  Status save();
  /// As in the file, and to other nodes; none when they are malformed.
  std::string told() const;
  static std::vector<Place> parse(ByteCursor& told, size_t partitions);

 private:
  Progress(FileSystem& files, std::string path, size_t partitions)
      : files_(&files), path_(std::move(path)), places_(partitions) {}

  FileSystem* files_;
  std::string path_;
  std::vector<Place> places_;
  bool changed_ = false;
};

}  // namespace clickmill::sinks
