#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <vector>

#include "api/context.h"
#include "api/review_params.h"
#include "base/params.h"
#include "base/text.h"
#include "base/time_text.h"
#include "click/parse.h"

namespace clickmill::api {
namespace {

constexpr uint64_t kListMost = 1000;

using stream::Change;
using stream::ChangePosition;
using stream::Changes;

/// The order of the list, over all partitions.
struct ChangeCursor {
  LogMs at;
  PartitionId partition;
  Offset record;
  uint32_t index = 0;
  friend auto operator<=>(const ChangeCursor&, const ChangeCursor&) = default;
};

std::string to_string(const ChangeCursor& cursor) {
  return fmt::format("{}-{}-{}-{}", cursor.at.value(), cursor.partition.value(),
                     cursor.record.value(), cursor.index);
}

std::optional<ChangeCursor> parse_cursor(std::string_view text) {
  std::array<uint64_t, 4> numbers{};
  for (size_t i = 0; i < numbers.size(); ++i) {
    const auto part = text.substr(0, i + 1 < numbers.size() ? text.find('-') : text.size());
    const auto number = parse_number(part);
    if (!number) return std::nullopt;
    numbers[i] = *number;
    text.remove_prefix(std::min(text.size(), part.size() + 1));
  }
  if (numbers[0] > INT64_MAX - 1 || numbers[1] > UINT32_MAX || numbers[3] >= UINT32_MAX)
    return std::nullopt;
  return ChangeCursor{LogMs(static_cast<int64_t>(numbers[0])),
                      PartitionId(static_cast<uint32_t>(numbers[1])), Offset(numbers[2]),
                      static_cast<uint32_t>(numbers[3])};
}

struct ChangesParams {
  TimeRange range{0, INT64_MAX};
  std::optional<ChangeCursor> after;
  uint64_t limit = 100;
};

std::optional<ParamError> parse(const http::Request& request, ChangesParams& out) {
  Params params(request.query);
  params.expect_only({"from", "to", "after", "limit"});
  out.range = params.range(out.range);
  out.limit = params.number("limit", out.limit, 1, kListMost);
  if (const std::string* after = params.find("after")) {
    out.after = parse_cursor(*after);
    if (!out.after) params.fail("after", click::shown(*after) + " is no `next` of an earlier page");
  }
  return params.failure();
}

void append_json(PartitionId partition, const Changes::Listed& listed, std::string& out) {
  const Change& change = listed.change;
  out += fmt::format(
      "{{\"id\":\"{}\",\"kind\":\"{}\",\"decision\":{},\"reason\":{},\"ad_id\":{},\"by\":{},\"at\":"
      "\"{}\",\"effect\":",
      to_string(ReviewId{partition, change.subject}), to_string(change.kind),
      json_quoted(change.what), json_quoted(change.reason), json_quoted(change.ad_id),
      json_quoted(change.by), format_time_ms(listed.position.at.value()));
  // A repair may change visitors or devices alone.
  if (change.clicks == 0 && change.kind == Change::Kind::review) {
    out += "null}";
    return;
  }
  out += fmt::format("{{\"advertiser_id\":{},\"window_start\":\"{}\",\"click_count\":{}}}}}",
                     json_quoted(change.advertiser_id), format_time_ms(change.minute_ms),
                     change.clicks);
}

/// One partition's changes, read piece by piece.
class Source {
 public:
  Source(cluster::ReviewDesk& desk, PartitionId partition, ChangePosition from, LogMs to,
         size_t piece)
      : desk_(desk), partition_(partition), from_(from), to_(to), piece_(piece) {}

  /// Reads on when what was read is used up. Empty optional: there is no more.
  Result<std::optional<ChangeCursor>> cursor() {
    if (next_ == rows_.size() && !done_) TRY(read_on());
    if (next_ == rows_.size()) return std::optional<ChangeCursor>();
    const ChangePosition& at = rows_[next_].position;
    return std::optional(ChangeCursor{at.at, partition_, at.record, at.index});
  }
  const Changes::Listed& take() { return rows_[next_++]; }

 private:
  Status read_on() {
    rows_ = TRY(desk_.changes(partition_, from_, to_, piece_));
    next_ = 0;
    done_ = rows_.size() < piece_;
    if (done_) return {};
    from_ = rows_.back().position;
    ++from_.index;
    return {};
  }
  cluster::ReviewDesk& desk_;
  const PartitionId partition_;
  ChangePosition from_;
  const LogMs to_;
  const size_t piece_;
  std::vector<Changes::Listed> rows_;
  size_t next_ = 0;
  bool done_ = false;
};

/// Where a partition's part of the page begins.
ChangePosition begin_of(const ChangesParams& params, PartitionId partition) {
  const ChangePosition from{LogMs(std::max<int64_t>(params.range.from_ms, 0)), Offset(0), 0};
  if (!params.after) return from;
  const ChangeCursor& after = *params.after;
  ChangePosition behind{after.at, Offset(0), 0};
  if (partition < after.partition) behind.at = after.at + 1;
  if (partition == after.partition) behind = {after.at, after.record, after.index + 1};
  return std::max(from, behind);
}

/// One page. Each partition lists its own changes in order, so the page is a merge of their
/// heads; a source reads on only when its piece, about its share of the page, is used up.
Result<std::string> merged(Context& context, const ChangesParams& params) {
  const LogMs to(std::max<int64_t>(params.range.to_ms, 0));
  const size_t piece =
      std::clamp<size_t>(2 * params.limit / context.partitions, 16, params.limit + 16);
  std::vector<Source> sources;
  sources.reserve(context.partitions);
  std::set<ChangeCursor> heads;
  for (uint32_t i = 0; i < context.partitions; ++i) {
    const PartitionId partition(i);
    sources.emplace_back(context.review, partition, begin_of(params, partition), to, piece);
    if (const auto place = TRY(sources.back().cursor())) heads.insert(*place);
  }
  std::string data;
  std::optional<ChangeCursor> last;
  for (size_t listed = 0; listed < params.limit && !heads.empty(); ++listed) {
    last = *heads.begin();
    heads.erase(heads.begin());
    Source& source = sources[last->partition.value()];
    if (listed != 0) data += ',';
    append_json(last->partition, source.take(), data);
    if (const auto place = TRY(source.cursor())) heads.insert(*place);
  }
  const std::string next = heads.empty() ? "null" : "\"" + to_string(*last) + "\"";
  return fmt::format("{{\"data\":[{}],\"next\":{}}}", data, next);
}

}  // namespace

http::Response list_changes(Context& context, const http::Request& request) {
  ChangesParams params;
  if (const auto wrong = parse(request, params)) return problem_of(*wrong);
  auto body = merged(context, params);
  if (!body) return problem_of(body.error());
  return http::json_response(*std::move(body));
}

}  // namespace clickmill::api
