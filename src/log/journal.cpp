#include "log/journal.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>

#include "base/assert.h"
#include "base/logging.h"
#include "base/random.h"

namespace clickmill::log {
namespace {

constexpr auto kIdleBeforeNote = std::chrono::milliseconds(20);
constexpr auto kRetryNoRoom = std::chrono::milliseconds(100);

// What a record takes in memory besides its payload: itself, its waiter, and the
// answer that hangs on that.
constexpr uint64_t kWaitingBytes = 256;
constexpr uint64_t kLogLaneBytes = 64 << 20;

uint64_t size_of(const Append& record) { return record.payload.size() + kRecordOverhead; }

}  // namespace

Journal::Journal(FileSystem& files, const std::string& directory, NodeClock& clock, Options options)
    : clock_(clock), options_(options), files_(files, directory, options.file_bytes) {}

Journal::~Journal() { stop(); }

Result<std::unique_ptr<Journal>> Journal::open(FileSystem& files, const std::string& directory,
                                               NodeClock& clock, Options options,
                                               const Replay& replay) {
  TRY(files.create_directories(directory));
  auto recovered = TRY(recover_journal(files, directory, options.unsynced_bytes, replay));
  // The size is fixed when a journal is made: positions name files by it.
  if (recovered.file_bytes != 0) options.file_bytes = recovered.file_bytes;
  CM_ASSERT(options.file_bytes % kJournalAlign == 0);
  CM_ASSERT(options.unsynced_bytes + options.group_bytes <= options.file_bytes);
  auto journal = std::unique_ptr<Journal>(new Journal(files, directory, clock, options));
  clock.raise(ArrivalMs(recovered.time_ms));
  const uint64_t id = recovered.journal_id != 0 ? recovered.journal_id : secure_random_u64() | 1;
  journal->files_.adopt(id, {recovered.file_numbers.begin(), recovered.file_numbers.end()});
  journal->durable_upto_ = recovered.end;
  TRY(journal->next_file());
  // Only now: a start must not fail for a bound that upkeep will meet again.
  journal->files_.set_bytes_most(options.files_bytes_most);
  journal->recovered_ = std::move(recovered);
  return journal;
}

Status Journal::append(Append&& record) {
  if (health() == Health::closed) return Error(Errc::closed, "journal is closed");
  const auto lane = static_cast<size_t>(record.lane);
  const uint64_t bytes = size_of(record);
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return Error(Errc::closed, "journal is stopping");
    if (!may_queue(record.lane, bytes)) return Error(Errc::busy, "journal queue is full");
    lane_bytes_[lane] += bytes;
    queued_total_.fetch_add(bytes, std::memory_order_relaxed);
    lanes_[lane].push_back(std::move(record));
    // Whoever found the lane empty has woken the thread, or the lane waits for room.
    if (lanes_[lane].size() > 1) return {};
  }
  work_.notify_one();
  return {};
}

/// Needs mutex_, as the two below do.
uint64_t Journal::held_bytes(Lane lane) const {
  const auto at = static_cast<size_t>(lane);
  return lane_bytes_[at] + lanes_[at].size() * kWaitingBytes;
}

bool Journal::may_queue(Lane lane, uint64_t bytes) const {
  bytes += kWaitingBytes;
  if (lane == Lane::votes) return true;
  if (lane == Lane::log) return held_bytes(lane) + bytes <= kLogLaneBytes;
  if (lane == Lane::bulk) {
    if (clicks_wait() || health() != Health::ok) return false;
    if (held_bytes(lane) + bytes > options_.queue_bytes / 2) return false;
  }
  return held_bytes(Lane::redirects) + held_bytes(Lane::bulk) + bytes <= options_.queue_bytes;
}

bool Journal::may_write(size_t lane) const {
  return !clicks_wait() || !holds_clicks(static_cast<Lane>(lane));
}

bool Journal::has_writable() const {
  for (size_t lane = 0; lane < kLanes; ++lane) {
    if (may_write(lane) && !lanes_[lane].empty()) return true;
  }
  return false;
}

void Journal::release_before(JournalPos position) { files_.release_before(position); }

void Journal::start() {
  files_.start_preparing();
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "journal");
    run();
  });
}

void Journal::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_one();
  if (thread_.joinable()) thread_.join();
  files_.stop_preparing();
}

void Journal::run() {
  while (wait_for_work()) {
    linger();
    pump();
    last_sync_ns_ = clock_.system().monotonic_ns();
  }
  pump();
  note_durable_when_idle();
}

