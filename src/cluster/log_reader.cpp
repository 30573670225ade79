#include "cluster/log_reader.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "cluster/ask.h"
#include "cluster/partition_questions.h"

namespace clickmill::cluster {
namespace {

// Of one wait at another node.
constexpr int64_t kFollowNs = 2'000'000'000;

/// `from` lies behind what can be read: retention was here, go on at what there is.
bool dropped(const Error& error, const log::Segments& segments, Offset from) {
  return error.code() == Errc::not_found && segments.first() > from;
}

Partition::Entries from_block(std::vector<log::Entry>&& block, Offset from) {
  Partition::Entries entries;
  for (log::Entry& entry : block) {
    if (entry.last() >= from)
      entries.push_back(std::make_shared<const log::Entry>(std::move(entry)));
  }
  return entries;
}

}  // namespace

Result<Partition::State> LogReader::state(PartitionId id) const {
  if (elsewhere(id)) {
    auto given =
        elsewhere_->ask(id, CallKind::partition, question_of(PartitionQuestion::states, id));
    if (given) {
      ByteCursor in(*given);
      return read_state(in);
    }
    if (!owned_.partitions[id.value()]->votes()) return std::move(given).error();
  }
  const auto states = TRY(ask<Partition::State>(
      owned_, {id}, [](const Partition& partition) { return partition.state(); }));
  return states.front();
}

Result<Partition::Entries> LogReader::read(PartitionId id, Offset from, size_t max_bytes) const {
  if (!elsewhere(id)) return read_here(id, from, max_bytes);
  std::string question = question_of(PartitionQuestion::read, id);
  ByteWriter(question).varint(from.value());
  ByteWriter(question).varint(max_bytes);
  auto given = elsewhere_->ask(id, CallKind::partition, question);
  if (!given && owned_.partitions[id.value()]->votes()) return read_here(id, from, max_bytes);
  if (!given) return std::move(given).error();
  ByteCursor in(*given);
  return read_entries(in);
}

Result<Partition::Entries> LogReader::read_here(PartitionId id, Offset from,
                                                size_t max_bytes) const {
  const log::Segments& segments = owned_.partitions[id.value()]->segments();
  while (true) {
    if (from <= segments.last()) {
      auto block = segments.read_block(from);
      if (block) return from_block(*std::move(block), from);
      if (!dropped(block.error(), segments, from)) return std::move(block).error();
      from = segments.first();
      continue;
    }
    auto tails = TRY(ask<std::optional<Partition::Entries>>(
        owned_, {id}, [from, max_bytes](const Partition& partition) {
          return partition.unsealed(from, max_bytes);
        }));
    if (tails.front()) return *std::move(tails.front());
    // Sealed between the two questions: it is in a segment now.
  }
}

Result<Offset> LogReader::kept_from(PartitionId id) const {
  if (elsewhere(id)) return TRY(state(id)).first;
  return first(id);
}

Offset LogReader::first(PartitionId id) const {
  return owned_.partitions[id.value()]->segments().first();
}

Result<Offset> LogReader::find_time(PartitionId id, LogMs time) const {
  if (!elsewhere(id)) return find_time_here(id, time);
  std::string question = question_of(PartitionQuestion::find_time, id);
  ByteWriter(question).svarint(time.value());
  auto given = elsewhere_->ask(id, CallKind::partition, question);
  if (!given && owned_.partitions[id.value()]->votes()) return find_time_here(id, time);
  if (!given) return std::move(given).error();
  ByteCursor in(*given);
  const Offset found(in.varint());
  if (!in.done()) return malformed_between_nodes();
  return found;
}

Result<Offset> LogReader::find_time_here(PartitionId id, LogMs time) const {
  const log::Segments& segments = owned_.partitions[id.value()]->segments();
  while (true) {
    const Offset first = segments.first();
    // Taken before the search: what is sealed meanwhile is not passed over.
    const Offset behind = segments.last() + 1;
    auto found = segments.find_time(time);
    if (found) return found->value_or(behind);
    if (!dropped(found.error(), segments, first)) return std::move(found).error();
  }
}

void LogReader::follow(PartitionId id, Offset from, int64_t deadline_ns,
                       TailReaders::Wake wake) const {
  if (elsewhere(id)) return follow_there(id, from, deadline_ns, std::move(wake));
  Partition* partition = owned_.partitions[id.value()].get();
  const bool posted = owned_.worker_of(id).try_post(
      [partition, from, deadline_ns, wake] { partition->follow(from, deadline_ns, wake); });
  if (!posted) wake(TailReaders::Woken::refused);
}

/// There it waits for a moment only, again and again: nobody hears when this node stops.
void LogReader::follow_there(PartitionId id, Offset from, int64_t deadline_ns,
                             TailReaders::Wake wake) const {
  const int64_t left_ns = deadline_ns - elsewhere_->peers()->now_ns();
  if (left_ns <= 0) return wake(TailReaders::Woken::over);
  std::string question = question_of(PartitionQuestion::follow, id);
  ByteWriter(question).varint(from.value());
  ByteWriter(question).varint(static_cast<uint64_t>(std::min(left_ns, kFollowNs)) / 1'000'000);
  elsewhere_->ask_later(
      id, CallKind::partition, question,
      [this, id, from, deadline_ns, wake](const Result<std::string>& answer) {
        // Whoever waits asks again, and finds who has it then.
        if (!answer || answer->size() != 1) return wake(TailReaders::Woken::over);
        const auto woken = static_cast<TailReaders::Woken>(answer->front());
        if (woken == TailReaders::Woken::over) return follow(id, from, deadline_ns, wake);
        wake(woken == TailReaders::Woken::committed ? woken : TailReaders::Woken::refused);
      });
}

void LogReader::end_following() const {
  for (const auto& partition : owned_.partitions) {
    owned_.worker_of(partition->id()).post([&partition] { partition->end_following(); });
  }
}

}  // namespace clickmill::cluster
