#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "api/context.h"
#include "api/review_params.h"
#include "base/query_params.h"
#include "base/text.h"
#include "click/flat_json.h"
#include "click/parse.h"
#include "http/content_encoding.h"

namespace clickmill::api {
namespace {

using stream::Decision;
using stream::ReviewEntry;
using stream::ReviewPage;
using stream::ReviewQuery;
using stream::Verdict;

// Entries that one request for a page looks at; a filter that matches few gets
// short pages and goes on from `next`.
constexpr size_t kScanMost = 20'000;
// Looked at in one step of a worker, which counts nothing meanwhile.
constexpr size_t kStepMost = 4'096;

/// A flagged click's record, decoded; borrows from the entry.
struct Flagged {
  click::RecordScratch scratch;
  click::ClickView view;
};
Status decode(const ReviewEntry& entry, Flagged& out) {
  ByteCursor cursor(entry.record);
  out.view = TRY(click::decode_record(cursor, out.scratch));
  return {};
}

void append_json(ReviewId id, const ReviewEntry& entry, const click::ClickView& view,
                 std::string& out) {
  out += fmt::format(
      "{{\"id\":\"{}\",\"reason\":\"{}\",\"click_id\":{},\"ad_id\":{},\"timestamp_ms\":{},"
      "\"received_ms\":{},"
      "\"device_type\":\"{}\",\"country\":\"{}\",\"user_id\":{},\"ip\":{},\"user_agent\":{},"
      "\"referrer\":{},"
      "\"advertiser_id\":{},\"ad_format\":{}{}}}",
      to_string(id), to_string(entry.reason), json_quoted(view.click_id), json_quoted(view.ad_id),
      view.timestamp_ms.value(), view.received_ms.value(), to_string(view.device),
      click::to_string_country(view.country), json_quoted(view.user_id), json_quoted(view.ip),
      json_quoted(view.user_agent), json_quoted(view.referrer), json_quoted(view.advertiser_id),
      json_quoted(view.ad_format),
      (view.flags & click::kAutomated) != 0 ? ",\"automated\":true" : "");
}

/// The partitions that can hold what is asked for: first and behind the last.
std::pair<uint32_t, uint32_t> partitions_of(const Context& context, const ReviewQuery& query) {
  if (query.ad_id.empty()) return {0, context.partitions};
  const uint32_t only = click::partition_of(query.ad_id, context.partitions).value();
  return {only, only + 1};
}

/// One page of the list, put together partition by partition.
class Listing {
 public:
  Listing(Context& context, ReviewParams params) : context_(context), params_(std::move(params)) {}

  http::Response answer() {
    auto [partition, end] = partitions_of(context_, params_.query);
    if (params_.after) partition = std::max(partition, params_.after->partition.value());
    for (; partition < end && !next_; ++partition) {
      if (auto read = read_partition(PartitionId(partition)); !read)
        return problem_of(read.error());
    }
    return http::json_response(fmt::format("{{\"data\":[{}],\"next\":{}}}", data_,
                                           next_ ? "\"" + to_string(*next_) + "\"" : "null"));
  }

 private:
  Status read_partition(PartitionId partition) {
    ReviewQuery query = params_.query;
    if (params_.after && params_.after->partition == partition) query.after = params_.after->offset;
    for (bool done = false; !done && !next_;) {
      // One more than wanted shows whether there is a next page.
      query.limit = params_.limit - listed_ + 1;
      query.scan_most = std::min(scans_left_, kStepMost);
      const ReviewPage page = TRY(context_.review.list(partition, query));
      scans_left_ -= page.scans;
      TRY(take(partition, page));
      query.after = page.scanned;
      done = page.done;
      if (!next_ && scans_left_ == 0) next_ = ReviewId{partition, page.scanned};
    }
    return {};
  }

  Status take(PartitionId partition, const ReviewPage& page) {
    for (const auto& [offset, entry] : page.entries) {
      if (listed_ == params_.limit) {
        next_ = last_;
        return {};
      }
      Flagged flagged;
      TRY(decode(entry, flagged));
      last_ = {partition, offset};
      if (listed_++ != 0) data_ += ',';
      append_json(last_, entry, flagged.view, data_);
    }
    return {};
  }