void Journal::linger() const {
  const int64_t since_last_us = (clock_.system().monotonic_ns() - last_sync_ns_) / 1000;
  if (since_last_us >= options_.linger_us || queued_bytes() >= options_.linger_bytes) return;
  std::this_thread::sleep_for(std::chrono::microseconds(options_.linger_us - since_last_us));
}

/// False when it is time to stop and nothing waits any more.
bool Journal::wait_for_work() {
  std::unique_lock lock(mutex_);
  const auto ready = [&] { return stopping_ || has_writable(); };
  if (health() == Health::no_room && !stopping_) {
    work_.wait_for(lock, kRetryNoRoom, [&] { return stopping_; });
  } else if (clicks_wait()) {
    work_.wait_for(lock, kRetryNoRoom, ready);
  } else if (!work_.wait_for(lock, kIdleBeforeNote, ready)) {
    lock.unlock();
    note_durable_when_idle();
    lock.lock();
    work_.wait(lock, ready);
  }
  return !stopping_ || (queued_bytes() != 0 && health() == Health::ok);
}

bool Journal::take_queued(std::vector<Append>& out) {
  std::lock_guard lock(mutex_);
  uint64_t taken = 0;
  for (size_t lane = 0; lane < kLanes; ++lane) {
    while (may_write(lane) && !lanes_[lane].empty() && taken < options_.unsynced_bytes) {
      const uint64_t bytes = size_of(lanes_[lane].front());
      if (taken != 0 && taken + bytes > options_.unsynced_bytes) break;
      taken += bytes;
      lane_bytes_[lane] -= bytes;
      out.push_back(std::move(lanes_[lane].front()));
      lanes_[lane].pop_front();
    }
  }
  queued_total_.fetch_sub(taken, std::memory_order_relaxed);
  return !out.empty();
}

/// Puts records back to the front of their lanes, in their order.
void Journal::give_back(std::vector<Append>&& records, size_t from) {
  std::lock_guard lock(mutex_);
  for (size_t i = records.size(); i-- > from;) {
    const auto lane = static_cast<size_t>(records[i].lane);
    const uint64_t bytes = size_of(records[i]);
    lane_bytes_[lane] += bytes;
    queued_total_.fetch_add(bytes, std::memory_order_relaxed);
    lanes_[lane].push_front(std::move(records[i]));
  }
}

/// Decides whether clicks may be written. One look per file is enough: a round
/// begins one more file at most.
void Journal::look_for_room() {
  if (!clicks_wait() && room_seen_in_ == files_.current_number()) return;
  bool room = files_.has_room_for_one_more(options_.reserve_bytes);
  {
    // At the end, what was answered is better off in the reserve than gone.
    std::lock_guard lock(mutex_);
    room = room || stopping_;
  }
  if (room) room_seen_in_ = files_.current_number();
  if (clicks_wait_.exchange(!room) == !room) return;
  if (room) {
    log_info("journal", "clicks no longer wait for room");
  } else {
    log_warn("journal", "full but for the reserve: clicks wait in memory");
  }
}

bool Journal::pump() {
  if (health() == Health::closed) return false;
  look_for_room();
  std::vector<Append> records;
  if (!take_queued(records)) {
    if (thread_.joinable() || noted_durable_) return false;
    note_durable_when_idle();
    return true;
  }
  size_t written = 0;
  Status done = write_all(records, written);
  if (done) done = sync_unsynced();
  if (!done && done.error().code() == Errc::no_space && unsynced_.empty()) {
    health_ = Health::no_room;
    give_back(std::move(records), written);
    return true;
  }
  if (!done) done = recover_from_failure(done.error());
  if (!done) {
    close_for_good(done.error(), std::move(records), written);
    return true;
  }
  health_ = Health::ok;
  if (written < records.size()) give_back(std::move(records), written);
  return true;
}

/// Cuts records into groups and writes them. `written` counts those that are in
/// unsynced_ now; the rest is still the caller's.
Status Journal::write_all(std::vector<Append>& records, size_t& written) {
  while (written < records.size()) {
    Group group;
    group.bytes.reserve(std::min<uint64_t>(options_.group_bytes, 16 << 10));
    group.bytes.resize(kGroupHeaderBytes);
    size_t next = written;
    while (next < records.size()) {
      const Append& record = records[next];
      if (next != written && group.bytes.size() + size_of(record) > options_.group_bytes) break;
      append_record(record.kind, record.partition, record.payload, group.bytes);
      ++next;
    }
    group.records = static_cast<uint32_t>(next - written);
    const uint64_t room = (files_.current_begin() + files_.file_bytes()) - end_;
    if (group.bytes.size() + kJournalAlign > room) {
      // Sync first: a file names in its header where it takes over, and what
      // it takes over must be durable by then.
      TRY(sync_unsynced());
      TRY(next_file());
    }
    for (size_t i = written; i < next; ++i) group.appends.push_back(std::move(records[i]));
    written = next;
    unsynced_.push_back(std::move(group));
    TRY(place_group(unsynced_.back()));
    for (const Append& append : unsynced_.back().appends) {
      if (append.waiter) append.waiter->written();
    }
  }
  return {};
}

