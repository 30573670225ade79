#include "sinks/feed.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "click/batch.h"
#include "click/json.h"

namespace clickmill::sinks {
namespace {

constexpr size_t kReadBytes = 256 * 1024;

}  // namespace

Result<Feed::Step> Feed::send(const cluster::LogReader& log, Broker& broker) {
  Step step;
  const auto entries = TRY(log.read(id_, next(), kReadBytes));
  // Offsets have gaps of their own, so only the log's begin tells what is missing.
  if (entries.empty() || entries.front()->first > next()) {
    if (const Offset first = log.first(id_); first > next()) {
      // A sink that is new begins with what there is.
      step.skipped = sent_ == Offset(0) ? 0 : first - next();
      pass(first - 1, entries.empty() ? LogMs(0) : entries.front()->append_ms);
    }
  }
  for (const auto& entry : entries) {
    if (entry->kind == static_cast<uint8_t>(click::EntryKind::clicks)) {
      if (!TRY(send_entry(*entry, broker))) {
        step.full = true;
        return step;
      }
    }
    if (entry->last() >= next()) pass(entry->last(), entry->append_ms);
  }
  step.more = !entries.empty();
  return step;
}

/// False: the broker takes no more; goes on there the next time.
Result<bool> Feed::send_entry(const log::Entry& entry, Broker& broker) {
  ByteCursor records(entry.payload);
  const auto header = TRY(click::decode_batch_header(records));
  for (Offset at = entry.first; at <= entry.last(); ++at) {
    if (at < next()) {
      TRY(click::skip_record(records));
      continue;
    }
    click::RecordScratch scratch;
    const auto click = TRY(click::decode_record(records, scratch));
    line_.clear();
    fmt::format_to(std::back_inserter(line_), "{{\"partition\":{},\"offset\":{},\"append_ms\":{},",
                   id_.value(), at.value(), entry.append_ms.value());
    click::append_json(click, line_);
    line_ += header.again ? ",\"again\":true}" : "}";
    Piece piece{.last = at, .append_ms = entry.append_ms};
    piece.bytes = static_cast<uint32_t>(line_.size());
    piece.is_message = true;
    under_way_.push_back(piece);
    auto sent = broker.send({click.ad_id, line_, id_, at}, &under_way_.back());
    if (!sent || !*sent) under_way_.pop_back();
    if (!sent) return std::move(sent).error();
    if (!*sent) return false;
    sent_ = at;
    ++load_.messages;
    load_.bytes += piece.bytes;
  }
  return true;
}

/// A stretch without messages has arrived as soon as all before it has.
void Feed::pass(Offset last, LogMs append_ms) {
  sent_ = last;
  if (under_way_.empty()) {
    arrived_ = last;
  } else if (Piece& before = under_way_.back(); !before.is_message) {
    before.last = last;
  } else {
    under_way_.push_back({.last = last, .append_ms = append_ms, .done = true});
  }
}

bool Feed::told(void* ticket, bool arrived) {
  if (arrived) static_cast<Piece*>(ticket)->done = true;
  return arrived;
}

uint64_t Feed::settle() {
  uint64_t messages = 0;
  while (!under_way_.empty() && under_way_.front().done) {
    const Piece& piece = under_way_.front();
    arrived_ = piece.last;
    load_.messages -= piece.is_message ? 1 : 0;
    load_.bytes -= piece.bytes;
    messages += piece.is_message ? 1 : 0;
    under_way_.pop_front();
  }
  return messages;
}

void Feed::begin_again() { begin_after(arrived_); }

void Feed::begin_after(Offset arrived) {
  for (const Piece& piece : under_way_) {
    load_.messages -= piece.is_message ? 1 : 0;
    load_.bytes -= piece.bytes;
  }
  under_way_.clear();
  arrived_ = sent_ = arrived;
}

std::optional<LogMs> Feed::oldest() const {
  if (under_way_.empty()) return std::nullopt;
  return under_way_.front().append_ms;
}

}  // namespace clickmill::sinks
