#include "stream/joint_commits.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace clickmill::stream {
namespace {

// The last of them waits for the first, and all that they hold is held meanwhile.
constexpr size_t kTogetherMost = 16;

}  // namespace

JointCommits::JointCommits(Run run) : run_(std::move(run)) {}

bool JointCommits::add(std::shared_ptr<Commit> commit, std::function<void()> done) {
  const Commit* const ours = commit.get();
  {
    const std::lock_guard lock(queue_->mutex);
    queue_->waiting.push_back({std::move(commit), std::move(done)});
  }
  if (run_([queue = queue_] { write_some(*queue); })) return true;
  // Unless a task of another one has taken it meanwhile.
  const std::lock_guard lock(queue_->mutex);
  const size_t taken = std::erase_if(
      queue_->waiting, [ours](const Waiting& waiting) { return waiting.commit.get() == ours; });
  return taken == 0;
}

/// There is a task for each that waits, so that none is left over; many find nothing to do.
void JointCommits::write_some(Queue& queue) {
  std::vector<Waiting> taken;
  {
    const std::lock_guard lock(queue.mutex);
    while (!queue.waiting.empty() && taken.size() < kTogetherMost) {
      taken.push_back(std::move(queue.waiting.front()));
      queue.waiting.pop_front();
    }
  }
  std::vector<std::shared_ptr<Commit>> commits;
  for (const Waiting& waiting : taken) commits.push_back(waiting.commit);
  Commit::run_together(commits);
  for (const Waiting& waiting : taken) waiting.done();
}

}  // namespace clickmill::stream
