#include "rocks_loop.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <cstring>
#include <memory>
#include <vector>

#include "stopwatch.h"

namespace clickmill::bench {
namespace {

Status checked(const rocksdb::Status& status) {
  if (status.ok()) return {};
  return Error(Errc::io, "bare RocksDB: " + status.ToString());
}

class RocksLoop {
 public:
  explicit RocksLoop(const RocksLoopOptions& options)
      : options_(options), source_(options.source) {}

  Result<RocksLoopReport> run() {
    TRY(open());
    while (source_.next() < options_.ids) TRY(step(false));
    const uint64_t before = source_.next();
    const Stopwatch watch;
    while (source_.next() < options_.ids + options_.measured) TRY(step(true));
    const auto done = static_cast<double>(source_.next() - before);
    return RocksLoopReport{done / watch.seconds(), done / watch.core_seconds()};
  }

 private:
  Status open() {
    rocksdb::Options options;
    options.create_if_missing = true;
    options.compression = rocksdb::kNoCompression;
    options.max_background_jobs = 2;
    rocksdb::BlockBasedTableOptions table;
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    table.block_cache = rocksdb::NewLRUCache(options_.cache_bytes);
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    rocksdb::DB* db = nullptr;
    TRY(checked(rocksdb::DB::Open(options, options_.directory, &db)));
    db_.reset(db);
    return {};
  }

  Status step(bool look) {
    source_.fill();
    const size_t count = source_.ids.size();
    std::vector<rocksdb::Slice> keys(count);
    for (size_t i = 0; i < count; ++i) {
      keys[i] = {reinterpret_cast<const char*>(&source_.ids[i].id), sizeof(Hash128)};
    }
    std::vector<rocksdb::PinnableSlice> values(count);
    std::vector<rocksdb::Status> found(count, rocksdb::Status::NotFound());
    if (look) {
      db_->MultiGet({}, db_->DefaultColumnFamily(), count, keys.data(), values.data(),
                    found.data());
    }
    rocksdb::WriteBatch batch;
    for (size_t i = 0; i < count; ++i) {
      if (look && found[i].ok() != (source_.copies[i] != 0)) {
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
  std::unique_ptr<rocksdb::DB> db_;
  uint64_t since_sync_ = 0;
};

}  // namespace

Result<RocksLoopReport> run_rocks_loop(const RocksLoopOptions& options) {
  return RocksLoop(options).run();
}

}  // namespace clickmill::bench
