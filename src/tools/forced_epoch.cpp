#include "tools/forced_epoch.h"

#include <fmt/format.h>

#include "click/batch.h"
#include "cluster/members_file.h"
#include "collector/spool_records.h"
#include "log/partition_log.h"
#include "log/segments.h"
#include "raft/codec.h"
#include "state/slots.h"
#include "stream/checkpoint.h"

namespace clickmill::tools {
namespace {

const log::Codec& codec_of(uint32_t group, uint32_t partitions) {
  static const click::ColumnCodec clicks;
  static const log::RowCodec ads;
  if (group < partitions) return clicks;
  return ads;
}

/// Writes and syncs what waits.
Status write_all(log::Journal& journal) {
  while (journal.health() == log::Journal::Health::ok && journal.pump()) {
  }
  switch (journal.health()) {
    case log::Journal::Health::ok: return {};
    case log::Journal::Health::no_room:
      return Error(Errc::no_space, "no room for the journal's next file");
    default: return Error(Errc::io, "the journal can't be written");
  }
}

Status append(log::Journal& journal, log::Append&& record) {
  while (true) {
    // On an error the record stays as it is.
    auto done = journal.append(std::move(record));
    if (done || done.error().code() != Errc::busy) return done;
    TRY(write_all(journal));
  }
}

/// The journal and the segments of a data directory.
class Groups {
 public:
  Groups(FileSystem& files, NodeClock& clock, engine::DataPaths paths, uint32_t groups)
      : files_(files), clock_(clock), paths_(std::move(paths)), groups_(groups) {}

  Status open(const log::Journal::Options& options, uint32_t partitions) {
    for (uint32_t i = 0; i < groups_; ++i) {
      segments_.push_back(
          TRY(log::Segments::open(files_, paths_.log(i), codec_of(i, partitions), {})));
      logs_.emplace_back(segments_.back()->last());
    }
    journal_ = TRY(log::Journal::open(files_, paths_.journal(), clock_, options));
    TRY(journal_->replay([this](JournalPos position, const log::RecordView& record) -> Status {
      if (collector::RecoveredSpool::is_of_spool(record.kind))
        return spool_.replay(position, record);
      if (record.partition.value() >= logs_.size())
        return Error(Errc::corrupt, "record of an unknown partition");
      return logs_[record.partition.value()].replay(position, record);
    }));
    journal_->end_replay();
    return {};
  }

  uint32_t size() const { return groups_; }
  log::Segments& segments(uint32_t group) const { return *segments_[group]; }
  log::RecoveredLog& log(uint32_t group) { return logs_[group]; }
  log::Journal& journal() { return *journal_; }
  const collector::RecoveredSpool& spool() const { return spool_; }
  NodeClock& clock() const { return clock_; }

