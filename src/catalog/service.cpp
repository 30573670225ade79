#include "catalog/service.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/logging.h"

namespace clickmill::catalog {
namespace {

constexpr int kAttempts = 2;
constexpr int64_t kComplaintPauseNs = 10'000'000'000;
constexpr int64_t ns(int64_t ms) { return ms * 1'000'000; }

Finding finding_of(std::shared_ptr<const Ad> ad) {
  const auto kind = ad != nullptr ? Finding::Kind::ad : Finding::Kind::no_ad;
  return {kind, std::move(ad)};
}

}  // namespace

Service::Service(Source& source, Catalog& copy, const Clock& clock, Options options,
                 Metrics& metrics)
    : source_(source),
      copy_(copy),
      clock_(clock),
      options_(std::move(options)),
      found_(metrics.counter("clickmill_catalog_answers_total",
                             "Answers of the configuration service.", "result=\"ad\"")),
      absent_(metrics.counter("clickmill_catalog_answers_total",
                              "Answers of the configuration service.", "result=\"no_ad\"")),
      failed_(metrics.counter("clickmill_catalog_answers_total",
                              "Answers of the configuration service.", "result=\"failed\"")),
      refused_(metrics.counter("clickmill_catalog_refused_total",
                               "Look-ups not made because too many were open already.")),
      open_(metrics.gauge("clickmill_catalog_questions",
                          "Questions to the configuration service not yet answered.")),
      known_ads_(metrics.gauge("clickmill_catalog_known_ads",
                               "Ads of the configuration service in memory.")) {}

std::optional<Finding> Service::known(std::string_view ad_id) {
  bool refresh = false;
  std::optional<Finding> finding;
  {
    std::lock_guard lock(mutex_);
    finding = recall(ad_id, refresh);
  }
  if (refresh) ask(std::string(ad_id));
  return finding;
}

/// `refresh`: the caller shall ask, a question for that has been entered.
std::optional<Finding> Service::recall(std::string_view ad_id, bool& refresh) {
  auto at = entries_.find(ad_id);
  if (at == entries_.end()) {
    // An earlier run may have known it.
    const auto copied = copy_.snapshot();
    const Ad* const ad = copied->find(ad_id);
    if (ad == nullptr) return std::nullopt;
    remember(std::string(ad_id), std::make_shared<const Ad>(*ad), 0);
    at = entries_.find(ad_id);
  }
  Entry& entry = at->second;
  if (clock_.monotonic_ns() >= entry.fresh_until_ns) {
    if (entry.ad == nullptr) return std::nullopt;
    const bool room = questions_.size() < options_.questions_most;
    if (room && questions_.try_emplace(std::string(ad_id)).second) {
      refresh = true;
      open_.add(1);
    }
  }
  return finding_of(entry.ad);
}

void Service::look_up(std::string_view ad_id, Done done) {
  bool asks = false;
  std::optional<Finding> finding;
  {
    std::lock_guard lock(mutex_);
    finding = recall(ad_id, asks);
    if (!finding) {
      const auto at = questions_.find(ad_id);
      const bool is_new = at == questions_.end();
      if (callers_ >= options_.callers_most ||
          (is_new && questions_.size() >= options_.questions_most)) {
        refused_.add();
        finding = Finding{};
      } else {
        Question& question = is_new ? questions_[std::string(ad_id)] : at->second;
        question.callers.push_back(
            {clock_.monotonic_ns() + ns(options_.timeout_ms), std::move(done)});
        ++callers_;
        if (is_new) open_.add(1);
        asks = is_new;
      }
    }
  }
  if (asks) ask(std::string(ad_id));
  if (finding) done(*std::move(finding));
}

void Service::ask(const std::string& ad_id) {
  source_.fetch(ad_id, [this, ad_id](SourceAnswer answer) { on_answer(ad_id, std::move(answer)); });
}

void Service::on_answer(const std::string& ad_id, SourceAnswer&& answer) {
  Finding finding;
  std::vector<Caller> callers;
  {
    std::lock_guard lock(mutex_);
    callers = take_in(ad_id, answer, finding);
  }
  for (Caller& caller : callers) caller.done(finding);
}

/// Gives those who can be answered now.
std::vector<Service::Caller> Service::take_in(const std::string& ad_id, SourceAnswer& answer,
                                              Finding& finding) {
  const int64_t now = clock_.monotonic_ns();
  const auto at = questions_.find(ad_id);
  CM_ASSERT(at != questions_.end());
  Question& question = at->second;
  if (answer.kind == SourceAnswer::Kind::failed) {
    failed_.add();
    complain(ad_id, answer.why);
    if (++question.failures < kAttempts && !question.callers.empty()) {
      question.ask_at_ns = now + ns(options_.retry_ms);
      return {};
    }
    if (const auto known = entries_.find(ad_id); known != entries_.end()) {
      known->second.fresh_until_ns = now + ns(options_.recover_ms);
    }
  } else {
    const bool found = answer.kind == SourceAnswer::Kind::ad;
    (found ? found_ : absent_).add();
    auto ad = found ? std::make_shared<const Ad>(std::move(answer.ad)) : nullptr;
    remember(ad_id, ad, now + ns(found ? options_.ttl_ms : options_.absent_ttl_ms));
    keep(ad_id, ad);
    finding = finding_of(std::move(ad));
  }
  auto callers = std::move(question.callers);
  callers_ -= callers.size();
  questions_.erase(at);
  open_.add(-1);
  return callers;
}

void Service::remember(const std::string& ad_id, std::shared_ptr<const Ad> ad,
                       int64_t fresh_until_ns) {
  if (const auto old = entries_.find(ad_id); old != entries_.end()) forget(old);
  Order& order = ad != nullptr ? ads_order_ : absent_order_;
  const size_t most = ad != nullptr ? options_.ads_most : options_.absent_most;
  while (order.size() >= most) forget(entries_.find(order.front()));
  known_ads_.add(ad != nullptr ? 1 : 0);
  order.push_back(ad_id);
  entries_.emplace(ad_id, Entry{std::move(ad), fresh_until_ns, std::prev(order.end())});
}

void Service::forget(ById<Entry>::iterator entry) {
  const bool is_ad = entry->second.ad != nullptr;
  known_ads_.add(is_ad ? -1 : 0);
  (is_ad ? ads_order_ : absent_order_).erase(entry->second.place);
  entries_.erase(entry);
}

/// Notes what the copy on disk must be told.
void Service::keep(const std::string& ad_id, const std::shared_ptr<const Ad>& ad) {
  const auto copied = copy_.snapshot();
  const Ad* const before = copied->find(ad_id);
  const bool same = ad != nullptr ? before != nullptr && *before == *ad : before == nullptr;
  if (same) {
    changes_.erase(ad_id);
  } else {
    changes_[ad_id] = ad;
  }
}

void Service::write_changes() {
  ById<std::shared_ptr<const Ad>> changes;
  {
    std::lock_guard lock(mutex_);
    changes.swap(changes_);
  }
  std::vector<Ad> ads;
  Status done;
  for (const auto& [ad_id, ad] : changes) {
    if (ad != nullptr) {
      ads.push_back(*ad);
    } else if (auto removed = copy_.remove(ad_id); !removed) {
      done = std::move(removed).error();
    }
  }
  if (auto put = copy_.put_all(ads); !put) done = std::move(put).error();
  // They stay in memory all the same, and are written again when they change or are refreshed.
  if (!done)
    log_warn("catalog",
             "what the configuration service told can't be kept: " + done.error().text());
  std::lock_guard lock(mutex_);
  writing_ = false;
}

void Service::tick() {
  const int64_t now = clock_.monotonic_ns();
  std::vector<Caller> late;
  std::vector<std::string> due;
  bool writes = false;
  {
    std::lock_guard lock(mutex_);
    for (auto& [ad_id, question] : questions_) {
      auto& callers = question.callers;
      const auto in_time =
          std::find_if(callers.begin(), callers.end(),
                       [now](const Caller& caller) { return caller.deadline_ns > now; });
      std::move(callers.begin(), in_time, std::back_inserter(late));
      callers.erase(callers.begin(), in_time);
      if (question.ask_at_ns == 0 || question.ask_at_ns > now) continue;
      question.ask_at_ns = 0;
      due.push_back(ad_id);
    }
    callers_ -= late.size();
    writes = !changes_.empty() && !std::exchange(writing_, true);
  }
  for (const std::string& ad_id : due) ask(ad_id);
  for (Caller& caller : late) caller.done({});
  if (writes && !options_.in_background([this] { write_changes(); })) {
    std::lock_guard lock(mutex_);
    writing_ = false;
  }
}

void Service::complain(const std::string& ad_id, const std::string& why) {
  const int64_t now = clock_.monotonic_ns();
  if (now < next_complaint_ns_) return;
  next_complaint_ns_ = now + kComplaintPauseNs;
  log_warn("catalog",
           fmt::format("the configuration service has no answer for ad {}: {}", ad_id, why));
}

}  // namespace clickmill::catalog
