// Every Space is a column family of the same name;
// RocksDB's own "default" family stays empty and is not shown. A Batch is
// one WriteBatch, hence one record of RocksDB's write-ahead log: atomic over
// all spaces, checksummed, durable once synced.

#include "state/rocks_database.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <rocksdb/write_buffer_manager.h>

#include <algorithm>
#include <cstdarg>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <utility>

#include "base/file_system.h"
#include "base/hard_links.h"
#include "base/logging.h"
#include "state/rocks_files.h"

namespace clickmill::state {
namespace {

constexpr uint64_t kMiB = 1 << 20;
// Of a key in a space of ids, see stored_ids.cpp.
constexpr size_t kIdsPrefix = 5;

Error error_of(const rocksdb::Status& status, std::string_view doing) {
  Errc code = Errc::io;
  if (status.IsNoSpace()) code = Errc::no_space;
  // A missing file is damage like a wrong one.
  if (status.IsCorruption() || status.IsInvalidArgument() || status.IsPathNotFound())
    code = Errc::corrupt;
  return Error(code, "state store: " + std::string(doing) + ": " + status.ToString());
}

rocksdb::Slice slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view view(const rocksdb::Slice& bytes) { return {bytes.data(), bytes.size()}; }
rocksdb::DBOptions database_options() {
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.paranoid_checks = true;
  options.max_background_jobs = 2;
  // Old column families are flushed when the log outgrows this: a restart replays little.
  options.max_total_wal_size = 64 * kMiB;
  options.max_open_files = rocks_open_files_most();
  // Else a flush's tens of megabytes go to the disk at its end, all at once, and the
  // journal's syncs wait for them.
  options.bytes_per_sync = kMiB;
  options.keep_log_file_num = 2;
  options.max_log_file_size = kMiB;
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  return options;
}

/// The best cheap compression that the library was built with.
rocksdb::CompressionType compression() {
  const auto supported = rocksdb::GetSupportedCompressions();
  const bool lz4 =
      std::find(supported.begin(), supported.end(), rocksdb::kLZ4Compression) != supported.end();
  return lz4 ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
}

rocksdb::ColumnFamilyOptions space_options(const std::string& name,
                                           const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions options;
  const bool ids = name.starts_with("ids-");
  // An hour of ids is written once and soon finished: large flushes mean few
  // files to look through and little rewriting. Memory is only taken as needed.
  options.write_buffer_size = (ids ? 32 : 8) * kMiB;
  options.arena_block_size = 128 << 10;
  // Ids are hashes: compressing them costs time and saves nothing.
  options.compression = ids ? rocksdb::kNoCompression : compression();
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;
  if (ids) {
    // A look-up reads a bucket's values of the hour, kilobytes that lie together
    // once it is settled. Large blocks also mean an index that the cache can hold:
    // 864 M ids are 14 GB, 450,000 blocks.
    table.block_size = 32 << 10;
    table.index_block_restart_interval = 16;
    table.pin_l0_filter_and_index_blocks_in_cache = true;
    // A checkpoint's keys come in order behind "partition | bits": each goes near the last.
    options.memtable_insert_with_hint_prefix_extractor.reset(
        rocksdb::NewFixedPrefixTransform(kIdsPrefix));
  }
  // Ids are looked up by range, where a filter is of no use.
  if (!ids) table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

/// A damaged table file makes every compaction of its space fail. RocksDB would refuse
/// all writes after the first one, those of all partitions, though only who reads the
/// damaged bytes is concerned. So writing goes on, and the space is not compacted any more.
class DamageListener final : public rocksdb::EventListener {
 public:
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* status) override {
    const bool compaction = reason == rocksdb::BackgroundErrorReason::kCompaction;
    if (compaction && is_damage(*status)) *status = rocksdb::Status::OK();
  }
  void OnCompactionCompleted(rocksdb::DB*, const rocksdb::CompactionJobInfo& done) override {
    if (done.status.ok() || !is_damage(done.status)) return;
    const std::lock_guard lock(mutex_);
    if (!known_.insert(done.cf_name).second) return;
    fresh_.push_back(done.cf_name);
    log_error("state",
              "a table file of " + done.cf_name +
                  " is damaged, the space is not compacted any more: " + done.status.ToString());
  }
  /// Spaces that were found damaged since the last call.
  std::vector<std::string> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(fresh_, {});
  }

