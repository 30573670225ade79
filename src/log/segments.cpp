#include "log/segments.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/damage.h"
#include "base/logging.h"
#include "log/footer_cache.h"
#include "log/manifest.h"
#include "log/manifest_repair.h"
#include "log/segment.h"

namespace clickmill::log {
namespace {

using Blocks = FooterCache::Blocks;

/// Of a segment that is not listed yet.
constexpr std::string_view kOlderEnding = ".older";

int64_t day_of(LogMs time) { return floor_to(time.value(), kDayMs); }

Error missing(const std::string& path) {
  return Error(Errc::corrupt, "the file is missing, though the manifest lists it", path);
}

class FileSegments final : public Segments {
 public:
  FileSegments(FileSystem& files, std::string directory, const Codec& codec, Options options,
               std::unique_ptr<Manifest> manifest)
      : files_(files),
        directory_(std::move(directory)),
        codec_(codec),
        options_(options),
        manifest_(std::move(manifest)) {
    publish();
  }

  Status seal(std::span<const Entry> entries) override;
  Offset first() const override { return state()->first(); }
  Offset last() const override { return state()->last(); }
  Term last_term() const override { return state()->last_term(); }
  Term dropped_term() const override { return state()->dropped_term; }
  LogMs last_append_ms() const override { return state()->last_append_ms(); }
  Result<std::vector<Entry>> read_block(Offset offset) const override;
  Result<std::optional<Offset>> find_time(LogMs time) const override;
  Status drop(Offset before, LogMs older_than) override;
  Status bridge(Offset upto, Term term, LogMs append_ms) override;
  Status reset_to(Offset last, Term term, LogMs append_ms) override;
  Result<std::unique_ptr<OlderSegment>> begin_older(Offset first) override;
  Status take_older(OlderSegment& older, Term before) override;
  std::vector<Closed> closed() const override;
  uint64_t bytes() const override { return state()->bytes(); }
  VerifyReport verify(const Pace& pace) const override;

  Status remove_leftovers();
  const std::string& mended() const override { return mended_; }
  void set_mended(std::string what) { mended_ = std::move(what); }

 private:
  using State = std::shared_ptr<const Contents>;

  State state() const {
    const std::lock_guard lock(mutex_);
    return state_;
  }
  void publish() {
    auto state = std::make_shared<const Contents>(manifest_->contents());
    const std::lock_guard lock(mutex_);
    state_ = std::move(state);
  }
  std::string path_of(Offset segment) const { return directory_ + "/" + segment_name(segment); }

  Status check_next(std::span<const Entry> entries) const;
  Status write(std::span<const Entry> entries);
  Status resume(std::vector<Edit>& edits);
  Status give_up_open(const Error& why);
  Status add_block(std::span<const Entry> block, std::vector<Edit>& edits);
  Status close_if_full(std::vector<Edit>& edits);
  Status close(std::vector<Edit>& edits);

  Result<SegmentReader> open_segment(Offset segment) const;
  Result<Blocks> blocks_of(const SegmentInfo& segment) const;
  Result<std::vector<Entry>> read_from(Offset segment, const std::vector<BlockInfo>& blocks,
                                       Offset offset) const;
  bool verify_segment(Offset segment, const SegmentInfo* closed, const std::vector<BlockInfo>& open,
                      const Pace& pace, VerifyReport& report) const;
  bool verify_blocks(const SegmentReader& reader, Offset segment,
                     const std::vector<BlockInfo>& blocks, const Pace& pace,
                     VerifyReport& report) const;
  void verify_manifest(VerifyReport& report) const;
  void note(const Error& error, Offset segment, VerifyReport& report) const;

