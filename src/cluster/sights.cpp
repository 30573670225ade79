#include "cluster/sights.h"

#include <algorithm>

#include "base/assert.h"

namespace clickmill::cluster {
namespace {

constexpr int64_t kNsPerMs = 1'000'000;
/// Beats whose time of sending is remembered: three seconds of them, and no echo of an older
/// one is of use.
constexpr size_t kSentKept = 32;
/// A measured clock is known to half of its round trip: beyond this it isn't known.
constexpr int64_t kRttUsMost = 2'000'000;
/// Workers of a peer whose claims are kept, as many as it may have.
constexpr uint32_t kWorkersMost = 256;

/// Since when, in ms; times of two threads may be a little out of order.
int64_t age_ms(int64_t since_ns, int64_t now_ns) {
  return std::max<int64_t>(0, now_ns - since_ns) / kNsPerMs;
}

}  // namespace

Sights::Sights(Options options) : options_(std::move(options)), own_(options_.workers) {
  CM_ASSERT(options_.workers > 0 && options_.workers <= kWorkersMost);
  CM_ASSERT(options_.life != 0 && options_.storage != raft::StorageId(0));
  for (const std::string& node : options_.peers) {
    if (node != options_.node) peers_[node];
  }
  for (uint32_t worker = 0; worker < options_.workers; ++worker) {
    own_[worker].life = options_.life;
    own_[worker].worker = worker;
  }
}

Sights::Peer* Sights::find(const std::string& node) {
  const auto at = peers_.find(node);
  return at == peers_.end() ? nullptr : &at->second;
}

const Sights::Peer* Sights::find(const std::string& node) const {
  const auto at = peers_.find(node);
  return at == peers_.end() ? nullptr : &at->second;
}

Beat Sights::beat_to(const std::string& node, int64_t now_ns, int64_t wall_ms) {
  const std::lock_guard lock(mutex_);
  Beat beat;
  beat.life = options_.life;
  beat.storage = options_.storage;
  beat.wall_ms = wall_ms;
  for (const Claims& own : own_) beat.workers.push_back({0, own.number});
  Peer* const peer = find(node);
  if (peer == nullptr) return beat;
  beat.number = ++peer->sent;
  peer->sent_ns.emplace_back(beat.number, now_ns);
  if (peer->sent_ns.size() > kSentKept) peer->sent_ns.pop_front();
  if (!peer->beat) return beat;
  beat.echo_life = peer->beat->life;
  beat.echo = peer->beat->number;
  beat.echo_delay_us = static_cast<uint64_t>(std::max<int64_t>(0, now_ns - peer->beat_ns) / 1'000);
  beat.claims_seen.resize(peer->beat->workers.size());
  for (const auto& [worker, claims] : peer->claims) {
    if (worker < beat.claims_seen.size() && claims.life == beat.echo_life)
      beat.claims_seen[worker] = claims.number;
  }
  return beat;
}

bool Sights::claim(uint32_t worker, std::vector<Claims::Led> led) {
  const std::lock_guard lock(mutex_);
  Claims& own = own_.at(worker);
  if (own.led == led) return false;
  own.led = std::move(led);
  ++own.number;
  return true;
}

Claims Sights::claims(uint32_t worker) const {
  const std::lock_guard lock(mutex_);
  return own_.at(worker);
}

std::vector<Claims> Sights::unechoed(const std::string& node) const {
  const std::lock_guard lock(mutex_);
  std::vector<Claims> found;
  const Peer* const peer = find(node);
  if (peer == nullptr) return found;
  const bool knows_me = peer->beat && peer->beat->echo_life == options_.life;
  for (const Claims& own : own_) {
    const bool echoed = knows_me && own.worker < peer->beat->claims_seen.size() &&
                        peer->beat->claims_seen[own.worker] == own.number;
    if (own.number > 0 && !echoed) found.push_back(own);
  }
  return found;
}

void Sights::heard(const std::string& node, const Beat& beat, int64_t now_ns, int64_t wall_ms) {
  const std::lock_guard lock(mutex_);
  Peer* const peer = find(node);
  if (peer == nullptr) return;
  const bool same_life = peer->beat && peer->beat->life == beat.life;
  if (same_life && beat.number <= peer->beat->number) return;
  take_echo(*peer, beat, now_ns, wall_ms);
  peer->beat = beat;
  peer->beat_ns = peer->silent_ns = now_ns;
  if (!beat.low_waters) return;
  peer->low_waters = beat.low_waters;
  peer->low_waters_ns = now_ns;
  peer->beat->low_waters.reset();
}

void Sights::take_echo(Peer& peer, const Beat& beat, int64_t now_ns, int64_t wall_ms) const {
  if (beat.echo_life != options_.life) return;
  const auto sent =
      std::lower_bound(peer.sent_ns.begin(), peer.sent_ns.end(), beat.echo,
                       [](const auto& one, uint64_t number) { return one.first < number; });
  if (sent == peer.sent_ns.end() || sent->first != beat.echo) return;
  peer.echoed_ns = std::max(peer.echoed_ns.value_or(sent->second), sent->second);
  const int64_t away_us = (now_ns - sent->second) / 1'000;
  // A delay longer than the whole way is nonsense, or one that a clock's step made so.
  if (away_us < 0 || beat.echo_delay_us > static_cast<uint64_t>(away_us)) return;
  const int64_t rtt_us = away_us - static_cast<int64_t>(beat.echo_delay_us);
  peer.rtt_us = rtt_us;
  if (rtt_us > kRttUsMost) return;
  // It told its time between now − rtt and now.
  peer.clock = {beat.wall_ms - (wall_ms - rtt_us / 2'000), (rtt_us + 1'999) / 2'000};
  peer.clock_ns = now_ns;
}

void Sights::claimed(const std::string& node, Claims claims) {
  const std::lock_guard lock(mutex_);
  Peer* const peer = find(node);
  if (peer == nullptr || claims.worker >= kWorkersMost) return;
  Claims& known = peer->claims[claims.worker];
  if (known.life == claims.life && known.number >= claims.number) return;
  known = std::move(claims);
}

void Sights::link_up(const std::string& node, std::string version) {
  const std::lock_guard lock(mutex_);
  Peer* const peer = find(node);
  if (peer == nullptr) return;
  peer->up = true;
  peer->version = std::move(version);
}

void Sights::link_down(const std::string& node, bool refused, int64_t now_ns) {
  const std::lock_guard lock(mutex_);
  Peer* const peer = find(node);
  if (peer == nullptr) return;
  peer->up = false;
  // Not added up: each new try is refused too, and says nothing that the first one didn't.
  if (refused) peer->silent_ns = std::min(peer->silent_ns, now_ns - options_.refused_ms * kNsPerMs);
}

bool Sights::is_young(int64_t since_ns, int64_t now_ns) const {
  return age_ms(since_ns, now_ns) < options_.heard_ms;
}

bool Sights::is_heard(const Peer& peer, int64_t now_ns) const {
  return peer.beat && is_young(peer.silent_ns, now_ns);
}

/// The term in which this worker of the peer claims the group, by the newest claim that it
/// speaks of; 0: it doesn't. Its beat may be older than the claim, but not newer.
Term Sights::led_by(const Peer& peer, uint32_t worker, uint32_t group) {
  const auto claims = peer.claims.find(worker);
  if (claims == peer.claims.end() || claims->second.life != peer.beat->life ||
      claims->second.number < peer.beat->workers[worker].claim_number) {
    return Term(0);
  }
  const auto& led = claims->second.led;
  const auto at =
      std::lower_bound(led.begin(), led.end(), group,
                       [](const Claims::Led& one, uint32_t wanted) { return one.group < wanted; });
  return at != led.end() && at->group == group ? at->term : Term(0);
}

raft::Sight Sights::sight_of(const raft::Member& member, uint32_t group, int64_t now_ns) const {
  const std::lock_guard lock(mutex_);
  raft::Sight sight;
  const Peer* const peer = find(member.node);
  if (peer == nullptr || !is_heard(*peer, now_ns)) return sight;
  const Beat& beat = *peer->beat;
  if (beat.storage != member.storage || beat.workers.empty()) return sight;
  const auto worker = static_cast<uint32_t>(group % beat.workers.size());
  // As of the beat: adding the beat's own age would judge a late beat twice.
  if (beat.workers[worker].age_ms >= options_.heard_ms) return sight;
  sight.heard = true;
  sight.echoes = peer->echoed_ns && is_young(*peer->echoed_ns, now_ns);
  sight.leads = led_by(*peer, worker, group);
  return sight;
}

std::optional<std::pair<std::string, Term>> Sights::leader_of(uint32_t group,
                                                              int64_t now_ns) const {
  const std::lock_guard lock(mutex_);
  std::optional<std::pair<std::string, Term>> newest;
  for (const auto& [node, peer] : peers_) {
    if (!is_heard(peer, now_ns) || peer.beat->workers.empty()) continue;
    const auto worker = static_cast<uint32_t>(group % peer.beat->workers.size());
    if (peer.beat->workers[worker].age_ms >= options_.heard_ms) continue;
    const Term term = led_by(peer, worker, group);
    if (term != Term(0) && (!newest || term > newest->second)) newest = {node, term};
  }
  return newest;
}

std::optional<raft::StorageId> Sights::storage_of(const std::string& node) const {
  const std::lock_guard lock(mutex_);
  const Peer* const peer = find(node);
  if (peer == nullptr || !peer->beat) return std::nullopt;
  return peer->beat->storage;
}

bool Sights::heard(const std::string& node, int64_t now_ns) const {
  const std::lock_guard lock(mutex_);
  const Peer* const peer = find(node);
  return peer != nullptr && is_heard(*peer, now_ns);
}

bool Sights::fit(const std::string& node, int64_t now_ns) const {
  const std::lock_guard lock(mutex_);
  const Peer* const peer = find(node);
  return peer != nullptr && is_heard(*peer, now_ns) && peer->beat->fit;
}

std::optional<Sights::LowWater> Sights::low_water(const std::string& node,
                                                  PartitionId partition) const {
  const std::lock_guard lock(mutex_);
  const Peer* const peer = find(node);
  if (peer == nullptr || !peer->low_waters) return std::nullopt;
  return LowWater{peer->low_waters->of(partition), peer->low_waters_ns};
}

std::optional<ClockOffset> Sights::clock_of(const Peer& peer, int64_t now_ns) const {
  if (!peer.clock_ns || age_ms(*peer.clock_ns, now_ns) >= options_.offset_ms) return std::nullopt;
  return peer.clock;
}

bool Sights::clock_is_fit(int64_t now_ns, bool synchronised, bool few_decide) const {
  const std::lock_guard lock(mutex_);
  std::vector<ClockOffset> known;
  for (const auto& [node, peer] : peers_) {
    if (const auto clock = clock_of(peer, now_ns)) known.push_back(*clock);
  }
  const size_t nodes = peers_.size() + 1;
  const size_t copies = options_.copies == 0 || !few_decide ? nodes : options_.copies;
  return cluster::clock_is_fit(known, nodes, copies, synchronised);
}

std::vector<Sights::PeerView> Sights::view(int64_t now_ns) const {
  const std::lock_guard lock(mutex_);
  std::vector<PeerView> views;
  for (const auto& [node, peer] : peers_) {
    PeerView view;
    view.node = node;
    view.up = peer.up;
    view.heard = is_heard(peer, now_ns);
    view.version = peer.version;
    view.rtt_us = peer.rtt_us;
    view.clock = clock_of(peer, now_ns);
    if (peer.beat) {
      view.fit = peer.beat->fit;
      view.storage = peer.beat->storage;
      view.age_ms = age_ms(peer.beat_ns, now_ns);
    }
    views.push_back(std::move(view));
  }
  return views;
}

}  // namespace clickmill::cluster
