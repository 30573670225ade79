#include "collector/spool.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/logging.h"
#include "click/click.h"

namespace clickmill::collector {
Spool::Locked::Locked(Share& share, Gauge& memory)
    : lock_(share.mutex),
      queues_(share.queues),
      memory_(memory),
      bytes_before_(share.queues.memory_bytes()) {}

Spool::Locked::~Locked() {
  memory_.add(static_cast<int64_t>(queues_.memory_bytes() - bytes_before_));
}

/// Rides with a click through the journal.
class Spool::Waiter final : public log::JournalWaiter {
 public:
  Waiter(Spool& spool, PartitionId partition, Queue queue, std::shared_ptr<ClickAnswer> answer)
      : spool_(spool), partition_(partition), queue_(queue), answer_(std::move(answer)) {}
  void written() override {
    if (answer_) answer_->written();
  }
  void durable(JournalPos position, std::string&& payload) override {
    if (answer_) answer_->durable();
    WaitingAnswers::Answer waits;
    if (answer_ && answer_->waits_for_commit()) waits = answer_;
    spool_.mark_durable(partition_, queue_, position, std::move(payload), std::move(waits));
  }
  void failed(const Error&, std::string&&) override {
    if (answer_) answer_->failed();
    spool_.mark_failed(partition_, queue_);
  }

