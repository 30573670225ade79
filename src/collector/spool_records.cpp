// Journal records of the spool:
//   click:         the click record (click/record.cpp), with received_ms stamped
//   copied_clicks: { bytes click record }: one group's clicks, copied forward
//   trim:          varint partitions | { varint position below which all is committed }
// A group's clicks share its position, so after a crash a few committed ones may
// be sent again with an uncommitted neighbour; as `again`, and dedup drops them.
#include "collector/spool_records.h"

#include <algorithm>

#include "base/bytes.h"
#include "click/click.h"

namespace clickmill::collector {

Status for_each_click(const log::RecordView& record,
                      const std::function<void(std::string_view)>& take) {
  if (record.kind == log::RecordKind::click) {
    take(record.payload);
    return {};
  }
  ByteCursor cursor(record.payload);
  while (!cursor.empty()) {
    const auto click = cursor.bytes();
    if (!cursor.ok()) return Error(Errc::corrupt, "copied clicks are malformed");
    take(click);
  }
  return {};
}

ArrivalMs received_of(std::string_view record) {
  ByteCursor cursor(record.substr(std::min(click::kReceivedMsAt, record.size())));
  return ArrivalMs(cursor.i64());
}

std::string copied_clicks(const std::vector<std::string>& records) {
  std::string payload;
  ByteWriter writer(payload);
  for (const std::string& record : records) writer.bytes(record);
  return payload;
}

Status read_run(PartitionId partition, const Backlog::Run& run, log::GroupReader& journal,
                std::vector<std::string>& out) {
  const auto kind = run.copied ? log::RecordKind::copied_clicks : log::RecordKind::click;
  for (const log::RecordView& record : TRY(journal.read(run.position))) {
    if (record.kind != kind || record.partition != partition) continue;
    TRY(for_each_click(record, [&](std::string_view click) { out.emplace_back(click); }));
  }
  return {};
}

Status RecoveredSpool::replay(JournalPos position, const log::RecordView& record) {
  if (record.kind == log::RecordKind::trim) return replay_trim(record.payload);
  const size_t index = record.partition.value();
  if (backlogs_.size() <= index) backlogs_.resize(index + 1);
  return for_each_click(record, [&](std::string_view click) {
    const ArrivalMs received = received_of(click);
    const bool copied = record.kind == log::RecordKind::copied_clicks;
    backlogs_[index].add({position, received, 1, true, copied});
    newest_ = std::max(newest_, received);
  });
}

Status RecoveredSpool::visit(log::GroupReader& journal, const Visit& visit) const {
  for (size_t i = 0; i < backlogs_.size(); ++i) {
    const PartitionId partition(static_cast<uint32_t>(i));
    Status status;
    std::vector<std::string> clicks;
    backlogs_[i].for_each([&](const Backlog::Run& run) {
      clicks.clear();
      status = read_run(partition, run, journal, clicks);
      for (size_t at = 0; status && at < clicks.size(); ++at) status = visit(partition, clicks[at]);
      return status.has_value();
    });
    TRY(std::move(status));
  }
  return {};
}

Status RecoveredSpool::replay_trim(std::string_view payload) {
  ByteCursor cursor(payload);
  const uint64_t count = cursor.varint();
  std::vector<JournalPos> trims;
  for (uint64_t i = 0; i < count && cursor.ok(); ++i) trims.push_back(JournalPos(cursor.varint()));
  if (!cursor.done()) return Error(Errc::corrupt, "trim record is malformed");
  // All that a trim covers stands before it. It is forgotten here and now: a later
  // record, of a run that didn't know of it any more, may say less.
  for (size_t i = 0; i < std::min(trims.size(), backlogs_.size()); ++i) {
    while (!backlogs_[i].empty() && backlogs_[i].front().position < trims[i])
      backlogs_[i].pop_front();
  }
  return {};
}

}  // namespace clickmill::collector
