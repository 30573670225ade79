#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cluster/partition.h"
#include "log/entry.h"
#include "stream/changes.h"
#include "stream/review.h"

namespace clickmill::cluster {

/// Questions about partitions that one node puts to another (CallKind::partition), but for those
/// of queries. The first byte says which. Stands in frames: never renumber.
enum class PartitionQuestion : uint8_t {
  states = 1,     ///< how far they are
  read = 2,       ///< of the log
  find_time = 3,  ///< likewise
  follow = 4,     ///< until something is committed
  applied = 5,
  list = 6,  ///< of the clicks in review
  find = 7,  ///< one of them
  decide = 8,
  changes = 9,
};

// Bytes of questions behind the first, and of answers. Each decode gives Errc::invalid for what no
// encode gave. Format: little-endian, LEB128 for numbers, in the order of the fields.
void write(const Partition::State& state, std::string& out);
Result<Partition::State> read_state(ByteCursor& in);
void write(const stream::ReviewQuery& query, std::string& out);
Result<stream::ReviewQuery> read_review_query(ByteCursor& in);
void write(const stream::ReviewEntry& entry, std::string& out);
Result<stream::ReviewEntry> read_review_entry(ByteCursor& in);
void write(const stream::ReviewPage& page, std::string& out);
Result<stream::ReviewPage> read_review_page(ByteCursor& in);
void write(const stream::ChangePosition& position, std::string& out);
Result<stream::ChangePosition> read_change_position(ByteCursor& in);
void write(const std::vector<stream::Changes::Listed>& listed, std::string& out);
Result<std::vector<stream::Changes::Listed>> read_changes(ByteCursor& in);
void write(const std::vector<Offset>& offsets, std::string& out);
Result<std::vector<Offset>> read_offsets(ByteCursor& in);
/// As many as fit one answer, and at least one.
void write(const Partition::Entries& entries, std::string& out);
Result<Partition::Entries> read_entries(ByteCursor& in);

/// The first bytes of a question about one partition.
std::string question_of(PartitionQuestion what, PartitionId id);
/// Of a question or an answer that no node writes.
Error malformed_between_nodes();

}  // namespace clickmill::cluster
