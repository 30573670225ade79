#include "log/segment_survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/damage.h"

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

class Survey {
 public:
  Survey(FileSystem& files, const std::string& directory, std::vector<std::string>* holes)
      : files_(files), directory_(directory), holes_(holes) {}

  Result<Contents> run() {
    for (const std::string& name : TRY(files_.list(directory_))) {
      if (const auto first = parse_segment_name(name)) firsts_.push_back(*first);
    }
    std::sort(firsts_.begin(), firsts_.end());
    if (firsts_.empty()) return Error(Errc::corrupt, "there is no segment", directory_);
    out_.dropped_last = firsts_.front() - 1;
    for (size_t i = 0; i < firsts_.size(); ++i) TRY(take(i));
    return std::move(out_);
  }

 private:
  Status take(size_t i) {
    const std::string path = directory_ + "/" + segment_name(firsts_[i]);
    const bool last = i + 1 == firsts_.size();
    if (firsts_[i] <= out_.last() && i > 0) return gone(path, out_.last() + 1);
    if (firsts_[i] != out_.last() + 1) TRY(hole(firsts_[i] - 1, gone(path, out_.last() + 1)));
    const auto reader = SegmentReader::open(files_, path, firsts_[i]);
    // A folder in its place, say.
    if (!reader && (last || !wants_a_person(reader.error()))) return Status(copy(reader.error()));
    if (!reader) return hole(firsts_[i + 1] - 1, reader.error());
    const auto closed = reader->find_footer();
    if (!closed && last) return copy(closed.error());
    if (!closed) return hole(firsts_[i + 1] - 1, closed.error());
    if (*closed && (*closed)->first == firsts_[i]) {
      out_.closed.push_back(**closed);
      return {};
    }
    return take_open(*reader, i, path);
  }

  Status take_open(const SegmentReader& reader, size_t i, const std::string& path) {
    auto blocks = TRY(blocks_of(reader));
    const bool begins = !blocks.empty() && blocks.front().first == firsts_[i];
    if (i + 1 != firsts_.size())
      return hole(firsts_[i + 1] - 1, gone(path, begins ? blocks.back().last + 1 : firsts_[i]));
    // A new file may have been made for a seal that came to nothing.
    if (begins) out_.open = std::move(blocks);
    return {};
  }

  static Error copy(const Error& error) {
    return Error(error.code(), error.message(), error.path(), error.position());
  }

  /// What is gone is as old as what stands before it, so that it is dropped with that.
  Status hole(Offset upto, const Error& why) {
    if (holes_ == nullptr) return copy(why);
    SegmentInfo info;
    info.first = out_.last() + 1;
    info.last = upto;
    info.min_append_ms = info.max_append_ms = out_.last_append_ms();
    info.last_term = out_.last_term();
    holes_->push_back(fmt::format("offsets {} to {} are gone: {}", info.first.value(),
                                  info.last.value(), why.text()));
    out_.closed.push_back(info);
    return {};
  }

  FileSystem& files_;
  const std::string& directory_;
  std::vector<std::string>* const holes_;
  std::vector<Offset> firsts_;
  Contents out_;
};

}  // namespace

Result<Contents> survey_segments(FileSystem& files, const std::string& directory,
                                 std::vector<std::string>* holes) {
  return Survey(files, directory, holes).run();
}

}  // namespace clickmill::log
