#include "rocks_loop.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stopwatch.h"

namespace clickmill::bench {
namespace {

constexpr size_t kLoaders = 2;
constexpr uint64_t kIdsPerFile = 3'000'000;  // of 16 bytes: about the 64 MiB that is its default

Status checked(const rocksdb::Status& status) {
  if (status.ok()) return {};
  return Error(Errc::io, "bare RocksDB: " + status.ToString());
}

rocksdb::Slice key_of(const Hash128& id) {
  return {reinterpret_cast<const char*>(&id), sizeof(Hash128)};
}

bool key_less(const Hash128& a, const Hash128& b) {
  const uint64_t a_low = __builtin_bswap64(a.low);
  const uint64_t b_low = __builtin_bswap64(b.low);
  return a_low != b_low ? a_low < b_low : __builtin_bswap64(a.high) < __builtin_bswap64(b.high);
}

class RocksLoop {
 public:
  explicit RocksLoop(const RocksLoopOptions& options)
      : options_(options), source_(options.source) {}

  Result<RocksLoopReport> run() {
    TRY(open());
    TRY(load());
    const uint64_t before = source_.next();
    const Stopwatch watch;
    while (source_.next() < options_.ids + options_.measured) TRY(step());
    const auto done = static_cast<double>(source_.next() - before);
    return RocksLoopReport{done / watch.seconds(), done / watch.core_seconds()};
  }

 private:
  Status open() {
    database_options_.create_if_missing = true;
    database_options_.compression = rocksdb::kNoCompression;
    database_options_.max_background_jobs = 2;
    rocksdb::BlockBasedTableOptions table;
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    table.block_cache = rocksdb::NewLRUCache(options_.cache_bytes);
    database_options_.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    rocksdb::DB* db = nullptr;
    TRY(checked(rocksdb::DB::Open(database_options_, options_.directory, &db)));
    db_.reset(db);
    return {};
  }

  /// Sorted, as files of its lowest level: minutes sooner than by writing them, and the best
  /// state for look-ups that it can have.
  Status load() {
    std::array<std::vector<Hash128>, 256> by_first_byte;
    while (source_.next() < options_.ids) {
      source_.fill();
      for (const auto& each : source_.ids) by_first_byte[each.id.low & 0xff].push_back(each.id);
    }
    std::vector<std::vector<std::string>> names(kLoaders);
    std::vector<std::future<Status>> loaders;
    for (size_t i = 0; i < kLoaders; ++i) {
      const auto share =
          std::span(by_first_byte)
              .subspan(i * by_first_byte.size() / kLoaders, by_first_byte.size() / kLoaders);
      loaders.push_back(std::async(std::launch::async, [this, i, share, &names] {
        return write_files(share, options_.directory + "/load-" + std::to_string(i) + "-",
                           names[i]);
      }));
    }
    for (auto& loader : loaders) TRY(loader.get());
    std::vector<std::string> all;
    for (const auto& each : names) all.insert(all.end(), each.begin(), each.end());
    if (all.empty()) return {};
    rocksdb::IngestExternalFileOptions ingest;
    ingest.move_files = true;
    return checked(db_->IngestExternalFile(all, ingest));
  }

  Status write_files(std::span<std::vector<Hash128>> sorted_apart, const std::string& prefix,
                     std::vector<std::string>& names) const {
    std::unique_ptr<rocksdb::SstFileWriter> file;
    uint64_t written = 0;
    for (auto& ids : sorted_apart) {
      std::sort(ids.begin(), ids.end(), key_less);
      for (const Hash128& id : ids) {
        if (!file) {
          names.push_back(prefix + std::to_string(names.size()));
          file = std::make_unique<rocksdb::SstFileWriter>(rocksdb::EnvOptions(), database_options_);
          TRY(checked(file->Open(names.back())));
        }
        TRY(checked(file->Put(key_of(id), "")));
        if (++written % kIdsPerFile == 0) TRY(checked(std::exchange(file, nullptr)->Finish()));
      }
      std::vector<Hash128>().swap(ids);
    }
    return file ? checked(file->Finish()) : Status();
  }

  Status step() {
    source_.fill();
    const size_t count = source_.ids.size();
    std::vector<rocksdb::Slice> keys(count);
    for (size_t i = 0; i < count; ++i) keys[i] = key_of(source_.ids[i].id);
    std::vector<rocksdb::PinnableSlice> values(count);
    std::vector<rocksdb::Status> found(count);
    db_->MultiGet({}, db_->DefaultColumnFamily(), count, keys.data(), values.data(), found.data());
    rocksdb::WriteBatch batch;
    for (size_t i = 0; i < count; ++i) {
      if (found[i].ok() != (source_.copies[i] != 0)) {
        return Error(Errc::invalid, "bare RocksDB: wrong verdict");
      }
      if (found[i].IsNotFound()) TRY(checked(batch.Put(keys[i], "")));
    }
    since_sync_ += count;
    rocksdb::WriteOptions write;
    write.sync = since_sync_ >= options_.checkpoint;
    if (write.sync) since_sync_ = 0;
    return checked(db_->Write(write, &batch));
  }

  const RocksLoopOptions options_;
  IdSource source_;
  rocksdb::Options database_options_;
  std::unique_ptr<rocksdb::DB> db_;
  uint64_t since_sync_ = 0;
};

}  // namespace

Result<RocksLoopReport> run_rocks_loop(const RocksLoopOptions& options) {
  return RocksLoop(options).run();
}

}  // namespace clickmill::bench
