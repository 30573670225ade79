#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/result.h"
#include "cluster/reader.h"

namespace clickmill::cluster {

/// How long a request waits for a partition's worker.
inline constexpr auto kAskPatience = std::chrono::seconds(5);

/// Asks a question of one partition, on its worker, and waits for the answer,
/// which may be given there at once or later (when a record has been applied).
/// Errc::busy: it is still replaying, or gave no answer in time (then what was
/// asked may still come about); Errc::closed: it has stopped.
/// Thread: query. `question` runs on the worker and must own what it uses.
template <typename T>
Result<T> ask(Owned& owned, PartitionId id,
              std::function<void(Partition&, std::function<void(Result<T>)>)> question) {
  // Shared with the worker, which may answer after the asker has given up. The
  // mutex guards the answer between the two.
  struct Waiting {
    std::mutex mutex;
    std::condition_variable told;
    std::optional<Result<T>> answer;
  };
  auto waiting = std::make_shared<Waiting>();
  Partition* partition = owned.partitions[id.value()].get();
  const bool taken = owned.worker_of(id).try_post([waiting, partition, question = std::move(question)] {
    const auto answer = [waiting](Result<T> result) {
      std::lock_guard lock(waiting->mutex);
      waiting->answer = std::move(result);
      waiting->told.notify_one();
    };
    if (partition->failure()) return answer(Error(Errc::closed, partition->failure()->message()));
    if (!partition->caught_up()) {
      return answer(Error(Errc::busy, "counts are being caught up after a start"));
    }
    question(*partition, answer);
  });
  if (!taken) return Error(Errc::busy, "too many requests wait");
  std::unique_lock lock(waiting->mutex);
  if (!waiting->told.wait_for(lock, kAskPatience, [&] { return waiting->answer.has_value(); })) {
    return Error(Errc::busy, "a partition did not answer in time");
  }
  return *std::move(waiting->answer);
}

}  // namespace clickmill::cluster