  FileSystem& files_;
  const std::string directory_;
  const Codec& codec_;
  const Options options_;
  std::string mended_;
  // Lets one change run at a time, since a seal and a sweep come from different
  // threads; guards the three below. Held over syncs; taken before mutex_.
  mutable std::mutex change_mutex_;
  std::unique_ptr<Manifest> manifest_;
  std::unique_ptr<SegmentWriter> writer_;  ///< empty: none, or to be resumed
  bool names_changed_ = false;             ///< a new file's name is not durable yet
  mutable std::mutex mutex_;               ///< guards the pointer below alone
  State state_;
  mutable FooterCache footers_;
};

Status FileSegments::check_next(std::span<const Entry> entries) const {
  Offset next = manifest_->contents().last() + 1;
  for (const auto& entry : entries) {
    if (entry.first != next || entry.count == 0) {
      return Error(Errc::invalid,
                   fmt::format("seal: entry at offset {} with count {}, expected offset {}",
                               entry.first.value(), entry.count, next.value()),
                   directory_);
    }
    next = entry.last() + 1;
  }
  return {};
}

Status FileSegments::seal(std::span<const Entry> entries) {
  if (entries.empty()) return {};
  const std::lock_guard lock(change_mutex_);
  TRY(check_next(entries));
  auto written = write(entries);
  // What is behind the last listed block is unknown now: the next seal cuts it off
  // and writes it again, which also brings back pages that a failed sync had dropped.
  if (!written) writer_.reset();
  return written;
}

Status FileSegments::write(std::span<const Entry> entries) {
  // First of all, since a failed append may have left edits on disk that list the
  // very bytes that are overwritten now.
  TRY(manifest_->prepare());
  std::vector<Edit> edits;
  TRY(resume(edits));
  while (!entries.empty()) {
    const size_t length = block_length(entries);
    TRY(add_block(entries.first(length), edits));
    entries = entries.subspan(length);
  }
  if (writer_) TRY(writer_->sync());
  if (names_changed_) TRY(files_.sync_directory(directory_));
  names_changed_ = false;
  TRY(manifest_->append(edits));
  publish();
  return {};
}

Status FileSegments::resume(std::vector<Edit>& edits) {
  const Contents& contents = manifest_->contents();
  if (writer_ || contents.open.empty()) return {};
  const std::string path = path_of(contents.open.front().first);
  auto writer = SegmentWriter::resume(files_, path, contents.open);
  if (!writer && is_damage(writer.error())) return give_up_open(writer.error());
  if (!writer) return std::move(writer).error();
  writer_ = *std::move(writer);
  // A crash may have listed the last block, yet not that it closed the segment.
  return close_if_full(edits);
}

/// Closes it without a footer, so that what is sealed from now on has a place; reading in it
/// says what is damaged. Durable at once, since add_block() goes by the contents.
Status FileSegments::give_up_open(const Error& why) {
  const std::vector<BlockInfo>& open = manifest_->contents().open;
  SegmentInfo info;
  info.first = open.front().first;
  info.last = open.back().last;
  info.min_append_ms = open.front().min_append_ms;
  info.max_append_ms = open.front().max_append_ms;
  for (const BlockInfo& block : open)
    info.max_append_ms = std::max(info.max_append_ms, block.max_append_ms);
  info.last_term = open.back().last_term;
  info.bytes = info.footer_position = open.back().end();
  info.blocks = open.size();
  log_error("log", fmt::format("{}; offsets {} to {} can't be read, the log goes on in a new "
                               "segment",
                               why.text(), info.first.value(), info.last.value()));
  const Edit edit = Edit::close(info);
  TRY(manifest_->append({&edit, 1}));
  publish();
  return {};
}

Status FileSegments::bridge(Offset upto, Term term, LogMs append_ms) {
  const std::lock_guard lock(change_mutex_);
  TRY(manifest_->prepare());
  std::vector<Edit> edits;
  TRY(resume(edits));
  if (writer_) TRY(close(edits));
  TRY(manifest_->append(edits));
  edits.clear();
  SegmentInfo info;
  info.first = manifest_->contents().last() + 1;
  info.last = upto;
  info.min_append_ms = info.max_append_ms = append_ms;
  info.last_term = term;
  if (info.first <= info.last) {
    edits.push_back(Edit::close(info));
    TRY(manifest_->append(edits));
  }
  publish();
  return {};
}

Status FileSegments::add_block(std::span<const Entry> block, std::vector<Edit>& edits) {
  const auto began = writer_ ? writer_->begin_ms() : std::nullopt;
  if (began && day_of(*began) != day_of(block.front().append_ms)) TRY(close(edits));
  if (!writer_) {
    const Offset first = block.front().first;
    writer_ = TRY(SegmentWriter::create(files_, path_of(first), first));
    names_changed_ = true;
  }
  const auto info = TRY(writer_->add(block, codec_, options_.compression));
  edits.push_back(Edit::add(writer_->first(), info));
  return close_if_full(edits);
}

Status FileSegments::close_if_full(std::vector<Edit>& edits) {
  return writer_->bytes() < options_.segment_bytes ? Status() : close(edits);
}

Status FileSegments::close(std::vector<Edit>& edits) {
  edits.push_back(Edit::close(TRY(writer_->close())));
  TRY(writer_->sync());
  writer_.reset();
  return {};
}

std::vector<Segments::Closed> FileSegments::closed() const {
  const State state = this->state();
  std::vector<Closed> out;
  out.reserve(state->closed.size());
  for (const auto& info : state->closed) {
    out.push_back({info.first, info.last, info.max_append_ms, info.bytes});
  }
  return out;
}

Status FileSegments::drop(Offset before, LogMs older_than) {
  const std::lock_guard lock(change_mutex_);
  std::vector<Edit> edits;
  for (const auto& segment : manifest_->contents().closed) {
    if (segment.last >= before || segment.max_append_ms >= older_than) break;
    edits.push_back(Edit::drop(segment.first));
  }
  if (edits.empty()) return {};
  TRY(manifest_->append(edits));
  publish();
  for (const auto& edit : edits) {
    ignore(files_.remove(path_of(edit.segment)),
           "a file that stays is no longer listed, so the next open removes it");
  }
  return {};
}

Status FileSegments::reset_to(Offset last, Term term, LogMs append_ms) {
  const std::lock_guard lock(change_mutex_);
  const Contents old = manifest_->contents();
  if (last <= old.last())
    return Error(Errc::invalid,
                 fmt::format("a log that ends at offset {} can't go on behind {}",
                             old.last().value(), last.value()),
                 directory_);
  Contents fresh;
  fresh.dropped_last = last;
  fresh.dropped_term = term;
  fresh.dropped_ms = append_ms;
  TRY(manifest_->replace(fresh));
  writer_.reset();
  names_changed_ = false;
  publish();
  constexpr auto kLater = "a file that stays is no longer listed, so the next open removes it";
  for (const auto& segment : old.closed) ignore(files_.remove(path_of(segment.first)), kLater);
  if (!old.open.empty()) ignore(files_.remove(path_of(old.open.front().first)), kLater);
  return {};
}

Result<std::unique_ptr<OlderSegment>> FileSegments::begin_older(Offset first) {
  return OlderSegment::begin(files_, path_of(first) + std::string(kOlderEnding), first, codec_,
                             options_.compression);
}

/// Its name first: the manifest lists nothing that isn't there. A crash in between leaves a file
/// that isn't listed.
Status FileSegments::take_older(OlderSegment& older, Term before) {
  const SegmentInfo info = TRY(older.close());
  const std::lock_guard lock(change_mutex_);
  Contents contents = manifest_->contents();
  if (info.last + 1 != contents.first())
    return Error(Errc::invalid, "the log begins elsewhere by now", older.path());
  contents.closed.insert(contents.closed.begin(), info);
  contents.dropped_last = info.first - 1;
  contents.dropped_term = before;
  contents.dropped_ms = LogMs(0);
  TRY(files_.rename(older.path(), path_of(info.first)));
  older.keep();
  TRY(files_.sync_directory(directory_));
  TRY(manifest_->replace(contents));
  publish();
  return {};
}

Result<SegmentReader> FileSegments::open_segment(Offset segment) const {
  auto reader = SegmentReader::open(files_, path_of(segment), segment);
  if (reader || reader.error().code() != Errc::not_found) return reader;
  // The snapshot that led here may be older than a drop.
  if (state()->first() > segment) return reader;
  return missing(path_of(segment));
}

Result<Blocks> FileSegments::blocks_of(const SegmentInfo& segment) const {
  if (auto kept = footers_.find(segment.first)) return kept;
  const auto reader = TRY(open_segment(segment.first));
  auto blocks = TRY(reader.read_footer(segment));
  auto shared = std::make_shared<const std::vector<BlockInfo>>(std::move(blocks));
  footers_.put(segment.first, shared);
  return Blocks(std::move(shared));
}

Result<std::vector<Entry>> FileSegments::read_from(Offset segment,
                                                   const std::vector<BlockInfo>& blocks,
                                                   Offset offset) const {
  const auto block = std::partition_point(
      blocks.begin(), blocks.end(), [&](const BlockInfo& info) { return info.last < offset; });
  const auto reader = TRY(open_segment(segment));
  return reader.read_block(*block, codec_);
}

Result<std::vector<Entry>> FileSegments::read_block(Offset offset) const {
  const State state = this->state();
  if (offset > state->last() || state->empty()) {
    return Error(Errc::not_found, fmt::format("offset {} is not sealed", offset.value()),
                 directory_);
  }
  const auto segment =
      std::partition_point(state->closed.begin(), state->closed.end(),
                           [&](const SegmentInfo& info) { return info.last < offset; });
  if (segment == state->closed.end()) {
    return read_from(state->open.front().first, state->open, offset);
  }
  const auto blocks = TRY(blocks_of(*segment));
  return read_from(segment->first, *blocks, offset);
}

Result<std::optional<Offset>> FileSegments::find_time(LogMs time) const {
  // Linear, so that the answer is the first even if log time should ever step back.
  const auto reaches = [time](const auto& info) { return info.max_append_ms >= time; };
  const auto first_of = [&](const std::vector<BlockInfo>& blocks) -> std::optional<Offset> {
    const auto block = std::find_if(blocks.begin(), blocks.end(), reaches);
    if (block == blocks.end()) return std::nullopt;
    return block->first;
  };
  const State state = this->state();
  const auto segment = std::find_if(state->closed.begin(), state->closed.end(), reaches);
  if (segment == state->closed.end()) return first_of(state->open);
  const auto blocks = TRY(blocks_of(*segment));
  return first_of(*blocks);
}

void FileSegments::note(const Error& error, Offset segment, VerifyReport& report) const {
  const bool dropped = error.code() == Errc::not_found && state()->first() > segment;
  if (!dropped) report.damage.push_back(error.text());
}

/// False when `pace` ended it.
bool FileSegments::verify_segment(Offset segment, const SegmentInfo* closed,
                                  const std::vector<BlockInfo>& open, const Pace& pace,
                                  VerifyReport& report) const {
  const auto reader = open_segment(segment);
  if (!reader) {
    note(reader.error(), segment, report);
    return true;
  }
  const auto check = [&](const Status& status) {
    if (!status) note(status.error(), segment, report);
  };
  check(reader->check_header());
  if (closed == nullptr) return verify_blocks(*reader, segment, open, pace, report);
  check(reader->check_trailer(*closed));
  const auto index = reader->read_footer(*closed);
  if (index) return verify_blocks(*reader, segment, *index, pace, report);
  note(index.error(), segment, report);
  return true;
}

bool FileSegments::verify_blocks(const SegmentReader& reader, Offset segment,
                                 const std::vector<BlockInfo>& blocks, const Pace& pace,
                                 VerifyReport& report) const {
  Offset next = segment;
  for (const auto& block : blocks) {
    if (!pace(block.size)) return false;
    const auto entries = reader.read_block(block, codec_);
    if (!entries) {
      note(entries.error(), segment, report);
    } else {
      report.entries += entries->size();
    }
    if (block.first != next) {
      note(Error(Errc::corrupt, "block: doesn't follow the one before", path_of(segment),
                 block.position),
           segment, report);
    }
    next = block.last + 1;
    ++report.blocks;
  }
  return true;
}

void FileSegments::verify_manifest(VerifyReport& report) const {
  const std::string path = directory_ + "/manifest";
  const std::lock_guard lock(change_mutex_);
  const auto bytes = read_file(files_, path);
  if (!bytes) {
    report.damage.push_back(bytes.error().text());
    return;
  }
  const Contents& known = manifest_->contents();
  const auto parsed = parse_manifest(*bytes, path);
  if (!parsed) {
    report.damage.push_back(parsed.error().text());
  } else if (parsed->contents.last() < known.last() || parsed->contents.first() < known.first()) {
    report.damage.push_back(
        Error(Errc::corrupt, "manifest: its last edits are lost", path, parsed->end).text());
  }
}

Segments::VerifyReport FileSegments::verify(const Pace& pace) const {
  VerifyReport report;
  const State state = this->state();
  if (!mended_.empty()) report.damage.push_back(mended_);
  verify_manifest(report);
  for (const auto& segment : state->closed) {
    if (!verify_segment(segment.first, &segment, {}, pace, report)) return report;
  }
  if (!state->open.empty()) {
    verify_segment(state->open.front().first, nullptr, state->open, pace, report);
  }
  return report;
}

/// Removes files that a drop was about to, or that were on their way. Those behind the last listed
/// offset stay: the seal that comes there writes them again, and if the manifest's last edit was
/// damaged rather than torn, they are all there is of some entries.
Status FileSegments::remove_leftovers() {
  const Contents& contents = manifest_->contents();
  const auto listed = [&](Offset first) {
    if (!contents.open.empty() && contents.open.front().first == first) return true;
    return std::any_of(contents.closed.begin(), contents.closed.end(),
                       [&](const SegmentInfo& info) { return info.first == first; });
  };
  const auto names = TRY(files_.list(directory_));
  for (const auto& name : names) {
    const auto first = parse_segment_name(name);
    const bool passed = first && *first <= contents.last() && !listed(*first);
    if (!passed && name != "manifest.tmp" && !name.ends_with(kOlderEnding)) continue;
    ignore(files_.remove(directory_ + "/" + name), "it costs only its space");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Segments>> Segments::open(FileSystem& files, std::string directory,
                                                 const Codec& codec, Options options) {
  TRY(files.create_directories(directory));
  std::string mended;
  auto manifest = TRY(open_or_mend_manifest(files, directory, mended));
  auto segments = std::make_unique<FileSegments>(files, std::move(directory), codec, options,
                                                 std::move(manifest));
  segments->set_mended(std::move(mended));
  TRY(segments->remove_leftovers());
  return std::unique_ptr<Segments>(std::move(segments));
}

}  // namespace clickmill::log
