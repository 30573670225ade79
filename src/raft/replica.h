#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "log/partition_log.h"
#include "raft/codec.h"
#include "raft/core.h"

namespace clickmill::raft {

/// One group on one node: Core with the log that it decides over. It writes what Core orders,
/// tells it what the disk has, fills entries into messages, and commits in the log what is
/// committed in the group and durable here, so that nothing applied is ever ahead of the own
/// log. An only voter is a group of one: the same way, with nobody to send to.
///
/// A journal that is full makes it wait (a leader's proposals are refused, a follower's entries
/// stay in memory); one that has failed stops it: it votes, acknowledges and leads no more.
/// Thread: worker.
class Replica {
 public:
  struct Options {
    Member self;
    Membership membership;  ///< in force at the end of what is sealed
    Offset committed;       ///< known to be, from before the start
    Core::Options core{};
    /// To another member's node. Null: there is none.
    std::function<void(const std::string& node, std::string message)> send = nullptr;
    /// Makes durable who the members are from `offset` on, before the entry that says so is
    /// sealed. Null: nobody asks after a restart.
    std::function<Status(Offset offset, const Membership& membership)> keep_members = nullptr;
    /// Log time of an entry that must not move it.
    std::function<LogMs()> still_ms;
  };
  /// `log` is borrowed. Errc::corrupt: it holds a change of members that can't be read.
  static Result<std::unique_ptr<Replica>> open(log::PartitionLog& log, Options options);

  /// `node`: from whose link it came.
  void receive(const std::string& node, Received&& received, const Core::Room& room);
  void tick(const std::function<Sight(const Member&)>& sight_of, Core::Permit permit, uint32_t rank,
            uint32_t random);
  void link_is_new(StorageId storage);

  /// Appends as leader; the entry's place and term are given here. What its append says, it
  /// answers: its last offset, Errc::not_leader, busy, or the journal's error, and then it is
  /// in no log.
  Result<Offset> append(log::Entry&& entry);
  /// As leader: an id that take_reads() will answer; see Core::read.
  Result<uint64_t> read();
  Status change(std::vector<Member> voters, std::vector<Member> learners);
  Status hand_over(StorageId heir);

  // News of the disk (PartitionLog::Callbacks).
  void log_durable(Offset last, uint64_t life);
  void hard_state_durable(const log::HardState& state);
  /// The log's entries up to `last` stand in segments.
  void sealed_upto(Offset last);
  /// Blocks that a peer has committed are to come into the log: what differs from them goes.
  /// True when nothing does any more, and that is durable.
  bool make_way(std::span<const log::Entry> committed);
  /// Those blocks stand in segments now.
  Status adopted(std::span<const log::Entry> committed);
  /// The same before a state that was committed up to `end`, in that term, takes the place of
  /// the log up to there.
  bool make_way_for(Offset end, Term term);
  /// Writes down who is in the group behind that state; until took_state() nobody else is.
  Status keep_members_of_state(Offset end, const Membership& members);
  /// Segments go on behind `end` now, and that state is here, durable.
  void took_state(Offset end, Term term, const Membership& members);
  /// Writes what the journal did not take.
  void retry();

  /// What this member lacks and must fetch, since it last asked.
  std::optional<Behind> take_behind() { return std::exchange(behind_, std::nullopt); }
  /// Ids of reads with offsets, since it was last asked: who has applied that much knows all
  /// that was committed before the read. None is answered once this member leads no more.
  std::vector<std::pair<uint64_t, Offset>> take_reads() { return std::exchange(reads_, {}); }
  /// Whether this disk has lost what it acknowledged.
  bool forgot() const { return forgot_; }
  /// May be sealed: behind it the members are not written down yet.
  Offset sealable_upto() const { return unkept_ ? unkept_->first - 1 : Offset(UINT64_MAX); }

  bool leads() const { return core_.role() == Role::leader; }
  /// Leads, and knows what is committed at all.
  bool leads_surely() const { return core_.leads_surely(); }
  /// The only voter, and nobody learns from it.
  bool alone() const;
  const Core& core() const { return core_; }
  const Member& self() const { return options_.self; }
  /// Who leads as far as is known here; null: nobody. Who comes to a group of others knows the
  /// members of long ago: its leader need not be among them.
  const Member* leader() const;

 private:
  struct Cut {
    Offset from;
    uint64_t life;
  };
  using Write = std::variant<Cut, log::Entry>;

  Replica(log::PartitionLog& log, Options options, Core::Restored restored);
  void drain();
  bool order(Core::Output& out);
  bool write_own(uint8_t kind, std::string&& payload);
  void write_waiting();
  void commit();
  void keep_members(Offset before);
  void send(const Message& message);
  std::string node_of(StorageId storage) const;
  void stop(const Error& error);

  log::PartitionLog& log_;
  const Options options_;
  Core core_;
  /// Of a follower: what the journal has not taken yet, in order.
  std::deque<Write> waiting_;
  std::vector<log::Entry> incoming_;       ///< of the message that is worked on
  std::map<StorageId, Member> strangers_;  ///< who wrote and is no member here
  std::optional<Behind> behind_;
  std::vector<std::pair<uint64_t, Offset>> reads_;
  /// A committed change of members that is not written down.
  std::optional<std::pair<Offset, std::shared_ptr<const Membership>>> unkept_;
  bool members_of_state_ = false;  ///< are written down, though it is not here yet
  bool forgot_ = false;
  bool stopped_ = false;
};

}  // namespace clickmill::raft
