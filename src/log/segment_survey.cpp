#include "log/segment_survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace clickmill::log {
namespace {

Result<std::vector<BlockInfo>> blocks_of(const SegmentReader& reader) {
  std::vector<BlockInfo> blocks;
  uint64_t position = kSegmentHeaderBytes;
  while (const auto block = TRY(reader.find_block(position))) {
    if (!blocks.empty() && block->first != blocks.back().last + 1) break;
    blocks.push_back(*block);
    position = block->end();
  }
  return blocks;
}

Error gone(const std::string& path, Offset from) {
  return Error(Errc::corrupt,
               fmt::format("no whole block or footer from offset {} on, though a later segment "
                           "stands behind it",
                           from.value()),
               path);
}

}  // namespace

Result<Contents> survey_segments(FileSystem& files, const std::string& directory) {
  std::vector<Offset> firsts;
  for (const std::string& name : TRY(files.list(directory))) {
    if (const auto first = parse_segment_name(name)) firsts.push_back(*first);
  }
  std::sort(firsts.begin(), firsts.end());
  if (firsts.empty()) return Error(Errc::corrupt, "there is no segment", directory);
  Contents contents;
  contents.dropped_last = firsts.front() - 1;
  for (size_t i = 0; i < firsts.size(); ++i) {
    const std::string path = directory + "/" + segment_name(firsts[i]);
    const bool last = i + 1 == firsts.size();
    const auto reader = TRY(SegmentReader::open(files, path, firsts[i]));
    const auto closed = TRY(reader.find_footer());
    if (firsts[i] != contents.last() + 1) return gone(path, contents.last() + 1);
    if (closed && closed->first == firsts[i]) {
      contents.closed.push_back(*closed);
      continue;
    }
    auto blocks = TRY(blocks_of(reader));
    const bool begins = !blocks.empty() && blocks.front().first == firsts[i];
    // A new file may have been made for a seal that came to nothing.
    if (!last) return gone(path, begins ? blocks.back().last + 1 : firsts[i]);
    if (begins) contents.open = std::move(blocks);
  }
  return contents;
}

}  // namespace clickmill::log
