#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/file_system.h"
#include "cluster/founding.h"
#include "engine/cluster_file.h"
#include "engine/config.h"
#include "engine/data_dir.h"
#include "engine/machine.h"
#include "peer/links.h"

namespace clickmill::engine {

/// What a node without peers to compare with believes of its clock. Thread: any.
bool kernel_clock_is_synchronised();

/// A node's life among its peers: who it is (cluster file), the links to them, how it became
/// one cluster with them, and its beats. Without a cluster in the config there is none.
///
/// In order: open() before the machine, whose options it completes; connect() once the machine
/// is there; wait_until_founded() before its partitions are opened; stop() before its workers.
/// Thread: the owner's, except as noted.
class Peering final : public peer::Receiver {
 public:
  /// Files and directory are borrowed and outlive it. Reads the secret; without one the node
  /// redirects, and no other believes it: reasons() says why. An error says what is wrong with the
  /// data directory's cluster file.
  static Result<std::unique_ptr<Peering>> open(const Config& config, FileSystem& files,
                                               DataDir& dir);
  ~Peering() override;

  void complete(Machine::Options& options) const;
  /// Listens, links and beats from here on. Errc::invalid, Errc::io: it can't listen.
  Status connect(Machine& machine);
  /// Waits until this node belongs to a cluster, and tells the machine which. Errc::closed
  /// once `stopping`. Thread: any one.
  Status wait_until_founded(const std::atomic<bool>& stopping);
  void stop();

  /// 0: it belongs to none yet. Thread: any.
  uint64_t cluster_id() const;
  /// Why this node is no full member yet. Thread: any.
  std::vector<std::string> reasons() const;
  /// How its cluster came to be; nothing: it belongs to none. Thread: any.
  std::optional<cluster::Lineage> lineage() const;
  /// After connect().
  void add_metrics(Metrics& metrics) const;

  void on_frame(const std::string& from, peer::Lane lane, std::string&& frame) override;
  void on_link_up(const peer::Hello& peer) override;
  void on_link_down(const std::string& peer, bool refused, const std::string& why) override;
  void on_misfit(const peer::Hello& peer, peer::Refusal why) override;

 private:
  Peering(const Config& config, FileSystem& files, DataDir& dir, std::unique_ptr<ClusterFile> file,
          bool holds_data);
  peer::Hello hello() const;
  void run();
  void found();
  void give_up_storage();
  void send(cluster::Founding::Output&& output);

  const Config config_;  ///< as it was at the start
  FileSystem& files_;
  DataDir& dir_;
  const bool holds_data_;
  std::vector<std::string> nodes_;  ///< all, sorted
  const uint64_t life_;
  std::string secret_trouble_;  ///< why the secret can't be read; set before it
  const std::string secret_;
  Machine* machine_ = nullptr;
  std::unique_ptr<peer::Links> links_;

  /// Guards the file and the founding between links, beats and who waits; no call to
  /// another lock's owner is made under it but to the links, which never call back.
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<ClusterFile> file_;
  const raft::StorageId storage_;  ///< in this life
  cluster::Founding founding_;
  bool stopping_ = false;
  bool given_up_ = false;  ///< the storage id: another one holds from the next start on
  std::thread thread_;
};

}  // namespace clickmill::engine