  Context& context_;
  const ReviewParams params_;
  std::string data_;
  size_t listed_ = 0;
  size_t scans_left_ = kScanMost;
  ReviewId last_;
  std::optional<ReviewId> next_;
};

/// Puts decisions together with the catalog's word as it is now.
class DecisionMaker {
 public:
  DecisionMaker(const Context& context, Verdict verdict, std::string by)
      : ads_now_(context.catalog.snapshot()) {
    decision_.verdict = verdict;
    decision_.by = std::move(by);
  }
  /// False: it can't be accepted, since no advertiser is known for its ad.
  bool add(Offset click, const click::ClickView& view) {
    const catalog::Ad* ad = ads_now_->find(view.ad_id);
    const bool accept = decision_.verdict == Verdict::accept;
    if (accept && ad == nullptr && view.advertiser_id.empty()) return false;
    decision_.items.push_back({click, ad == nullptr ? 0 : number_of(*ad)});
    return true;
  }
  bool empty() const { return decision_.items.empty(); }
  Decision take() { return std::move(decision_); }

 private:
  uint32_t number_of(const catalog::Ad& ad) {
    const auto [at, is_new] = numbers_.emplace(std::pair(ad.advertiser_id, ad.ad_format),
                                               static_cast<uint32_t>(decision_.ads.size() + 1));
    if (is_new) decision_.ads.push_back({ad.advertiser_id, ad.ad_format});
    return at->second;
  }
  const std::shared_ptr<const catalog::Catalog::Snapshot> ads_now_;
  std::map<std::pair<std::string, std::string>, uint32_t> numbers_;
  Decision decision_;
};

/// The body of a decision: the verdict, or the 400.
std::optional<http::Response> parse_verdict(const http::Request& request, Verdict& out) {
  std::string decoded;
  std::string_view body;
  if (auto refused = http::decode_body(request, decoded, body)) return refused;
  click::FlatValue value;
  const auto broken =
      click::read_flat_json(body, [&](std::string_view name, click::FlatValue&& given) {
        if (name == "decision") value = std::move(given);
      });
  if (broken) return http::problem(400, broken->detail, broken->member);
  if (value.kind == click::FlatValue::Kind::string && value.text == "accept") {
    out = Verdict::accept;
  } else if (value.kind == click::FlatValue::Kind::string && value.text == "reject") {
    out = Verdict::reject;
  } else {
    return http::problem(400, "decision is accept or reject", "decision");
  }
  return std::nullopt;
}

http::Response no_such_click(std::string_view id) {
  return http::problem(
      404, "no flagged click has the id " + click::shown(id) + ", or it has expired", "id");
}
http::Response decided_before(ReviewId id) {
  return http::problem(
      409, fmt::format("{} has been decided before; the first decision stands", to_string(id)),
      "id");
}

http::Response decide_one(Context& context, const http::Request& request, const std::string& who,
                          const std::string& text) {
  Verdict verdict{};
  if (auto refused = parse_verdict(request, verdict)) return *std::move(refused);
  const auto id = parse_review_id(text, context.partitions);
  if (!id) return no_such_click(text);
  const auto standing = context.review.find(id->partition, id->offset);
  if (!standing) return problem_of(standing.error());
  if (!standing->open) return standing->decided ? decided_before(*id) : no_such_click(text);
  Flagged flagged;
  if (auto decoded = decode(*standing->open, flagged); !decoded) return problem_of(decoded.error());
  DecisionMaker maker(context, verdict, who);
  if (!maker.add(id->offset, flagged.view)) {
    return http::problem(
        409,
        fmt::format("the ad {} is not in the catalog; add it, then accept its clicks",
                    flagged.view.ad_id),
        "ad_id");
  }
  const auto decided = context.review.decide(id->partition, maker.take());
  if (!decided) return problem_of(decided.error());
  // Between the look and the log another's decision came first.
  if (decided->empty()) return decided_before(*id);
  return http::json_response(
      fmt::format("{{\"id\":\"{}\",\"decision\":\"{}\"}}", to_string(*id), to_string(verdict)));
}

/// A decision about everything that matches, partition by partition. One that fails keeps
/// none of the others from it, and is named: asking again decides what is left, since what
/// was decided stands.
class Sweep {
 public:
  Sweep(Context& context, ReviewQuery query, Verdict verdict, std::string who)
      : context_(context), query_(std::move(query)), verdict_(verdict), who_(std::move(who)) {}