 private:
  FileSystem& files_;
  NodeClock& clock_;
  const engine::DataPaths paths_;
  const uint32_t groups_;
  std::vector<std::unique_ptr<log::Segments>> segments_;
  std::vector<log::RecoveredLog> logs_;
  collector::RecoveredSpool spool_;
  std::unique_ptr<log::Journal> journal_;
};

/// The clicks of an entry, if it holds any.
Status visit_clicks_of(PartitionId partition, const log::Entry& entry, const VisitClick& visit) {
  if (entry.kind != static_cast<uint8_t>(click::EntryKind::clicks)) return {};
  ByteCursor cursor(entry.payload);
  TRY(click::decode_batch_header(cursor));
  click::RecordScratch scratch;
  while (!cursor.empty()) {
    const std::string_view before = cursor.rest();
    TRY(click::decode_record(cursor, scratch));
    TRY(visit(partition, before.substr(0, before.size() - cursor.rest().size())));
  }
  return {};
}

raft::Membership members_in(const log::PartitionLog& log, raft::Membership sealed) {
  for (const auto& entry : log.unsealed()) {
    if (entry->kind != raft::kMembershipKind) continue;
    if (const auto head = raft::head_of(*entry)) sealed = *head->membership;
  }
  return sealed;
}

// More offsets than a partition can give away: so many a second, on the whole, and any burst.
constexpr uint64_t kOffsetsASecond = 1 << 16;
constexpr uint64_t kOffsetsBeside = uint64_t{1} << 32;

uint64_t offsets_since(const NodeClock& clock, LogMs then) {
  const int64_t ms = std::max<int64_t>(clock.system().wall_ms() - then.value(), 0);
  return kOffsetsBeside + static_cast<uint64_t>(ms) / 1000 * kOffsetsASecond;
}

/// By what is known of the group on this disk; nothing: it stays as it is.
using Order = std::function<std::optional<GroupOrder>(uint32_t id, const ForcedGroup& group)>;

/// What a partition's states have applied.
struct HeldState {
  bool lost = false;
  Offset live;    ///< what is in force
  Offset newest;  ///< or what comes from another node, of which the log may know
};
Result<HeldState> look_at_state(uint32_t id, const ForcedEpoch& forced) {
  HeldState held;
  if (forced.state == nullptr) return held;
  const auto standing = TRY(state::read_standing(PartitionId(id), *forced.state));
  held.lost = !standing.lost.empty();
  const auto live = TRY(stream::read_checkpoint(standing.live, *forced.state));
  const auto newest = TRY(stream::read_checkpoint(standing.current(), *forced.state));
  if (live) held.live = live->applied;
  held.newest = newest ? std::max(held.live, newest->applied) : held.live;
  return held;
}

Result<ForcedGroup> look_at(FileSystem& files, const Groups& groups, const log::PartitionLog& log,
                            uint32_t id, const ForcedEpoch& forced) {
  auto kept = TRY(cluster::read_members(files, forced.paths.members(id)));
  ForcedGroup group;
  group.last = log.last();
  group.last_term = log.last_term();
  group.term = std::max(log.hard_state().term, log.last_term());
  group.newest = log.last_append_ms();
  group.committed = groups.segments(id).last();
  if (id < forced.partitions) {
    const auto held = TRY(look_at_state(id, forced));
    group.committed = std::max(group.committed, std::min(held.live, group.last));
    // One whose state ends before its log begins can go on only from somebody else's.
    group.usable = !held.lost && held.newest + 1 >= log.first();
  }
  group.members =
      members_in(log, kept ? std::move(kept->members) : forced.founded.voters_of(PartitionId(id)));
  return group;
}

Result<ForcedGroup> take_group(FileSystem& files, Groups& groups, uint32_t id,
                               const ForcedEpoch& forced, const Order& order_of) {
  log::PartitionLog::Callbacks unheard;
  unheard.on_durable = [](Offset, uint64_t) {};
  const auto log =
      TRY(log::PartitionLog::open(PartitionId(id), groups.segments(id), groups.journal(),
                                  std::move(groups.log(id)), std::move(unheard)));
  ForcedGroup group = TRY(look_at(files, groups, *log, id, forced));
  const auto order = order_of(id, group);
  if (!order) return group;
  const auto append_entry = [&](uint8_t kind, uint32_t count, std::string payload) -> Status {
    log::Entry entry;
    entry.first = log->last() + 1;
    entry.count = count;
    entry.kind = kind;
    entry.term = order->term;
    entry.append_ms = log->last_append_ms();
    entry.payload = std::move(payload);
    TRY(log->append(std::move(entry)));
    // It tells the log, which is about to go, where the entry stands.
    return write_all(groups.journal());
  };
  // Its members come last, so that who is interrupted begins it anew.
  for (uint64_t left = order->leaves_out ? offsets_since(groups.clock(), group.newest) : 0;
       left > 0;) {
    const auto count = static_cast<uint32_t>(std::min<uint64_t>(left, UINT32_MAX));
    TRY(append_entry(raft::kNoOpKind, count, {}));
    left -= count;
  }
  std::string members;
  raft::encode_membership(order->members, members);
  TRY(append_entry(raft::kMembershipKind, 1, std::move(members)));
  return group;
}

Result<std::vector<ForcedGroup>> take_groups(FileSystem& files, NodeClock& clock,
                                             const ForcedEpoch& forced, const Order& order_of) {
  Groups groups(files, clock, forced.paths, forced.partitions + 1);
  TRY(groups.open(forced.journal, forced.partitions));
  std::vector<ForcedGroup> found;
  for (uint32_t id = 0; id < groups.size(); ++id) {
    auto taken = take_group(files, groups, id, forced, order_of);
    if (!taken)
      return std::move(taken).error().with_context(
          id < forced.partitions ? fmt::format("partition {}", id) : "the ads");
    found.push_back(*std::move(taken));
  }
  return found;
}

/// The partition's state is an empty one of that offset, and its log goes on behind that. What
/// there was of a former share of it is nobody's any more.
Status begin_empty(FileSystem& files, const ForcedEpoch& forced, uint32_t id,
                   const GroupOrder& order) {
  const PartitionId partition(id);
  if (forced.state == nullptr)
    return Error(Errc::invalid, "the node has never counted; start it once before");
  const auto segments =
      TRY(log::Segments::open(files, forced.paths.log(id), codec_of(id, forced.partitions), {}));
  // The last step was done, and it may have been started since.
  if (segments->last() >= order.empty_at) return {};
  const auto standing = TRY(state::read_standing(partition, *forced.state));
  const auto known = TRY(stream::read_checkpoint(standing.live, *forced.state));
  if (!known || known->applied < order.empty_at || !standing.lost.empty()) {
    const auto begun = TRY(state::begin_slot(partition, *forced.state));
    stream::Checkpoint empty;
    empty.applied = order.empty_at;
    state::Batch batch;
    stream::put_checkpoint(begun.current(), empty, batch);
    TRY(forced.state->commit(batch, true));
    TRY(state::take_slot(partition, *forced.state));
  }
  return segments->reset_to(order.empty_at, order.term, LogMs(0));
}

}  // namespace

Result<std::vector<ForcedGroup>> survey_all_groups(FileSystem& files, NodeClock& clock,
                                                   const ForcedEpoch& forced) {
  return take_groups(files, clock, forced,
                     [](uint32_t, const ForcedGroup&) { return std::optional<GroupOrder>(); });
}

Result<std::vector<ForcedGroup>> take_all_groups(FileSystem& files, NodeClock& clock,
                                                 const ForcedEpoch& forced) {
  return take_groups(files, clock, forced,
                     [&](uint32_t, const ForcedGroup& group) -> std::optional<GroupOrder> {
                       if (group.last == Offset(0)) return std::nullopt;
                       return GroupOrder{{.voters = {forced.self}, .leaving = {}, .learners = {}},
                                         Term(group.term.value() + kTermsAhead),
                                         Offset(0)};
                     });
}

Status take_ordered_groups(FileSystem& files, NodeClock& clock, const ForcedEpoch& forced,
                           const std::vector<std::optional<GroupOrder>>& orders) {
  for (uint32_t id = 0; id < orders.size(); ++id) {
    if (!orders[id] || orders[id]->empty_at == Offset(0)) continue;
    if (auto begun = begin_empty(files, forced, id, *orders[id]); !begun)
      return std::move(begun).error().with_context(fmt::format("partition {}", id));
  }
  TRY(take_groups(files, clock, forced,
                  [&](uint32_t id, const ForcedGroup& group) -> std::optional<GroupOrder> {
                    const auto& order = orders[id];
                    // Of a later term: the node has been started since.
                    const bool done =
                        order &&
                        (group.last_term > order->term ||
                         (group.last_term == order->term && group.members == order->members));
                    if (!order || done) return std::nullopt;
                    return order;
                  }));
  return {};
}

Status visit_left_clicks(FileSystem& files, NodeClock& clock, const engine::DataPaths& paths,
                         const log::Journal::Options& journal, const std::vector<Offset>& common,
                         const VisitClick& visit) {
  const auto partitions = static_cast<uint32_t>(common.size());
  Groups groups(files, clock, paths, partitions + 1);
  TRY(groups.open(journal, partitions));
  log::GroupReader reader = groups.journal().reader();
  TRY(groups.spool().visit(reader, visit));
  for (uint32_t id = 0; id < partitions; ++id) {
    const PartitionId partition(id);
    const log::Segments& segments = groups.segments(id);
    for (Offset next = std::max(common[id] + 1, segments.first()); next <= segments.last();) {
      for (const log::Entry& entry : TRY(segments.read_block(next))) {
        if (entry.last() < next) continue;
        TRY(visit_clicks_of(partition, entry, visit));
        next = entry.last() + 1;
      }
    }
    for (const log::Entry& entry : groups.log(id).entries_after(segments.last())) {
      if (entry.last() > common[id]) TRY(visit_clicks_of(partition, entry, visit));
    }
  }
  return {};
}

Result<SpoolWriter> SpoolWriter::open(FileSystem& files, const std::string& directory,
                                      NodeClock& clock, const log::Journal::Options& options) {
  TRY(files.create_directories(directory));
  return SpoolWriter(
      TRY(log::Journal::open(files, directory, clock, options,
                             [](JournalPos, const log::RecordView&) -> Status { return {}; })));
}

Status SpoolWriter::add(PartitionId partition, std::string_view record) {
  log::Append append;
  append.lane = log::Lane::redirects;
  append.kind = log::RecordKind::click;
  append.partition = partition;
  append.payload = std::string(record);
  ++clicks_;
  return tools::append(*journal_, std::move(append));
}

Status SpoolWriter::finish() { return write_all(*journal_); }

}  // namespace clickmill::tools
