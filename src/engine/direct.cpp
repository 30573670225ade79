#include "engine/direct.h"

#include <array>
#include <atomic>
#include <chrono>
#include <exception>
#include <future>
#include <mutex>
#include <thread>
#include <unordered_set>
#include <utility>

#include "base/logging.h"
#include "click/fields.h"
#include "query/counts.h"

namespace clickmill::engine {
namespace {

using Kind = RequestError::Kind;

constexpr auto kPatience = std::chrono::seconds(5);
constexpr auto kAskAgain = std::chrono::milliseconds(10);

[[noreturn]] void fail(const Error& error) {
  switch (error.code()) {
    case Errc::busy:
    case Errc::closed:
    case Errc::no_space:
    case Errc::not_leader: throw RequestError(Kind::unavailable, "", error.message());
    case Errc::invalid: throw RequestError(Kind::invalid, "", error.message());
    case Errc::not_found: throw RequestError(Kind::not_found, "", error.message());
    case Errc::corrupt:
    case Errc::io: break;
  }
  throw RequestError(Kind::failed, "", error.text());
}

[[noreturn]] void fail(const query::Refusal& refusal) {
  if (refusal.error) fail(*refusal.error);
  throw RequestError(refusal.not_found ? Kind::not_found : Kind::invalid, refusal.wrong.field,
                     refusal.wrong.detail);
}

click::ParsedClick parsed(const Click& given) {
  using click::Field;
  using click::FlatValue;
  click::FieldValues values;
  const auto text = [&](Field field, const std::string& value) {
    if (!value.empty()) values[static_cast<size_t>(field)] = {FlatValue::Kind::string, 0, value};
  };
  text(Field::click_id, given.click_id);
  text(Field::ad_id, given.ad_id);
  text(Field::device_type, given.device_type);
  text(Field::country, given.country);
  text(Field::user_id, given.user_id);
  text(Field::ip, given.ip);
  text(Field::user_agent, given.user_agent);
  text(Field::referrer, given.referrer);
  if (given.timestamp_ms != 0)
    values[static_cast<size_t>(Field::timestamp_ms)] = {
        FlatValue::Kind::integer, given.timestamp_ms, {}};
  if (given.automated)
    values[static_cast<size_t>(Field::automated)] = {
        FlatValue::Kind::boolean, *given.automated ? 1 : 0, {}};
  click::ParsedClick out;
  if (auto wrong = click::take_fields(std::move(values), click::Sender::person, out))
    throw RequestError(Kind::invalid, std::move(wrong->field), wrong->detail);
  if (out.timestamp_ms && *out.timestamp_ms < click::kEarliestMeantMs) {
    throw RequestError(Kind::invalid, "timestamp_ms",
                       std::to_string(*out.timestamp_ms) +
                           " can only be seconds; milliseconds since 1970 are needed");
  }
  return out;
}

/// Where the ad leads; asks the configuration service, where there is one, and waits for it.
collector::Intake::Target target_of(const collector::Intake& intake, const std::string& ad_id) {
  auto target = intake.known_target(ad_id);
  if (!target) {
    std::promise<collector::Intake::Target> told;
    intake.ask_target(ad_id,
                      [&](const collector::Intake::Target& found) { told.set_value(found); });
    target = told.get_future().get();
  }
  if (!target->url.empty()) return *std::move(target);
  if (!target->ad_pending) throw RequestError(Kind::not_found, "ad_id", "no such ad: " + ad_id);
  throw RequestError(Kind::unavailable, "ad_id",
                     "the configuration service does not say where ad " + ad_id + " leads");
}

query::Sources sources_of(const api::Context& context) {
  query::Sources sources{context.catalog, context.reader, context.partitions, context.retention};
  sources.elsewhere = context.scattered;
  return sources;
}

/// What a program asks right after a start waits a moment, as a request of HTTP does.
template <typename Ask>
auto with_patience(const std::atomic<bool>& closed, Ask ask) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (true) {
    auto answer = ask();
    const auto* refused = std::get_if<query::Refusal>(&answer);
    if (refused == nullptr) return std::get<0>(std::move(answer));
    const bool busy = refused->error && refused->error->code() == Errc::busy;
    if (!busy || closed || std::chrono::steady_clock::now() >= until) fail(*refused);
    std::this_thread::sleep_for(kAskAgain);
  }
}

/// As a query string would have said it: then one reader checks all.
class Asked {
 public:
  void add(std::string name, std::string value) {
    params_.items.emplace_back(std::move(name), std::move(value));
  }
  void add_given(std::string name, const std::string& value) {
    if (!value.empty()) add(std::move(name), value);
  }
  void add_range(int64_t from_ms, int64_t to_ms) {
    add("from", std::to_string(from_ms));
    add("to", std::to_string(to_ms));
  }
  const QueryParams& params() const { return params_; }

