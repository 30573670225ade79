// Goal: each rule of the paper and of the dissertation, at one member that is driven by hand.
// Method: Bench plays the other members and the disk; what the member says is looked at.
// Section numbers: "In Search of an Understandable Consensus Algorithm" (paper), Ongaro's
// dissertation (diss.).

#include "raft/core.h"

#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace clickmill::raft {
namespace {

const Member kA{"a", StorageId(1)};
const Member kB{"b", StorageId(2)};
const Member kC{"c", StorageId(3)};
const Member kD{"d", StorageId(4)};

EntryHead entry(uint64_t first, uint64_t term, uint32_t count = 1) {
  EntryHead head;
  head.first = Offset(first);
  head.count = count;
  head.term = Term(term);
  head.bytes = 10;
  return head;
}

/// Member a of a group, whose disk syncs when it is told to.
struct Bench {
  explicit Bench(std::vector<EntryHead> entries = {}, HardState hard = {},
                 std::vector<Member> voters = {kA, kB, kC}, Core::Options options = {})
      : core(kA, restored(std::move(entries), hard, std::move(voters)), options) {}

  static Core::Restored restored(std::vector<EntryHead> entries, HardState hard,
                                 std::vector<Member> voters) {
    Core::Restored restored;
    restored.hard = hard;
    restored.membership.voters = std::move(voters);
    restored.entries = std::move(entries);
    return restored;
  }

  /// Time passes; nobody is heard but who is in `sights`.
  void tick(int times = 1, Core::Permit permit = {true, true}) {
    for (int i = 0; i < times; ++i) {
      core.tick([&](const Member& member) { return sights[member.storage]; }, permit, 0, 0);
    }
    take();
  }
  void hear(const Member& from, uint64_t term, decltype(Message::body) body,
            const Core::Room& room = {}) {
    core.step({from.storage, kA.storage, Term(term), std::move(body)}, room);
    take();
  }
  void take() {
    auto out = core.take_output();
    if (out.hard_state) to_sync = *out.hard_state;
    for (auto& message : out.messages) said.push_back(std::move(message));
    appended.insert(appended.end(), out.append.begin(), out.append.end());
    if (out.truncate_from) cut = out.truncate_from;
    last = std::move(out);
  }
  void sync_promises() {
    if (to_sync) core.hard_state_durable(*to_sync);
    to_sync.reset();
    take();
  }
  void sync_entries() {
    core.log_durable(core.last(), core.life());
    take();
  }
  /// The owner writes what the leader wants.
  void write(uint32_t count = 1) {
    const auto place = core.place();
    REQUIRE(place);
    EntryHead head = entry(place->first.value(), place->term.value(), count);
    if (!last.no_op) head.membership = last.membership;
    core.appended(head);
    take();
  }
  /// Wins an election with b's votes, and writes its no-op.
  void win() {
    tick();
    hear(kB, core.term().value() + 1, VoteAnswer{true, true});
    sync_promises();
    hear(kB, core.term().value(), VoteAnswer{false, true});
    REQUIRE(core.role() == Role::leader);
    write();
  }
  /// The last thing of a kind that was said to a member.
  template <typename Body>
  std::optional<Body> said_to(const Member& member) const {
    for (auto message = said.rbegin(); message != said.rend(); ++message) {
      if (message->to != member.storage) continue;
      if (const auto* body = std::get_if<Body>(&message->body)) return *body;
    }
    return std::nullopt;
  }
  void acked(const Member& from, uint64_t offset) {
    AppendAnswer answer;
    answer.acked = Offset(offset);
    hear(from, core.term().value(), answer);
  }

  Core core;
  std::map<StorageId, Sight> sights;
  std::vector<Message> said;
  std::vector<EntryHead> appended;
  std::optional<Offset> cut;
  std::optional<HardState> to_sync;
  Core::Output last;
};

Append append(uint64_t prev, uint64_t prev_term, std::vector<EntryHead> entries,
              uint64_t committed = 0) {
  Append append;
  append.prev = Offset(prev);
  append.prev_term = Term(prev_term);
  append.entries = std::move(entries);
  append.committed = Offset(committed);
  return append;
}

}  // namespace

