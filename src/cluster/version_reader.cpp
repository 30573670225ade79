#include "cluster/version_reader.h"

#include <fmt/format.h>

#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include "base/bytes.h"
#include "base/damage.h"
#include "cluster/ask.h"
#include "cluster/partition_questions.h"
#include "stream/parts.h"

namespace clickmill::cluster {
namespace {

// Replicas trail by milliseconds; who trails by more is asked again later, or another is.
constexpr auto kPositionPatience = std::chrono::milliseconds(200);
constexpr auto kPositionPoll = std::chrono::milliseconds(5);

/// A scan refers to its texts; this one owns them.
struct OwnScan {
  explicit OwnScan(const store::Scan& from)
      : ad_id(from.ad_id), advertiser_id(from.advertiser_id), scan(from) {
    scan.ad_id = ad_id;
    scan.advertiser_id = advertiser_id;
  }
  OwnScan(const OwnScan&) = delete;
  OwnScan& operator=(const OwnScan&) = delete;
  const std::string ad_id;
  const std::string advertiser_id;
  store::Scan scan;
};

Result<store::Version> version_of(const Partition& partition, const store::Scan& scan) {
  if (auto why = partition.why_no_answer()) return *std::move(why);
  // A new partition knows no time before its first entry.
  if (partition.pipeline().horizon().log_time() == LogMs(0))
    return Error(Errc::busy, "counts are being caught up after a start");
  auto version = partition.pipeline().version(scan);
  version.stale = !partition.replica().core().leader_is_live();
  return version;
}

/// Whether they hold what the position says of their partitions.
bool reach(const std::vector<PartitionId>& ids, const std::vector<store::Version>& versions,
           const Position& at_least) {
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto wanted = at_least.find(ids[i]);
    if (wanted != at_least.end() && versions[i].applied < wanted->second) return false;
  }
  return true;
}

}  // namespace

Result<std::vector<store::Version>> VersionReader::read(const std::vector<PartitionId>& ids,
                                                        const store::Scan& scan) const {
  const auto own = std::make_shared<const OwnScan>(scan);
  auto answers = TRY(ask<Result<store::Version>>(
      owned_, ids, [own](const Partition& partition) { return version_of(partition, own->scan); }));
  std::vector<store::Version> versions;
  versions.reserve(ids.size());
  for (auto& answer : answers) {
    if (!answer) return std::move(answer).error();
    versions.push_back(*std::move(answer));
  }
  return versions;
}

Result<std::vector<store::Version>> VersionReader::read(const std::vector<PartitionId>& ids,
                                                        const store::Scan& scan,
                                                        const Position& at_least) const {
  const auto until = std::chrono::steady_clock::now() + kPositionPatience;
  while (true) {
    auto versions = TRY(read(ids, scan));
    if (reach(ids, versions, at_least)) return versions;
    if (std::chrono::steady_clock::now() >= until)
      return Error(Errc::busy, "this node has not applied yet what Clickmill-Position asks for");
    std::this_thread::sleep_for(kPositionPoll);
  }
}

Error VersionReader::report(Error error) const {
  if (!is_damage(error)) return error;
  const std::string name = error.path().substr(error.path().rfind('/') + 1);
  auto slot = stream::slot_of_part(name);
  if (!slot && owned_.shelf) slot = owned_.shelf->owner_of(name, error.position());
  if (!slot || slot->partition().value() >= owned_.partitions.size()) return error;
  const PartitionId id = slot->partition();
  Partition* partition = owned_.partitions[id.value()].get();
  const bool taken = owned_.worker_of(id).try_post(
      [partition, what = error.message(), path = error.path(), position = error.position()] {
        partition->met_damage(Error(Errc::corrupt, what, path, position));
      });
  ignore(taken, "when its worker has too much to do, the next reader tells it");
  return Error(Errc::busy, fmt::format("partition {}: what it has stored is damaged: {}",
                                       id.value(), error.text()));
}

Result<std::vector<Partition::State>> VersionReader::states() const {
  auto states = TRY(ask<Partition::State>(
      owned_, all(), [](const Partition& partition) { return partition.state(); }));
  if (elsewhere_ != nullptr && elsewhere_->possible()) add_elsewhere(states);
  return states;
}

void VersionReader::add_elsewhere(std::vector<Partition::State>& states) const {
  std::vector<PartitionId> there;
  for (Partition::State& state : states) {
    // One that is behind here says so by its own numbers.
    if (state.here || !elsewhere_->is(state.id)) continue;
    there.push_back(state.id);
    state.known = false;
    // What this node remembers of a group that it is no member of may be of long ago.
    state.leader = elsewhere_->peers()->leader_of(state.id);
  }
  if (there.empty()) return;
  const auto question = [](const std::vector<PartitionId>& of) {
    std::string text(1, static_cast<char>(PartitionQuestion::states));
    for (const PartitionId id : of) ByteWriter(text).varint(id.value());
    return text;
  };
  const auto take = [&](const std::vector<PartitionId>& of, std::string_view answer) -> Status {
    ByteCursor in(answer);
    std::vector<Partition::State> given;
    for (size_t i = 0; i < of.size(); ++i) {
      given.push_back(TRY(read_state(in)));
      if (given.back().id != of[i]) return malformed_between_nodes();
    }
    for (Partition::State& state : given) {
      state.here = false;
      Partition::State& known = states[state.id.value()];
      known = std::move(state);
    }
    return {};
  };
  elsewhere_->ask_around(there, CallKind::partition, question, take);
}

}  // namespace clickmill::cluster
