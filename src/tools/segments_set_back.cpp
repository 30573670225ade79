#include "tools/segments_set_back.h"

#include <algorithm>
#include <vector>

#include "click/batch.h"
#include "log/manifest.h"
#include "log/segment_survey.h"

namespace clickmill::tools {
namespace {

const click::ColumnCodec& codec() {
  static const click::ColumnCodec codec;
  return codec;
}

class Mover {
 public:
  Mover(FileSystem& files, const SegmentsSetBack::Options& options, const SetBack& set_back)
      : files_(files), options_(options), set_back_(set_back), done_(options.kept + "/done") {}

  Result<std::unique_ptr<log::Segments>> run() {
    if (files_.exists(done_)) return open(options_.directory);
    if (files_.exists(options_.kept)) TRY(move_back());
    auto segments = TRY(open(options_.directory));
    if (segments->last_append_ms() <= options_.to) return segments;
    const auto first_ahead = TRY(segments->find_time(options_.to + 1));
    segments.reset();
    if (!first_ahead) return open(options_.directory);
    TRY(move_from(*first_ahead));
    TRY(seal_anew());
    TRY(write_file_atomically(files_, done_, {}));
    return open(options_.directory);
  }

 private:
  Result<std::unique_ptr<log::Segments>> open(const std::string& directory) {
    return log::Segments::open(files_, directory, codec(), options_.segments);
  }

  Result<std::vector<Offset>> segments_in(const std::string& directory) {
    std::vector<Offset> firsts;
    for (const std::string& name : TRY(files_.list(directory))) {
      if (const auto first = log::parse_segment_name(name)) firsts.push_back(*first);
    }
    std::sort(firsts.begin(), firsts.end());
    return firsts;
  }

  std::string manifest() const { return options_.directory + "/manifest"; }
  static std::string path_in(const std::string& directory, Offset segment) {
    return directory + "/" + log::segment_name(segment);
  }

  /// The newest first, so that whatever is left behind by a kill is older than what moved.
  Status move_from(Offset first_ahead) {
    auto firsts = TRY(segments_in(options_.directory));
    TRY(files_.create_directories(options_.kept));
    TRY(files_.rename(manifest(), options_.kept + "/manifest.before"));
    while (!firsts.empty()) {
      const Offset segment = firsts.back();
      firsts.pop_back();
      TRY(files_.rename(path_in(options_.directory, segment), path_in(options_.kept, segment)));
      if (segment <= first_ahead) break;
    }
    return sync();
  }

  /// What a run that was killed has moved; what it has sealed is made again.
  Status move_back() {
    const auto moved = TRY(segments_in(options_.kept));
    const auto here = TRY(segments_in(options_.directory));
    for (const Offset segment : here) {
      if (!moved.empty() && segment >= moved.front())
        TRY(files_.remove(path_in(options_.directory, segment)));
    }
    for (const Offset segment : moved)
      TRY(files_.rename(path_in(options_.kept, segment), path_in(options_.directory, segment)));
    const std::string before = options_.kept + "/manifest.before";
    if (files_.exists(before)) TRY(files_.rename(before, manifest()));
    return sync();
  }

  Status sync() {
    TRY(files_.sync_directory(options_.kept));
    return files_.sync_directory(options_.directory);
  }

  Status seal_anew() {
    const log::Contents moved = TRY(log::survey_segments(files_, options_.kept));
    TRY(log::Manifest::create(files_, options_.kept + "/manifest", moved));
    const auto firsts = TRY(segments_in(options_.directory));
    log::Contents left;
    left.dropped_last = moved.first() - 1;
    if (!firsts.empty()) left = TRY(log::survey_segments(files_, options_.directory));
    TRY(log::Manifest::create(files_, manifest(), left));
    const auto from = TRY(open(options_.kept));
    const auto to = TRY(open(options_.directory));
    std::vector<log::Entry> held;
    for (Offset next = from->first(); next <= from->last();) {
      if (options_.at) options_.at(next);
      auto block = TRY(from->read_block(next));
      for (log::Entry& entry : block) {
        next = entry.last() + 1;
        auto changed = TRY(set_back_.entry(std::move(entry)));
        if (!held.empty() && !log::same_block(held.back(), changed)) {
          TRY(to->seal(held));
          held.clear();
        }
        held.push_back(std::move(changed));
      }
    }
    return to->seal(held);
  }

  FileSystem& files_;
  const SegmentsSetBack::Options& options_;
  const SetBack& set_back_;
  const std::string done_;
};

}  // namespace

Result<std::unique_ptr<log::Segments>> set_segments_back_in(FileSystem& files,
                                                            SegmentsSetBack::Options options,
                                                            const SetBack& set_back) {
  return Mover(files, options, set_back).run();
}

}  // namespace clickmill::tools
