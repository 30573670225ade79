#include "state/store.h"

#include <charconv>

namespace clickmill::state {
namespace {
constexpr std::string_view kIdsPrefix = "ids-";
}

Space ids_space(LogHour hour) {
  return Space{std::string(kIdsPrefix) + std::to_string(hour.value())};
}

std::optional<LogHour> hour_of_ids_space(const Space& space) {
  if (!space.name.starts_with(kIdsPrefix)) return {};
  const char* end = space.name.data() + space.name.size();
  int64_t hour = 0;
  const auto read = std::from_chars(space.name.data() + kIdsPrefix.size(), end, hour);
  if (read.ec != std::errc() || read.ptr != end) return {};
  return LogHour(hour);
}

Result<std::vector<FrozenFile>> Store::freeze_files(const std::string& /*into*/) {
  return Error(Errc::invalid, "this state store has no files");
}

}  // namespace clickmill::state
