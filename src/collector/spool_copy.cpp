// Copying forward: what holds an old journal file back (a stuck partition's
// clicks) is appended again, a group at a time, so that the file can go.
#include <algorithm>

#include "collector/spool.h"

namespace clickmill::collector {

/// Rides with clicks that are copied forward.
class Spool::CopyWaiter final : public log::JournalWaiter {
 public:
  CopyWaiter(Spool& spool, PartitionId partition, JournalPos from, Backlog::Run copy)
      : spool_(spool), partition_(partition), from_(from), copy_(copy) {}
  void durable(JournalPos position, std::string&&) override {
    copy_.position = position;
    spool_.moved(partition_, from_, copy_);
  }
  void failed(const Error&, std::string&&) override {}

 private:
  Spool& spool_;
  PartitionId partition_;
  JournalPos from_;
  Backlog::Run copy_;
};

void Spool::copy_forward(JournalPos before, uint64_t bytes_most) {
  const uint64_t file_bytes = journal_.file_bytes();
  const JournalPos oldest = oldest_needed();
  if (oldest >= before) return;
  const JournalPos file_end((oldest.value() / file_bytes + 1) * file_bytes);
  const uint64_t clicks_most = bytes_most * std::max<uint64_t>(appended_clicks_.value(), 1) /
                               std::max<uint64_t>(appended_bytes_.value(), 512);
  uint64_t clicks = 0;
  for (const auto& share : shares_) {
    std::lock_guard lock(share->mutex);
    clicks += share->queues.clicks_before(file_end);
    // A file that is still full of them is not worth it: it stays.
    if (clicks > clicks_most) return;
  }
  for (uint32_t i = 0; i < shares_.size(); ++i)
    copy_oldest(PartitionId(i), std::min(before, file_end));
}

/// One group at a time: the next round takes the next one.
void Spool::copy_oldest(PartitionId partition, JournalPos before) {
  Share& share = *shares_[partition.value()];
  JournalPos from;
  {
    std::lock_guard lock(share.mutex);
    const auto begun = share.queues.begin_copy(before);
    if (!begun) return;
    from = *begun;
  }
  log::Append append;
  append.kind = log::RecordKind::copied_clicks;
  append.partition = partition;
  Backlog::Run copy{from, ArrivalMs(INT64_MAX), 0, false, false};
  std::vector<std::string> records;
  // A group may hold clicks as they came and others that were copied to it before.
  auto done = read_run(partition, copy, copy_reader_, records);
  copy.copied = true;
  if (done) done = read_run(partition, copy, copy_reader_, records);
  append.payload = copied_clicks(records);
  for (const std::string& record : records) {
    copy.oldest = std::min(copy.oldest, received_of(record));
    ++copy.clicks;
  }
  if (done) {
    append.waiter = std::make_shared<CopyWaiter>(*this, partition, from, copy);
    done = journal_.append(std::move(append));
  }
  if (done) return;
  std::lock_guard lock(share.mutex);
  share.queues.end_copy();
}

void Spool::moved(PartitionId partition, JournalPos from, const Backlog::Run& copy) {
  Share& share = *shares_[partition.value()];
  const Locked queues(share, memory_);
  held_.add(queues->moved(from, copy));
}

}  // namespace clickmill::collector
