#include "tools/offline_node.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "store/merge.h"

namespace clickmill::tools {
namespace {

constexpr uint64_t kStateCacheBytes = 16 << 20;

bool matches(const store::Row& row, const store::Scan& scan) {
  return row.bucket_ms >= scan.from_ms && row.bucket_ms < scan.to_ms &&
         (scan.ad_id.empty() || row.ad_id == scan.ad_id);
}

std::string key_of(uint32_t slot) {
  std::string key;
  append_key_u32(key, slot);
  return key;
}

}  // namespace

Result<std::unique_ptr<OfflineNode>> OfflineNode::open(FileSystem& files, const std::string& path,
                                                       Progress& progress) {
  std::unique_ptr<OfflineNode> node(new OfflineNode(files, path));
  node->log_ = TRY(OfflineLog::open(files, path, progress));
  if (const auto& damage = node->log_->damage(); !damage.empty()) {
    return Error(Errc::corrupt, "the log is damaged, see clickmill log verify: " + damage.front());
  }
  node->state_ = TRY(state::open_rocks_store_read_only(path + "/state", kStateCacheBytes));
  return node;
}

Result<store::TableTimes> OfflineNode::deleted_before() const {
  const auto retention = TRY(store::Retention::open(files_, path_ + "/retention", {}));
  return retention->deleted_before();
}

Result<OfflineNode::Stored> OfflineNode::stored(PartitionId partition, const store::Scan& scan) {
  Stored stored;
  const auto standing = TRY(state::read_standing(partition, *state_));
  if (standing.building) {
    return Error(Errc::busy, fmt::format("partition {} is being rebuilt from the log: start the "
                                         "node and let it finish",
                                         partition.value()));
  }
  auto checkpoint = TRY(stream::read_checkpoint(standing.live, *state_));
  if (!checkpoint) return stored;
  stored.checkpoint = *std::move(checkpoint);
  TRY(read_parts(stored.checkpoint, scan, stored.rows));
  TRY(read_head(standing.live, scan, stored.rows));
  store::fold_rows(stored.rows);
  return stored;
}

Status OfflineNode::read_parts(const stream::Checkpoint& checkpoint, const store::Scan& scan,
                               std::vector<store::Row>& out) {
  for (const store::PartMeta& meta : checkpoint.parts) {
    if (meta.table != store::Table::minute || store::apart(meta, scan)) continue;
    const auto part = TRY(store::Part::open(files_, path_ + "/store", meta));
    TRY(store::read_rows({part}, scan, out));
  }
  return {};
}

Status OfflineNode::read_head(state::Slot slot, const store::Scan& scan,
                              std::vector<store::Row>& out) {
  Status decoded;
  TRY(state_->scan(state::kRowsSpace, key_of(slot.value()), key_of(slot.value() + 1),
                   [&](std::string_view, std::string_view value) {
                     ByteCursor cursor(value);
                     auto row = store::decode_row(cursor);
                     if (!row || !cursor.done()) {
                       decoded = Error(Errc::corrupt, "a head row in the state store is malformed");
                       return false;
                     }
                     if (matches(*row, scan)) out.push_back(*std::move(row));
                     return true;
                   }));
  return decoded;
}

Status OfflineNode::visit_log(PartitionId partition, Offset last,
                              const std::function<Status(const log::Entry&)>& visit) {
  const log::Segments* const segments = log_->segments(partition.value());
  Offset next = segments->first() > Offset(1) ? segments->first() : Offset(1);
  while (next <= std::min(last, segments->last())) {
    const auto block = TRY(segments->read_block(next));
    for (const log::Entry& entry : block) {
      if (entry.first < next || entry.last() > last) continue;
      TRY(visit(entry));
      next = entry.last() + 1;
    }
  }
  const auto unsealed = log_->unsealed(partition.value());
  for (const log::Entry& entry : unsealed) {
    if (entry.first < next || entry.last() > last) continue;
    if (entry.first != next) {
      return Error(Errc::corrupt, fmt::format("offsets {} to {} are missing", next.value(),
                                              entry.first.value() - 1));
    }
    TRY(visit(entry));
    next = entry.last() + 1;
  }
  if (next <= last)
    return Error(Errc::corrupt,
                 fmt::format("offsets {} to {} are missing", next.value(), last.value()));
  return {};
}

}  // namespace clickmill::tools
