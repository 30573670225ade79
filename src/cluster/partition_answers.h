#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "cluster/calls.h"
#include "cluster/log_reader.h"
#include "cluster/review_desk.h"
#include "cluster/version_reader.h"

namespace clickmill::cluster {

/// What other nodes want to know of the partitions on this one, beside the rows of queries. Answers
/// from what is here alone: a question makes one hop.
class PartitionAnswers {
 public:
  /// `owned` is borrowed. `in_pool`: runs what may block for a while; false: too much waits.
  PartitionAnswers(Owned& owned, std::function<bool(std::function<void()>)> in_pool)
      : owned_(owned), in_pool_(std::move(in_pool)) {}

  /// `answer` is called here or later, on any thread. Thread: any.
  void give(std::string_view question, Calls::Answer answer);

 private:
  Result<std::string> answer(std::string_view question) const;
  Result<std::string> answer_of_log(PartitionId id, uint8_t what, ByteCursor& in) const;
  Result<std::string> answer_of_review(PartitionId id, uint8_t what, ByteCursor& in) const;
  Result<std::string> states(ByteCursor& in) const;
  void follow(std::string_view question, Calls::Answer answer);

  Owned& owned_;
  const std::function<bool(std::function<void()>)> in_pool_;
  const LogReader log_{owned_};
  const ReviewDesk review_{owned_};
  const VersionReader versions_{owned_};
};

}  // namespace clickmill::cluster