TEST_CASE("raft core: silence leads to a pre-vote in the next term, not to a new term (diss. 9.6)",
          "[raft]") {
  Bench a;
  a.tick();
  CHECK(a.core.role() == Role::pre_candidate);
  CHECK(a.core.term() == Term(0));
  REQUIRE(a.said_to<VoteRequest>(kB));
  CHECK(a.said_to<VoteRequest>(kB)->pre);
  CHECK(a.said.back().term == Term(1));
}

TEST_CASE("raft core: a live leader's followers neither campaign nor pre-vote (diss. 9.6, 6.2)",
          "[raft]") {
  Bench a;
  a.sights[kB.storage] = {true, true, Term(1)};
  a.tick(50);
  CHECK(a.core.role() == Role::follower);
  CHECK(a.core.leader() == kB.storage);
  a.sync_promises();
  a.hear(kC, 2, VoteRequest{true, Offset(9), Term(1)});
  CHECK_FALSE(a.said_to<VoteAnswer>(kC)->granted);
  a.sights.clear();
  a.tick();
  CHECK(a.core.role() == Role::pre_candidate);
}

TEST_CASE("raft core: a vote leaves only when the disk has it (paper 5.2)", "[raft]") {
  Bench a;
  a.tick(1, {true, false});
  a.hear(kB, 1, VoteRequest{false, Offset(0), Term(0)});
  CHECK_FALSE(a.said_to<VoteAnswer>(kB));
  CHECK(a.to_sync == HardState{Term(1), kB.storage});
  a.sync_promises();
  REQUIRE(a.said_to<VoteAnswer>(kB));
  CHECK(a.said_to<VoteAnswer>(kB)->granted);
}

TEST_CASE("raft core: one vote a term, and none for who lacks entries (paper 5.2, 5.4.1)",
          "[raft]") {
  Bench a({entry(1, 1), entry(2, 2)}, {Term(2), StorageId(0)});
  a.tick(1, {true, false});
  a.hear(kB, 3, VoteRequest{false, Offset(5), Term(1)});
  a.sync_promises();
  CHECK_FALSE(a.said_to<VoteAnswer>(kB)->granted);
  a.hear(kB, 3, VoteRequest{false, Offset(1), Term(2)});
  CHECK_FALSE(a.said_to<VoteAnswer>(kB)->granted);
  a.hear(kC, 3, VoteRequest{false, Offset(2), Term(2)});
  a.sync_promises();
  CHECK(a.said_to<VoteAnswer>(kC)->granted);
  a.hear(kB, 3, VoteRequest{false, Offset(9), Term(2)});
  CHECK_FALSE(a.said_to<VoteAnswer>(kB)->granted);
}

TEST_CASE("raft core: the own vote counts when the disk has it; late pre-votes don't count",
          "[raft]") {
  Bench a;
  a.tick();
  a.hear(kB, 1, VoteAnswer{true, true});
  CHECK(a.core.role() == Role::candidate);
  a.hear(kB, 1, VoteAnswer{false, true});
  CHECK(a.core.role() == Role::candidate);
  a.hear(kC, 1, VoteAnswer{true, true});
  CHECK(a.core.role() == Role::candidate);
  a.sync_promises();
  CHECK(a.core.role() == Role::leader);
}

TEST_CASE("raft core: who may have forgotten a promise neither votes nor acknowledges", "[raft]") {
  Bench a;
  a.tick(100, {false, true});
  CHECK(a.core.role() == Role::follower);
  a.hear(kB, 1, VoteRequest{false, Offset(0), Term(0)});
  a.sync_promises();
  CHECK_FALSE(a.said_to<VoteAnswer>(kB)->granted);
  a.hear(kB, 1, append(0, 0, {entry(1, 1)}));
  a.sync_entries();
  CHECK(a.core.last() == Offset(1));
  CHECK(a.said_to<AppendAnswer>(kB)->acked == Offset(0));
}

TEST_CASE(
    "raft core: a leader begins with an entry of its term, and commits older ones only "
    "with it (paper 5.4.2)",
    "[raft]") {
  Bench a({entry(1, 1), entry(2, 2)}, {Term(2), StorageId(0)});
  a.win();
  a.sync_entries();
  a.acked(kB, 2);
  CHECK(a.core.committed() == Offset(0));
  a.acked(kB, 3);
  CHECK(a.core.committed() == Offset(3));
  CHECK(a.core.leads_surely());
}

