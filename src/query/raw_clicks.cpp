#include "query/raw_clicks.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "click/batch.h"
#include "click/json.h"

namespace clickmill::query {

Result<std::unique_ptr<RawClicks>> RawClicks::begin(const cluster::LogReader& log,
                                                    PartitionId partition,
                                                    const RawClicksRequest& request) {
  auto clicks = std::unique_ptr<RawClicks>(new RawClicks(log, partition, request));
  clicks->next_ = TRY(log.kept_from(partition));
  if (request.from) clicks->next_ = TRY(log.find_time(partition, *request.from));
  // Offsets begin at 1.
  if (request.offset) clicks->next_ = std::max(*request.offset, Offset(1));
  TRY(clicks->still_kept());
  TRY(clicks->extend());
  return clicks;
}

Status RawClicks::extend() {
  until_ = TRY(log_.state(partition_)).committed;
  return {};
}

Status RawClicks::still_kept() const {
  const Offset first = TRY(log_.kept_from(partition_));
  if (next_ >= first) return {};
  return Error(Errc::not_found,
               fmt::format("offset {} is not kept any more; partition {} begins at offset {}",
                           next_.value(), partition_.value(), first.value()));
}

Status RawClicks::fetch() {
  auto entries = TRY(log_.read(partition_, next_, kPieceBytes));
  // What retention drops between two reads is passed over by them. Offsets have gaps of
  // their own, so only the log's begin can tell.
  if (entries.empty() || entries.front()->first > next_) TRY(still_kept());
  entries_ = std::move(entries);
  at_ = 0;
  return {};
}

bool RawClicks::next(std::string& out) {
  out.clear();
  const auto more = read(out);
  if (!more) throw std::runtime_error(more.error().text());
  return *more;
}

Result<bool> RawClicks::read(std::string& out) {
  if (ended()) return false;
  if (at_ == entries_.size()) {
    TRY(fetch());
    if (entries_.empty()) return false;
  }
  while (at_ < entries_.size() && !full(out)) TRY(append_entry(*entries_[at_], out));
  return !ended();
}

/// Writes lines of one entry until it is done or the piece is full.
Status RawClicks::append_entry(const log::Entry& entry, std::string& out) {
  const bool wanted =
      entry.kind == static_cast<uint8_t>(click::EntryKind::clicks) && entry.append_ms >= from_;
  if (wanted && !records_) TRY(open_entry(entry));
  if (!wanted) next_ = std::max(next_, entry.last() + 1);
  while (next_ <= entry.last() && !full(out)) TRY(append_line(entry, out));
  if (next_ > entry.last()) {
    records_.reset();
    ++at_;
  }
  return {};
}

Status RawClicks::open_entry(const log::Entry& entry) {
  records_.emplace(entry.payload);
  const auto header = TRY(click::decode_batch_header(*records_));
  again_ = header.again;
  next_ = std::max(next_, entry.first);
  for (Offset at = entry.first; at < next_; ++at) TRY(click::skip_record(*records_));
  return {};
}

Status RawClicks::append_line(const log::Entry& entry, std::string& out) {
  click::RecordScratch scratch;
  const auto click = TRY(click::decode_record(*records_, scratch));
  fmt::format_to(std::back_inserter(out), "{{\"offset\":{},\"append_ms\":{},", next_.value(),
                 entry.append_ms.value());
  click::append_json(click, out);
  out += again_ ? ",\"again\":true}\n" : "}\n";
  ++next_;
  --lines_left_;
  return {};
}

}  // namespace clickmill::query
