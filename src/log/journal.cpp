#include "log/journal.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <iterator>

#include "base/assert.h"
#include "base/logging.h"
#include "base/random.h"
#include "base/wakes.h"

namespace clickmill::log {
namespace {

constexpr auto kIdleBeforeNote = std::chrono::milliseconds(20);
constexpr auto kRetryNoRoom = std::chrono::milliseconds(100);
constexpr auto kRetryFailing = std::chrono::seconds(1);
constexpr int64_t kSlowNs = 1'000'000'000;
constexpr int64_t kSlowForNs = 10'000'000'000;

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
                                               NodeClock& clock, Options options) {
  TRY(files.create_directories(directory));
  auto recovery = std::make_shared<JournalRecovery>(files, directory, options.unsynced_bytes);
  auto recovered = TRY(recovery->find_end());
  // The size is fixed when a journal is made: positions name files by it.
  if (recovered.file_bytes != 0) options.file_bytes = recovered.file_bytes;
  CM_ASSERT(is_file_size(options.file_bytes));
  CM_ASSERT(options.unsynced_bytes >= 4 * kJournalAlign);
  CM_ASSERT(options.unsynced_bytes + kJournalAlign <= options.file_bytes);
  auto journal = std::unique_ptr<Journal>(new Journal(files, directory, clock, options));
  clock.raise(ArrivalMs(recovered.time_ms));
  const uint64_t id = recovered.journal_id != 0 ? recovered.journal_id : secure_random_u64() | 1;
  TRY(journal->files_.adopt(id, {recovered.file_numbers.begin(), recovered.file_numbers.end()}));
  journal->set_durable(recovered.end);
  journal->end_ = recovered.end;
  journal->recovery_ = std::move(recovery);
  // The first click should not wait for a file to be made; on a disk that is full or
  // can't be written it must.
  journal->may_continue_ = recovered.end > journal->files_.current_begin() &&
                           recovered.end - journal->files_.current_begin() < options.continue_bytes;
  auto ready = journal->settle_recovered();
  if (ready) ready = journal->files_.keep_spare();
  if (!ready) TRY(journal->wait_if_passing(ready));
  // Only now: a start must not fail for a bound that upkeep will meet again.
  journal->files_.set_bytes_most(options.files_bytes_most);
  journal->recovered_ = std::move(recovered);
  return journal;
}

/// What earlier runs left must be durable before anybody hears of it, or writes behind it.
Status Journal::settle_recovered() {
  std::shared_ptr<JournalRecovery> recovery;
  {
    std::lock_guard lock(mutex_);
    recovery = recovery_;
  }
  return recovery ? recovery->settle() : Status();
}

Status Journal::replay(const Replay& replay) {
  TRY(settle_recovered());
  return recovery_->replay(replay);
}

void Journal::end_replay() {
  std::lock_guard lock(mutex_);
  recovery_.reset();
}

Result<std::unique_ptr<Journal>> Journal::open(FileSystem& files, const std::string& directory,
                                               NodeClock& clock, Options options,
                                               const Replay& replay) {
  auto journal = TRY(open(files, directory, clock, options));
  TRY(journal->replay(replay));
  journal->end_replay();
  if (auto begun = journal->next_file(); !begun) TRY(journal->wait_if_passing(begun));
  return journal;
}

/// What a start does about a disk that takes no new file: an error unless it may pass.
Status Journal::wait_if_passing(const Status& failed) {
  const Error& error = failed.error();
  if (error.code() != Errc::no_space && error.code() != Errc::io) {
    return Error(error.code(), error.message(), error.path(), error.position());
  }
  abandon_file_ = true;
  note_health(failed);
  return {};
}

Status Journal::append(Append&& record) {
  const auto lane = static_cast<size_t>(record.lane);
  const uint64_t bytes = size_of(record);
  if (bytes > record_bytes_max()) {
    return Error(Errc::invalid,
                 fmt::format("a record of {} bytes is longer than the journal takes ({})", bytes,
                             record_bytes_max()));
  }
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return Error(Errc::closed, "journal is stopping");
    if (!may_queue(record.lane, bytes)) return Error(Errc::busy, "journal queue is full");
    lane_bytes_[lane] += bytes;
    const uint64_t before = queued_total_.fetch_add(bytes, std::memory_order_relaxed);
    const bool enough = before < options_.linger_bytes && before + bytes >= options_.linger_bytes;
    const bool first_of_log = !holds_clicks(record.lane) && lanes_[lane].empty();
    if (first_of_log && log_waits_since_ns_ == 0)
      log_waits_since_ns_ = std::max<int64_t>(1, clock_.system().monotonic_ns());
    lanes_[lane].push_back(std::move(record));
    if (enough || first_of_log) enough_.notify_one();
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

/// As above.
bool Journal::holds_log() const {
  return !lanes_[static_cast<size_t>(Lane::votes)].empty() ||
         !lanes_[static_cast<size_t>(Lane::log)].empty();
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
  enough_.notify_one();
  files_.end_preparing();
  if (thread_.joinable()) thread_.join();
  files_.stop_preparing();
  fail_queued(Error(Errc::closed, "the journal stopped before it could write the record"));
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

void Journal::linger() {
  using Steady = std::chrono::steady_clock;
  std::unique_lock lock(mutex_);
  // The wait itself is real time, though the node's clock may stand still in a test.
  const auto synced =
      Steady::now() - std::chrono::nanoseconds(clock_.system().monotonic_ns() - last_sync_ns_);
  while (!stopping_ && queued_bytes() < options_.linger_bytes) {
    const int64_t most =
        holds_log() ? std::min(options_.linger_us, options_.log_linger_us) : options_.linger_us;
    const auto until = synced + std::chrono::microseconds(most);
    if (Steady::now() >= until) return;
    enough_.wait_until(lock, until);
  }
}

/// False when it is time to stop and nothing waits any more.
bool Journal::wait_for_work() {
  std::unique_lock lock(mutex_);
  const auto ready = [&] { return stopping_ || has_writable(); };
  if (health() != Health::ok && !stopping_) {
    const auto retry = health() == Health::no_room ? kRetryNoRoom : kRetryFailing;
    work_.wait_for(lock, retry, [&] { return stopping_; });
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
void Journal::give_back(std::vector<Append>&& records) {
  std::lock_guard lock(mutex_);
  for (size_t i = records.size(); i-- > 0;) {
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
  look_for_room();
  const int64_t began_ns = clock_.system().monotonic_ns();
  std::vector<Append> records;
  if (!take_queued(records) && health() == Health::ok) {
    if (thread_.joinable() || noted_durable_ || abandon_file_) return false;
    note_durable_when_idle();
    return true;
  }
  auto done = write_and_sync(records);
  if (!done && done.error().code() != Errc::no_space) {
    log_error("journal", "write or sync failed, going on in a new file: " + done.error().text());
    stats_.rewrites.add();
    done = write_and_sync(records);
  }
  note_health(done);
  if (done) {
    note_log_durable(began_ns);
  } else {
    give_back(std::move(records));
  }
  return done.has_value();
}

/// What waits now came since the round began.
void Journal::note_log_durable(int64_t round_began_ns) {
  std::lock_guard lock(mutex_);
  const int64_t since_ns = log_waits_since_ns_;
  const int64_t now_ns = clock_.system().monotonic_ns();
  if (since_ns != 0 && now_ns - since_ns > kSlowNs) slow_until_ns_ = now_ns + kSlowForNs;
  log_waits_since_ns_ = holds_log() ? std::max<int64_t>(1, round_began_ns) : 0;
}

bool Journal::keeps_up() const {
  const int64_t since_ns = log_waits_since_ns_;
  const int64_t now_ns = clock_.system().monotonic_ns();
  return now_ns >= slow_until_ns_ && (since_ns == 0 || now_ns - since_ns <= kSlowNs);
}

void Journal::note_health(const Status& done) {
  Health health = Health::ok;
  if (!done) health = done.error().code() == Errc::no_space ? Health::no_room : Health::failing;
  if (health_.exchange(health) == health) return;
  if (done) {
    log_info("journal", "writes again");
  } else {
    log_error("journal", "everything waits in memory: " + done.error().text());
  }
}

/// On an error `records` keeps, in their order, those that are not known
/// durable; the next attempt writes them to a new file, which voids them here.
Status Journal::write_and_sync(std::vector<Append>& records) {
  size_t written = 0;
  Status done;
  if (abandon_file_) done = make_room(0);
  if (done) done = write_all(records, written);
  if (done) done = sync_unsynced();
  if (done) return {};
  abandon_file_ = true;
  std::vector<Append> left;
  for (Group& group : std::exchange(unsynced_, {})) {
    std::move(group.appends.begin(), group.appends.end(), std::back_inserter(left));
  }
  const auto rest = records.begin() + static_cast<std::ptrdiff_t>(written);
  std::move(rest, records.end(), std::back_inserter(left));
  records = std::move(left);
  return done;
}

/// Cuts records into groups and writes them. `written` counts those that are in
/// unsynced_ or durable now; the rest is still the caller's.
Status Journal::write_all(std::vector<Append>& records, size_t& written) {
  while (written < records.size()) {
    std::string bytes;
    bytes.reserve(std::min<uint64_t>(options_.group_bytes, 16 << 10));
    bytes.resize(kGroupHeaderBytes);
    size_t next = written;
    while (next < records.size()) {
      const Append& record = records[next];
      if (next != written && bytes.size() + size_of(record) > options_.group_bytes) break;
      append_record(record.kind, record.partition, record.payload, bytes);
      ++next;
    }
    TRY(make_room(padded(bytes.size())));
    Group group;
    group.position = end_;
    for (size_t i = written; i < next; ++i) group.appends.push_back(std::move(records[i]));
    const auto count = static_cast<uint32_t>(next - written);
    written = next;
    unsynced_.push_back(std::move(group));
    TRY(write_group(bytes, count));
    for (Append& append : unsynced_.back().appends) {
      if (append.waiter && !std::exchange(append.told_written, true)) append.waiter->written();
    }
  }
  return {};
}

/// Syncs, and goes to the next file, as a group of so many bytes needs it.
/// Recovery takes a bad stretch longer than unsynced_bytes for damage, so no
/// more than that, padding included, may ever stand unsynced.
Status Journal::make_room(uint64_t bytes) {
  if (end_ + bytes - durable_upto_ > options_.unsynced_bytes) TRY(sync_unsynced());
  const JournalPos file_end = files_.current_begin() + files_.file_bytes();
  if (!abandon_file_ && end_ + bytes <= file_end) return {};
  // Sync first: a file names in its header where it takes over, and what it
  // takes over must be durable by then.
  TRY(sync_unsynced());
  return next_file();
}

Status Journal::next_file() {
  TRY(settle_recovered());
  if (std::exchange(may_continue_, false)) return continue_file();
  TRY(files_.advance(durable_upto_));
  abandon_file_ = false;
  end_ = files_.current_begin() + kJournalAlign;
  set_durable(end_);
  noted_durable_ = true;
  return {};
}

/// Everything before its end is durable, and nothing that counts stands behind it.
Status Journal::continue_file() {
  TRY(files_.resume(recovered_.end, recovered_.torn_bytes));
  abandon_file_ = false;
  end_ = recovered_.end;
  set_durable(end_);
  noted_durable_ = false;
  return {};
}

/// Seals a group and writes it at the end.
Status Journal::write_group(std::string& bytes, uint32_t records) {
  GroupHeader header;
  header.journal_id = files_.journal_id();
  header.file_number = files_.current_number();
  header.position = end_;
  header.durable_upto = durable_upto_;
  header.time_ms = clock_.now().value();
  header.payload_bytes = static_cast<uint32_t>(bytes.size() - kGroupHeaderBytes);
  header.records = records;
  seal_group(header, bytes);
  stats_.groups.add();
  stats_.bytes.add(bytes.size());
  end_ = end_ + bytes.size();
  return files_.file().write_at(header.position - files_.current_begin(), bytes);
}

Status Journal::sync_unsynced() {
  if (unsynced_.empty()) return {};
  stats_.syncs.add();
  const int64_t begin_ns = clock_.system().monotonic_ns();
  TRY(files_.file().sync());
  stats_.sync_took.add_ns(clock_.system().monotonic_ns() - begin_ns);
  complete_unsynced();
  return {};
}

void Journal::set_durable(JournalPos position) {
  durable_upto_ = position;
  durable_end_ = position.value();
}

void Journal::complete_unsynced() {
  set_durable(end_);
  noted_durable_ = false;
  auto groups = std::exchange(unsynced_, {});
  if (!groups.empty()) last_durable_ = groups.back().position.value();
  for (Group& group : groups) {
    const LaterWakes once_a_group;
    for (Append& append : group.appends) {
      if (append.waiter) append.waiter->durable(group.position, std::move(append.payload));
    }
  }
}

void Journal::fail_queued(const Error& error) {
  std::vector<Append> failed;
  {
    std::lock_guard lock(mutex_);
    for (size_t lane = 0; lane < kLanes; ++lane) {
      std::move(lanes_[lane].begin(), lanes_[lane].end(), std::back_inserter(failed));
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
  if (health() != Health::ok || noted_durable_ || !unsynced_.empty() || abandon_file_) return;
  noted_durable_ = true;
  if (end_ + kJournalAlign > files_.current_begin() + files_.file_bytes()) return;
  std::string bytes(kGroupHeaderBytes, '\0');
  if (auto done = write_group(bytes, 0); !done) {
    // Going on behind a group that may be bad would make it look like damage.
    abandon_file_ = true;
    log_warn("journal", "can't note how far it is durable: " + done.error().text());
  }
}

}  // namespace clickmill::log
