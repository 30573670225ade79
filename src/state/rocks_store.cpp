// One RocksDB per process, behind a disk that may fail: when it does, the RocksDB
// that met it only reads, and is replaced by another once the disk takes writes.

#include <fmt/format.h>
#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "base/file_system.h"
#include "base/logging.h"
#include "state/memory_store.h"
#include "state/rocks_database.h"
#include "state/rocks_files.h"
#include "state/store.h"

namespace clickmill::state {
namespace {

bool may_pass(const Error& error) {
  return error.code() == Errc::io || error.code() == Errc::no_space;
}

class RocksStore final : public Store {
 public:
  RocksStore(std::string directory, uint64_t cache_bytes, Disk disk)
      : directory_(std::move(directory)), cache_bytes_(cache_bytes), disk_(std::move(disk)) {}
  ~RocksStore() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    if (mender_.joinable()) mender_.join();
  }
  RocksStore(const RocksStore&) = delete;
  RocksStore& operator=(const RocksStore&) = delete;

  Status open();

  Status commit(const Batch& batch, bool sync) override {
    TRY(check_room());
    return change([&](Store& database) { return database.commit(batch, sync); });
  }
  Status drop_space(const Space& space) override {
    return change([&](Store& database) { return database.drop_space(space); });
  }
  Status settle_space(const Space& space) override {
    TRY(check_room());
    return change([&](Store& database) { return database.settle_space(space); });
  }
  Result<std::vector<FrozenFile>> freeze_files(const std::string& into) override {
    const Opened opened = now();
    auto frozen = opened.database->freeze_files(into);
    // Another one may have been opened meanwhile, and have removed what this one names.
    if (opened.fail_stop->stopped()) return not_written(*opened.fail_stop);
    return frozen;
  }
  Status maintain() override {
    return change([](Store& database) { return database.maintain(); });
  }
  Result<std::optional<std::string>> get(const Space& space, std::string_view key) override {
    return read([&](Store& database) { return database.get(space, key); });
  }
  Result<std::vector<std::optional<std::string>>> multi_get(
      const Space& space, const std::vector<std::string>& keys) override {
    return read([&](Store& database) { return database.multi_get(space, keys); });
  }
  Status scan(const Space& space, std::string_view from, std::string_view to,
              const Visit& visit) override {
    return read([&](Store& database) { return database.scan(space, from, to, visit); });
  }
  std::vector<Space> spaces() const override { return now().database->spaces(); }
  /// It keeps the database that it is of, even if another takes its place.
  std::shared_ptr<Frozen> freeze() override {
    const auto database = now().database;
    auto frozen = database->freeze();
    Frozen* const raw = frozen.get();
    return {raw, [database, frozen = std::move(frozen)](Frozen*) mutable { frozen.reset(); }};
  }
  uint64_t memory_bytes() const override { return now().database->memory_bytes(); }

 private:
  struct Opened {
    std::shared_ptr<Store> database;
    std::shared_ptr<FailStop> fail_stop;
  };

  Opened now() const {
    const std::lock_guard lock(mutex_);
    return opened_;
  }

  Status check_room() const {
    if (disk_.reserve_bytes == 0) return {};
    const auto space = PosixFileSystem().space(directory_);
    // A disk that can't say how full it is will say so when it is written to.
    if (!space || space->free_bytes >= disk_.reserve_bytes) return {};
    return Error(Errc::no_space,
                 fmt::format("state store: {} bytes free are less than the reserve of {}",
                             space->free_bytes, disk_.reserve_bytes),
                 directory_);
  }

  static Error not_written(const FailStop& fail_stop) {
    return fail_stop.cause().with_context("state store: waits until the disk takes writes");
  }

  template <typename Change>
  Status change(const Change& change_it) {
    const Opened opened = now();
    if (opened.fail_stop->stopped()) return not_written(*opened.fail_stop);
    auto done = change_it(*opened.database);
    if (!done && may_pass(done.error())) {
      // RocksDB takes no more writes once a flush or a compaction has failed.
      opened.fail_stop->stop(done.error());
    }
    if (opened.fail_stop->stopped()) return not_written(*opened.fail_stop);
    return done;
  }