 private:
  Spool& spool_;
  PartitionId partition_;
  Queue queue_;
  std::shared_ptr<ClickAnswer> answer_;
};

Spool::Spool(log::Journal& journal, NodeClock& clock, Options options,
             std::function<void(PartitionId)> ready)
    : journal_(journal),
      clock_(clock),
      options_(options),
      ready_(std::move(ready)),
      copy_reader_(journal.reader()) {
  for (uint32_t i = 0; i < options_.partitions; ++i) shares_.push_back(std::make_unique<Share>());
}

void Spool::recover(RecoveredSpool&& recovered) {
  const size_t count = std::min(recovered.backlogs_.size(), shares_.size());
  for (size_t i = 0; i < count; ++i) {
    Share& share = *shares_[i];
    std::lock_guard lock(share.mutex);
    const auto clicks =
        static_cast<int64_t>(share.queues.recover(std::move(recovered.backlogs_[i])));
    held_.add(clicks);
    earlier_.add(clicks);
  }
  clock_.raise(recovered.newest_);
}

Status Spool::append(PartitionId partition, std::string&& record, bool timestamp_too,
                     log::Lane lane, std::shared_ptr<ClickAnswer> answer) {
  CM_ASSERT(partition.value() < shares_.size());
  const Queue queue = lane == log::Lane::redirects ? Queue::redirects : Queue::bulk;
  log::Append append;
  append.lane = lane;
  append.kind = log::RecordKind::click;
  append.partition = partition;
  append.payload = std::move(record);
  append.waiter = std::make_shared<Waiter>(*this, partition, queue, std::move(answer));
  appended_clicks_.add();
  appended_bytes_.add(append.payload.size());
  Share& share = *shares_[partition.value()];
  // Stamped, given to the journal and queued under one lock: low_water() never passes a click
  // that it can't see, and the queue's order is the journal's.
  std::lock_guard lock(share.mutex);
  const ArrivalMs received = clock_.now();
  // The wall clock's where node time stands still, and the click may say so too.
  const int64_t happened_ms = clock_.happened_ms(received);
  if (timestamp_too) click::stamp_received(append.payload, 0, ArrivalMs(happened_ms), true);
  click::stamp_received(append.payload, 0, received, false);
  if (happened_ms != received.value() &&
      on_time_by_wall(append.payload, happened_ms, timestamp_too))
    click::add_flags(append.payload, click::kBackfill);
  TRY(journal_.append(std::move(append)));
  share.queues.append(queue, received);
  held_.add(1);
  return {};
}

bool Spool::on_time_by_wall(const std::string& record, int64_t wall_ms, bool timestamp_too) const {
  if (timestamp_too) return clock_.system().synchronised();
  const int64_t timestamp = click::timestamp_of(record).value();
  return timestamp <= wall_ms + options_.max_clock_ahead_ms &&
         wall_ms <= floor_to(timestamp, kMinuteMs) + kMinuteMs + options_.window_grace_ms;
}

bool Spool::takes_bulk() const {
  return journal_.health() == log::Journal::Health::ok && !journal_.clicks_wait();
}

void Spool::mark_durable(PartitionId partition, Queue queue, JournalPos position,
                         std::string&& record, WaitingAnswers::Answer&& answer) {
  Share& share = *shares_[partition.value()];
  {
    const Locked queues(share, memory_);
    // Both: one partition that stands still is not to push the others' clicks to disk.
    const bool full = memory_bytes() >= options_.memory_bytes &&
                      queues->memory_bytes() >= options_.memory_bytes / shares_.size();
    queues->durable(queue, position, std::move(record), full, std::move(answer));
    if (std::exchange(share.notified, true)) return;
  }
  ready_(partition);
}

void Spool::mark_failed(PartitionId partition, Queue queue) {
  Share& share = *shares_[partition.value()];
  std::lock_guard lock(share.mutex);
  share.queues.failed(queue);
}

std::optional<Spool::Taken> Spool::take(PartitionId partition, size_t count_most, size_t bytes_most,
                                        log::GroupReader& journal) {
  Share& share = *shares_[partition.value()];
  std::array<Queue, SpoolQueues::kInTurns + 1> order{Queue::resolved};
  {
    std::lock_guard lock(share.mutex);
    share.notified = false;
    for (size_t i = 1; i < order.size(); ++i) order[i] = share.queues.next_queue(i - 1);
  }
  for (const Queue queue : order) {
    auto taken = queue == Queue::backlog
                     ? take_from_disk(partition, share, count_most, bytes_most, journal)
                     : take_from_memory(share, queue, count_most, bytes_most);
    if (!taken) continue;
    set_pending_aside(partition, share, *taken);
    std::lock_guard lock(share.mutex);
    if (queue != Queue::resolved) share.queues.had_turn(queue);
    taken->more = share.queues.any_ready();
    return taken;
  }
  return std::nullopt;
}

std::optional<Spool::Taken> Spool::take_from_memory(Share& share, Queue queue, size_t count_most,
                                                    size_t bytes_most) {
  const Locked queues(share, memory_);
  return queues->take(queue, count_most, bytes_most);
}

void Spool::set_pending_aside(PartitionId partition, Share& share, Taken& taken) {
  std::vector<SpoolQueues::Pending> pending;
  {
    std::lock_guard lock(share.mutex);
    pending = share.queues.set_aside(taken);
  }
  pending_.add(static_cast<int64_t>(pending.size()));
  for (const auto& click : pending) {
    options_.ask_for_ad(click.ad_id, [this, partition, id = click.id](const catalog::Ad* ad) {
      resolve(partition, id, ad);
    });
  }
}

/// The click can be taken now: of that ad, or of an unknown one.
void Spool::resolve(PartitionId partition, SpoolQueues::PendingId click, const catalog::Ad* ad) {
  pending_.add(-1);
  Share& share = *shares_[partition.value()];
  {
    std::lock_guard lock(share.mutex);
    share.queues.resolve(click, ad);
    if (std::exchange(share.notified, true)) return;
  }
  ready_(partition);
}

/// Reads without the lock, so that no user waits for the disk.
std::optional<Spool::Taken> Spool::take_from_disk(PartitionId partition, Share& share,
                                                  size_t count_most, size_t bytes_most,
                                                  log::GroupReader& journal) {
  std::vector<Backlog::Run> runs;
  {
    std::lock_guard lock(share.mutex);
    runs = share.queues.begin_reading(count_most);
  }
  Taken taken;
  const size_t read = read_runs(partition, runs, bytes_most, journal, taken);
  std::lock_guard lock(share.mutex);
  share.queues.end_reading(runs, read, taken);
  if (read == 0) return std::nullopt;
  return taken;
}

/// How many of the runs are in `taken` now.
size_t Spool::read_runs(PartitionId partition, const std::vector<Backlog::Run>& runs,
                        size_t bytes_most, log::GroupReader& journal, Taken& taken) {
  size_t done = 0;
  for (size_t bytes = 0; done < runs.size() && bytes < bytes_most; ++done) {
    const Backlog::Run& run = runs[done];
    const size_t before = taken.records.size();
    auto read = read_run(partition, run, journal, taken.records);
    if (!read && read.error().code() != Errc::corrupt) {
      log_warn("spool", "can't read back: " + read.error().text());
      taken.records.resize(before);
      break;
    }
    if (!read) {
      log_error("spool", fmt::format("{} answered clicks of partition {} are lost: {}", run.clicks,
                                     partition.value(), read.error().text()));
      lost_.add(run.clicks);
      taken.records.resize(before);
    }
    if (taken.records.size() - before > run.clicks) {
      // The journal is still telling of this group; it will call again.
      taken.records.resize(before);
      break;
    }
    taken.again = run.again;
    taken.held += run.clicks;
    for (size_t i = before; i < taken.records.size(); ++i) {
      bytes += taken.records[i].size();
      taken.newest = std::max(taken.newest, received_of(taken.records[i]));
    }
  }
  return done;
}

void Spool::committed(PartitionId partition, const Taken& taken) {
  Share& share = *shares_[partition.value()];
  {
    std::lock_guard lock(share.mutex);
    share.queues.committed(taken);
    held_.add(-static_cast<int64_t>(taken.held));
    if (taken.again) earlier_.add(-static_cast<int64_t>(taken.held));
    trims_changed_ = true;
  }
  for (const auto& waits : taken.answers) {
    if (const auto answer = waits.answer.lock()) answer->committed();
  }
}

bool Spool::has_backlog(PartitionId partition) {
  Share& share = *shares_[partition.value()];
  std::lock_guard lock(share.mutex);
  return share.queues.has_backlog();
}

ArrivalMs Spool::low_water(PartitionId partition) const {
  Share& share = *shares_[partition.value()];
  std::lock_guard lock(share.mutex);
  // The time is taken under the lock: a click stamped later is not below it.
  return share.queues.low_water(clock_.now());
}

void Spool::write_trims() {
  if (!trims_changed_.exchange(false)) return;
  log::Append append;
  append.kind = log::RecordKind::trim;
  ByteWriter writer(append.payload);
  writer.varint(shares_.size());
  for (const auto& share : shares_) {
    std::lock_guard lock(share->mutex);
    writer.varint(share->queues.trim_position().value());
  }
  if (!journal_.append(std::move(append))) trims_changed_ = true;
}

uint64_t Spool::waiting_clicks() const {
  uint64_t waiting = 0;
  for (const auto& share : shares_) {
    std::lock_guard lock(share->mutex);
    waiting += share->queues.on_their_way();
  }
  return waiting;
}

JournalPos Spool::oldest_needed() {
  JournalPos oldest(UINT64_MAX);
  for (const auto& share : shares_) {
    std::lock_guard lock(share->mutex);
    oldest = std::min(oldest, share->queues.oldest_position());
  }
  return oldest;
}

}  // namespace clickmill::collector