TEST_CASE("raft core: the leader's own disk is one of the quorum, not all of it", "[raft]") {
  Bench a;
  a.win();
  a.acked(kB, 1);
  CHECK(a.core.committed() == Offset(0));
  a.acked(kC, 1);
  CHECK(a.core.committed() == Offset(1));
  CHECK(a.core.durable() == Offset(0));
}

TEST_CASE("raft core: a conflicting suffix goes, an equal one stays (paper 5.3)", "[raft]") {
  Bench a({entry(1, 1), entry(2, 1, 3), entry(5, 2)}, {Term(2), StorageId(0)});
  a.tick(1, {true, false});
  const uint64_t life = a.core.life();
  a.hear(kB, 3, append(1, 1, {entry(2, 1, 3)}));
  CHECK_FALSE(a.cut);
  CHECK(a.core.last() == Offset(5));
  a.hear(kB, 3, append(4, 1, {entry(5, 3, 2)}));
  CHECK(a.cut == Offset(5));
  CHECK(a.core.last() == Offset(6));
  CHECK(a.core.durable() == Offset(4));
  CHECK(a.core.life() > life);
  // News of the disk from before the cut say nothing about what stands there now.
  a.core.log_durable(Offset(6), life);
  CHECK(a.core.durable() == Offset(4));
}

TEST_CASE("raft core: only what this term's leader has proved is acknowledged", "[raft]") {
  Bench a({entry(1, 1), entry(2, 1), entry(3, 1)}, {Term(1), StorageId(0)});
  a.tick(1, {true, false});
  a.hear(kB, 2, append(1, 1, {}, 3));
  a.sync_promises();
  CHECK(a.said_to<AppendAnswer>(kB)->acked == Offset(1));
  // A commit beyond what was proved would apply a stale tail.
  CHECK(a.core.committed() == Offset(1));
  a.hear(kB, 2, append(1, 1, {entry(2, 1), entry(3, 1)}, 3));
  CHECK(a.said_to<AppendAnswer>(kB)->acked == Offset(3));
  CHECK(a.core.committed() == Offset(3));
}

TEST_CASE("raft core: an acknowledgement waits for the disk and the term's promise", "[raft]") {
  Bench a;
  a.tick(1, {true, false});
  a.hear(kB, 4, append(0, 0, {entry(1, 4, 2)}));
  CHECK_FALSE(a.said_to<AppendAnswer>(kB));
  a.sync_promises();
  CHECK_FALSE(a.said_to<AppendAnswer>(kB));
  a.sync_entries();
  REQUIRE(a.said_to<AppendAnswer>(kB));
  CHECK(a.said_to<AppendAnswer>(kB)->acked == Offset(2));

  Bench other;
  other.tick(1, {true, false});
  other.hear(kB, 4, append(0, 0, {entry(1, 4, 2)}));
  other.sync_entries();
  CHECK_FALSE(other.said_to<AppendAnswer>(kB));
  other.sync_promises();
  REQUIRE(other.said_to<AppendAnswer>(kB));
  CHECK(other.said_to<AppendAnswer>(kB)->acked == Offset(2));
}

TEST_CASE("raft core: a refusal names how far the logs may agree (paper 5.3)", "[raft]") {
  Bench a({entry(1, 1), entry(2, 1), entry(3, 2), entry(4, 2)}, {Term(2), StorageId(0)});
  a.tick(1, {true, false});
  a.hear(kB, 5, append(9, 4, {entry(10, 5)}));
  a.sync_promises();
  auto answer = a.said_to<AppendAnswer>(kB);
  CHECK(answer->refusal == Refusal::log);
  CHECK(answer->hint == Offset(4));
  a.hear(kB, 5, append(4, 1, {}));
  answer = a.said_to<AppendAnswer>(kB);
  CHECK(answer->refusal == Refusal::log);
  CHECK(answer->hint == Offset(2));
  CHECK(answer->hint_term == Term(1));
}

TEST_CASE("raft core: the leader goes back to the hint, then sends on", "[raft]") {
  Bench a({entry(1, 1), entry(2, 1, 4), entry(6, 2)}, {Term(2), StorageId(0)});
  a.win();
  CHECK(a.said_to<Append>(kC)->prev == Offset(6));
  AppendAnswer answer;
  answer.refusal = Refusal::log;
  answer.hint = Offset(4);
  answer.hint_term = Term(1);
  a.hear(kC, 3, answer);
  // 4 lies within an entry: the end before it is 1.
  CHECK(a.said_to<Append>(kC)->prev == Offset(1));
  CHECK(a.said_to<Append>(kC)->entries.size() == 3);
  CHECK(a.core.progress().at(kC.storage).match == Offset(0));
}

