// Standing, version 1. Little-endian; v: LEB128. What carries it has a checksum.
//
//   1  version, 1
//   8  storage of the sender  v  up to where its journal is durable; 0: it doesn't say
//   8  storage of the receiver  v  the highest that the sender has seen of it
//   v  partitions, at most 1,024
//      v  applied offset
//      v  offset of the newest point; 0: none, and the value is not there
//      8  its value
//
// A release that takes its points elsewhere, or of something else, tells another version: only
// the same is compared.
#include "cluster/agreement.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"

namespace clickmill::cluster {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint64_t kPartitionsMost = 1024;
constexpr size_t kPointsMost = 64;

}  // namespace

std::string encode(const Standing& standing) {
  std::string bytes;
  ByteWriter out(bytes);
  out.u8(kVersion);
  out.u64(standing.disk.storage.value());
  out.varint(standing.disk.durable.value());
  out.u64(standing.disk.of.value());
  out.varint(standing.disk.seen.value());
  out.varint(standing.partitions.size());
  for (const Standing::Of& of : standing.partitions) {
    out.varint(of.applied.value());
    out.varint(of.newest.offset.value());
    if (of.newest.offset != Offset(0)) out.u64(of.newest.value);
  }
  return bytes;
}

Result<Standing> decode_standing(std::string_view bytes) {
  ByteCursor in(bytes);
  Standing standing;
  if (in.u8() != kVersion) in.fail();
  standing.disk.storage = raft::StorageId(in.u64());
  standing.disk.durable = JournalPos(in.varint());
  standing.disk.of = raft::StorageId(in.u64());
  standing.disk.seen = JournalPos(in.varint());
  const uint64_t count = in.varint();
  if (count > kPartitionsMost) in.fail();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    Standing::Of of;
    of.applied = Offset(in.varint());
    of.newest.offset = Offset(in.varint());
    if (of.newest.offset != Offset(0)) of.newest.value = in.u64();
    standing.partitions.push_back(of);
  }
  if (!in.done()) return Error(Errc::invalid, "a standing is malformed");
  return standing;
}

Agreement::Agreement(std::string self, uint32_t partitions)
    : self_(std::move(self)), partitions_(partitions) {
  nodes_[self_].resize(partitions_);
}

void Agreement::note(PartitionId partition, const std::deque<stream::Digest>& points,
                     Offset applied) {
  const std::lock_guard lock(mutex_);
  Counts& own = nodes_.at(self_)[partition.value()];
  own.applied = applied;
  const bool same = points.size() == own.points.size() &&
                    (points.empty() || (points.back().offset == own.points.rbegin()->first &&
                                        points.back().value == own.points.rbegin()->second));
  if (same) return;
  own.points.clear();
  for (const stream::Digest& point : points) own.points[point.offset] = point.value;
}

Standing Agreement::standing() const {
  const std::lock_guard lock(mutex_);
  Standing standing;
  for (const Counts& own : nodes_.at(self_)) {
    Standing::Of of;
    of.applied = own.applied;
    if (!own.points.empty()) of.newest = {own.points.rbegin()->first, own.points.rbegin()->second};
    standing.partitions.push_back(of);
  }
  return standing;
}

void Agreement::heard(const std::string& node, const Standing& standing) {
  if (standing.partitions.size() != partitions_ || node == self_) return;
  const std::lock_guard lock(mutex_);
  auto& counts = nodes_[node];
  counts.resize(partitions_);
  for (size_t i = 0; i < partitions_; ++i) {
    const Standing::Of& of = standing.partitions[i];
    counts[i].applied = of.applied;
    if (of.newest.offset == Offset(0)) continue;
    Points& points = counts[i].points;
    // One that has begun anew goes through them once more.
    points.erase(points.upper_bound(of.newest.offset), points.end());
    points[of.newest.offset] = of.newest.value;
    if (points.size() > kPointsMost) points.erase(points.begin());
  }
}

/// The newest point of both, and whether they came to the same there; nothing: there is none.
std::optional<std::pair<Offset, bool>> Agreement::compare(const Points& a, const Points& b) {
  for (auto at = a.rbegin(); at != a.rend(); ++at) {
    const auto other = b.find(at->first);
    if (other != b.end()) return std::pair(at->first, at->second == other->second);
  }
  return std::nullopt;
}

Agreement::Verdict Agreement::verdict(PartitionId partition) const {
  const std::lock_guard lock(mutex_);
  const auto points_of = [&](const std::string& node) -> const Points& {
    return nodes_.at(node)[partition.value()].points;
  };
  Verdict verdict;
  std::vector<std::string> with_us{self_};
  std::vector<std::string> against;
  for (const auto& [node, counts] : nodes_) {
    if (node == self_) continue;
    const auto compared = compare(points_of(self_), points_of(node));
    if (!compared) continue;
    (compared->second ? with_us : against).push_back(node);
    if (!compared->second) verdict.at = std::max(verdict.at, compared->first);
  }
  verdict.agrees = with_us.size() > 1;
  if (against.empty()) return verdict;
  // The largest group of those against us that agree with each other.
  size_t most = 0;
  for (const std::string& one : against) {
    size_t group = 1;
    for (const std::string& other : against) {
      if (other == one) continue;
      const auto compared = compare(points_of(one), points_of(other));
      if (compared && compared->second) ++group;
    }
    most = std::max(most, group);
  }
  verdict.known = most != with_us.size();
  if (most <= with_us.size()) verdict.wrong = against;
  if (most >= with_us.size())
    verdict.wrong.insert(verdict.wrong.end(), with_us.begin(), with_us.end());
  std::sort(verdict.wrong.begin(), verdict.wrong.end());
  return verdict;
}

std::vector<std::string> Agreement::warnings() const {
  std::map<std::pair<std::string, bool>, std::vector<uint32_t>> found;
  for (uint32_t i = 0; i < partitions_; ++i) {
    const Verdict of = verdict(PartitionId(i));
    if (!of.wrong.empty())
      found[{fmt::format("{}", fmt::join(of.wrong, " and ")), of.known}].push_back(i);
  }
  std::vector<std::string> lines;
  for (const auto& [who, partitions] : found) {
    const std::string what =
        who.second ? "counted otherwise than most nodes; it answers nothing of them"
                   : "count differently, and nobody can say which is right (clickmill recount)";
    lines.push_back(fmt::format("cluster: {} {}: partition{} {}", who.first, what,
                                partitions.size() == 1 ? "" : "s", fmt::join(partitions, ", ")));
  }
  return lines;
}

bool Agreement::Verdict::is_wrong(const std::string& node) const {
  return known && std::binary_search(wrong.begin(), wrong.end(), node);
}

std::vector<std::pair<std::string, Offset>> Agreement::applied(PartitionId partition) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<std::string, Offset>> out;
  for (const auto& [node, counts] : nodes_) {
    if (node != self_) out.emplace_back(node, counts[partition.value()].applied);
  }
  return out;
}

}  // namespace clickmill::cluster
