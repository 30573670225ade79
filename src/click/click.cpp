#include "click/click.h"

#include <cstring>
#include <initializer_list>

#include "base/checksum.h"

namespace clickmill::click {
namespace {

constexpr std::array<std::string_view, kDevices> kDeviceWords = {"mobile", "desktop", "tablet",
                                                                 "other"};

/// Hashes the parts as one text, without an allocation unless it is long.
uint64_t hash_joined(std::initializer_list<std::string_view> parts, uint64_t seed) {
  char short_text[512];
  std::string long_text;
  size_t length = 0;
  for (const std::string_view part : parts) length += part.size();
  char* text = short_text;
  if (length > sizeof short_text) {
    long_text.resize(length);
    text = long_text.data();
  }
  char* end = text;
  for (const std::string_view part : parts) {
    if (!part.empty()) std::memcpy(end, part.data(), part.size());
    end += part.size();
  }
  return xxh64_of(std::string_view(text, length), seed);
}

}  // namespace

std::string_view to_string(Device device) {
  return kDeviceWords[static_cast<size_t>(device) % kDevices];
}

Result<Device> parse_device(std::string_view word) {
  for (size_t i = 0; i < kDevices; ++i) {
    if (kDeviceWords[i] == word) return static_cast<Device>(i);
  }
  return Error(Errc::invalid, "device is none of mobile, desktop, tablet, other");
}

std::string to_string_country(Country country) {
  return {static_cast<char>(country >> 8), static_cast<char>(country & 0xff)};
}

Visitor visitor_of(const ClickView& click, uint64_t seed) {
  if (!click.user_id.empty()) return {hash_joined({"u", click.user_id}, seed), true};
  if (click.ip.empty() && click.user_agent.empty()) return {};
  // The NUL ends the address, so that no other pair joins to the same text.
  const std::string_view nul("\0", 1);
  return {hash_joined({"a", click.ip, nul, click.user_agent}, seed), true};
}

}  // namespace clickmill::click
