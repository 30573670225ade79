#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cluster/owned.h"

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
  const bool taken =
      owned.worker_of(id).try_post([waiting, partition, question = std::move(question)] {
        const auto answer = [waiting](Result<T> result) {
          std::lock_guard lock(waiting->mutex);
          waiting->answer = std::move(result);
          waiting->told.notify_one();
        };
        if (auto why = partition->why_no_answer()) return answer(*std::move(why));
        question(*partition, answer);
      });
  if (!taken) return Error(Errc::busy, "too many requests wait");
  std::unique_lock lock(waiting->mutex);
  if (!waiting->told.wait_for(lock, kAskPatience, [&] { return waiting->answer.has_value(); })) {
    return Error(Errc::busy, "a partition did not answer in time");
  }
  return *std::move(waiting->answer);
}

/// Puts one question to several partitions, each answered in one step on its
/// worker, and waits for all answers; they come in the order of `ids`. The
/// question must own what it needs: a worker may come to it after the asker has
/// given up.
/// Errc::busy: too many wait already, or no answer in time.
/// Thread: query (blocks).
template <typename Answer>
Result<std::vector<Answer>> ask(Owned& owned, const std::vector<PartitionId>& ids,
                                const std::function<Answer(Partition&)>& question) {
  struct Gathering {
    std::mutex mutex;  // guards the rest between the workers and the one who waits
    std::condition_variable done;
    std::vector<std::optional<Answer>> answers;
    size_t missing = 0;
  };
  const auto gathering = std::make_shared<Gathering>();
  gathering->answers.resize(ids.size());
  gathering->missing = ids.size();
  // One message to each worker: waking it costs more than most answers do.
  std::map<Worker*, std::vector<size_t>> places;
  for (size_t i = 0; i < ids.size(); ++i) places[&owned.worker_of(ids[i])].push_back(i);
  for (auto& [worker, asked] : places) {
    std::vector<std::pair<size_t, Partition*>> partitions;
    for (const size_t i : asked) partitions.emplace_back(i, owned.partitions[ids[i].value()].get());
    const bool posted = worker->try_post([gathering, partitions = std::move(partitions), question] {
      std::vector<Answer> answers;
      answers.reserve(partitions.size());
      for (const auto& [i, partition] : partitions) answers.push_back(question(*partition));
      std::lock_guard lock(gathering->mutex);
      for (size_t k = 0; k < answers.size(); ++k)
        gathering->answers[partitions[k].first] = std::move(answers[k]);
      gathering->missing -= answers.size();
      if (gathering->missing == 0) gathering->done.notify_one();
    });
    if (!posted) return Error(Errc::busy, "too many queries wait");
  }
  std::unique_lock lock(gathering->mutex);
  if (!gathering->done.wait_for(lock, kAskPatience, [&] { return gathering->missing == 0; })) {
    return Error(Errc::busy, "partitions did not answer in time");
  }
  std::vector<Answer> out;
  out.reserve(ids.size());
  for (auto& answer : gathering->answers) out.push_back(*std::move(answer));
  return out;
}

}  // namespace clickmill::cluster
