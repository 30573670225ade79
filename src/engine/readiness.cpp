#include "engine/readiness.h"

#include <fmt/format.h>

namespace clickmill::engine {

std::vector<std::string> waits_of(Machine& machine) {
  std::vector<std::string> reasons;
  // Those that wait for the configuration service may wait for long.
  const collector::Spool& spool = machine.spool();
  if (const uint64_t earlier = spool.earlier_clicks(); earlier > spool.pending_clicks())
    reasons.push_back(fmt::format("spool: {} clicks of the last run are not counted yet", earlier));
  switch (machine.journal().health()) {
    case log::Journal::Health::ok:
      if (machine.journal().clicks_wait()) {
        reasons.push_back("journal: no space but the reserve; clicks wait in memory");
      }
      break;
    case log::Journal::Health::no_room:
      reasons.push_back("journal: no room for a new file; clicks and log wait in memory");
      break;
    case log::Journal::Health::failing:
      reasons.push_back("journal: the disk can't be written; clicks and log wait in memory");
      break;
  }
  if (std::string trouble = machine.clock().trouble(); !trouble.empty())
    reasons.push_back(std::move(trouble));
  return reasons;
}

}  // namespace clickmill::engine