TEST_CASE("raft core: nothing beyond the window is sent, and probes go one by one (diss. 10.2)",
          "[raft]") {
  Bench a({}, {}, {kA, kB, kC}, {.message_bytes = 20, .window_bytes = 50});
  a.win();
  a.acked(kB, 1);
  for (int i = 0; i < 20; ++i) a.write();
  size_t to_b = 0, to_c = 0;
  for (const Message& message : a.said) {
    const auto* body = std::get_if<Append>(&message.body);
    if (body == nullptr) continue;
    (message.to == kB.storage ? to_b : to_c) += body->entries.size();
  }
  // Five entries of ten bytes behind the acknowledged no-op; to who is silent, nothing behind
  // the empty probe.
  CHECK(to_b == 5);
  CHECK(to_c == 0);
  a.acked(kB, 6);
  CHECK(a.said_to<Append>(kB)->prev > Offset(6));
}

TEST_CASE("raft core: too much without a quorum is refused", "[raft]") {
  Bench a({}, {}, {kA, kB, kC}, {.uncommitted_bytes = 30});
  a.win();
  for (int i = 0; i < 3; ++i) a.write();
  const auto place = a.core.place();
  REQUIRE_FALSE(place);
  CHECK(place.error().code() == Errc::busy);
}

TEST_CASE("raft core: a leader that nobody answers falls silent (diss. 6.2)", "[raft]") {
  Bench a;
  a.win();
  a.sights[kB.storage] = {true, true, Term(0)};
  a.tick(40);
  CHECK(a.core.role() == Role::leader);
  // Heard but not answered: a cut of one direction.
  a.sights[kB.storage] = {true, false, Term(0)};
  a.tick(15);
  CHECK(a.core.role() == Role::leader);
  a.tick();
  CHECK(a.core.role() == Role::follower);
  CHECK(a.core.leader() == StorageId(0));
}

TEST_CASE("raft core: a higher term ends a lead; a lower one is told the present term", "[raft]") {
  Bench a;
  a.win();
  a.hear(kC, 7, append(0, 0, {}));
  CHECK(a.core.role() == Role::follower);
  CHECK(a.core.term() == Term(7));
  a.sync_promises();
  a.said.clear();
  a.hear(kB, 6, append(0, 0, {}));
  REQUIRE(a.said.size() == 1);
  CHECK(a.said[0].term == Term(7));
}

TEST_CASE("raft core: a claim to lead in a term that is over is answered with the present one",
          "[raft]") {
  Bench a({}, {Term(5), StorageId(0)});
  a.sights[kB.storage] = {true, true, Term(4)};
  a.tick(1, {true, false});
  REQUIRE(a.said_to<AppendAnswer>(kB));
  CHECK(a.said.back().term == Term(5));
}

TEST_CASE("raft core: who comes back over a new link is told anew what is committed", "[raft]") {
  Bench a;
  a.win();
  a.sync_entries();
  a.acked(kB, 1);
  AppendAnswer knows;
  knows.acked = knows.committed = Offset(1);
  a.hear(kB, 1, knows);
  a.said.clear();
  a.core.link_is_new(kB.storage);
  a.take();
  REQUIRE(a.said_to<Append>(kB));
  CHECK(a.said_to<Append>(kB)->committed == Offset(1));
}

TEST_CASE("raft core: entries are answered once, when the disk has them", "[raft]") {
  Bench a({}, {Term(1), StorageId(0)});
  a.tick(1, {true, false});
  a.hear(kB, 1, append(0, 0, {entry(1, 1)}));
  CHECK(a.said.empty());
  a.sync_entries();
  REQUIRE(a.said.size() == 1);
  CHECK(a.said_to<AppendAnswer>(kB)->acked == Offset(1));
  // The disk has them already, and will say nothing more.
  a.hear(kB, 1, append(0, 0, {entry(1, 1)}));
  CHECK(a.said.size() == 2);
  // A read waits for no disk.
  Append asks = append(1, 1, {entry(2, 1)});
  asks.read_id = 1;
  a.hear(kB, 1, asks);
  REQUIRE(a.said.size() == 3);
  CHECK(a.said_to<AppendAnswer>(kB)->read_id == 1);
}

