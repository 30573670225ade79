#include "cluster/tail_readers.h"

#include <utility>
#include <vector>

namespace clickmill::cluster {

void TailReaders::add(Offset from, int64_t deadline_ns, Wake wake) {
  if (ended_) return wake(Woken::over);
  if (waiting_.size() >= kWaitingMost) return wake(Woken::refused);
  waiting_.emplace(from, Waiting{deadline_ns, std::move(wake)});
}

void TailReaders::committed(Offset last) {
  while (!waiting_.empty() && waiting_.begin()->first <= last) {
    const auto first = waiting_.extract(waiting_.begin());
    first.mapped().wake(Woken::committed);
  }
}

void TailReaders::expire(int64_t now_ns) {
  std::vector<Wake> due;
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    if (at->second.deadline_ns > now_ns) {
      ++at;
      continue;
    }
    due.push_back(std::move(at->second.wake));
    at = waiting_.erase(at);
  }
  for (const Wake& wake : due) wake(Woken::over);
}

void TailReaders::end_all() {
  ended_ = true;
  for (auto& [from, waiting] : std::exchange(waiting_, {})) waiting.wake(Woken::over);
}

}  // namespace clickmill::cluster
