#include "tools/rejoin.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/overlay_file_system.h"
#include "collector/spool_records.h"
#include "engine/cluster_file.h"
#include "engine/data_dir.h"
#include "tools/forced_epoch.h"

namespace clickmill::tools {

class Rejoin::Impl {
 public:
  Impl(const engine::Config& config, FileSystem& files, Clock& clock)
      : config_(config), files_(files), clock_(clock) {}

  Status open() {
    dir_ = TRY(engine::DataDir::open_existing(files_, config_.data_dir));
    if (dir_->node().node_id != config_.node_id) {
      return Error(Errc::invalid, fmt::format("the directory belongs to node_id \"{}\", the config "
                                              "says \"{}\"",
                                              dir_->node().node_id, config_.node_id));
    }
    if (under_way()) return {};
    if (!files_.exists(config_.data_dir + "/cluster"))
      return Error(Errc::invalid, "this data directory belongs to no cluster", config_.data_dir);
    cluster_ = TRY(engine::ClusterFile::open_or_make(files_, config_.data_dir));
    if (!cluster_->founded())
      return Error(Errc::invalid, "this data directory belongs to no cluster", config_.data_dir);
    return {};
  }

  bool under_way() const { return files_.exists(made("ready")); }
  const cluster::Founded& founded() const { return *cluster_->founded(); }

  Status follow(cluster::Lineage lineage) {
    const cluster::Founded& own = founded();
    const cluster::Founded& other = lineage.founded;
    if (other.cluster_id != own.cluster_id)
      return Error(Errc::invalid, fmt::format("it belongs to cluster {:016x}, this node to {:016x}",
                                              other.cluster_id, own.cluster_id));
    if (other.epoch < own.epoch ||
        (other.epoch == own.epoch && other.epoch_random == own.epoch_random)) {
      return Error(Errc::invalid, fmt::format("it is of epoch {}, this node of {}: nobody has left "
                                              "this node behind",
                                              other.epoch, own.epoch));
    }
    common_.assign(own.partitions, Offset(UINT64_MAX));
    // From the last epoch that both went through: a forced one of the same number and random.
    uint64_t missing = other.epoch;
    for (auto epoch = lineage.epochs.rbegin(); epoch != lineage.epochs.rend(); ++epoch) {
      const bool shared = epoch->number < own.epoch ||
                          (epoch->number == own.epoch && epoch->random == own.epoch_random);
      if (shared) break;
      if (epoch->number != missing || epoch->committed.size() < common_.size()) break;
      --missing;
      for (size_t i = 0; i < common_.size(); ++i)
        common_[i] = std::min(common_[i], epoch->committed[i]);
    }
    const uint64_t known_from = other.epoch == own.epoch ? own.epoch - 1 : own.epoch;
    if (missing > known_from) {
      return Error(Errc::invalid, fmt::format("it does not know how epoch {} began; --node URL of "
                                              "the node that was recovered by force does",
                                              missing));
    }
    lineage_ = std::move(lineage);
    lineage_.founded.partitions = own.partitions;
    lineage_.founded.seed = own.seed;
    return {};
  }

  Result<LeftClicks> survey(ArrivalMs old_before) {
    LeftClicks found;
    OverlayFileSystem untouched(files_);
    TRY(visit(untouched, [&](PartitionId, std::string_view record) -> Status {
      ++found.clicks;
      found.old += collector::received_of(record) < old_before ? 1 : 0;
      return {};
    }));
    return found;
  }

  Result<LeftClicks> prepare() {
    TRY(sweep());
    TRY(files_.create_directories(made("journal")));
    LeftClicks found;
    {
      NodeClock clock(clock_);
      auto writer = TRY(SpoolWriter::open(files_, made("journal"), clock, {}));
      OverlayFileSystem untouched(files_);
      TRY(visit(untouched, [&](PartitionId partition, std::string_view record) {
        ++found.clicks;
        return writer.add(partition, record);
      }));
      TRY(writer.finish());
    }
    const auto made_file = TRY(engine::ClusterFile::open_or_make(files_, made()));
    TRY(made_file->save(lineage_));
    TRY(files_.sync_directory(made("journal")));
    TRY(files_.sync_directory(made()));
    TRY(write_file_atomically(files_, made("ready"), fmt::format("{}\n", founded().epoch)));
    TRY(files_.sync_directory(dir_->path()));
    return found;
  }

  Result<std::string> finish() {
    std::string epoch = TRY(read_file(files_, made("ready")));
    epoch.erase(std::min(epoch.find('\n'), epoch.size()));
    const std::string aside = fmt::format("{}/left-behind-epoch-{}", dir_->path(), epoch);
    TRY(files_.create_directories(aside));
    for (const std::string& name : TRY(files_.list(dir_->path()))) {
      const bool stays = name == "node" || name == "LOCK" || name == "rejoin" ||
                         name.starts_with("left-behind-epoch-");
      // Those that have been made stand here already, if they are no longer there.
      const bool is_new = (name == "journal" || name == "cluster") && !files_.exists(made(name));
      if (!stays && !is_new) TRY(files_.rename(dir_->path() + "/" + name, aside + "/" + name));
    }
    TRY(files_.sync_directory(aside));
    for (const char* const name : {"journal", "cluster"}) {
      if (files_.exists(made(name))) TRY(files_.rename(made(name), dir_->path() + "/" + name));
    }
    TRY(files_.sync_directory(dir_->path()));
    TRY(files_.remove(made("ready")));
    TRY(files_.sync_directory(made()));
    return aside;
  }

 private:
  std::string made() const { return config_.data_dir + "/rejoin"; }
  std::string made(const std::string& name) const { return made() + "/" + name; }

  Status visit(FileSystem& files, const VisitClick& visit) {
    NodeClock clock(clock_);
    return visit_left_clicks(files, clock, dir_->paths(), {}, common_, visit);
  }

  /// What an earlier call left that did not get far.
  Status sweep() {
    for (const std::string& folder : {made("journal"), made()}) {
      if (!files_.exists(folder)) continue;
      for (const std::string& name : TRY(files_.list(folder)))
        if (name != "journal") TRY(files_.remove(folder + "/" + name));
    }
    return {};
  }

  const engine::Config& config_;
  FileSystem& files_;
  Clock& clock_;
  std::unique_ptr<engine::DataDir> dir_;
  std::unique_ptr<engine::ClusterFile> cluster_;
  cluster::Lineage lineage_;
  std::vector<Offset> common_;
};

Rejoin::Rejoin(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Rejoin::~Rejoin() = default;

Result<std::unique_ptr<Rejoin>> Rejoin::open(const engine::Config& config, FileSystem& files,
                                             Clock& clock) {
  auto impl = std::make_unique<Impl>(config, files, clock);
  TRY(impl->open());
  return std::unique_ptr<Rejoin>(new Rejoin(std::move(impl)));
}

bool Rejoin::under_way() const { return impl_->under_way(); }
const cluster::Founded& Rejoin::founded() const { return impl_->founded(); }
Status Rejoin::follow(cluster::Lineage lineage) { return impl_->follow(std::move(lineage)); }
Result<LeftClicks> Rejoin::survey(ArrivalMs old_before) { return impl_->survey(old_before); }
Result<LeftClicks> Rejoin::prepare() { return impl_->prepare(); }
Result<std::string> Rejoin::finish() { return impl_->finish(); }

}  // namespace clickmill::tools
