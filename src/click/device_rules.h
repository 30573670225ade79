#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "click/click.h"

namespace clickmill::click {

/// One word of user agents and what it tells of the device.
struct DeviceRule {
  struct Told {
    std::optional<Device> device;  ///< empty: the word is passed over, whatever it holds
    bool automated = false;        ///< a machine clicks, not a person with such a device
  };
  /// Lower case. '<' in front: no letter or digit stands before it; '>' behind: none after.
  std::string_view word;
  std::string_view then;  ///< what must stand somewhere behind it; empty: nothing
  Told told;
  std::string_view example;  ///< an agent that this rule decides; shortened with "…"
  /// Agents that it decides of those that tests/world/test_agents.py asks and of the
  /// fixtures of Matomo's and ua-parser's projects.
  uint32_t count;
};

/// In order of weight: the first one whose word an agent holds decides.
std::span<const DeviceRule> device_rules();
/// The first of them: words to be passed over, and robots.
std::span<const DeviceRule> robot_rules();

/// The rule that decides the agent, in any case; null: none does.
const DeviceRule* deciding_rule(std::string_view user_agent);

}  // namespace clickmill::click
