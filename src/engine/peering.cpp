#include "engine/peering.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/timex.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/logging.h"
#include "base/random.h"
#include "engine/config_error.h"
#include "http/server.h"

namespace clickmill::engine {
namespace {

// First byte of a frame on lane group: Peers has the other two.
constexpr char kOfFounding = 2;
constexpr auto kBeatEvery = std::chrono::milliseconds(100);

std::vector<std::string> names_of(const ClusterConfig& cluster) {
  std::vector<std::string> names;
  for (const auto& peer : cluster.peers) names.push_back(peer.node_id);
  std::sort(names.begin(), names.end());
  return names;
}

/// One that nobody knows stands for a secret that can't be read.
std::string secret_of(const ClusterConfig& cluster, std::string& trouble) {
  try {
    return read_secret(cluster);
  } catch (const ConfigError& error) {
    trouble = std::string(error.what()) + "; this node is alone until a start can read it";
    log_error("cluster", trouble);
  }
  std::string secret;
  for (int i = 0; i < 4; ++i) secret += fmt::format("{:016x}", secure_random_u64());
  return secret;
}

}  // namespace

bool kernel_clock_is_synchronised() {
  timex state{};
  return adjtimex(&state) != TIME_ERROR;
}

Result<std::unique_ptr<Peering>> Peering::open(const Config& config, FileSystem& files,
                                               DataDir& dir) {
  // The stream's state is made when the node counts for the first time.
  const bool counted = files.exists(dir.state());
  auto file = TRY(ClusterFile::open_or_make(files, dir.path()));
  const bool holds_data = counted && !file->founded();
  return std::unique_ptr<Peering>(new Peering(config, files, dir, std::move(file), holds_data));
}

Peering::Peering(const Config& config, FileSystem& files, DataDir& dir,
                 std::unique_ptr<ClusterFile> file, bool holds_data)
    : config_(config),
      files_(files),
      dir_(dir),
      holds_data_(holds_data),
      nodes_(names_of(*config.cluster)),
      life_(secure_random_u64() | 1),
      secret_(secret_of(*config.cluster, secret_trouble_)),
      file_(std::move(file)),
      storage_(file_->storage_id()),
      founding_(cluster::Founding::Options{.node = config.node_id,
                                           .nodes = nodes_,
                                           .storage = file_->storage_id(),
                                           .partitions = config.log.partitions,
                                           .replication = config.cluster->replicas(),
                                           .life = life_,
                                           .seed = dir.node().seed,
                                           .draw = [] { return secure_random_u64(); }},
                holds_data, file_->founded()) {}

Peering::~Peering() { stop(); }

void Peering::complete(Machine::Options& options) const {
  options.partition.settings.nodes = nodes_;
  // A new leader is found within a moment, not within the back-off of a long outage.
  options.forwarder.backoff_most_ms = 200;
  Machine::Options::Peering peering;
  peering.nodes = nodes_;
  peering.storage = storage_;
  peering.life = life_;
  peering.caretaker.replication = config_.cluster->replicas();
  peering.levels.most = config_.cluster->hold_feature_level;
  options.peering = std::move(peering);
}

peer::Hello Peering::hello() const {
  const std::lock_guard lock(mutex_);
  peer::Hello hello;
  hello.node_id = config_.node_id;
  hello.storage_id = storage_.value();
  hello.partitions = config_.log.partitions;
  hello.replication = config_.cluster->replicas();
  hello.version = CLICKMILL_VERSION;
  if (const auto& founded = founding_.founded()) {
    hello.cluster_id = founded->cluster_id;
    hello.epoch = founded->epoch;
    hello.epoch_random = founded->epoch_random;
  }
  machine_->peers()->tell_levels(hello);
  return hello;
}

Status Peering::connect(Machine& machine) {
  machine_ = &machine;
  peer::Links::Options options;
  options.node_id = config_.node_id;
  options.self = [this] { return hello(); };
  options.listen = config_.listen.peer;
  for (const auto& peer : config_.cluster->peers) {
    const auto at = http::parse_host_port(peer.peer);
    if (!at) return Error(Errc::invalid, "cluster.peers: not host:port: " + peer.peer);
    options.peers.push_back({peer.node_id, at->host, at->port});
  }
  options.secret = secret_;
  if (const auto& tls = config_.cluster->tls; !tls.cert.empty())
    options.tls = peer::Tls{tls.cert, tls.key, tls.ca};
  links_ = std::make_unique<peer::Links>(std::move(options), *this);
  machine.peers()->send_through(*links_);
  if (file_->left_behind()) machine.peers()->leave_behind();
  TRY(links_->start());
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "beats");
    run();
  });
  return {};
}

void Peering::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (!founding_.founded()) {
      founding_.tick();
      found();
    }
    lock.unlock();
    machine_->peers()->beat();
    lock.lock();
    if (machine_->peers()->forgot()) give_up_storage();
    changed_.wait_for(lock, kBeatEvery, [this] { return stopping_; });
  }
}

