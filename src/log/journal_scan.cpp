#include "log/journal_scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace clickmill::log {

JournalScan::JournalScan(JournalFileReader& file, Options options)
    : file_(file),
      options_(options),
      limit_(std::min(options.taken_over.value_or(JournalPos(UINT64_MAX)),
                      file.begin() + file.header().file_bytes)),
      position_(file.first_group()) {}

Result<std::optional<GroupHeader>> JournalScan::whole_at(JournalPos position) {
  auto header = file_.read(position);
  if (!header && options_.failed_reads_are_damage) return std::optional<GroupHeader>();
  if (header && *header && position + file_.group().size() > limit_)
    return std::optional<GroupHeader>();
  return header;
}

Result<std::optional<JournalScan::Piece>> JournalScan::next() {
  if (position_ >= limit_) return std::optional<Piece>();
  if (const auto header = TRY(whole_at(position_))) {
    Piece piece{Piece::Kind::group, position_, position_ + file_.group().size(), header};
    position_ = piece.end;
    return std::optional(std::move(piece));
  }
  auto piece = TRY(unreadable(position_));
  position_ = piece.kind == Piece::Kind::torn ? limit_ : piece.end;
  return std::optional(std::move(piece));
}

/// Looks at all that follows: no length in an unreadable group can be believed.
Result<JournalScan::Piece> JournalScan::unreadable(JournalPos position) {
  const bool newest = !options_.taken_over;
  std::optional<JournalPos> resumes;
  JournalPos last_seen = position;
  bool durable = false;
  for (JournalPos later = position + kJournalAlign; later < std::min(limit_, file_.end());
       later = later + kJournalAlign) {
    const auto header = TRY(whole_at(later));
    if (!header) continue;
    if (!resumes) resumes = later;
    if (!newest) break;
    last_seen = later + file_.group().size();
    durable = durable || header->durable_upto > position;
  }
  if (newest && !durable && last_seen - position <= options_.unsynced_bytes)
    return Piece{Piece::Kind::torn, position, last_seen};
  Piece piece{Piece::Kind::damage, position, resumes.value_or(limit_)};
  piece.what = fmt::format("unreadable group ({})", file_.describe(position));
  if (!newest) {
    piece.why = fmt::format("; file {} takes over only from byte {}", file_.header().number + 1,
                            *options_.taken_over - file_.begin());
  } else if (durable) {
    piece.why = " that a later one calls durable";
  } else {
    piece.why = fmt::format(
        ", and {} bytes from it to the last whole one: more than could have been unsynced",
        last_seen - position);
  }
  return piece;
}

}  // namespace clickmill::log
