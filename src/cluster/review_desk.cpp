#include "cluster/review_desk.h"

#include <memory>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "cluster/ask.h"
#include "cluster/partition_questions.h"

namespace clickmill::cluster {
namespace {

using stream::Changes;
using stream::Decision;
using stream::ReviewPage;

template <typename T>
using Answer = std::function<void(Result<T>)>;

Result<ReviewDesk::Standing> standing_of(const stream::Pipeline& pipeline, Offset click) {
  const int64_t age_ms = pipeline.horizon().age_ms();
  ReviewDesk::Standing standing;
  standing.open = TRY(pipeline.review().find(click, age_ms));
  const auto record = TRY(pipeline.review().decided_by(click, age_ms));
  standing.decided = record.has_value();
  return standing;
}

/// The clicks of a decision that the record at `record` has decided.
Result<std::vector<Offset>> decided_in(const stream::Pipeline& pipeline, const Decision& decision,
                                       Offset record) {
  std::vector<Offset> clicks;
  for (const Decision::Item& item : decision.items) {
    const auto by = TRY(pipeline.review().decided_by(item.click, pipeline.horizon().age_ms()));
    if (by == record) clicks.push_back(item.click);
  }
  return clicks;
}

}  // namespace

Result<Offset> ReviewDesk::applied(PartitionId partition) const {
  if (elsewhere(partition)) {
    const auto given = TRY(elsewhere_->ask(partition, CallKind::partition,
                                           question_of(PartitionQuestion::applied, partition)));
    ByteCursor in(given);
    const Offset applied(in.varint());
    if (!in.done()) return malformed_between_nodes();
    return applied;
  }
  return ask<Offset>(owned_, partition, [](Partition& asked, const Answer<Offset>& answer) {
    answer(asked.pipeline().applied());
  });
}

Result<ReviewPage> ReviewDesk::list(PartitionId partition, const stream::ReviewQuery& query) const {
  if (elsewhere(partition)) {
    std::string question = question_of(PartitionQuestion::list, partition);
    write(query, question);
    const auto given = TRY(elsewhere_->ask(partition, CallKind::partition, question));
    ByteCursor in(given);
    return read_review_page(in);
  }
  return ask<ReviewPage>(
      owned_, partition, [query](Partition& asked, const Answer<ReviewPage>& answer) {
        answer(asked.pipeline().review().list(query, asked.pipeline().horizon().age_ms()));
      });
}

Result<ReviewDesk::Standing> ReviewDesk::find(PartitionId partition, Offset click) const {
  if (elsewhere(partition)) {
    std::string question = question_of(PartitionQuestion::find, partition);
    ByteWriter(question).varint(click.value());
    const auto given = TRY(elsewhere_->ask(partition, CallKind::partition, question));
    ByteCursor in(given);
    Standing standing;
    standing.decided = in.u8() != 0;
    if (in.u8() != 0) standing.open = TRY(read_review_entry(in));
    if (!in.done()) return malformed_between_nodes();
    return standing;
  }
  return ask<Standing>(owned_, partition,
                       [click](Partition& asked, const Answer<Standing>& answer) {
                         answer(standing_of(asked.pipeline(), click));
                       });
}

Result<std::vector<Offset>> ReviewDesk::decide(PartitionId partition, Decision decision) const {
  using Clicks = std::vector<Offset>;
  if (elsewhere(partition)) {
    std::string question = question_of(PartitionQuestion::decide, partition);
    stream::encode_decision(decision, question);
    const auto given = TRY(elsewhere_->ask(partition, CallKind::partition, question, true));
    ByteCursor in(given);
    return read_offsets(in);
  }
  auto shared = std::make_shared<const Decision>(std::move(decision));
  return ask<Clicks>(owned_, partition, [shared](Partition& asked, const Answer<Clicks>& answer) {
    std::string payload;
    stream::encode_decision(*shared, payload);
    asked.propose(click::EntryKind::decision, std::move(payload),
                  [&asked, shared, answer](Result<Offset> record) {
                    if (!record) return answer(std::move(record).error());
                    answer(decided_in(asked.pipeline(), *shared, *record));
                  });
  });
}

Result<std::vector<Changes::Listed>> ReviewDesk::changes(PartitionId partition,
                                                         const stream::ChangePosition& from,
                                                         LogMs to, size_t limit) const {
  using Listed = std::vector<Changes::Listed>;
  if (elsewhere(partition)) {
    std::string question = question_of(PartitionQuestion::changes, partition);
    write(from, question);
    ByteWriter(question).svarint(to.value());
    ByteWriter(question).varint(limit);
    const auto given = TRY(elsewhere_->ask(partition, CallKind::partition, question));
    ByteCursor in(given);
    return read_changes(in);
  }
  return ask<Listed>(
      owned_, partition, [from, to, limit](Partition& asked, const Answer<Listed>& answer) {
        const auto& pipeline = asked.pipeline();
        answer(pipeline.changes().list(from, to, limit, pipeline.horizon().age_ms()));
      });
}

}  // namespace clickmill::cluster
