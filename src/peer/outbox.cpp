#include "peer/outbox.h"

#include <utility>

namespace clickmill::peer {
namespace {

size_t bound_of(Lane lane) {
  switch (lane) {
    case Lane::beat: return SIZE_MAX;  // one waits, one is being written
    case Lane::group: return Outbox::kGroupBytesMost;
    case Lane::call: return Outbox::kCallBytesMost;
    case Lane::bulk: return Outbox::kBulkBytesMost;
  }
  return 0;
}

size_t cost_of(const std::string& payload) { return payload.size() + Outbox::kFrameCost; }

}  // namespace

Outbox::Pushed Outbox::push(Lane lane, std::string&& payload) {
  std::string replaced;  // freed after the lock
  const std::lock_guard lock(mutex_);
  Queue& queue = of(lane);
  const size_t cost = cost_of(payload);
  if (!open_ || payload.size() > payload_bytes_most(lane) || queue.bytes + cost > bound_of(lane)) {
    counts_.of(lane).dropped.add();
    return Pushed::refused;
  }
  if (lane == Lane::beat && !queue.waiting.empty()) {
    replaced = std::move(queue.waiting.front());
    queue.bytes -= cost_of(replaced);
    queue.waiting.clear();
    counts_.of(lane).dropped.add();
  }
  queue.bytes += cost;
  queue.waiting.push_back(std::move(payload));
  bool& asleep = asleep_[static_cast<size_t>(channel_of(lane))];
  return std::exchange(asleep, false) ? Pushed::wakes : Pushed::waits;
}

void Outbox::open() {
  const std::lock_guard lock(mutex_);
  open_ = true;
  asleep_ = {true, true};
}

void Outbox::close() {
  std::array<Queue, 4> dropped;  // freed after the lock
  const std::lock_guard lock(mutex_);
  open_ = false;
  dropped.swap(queues_);
  for (size_t i = 0; i < dropped.size(); ++i)
    counts_.lanes[i].dropped.add(dropped[i].waiting.size());
}

std::vector<Frame> Outbox::take(Channel channel, size_t bytes_most) {
  std::vector<Frame> out;
  size_t bytes = 0;
  const std::lock_guard lock(mutex_);
  for (const Lane lane : {Lane::beat, Lane::group, Lane::call, Lane::bulk}) {
    if (channel_of(lane) == channel) take_from(lane, bytes_most, bytes, out);
  }
  if (out.empty()) asleep_[static_cast<size_t>(channel)] = true;
  return out;
}

void Outbox::take_from(Lane lane, size_t bytes_most, size_t& bytes, std::vector<Frame>& out) {
  Queue& queue = of(lane);
  queue.bytes -= std::exchange(queue.writing, 0);
  while (!queue.waiting.empty()) {
    std::string& payload = queue.waiting.front();
    if (!out.empty() && bytes + payload.size() + kFrameOverhead > bytes_most) return;
    bytes += payload.size() + kFrameOverhead;
    queue.writing += cost_of(payload);
    out.push_back({lane, std::move(payload)});
    queue.waiting.pop_front();
  }
}

}  // namespace clickmill::peer