TEST_CASE("raft core: what is committed rides with entries, or waits for a tick", "[raft]") {
  Bench a;
  a.win();
  a.sights[kB.storage] = {true, true, Term(0)};
  a.sync_entries();
  a.acked(kB, 1);
  a.said.clear();
  a.write();
  a.sync_entries();
  a.acked(kB, 2);
  REQUIRE(a.core.committed() == Offset(2));
  // To b the entry alone; c is asked first where its log ends.
  REQUIRE(a.said_to<Append>(kB));
  CHECK(a.said_to<Append>(kB)->committed == Offset(1));
  a.said.clear();
  a.write();
  CHECK(a.said_to<Append>(kB)->committed == Offset(2));
  a.sync_entries();
  a.acked(kB, 3);
  a.said.clear();
  a.tick();
  REQUIRE(a.said_to<Append>(kB));
  CHECK(a.said_to<Append>(kB)->committed == Offset(3));
  CHECK(a.said_to<Append>(kB)->entries.empty());

  Core::Options at_once;
  at_once.tells_at_once = true;
  Bench eager({}, {}, {kA, kB, kC}, at_once);
  eager.win();
  eager.sync_entries();
  eager.acked(kB, 1);
  REQUIRE(eager.said_to<Append>(kB));
  CHECK(eager.said_to<Append>(kB)->committed == Offset(1));
}

