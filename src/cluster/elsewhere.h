#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cluster/owned.h"
#include "cluster/peers.h"

namespace clickmill::cluster {

/// The partitions that this node doesn't serve, since it holds no copy of them or one that is
/// behind, and the nodes that do. Questions about them go there, one hop: who is asked answers
/// from what it has, or says that it can't, and then the next one is asked.
/// Thread: any; what asks blocks.
class Elsewhere {
 public:
  /// Both are borrowed. Null `peers`: everything is here.
  Elsewhere(Owned& owned, Peers* peers) : owned_(owned), peers_(peers) {}

  /// Whether this node may lack something at all: where each holds everything, one that is not a
  /// member yet does.
  bool possible() const { return peers_ != nullptr; }
  bool is(PartitionId id) const;
  Peers* peers() const { return peers_; }

  /// Puts one question to whoever has the partition. `once`: never to a second one when it isn't
  /// known whether the first has done it.
  Result<std::string> ask(PartitionId id, CallKind kind, const std::string& question,
                          bool once = false) const;
  /// Puts a question about these partitions, all of them elsewhere, to as few nodes as it takes.
  /// Each answer is handed on with the partitions that it is of. Where it can't be given now, or
  /// `take` can't have it, the next node is asked. Errc::busy names the partitions that nobody had
  /// an answer for, and why.
  using Question = std::function<std::string(const std::vector<PartitionId>&)>;
  using Take = std::function<Status(const std::vector<PartitionId>&, std::string_view answer)>;
  Status ask(const std::vector<PartitionId>& ids, CallKind kind, const Question& question,
             const Take& take, bool once = false) const;
  /// The same, with those that nobody has answered.
  struct Unanswered {
    std::vector<PartitionId> ids;
    std::string why;               ///< as the last one said; empty: nobody could be asked
    std::optional<Error> refused;  ///< what another node would say too
  };
  Unanswered ask_around(const std::vector<PartitionId>& ids, CallKind kind,
                        const Question& question, const Take& take, bool once = false) const;
  /// What is to be said of them.
  static Error nobody_has(Unanswered unanswered);
  /// As ask() of one partition, the answer later, on any thread.
  void ask_later(PartitionId id, CallKind kind, const std::string& question,
                 Calls::Answer answer) const;

 private:
  std::vector<std::string> holders(PartitionId id) const;
  std::vector<Result<std::string>> ask_nodes(
      const std::vector<std::pair<std::string, std::string>>& questions, CallKind kind) const;

  Owned& owned_;
  Peers* const peers_;
};

}  // namespace clickmill::cluster
