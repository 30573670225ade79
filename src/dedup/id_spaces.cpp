#include "dedup/id_spaces.h"

#include <vector>

namespace clickmill::dedup {
namespace {

// Partitions' checkpoints, and their log times, may be this far apart. One that
// is further behind still writes to a settled space; only its reads cost more.
constexpr int64_t kHoursOpen = 2;

}  // namespace

Status IdSpaces::maintain(LogHour oldest_durable_hour) {
  TRY(store_.maintain());
  std::set<LogHour> hours;
  for (const auto& space : store_.spaces()) {
    if (const auto hour = state::hour_of_ids_space(space)) hours.insert(*hour);
  }
  const LogHour newest = hours.empty() ? LogHour() : *hours.rbegin();
  for (const LogHour hour : hours) {
    if (hour < oldest_durable_hour) {
      TRY(store_.drop_space(state::ids_space(hour)));
      settled_.erase(hour);
    } else if (hour + kHoursOpen <= newest && settled_.count(hour) == 0) {
      TRY(store_.settle_space(state::ids_space(hour)));
      settled_.insert(hour);
    }
  }
  return {};
}

}  // namespace clickmill::dedup
