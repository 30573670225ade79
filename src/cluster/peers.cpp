#include "cluster/peers.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/logging.h"

namespace clickmill::cluster {
namespace {

// First byte of a frame on lane group.
constexpr uint8_t kOfRaft = 0;
constexpr uint8_t kOfClaims = 1;
constexpr uint64_t kBeatsPerLowWaters = 10;
// A batch holds no more (Forwarder::Options); a peer that sends more is wrong.
// A node that is there is heard by then.
constexpr int64_t kHearAllNs = 10'000'000'000;
constexpr uint64_t kRecordsMost = 1 << 20;

std::string encode_batch(PartitionId id, const Batch& batch) {
  std::string out;
  ByteWriter writer(out);
  writer.varint(id.value());
  writer.bytes(batch.sender);
  writer.u8(batch.again ? 1 : 0);
  writer.svarint(batch.low_water.value());
  writer.svarint(batch.newest.value());
  writer.varint(batch.records.size());
  for (const std::string& record : batch.records) writer.bytes(record);
  return out;
}

Result<std::pair<uint64_t, Batch>> decode_batch(std::string_view bytes) {
  ByteCursor cursor(bytes);
  const uint64_t id = cursor.varint();
  Batch batch;
  batch.sender = cursor.bytes();
  batch.again = cursor.u8() != 0;
  batch.low_water = ArrivalMs(cursor.svarint());
  batch.newest = ArrivalMs(cursor.svarint());
  const uint64_t count = cursor.varint();
  if (count > kRecordsMost) cursor.fail();
  std::vector<std::string> records;
  for (uint64_t i = 0; i < count && cursor.ok(); ++i) records.emplace_back(cursor.bytes());
  batch.records = std::move(records);
  if (!cursor.done()) return Error(Errc::invalid, "a batch of clicks is malformed");
  return std::pair(id, std::move(batch));
}

/// Whether enough others may lead to elect one of them. A leader whose disk hangs applies nothing
/// and answers nobody, while its beats go on; it stays where they can't do without it.
bool can_do_without(const std::string& node, const raft::Membership& members, const Sights& sights,
                    int64_t now_ns) {
  const auto all = members.all();
  return raft::has_quorum(members, [&](raft::StorageId storage) {
    const auto member = std::find_if(all.begin(), all.end(),
                                     [&](const auto& one) { return one.storage == storage; });
    return member->node != node && sights.fit(member->node, now_ns);
  });
}

std::vector<std::string> without(std::vector<std::string> nodes, const std::string& self) {
  std::erase(nodes, self);
  return nodes;
}

Sights::Options sights_options(const Peers::Options& options, size_t workers) {
  Sights::Options of;
  of.node = options.node_id;
  of.peers = without(options.nodes, options.node_id);
  of.workers = static_cast<uint32_t>(workers);
  of.storage = options.storage;
  of.life = options.life;
  of.copies = std::min<size_t>(options.caretaker.replication, options.nodes.size());
  // Nobody listens there: it is gone, or will say so by coming back. Nothing is waited for.
  of.refused_ms = of.heard_ms;
  return of;
}

LevelWatch::Options level_options(const Peers::Options& options) {
  LevelWatch::Options of = options.levels;
  of.node = options.node_id;
  return of;
}

StateSource::Options source_options(const Peers::Options& options) {
  StateSource::Options of;
  of.life = options.life;
  of.in_background = options.in_background;
  of.well = options.well;
  of.freeze = options.freeze_state;
  of.deleted_before = options.deleted_before;
  of.piece_bytes = options.state_piece_bytes;
  return of;
}

}  // namespace

/// To the own partition where it leads, else to its leader over the link.
class Peers::Router final : public ClickRouter {
 public:
  explicit Router(Peers& peers) : peers_(peers) {}
  void send(PartitionId id, Batch&& batch, Committed committed) override {
    Partition& partition = *peers_.owned_.partitions[id.value()];
    const std::string leader = peers_.leader_of(id, &partition.replica());
    if (leader.empty() || leader == peers_.options_.node_id)
      return partition.submit(std::move(batch), std::move(committed));
    Worker& worker = peers_.owned_.worker_of(id);
    peers_.calls_.ask(
        leader, CallKind::batch, encode_batch(id, batch),
        [&worker, committed = std::move(committed)](const Result<std::string>& answer) {
          auto status = std::make_shared<Status>();
          if (!answer) *status = Error(answer.error().code(), answer.error().message());
          worker.post([committed, status] { committed(std::move(*status)); });
        });
  }

