#include "log/journal_files.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>

#include "base/logging.h"
#include "log/journal_recovery.h"

namespace clickmill::log {
namespace {

constexpr size_t kSparesKept = 2;
constexpr uint64_t kZerosBytes = 1 << 20;

}  // namespace

JournalFiles::JournalFiles(FileSystem& files, std::string directory, uint64_t file_bytes)
    : disk_(files), directory_(std::move(directory)), file_bytes_(file_bytes) {}

JournalFiles::~JournalFiles() { stop_preparing(); }

void JournalFiles::adopt(uint64_t journal_id, std::deque<uint64_t> numbers) {
  journal_id_ = journal_id;
  numbers_ = std::move(numbers);
  if (!numbers_.empty()) current_number_ = numbers_.back();
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
  auto file = TRY(disk_.open(spare, FileSystem::Open::write));
  TRY(file->write_at(0, encode_file_header({journal_id_, number, file_bytes_, takes_over_from})));
  // The header is durable before the name is: a file with the name and a bad
  // header is damage, never a crash in this place.
  TRY(file->sync());
  file.reset();
  const std::string path = directory_ + "/" + journal_file_name(number);
  TRY(disk_.rename(spare, path));
  TRY(disk_.sync_directory(directory_));
  current_ = TRY(disk_.open(path, FileSystem::Open::write));
  current_number_ = number;
  std::lock_guard lock(mutex_);
  numbers_.push_back(number);
  changed_.notify_one();
  return {};
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
  return make_spare();
}

Result<std::string> JournalFiles::make_spare() {
  uint64_t serial = 0;
  {
    std::lock_guard lock(mutex_);
    if (!may_make_spare()) {
      return Error(Errc::no_space, "the journal's files have reached their bound", directory_);
    }
    serial = next_spare_++;
  }
  const std::string path = fmt::format("{}/spare-{}", directory_, serial);
  auto file = TRY(disk_.open(path, FileSystem::Open::truncate));
  const std::string zeros(std::min(kZerosBytes, file_bytes_), '\0');
  for (uint64_t at = 0; at < file_bytes_; at += zeros.size()) {
    const auto piece = std::string_view(zeros).substr(0, std::min<uint64_t>(zeros.size(), file_bytes_ - at));
    if (auto done = file->write_at(at, piece); !done) {
      // A half-written spare would only hold on to space that is short already.
      file.reset();
      if (!disk_.remove(path)) log_warn("journal", "can't remove a half-written spare file");
      return std::move(done).error();
    }
  }
  TRY(file->sync());
  return path;
}

void JournalFiles::release_before(JournalPos position) {
  {
    std::lock_guard lock(mutex_);
    released_number_ = std::max(released_number_, position.value() / file_bytes_);
    if (preparing_) {
      changed_.notify_one();
      return;
    }
  }
  recycle_released();
}

void JournalFiles::recycle_released() {
  while (true) {
    uint64_t number = 0;
    std::string spare;
    {
      std::lock_guard lock(mutex_);
      if (numbers_.size() < 2 || numbers_.front() >= released_number_) return;
      number = numbers_.front();
      if (spares_.size() < kSparesKept) spare = fmt::format("{}/spare-{}", directory_, next_spare_++);
    }
    const std::string path = directory_ + "/" + journal_file_name(number);
    auto done = spare.empty() ? disk_.remove(path) : disk_.rename(path, spare);
    // The old name must be gone for good before the file gets a new life, or a
    // power loss could show the new life under the old name.
    if (done) done = disk_.sync_directory(directory_);
    if (!done) {
      log_warn("journal", "can't free a file: " + done.error().text());
      return;
    }
    std::lock_guard lock(mutex_);
    numbers_.pop_front();
    if (!spare.empty()) spares_.push_back(std::move(spare));
  }
}

void JournalFiles::start_preparing() {
  preparing_ = true;
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "background");
    prepare_loop();
  });
}

void JournalFiles::stop_preparing() {
  {
    std::lock_guard lock(mutex_);
    preparing_ = false;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void JournalFiles::prepare_loop() {
  bool failed = false;
  while (true) {
    bool want_spare = false;
    {
      std::unique_lock lock(mutex_);
      const auto has_work = [&] {
        return !preparing_ || (spares_.empty() && !failed && may_make_spare()) ||
               (numbers_.size() >= 2 && numbers_.front() < released_number_);
      };
      // After a failure (a full disk) it tries again by itself each second.
      if (!changed_.wait_for(lock, std::chrono::seconds(1), has_work)) failed = false;
      if (!preparing_) return;
    }
    recycle_released();
    {
      std::lock_guard lock(mutex_);
      want_spare = spares_.empty() && !failed && may_make_spare();
    }
    if (!want_spare) continue;
    auto spare = make_spare();
    if (!spare) {
      log_warn("journal", "can't prepare a file: " + spare.error().text());
      failed = true;
      continue;
    }
    std::lock_guard lock(mutex_);
    spares_.push_back(*std::move(spare));
  }
}

}  // namespace clickmill::log