/// This disk may have forgotten a promise: as another one, which has promised nothing, it comes
/// back at the next start. Under the lock.
void Peering::give_up_storage() {
  if (given_up_) return;
  const auto renewed = file_->renew_storage_id("it holds less than others have seen of it");
  given_up_ = renewed.has_value();
  if (!renewed) log_warn("cluster", renewed.error().text());
}

/// Does what the founding wants, under the lock.
void Peering::found() {
  while (true) {
    auto output = founding_.take_output();
    const bool persists = output.persist.has_value();
    if (persists) {
      auto saved = dir_.adopt_seed(files_, output.persist->seed, holds_data_);
      if (saved) saved = file_->save(*output.persist);
      if (saved) {
        founding_.persisted();
        log_info("cluster",
                 fmt::format("this node belongs to cluster {:016x}", output.persist->cluster_id));
        changed_.notify_all();
      } else {
        founding_.not_persisted(saved.error());
      }
    }
    for (const auto& [to, message] : output.messages) {
      std::string frame(1, kOfFounding);
      frame += cluster::encode(message);
      links_->send(to, peer::Lane::group, std::move(frame));
    }
    if (!persists) return;
  }
}

Status Peering::wait_until_founded(const std::atomic<bool>& stopping) {
  std::unique_lock lock(mutex_);
  while (!founding_.founded() && !stopping && !stopping_)
    changed_.wait_for(lock, std::chrono::milliseconds(50));
  if (!founding_.founded()) return Error(Errc::closed, "the node stops");
  machine_->found(*founding_.founded());
  return {};
}

void Peering::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (links_) links_->stop();
}

uint64_t Peering::cluster_id() const {
  const std::lock_guard lock(mutex_);
  return founding_.founded() ? founding_.founded()->cluster_id : 0;
}

std::vector<std::string> Peering::reasons() const {
  const std::lock_guard lock(mutex_);
  auto reasons = founding_.why_waiting();
  if (!secret_trouble_.empty()) reasons.insert(reasons.begin(), secret_trouble_);
  if (given_up_) {
    reasons.emplace_back(
        "cluster: this disk holds less than others have seen of it, as an old image does; the node "
        "votes again, as a new disk, once it is started anew");
  }
  if (const auto& behind = file_->left_behind()) {
    reasons.push_back(fmt::format(
        "cluster: {} went on without this node in epoch {}, by a forced recovery; what this node "
        "answers waits in its spool until it is brought back (clickmill cluster rejoin)",
        behind->by, behind->epoch));
  }
  return reasons;
}

std::optional<cluster::Lineage> Peering::lineage() const {
  const std::lock_guard lock(mutex_);
  if (!founding_.founded()) return std::nullopt;
  return cluster::Lineage{*founding_.founded(), file_->epochs()};
}

/// The other one has proved that it knows the secret.
void Peering::on_misfit(const peer::Hello& peer, peer::Refusal why) {
  machine_->peers()->on_misfit(peer, why);
  const std::lock_guard lock(mutex_);
  const auto& founded = founding_.founded();
  if (why != peer::Refusal::epoch || !founded || peer.cluster_id != founded->cluster_id) return;
  if (peer.epoch <= founded->epoch) return;
  machine_->peers()->leave_behind();
  if (file_->left_behind() && file_->left_behind()->epoch >= peer.epoch) return;
  log_error("cluster", fmt::format("{} is of epoch {}, this node of {}: a forced recovery went on "
                                   "without it; it votes and leads no more, and redirects",
                                   peer.node_id, peer.epoch, founded->epoch));
  // In memory it holds either way; the next handshake tells it again.
  if (auto saved = file_->leave_behind({peer.node_id, peer.epoch}); !saved)
    log_warn("cluster", saved.error().text());
}

void Peering::on_frame(const std::string& from, peer::Lane lane, std::string&& frame) {
  if (lane != peer::Lane::group || frame.empty() || frame.front() != kOfFounding)
    return machine_->peers()->on_frame(from, lane, std::move(frame));
  const auto message = cluster::decode_founding(std::string_view(frame).substr(1));
  if (!message) return log_warn("peer", fmt::format("node {}: {}", from, message.error().text()));
  const std::lock_guard lock(mutex_);
  founding_.receive(from, *message);
  found();
}

void Peering::on_link_up(const peer::Hello& peer) {
  {
    const std::lock_guard lock(mutex_);
    founding_.link_up(peer.node_id);
    found();
  }
  machine_->peers()->on_link_up(peer);
}

void Peering::on_link_down(const std::string& peer, bool refused, const std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    founding_.link_down(peer);
  }
  machine_->peers()->on_link_down(peer, refused, why);
}

}  // namespace clickmill::engine
