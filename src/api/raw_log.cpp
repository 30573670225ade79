#include <fmt/format.h>

#include <atomic>
#include <charconv>

#include "api/context.h"
#include "base/query_params.h"
#include "query/raw_clicks.h"

namespace clickmill::api {
namespace {

using Woken = cluster::TailReaders::Woken;

// An answer that doesn't fit one piece holds a decoded block until it is sent:
// every partition can be read at once, within some 150 MB.
constexpr unsigned kStreamsMost = 96;
constexpr unsigned kBeginsAgainMost = 16;
constexpr const char* kReadUpto = "Clickmill-Committed-Offset";

/// Counts one long answer while it lives.
class StreamPermit {
 public:
  explicit StreamPermit(std::shared_ptr<std::atomic<unsigned>> taken) : taken_(std::move(taken)) {
    fits_ = taken_->fetch_add(1) < kStreamsMost;
  }
  ~StreamPermit() { taken_->fetch_sub(1); }
  StreamPermit(const StreamPermit&) = delete;
  StreamPermit& operator=(const StreamPermit&) = delete;
  bool fits() const { return fits_; }

 private:
  std::shared_ptr<std::atomic<unsigned>> taken_;
  bool fits_;
};

class LongAnswer final : public http::BodyStream {
 public:
  LongAnswer(std::unique_ptr<query::RawClicks> clicks, std::unique_ptr<StreamPermit> permit)
      : clicks_(std::move(clicks)), permit_(std::move(permit)) {}
  bool next(std::string& out) override { return clicks_->next(out); }

 private:
  std::unique_ptr<query::RawClicks> clicks_;
  std::unique_ptr<StreamPermit> permit_;
};

/// One request for raw clicks until its first line is found: looks on a query
/// thread, a block at a time; while it waits at the tail it is only a function
/// in the partition's list of tail readers.
class Search : public std::enable_shared_from_this<Search> {
 public:
  Search(Context& context, PartitionId partition, const query::RawClicksRequest& request,
         std::shared_ptr<std::atomic<unsigned>> streams, http::Responder respond)
      : context_(context),
        partition_(partition),
        request_(request),
        streams_(std::move(streams)),
        respond_(std::move(respond)),
        deadline_ns_(context.clock.monotonic_ns() + request.wait_ms * 1'000'000) {}

  void go_on() {
    const bool taken = context_.pools.queries.submit([self = shared_from_this()] { self->look(); });
    if (!taken) refuse(Error(Errc::busy, "too many requests wait; try again"));
  }

 private:
  void look() {
    auto looked = try_to_look();
    if (looked) return;
    if (looked.error().code() != Errc::not_found) return refuse(looked.error());
    if (request_.offset) return respond_(http::problem(410, looked.error().message(), "offset"));
    // Who named no offset begins at the first there is, and that has just gone.
    if (++begins_again_ > kBeginsAgainMost)
      return refuse(Error(Errc::busy, looked.error().message()));
    clicks_.reset();
    at_end_ = false;
    go_on();
  }

  Status try_to_look() {
    if (!clicks_) {
      clicks_ = TRY(query::RawClicks::begin(context_.log_reader, partition_, request_));
    } else if (at_end_) {
      TRY(clicks_->extend());
    }
    std::string lines;
    const bool more = TRY(clicks_->read(lines));
    at_end_ = !more;
    if (!lines.empty()) {
      answer(std::move(lines), more);
    } else if (more) {
      // A stretch without clicks: others shall have their turn between two blocks.
      go_on();
    } else if (context_.clock.monotonic_ns() >= deadline_ns_) {
      answer({}, false);
    } else {
      context_.log_reader.follow(partition_, clicks_->until() + 1, deadline_ns_,
                                 [self = shared_from_this()](Woken woken) { self->woken(woken); });
    }
    return {};
  }

  void woken(Woken why) {
    switch (why) {
      case Woken::committed: return go_on();
      case Woken::over: return answer({}, false);
      case Woken::refused:
        return refuse(Error(Errc::busy, "too many wait at this partition's tail"));
    }
  }

  void refuse(const Error& error) { respond_(problem_of(error)); }

  void answer(std::string&& lines, bool more) {
    http::Response response;
    response.content_type = "application/x-ndjson";
    response.headers.emplace_back(kReadUpto, std::to_string(clicks_->until().value()));
    response.headers.emplace_back("Cache-Control", "no-store");
    response.body = std::move(lines);
    if (more) {
      auto permit = std::make_unique<StreamPermit>(streams_);
      if (!permit->fits())
        return refuse(Error(Errc::busy, "too many long answers are under way; try again"));
      response.stream = std::make_unique<LongAnswer>(std::move(clicks_), std::move(permit));
    }
    respond_(std::move(response));
  }

  Context& context_;
  const PartitionId partition_;
  const query::RawClicksRequest request_;
  const std::shared_ptr<std::atomic<unsigned>> streams_;
  http::Responder respond_;
  const int64_t deadline_ns_;
  std::unique_ptr<query::RawClicks> clicks_;
  bool at_end_ = false;
  unsigned begins_again_ = 0;
};

std::optional<PartitionId> partition_named(const std::string& text, size_t partitions) {
  uint32_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, number);
  if (failure != std::errc() || stop != end || number >= partitions) return std::nullopt;
  return PartitionId(number);
}

http::Response extents(Context& context) {
  const auto states = context.reader.states();
  if (!states) return problem_of(states.error());
  for (const auto& state : *states) {
    if (state.known) continue;
    return problem_of(
        Error(Errc::busy, fmt::format("no node that has partition {} answers", state.id.value())));
  }
  std::string body = "{\"data\":[";
  for (const auto& state : *states) {
    if (state.id != states->front().id) body += ',';
    body += fmt::format(
        "{{\"partition\":{},\"first_offset\":{},\"last_offset\":{},\"committed_offset\":{}}}",
        state.id.value(), state.first.value(), state.last.value(), state.committed.value());
  }
  return http::json_response(body + "]}");
}

}  // namespace

void add_raw_log_routes(http::Router& router, Context& context) {
  router.add(http::Method::get, "/v1/log/raw-clicks",
             [&context](http::RequestPtr request, http::Router::Params, http::Responder respond) {
               if (!admit(context, *request, {http::Role::admin}, "admin", respond)) return;
               if (auto refused = refuse_parameters(*request)) return respond(*std::move(refused));
               run_task(context.pools.queries, std::move(respond),
                        [&context] { return extents(context); });
             });
  auto streams = std::make_shared<std::atomic<unsigned>>(0);
  router.add(
      http::Method::get, "/v1/log/raw-clicks/{partition}",
      [&context, streams](http::RequestPtr request, http::Router::Params params,
                          http::Responder respond) {
        if (!admit(context, *request, {http::Role::admin}, "admin", respond)) return;
        const auto partition = partition_named(params[0], context.partitions);
        if (!partition)
          return respond(http::problem(404, "no such partition: " + params[0], "partition"));
        auto parsed = query::parse_raw_clicks(parse_query(request->query));
        if (const auto* error = std::get_if<ParamError>(&parsed)) {
          return respond(problem_of(*error));
        }
        auto wanted = std::get<query::RawClicksRequest>(parsed);
        // Nobody waits for a body that isn't sent.
        if (request->method == http::Method::head) wanted.wait_ms = 0;
        std::make_shared<Search>(context, *partition, wanted, streams, std::move(respond))->go_on();
      });
}

}  // namespace clickmill::api
