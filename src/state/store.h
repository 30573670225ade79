#pragma once

// state/ is where a stream keeps what it must know after a restart: named key spaces,
// changed in atomic batches. RocksDB behind an interface (rocks_store.cpp), a map for tests
// and simulation (memory_store.h). On top: an Overlay of writes since the last checkpoint,
// and an Expiry that gives space back.
// One store serves all partitions of a node; keys begin with the partition's number.
// Promise: a batch is there as a whole or not at all; with `sync` it outlives power loss.
// Begin with Store.

#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/strong.h"

namespace clickmill::state {

/// A named key space (a RocksDB column family).
struct Space {
  std::string name;
  friend bool operator==(const Space&, const Space&) = default;
  friend auto operator<=>(const Space&, const Space&) = default;
};
/// Fixed spaces. Keys begin with the partition as 4 bytes big-endian.
inline const Space kMetaSpace{"meta"};        // checkpoint record, part list, counters
inline const Space kRowsSpace{"rows"};        // minute rows not yet in a part
inline const Space kReviewSpace{"review"};    // flagged clicks by offset
inline const Space kChangesSpace{"changes"};  // what was done by hand, by time
/// Ids of one log hour (hours since 1970): "ids-<hour>".
Space ids_space(LogHour hour);
/// The hour of such a space; empty for any other.
std::optional<LogHour> hour_of_ids_space(const Space& space);

/// Writes that become visible and durable together or not at all.
class Batch {
 public:
  struct Operation {
    enum class Kind : uint8_t { put, remove, remove_range } kind;
    Space space;
    std::string key;
    std::string value;  ///< remove_range: end of the range, excluded
  };
  void put(const Space& space, std::string key, std::string value) {
    operations_.push_back({Operation::Kind::put, space, std::move(key), std::move(value)});
  }
  void remove(const Space& space, std::string key) {
    operations_.push_back({Operation::Kind::remove, space, std::move(key), {}});
  }
  void remove_range(const Space& space, std::string from, std::string to) {
    operations_.push_back({Operation::Kind::remove_range, space, std::move(from), std::move(to)});
  }
  /// Both or none; `more` is empty afterwards.
  void append(Batch&& more) {
    operations_.insert(operations_.end(), std::make_move_iterator(more.operations_.begin()),
                       std::make_move_iterator(more.operations_.end()));
    more.operations_.clear();
  }
  const std::vector<Operation>& operations() const { return operations_; }
  bool empty() const { return operations_.empty(); }

 private:
  std::vector<Operation> operations_;
};

/// A file of a store, as of one moment: its first `bytes` bytes.
struct FrozenFile {
  std::string name;
  uint64_t bytes = 0;
  bool immutable = false;  ///< else it may grow behind them
};

/// What can be read of a store, now or as it was. Thread: any.
class View {
 public:
  virtual ~View() = default;
  virtual Result<std::optional<std::string>> get(const Space& space, std::string_view key) = 0;
  /// Visits keys in [from, to) in order until `visit` answers false. Views are
  /// valid during the call only.
  using Visit = std::function<bool(std::string_view key, std::string_view value)>;
  virtual Status scan(const Space& space, std::string_view from, std::string_view to,
                      const Visit& visit) = 0;
  virtual std::vector<Space> spaces() const = 0;
};

/// A store at one instant, whatever is written or dropped since. It costs the space of what
/// is replaced meanwhile, and goes before its store does.
class Frozen : public View {
 public:
  /// Of the keys in [from, to) and their values, about.
  virtual uint64_t bytes_about(const Space& space, std::string_view from, std::string_view to) = 0;
};

/// The stream's durable state: one RocksDB per process, shared by all
/// partitions; in tests and simulation a map in memory.
/// Errors: any answer but "not found" that RocksDB gives is an Error: corrupt is
/// damage; no_space and io may pass, and what was to be written must be tried again.
/// Thread: any.
class Store : public View {
 public:
  /// Applies the batch atomically; with `sync` it is durable on return. Spaces
  /// that don't exist yet are made first.
  virtual Status commit(const Batch& batch, bool sync) = 0;
  /// Values in the order of `keys`. A space that doesn't exist gives all empty.
  virtual Result<std::vector<std::optional<std::string>>> multi_get(
      const Space& space, const std::vector<std::string>& keys) = 0;
  /// As it is now. Cost: none to speak of, in RocksDB.
  virtual std::shared_ptr<Frozen> freeze() = 0;
  /// Gives the space's disk back. The caller knows that no partition needs it.
  virtual Status drop_space(const Space& space) = 0;
  /// Little will be written to the space any more: lets the store rearrange it
  /// in the background, so that a read finds a key's neighbours in one place.
  virtual Status settle_space(const Space& space) = 0;
  /// What the store itself wants done now and then, in the background.
  virtual Status maintain() { return {}; }
  /// Gives the files that the store consists of after its last commit further names in the
  /// folder `into`, which is empty and on the same file system. A store opened on copies of
  /// them holds what was committed before the call, and maybe more. Writes nothing else.
  virtual Result<std::vector<FrozenFile>> freeze_files(const std::string& into);
  /// Bytes in memory (block cache, memtables, filters), for the memory metric.
  virtual uint64_t memory_bytes() const = 0;
};

/// The disk as the store's owner wants it treated.
struct Disk {
  /// A commit that finds less free is refused before anything is written.
  uint64_t reserve_bytes = 0;
  /// Asked before each change of a file, which fails with what it answers: for tests.
  std::function<Status(const std::string& path)> before_write = nullptr;
  int retry_ms = 500;  ///< between two tries to open it again
};

/// Opens or creates. `directory` must exist. Errc::corrupt when RocksDB says so,
/// Errc::busy when another has it open.
/// A disk that is full or can't be written is no error: what is there can be read,
/// commits answer Errc::no_space or io, and pass again by themselves once it takes
/// writes. So it is after a failure at any later time; a commit that failed then may
/// be found done all the same.
Result<std::unique_ptr<Store>> open_rocks_store(const std::string& directory, uint64_t cache_bytes,
                                                Disk disk = {});
/// The same of a stopped process, as its last commit left it. Writes nothing; commit
/// and drop_space answer an Error.
Result<std::unique_ptr<Store>> open_rocks_store_read_only(const std::string& directory,
                                                          uint64_t cache_bytes);
/// A map; commit is atomic, `sync` is remembered: snapshot/restore let a test crash it.
class MemoryStore;

}  // namespace clickmill::state
