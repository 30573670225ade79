#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace clickmill::bench {

/// A loopback address, parsed. Anything else is refused: a load generator
/// pointed at somebody else's machine is an attack.
struct Address {
  std::string host;
  uint16_t port = 0;
  std::string text() const { return host + ":" + std::to_string(port); }
};

/// What the load generator was asked for; values are the defaults.
struct Options {
  Address collector{"127.0.0.1", 8080};
  Address api{"127.0.0.1", 8081};
  bool check = true;  ///< upload ads first and compare counts afterwards
  uint64_t rate = 0;  ///< clicks per second; 0: each connection sends when it was answered
  uint32_t connections = 64;
  uint32_t seconds = 10;
  uint32_t ads = 10'000;
  double duplicates = 0.05;  ///< share of sent clicks that are copies
  uint32_t slowest = 0;      ///< so many of the slowest answers are shown with their times
  uint64_t seed = 1;
  bool help = false;
};

/// A whole number from `low` to `high`. Errc::invalid names the option and the rule.
Result<uint64_t> parse_number(std::string_view option, std::string_view value, uint64_t low,
                              uint64_t high);
/// An option of a benchmark: a whole number from `low` to `high`.
struct NumberOption {
  std::string_view name;
  uint64_t low;
  uint64_t high;
  std::function<void(uint64_t)> set;
};
/// Options of a benchmark that works in a directory: `--directory DIR`, which must be
/// there, and numbers. Errc::invalid names the option and the rule.
Status parse_directory_options(std::string_view benchmark, int count, const char* const* arguments,
                               std::string& directory, const std::vector<NumberOption>& numbers);
/// Errc::invalid names the option and the rule.
Result<Options> parse_options(int count, const char* const* arguments);
/// The --help text.
std::string usage();

}  // namespace clickmill::bench