TEST_CASE("raft core: entries far in the future are refused, but for committed ones", "[raft]") {
  Bench a;
  a.tick(1, {true, false});
  EntryHead ahead = entry(1, 1);
  ahead.append_ms = LogMs(5'000);
  const Core::Room room{true, LogMs(1'000)};
  a.hear(kB, 1, append(0, 0, {ahead}), room);
  a.sync_promises();
  CHECK(a.said_to<AppendAnswer>(kB)->refusal == Refusal::clock);
  CHECK(a.core.last() == Offset(0));
  a.hear(kB, 1, append(0, 0, {ahead}, 1), room);
  CHECK(a.core.last() == Offset(1));
}

TEST_CASE("raft core: a leader whose clock a quorum refuses steps down", "[raft]") {
  Bench a;
  a.win();
  AppendAnswer answer;
  answer.refusal = Refusal::clock;
  a.hear(kB, 1, answer);
  CHECK(a.core.role() == Role::leader);
  a.hear(kC, 1, answer);
  CHECK(a.core.role() == Role::follower);
}

TEST_CASE("raft core: the heir is told when it has everything, and campaigns at once (diss. 3.10)",
          "[raft]") {
  Bench a;
  a.win();
  a.sights[kB.storage] = {true, true, Term(0)};
  REQUIRE(a.core.hand_over(kB.storage));
  a.take();
  CHECK_FALSE(a.said_to<TakeOver>(kB));
  CHECK(a.core.place().error().code() == Errc::busy);
  a.acked(kB, 1);
  CHECK(a.said_to<TakeOver>(kB));
  // It does not come: the leader goes on.
  a.tick(16);
  CHECK(a.core.place());

  Bench heir;
  heir.sights[kB.storage] = {true, true, Term(1)};
  heir.tick();
  heir.sync_promises();
  heir.hear(kB, 1, TakeOver{});
  CHECK(heir.core.role() == Role::candidate);
  CHECK(heir.core.term() == Term(2));
}

TEST_CASE("raft core: a read waits for a quorum's answer and the term's first commit (diss. 6.4)",
          "[raft]") {
  Bench a;
  a.win();
  const auto read = a.core.read();
  REQUIRE(read);
  a.take();
  AppendAnswer answer;
  answer.read_id = *read;
  a.hear(kB, 1, answer);
  CHECK(a.last.reads.empty());
  a.sync_entries();
  a.acked(kB, 1);
  REQUIRE(a.last.reads.size() == 1);
  CHECK(a.last.reads[0] == std::pair(*read, Offset(1)));

  const auto next = a.core.read();
  REQUIRE(next);
  a.take();
  CHECK(a.last.reads.empty());
  CHECK(a.said_to<Append>(kB)->read_id == *next);
}

TEST_CASE("raft core: a change of voters goes through both sets (diss. 4.3)", "[raft]") {
  Bench a;
  a.win();
  CHECK(a.core.change({kA, kB, kD}, {}).error().code() == Errc::busy);
  a.sync_entries();
  a.acked(kB, 1);
  REQUIRE(a.core.change({kA, kD}, {}));
  CHECK(a.core.change({kA, kB}, {}).error().code() == Errc::busy);
  a.take();
  a.write();
  // In force from the append on, in both sets.
  CHECK(a.core.membership().joint());
  CHECK(a.said_to<Append>(kD));
  a.sync_entries();
  a.acked(kB, 2);
  CHECK(a.core.committed() == Offset(1));
  a.acked(kD, 2);
  CHECK(a.core.committed() == Offset(2));
  // Its end is wanted at once.
  REQUIRE(a.last.membership);
  CHECK_FALSE(a.last.membership->joint());
  a.write();
  a.sync_entries();
  a.acked(kD, 3);
  CHECK(a.core.committed() == Offset(3));
  CHECK(a.core.membership().voters == std::vector<Member>{kA, kD});
}

TEST_CASE("raft core: a membership goes with its entry (diss. 4.1)", "[raft]") {
  EntryHead change = entry(2, 1);
  Membership wider{{kA, kB, kC, kD}, {kA, kB, kC}, {}};
  change.membership = std::make_shared<Membership>(wider);
  Bench a({entry(1, 1), change}, {Term(1), StorageId(0)});
  CHECK(a.core.membership().joint());
  a.tick(1, {true, false});
  a.hear(kB, 2, append(1, 1, {entry(2, 2)}));
  CHECK_FALSE(a.core.membership().joint());
  CHECK(a.core.membership().voters.size() == 3);
}

TEST_CASE(
    "raft core: who is left out by an entry that isn't committed still campaigns "
    "(diss. 4.2.2)",
    "[raft]") {
  EntryHead change = entry(2, 1);
  change.membership = std::make_shared<Membership>(Membership{{kB, kC, kD}, {}, {}});
  Bench a({entry(1, 1), change}, {Term(1), StorageId(0)});
  a.tick();
  CHECK(a.core.role() == Role::pre_candidate);
  // Its own vote is none.
  a.hear(kB, 2, VoteAnswer{true, true});
  CHECK(a.core.role() == Role::pre_candidate);
  a.hear(kD, 2, VoteAnswer{true, true});
  CHECK(a.core.role() == Role::candidate);
}

TEST_CASE("raft core: who needs the vote of the only voter asks for it until it comes", "[raft]") {
  EntryHead change = entry(2, 1);
  change.membership = std::make_shared<Membership>(Membership{{kB}, {}, {}});
  Bench a({entry(1, 1), change}, {Term(1), StorageId(0)});
  a.tick();
  CHECK(a.said_to<VoteRequest>(kB));
  // Nobody heard it.
  a.said.clear();
  a.tick(200);
  CHECK(a.said_to<VoteRequest>(kB));
}

TEST_CASE("raft core: learners come in one step, get everything and decide nothing", "[raft]") {
  Bench a;
  a.win();
  a.sync_entries();
  a.acked(kB, 1);
  REQUIRE(a.core.change({kA, kB, kC}, {kD}));
  a.take();
  a.write();
  CHECK_FALSE(a.core.membership().joint());
  CHECK(a.said_to<Append>(kD));
  a.sync_entries();
  a.acked(kD, 2);
  CHECK(a.core.committed() == Offset(1));
  a.acked(kC, 2);
  CHECK(a.core.committed() == Offset(2));
}

TEST_CASE("raft core: who needs what is sealed is told to fetch it, and goes on from there",
          "[raft]") {
  Bench a({entry(1, 1), entry(2, 1), entry(3, 1)}, {Term(1), StorageId(0)});
  a.win();
  a.sync_entries();
  a.acked(kB, 4);
  a.core.sealed_upto(Offset(3));
  AppendAnswer answer;
  answer.refusal = Refusal::log;
  a.hear(kC, 2, answer);
  REQUIRE(a.said_to<Behind>(kC));
  CHECK(a.said_to<Behind>(kC)->at_least == Offset(3));
  a.acked(kC, 3);
  CHECK(a.said_to<Append>(kC)->prev == Offset(3));

  Bench c;
  c.tick(1, {true, false});
  c.hear(kB, 2, Behind{Offset(3)});
  c.sync_promises();
  REQUIRE(c.last.behind.has_value() == false);
  c.hear(kB, 2, Behind{Offset(3)});
  REQUIRE(c.last.behind);
  c.core.installed(Offset(3), Term(1), {{kA, kB, kC}, {}, {}});
  c.take();
  CHECK(c.said_to<AppendAnswer>(kB)->acked == Offset(3));
  CHECK(c.core.committed() == Offset(3));
  c.hear(kB, 2, append(3, 1, {entry(4, 2)}, 4));
  CHECK(c.core.last() == Offset(4));
}

TEST_CASE("raft core: an installed state leaves no suffix that isn't behind it", "[raft]") {
  Bench a({entry(1, 1), entry(2, 1), entry(3, 1)}, {Term(1), StorageId(0)});
  a.core.installed(Offset(2), Term(1), {{kA, kB, kC}, {}, {}});
  CHECK(a.core.last() == Offset(3));
  Bench b({entry(1, 1), entry(2, 1), entry(3, 1)}, {Term(1), StorageId(0)});
  const uint64_t life = b.core.life();
  b.core.installed(Offset(2), Term(2), {{kA, kB, kC}, {}, {}});
  CHECK(b.core.last() == Offset(2));
  CHECK(b.core.life() > life);
}

TEST_CASE("raft core: a disk that lacks what it acknowledged says so", "[raft]") {
  Bench a;
  a.tick(1, {true, false});
  Append message = append(0, 0, {entry(1, 1)});
  message.match = Offset(5);
  a.hear(kB, 1, message);
  CHECK(a.last.forgot);
  CHECK(a.core.last() == Offset(0));
}

TEST_CASE("raft core: nonsense changes nothing", "[raft]") {
  Bench a({entry(1, 1), entry(2, 1, 4)}, {Term(1), StorageId(0)});
  a.tick(1, {true, false});
  a.hear(kB, 1, append(5, 1, {entry(7, 1)}));           // a gap
  a.hear(kB, 1, append(5, 1, {entry(6, 2)}));           // a term above the message's
  a.hear(kB, 1, append(5, 1, {entry(6, 1, 0)}));        // no offsets
  a.hear(kB, 1, append(3, 1, {entry(4, 1, 9)}));        // begins within another entry
  a.hear(kB, 1, append(UINT64_MAX, 1, {entry(0, 1)}));  // wraps
  CHECK(a.core.last() == Offset(5));
  CHECK(a.core.life() == 1);
  AppendAnswer answer;
  answer.acked = Offset(99);
  a.hear(kD, 1, answer);
  a.core.step({kB.storage, kD.storage, Term(9), TakeOver{}}, {});
  CHECK(a.core.term() == Term(1));
}

TEST_CASE("raft core: an only voter leads at its first tick, with a sync for each promise",
          "[raft]") {
  Bench a({entry(1, 1)}, {Term(1), StorageId(0)}, {kA});
  a.tick();
  CHECK(a.core.role() == Role::candidate);
  a.sync_promises();
  CHECK(a.core.role() == Role::leader);
  CHECK(a.core.term() == Term(2));
  a.write();
  a.write(5);
  CHECK(a.core.committed() == Offset(0));
  a.sync_entries();
  CHECK(a.core.committed() == Offset(7));
  CHECK(a.said.empty());
  a.tick(100);
  CHECK(a.core.role() == Role::leader);
}

TEST_CASE("raft: majorities count both sets of a joint membership", "[raft]") {
  const Membership joint{{kA, kB, kD}, {kA, kB, kC}, {}};
  const auto of = [](std::vector<Member> members) {
    return [members](StorageId storage) {
      for (const Member& member : members) {
        if (member.storage == storage) return true;
      }
      return false;
    };
  };
  CHECK(has_quorum(joint, of({kA, kB})));
  CHECK_FALSE(has_quorum(joint, of({kA, kD})));
  CHECK_FALSE(has_quorum(joint, of({kA, kC})));
  CHECK(has_quorum(joint, of({kA, kC, kD})));
  CHECK_FALSE(has_quorum(Membership{}, of({kA})));
  const auto reached = [](StorageId storage) { return Offset(storage.value() * 10); };
  CHECK(agreed_offset({{kA, kB, kC}, {}, {}}, reached) == Offset(20));
  CHECK(agreed_offset({{kA, kB, kC, kD}, {}, {}}, reached) == Offset(20));
  CHECK(agreed_offset({{kC, kD}, {kA, kB}, {}}, reached) == Offset(10));
}

}  // namespace clickmill::raft