  template <typename Read>
  auto read(const Read& read_it) -> decltype(read_it(std::declval<Store&>())) {
    const Opened opened = now();
    auto result = read_it(*opened.database);
    // It may look for a file that it believes to have written.
    if (!result && opened.fail_stop->stopped()) return not_written(*opened.fail_stop);
    return result;
  }

  std::shared_ptr<FailStop> new_fail_stop() {
    return std::make_shared<FailStop>([this] {
      { const std::lock_guard lock(mutex_); }
      changed_.notify_all();
    });
  }

  Status take_lock();
  Result<Opened> open_for_writing();
  Result<Opened> open_for_reading(const Error& cause);
  void mend_loop();
  void mend();

  const std::string directory_;
  const uint64_t cache_bytes_;
  const Disk disk_;
  std::unique_ptr<FileLock> lock_;

  // Guards what is open now, which any thread uses and the mender replaces.
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  Opened opened_;
  std::thread mender_;
  std::shared_ptr<FailStop> told_;  // the mender's: whose failure was last told
};

/// Errc::busy and not_found only: a disk that can't be written has no new locks.
Status RocksStore::take_lock() {
  if (lock_) return {};
  auto lock = PosixFileSystem().lock(directory_ + "/LOCK");
  if (lock) {
    lock_ = *std::move(lock);
  } else if (!may_pass(lock.error())) {
    return std::move(lock).error().with_context("state store");
  }
  return {};
}

Status RocksStore::open() {
  TRY(take_lock());
  auto opened = open_for_writing();
  if (!opened && may_pass(opened.error())) {
    opened = open_for_reading(opened.error());
  }
  if (!opened) return std::move(opened).error();
  opened_ = *std::move(opened);
  mender_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "background");
    mend_loop();
  });
  return {};
}

Result<RocksStore::Opened> RocksStore::open_for_writing() {
  TRY(check_room());
  Opened opened;
  opened.fail_stop = new_fail_stop();
  opened.database =
      TRY(open_rocks_database(directory_, cache_bytes_, opened.fail_stop, disk_.before_write));
  return opened;
}

Result<RocksStore::Opened> RocksStore::open_for_reading(const Error& cause) {
  Opened opened;
  opened.fail_stop = std::make_shared<FailStop>(nullptr);
  opened.fail_stop->stop(cause);
  if (holds_rocks_database(directory_)) {
    opened.database = TRY(open_rocks_database_read_only(directory_, cache_bytes_));
  } else {
    opened.database = std::make_shared<MemoryStore>();
  }
  return opened;
}

void RocksStore::mend_loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || opened_.fail_stop->stopped(); });
    if (stopping_) return;
    const auto failed = opened_.fail_stop;
    lock.unlock();
    if (told_ != failed) log_warn("state", not_written(*failed).text());
    told_ = failed;
    mend();
    lock.lock();
    changed_.wait_for(lock, std::chrono::milliseconds(disk_.retry_ms),
                      [this] { return stopping_; });
  }
}

/// The one that failed is read until the next is there; neither's files are the
/// other's trouble, since the failed one changes nothing any more.
void RocksStore::mend() {
  Opened failed = now();
  failed.fail_stop->drain();
  if (!take_lock()) return;
  auto opened = open_for_writing();
  if (!opened) return;
  log_info("state", "state store: opened again after " + failed.fail_stop->cause().text());
  const std::lock_guard lock(mutex_);
  opened_ = *std::move(opened);
}

}  // namespace

Result<std::unique_ptr<Store>> open_rocks_store(const std::string& directory, uint64_t cache_bytes,
                                                Disk disk) {
  auto store = std::make_unique<RocksStore>(directory, cache_bytes, std::move(disk));
  TRY(store->open());
  return std::unique_ptr<Store>(std::move(store));
}

Result<std::unique_ptr<Store>> open_rocks_store_read_only(const std::string& directory,
                                                          uint64_t cache_bytes) {
  return open_rocks_database_read_only(directory, cache_bytes);
}

}  // namespace clickmill::state
