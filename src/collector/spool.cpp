#include "collector/spool.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/logging.h"
#include "click/click.h"

namespace clickmill::collector {
namespace {

// A click in memory besides its bytes: string, place in the queue.
constexpr uint64_t kClickOverhead = 64;

bool is_untold(std::string_view record) {
  return record.size() > click::kFlagsAt &&
         (static_cast<uint8_t>(record[click::kFlagsAt]) & click::kAdNotTold) != 0;
}

std::string ad_id_of(std::string_view record) {
  ByteCursor cursor(record);
  click::RecordScratch scratch;
  const auto click = click::decode_record(cursor, scratch);
  return click ? std::string(click->ad_id) : std::string();
}

std::string with_ad(std::string_view record, const catalog::Ad* ad) {
  ByteCursor cursor(record);
  click::RecordScratch scratch;
  auto click = click::decode_record(cursor, scratch);
  // The stream refuses it, and says where it stands.
  if (!click) return std::string(record);
  click->flags = static_cast<uint8_t>(click->flags & ~click::kAdNotTold);
  if (ad != nullptr) {
    click->advertiser_id = ad->advertiser_id;
    click->ad_format = ad->ad_format;
  } else {
    click->flags |= click::kUnknownAd;
  }
  std::string out;
  click::encode_record(*click, out);
  return out;
}

uint64_t memory_of(const std::string& record) { return record.size() + kClickOverhead; }

}  // namespace

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
    spool_.mark_durable(partition_, queue_, position, std::move(payload));
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
    Backlog& older = recovered.backlogs_[i];
    Share& share = *shares_[i];
    std::lock_guard lock(share.mutex);
    older.for_each([&](const Backlog::Run& run) {
      held_.add(run.clicks);
      earlier_.add(run.clicks);
      share.newest_durable = std::max(share.newest_durable, run.position);
      return true;
    });
    // What this run has left on disk so far stands behind it.
    share.backlog.for_each([&](const Backlog::Run& run) {
      older.add(run);
      return true;
    });
    share.backlog = std::move(older);
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
  std::lock_guard lock(share.mutex);
  const ArrivalMs received = clock_.now();
  // A click without a time of its own has the node's, or the wall clock's while that stands.
  if (timestamp_too)
    click::stamp_received(append.payload, 0, ArrivalMs(clock_.happened_ms(received)), true);
  click::stamp_received(append.payload, 0, received, false);
  TRY(journal_.append(std::move(append)));
  share.lanes[static_cast<size_t>(queue)].held.push_back({received, JournalPos(0)});
  held_.add(1);
  return {};
}

bool Spool::takes_bulk() const {
  return journal_.health() == log::Journal::Health::ok && !journal_.clicks_wait();
}

void Spool::mark_durable(PartitionId partition, Queue queue, JournalPos position,
                         std::string&& record) {
  Share& share = *shares_[partition.value()];
  {
    std::lock_guard lock(share.mutex);
    Lane& lane = share.lanes[static_cast<size_t>(queue)];
    // The journal keeps the order within a lane, so this is the oldest one on its way.
    const size_t at = lane.ready.size();
    CM_ASSERT(at < lane.held.size());
    if (leaves_on_disk(share, position)) {
      share.backlog.add({position, lane.held[at].received, 1, false, false});
      lane.held.erase(lane.held.begin() + static_cast<std::ptrdiff_t>(at));
    } else {
      lane.held[at].position = position;
      share.memory_bytes += memory_of(record);
      memory_.add(static_cast<int64_t>(memory_of(record)));
      lane.ready.push_back(std::move(record));
    }
    share.newest_durable = std::max(share.newest_durable, position);
    if (std::exchange(share.notified, true)) return;
  }
  ready_(partition);
}

/// A group's clicks of a partition stay together, in memory or on disk, since
/// reading the group gives them all.
bool Spool::leaves_on_disk(const Share& share, JournalPos position) const {
  if (position == share.newest_durable) {
    return share.backlog.has_newest(position, false);
  }
  return memory_bytes() >= options_.memory_bytes &&
         share.memory_bytes >= options_.memory_bytes / shares_.size();
}

void Spool::mark_failed(PartitionId partition, Queue queue) {
  Share& share = *shares_[partition.value()];
  std::lock_guard lock(share.mutex);
  Lane& lane = share.lanes[static_cast<size_t>(queue)];
  // It stays in `held`: it may be on disk and come back after a restart, so the
  // low-water must not pass it.
  CM_ASSERT(lane.ready.size() < lane.held.size());
}