 private:
  QueryParams params_;
};

std::string name_of(Automated automated) {
  constexpr std::array kNames{"include", "exclude", "only"};
  return kNames.at(static_cast<size_t>(automated));
}

QueryParams params_of(const CountsQuery& query) {
  constexpr std::array kGranularities{"1m", "1h", "1d", "total"};
  Asked asked;
  asked.add_given("ad_id", query.ad_id);
  asked.add_given("advertiser_id", query.advertiser_id);
  asked.add_range(query.from_ms, query.to_ms);
  asked.add("granularity", kGranularities.at(static_cast<size_t>(query.granularity)));
  asked.add_given("timezone", query.timezone);
  if (query.breakdown == Breakdown::device_type) asked.add("breakdown", "device_type");
  if (query.breakdown == Breakdown::country) asked.add("breakdown", "country");
  asked.add_given("device_type", query.device_type);
  asked.add_given("country", query.country);
  asked.add("automated", name_of(query.automated));
  asked.add("fill", query.empty_buckets ? "zero" : "none");
  return asked.params();
}

QueryParams params_of(const TopQuery& query) {
  Asked asked;
  asked.add("n", std::to_string(query.n));
  asked.add_range(query.from_ms, query.to_ms);
  asked.add_given("advertiser_id", query.advertiser_id);
  asked.add_given("device_type", query.device_type);
  asked.add_given("country", query.country);
  asked.add("automated", name_of(query.automated));
  return asked.params();
}

Bucket bucket_of(const query::ClicksRequest& request, const query::Bucket& found) {
  Bucket bucket;
  bucket.start_ms = found.start_ms;
  bucket.clicks = found.clicks;
  if (!request.device && !request.country) bucket.unique_users = found.unique_users;
  bucket.automated_clicks = found.automated;
  bucket.complete = found.complete;
  if (request.breakdown == query::Breakdown::device_type) {
    for (size_t i = 0; i < click::kDevices; ++i)
      bucket.breakdown.emplace(click::to_string(static_cast<click::Device>(i)), found.devices[i]);
  }
  if (request.breakdown == query::Breakdown::country) {
    for (const auto& [country, clicks] : found.countries) {
      if (clicks > 0) bucket.breakdown.emplace(click::to_string_country(country), clicks);
    }
  }
  return bucket;
}

}  // namespace

/// Those that wait for their commit: the spool doesn't keep them. The mutex guards the set,
/// between callers, workers and settle().
class Direct::Answers {
 public:
  void keep(std::shared_ptr<Answer> answer) {
    const std::lock_guard lock(mutex_);
    kept_.insert(std::move(answer));
  }
  void forget(const std::shared_ptr<Answer>& answer) {
    const std::lock_guard lock(mutex_);
    kept_.erase(answer);
  }
  std::unordered_set<std::shared_ptr<Answer>> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(kept_, {});
  }

 private:
  std::mutex mutex_;
  std::unordered_set<std::shared_ptr<Answer>> kept_;
};

/// One click until its fate is known; who tells it first is heard.
class Direct::Answer final : public collector::ClickAnswer,
                             public std::enable_shared_from_this<Answer> {
 public:
  Answer(collector::Durability durability, std::function<void(Fate)> told, Counter& dropped,
         std::shared_ptr<Answers> answers)
      : durability_(durability),
        told_(std::move(told)),
        dropped_(dropped),
        answers_(std::move(answers)) {}
  void written() override {
    if (durability_ == collector::Durability::written) tell(Fate::durable);
  }
  void durable() override {
    if (!waits_for_commit()) tell(Fate::durable);
  }
  bool waits_for_commit() const override {
    return durability_ == collector::Durability::replicated;
  }
  void committed() override { tell(Fate::durable); }
  void failed() override {
    dropped_.add();
    tell(Fate::dropped);
  }
  void tell(Fate fate) {
    if (told_once_.exchange(true)) return;
    try {
      if (told_) told_(fate);
    } catch (const std::exception& error) {
      log_error("embed", std::string("what is told a click's fate threw: ") + error.what());
    } catch (...) {
      log_error("embed", "what is told a click's fate threw");
    }
    told_ = nullptr;
    if (waits_for_commit()) answers_->forget(shared_from_this());
  }

 private:
  const collector::Durability durability_;
  std::function<void(Fate)> told_;
  Counter& dropped_;
  const std::shared_ptr<Answers> answers_;
  std::atomic<bool> told_once_{false};
};

