#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "peer/transport.h"

namespace clickmill::cluster {

/// What one node asks another. Stands in frames: never renumber.
enum class CallKind : uint8_t {
  batch = 1,       ///< clicks, to the leader of their partition
  proposal = 2,    ///< an entry that is no clicks, likewise
  blocks = 3,      ///< sealed blocks, for a log that lacks them
  founding = 4,    ///< which cluster is this
  ad = 5,          ///< how far the ads are
  page = 6,        ///< an answer of the api
  ads = 7,         ///< changes of ads, to the leader of their group
  sink = 8,        ///< how far a sink has come
  state = 11,      ///< a partition's state, piece by piece
  rows = 12,       ///< what a query needs of partitions (query/scatter.h)
  parting = 14,    ///< whether a disk is a member no more
  partition = 13,  ///< other questions about one (cluster/partition_questions.h)
  older = 15,      ///< what a log holds before the beginning of another
};

/// Questions to other nodes and their answers. Each question is answered exactly once: by the
/// peer, or with Errc::busy (it was not sent), or Errc::io (the link broke, or nothing came in
/// time: whether the peer did it is not known).
/// Thread: any.
class Calls {
 public:
  using Answer = std::function<void(Result<std::string>)>;
  /// What is asked of this node. `answer` may be called later, from any thread.
  using Serve =
      std::function<void(const std::string& from, std::string_view question, Answer answer)>;

  /// `clock` is borrowed. `life`: of this process, random: a late answer to who asked in a life
  /// before must not be taken for one to a question of this one.
  Calls(const Clock& clock, uint64_t life) : clock_(clock), next_id_(life) {}
  /// Borrowed; before the first frame.
  void send_through(peer::Transport& transport) { transport_ = &transport; }
  /// Before the first frame. Called on the transport's thread; must not block.
  void serve(CallKind kind, Serve serve);

  void ask(const std::string& node, CallKind kind, std::string_view question, Answer answer);

  void on_frame(const std::string& from, std::string_view frame);
  /// What the node was asked over its link is answered with Errc::io.
  void on_link_down(const std::string& node);
  /// So is what has waited for too long. Call a few times a second.
  void expire();
  /// So is everything; nothing is asked any more.
  void stop();

 private:
  struct Asked {
    std::string node;
    int64_t until_ns;
    Answer answer;
  };
  using Which = std::function<bool(const Asked&)>;
  void give_up(const Which& which, const std::string& why);
  void on_answer(const std::string& from, uint64_t id, std::string_view rest);

  const Clock& clock_;
  peer::Transport* transport_ = nullptr;
  std::array<Serve, 16> serves_;
  std::mutex mutex_;  ///< guards the rest
  std::map<uint64_t, Asked> asked_;
  uint64_t next_id_;
  bool stopped_ = false;
};

}  // namespace clickmill::cluster
