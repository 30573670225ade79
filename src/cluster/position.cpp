#include "cluster/position.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace clickmill::cluster {
namespace {

constexpr size_t kIdDigits = 16;

template <typename Number>
bool take_number(std::string_view& text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

}  // namespace

std::string position_text(const std::vector<PartitionId>& ids,
                          const std::vector<store::Version>& versions) {
  std::string out;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!out.empty()) out += ',';
    out += fmt::format("{}:{}", ids[i].value(), versions[i].applied.value());
  }
  return out;
}

std::string position_in(uint64_t cluster_id, const std::string& position) {
  return fmt::format("{:016x}/{}", cluster_id, position);
}

uint64_t take_cluster_id(std::string_view& text) {
  uint64_t id = 0;
  const char* const digits_end = text.data() + std::min(kIdDigits, text.size());
  const auto [end, error] = std::from_chars(text.data(), digits_end, id, 16);
  if (text.size() <= kIdDigits || text[kIdDigits] != '/' || error != std::errc() ||
      end != digits_end)
    return 0;
  text.remove_prefix(kIdDigits + 1);
  return id;
}

std::optional<Position> parse_position(std::string_view text, uint32_t partitions) {
  Position position;
  while (!text.empty()) {
    uint32_t id = 0;
    uint64_t offset = 0;
    if (!take_number(text, id) || id >= partitions || !text.starts_with(':')) return std::nullopt;
    text.remove_prefix(1);
    if (!take_number(text, offset)) return std::nullopt;
    Offset& known = position[PartitionId(id)];
    known = std::max(known, Offset(offset));
    if (text.empty()) break;
    if (!text.starts_with(',') || text.size() == 1) return std::nullopt;
    text.remove_prefix(1);
  }
  return position;
}

}  // namespace clickmill::cluster