  http::Response answer() {
    const auto [first, end] = partitions_of(context_, query_);
    std::string failed;
    for (uint32_t partition = first; partition < end; ++partition) {
      if (sweep(PartitionId(partition))) continue;
      failed += fmt::format("{}{}", failed.empty() ? "" : ",", partition);
    }
    const std::string skipped = skipped_ > 0 ? fmt::format("\"skipped\":{},", skipped_) : "";
    return http::json_response(
        fmt::format("{{\"decided\":{},{}\"failed_partitions\":[{}]}}", decided_, skipped, failed));
  }

 private:
  Status sweep(PartitionId partition) {
    ReviewQuery query = query_;
    query.limit = stream::kDecisionItemsMost;
    query.scan_most = kStepMost;
    // What is flagged from now on is another matter; without this a busy
    // partition might never come to an end.
    query.upto = TRY(context_.review.applied(partition));
    for (bool done = false; !done;) {
      const ReviewPage page = TRY(context_.review.list(partition, query));
      TRY(decide(partition, page));
      query.after = page.scanned;
      done = page.done;
    }
    return {};
  }

  Status decide(PartitionId partition, const ReviewPage& page) {
    DecisionMaker maker(context_, verdict_, who_);
    for (const auto& [offset, entry] : page.entries) {
      Flagged flagged;
      TRY(decode(entry, flagged));
      if (!maker.add(offset, flagged.view)) ++skipped_;
    }
    if (maker.empty()) return {};
    const auto clicks = TRY(context_.review.decide(partition, maker.take()));
    decided_ += clicks.size();
    return {};
  }

  Context& context_;
  const ReviewQuery query_;
  const Verdict verdict_;
  const std::string who_;
  uint64_t decided_ = 0;
  uint64_t skipped_ = 0;
};

http::Response decide_all(Context& context, const http::Request& request, const std::string& who) {
  ReviewParams params;
  if (const auto wrong = parse_review_params(request, false, context.partitions, params))
    return problem_of(*wrong);
  Verdict verdict{};
  if (auto refused = parse_verdict(request, verdict)) return *std::move(refused);
  return Sweep(context, std::move(params.query), verdict, who).answer();
}

http::Response list_review(Context& context, const http::Request& request) {
  ReviewParams params;
  if (const auto wrong = parse_review_params(request, true, context.partitions, params))
    return problem_of(*wrong);
  return Listing(context, std::move(params)).answer();
}

}  // namespace

void add_review_routes(http::Router& router, Context& context) {
  static constexpr std::initializer_list<http::Role> kOperators = {http::Role::admin};
  router.add(http::Method::get, "/v1/review",
             [&context](http::RequestPtr request, http::Router::Params, http::Responder respond) {
               if (!admit(context, *request, kOperators, "admin", respond)) return;
               run_task(context.pools.queries, std::move(respond),
                        [&context, request] { return list_review(context, *request); });
             });
  router.add(http::Method::post, "/v1/review",
             [&context](http::RequestPtr request, http::Router::Params, http::Responder respond) {
               const auto who = admit(context, *request, kOperators, "admin", respond);
               if (!who) return;
               run_task(context.pools.decisions, std::move(respond),
                        [&context, request, name = who->name] {
                          return decide_all(context, *request, name);
                        });
             });
  router.add(
      http::Method::post, "/v1/review/{id}",
      [&context](http::RequestPtr request, http::Router::Params params, http::Responder respond) {
        const auto who = admit(context, *request, kOperators, "admin", respond);
        if (!who) return;
        if (auto refused = refuse_parameters(*request)) return respond(*std::move(refused));
        run_task(context.pools.queries, std::move(respond),
                 [&context, request, name = who->name, id = params[0]] {
                   return decide_one(context, *request, name, id);
                 });
      });
  router.add(http::Method::get, "/v1/review/decisions",
             [&context](http::RequestPtr request, http::Router::Params, http::Responder respond) {
               if (!admit(context, *request, kOperators, "admin", respond)) return;
               run_task(context.pools.queries, std::move(respond),
                        [&context, request] { return list_changes(context, *request); });
             });
}

}  // namespace clickmill::api
