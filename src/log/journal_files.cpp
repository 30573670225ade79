#include "log/journal_files.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include "base/damage.h"
#include "base/hard_links.h"
#include "base/logging.h"
#include "log/journal_reader.h"

namespace clickmill::log {
namespace {

constexpr std::string_view kSparePrefix = "spare-";
constexpr size_t kSparesKept = 2;
constexpr uint64_t kZerosBytes = 1 << 20;

}  // namespace

JournalFiles::JournalFiles(FileSystem& files, std::string directory, uint64_t file_bytes)
    : disk_(files), directory_(std::move(directory)), file_bytes_(file_bytes) {}

JournalFiles::~JournalFiles() { stop_preparing(); }

Status JournalFiles::adopt(uint64_t journal_id, std::deque<uint64_t> numbers) {
  journal_id_ = journal_id;
  numbers_ = std::move(numbers);
  if (!numbers_.empty()) current_number_ = numbers_.back();
  for (const std::string& name : TRY(disk_.list(directory_))) {
    if (!name.starts_with(kSparePrefix)) continue;
    const std::string path = directory_ + "/" + name;
    uint64_t serial = 0;
    const char* const end = name.data() + name.size();
    const auto [parsed, failure] = std::from_chars(name.data() + kSparePrefix.size(), end, serial);
    if (failure != std::errc() || parsed != end) continue;
    next_spare_ = std::max(next_spare_, serial + 1);
    auto file = disk_.open(path, FileSystem::Open::read);
    if (!file && wants_a_person(file.error())) {
      // Nothing stands in it that a start would miss.
      log_warn("journal", "a spare file is left aside: " + file.error().text());
      continue;
    }
    if (!file) return std::move(file).error();
    if (spares_.size() < kSparesKept && TRY((*file)->size()) == file_bytes_) {
      spares_.push_back(path);
    } else {
      discard(path);
    }
  }
  // A kill may have come between a file's renaming and the sync of its name.
  if (!spares_.empty()) TRY(disk_.sync_directory(directory_));
  return {};
}

uint64_t JournalFiles::count() const {
  std::lock_guard lock(mutex_);
  return numbers_.size();
}

bool JournalFiles::has_room_for_one_more(uint64_t reserve_bytes) const {
  uint64_t used = 0;
  uint64_t spares = 0;
  {
    std::lock_guard lock(mutex_);
    used = numbers_.size();
    spares = spares_.size();
  }
  if (bytes_most_ != 0 && (used + 1) * file_bytes_ + reserve_bytes > bytes_most_) return false;
  const auto space = disk_.space(directory_);
  // A disk that can't say how full it is will say so when it is written to.
  return !space || space->free_bytes + spares * file_bytes_ >= file_bytes_ + reserve_bytes;
}

/// Whether the bound allows a file more. Needs mutex_.
bool JournalFiles::may_make_spare() const {
  return bytes_most_ == 0 || (numbers_.size() + spares_.size() + 1) * file_bytes_ <= bytes_most_;
}

Status JournalFiles::advance(JournalPos takes_over_from) {
  const std::string spare = TRY(take_spare());
  const uint64_t number = current_number() + 1;
  const std::string path = directory_ + "/" + journal_file_name(number);
  auto done = label(spare, {journal_id_, number, file_bytes_, takes_over_from});
  if (done) done = disk_.rename(spare, path);
  if (!done) {
    discard(spare);
    return done;
  }
  TRY(disk_.sync_directory(directory_));
  current_ = TRY(disk_.open(path, FileSystem::Open::write));
  current_number_ = number;
  std::lock_guard lock(mutex_);
  numbers_.push_back(number);
  changed_.notify_one();
  return {};
}

Status JournalFiles::resume(JournalPos end, uint64_t torn_bytes) {
  const std::string path = directory_ + "/" + journal_file_name(current_number());
  auto file = TRY(disk_.open(path, FileSystem::Open::write));
  if (torn_bytes > 0) {
    TRY(file->write_at(end - current_begin(), std::string(torn_bytes, '\0')));
    TRY(file->sync());
  }
  current_ = std::move(file);
  return {};
}

/// Makes the header durable before the name is: a file that has its name and a
/// bad header is damage, never a crash in this place.
Status JournalFiles::label(const std::string& spare, const FileHeader& header) {
  auto file = TRY(disk_.open(spare, FileSystem::Open::write));
  TRY(file->write_at(0, encode_file_header(header)));
  return file->sync();
}

/// A spare that failed would only hold on to space.
void JournalFiles::discard(const std::string& path) {
  auto removed = disk_.remove(path);
  if (!removed && removed.error().code() != Errc::not_found) {
    log_warn("journal", "can't remove a spare file: " + removed.error().text());
  }
}

std::string JournalFiles::next_spare_name() {
  std::lock_guard lock(mutex_);
  return fmt::format("{}/{}{}", directory_, kSparePrefix, next_spare_++);
}

Result<std::string> JournalFiles::take_spare() {
  {
    std::lock_guard lock(mutex_);
    if (!spares_.empty()) {
      std::string spare = std::move(spares_.front());
      spares_.pop_front();
      return spare;
    }
  }
  return make_spare(Wanted::by_the_journal);
}

Result<std::string> JournalFiles::make_spare(Wanted wanted) {
  {
    std::lock_guard lock(mutex_);
    if (!may_make_spare()) {
      return Error(Errc::no_space, "the journal's files have reached their bound", directory_);
    }
  }
  // Rather than writing what fits, again and again.
  const auto space = disk_.space(directory_);
  if (space && space->free_bytes < file_bytes_) {
    return Error(Errc::no_space,
                 fmt::format("{} bytes are free, the journal's next file takes {}",
                             space->free_bytes, file_bytes_),
                 directory_);
  }
  const std::string path = next_spare_name();
  auto file = TRY(disk_.open(path, FileSystem::Open::truncate));
  const std::string zeros(std::min(kZerosBytes, file_bytes_), '\0');
  Status done;
  for (uint64_t at = 0; at < file_bytes_ && done; at += zeros.size()) {
    done = file->write_at(at, std::string_view(zeros).substr(0, file_bytes_ - at));
    // Piece by piece: a sync of the whole file keeps users' clicks from the disk.
    if (done) done = file->sync();
    // On a slow disk a whole spare would keep a stop waiting.
    if (done && wanted == Wanted::by_preparing && !preparing_)
      done = Error(Errc::closed, "the journal stops", path);
  }
  if (done) return path;
  file.reset();
  discard(path);
  return std::move(done).error();
}

bool JournalFiles::has_released() const {
  return numbers_.size() >= 2 && numbers_.front() < released_number_;
}

void JournalFiles::release_before(JournalPos position) {
  {
    std::lock_guard lock(mutex_);
    released_number_ = std::max(released_number_, position.value() / file_bytes_);
    if (preparing_) {
      if (has_released()) changed_.notify_one();
      return;
    }
  }
  if (auto done = recycle_released(); !done) {
    log_warn("journal", "can't free a file: " + done.error().text());
  }
}

Status JournalFiles::recycle_released() {
  TRY(settle_names());
  while (true) {
    uint64_t number = 0;
    {
      std::lock_guard lock(mutex_);
      if (!has_released()) return {};
      number = numbers_.front();
    }
    TRY(recycle(number));
    TRY(settle_names());
  }
}

/// Takes the oldest file's name away: it becomes a spare, or goes when there are enough.
Status JournalFiles::recycle(uint64_t number) {
  const std::string path = directory_ + "/" + journal_file_name(number);
  size_t spares = 0;
  {
    std::lock_guard lock(mutex_);
    spares = spares_.size();
  }
  if (spares < kSparesKept) {
    std::string spare = next_spare_name();
    TRY(disk_.rename(path, spare));
    // Asked when nobody can find it by its old name any more: a backup reads on in it.
    if (has_other_names(spare)) {
      discard(spare);
    } else {
      freed_.push_back(std::move(spare));
    }
  } else {
    TRY(disk_.remove(path));
  }
  names_unsynced_ = true;
  std::lock_guard lock(mutex_);
  numbers_.pop_front();
  return {};
}

/// The old name must be gone for good before the file gets a new life, or a
/// power loss could show the new life under the old name.
Status JournalFiles::settle_names() {
  if (!names_unsynced_) return {};
  TRY(disk_.sync_directory(directory_));
  names_unsynced_ = false;
  std::lock_guard lock(mutex_);
  for (std::string& spare : std::exchange(freed_, {})) spares_.push_back(std::move(spare));
  return {};
}

Status JournalFiles::keep_spare(Wanted wanted) {
  {
    std::lock_guard lock(mutex_);
    if (!spares_.empty() || !may_make_spare()) return {};
  }
  std::string spare = TRY(make_spare(wanted));
  std::lock_guard lock(mutex_);
  spares_.push_back(std::move(spare));
  return {};
}

void JournalFiles::start_preparing() {
  preparing_ = true;
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "background");
    prepare_loop();
  });
}

void JournalFiles::end_preparing() {
  std::lock_guard lock(mutex_);
  preparing_ = false;
  changed_.notify_one();
}

void JournalFiles::stop_preparing() {
  end_preparing();
  if (thread_.joinable()) thread_.join();
}

void JournalFiles::prepare_loop() {
  bool failed = false;
  const auto note = [&](const Status& done, const char* what) {
    if (done || done.error().code() == Errc::closed) return;
    log_warn("journal", fmt::format("can't {} a file: {}", what, done.error().text()));
    failed = true;
  };
  while (true) {
    {
      std::unique_lock lock(mutex_);
      const auto has_work = [&] {
        return !preparing_ ||
               (!failed && ((spares_.empty() && may_make_spare()) || has_released()));
      };
      // After a failure (a full disk) it tries again by itself each second.
      changed_.wait_for(lock, std::chrono::seconds(1), has_work);
      if (!preparing_) return;
    }
    failed = false;
    note(recycle_released(), "free");
    note(keep_spare(Wanted::by_preparing), "prepare");
  }
}

}  // namespace clickmill::log
