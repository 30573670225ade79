#include "engine/backup_desk.h"

#include <fmt/format.h>
#include <pthread.h>

#include <array>
#include <future>
#include <utility>

#include "base/hard_links.h"
#include "base/logging.h"
#include "log/journal.h"

namespace clickmill::engine {
namespace {

constexpr auto kLookEvery = std::chrono::milliseconds(200);
constexpr auto kSyncPatience = std::chrono::seconds(10);

/// Holds no click: what stood in its lane before it is durable when it is.
class Marker final : public log::JournalWaiter {
 public:
  std::future<bool> told() { return told_.get_future(); }
  void durable(JournalPos, std::string&&) override { told_.set_value(true); }
  void failed(const Error&, std::string&&) override { told_.set_value(false); }

 private:
  std::promise<bool> told_;
};

}  // namespace

void BackupDesk::start() {
  // By the node, so that it is its own whoever runs the command.
  if (auto made = disk_.create_directories(paths_.folder()); !made)
    log_warn("backup", made.error().text());
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "backup");
    run();
  });
}

void BackupDesk::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void BackupDesk::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    look();
    lock.lock();
    changed_.wait_for(lock, kLookEvery, [this] { return stopping_; });
  }
}

void BackupDesk::look() {
  if (!disk_.exists(paths_.request())) return remove_left_image();
  const auto token = read_file(disk_, paths_.request());
  // Taken before it is answered: a request that comes later is another one.
  const auto taken = disk_.remove(paths_.request());
  if (!token || !taken) return;
  const int64_t begin_ns = clock_.monotonic_ns();
  const auto image = make_image();
  if (image) {
    log_info("backup", fmt::format("data frozen for a backup in {} ms",
                                   (clock_.monotonic_ns() - begin_ns) / 1'000'000));
  } else {
    log_warn("backup", "no backup: " + image.error().text());
    ignore(remove_tree(paths_.image()), "the next look removes it");
  }
  if (auto told = write_file_atomically(disk_, paths_.answer(), answer_text(*token, image)); !told)
    log_warn("backup", "the command can't be answered: " + told.error().text());
}

Result<FrozenImage> BackupDesk::make_image() {
  const int64_t now_ms = clock_.wall_ms();
  const bool all_durable = wait_until_durable();
  const log::Journal& journal = machine_.journal();
  FreezeSources sources;
  sources.journal_end = [&journal] { return journal.durable_end(); };
  sources.journal_file_bytes = journal.file_bytes();
  sources.state = [this](const std::string& into) { return machine_.state().freeze_files(into); };
  sources.hold = [this] { return files_.hold_removals(); };
  auto image = TRY(freeze(dir_.paths(), dir_.node(), now_ms, sources));
  if (!all_durable) {
    image.notes.emplace_back(
        "the journal's disk is full or fails: clicks that wait in memory are not in the backup");
  }
  return image;
}

/// Whether what was answered before, in whatever mode of durability, is in the journal now.
bool BackupDesk::wait_until_durable() {
  const auto until = std::chrono::steady_clock::now() + kSyncPatience;
  std::vector<std::future<bool>> told;
  for (const log::Lane lane : {log::Lane::redirects, log::Lane::bulk}) {
    log::Append record;
    record.lane = lane;
    record.kind = log::RecordKind::copied_clicks;
    const auto marker = std::make_shared<Marker>();
    told.push_back(marker->told());
    record.waiter = marker;
    if (!machine_.journal().append(std::move(record))) return false;
  }
  for (auto& one : told) {
    if (one.wait_until(until) != std::future_status::ready || !one.get()) return false;
  }
  return true;
}

/// Of a command that was killed: it would keep what retention deletes from being free.
void BackupDesk::remove_left_image() {
  if (!disk_.exists(paths_.image())) return;
  const auto lock = disk_.lock(paths_.lock());
  if (!lock) return;
  if (auto gone = remove_tree(paths_.image()); !gone) log_warn("backup", gone.error().text());
}

}  // namespace clickmill::engine