std::optional<Spool::Taken> Spool::take(PartitionId partition, size_t count_most, size_t bytes_most,
                                        log::GroupReader& journal) {
  Share& share = *shares_[partition.value()];
  size_t first = 0;
  {
    std::lock_guard lock(share.mutex);
    share.notified = false;
    first = share.next_queue;
  }
  if (auto taken = take_told(share, count_most, bytes_most)) {
    std::lock_guard lock(share.mutex);
    taken->more = share.any_ready();
    return taken;
  }
  for (size_t i = 0; i < kQueues; ++i) {
    const auto queue = static_cast<Queue>((first + i) % kQueues);
    auto taken = queue == Queue::backlog
                     ? take_from_disk(partition, share, count_most, bytes_most, journal)
                     : take_from_memory(share, queue, count_most, bytes_most);
    if (!taken) continue;
    put_untold_aside(partition, share, *taken);
    std::lock_guard lock(share.mutex);
    share.next_queue = (static_cast<size_t>(queue) + 1) % kQueues;
    taken->more = share.any_ready();
    return taken;
  }
  return std::nullopt;
}

/// Few, and they have waited already: so they go first.
std::optional<Spool::Taken> Spool::take_told(Share& share, size_t count_most, size_t bytes_most) {
  std::lock_guard lock(share.mutex);
  Aside& aside = share.aside;
  if (aside.ready.empty()) return std::nullopt;
  Taken taken;
  taken.queue = Queue::told;
  taken.again = aside.ready.front()->again;
  size_t bytes = 0;
  while (!aside.ready.empty() && aside.ready.front()->again == taken.again &&
         taken.records.size() < count_most && bytes < bytes_most) {
    const UntoldClick click = aside.ready.front();
    aside.ready.pop_front();
    aside.taken.push_back(click);
    taken.newest = std::max(taken.newest, click->received);
    bytes += click->record.size();
    taken.records.push_back(std::move(click->record));
  }
  taken.held = taken.records.size();
  return taken;
}

/// Takes those out of a batch whose ads must be asked for. They stay held.
void Spool::put_untold_aside(PartitionId partition, Share& share, Taken& taken) {
  std::vector<UntoldClick> untold;
  {
    std::lock_guard lock(share.mutex);
    JournalPos oldest(UINT64_MAX);
    for (const Backlog::Run& run : share.taken) oldest = std::min(oldest, run.position);
    for (std::string& record : taken.records) {
      if (!is_untold(record)) continue;
      share.aside.held.push_back({received_of(record), oldest, std::move(record), taken.again});
      untold.push_back(std::prev(share.aside.held.end()));
      record.clear();
    }
    std::erase_if(taken.records, [](const std::string& record) { return record.empty(); });
    taken.held -= untold.size();
  }
  untold_.add(static_cast<int64_t>(untold.size()));
  for (const UntoldClick click : untold)
    options_.on_untold(partition, click, ad_id_of(click->record));
}

void Spool::told(PartitionId partition, UntoldClick click, const catalog::Ad* ad) {
  std::string record = with_ad(click->record, ad);
  untold_.add(-1);
  Share& share = *shares_[partition.value()];
  {
    std::lock_guard lock(share.mutex);
    click->record = std::move(record);
    share.aside.ready.push_back(click);
    if (std::exchange(share.notified, true)) return;
  }
  ready_(partition);
}

std::optional<Spool::Taken> Spool::take_from_memory(Share& share, Queue queue, size_t count_most,
                                                    size_t bytes_most) {
  std::lock_guard lock(share.mutex);
  Lane& lane = share.lanes[static_cast<size_t>(queue)];
  if (lane.ready.empty()) return std::nullopt;
  Taken taken;
  taken.queue = queue;
  size_t bytes = 0;
  while (!lane.ready.empty() && taken.records.size() < count_most && bytes < bytes_most) {
    const Held& held = lane.held.front();
    share.take(held.position, held.received);
    taken.newest = std::max(taken.newest, held.received);
    bytes += lane.ready.front().size();
    taken.records.push_back(pop_ready(share, lane));
  }
  taken.held = taken.records.size();
  return taken;
}

std::string Spool::pop_ready(Share& share, Lane& lane) {
  std::string record = std::move(lane.ready.front());
  lane.ready.pop_front();
  lane.held.pop_front();
  share.memory_bytes -= memory_of(record);
  memory_.add(-static_cast<int64_t>(memory_of(record)));
  return record;
}

