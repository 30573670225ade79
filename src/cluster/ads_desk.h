#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cluster/ads_group.h"
#include "cluster/calls.h"
#include "cluster/worker.h"

namespace clickmill::cluster {

/// Where this node asks the ads' group for something: brings it to the leader, wherever that is,
/// waits while there is none, and answers once this node has applied it.
///
/// It is there before the group is open, and what is asked then waits.
/// Thread: any, except as noted; callbacks come on the group's worker, or at once.
class AdsDesk {
 public:
  struct Options {
    std::string node_id;
    int64_t patience_ms = 5'000;
    int64_t retry_ms = 50;          ///< until what was refused is tried again
    int64_t question_ms = 20;       ///< between two questions how far the ads are
    size_t open_most = 1'024;       ///< proposals of clients under way
    size_t waits_most = 16'384;     ///< callers of catch_up()
    size_t piece_bytes = 64 << 10;  ///< of a file's ads that go together
  };
  /// `worker`, the group's, `calls` and `clock` are borrowed.
  AdsDesk(Options options, Worker& worker, Calls& calls, const Clock& clock);
  AdsDesk(const AdsDesk&) = delete;
  AdsDesk& operator=(const AdsDesk&) = delete;

  using Done = AdsGroup::Applied;
  /// `done` comes after patience_ms at the latest. Errc::busy: too many are under way, or nobody
  /// confirmed it in time: then it may still come about.
  void propose(AdsProposal&& proposal, Done done);
  /// The ads of a file, with its checksum behind them, or ads that this node had before: tried
  /// for as long as it takes. `done` comes in the end, if at all.
  void bring(AdsProposal&& all, std::function<void(Status)> done);
  /// `done` comes once this node has applied what anybody was told before the call, or with
  /// Errc::busy after `timeout_ms`. Shares its questions with all that wait.
  void catch_up(int64_t timeout_ms, std::function<void(Status)> done);

  /// The group is open; null: no longer. Thread: the owner's, while the worker doesn't run.
  void attach(AdsGroup* group) { group_ = group; }
  /// Goes on with what waits. Call a few times a second. Thread: worker.
  void tick();

 private:
  struct Open {
    AdsProposal proposal;
    Done done;
    int64_t deadline_ns;
    int64_t again_ns = 0;
    bool under_way = false;
    /// It may be asked for twice, so that it is until it is known to be in.
    bool again_if_unknown = false;
  };
  struct Job {
    std::deque<AdsProposal> pieces;
    std::function<void(Status)> done;
    bool is_checked = false;  ///< whether the cluster has them already
  };
  struct Wait {
    int64_t deadline_ns;
    std::function<void(Status)> done;
  };
  using WaitPtr = std::shared_ptr<Wait>;

  void open(Open&& open);
  void go_on(uint64_t id);
  void send(const std::string& leader, const AdsProposal& proposal, const Done& done);
  void answered(uint64_t id, Result<AdsGroup::Outcome> answer);
  void finish(uint64_t id, Result<AdsGroup::Outcome> answer);
  void go_on_with_jobs();
  void check_job();
  void end_job(Status status);
  void ask_if_due();
  void told(const std::vector<WaitPtr>& askers, const Result<Offset>& offset);
  static void end(const WaitPtr& wait, Status status);
  void serve_proposal(std::string_view question, const Calls::Answer& answer);
  void serve_question(const Calls::Answer& answer);
  int64_t now_ns() const { return clock_.monotonic_ns(); }

  const Options options_;
  Worker& worker_;
  Calls& calls_;
  const Clock& clock_;

  // Of the worker.
  AdsGroup* group_ = nullptr;
  std::map<uint64_t, Open> open_;
  uint64_t next_id_ = 1;
  std::deque<Job> jobs_;
  bool piece_is_open_ = false;
  bool checking_job_ = false;
  std::list<WaitPtr> waits_;     ///< all, for their deadlines
  std::vector<WaitPtr> to_ask_;  ///< those that the next question is for
  bool asking_ = false;
  int64_t asked_ns_ = INT64_MIN / 2;
};

}  // namespace clickmill::cluster