 private:
  Peers& peers_;
};

Peers::Peers(Options options, Owned& owned, NodeClock& clock)
    : options_(std::move(options)),
      placement_(std::make_shared<const Placement>(options_.nodes, options_.partitions,
                                                   options_.caretaker.replication)),
      owned_(owned),
      clock_(clock),
      sights_(sights_options(options_, owned.workers.size())),
      agreement_(options_.node_id, options_.partitions),
      clearing_(options_.storage),
      born_ns_(clock.system().monotonic_ns()),
      levels_(level_options(options_), born_ns_),
      calls_(clock.system(), options_.life),
      states_(source_options(options_), owned, clock.system()),
      others_(without(options_.nodes, options_.node_id)),
      compared_ns_(owned.workers.size()),
      looped_ns_(owned.workers.size()),
      led_(owned.workers.size()) {
  Caretaker::Options care = options_.caretaker;
  care.node = options_.node_id;
  care.nodes = options_.nodes;
  care.placement = placement_;
  for (size_t i = 0; i < owned.workers.size(); ++i) caretakers_.emplace_back(care, sights_);
  calls_.serve(CallKind::batch,
               [this](const std::string&, std::string_view question, Calls::Answer answer) {
                 serve_batch(question, std::move(answer));
               });
  calls_.serve(CallKind::proposal,
               [this](const std::string&, std::string_view question, Calls::Answer answer) {
                 serve_proposal(question, std::move(answer));
               });
  calls_.serve(CallKind::blocks,
               [this](const std::string&, std::string_view question, Calls::Answer answer) {
                 serve_blocks(question, std::move(answer));
               });
  calls_.serve(CallKind::older,
               [this](const std::string&, std::string_view question, Calls::Answer answer) {
                 serve_older(question, std::move(answer));
               });
  calls_.serve(CallKind::parting,
               [this](const std::string&, std::string_view question, Calls::Answer answer) {
                 serve_parting(question, std::move(answer));
               });
  calls_.serve(CallKind::state,
               [this](const std::string& from, std::string_view question, Calls::Answer answer) {
                 serve_state(from, question, std::move(answer));
               });
}

void Peers::send_through(peer::Transport& transport) {
  transport_ = &transport;
  calls_.send_through(transport);
}

std::unique_ptr<ClickRouter> Peers::router() { return std::make_unique<Router>(*this); }

Partition::Group Peers::group_of(PartitionId id, raft::Membership members) {
  Partition::Group group;
  group.self = {options_.node_id, options_.storage};
  group.membership = std::move(members);
  group.send = [this, id](const std::string& node, const std::string& message) {
    send_group(id, node, message);
  };
  group.sight_of = [this, id](const raft::Member& member) {
    return sights_.sight_of(member, id.value(), now_ns());
  };
  group.permit = [this, id] {
    const bool remembers = !left_behind_ && !forgot_ && fits_ && this->remembers(id);
    const raft::Membership& now = owned_.group(id.value())->replica().core().membership();
    // Who decides alone, by force, has nobody to compare its clock with: as a node without peers.
    const bool decides_alone = now.voters.size() == 1 && !now.joint();
    const bool disk_may_lead =
        this->disk_may_lead() ||
        (options_.well() && !can_do_without(options_.node_id, now, sights_, now_ns()));
    const bool well = (decides_alone || clock_is_fit_.load()) && disk_may_lead;
    return raft::Core::Permit{remembers, remembers && well};
  };
  group.rank = [this, id] { return rank_of(id); };
  group.low_waters = [this, id](PartitionId, int64_t since_ns) { return low_waters(id, since_ns); };
  group.keep_members = [this, id](Offset offset, const raft::Membership& membership) {
    return options_.keep_members(id, offset, membership);
  };
  group.propose = [this, id](click::EntryKind kind, const std::string& payload,
                             Partition::Applied applied) {
    propose(id, kind, payload, std::move(applied));
  };
  group.fetch = [this, id](Offset from) { fetch_blocks(id, from); };
  group.ask_for_state = [this, id](const std::string& node, const std::string& question,
                                   StateTaking::Told told) {
    ask_for(CallKind::state, id, node, question, std::move(told));
  };
  group.state_turn = [this] { return state_turns_.take(); };
  group.state_counts = &states_taken_;
  group.ask_for_older = [this, id](const std::string& node, Offset before, Offset from,
                                   OlderLog::Told told) {
    std::string question;
    ByteWriter writer(question);
    writer.varint(id.value());
    writer.varint(before.value());
    writer.varint(from.value());
    ask_for(CallKind::older, id, node, question, std::move(told));
  };
  group.older_turn = [this] { return older_turns_.take(); };
  group.older_bytes = &older_bytes_;
  group.log_kept_ms = options_.log_kept_ms;
  if (placement_->partial()) {
    group.placed_here = [this, id] { return placement_->holds(options_.node_id, id); };
  } else {
    group.disputed = [this] { return others_want_another(); };
  }
  group.is_led = [this, id] { return sights_.leader_of(id.value(), now_ns()).has_value(); };
  group.forgot = [this] { forgot_ = forgot_ || options_.check_claims; };
  return group;
}

/// Not above any click that waits there, and taken before they are asked.
LowWaters Peers::own_low_waters() const {
  LowWaters out;
  out.all = clock_.now();
  for (uint32_t i = 0; i < options_.partitions; ++i) {
    const ArrivalMs value = options_.low_water(PartitionId(i));
    if (value < out.all) out.exceptions.push_back({PartitionId(i), value});
  }
  return out;
}

void Peers::beat() {
  const int64_t now = now_ns();
  // Two machines of one host with a wrong clock may be the first to hear each other.
  clock_is_fit_ = sights_.clock_is_fit(now, options_.synchronised(), now - born_ns_ >= kHearAllNs);
  calls_.expire();
  states_.expire();
  std::optional<LowWaters> low_waters;
  if (open_ && beats_++ % kBeatsPerLowWaters == 0) {
    low_waters = own_low_waters();
    send_standing();
  }
  for (const std::string& node : others_) {
    for (const Claims& claims : sights_.unechoed(node)) send_claims(node, claims);
    Beat beat = sights_.beat_to(node, now, clock_.now().value());
    beat.fit =
        clock_is_fit_ && !stopping_ && !draining_ && !left_behind_ && fits_ && disk_may_lead();
    for (size_t i = 0; i < looped_ns_.size(); ++i) {
      const int64_t looped = looped_ns_[i];
      beat.workers[i].age_ms =
          looped == 0 ? UINT32_MAX : static_cast<uint32_t>((now - looped) / 1'000'000);
    }
    beat.low_waters = low_waters;
    // Without a link nobody hears it, which is what beats are for.
    transport_->send(node, peer::Lane::beat, encode(beat));
  }
}

void Peers::looped(size_t worker) {
  looped_ns_[worker] = now_ns();
  std::vector<Claims::Led> led;
  size_t with_strangers = 0;
  bool cleared = true;
  Caretaker& caretaker = caretakers_[worker];
  {
    const std::lock_guard lock(leaving_mutex_);
    caretaker.let_go(leaving_);
  }
  if (placement_->partial()) caretaker.agreed(all_want_the_same());
  caretaker.look(looped_ns_[worker]);
  const bool compares = looped_ns_[worker] - compared_ns_[worker] >= kCompareEveryNs;
  if (compares) compared_ns_[worker] = looped_ns_[worker];
  for (uint64_t id = worker; GroupMember* const group = owned_.group(id);
       id += owned_.workers.size()) {
    if (!stopping_) look_after(caretaker, *group, looped_ns_[worker]);
    const raft::Replica& replica = group->replica();
    if (replica.leads()) led.push_back({group->id().value(), replica.core().term()});
    if (compares && replica.leads() && has_strangers(*group)) ++with_strangers;
    cleared = cleared && (clearing_.cleared() || remembers(group->id()));
    if (!compares || id >= owned_.partitions.size()) continue;
    compare_counts(*owned_.partitions[id]);
    if (owned_.partitions[id]->lingers()) ask_to_part(*owned_.partitions[id]);
  }
  led_[worker].groups = led.size();
  if (compares) led_[worker].with_strangers = with_strangers;
  led_[worker].cleared = cleared;
  const auto number = static_cast<uint32_t>(worker);
  if (!sights_.claim(number, std::move(led))) return;
  const Claims claims = sights_.claims(number);
  for (const std::string& node : others_) send_claims(node, claims);
}

bool Peers::remembers_all() const {
  return std::all_of(led_.begin(), led_.end(),
                     [](const LedByWorker& each) { return each.cleared.load(); });
}

void Peers::hand_over_all() {
  stopping_ = true;
  for (GroupMember* const group : owned_.groups())
    owned_.worker_of(group->id()).post([group] { Caretaker::hand_over(*group); });
}

void Peers::send_claims(const std::string& node, const Claims& claims) {
  std::string frame(1, static_cast<char>(kOfClaims));
  frame += encode(claims);
  transport_->send(node, peer::Lane::group, std::move(frame));
}

void Peers::send_group(PartitionId id, const std::string& node, std::string_view message) {
  std::string frame;
  frame.reserve(message.size() + 4);
  ByteWriter writer(frame);
  writer.u8(kOfRaft);
  writer.varint(id.value());
  writer.raw(message);
  transport_->send(node, peer::Lane::group, std::move(frame));
}

std::vector<stream::LowWater> Peers::low_waters(PartitionId id, int64_t since_ns) const {
  std::vector<stream::LowWater> out;
  for (const std::string& node : others_) {
    const auto told = sights_.low_water(node, id);
    if (told && told->heard_ns >= since_ns) out.push_back({node, told->value});
  }
  return out;
}

Partition* Peers::partition(uint64_t id) {
  return open_ && id < owned_.partitions.size() ? owned_.partitions[id].get() : nullptr;
}

void Peers::on_frame(const std::string& from, peer::Lane lane, std::string&& frame) {
  switch (lane) {
    case peer::Lane::beat: {
      const auto beat = decode_beat(frame);
      if (beat) sights_.heard(from, *beat, now_ns(), clock_.now().value());
      return;
    }
    case peer::Lane::group: return on_group_frame(from, frame);
    case peer::Lane::call:
    case peer::Lane::bulk: return calls_.on_frame(from, frame);
  }
}

void Peers::on_group_frame(const std::string& from, std::string_view frame) {
  ByteCursor cursor(frame);
  const uint8_t kind = cursor.u8();
  if (kind == kOfClaims) {
    if (auto claims = decode_claims(cursor.rest())) sights_.claimed(from, *std::move(claims));
    return;
  }
  if (kind == kOfStanding) return on_standing(from, cursor.rest());
  if (kind == kOfPlacement) return on_placement(from, cursor.rest());
  const uint64_t id = cursor.varint();
  GroupMember* const to = cursor.ok() && kind == kOfRaft ? group(id) : nullptr;
  if (to == nullptr) return;
  auto message = raft::decode_message(cursor.rest());
  if (!message) {
    log_warn("peer", fmt::format("node {}: {}", from, message.error().text()));
    return;
  }
  const auto received = std::make_shared<raft::Received>(*std::move(message));
  ignore(owned_.worker_of(to->id()).try_post(
             [to, from, received] { to->receive(from, std::move(*received)); }),
         "what its worker has no time for comes again: Raft repeats");
}

void Peers::on_link_up(const peer::Hello& hello) {
  sights_.link_up(hello.node_id, hello.version);
  link_levels(hello);
  log_info("peer", fmt::format("linked with node {}", hello.node_id));
  {
    const std::lock_guard lock(storages_mutex_);
    storages_[hello.node_id] = raft::StorageId(hello.storage_id);
  }
  // Its votes may wait for that.
  send_standing(hello.node_id);
  if (!open_) return;
  const raft::StorageId storage{hello.storage_id};
  for (GroupMember* const group : owned_.groups())
    owned_.worker_of(group->id()).post([group, storage] { group->link_is_new(storage); });
}

void Peers::on_link_down(const std::string& peer, bool refused, const std::string& why) {
  sights_.link_down(peer, refused, now_ns());
  levels_.parted(peer, now_ns());
  {
    const std::lock_guard lock(storages_mutex_);
    placements_.erase(peer);
  }
  calls_.on_link_down(peer);
  if (!why.empty()) log_info("peer", fmt::format("no link with node {}: {}", peer, why));
}

void Peers::serve_batch(std::string_view question, Calls::Answer answer) {
  auto decoded = decode_batch(question);
  if (!decoded) return answer(std::move(decoded).error());
  Partition* const to = partition(decoded->first);
  if (to == nullptr) return answer(Error(Errc::busy, "the node is starting"));
  const auto batch = std::make_shared<Batch>(std::move(decoded->second));
  const bool posted = owned_.worker_of(to->id()).try_post([to, batch, answer] {
    to->submit(std::move(*batch), [answer](Status status) {
      answer(status ? Result<std::string>(std::string()) : std::move(status).error());
    });
  });
  if (!posted) answer(Error(Errc::busy, "too many requests wait"));
}

void Peers::propose(PartitionId id, click::EntryKind kind, std::string_view payload,
                    Partition::Applied applied) {
  Partition& partition = *owned_.partitions[id.value()];
  const std::string leader = leader_of(id, &partition.replica());
  std::string question;
  ByteWriter writer(question);
  writer.varint(id.value());
  writer.u8(static_cast<uint8_t>(kind));
  writer.raw(payload);
  Worker& worker = owned_.worker_of(id);
  calls_.ask(leader, CallKind::proposal, question,
             [&worker, &partition, applied = std::move(applied)](Result<std::string> answer) {
               auto offset = std::make_shared<Result<Offset>>(Offset(0));
               if (answer) {
                 ByteCursor cursor(*answer);
                 *offset = Offset(cursor.varint());
               } else {
                 *offset = std::move(answer).error();
               }
               worker.post([&partition, applied, offset] {
                 if (!*offset) return applied(std::move(*offset));
                 partition.when_applied(**offset, applied);
               });
             });
}

void Peers::serve_proposal(std::string_view question, Calls::Answer answer) {
  ByteCursor cursor(question);
  const uint64_t id = cursor.varint();
  const auto kind = static_cast<click::EntryKind>(cursor.u8());
  const bool known = kind == click::EntryKind::decision || kind == click::EntryKind::repair;
  if (!cursor.ok() || !known) return answer(Error(Errc::invalid, "a proposal is malformed"));
  Partition* const to = partition(id);
  if (to == nullptr) return answer(Error(Errc::busy, "the node is starting"));
  const auto payload = std::make_shared<std::string>(cursor.rest());
  const bool posted = owned_.worker_of(to->id()).try_post([to, kind, payload, answer] {
    to->propose_here(kind, std::move(*payload), [answer](Result<Offset> applied) {
      if (!applied) return answer(std::move(applied).error());
      std::string out;
      ByteWriter(out).varint(applied->value());
      answer(std::move(out));
    });
  });
  if (!posted) answer(Error(Errc::busy, "too many requests wait"));
}

void Peers::serve_state(const std::string& from, std::string_view question, Calls::Answer answer) {
  if (!open_) return answer(Error(Errc::busy, "the node is starting"));
  states_.serve(from, question, std::move(answer));
}

void Peers::ask_for(CallKind kind, PartitionId id, const std::string& node,
                    std::string_view question, StateTaking::Told told) {
  Worker& worker = owned_.worker_of(id);
  calls_.ask(node, kind, question, [&worker, told = std::move(told)](Result<std::string> answer) {
    const auto came = std::make_shared<Result<std::string>>(std::move(answer));
    worker.post([told, came] { told(std::move(*came)); });
  });
}

}  // namespace clickmill::cluster