/// Reads without the lock, so that no user waits for the disk. `reading` keeps
/// the runs at the front where they are meanwhile; others are added at the end.
std::optional<Spool::Taken> Spool::take_from_disk(PartitionId partition, Share& share,
                                                  size_t count_most, size_t bytes_most,
                                                  log::GroupReader& journal) {
  std::vector<Backlog::Run> runs;
  {
    std::lock_guard lock(share.mutex);
    share.reading = true;
    uint64_t clicks = 0;
    share.backlog.for_each([&](const Backlog::Run& run) {
      clicks += run.clicks;
      if (!runs.empty() && (run.again != runs.front().again || clicks > count_most)) return false;
      runs.push_back(run);
      return true;
    });
  }
  Taken taken;
  const size_t read = read_runs(partition, runs, bytes_most, journal, taken);
  std::lock_guard lock(share.mutex);
  share.reading = false;
  if (read == 0) return std::nullopt;
  for (size_t i = 0; i < read; ++i) {
    share.taken.push_back(runs[i]);
    share.backlog.pop_front();
  }
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
  std::lock_guard lock(share.mutex);
  if (taken.queue == Queue::told) {
    for (const UntoldClick click : std::exchange(share.aside.taken, {}))
      share.aside.held.erase(click);
  } else {
    share.taken.clear();
  }
  held_.add(-static_cast<int64_t>(taken.held));
  if (taken.again) earlier_.add(-static_cast<int64_t>(taken.held));
  trims_changed_ = true;
}

bool Spool::has_backlog(PartitionId partition) {
  Share& share = *shares_[partition.value()];
  std::lock_guard lock(share.mutex);
  return !share.backlog.empty();
}

ArrivalMs Spool::low_water(PartitionId partition) {
  Share& share = *shares_[partition.value()];
  std::lock_guard lock(share.mutex);
  // Taken under the lock: a click stamped later is not below it.
  ArrivalMs lowest = clock_.now();
  for (const Lane& lane : share.lanes) {
    if (!lane.held.empty()) lowest = std::min(lowest, lane.held.front().received);
  }
  if (!share.backlog.empty()) lowest = std::min(lowest, share.backlog.oldest());
  for (const Backlog::Run& run : share.taken) lowest = std::min(lowest, run.oldest);
  for (const Untold& click : share.aside.held) lowest = std::min(lowest, click.received);
  return lowest;
}

void Spool::Share::take(JournalPos position, ArrivalMs received) {
  if (taken.empty() || taken.back().position != position)
    taken.push_back({position, received, 0, false, false});
  ++taken.back().clicks;
  taken.back().oldest = std::min(taken.back().oldest, received);
}

/// Oldest position that holds an uncommitted click; UINT64_MAX: none is durable.
JournalPos Spool::Share::oldest_position() const {
  JournalPos oldest(UINT64_MAX);
  for (const Lane& lane : lanes) {
    if (!lane.ready.empty()) oldest = std::min(oldest, lane.held.front().position);
  }
  if (!backlog.empty()) oldest = std::min(oldest, backlog.front().position);
  for (const Backlog::Run& run : taken) oldest = std::min(oldest, run.position);
  for (const Untold& click : aside.held) oldest = std::min(oldest, click.position);
  return oldest;
}

uint64_t Spool::Share::clicks_before(JournalPos end) const {
  uint64_t clicks = 0;
  for (const Lane& lane : lanes) {
    for (size_t i = 0; i < lane.ready.size() && lane.held[i].position < end; ++i) ++clicks;
  }
  backlog.for_each([&](const Backlog::Run& run) {
    if (run.position < end) clicks += run.clicks;
    return run.position < end;
  });
  for (const Backlog::Run& run : taken) clicks += run.position < end ? run.clicks : 0;
  return clicks;
}

bool Spool::Share::any_ready() const {
  return !aside.ready.empty() || !backlog.empty() ||
         std::any_of(lanes.begin(), lanes.end(),
                     [](const Lane& lane) { return !lane.ready.empty(); });
}

/// Whether clicks wait for the journal.
bool Spool::Share::on_its_way() const {
  return std::any_of(lanes.begin(), lanes.end(),
                     [](const Lane& lane) { return lane.ready.size() < lane.held.size(); });
}

void Spool::write_trims() {
  if (!trims_changed_.exchange(false)) return;
  log::Append append;
  append.kind = log::RecordKind::trim;
  ByteWriter writer(append.payload);
  writer.varint(shares_.size());
  for (const auto& share : shares_) {
    std::lock_guard lock(share->mutex);
    const JournalPos oldest = share->oldest_position();
    // Clicks that wait for the journal will stand behind everything that is durable,
    // but for those of the newest group, of which only a part may have been told yet.
    const uint64_t all = share->newest_durable.value() + (share->on_its_way() ? 0 : 1);
    writer.varint(std::min(oldest.value(), all));
  }
  if (!journal_.append(std::move(append))) trims_changed_ = true;
}

uint64_t Spool::waiting_clicks() const {
  uint64_t waiting = 0;
  for (const auto& share : shares_) {
    std::lock_guard lock(share->mutex);
    for (const Lane& lane : share->lanes) waiting += lane.held.size() - lane.ready.size();
  }
  return waiting;
}

JournalPos Spool::oldest_needed() {
  JournalPos oldest(UINT64_MAX);
  for (const auto& share : shares_) {
    std::lock_guard lock(share->mutex);
    oldest = std::min(oldest, share->oldest_position());
  }
  return oldest;
}

}  // namespace clickmill::collector
