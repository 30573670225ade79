#include "collector/spool_queues.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/bytes.h"
#include "click/click.h"
#include "collector/spool_records.h"

namespace clickmill::collector {
namespace {

// A click in memory besides its bytes: string, place in the queue.
constexpr uint64_t kClickOverhead = 64;

bool is_pending(std::string_view record) {
  return record.size() > click::kFlagsAt &&
         (static_cast<uint8_t>(record[click::kFlagsAt]) & click::kAdPending) != 0;
}

std::string ad_id_of(std::string_view record) {
  ByteCursor cursor(record);
  click::RecordScratch scratch;
  const auto click = click::decode_record(cursor, scratch);
  return click ? std::string(click->ad_id) : std::string();
}

std::string with_ad(std::string_view record, const catalog::Ad* ad) {
  ByteCursor cursor(record);
  click::RecordScratch scratch;
  auto click = click::decode_record(cursor, scratch);
  // The stream refuses it, and says where it stands.
  if (!click) return std::string(record);
  click->flags = static_cast<uint8_t>(click->flags & ~click::kAdPending);
  if (ad != nullptr) {
    click->advertiser_id = ad->advertiser_id;
    click->ad_format = ad->ad_format;
  } else {
    click->flags |= click::kUnknownAd;
  }
  std::string out;
  click::encode_record(*click, out);
  return out;
}

uint64_t memory_of(const std::string& record) { return record.size() + kClickOverhead; }

}  // namespace

uint64_t SpoolQueues::recover(Backlog&& older) {
  uint64_t clicks = 0;
  older.for_each([&](const Backlog::Run& run) {
    clicks += run.clicks;
    newest_durable_ = std::max(newest_durable_, run.position);
    return true;
  });
  // What this run has left on disk so far stands behind it.
  backlog_.for_each([&](const Backlog::Run& run) {
    older.add(run);
    return true;
  });
  backlog_ = std::move(older);
  return clicks;
}

void SpoolQueues::durable(Queue queue, JournalPos position, std::string&& record, bool memory_full,
                          WaitingAnswers::Answer&& answer) {
  Lane& in = lane(queue);
  // The journal keeps the order within a lane, so this is the oldest one on its way.
  const size_t at = in.ready.size();
  CM_ASSERT(at < in.held.size());
  if (leaves_on_disk(position, memory_full)) {
    backlog_.add({position, in.held[at].received, 1, false, false});
    in.held.erase(in.held.begin() + static_cast<std::ptrdiff_t>(at));
    backlog_answers_.add(position.value(), std::move(answer));
  } else {
    in.answers.add(in.gone + at, std::move(answer));
    in.held[at].position = position;
    memory_bytes_ += memory_of(record);
    in.ready.push_back(std::move(record));
  }
  newest_durable_ = std::max(newest_durable_, position);
}

/// A group's clicks of a partition stay together, in memory or on disk, since
/// reading the group gives them all.
bool SpoolQueues::leaves_on_disk(JournalPos position, bool memory_full) const {
  if (position == newest_durable_) return backlog_.has_newest(position, false);
  return memory_full;
}

void SpoolQueues::failed(Queue queue) {
  CM_ASSERT(lane(queue).ready.size() < lane(queue).held.size());
}

std::optional<SpoolQueues::Taken> SpoolQueues::take(Queue queue, size_t count_most,
                                                    size_t bytes_most) {
  if (queue == Queue::resolved) return take_resolved(count_most, bytes_most);
  Lane& from = lane(queue);
  if (from.ready.empty()) return std::nullopt;
  Taken taken;
  taken.queue = queue;
  size_t bytes = 0;
  while (!from.ready.empty() && taken.records.size() < count_most && bytes < bytes_most) {
    note_taken(from.held.front());
    taken.newest = std::max(taken.newest, from.held.front().received);
    bytes += from.ready.front().size();
    from.answers.take(from.gone, [&](WaitingAnswers::Answer&& answer) {
      taken.answers.push_back({taken.records.size(), std::move(answer)});
    });
    taken.records.push_back(pop_ready(from));
  }
  taken.held = taken.records.size();
  return taken;
}

std::optional<SpoolQueues::Taken> SpoolQueues::take_resolved(size_t count_most, size_t bytes_most) {
  if (resolved_.empty()) return std::nullopt;
  Taken taken;
  taken.queue = Queue::resolved;
  taken.again = aside_.at(resolved_.front()).again;
  size_t bytes = 0;
  while (!resolved_.empty() && taken.records.size() < count_most && bytes < bytes_most) {
    Aside& click = aside_.at(resolved_.front());
    if (click.again != taken.again) break;
    resolved_taken_.push_back(resolved_.front());
    resolved_.pop_front();
    taken.newest = std::max(taken.newest, click.received);
    bytes += click.record.size();
    if (!click.answer.expired())
      taken.answers.push_back({taken.records.size(), std::move(click.answer)});
    taken.records.push_back(std::move(click.record));
  }
  taken.held = taken.records.size();
  return taken;
}

void SpoolQueues::note_taken(const Untaken& held) {
  if (taken_.empty() || taken_.back().position != held.position)
    taken_.push_back({held.position, held.received, 0, false, false});
  ++taken_.back().clicks;
  taken_.back().oldest = std::min(taken_.back().oldest, held.received);
}

std::string SpoolQueues::pop_ready(Lane& lane) {
  std::string record = std::move(lane.ready.front());
  lane.ready.pop_front();
  lane.held.pop_front();
  ++lane.gone;
  memory_bytes_ -= memory_of(record);
  return record;
}

std::vector<Backlog::Run> SpoolQueues::begin_reading(size_t count_most) {
  reading_ = true;
  std::vector<Backlog::Run> runs;
  uint64_t clicks = 0;
  backlog_.for_each([&](const Backlog::Run& run) {
    clicks += run.clicks;
    if (!runs.empty() && (run.again != runs.front().again || clicks > count_most)) return false;
    runs.push_back(run);
    return true;
  });
  return runs;
}

void SpoolQueues::end_reading(const std::vector<Backlog::Run>& runs, size_t read, Taken& taken) {
  reading_ = false;
  size_t clicks = 0;
  for (size_t i = 0; i < read; ++i) {
    taken_.push_back(runs[i]);
    backlog_.pop_front();
    clicks += runs[i].clicks;
    // A copy may stand in one group with new clicks, whose answers are not its own.
    if (runs[i].copied) continue;
    backlog_answers_.take(runs[i].position.value(), [&](WaitingAnswers::Answer&& answer) {
      taken.answers.push_back({kOfBacklog, std::move(answer)});
    });
  }
  if (taken.records.size() != clicks) taken.answers.clear();
}

std::vector<SpoolQueues::Pending> SpoolQueues::set_aside(Taken& taken) {
  std::vector<Pending> pending;
  // A click that comes with its ad known was set aside before.
  if (taken.queue == Queue::resolved) return pending;
  JournalPos oldest(UINT64_MAX);
  for (const Backlog::Run& run : taken_) oldest = std::min(oldest, run.position);
  auto answer = taken.answers.begin();
  for (size_t i = 0; i < taken.records.size(); ++i) {
    std::string& record = taken.records[i];
    if (!is_pending(record)) continue;
    pending.push_back({next_id_++, ad_id_of(record)});
    Aside click{received_of(record), oldest, std::move(record), taken.again};
    while (answer != taken.answers.end() && answer->record < i) ++answer;
    if (answer != taken.answers.end() && answer->record == i)
      click.answer = std::exchange(answer->answer, {});
    aside_.emplace(pending.back().id, std::move(click));
    record.clear();
  }
  if (!pending.empty() && taken.queue == Queue::backlog) taken.answers.clear();
  std::erase_if(taken.records, [](const std::string& record) { return record.empty(); });
  taken.held -= pending.size();
  return pending;
}

void SpoolQueues::resolve(PendingId id, const catalog::Ad* ad) {
  Aside& click = aside_.at(id);
  click.record = with_ad(click.record, ad);
  resolved_.push_back(id);
}

void SpoolQueues::committed(const Taken& taken) {
  if (taken.queue != Queue::resolved) return taken_.clear();
  for (const PendingId id : std::exchange(resolved_taken_, {})) aside_.erase(id);
}

std::optional<JournalPos> SpoolQueues::begin_copy(JournalPos before) {
  const JournalPos from = oldest_position();
  if (from >= before || copying_) return std::nullopt;
  copying_ = true;
  return from;
}

int64_t SpoolQueues::moved(JournalPos from, const Backlog::Run& copy) {
  copying_ = false;
  newest_durable_ = std::max(newest_durable_, copy.position);
  if (reading_) return 0;
  uint64_t here = 0;
  bool again = false;
  for (Lane& lane : lanes_) {
    for (; !lane.ready.empty() && lane.held.front().position == from; ++here) pop_ready(lane);
  }
  for (; !backlog_.empty() && backlog_.front().position == from; backlog_.pop_front()) {
    here += backlog_.front().clicks;
    again = again || backlog_.front().again;
  }
  for (Backlog::Run& run : taken_) {
    if (run.position == from) run.position = copy.position;
  }
  for (auto& [id, click] : aside_) {
    if (click.position == from) click.position = copy.position;
  }
  if (here == 0) return 0;
  // Neighbours in the group that have been sent meanwhile are in the copy too.
  again = again || here != copy.clicks;
  backlog_.add({copy.position, copy.oldest, copy.clicks, again, true});
  return static_cast<int64_t>(copy.clicks) - static_cast<int64_t>(here);
}

ArrivalMs SpoolQueues::low_water(ArrivalMs now) const {
  ArrivalMs lowest = now;
  for (const Lane& lane : lanes_) {
    if (!lane.held.empty()) lowest = std::min(lowest, lane.held.front().received);
  }
  if (!backlog_.empty()) lowest = std::min(lowest, backlog_.oldest());
  for (const Backlog::Run& run : taken_) lowest = std::min(lowest, run.oldest);
  for (const auto& [id, click] : aside_) lowest = std::min(lowest, click.received);
  return lowest;
}

JournalPos SpoolQueues::oldest_position() const {
  JournalPos oldest(UINT64_MAX);
  for (const Lane& lane : lanes_) {
    if (!lane.ready.empty()) oldest = std::min(oldest, lane.held.front().position);
  }
  if (!backlog_.empty()) oldest = std::min(oldest, backlog_.front().position);
  for (const Backlog::Run& run : taken_) oldest = std::min(oldest, run.position);
  for (const auto& [id, click] : aside_) oldest = std::min(oldest, click.position);
  return oldest;
}

JournalPos SpoolQueues::trim_position() const {
  // Clicks that wait for the journal will stand behind everything that is durable,
  // but for those of the newest group, of which only a part may be durable here yet.
  const uint64_t all = newest_durable_.value() + (on_their_way() > 0 ? 0 : 1);
  return JournalPos(std::min(oldest_position().value(), all));
}

uint64_t SpoolQueues::clicks_before(JournalPos end) const {
  uint64_t clicks = 0;
  for (const Lane& lane : lanes_) {
    for (size_t i = 0; i < lane.ready.size() && lane.held[i].position < end; ++i) ++clicks;
  }
  backlog_.for_each([&](const Backlog::Run& run) {
    if (run.position < end) clicks += run.clicks;
    return run.position < end;
  });
  for (const Backlog::Run& run : taken_) clicks += run.position < end ? run.clicks : 0;
  return clicks;
}

bool SpoolQueues::any_ready() const {
  return !resolved_.empty() || !backlog_.empty() ||
         std::any_of(lanes_.begin(), lanes_.end(),
                     [](const Lane& lane) { return !lane.ready.empty(); });
}

uint64_t SpoolQueues::on_their_way() const {
  uint64_t clicks = 0;
  for (const Lane& lane : lanes_) clicks += lane.held.size() - lane.ready.size();
  return clicks;
}

}  // namespace clickmill::collector