Direct::Direct(api::Context& context) : context_(context), answers_(std::make_shared<Answers>()) {}
Direct::~Direct() = default;

std::shared_lock<std::shared_mutex> Direct::enter() {
  std::shared_lock lock(gate_);
  if (closed_) throw RequestError(Kind::unavailable, "", "the node was stopped");
  return lock;
}

void Direct::close() {
  closed_ = true;
  // Who came before that is inside, and has until here.
  const std::lock_guard lock(gate_);
}

void Direct::settle() {
  for (const auto& answer : answers_->take()) answer->tell(Fate::undecided);
}

std::string Direct::record(const Click& given, std::function<void(Fate)> told) {
  const auto inside = enter();
  const click::ParsedClick click = parsed(given);
  collector::ClickEndpoint& clicks = context_.clicks;
  const auto target = target_of(clicks.intake(), click.ad_id);
  auto answer = std::make_shared<Answer>(clicks.durability(), std::move(told),
                                         clicks.dropped_counter(), answers_);
  if (answer->waits_for_commit()) answers_->keep(answer);
  const bool spooled =
      clicks.intake().spool(click, {}, target, 0, log::Lane::redirects, answer).has_value();
  if (!spooled) {
    answer->failed();
  } else if (clicks.durability() == collector::Durability::memory) {
    answer->tell(Fate::durable);
  }
  return std::string(target.url);
}

Counts Direct::counts(const CountsQuery& query) {
  const auto inside = enter();
  auto read = query::parse_clicks(params_of(query), context_.max_points);
  if (const auto* wrong = std::get_if<ParamError>(&read))
    throw RequestError(Kind::invalid, wrong->field, wrong->detail);
  auto& request = std::get<query::ClicksRequest>(read);
  const query::ClicksAnswer answer = with_patience(
      closed_, [&] { return query::count_clicks(sources_of(context_), std::nullopt, request); });
  Counts counts;
  counts.advertiser_id = answer.advertiser_id;
  counts.from_ms = request.from_ms;
  counts.to_ms = request.to_ms;
  counts.series.reserve(answer.data.size());
  for (const auto& bucket : answer.data) counts.series.push_back(bucket_of(request, bucket));
  counts.total = bucket_of(request, answer.total);
  counts.as_of_ms = answer.as_of_ms;
  return counts;
}

Top Direct::top(const TopQuery& query) {
  const auto inside = enter();
  auto read = query::parse_top(params_of(query), context_.clock.wall_ms());
  if (const auto* wrong = std::get_if<ParamError>(&read))
    throw RequestError(Kind::invalid, wrong->field, wrong->detail);
  auto& request = std::get<query::TopRequest>(read);
  const query::TopAnswer answer = with_patience(
      closed_, [&] { return query::count_top(sources_of(context_), std::nullopt, request); });
  Top top;
  for (const auto& [ad_id, advertiser_id, clicks, automated] : answer.data)
    top.ads.push_back({ad_id, advertiser_id, clicks, automated});
  top.total_clicks = answer.total_clicks;
  top.total_automated_clicks = answer.total_automated;
  top.as_of_ms = answer.as_of_ms;
  return top;
}

void Direct::refuse_foreign_ads() const {
  if (context_.catalog_url.empty()) return;
  throw RequestError(Kind::invalid, "catalog.source",
                     "ads are kept by the configuration service at " + context_.catalog_url);
}

bool Direct::put_ad(const Ad& given) {
  const auto inside = enter();
  refuse_foreign_ads();
  catalog::Ad ad;
  ad.ad_id = given.ad_id;
  ad.advertiser_id = given.advertiser_id;
  ad.ad_format = given.ad_format;
  ad.redirect_url = given.redirect_url;
  if (const auto wrong = catalog::check_ad(ad))
    throw RequestError(Kind::invalid, wrong->field, wrong->detail);
  const auto is_new = context_.catalog.put(ad);
  if (!is_new) fail(is_new.error());
  return *is_new;
}

bool Direct::remove_ad(const std::string& ad_id) {
  const auto inside = enter();
  refuse_foreign_ads();
  const auto removed = context_.catalog.remove(ad_id);
  if (!removed) fail(removed.error());
  return *removed;
}

std::optional<Ad> Direct::find_ad(const std::string& ad_id) {
  const auto inside = enter();
  const auto ads = context_.catalog.snapshot();
  const catalog::Ad* ad = ads->find(ad_id);
  if (ad == nullptr) return std::nullopt;
  return Ad{ad->ad_id, ad->advertiser_id, ad->ad_format, ad->redirect_url};
}

std::vector<std::string> Direct::not_ready() {
  const auto inside = enter();
  return context_.not_ready();
}

}  // namespace clickmill::engine
