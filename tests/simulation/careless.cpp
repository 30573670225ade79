#include "simulation/careless.h"

#include <algorithm>

#include "base/assert.h"
#include "cluster/beat.h"

namespace clickmill::simulation {
namespace {

constexpr int64_t kPauseNs = 200'000'000;
// So long is nobody heard then, about as long as a beat's silence is waited for.
constexpr int64_t kSilenceNs = 400'000'000;
// What a frame of the group lane begins with when it tells claims (cluster/peers.cpp).
constexpr char kOfClaims = 1;

}  // namespace

void CarelessRouter::send(PartitionId partition, cluster::Batch&& batch,
                          cluster::Committed committed) {
  if (careless_.never_again) batch.again = false;
  cluster::Partition& own = *owned_.partitions[partition.value()];
  if (careless_.trims_at_append) {
    owned_.worker_of(partition).post([committed = std::move(committed)] { committed({}); });
    return right_->send(partition, std::move(batch), [](const Status&) {});
  }
  if (!careless_.answers_by_offset || !own.replica().leads())
    return right_->send(partition, std::move(batch), std::move(committed));
  // Appended at once, or refused at once.
  const auto refused = std::make_shared<Status>();
  right_->send(partition, std::move(batch), [refused](Status status) {
    if (!status) *refused = std::move(status);
  });
  if (!*refused) return committed(std::move(*refused));
  waiting_.push_back({partition, own.log().last(), std::move(committed)});
}

void CarelessRouter::look() {
  std::vector<Waiting> done;
  std::erase_if(waiting_, [&](Waiting& waiting) {
    const auto& own = *owned_.partitions[waiting.partition.value()];
    if (own.log().committed() < waiting.last) return false;
    done.push_back(std::move(waiting));
    return true;
  });
  for (const Waiting& waiting : done) waiting.committed({});
}

bool CarelessTransport::send(const std::string& to, peer::Lane lane, std::string frame) {
  if (lane == peer::Lane::group && frame.front() == kOfClaims) {
    auto claims = cluster::decode_claims(std::string_view(frame).substr(1));
    CM_ASSERT(claims.has_value());
    auto& all = led_[claims->worker];
    for (const auto& led : claims->led) all[led.group] = std::max(all[led.group], led.term);
    claims->led.clear();
    for (const auto& [group, term] : all) claims->led.push_back({group, term});
    frame = kOfClaims + cluster::encode(*claims);
  }
  return right_.send(to, lane, std::move(frame));
}

Status CarelessStore::commit(const state::Batch& batch, bool sync) {
  if (careless_.state_syncs_nothing) return right_.commit(batch, false);
  if (!careless_.commits_in_two || batch.operations().size() < 2) return right_.commit(batch, sync);
  state::Batch halves[2];
  for (size_t i = 0; i < batch.operations().size(); ++i) {
    const auto& operation = batch.operations()[i];
    state::Batch& half = halves[i * 2 / batch.operations().size()];
    switch (operation.kind) {
      case state::Batch::Operation::Kind::put:
        half.put(operation.space, operation.key, operation.value);
        break;
      case state::Batch::Operation::Kind::remove:
        half.remove(operation.space, operation.key);
        break;
      case state::Batch::Operation::Kind::remove_range:
        half.remove_range(operation.space, operation.key, operation.value);
        break;
    }
  }
  TRY(right_.commit(halves[0], sync));
  return right_.commit(halves[1], false);
}

void make_careless(cluster::Partition::Group& group, const Clock& clock, const Careless& careless) {
  if (careless.pause_is_silence) {
    const auto last_ns = std::make_shared<int64_t>(clock.monotonic_ns());
    const auto silent_ns = std::make_shared<int64_t>(*last_ns - kSilenceNs);
    group.sight_of = [=, &clock, right = group.sight_of](const raft::Member& member) {
      const int64_t now = clock.monotonic_ns();
      if (now - *last_ns > kPauseNs) *silent_ns = now;
      *last_ns = now;
      return now - *silent_ns < kSilenceNs ? raft::Sight() : right(member);
    };
  }
  if (careless.hearing_is_echo) {
    group.sight_of = [right = group.sight_of](const raft::Member& member) {
      raft::Sight sight = right(member);
      sight.echoes = sight.heard;
      return sight;
    };
  }
  if (careless.repeats_low_waters) {
    group.low_waters = [right = group.low_waters](PartitionId id, int64_t) { return right(id, 0); };
  }
  if (careless.disk_may_hang) {
    group.permit = [right = group.permit] {
      const bool remembers = right().vote;
      return raft::Core::Permit{remembers, remembers};
    };
  }
}

}  // namespace clickmill::simulation
