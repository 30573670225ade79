#include "stream/horizon.h"

#include <algorithm>
#include <utility>

namespace clickmill::stream {
namespace {

constexpr int64_t kSlackMs = 10 * kMinuteMs;
constexpr uint64_t kNodesMost = 1024;

}  // namespace

void Horizon::advance(LogMs append_ms) {
  const int64_t step = std::clamp<int64_t>(append_ms - log_time_, 0, kMinuteMs);
  for (auto& [name, node] : nodes_) node.silent_ms += step;
  age_ms_ += step;
  log_time_ = std::max(log_time_, append_ms);
}

void Horizon::tell(std::string_view name, ArrivalMs low_water) {
  auto at = nodes_.find(name);
  if (at == nodes_.end()) at = nodes_.emplace(std::string(name), Node{}).first;
  const ArrivalMs bounded(std::min(low_water.value(), log_time_.value()));
  at->second.low_water = std::max(at->second.low_water, bounded);
  at->second.silent_ms = 0;
}

void Horizon::name(std::string_view name) {
  if (nodes_.find(name) != nodes_.end()) return;
  nodes_.emplace(std::string(name), Node{ArrivalMs(log_time_.value()), 0});
}

void Horizon::keep(const std::vector<std::string>& names, int64_t stale_after_hours) {
  for (const std::string& each : names) name(each);
  std::erase_if(nodes_, [&](const auto& item) {
    return item.second.silent_ms >= stale_after_hours * kHourMs &&
           std::find(names.begin(), names.end(), item.first) == names.end();
  });
}

ArrivalMs Horizon::low_water(int64_t stale_after_hours) const {
  int64_t lowest = log_time_.value();
  for (const auto& [name, node] : nodes_) {
    if (node.silent_ms < stale_after_hours * kHourMs) {
      lowest = std::min(lowest, node.low_water.value());
    }
  }
  return ArrivalMs(lowest);
}

void Horizon::set_back(LogMs to, int64_t dedup_hours, int64_t stale_after_hours) {
  log_time_ = std::min(log_time_, to);
  for (auto& [name, node] : nodes_)
    node.low_water = std::min(node.low_water, ArrivalMs(log_time_.value()));
  const ArrivalMs stale_before = std::exchange(stale_before_, ArrivalMs());
  const LogHour first_kept_hour = std::exchange(first_kept_hour_, LogHour());
  settle(dedup_hours, stale_after_hours);
  stale_before_ = std::min(stale_before_, stale_before);
  first_kept_hour_ = std::min(first_kept_hour_, first_kept_hour);
}

void Horizon::settle(int64_t dedup_hours, int64_t stale_after_hours) {
  const int64_t reach = low_water(stale_after_hours).value() - kSlackMs;
  stale_before_ =
      std::max(stale_before_, ArrivalMs(floor_to(std::max<int64_t>(reach, 0), kHourMs)));
  first_kept_hour_ = std::max(first_kept_hour_, hour_of(stale_before_) - dedup_hours);
}

void Horizon::encode(std::string& out) const {
  ByteWriter writer(out);
  writer.svarint(log_time_.value());
  writer.svarint(age_ms_);
  writer.svarint(stale_before_.value());
  writer.svarint(first_kept_hour_.value());
  writer.varint(nodes_.size());
  for (const auto& [name, node] : nodes_) {
    writer.bytes(name);
    writer.svarint(node.low_water.value());
    writer.svarint(node.silent_ms);
  }
}

Result<Horizon> Horizon::decode(ByteCursor& cursor) {
  Horizon horizon;
  horizon.log_time_ = LogMs(cursor.svarint());
  horizon.age_ms_ = cursor.svarint();
  horizon.stale_before_ = ArrivalMs(cursor.svarint());
  horizon.first_kept_hour_ = LogHour(cursor.svarint());
  const uint64_t nodes = cursor.varint();
  if (nodes > kNodesMost) return Error(Errc::corrupt, "horizon names too many nodes");
  for (uint64_t i = 0; i < nodes; ++i) {
    const auto name = cursor.bytes();
    Node node;
    node.low_water = ArrivalMs(cursor.svarint());
    node.silent_ms = cursor.svarint();
    horizon.nodes_.emplace(std::string(name), node);
  }
  if (!cursor.ok()) return Error(Errc::corrupt, "horizon is malformed");
  return horizon;
}

}  // namespace clickmill::stream
