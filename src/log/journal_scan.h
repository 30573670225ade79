#pragma once

#include <optional>
#include <string>

#include "log/journal_reader.h"

namespace clickmill::log {

/// Goes through what one journal file should hold and tells readable groups, damaged
/// stretches and a torn tail apart. The strict start stops at the first damage, an
/// operator's forced recovery copies what is readable around it.
///
/// What stands before the position from which the next file takes over was durable:
/// unreadable there is damage. In the newest file a bad stretch is damage when a later
/// group's durable_upto covers it, or when it and what follows are longer than
/// `unsynced_bytes`; any other is the torn tail, which was never acknowledged.
/// Borrows the file. Thread: one.
class JournalScan {
 public:
  struct Options {
    std::optional<JournalPos> taken_over;  ///< by the next file; empty: this is the newest
    uint64_t unsynced_bytes = 0;
    /// A block that the device can't give back is as lost as one that it gives back wrong.
    bool failed_reads_are_damage = false;
  };
  struct Piece {
    enum class Kind { group, damage, torn } kind;
    JournalPos begin;
    JournalPos end;  ///< of a torn tail: behind its last whole group
    std::optional<GroupHeader> header = std::nullopt;  ///< of a group
    std::string what = {};                             ///< of damage: what stood there
    std::string why = {};                              ///< and how one knows that it is damage
  };

  JournalScan(JournalFileReader& file, Options options);
  /// The next piece, oldest first, without gaps; nothing behind the last. The bytes of a
  /// group are in the file's reader until the next call.
  Result<std::optional<Piece>> next();

 private:
  Result<std::optional<GroupHeader>> whole_at(JournalPos position);
  Result<Piece> unreadable(JournalPos position);

  JournalFileReader& file_;
  const Options options_;
  const JournalPos limit_;
  JournalPos position_;
};

}  // namespace clickmill::log
