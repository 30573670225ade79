#include "cluster/log_reader.h"

#include <algorithm>
#include <utility>

#include "cluster/ask.h"

namespace clickmill::cluster {
namespace {

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
  const auto states = TRY(ask<Partition::State>(
      owned_, {id}, [](const Partition& partition) { return partition.state(); }));
  return states.front();
}

Result<Partition::Entries> LogReader::read(PartitionId id, Offset from, size_t max_bytes) const {
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

Offset LogReader::first(PartitionId id) const {
  return owned_.partitions[id.value()]->segments().first();
}

Result<Offset> LogReader::find_time(PartitionId id, LogMs time) const {
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
  Partition* partition = owned_.partitions[id.value()].get();
  const bool posted = owned_.worker_of(id).try_post(
      [partition, from, deadline_ns, wake] { partition->follow(from, deadline_ns, wake); });
  if (!posted) wake(TailReaders::Woken::refused);
}

void LogReader::end_following() const {
  for (const auto& partition : owned_.partitions) {
    owned_.worker_of(partition->id()).post([&partition] { partition->end_following(); });
  }
}

}  // namespace clickmill::cluster
