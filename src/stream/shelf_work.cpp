#include "stream/shelf_work.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/assert.h"
#include "base/damage.h"
#include "base/fail_point.h"
#include "base/logging.h"
#include "state/slots.h"
#include "store/merge.h"
#include "stream/checkpoint.h"

namespace clickmill::stream {
namespace {

Result<uint64_t> clicks_of(const store::PartList& parts) {
  store::Scan all;
  all.from_ms = std::numeric_limits<int64_t>::min();
  all.to_ms = std::numeric_limits<int64_t>::max();
  uint64_t clicks = 0;
  for (const auto& part : parts)
    TRY(part->sum(all, [&clicks](const store::AdSum& sum) { clicks += sum.clicks; }));
  return clicks;
}

/// What nobody can make good later is looked at twice.
Status check_clicks(const ShelfWork::Share& share) {
  if (share.damage) return {};
  const uint64_t before = TRY(clicks_of(*share.parts));
  const uint64_t after = TRY(clicks_of(share.written));
  if (before == after) return {};
  return Error(Errc::corrupt, fmt::format("partition {}: {} clicks were written of {}",
                                          share.id.value(), after, before));
}

}  // namespace

ShelfWork::ShelfWork(ShelfPlan plan, FileSystem& files, std::string directory, store::Shelf& shelf)
    : disk_(files),
      directory_(std::move(directory)),
      shelf_(shelf),
      pieces_(std::move(plan.pieces)),
      metas_(plan.shares.size()) {
  for (auto& share : plan.shares)
    shares_.push_back({share.id, share.slot, std::move(share.parts), {}, std::nullopt});
  for (const auto& name : plan.files) targets_.push_back({name, nullptr});
  // Every row goes to one place, or it would be lost or counted twice.
  int64_t upto = std::numeric_limits<int64_t>::min();
  for (const auto& piece : pieces_) {
    CM_ASSERT(piece.range.from_ms == upto && piece.range.to_ms > upto);
    CM_ASSERT(piece.file < targets_.size());
    upto = piece.range.to_ms;
  }
  CM_ASSERT(upto == std::numeric_limits<int64_t>::max());
}

ShelfWork::~ShelfWork() {
  if (finished_) return;
  for (const Target& target : targets_) {
    if (target.writer)
      ignore(disk_.remove(directory_ + "/" + target.writer->name()), "the next start removes it");
  }
}

Status ShelfWork::write_next() {
  CM_ASSERT(!written());
  const size_t at = next_++;
  Share& share = shares_[at];
  if (!share.parts) return {};
  std::vector<size_t> before;
  for (const Target& target : targets_) before.push_back(target.writer ? target.writer->size() : 0);
  auto done = write(share, metas_[at]);
  if (done) return done;
  metas_[at].clear();
  if (!is_damage(done.error())) return done;
  for (size_t i = 0; i < targets_.size(); ++i) {
    if (targets_[i].writer) targets_[i].writer->cut_to(before[i]);
  }
  share.damage = std::move(done).error();
  return {};
}

Status ShelfWork::write(Share& share, std::vector<store::PartMeta>& metas) {
  fail_point("shelf.share_begin");
  for (const ShelfPlan::Piece& piece : pieces_) {
    store::Scan scan;
    scan.from_ms = piece.range.from_ms;
    scan.to_ms = piece.range.to_ms;
    const bool none = std::all_of(share.parts->begin(), share.parts->end(), [&](const auto& part) {
      return store::apart(part->meta(), scan);
    });
    if (none) continue;
    store::ShelfWriter* const writer = TRY(writer_of(targets_[piece.file]));
    const auto added = TRY(store::add_merged({*writer, share.slot}, *share.parts, piece.range));
    metas.insert(metas.end(), added.begin(), added.end());
  }
  for (const auto& part : *share.parts) bytes_read_ += part->meta().bytes;
  fail_point("shelf.share_written");
  return {};
}

Result<store::ShelfWriter*> ShelfWork::writer_of(Target& target) {
  if (!target.writer) {
    target.name.number = shelf_.next_number();
    target.writer = TRY(store::ShelfWriter::create(disk_, directory_, target.name.text()));
  }
  return target.writer.get();
}

Status ShelfWork::finish() {
  CM_ASSERT(written() && !finished_);
  TRY(finish_files());
  fail_point("shelf.files_synced");
  // Before anybody can name them: nobody's release takes a file away that another still waits for.
  for (size_t i = 0; i < shares_.size(); ++i) shelf_.hold(shares_[i].slot, metas_[i]);
  auto opened = open_written();
  if (opened) {
    finished_ = true;
    return opened;
  }
  for (const Share& share : shares_) {
    for (const Target& target : targets_) {
      if (target.writer)
        ignore(shelf_.release(share.slot, target.writer->name()), "the next start removes it");
    }
  }
  return opened;
}

Status ShelfWork::finish_files() {
  for (Target& target : targets_) {
    if (!target.writer) continue;
    if (target.writer->size() == 0) {
      ignore(disk_.remove(directory_ + "/" + target.writer->name()), "the next start removes it");
      target.writer.reset();
      continue;
    }
    TRY(target.writer->finish());
    bytes_written_ += target.writer->bytes();
  }
  return disk_.sync_directory(directory_);
}

Status ShelfWork::open_written() {
  for (size_t i = 0; i < shares_.size(); ++i) {
    for (const store::PartMeta& meta : metas_[i])
      shares_[i].written.push_back(TRY(shelf_.open(meta)));
    TRY(check_clicks(shares_[i]));
  }
  return {};
}

void hold_named(PartitionId partition, state::View& store, store::Shelf& shelf) {
  const auto hold = [&](state::Slot slot) -> Status {
    const auto checkpoint = TRY(read_checkpoint(slot, store));
    if (checkpoint) shelf.hold(slot, checkpoint->parts);
    return {};
  };
  const auto hold_all = [&]() -> Status {
    const auto standing = TRY(state::read_standing(partition, store));
    TRY(hold(standing.live));
    return standing.building ? hold(*standing.building) : Status();
  };
  if (auto held = hold_all(); !held) {
    log_warn("store", fmt::format("partition {}: its checkpoint can't be read ({}): no file that "
                                  "partitions share is removed until the next start",
                                  partition.value(), held.error().text()));
    shelf.keep_all();
  }
}

}  // namespace clickmill::stream