Status Journal::next_file() {
  TRY(files_.advance(durable_upto_));
  end_ = files_.current_begin() + kJournalAlign;
  durable_upto_ = end_;
  noted_durable_ = true;
  return {};
}

/// Seals a group at the end and writes it.
Status Journal::place_group(Group& group) {
  group.position = end_;
  GroupHeader header;
  header.journal_id = files_.journal_id();
  header.file_number = files_.current_number();
  header.position = group.position;
  header.durable_upto = durable_upto_;
  header.time_ms = clock_.now().value();
  header.payload_bytes = static_cast<uint32_t>(group.bytes.size() - kGroupHeaderBytes);
  header.records = group.records;
  seal_group(header, group.bytes);
  stats_.groups.add();
  stats_.bytes.add(group.bytes.size());
  end_ = end_ + group.bytes.size();
  return files_.file().write_at(group.position.value() - files_.current_begin().value(), group.bytes);
}

Status Journal::sync_unsynced() {
  if (unsynced_.empty()) return {};
  stats_.syncs.add();
  TRY(files_.file().sync());
  complete_unsynced();
  return {};
}

void Journal::complete_unsynced() {
  durable_upto_ = end_;
  noted_durable_ = false;
  auto groups = std::exchange(unsynced_, {});
  for (Group& group : groups) {
    for (Append& append : group.appends) {
      if (append.waiter) append.waiter->durable(group.position, std::move(append.payload));
    }
  }
}

/// What is not known durable goes to a new file, which voids it in the old one.
Status Journal::recover_from_failure(const Error& error) {
  log_error("journal", "write or sync failed, going on in a new file: " + error.text());
  stats_.rewrites.add();
  TRY(next_file());
  return rewrite_unsynced();
}

Status Journal::rewrite_unsynced() {
  auto groups = std::exchange(unsynced_, {});
  for (size_t i = 0; i < groups.size(); ++i) {
    Group& group = groups[i];
    std::string rebuilt(kGroupHeaderBytes, '\0');
    for (const Append& append : group.appends) {
      append_record(append.kind, append.partition, append.payload, rebuilt);
    }
    group.bytes = std::move(rebuilt);
    unsynced_.push_back(std::move(group));
    if (auto placed = place_group(unsynced_.back()); !placed) {
      // close_for_good must reach them all.
      for (size_t rest = i + 1; rest < groups.size(); ++rest) unsynced_.push_back(std::move(groups[rest]));
      return placed;
    }
  }
  return sync_unsynced();
}

void Journal::close_for_good(const Error& error, std::vector<Append>&& records, size_t from) {
  log_error("journal", "closed after a second failure: " + error.text());
  health_ = Health::closed;
  std::vector<Append> failed;
  for (Group& group : std::exchange(unsynced_, {})) {
    for (Append& append : group.appends) failed.push_back(std::move(append));
  }
  for (size_t i = from; i < records.size(); ++i) failed.push_back(std::move(records[i]));
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    for (size_t lane = 0; lane < kLanes; ++lane) {
      for (Append& append : lanes_[lane]) failed.push_back(std::move(append));
      lanes_[lane].clear();
      lane_bytes_[lane] = 0;
    }
    queued_total_ = 0;
  }
  for (Append& append : failed) {
    if (append.waiter) append.waiter->failed(error, std::move(append.payload));
  }
}

/// An empty group tells recovery that everything before it was durable, so
/// that damage there is not taken for a torn tail.
void Journal::note_durable_when_idle() {
  if (health() != Health::ok || noted_durable_ || !unsynced_.empty()) return;
  noted_durable_ = true;
  if (end_ + kJournalAlign > files_.current_begin() + files_.file_bytes()) return;
  Group group;
  group.bytes.resize(kGroupHeaderBytes);
  // Not needed for safety: after a failure the next real write meets the same
  // trouble and deals with it.
  if (!place_group(group)) log_warn("journal", "can't note how far it is durable");
}

}  // namespace clickmill::log
