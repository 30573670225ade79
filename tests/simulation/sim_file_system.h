#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"

namespace clickmill::simulation {

/// A disk in memory that is as nasty as real ones are allowed to be.
///
/// Fault model. Written bytes are volatile until File::sync; a created, renamed
/// or removed name is volatile until sync_directory of its folder. crash()
/// keeps, for every 512-byte sector written since the last sync, the old or the
/// new content at random (so writes are torn and reordered), and for every name
/// change since the last directory sync, the old or the new state at random in
/// an order-preserving prefix. File length changes are volatile like content.
/// Injected: the next sync fails and the sectors concerned become "clean but
/// lost" (a later sync succeeds without them); writes fail with no_space once
/// `capacity_bytes` are used; a read flips a bit; a write lands elsewhere (misdirected).
/// A run is a seed. Thread: any (one mutex).
class SimFileSystem final : public FileSystem {
 public:
  explicit SimFileSystem(uint64_t seed);
  ~SimFileSystem() override;

  Result<std::unique_ptr<File>> open(const std::string& path, Open mode) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status remove(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Status create_directories(const std::string& directory) override;
  Status sync_directory(const std::string& directory) override;
  bool exists(const std::string& path) override;
  Result<Space> space(const std::string& path) override;
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override;

  /// Power loss: every open File, and everything until restart(), answers
  /// Errc::closed from now on; what was not synced survives sector by sector at random.
  void crash();
  /// kill -9: open Files and locks die too, but everything written stays. New
  /// opens succeed at once.
  void kill();
  /// Fails the n-th sync from now (1 = the next) once; 0 takes it back.
  void fail_sync_after(uint64_t n);
  /// Syncs succeed from now on, and do nothing: a disk that lies, which nobody is owed to survive.
  void lose_syncs(bool on);
  /// Fails the n-th write from now once, having written a random prefix.
  void fail_write_after(uint64_t n);
  void set_capacity_bytes(uint64_t bytes);
  /// The n-th write from now lands at another sector of its file, and succeeds.
  void misdirect_write_after(uint64_t n);
  /// Flips one random bit in what the n-th read from now returns.
  void flip_read_after(uint64_t n);
  /// Flips one random bit of a durable file (bit rot).
  void flip_bit(const std::string& path, uint64_t byte);
  /// Number of operations that change the disk (writes, truncations, syncs, new,
  /// renamed and removed names) so far, so that a test can crash at each in turn.
  uint64_t operations() const;
  /// Calls crash() by itself right before the n-th operation from now; that operation
  /// and all later ones on old handles answer Errc::closed. 0: never.
  void crash_at_operation(uint64_t n);
  bool crashed() const;
  /// After a crash: lets new opens succeed again.
  void restart();

 private:
  class Disk;
  class SimFile;
  std::shared_ptr<Disk> disk_;
};

}  // namespace clickmill::simulation