 private:
  static bool is_damage(const rocksdb::Status& status) {
    return status.IsCorruption() || status.IsPathNotFound();
  }
  std::mutex mutex_;  ///< guards both, between RocksDB's threads and ours
  std::set<std::string> known_;
  std::vector<std::string> fresh_;
};

/// A column family that stays usable until its last user lets go, even if it is
/// dropped meanwhile.
class Family {
 public:
  Family(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* handle) : db_(db), handle_(handle) {}
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;
  ~Family() { db_.DestroyColumnFamilyHandle(handle_); }
  rocksdb::ColumnFamilyHandle* handle() const { return handle_; }

 private:
  rocksdb::DB& db_;
  rocksdb::ColumnFamilyHandle* handle_;
};

using Families = std::map<std::string, std::shared_ptr<Family>, std::less<>>;

Status scan_family(rocksdb::DB& db, const Family& family, rocksdb::ReadOptions options,
                   std::string_view from, std::string_view to, const View::Visit& visit) {
  const rocksdb::Slice end = slice(to);
  options.iterate_upper_bound = &end;
  const std::unique_ptr<rocksdb::Iterator> each(db.NewIterator(options, family.handle()));
  for (each->Seek(slice(from)); each->Valid(); each->Next()) {
    if (!visit(view(each->key()), view(each->value()))) return {};
  }
  // An iterator that met an error looks like one at the end.
  if (!each->status().ok())
    return error_of(each->status(), "scan of " + family.handle()->GetName());
  return {};
}

Result<std::optional<std::string>> get_from(rocksdb::DB& db, const Family& family,
                                            const rocksdb::ReadOptions& options,
                                            std::string_view key) {
  std::string value;
  const auto status = db.Get(options, family.handle(), slice(key), &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  if (!status.ok()) return error_of(status, "read from " + family.handle()->GetName());
  return std::optional<std::string>(std::move(value));
}

std::vector<Space> spaces_of(const Families& families) {
  std::vector<Space> spaces;
  for (const auto& [name, family] : families) {
    if (name != rocksdb::kDefaultColumnFamilyName) spaces.push_back({name});
  }
  return spaces;
}

/// Its families stay readable though they are dropped.
class FrozenRocks final : public Frozen {
 public:
  FrozenRocks(rocksdb::DB& db, Families families)
      : db_(db), families_(std::move(families)), snapshot_(db.GetSnapshot()) {
    options_.snapshot = snapshot_;
    // It is read once, from one end to the other.
    options_.fill_cache = false;
  }
  FrozenRocks(const FrozenRocks&) = delete;
  FrozenRocks& operator=(const FrozenRocks&) = delete;
  ~FrozenRocks() override { db_.ReleaseSnapshot(snapshot_); }

  Result<std::optional<std::string>> get(const Space& space, std::string_view key) override {
    const auto family = families_.find(space.name);
    if (family == families_.end()) return std::optional<std::string>();
    return get_from(db_, *family->second, options_, key);
  }
  Status scan(const Space& space, std::string_view from, std::string_view to,
              const Visit& visit) override {
    const auto family = families_.find(space.name);
    if (family == families_.end() || from >= to) return {};
    return scan_family(db_, *family->second, options_, from, to, visit);
  }
  std::vector<Space> spaces() const override { return spaces_of(families_); }
  uint64_t bytes_about(const Space& space, std::string_view from, std::string_view to) override {
    const auto family = families_.find(space.name);
    if (family == families_.end() || from >= to) return 0;
    rocksdb::SizeApproximationOptions options;
    options.include_memtables = true;
    const rocksdb::Range range(slice(from), slice(to));
    uint64_t bytes = 0;
    const auto told = db_.GetApproximateSizes(options, family->second->handle(), &range, 1, &bytes);
    return told.ok() ? bytes : 0;
  }

 private:
  rocksdb::DB& db_;
  const Families families_;
  const rocksdb::Snapshot* const snapshot_;
  rocksdb::ReadOptions options_;
};

class RocksDatabase final : public Store {
 public:
  RocksDatabase(std::unique_ptr<rocksdb::Env> disk, std::unique_ptr<rocksdb::DB> db,
                std::shared_ptr<rocksdb::Cache> cache, std::shared_ptr<DamageListener> damage,
                const std::vector<rocksdb::ColumnFamilyHandle*>& handles)
      : disk_(std::move(disk)),
        db_(std::move(db)),
        cache_(std::move(cache)),
        damage_(std::move(damage)) {
    for (auto* handle : handles) {
      families_.emplace(handle->GetName(), std::make_shared<Family>(*db_, handle));
    }
  }

  Status commit(const Batch& batch, bool sync) override {
    rocksdb::WriteBatch writes;
    std::map<std::string_view, std::shared_ptr<Family>> used;
    for (const auto& operation : batch.operations()) {
      auto& family = used[operation.space.name];
      if (!family) family = TRY(find_or_create(operation.space));
      const auto added = add(writes, family->handle(), operation);
      if (!added.ok()) return error_of(added, "batch");
    }
    rocksdb::WriteOptions options;
    options.sync = sync;
    const auto status = db_->Write(options, &writes);
    if (!status.ok()) return error_of(status, "commit");
    return {};
  }

  Result<std::optional<std::string>> get(const Space& space, std::string_view key) override {
    const auto family = find(space);
    if (!family) return std::optional<std::string>();
    return get_from(*db_, *family, {}, key);
  }

  Result<std::vector<std::optional<std::string>>> multi_get(
      const Space& space, const std::vector<std::string>& keys) override {
    std::vector<std::optional<std::string>> values(keys.size());
    const auto family = find(space);
    if (!family || keys.empty()) return values;
    const std::vector<rocksdb::Slice> slices(keys.begin(), keys.end());
    std::vector<rocksdb::PinnableSlice> found(keys.size());
    std::vector<rocksdb::Status> statuses(keys.size());
    db_->MultiGet({}, family->handle(), keys.size(), slices.data(), found.data(), statuses.data());
    for (size_t i = 0; i < keys.size(); ++i) {
      if (statuses[i].IsNotFound()) continue;
      if (!statuses[i].ok()) return error_of(statuses[i], "read from " + space.name);
      values[i] = found[i].ToString();
    }
    return values;
  }

  Status scan(const Space& space, std::string_view from, std::string_view to,
              const Visit& visit) override {
    const auto family = find(space);
    if (!family || from >= to) return {};
    return scan_family(*db_, *family, {}, from, to, visit);
  }

  std::vector<Space> spaces() const override {
    const std::shared_lock lock(mutex_);
    return spaces_of(families_);
  }

  /// Under the lock no space comes or goes, so what the snapshot has is among them.
  std::shared_ptr<Frozen> freeze() override {
    const std::shared_lock lock(mutex_);
    return std::make_shared<FrozenRocks>(*db_, families_);
  }

  Status drop_space(const Space& space) override {
    auto dropped = take(space);
    if (!dropped) return {};
    const auto status = db_->DropColumnFamily(dropped->handle());
    if (!status.ok()) {
      const std::unique_lock lock(mutex_);
      families_.emplace(space.name, std::move(dropped));
      return error_of(status, "drop " + space.name);
    }
    // The last handle unlinks the files: here, where no reader waits for the mutex.
    return {};
  }

  /// RocksDB's own threads do it, and give up when the database is closed:
  /// CompactRange would hold up a shutdown for as long as it takes.
  Status settle_space(const Space& space) override {
    const auto family = find(space);
    if (!family) return {};
    rocksdb::FlushOptions flush;
    flush.wait = false;
    flush.allow_write_stall = true;
    auto status = db_->Flush(flush, family->handle());
    if (!status.ok()) return error_of(status, "flush " + space.name);
    status = db_->SetOptions(family->handle(), {{"level0_file_num_compaction_trigger", "1"}});
    if (!status.ok()) return error_of(status, "settle " + space.name);
    return {};
  }

  Status maintain() override {
    for (const std::string& name : damage_->take()) {
      const auto family = find({name});
      if (!family) continue;
      const auto status = db_->SetOptions(family->handle(), {{"disable_auto_compactions", "true"}});
      if (!status.ok()) return error_of(status, "leave " + name);
    }
    return {};
  }

  /// Linked while RocksDB deletes nothing. Its own checkpoints would flush every memtable,
  /// or copy the write-ahead log at once: the journal's syncs would wait for that.
  Result<std::vector<FrozenFile>> freeze_files(const std::string& into) override {
    auto status = db_->DisableFileDeletions();
    if (!status.ok()) return error_of(status, "freeze");
    auto frozen = link_live_files(into);
    status = db_->EnableFileDeletions(false);
    if (!status.ok()) return error_of(status, "end of a freeze");
    return frozen;
  }

  uint64_t memory_bytes() const override {
    uint64_t readers = 0;
    db_->GetAggregatedIntProperty(rocksdb::DB::Properties::kEstimateTableReadersMem, &readers);
    return readers + cache_->GetUsage();
  }

 private:
  Result<std::vector<FrozenFile>> link_live_files(const std::string& into) {
    rocksdb::LiveFilesStorageInfoOptions options;
    options.wal_size_for_flush = UINT64_MAX;
    std::vector<rocksdb::LiveFileStorageInfo> live;
    const auto status = db_->GetLiveFilesStorageInfo(options, &live);
    if (!status.ok()) return error_of(status, "freeze");
    std::vector<FrozenFile> frozen;
    for (const auto& file : live) {
      const std::string to = into + "/" + file.relative_filename;
      const bool immutable = file.file_type == rocksdb::kTableFile;
      frozen.push_back({file.relative_filename, file.size, immutable});
      if (file.replacement_contents.empty()) {
        TRY(add_name(file.directory + "/" + file.relative_filename, to));
        continue;
      }
      PosixFileSystem files;
      const auto copy = TRY(files.open(to, FileSystem::Open::create));
      TRY(copy->write_at(0, file.replacement_contents));
    }
    return frozen;
  }

  static rocksdb::Status add(rocksdb::WriteBatch& writes, rocksdb::ColumnFamilyHandle* family,
                             const Batch::Operation& operation) {
    using Kind = Batch::Operation::Kind;
    if (operation.kind == Kind::put) return writes.Put(family, operation.key, operation.value);
    if (operation.kind == Kind::remove) return writes.Delete(family, operation.key);
    if (operation.key >= operation.value) return rocksdb::Status::OK();
    return writes.DeleteRange(family, operation.key, operation.value);
  }

  std::shared_ptr<Family> find(const Space& space) const {
    const std::shared_lock lock(mutex_);
    const auto found = families_.find(space.name);
    return found == families_.end() ? nullptr : found->second;
  }

  std::shared_ptr<Family> take(const Space& space) {
    const std::unique_lock lock(mutex_);
    const auto found = families_.find(space.name);
    if (found == families_.end()) return nullptr;
    auto family = std::move(found->second);
    families_.erase(found);
    return family;
  }

  Result<std::shared_ptr<Family>> find_or_create(const Space& space) {
    if (auto found = find(space)) return found;
    const std::unique_lock lock(mutex_);
    auto& family = families_[space.name];
    if (family) return family;
    rocksdb::ColumnFamilyHandle* handle = nullptr;
    const auto status =
        db_->CreateColumnFamily(space_options(space.name, cache_), space.name, &handle);
    if (!status.ok()) {
      families_.erase(space.name);
      return error_of(status, "create " + space.name);
    }
    family = std::make_shared<Family>(*db_, handle);
    return family;
  }

  std::unique_ptr<rocksdb::Env> disk_;  // null: RocksDB's own
  // Before families_: RocksDB aborts when it is closed with handles still open.
  std::unique_ptr<rocksdb::DB> db_;
  std::shared_ptr<rocksdb::Cache> cache_;
  std::shared_ptr<DamageListener> damage_;
  // Guards the map only. A mailbox won't do: any thread reads and commits.
  mutable std::shared_mutex mutex_;
  Families families_;
};

/// Every column family must be named at open; a new directory has just the default one.
Result<std::vector<std::string>> existing_families(const std::string& directory) {
  const auto current = rocksdb::Env::Default()->FileExists(directory + "/CURRENT");
  if (current.IsNotFound()) {
    TRY(check_no_rocks_files(directory));
    return std::vector{rocksdb::kDefaultColumnFamilyName};
  }
  if (!current.ok()) return error_of(current, "open " + directory);
  std::vector<std::string> names;
  const auto status = rocksdb::DB::ListColumnFamilies({}, directory, &names);
  if (!status.ok()) return error_of(status, "open " + directory);
  return names;
}

/// Keeps RocksDB from beginning a new log of its own in a directory it may not change.
class NoLog final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

Result<std::unique_ptr<Store>> open_families(const std::string& directory,
                                             rocksdb::DBOptions options, uint64_t memory_bytes,
                                             bool read_only, std::unique_ptr<rocksdb::Env> disk) {
  const auto names = TRY(existing_families(directory));
  const auto cache = rocksdb::NewLRUCache(memory_bytes);
  // Memtables are counted as if they stood in the cache: blocks make way for them.
  options.write_buffer_manager = std::make_shared<rocksdb::WriteBufferManager>(
      std::max(memory_bytes / 3 * 2, 16 * kMiB), cache);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const auto& name : names) families.emplace_back(name, space_options(name, cache));
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* raw = nullptr;
  const auto damage = std::make_shared<DamageListener>();
  options.listeners.push_back(damage);
  const auto status =
      read_only ? rocksdb::DB::OpenForReadOnly(options, directory, families, &handles, &raw)
                : rocksdb::DB::Open(options, directory, families, &handles, &raw);
  if (!status.ok()) return error_of(status, "open " + directory);
  return std::unique_ptr<Store>(std::make_unique<RocksDatabase>(
      std::move(disk), std::unique_ptr<rocksdb::DB>(raw), cache, damage, handles));
}

}  // namespace

Result<std::unique_ptr<Store>> open_rocks_database(const std::string& directory,
                                                   uint64_t memory_bytes,
                                                   const std::shared_ptr<FailStop>& fail_stop,
                                                   const BeforeWrite& before_write) {
  auto disk = rocksdb::NewCompositeEnv(fail_stop_disk(fail_stop, before_write));
  auto options = database_options();
  options.env = disk.get();
  auto opened = open_families(directory, options, memory_bytes, false, std::move(disk));
  // What it was told had worked may not have.
  if (fail_stop->stopped()) return fail_stop->cause();
  return opened;
}

Result<std::unique_ptr<Store>> open_rocks_database_read_only(const std::string& directory,
                                                             uint64_t memory_bytes) {
  auto options = database_options();
  options.create_if_missing = false;
  options.info_log = std::make_shared<NoLog>();
  return open_families(directory, options, memory_bytes, true, nullptr);
}

}  // namespace clickmill::state
