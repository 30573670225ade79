#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "catalog/catalog.h"
#include "catalog/lookup.h"
#include "catalog/source.h"

namespace clickmill::catalog {

/// The ads of a configuration service, asked for one by one and remembered.
///
/// A known ad is answered at once. Once older than ttl_s it is asked for again
/// in the background, and the old answer serves until the new one is there; while
/// the service is down it serves on. "No such ad" is remembered too, briefly.
/// Any number of callers that ask for one ad at the same time cause one question;
/// one that failed is asked once more before they hear unavailable.
///
/// What was found is kept in the node's own catalog, so that a restart knows it
/// while the service is away. That catalog is only a copy: nobody else writes it.
///
/// Bounds: ads and absent ads remembered, questions open, callers waiting; a
/// caller beyond them hears unavailable at once. Absent ads and questions are all
/// that a stranger with invented ad_ids can fill, and ads known stay answered.
/// Thread: any. One mutex guards it all: a question and the callers it gathers
/// must not miss each other. Only the copy's snapshot is taken under it; callbacks
/// run outside.
class Service final : public Lookup {
 public:
  /// Runs a task that may wait for the disk; false: not now.
  using InBackground = std::function<bool(std::function<void()>)>;
  struct Options {
    int64_t timeout_ms = 200;  ///< a caller waits no longer
    int64_t ttl_ms = 60'000;
    int64_t absent_ttl_ms = 10'000;
    int64_t retry_ms = 20;       ///< until a failed question is asked again
    int64_t recover_ms = 1'000;  ///< until a failed refresh is tried again
    size_t ads_most = 1'000'000;
    size_t absent_most = 100'000;
    size_t questions_most = 4'096;
    size_t callers_most = 16'384;
    InBackground in_background = nullptr;  ///< must be given
  };

  /// All but the options are borrowed.
  Service(Source& source, Catalog& copy, const Clock& clock, Options options, Metrics& metrics);

  std::optional<Finding> known(std::string_view ad_id) override;
  /// At the latest `timeout_ms` later by tick().
  void look_up(std::string_view ad_id, Done done) override;
  /// Ends what waits too long, asks again what failed, writes what was found. Call
  /// every few milliseconds.
  void tick();

  uint64_t questions() const { return static_cast<uint64_t>(open_.value()); }

 private:
  using Order = std::list<std::string>;
  struct Entry {
    std::shared_ptr<const Ad> ad;  ///< null: there is no such ad
    int64_t fresh_until_ns = 0;
    Order::iterator place;
  };
  struct Caller {
    int64_t deadline_ns;
    Done done;
  };
  struct Question {
    std::vector<Caller> callers;  ///< in order of their deadlines
    int failures = 0;
    int64_t ask_at_ns = 0;  ///< 0: under way
  };
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  template <typename Value>
  using ById = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;

  std::optional<Finding> recall(std::string_view ad_id, bool& refresh);
  void remember(const std::string& ad_id, std::shared_ptr<const Ad> ad, int64_t fresh_until_ns);
  void forget(ById<Entry>::iterator entry);
  void ask(const std::string& ad_id);
  void on_answer(const std::string& ad_id, SourceAnswer&& answer);
  std::vector<Caller> take_in(const std::string& ad_id, SourceAnswer& answer, Finding& finding);
  void keep(const std::string& ad_id, const std::shared_ptr<const Ad>& ad);
  void write_changes();
  void complain(const std::string& ad_id, const std::string& why);

  Source& source_;
  Catalog& copy_;
  const Clock& clock_;
  const Options options_;
  Counter& found_;
  Counter& absent_;
  Counter& failed_;
  Counter& refused_;
  Gauge& open_;
  Gauge& known_ads_;

  std::mutex mutex_;
  ById<Entry> entries_;
  Order ads_order_;     ///< oldest first
  Order absent_order_;  ///< oldest first
  ById<Question> questions_;
  size_t callers_ = 0;
  ById<std::shared_ptr<const Ad>> changes_;  ///< not yet in the copy; null: remove
  bool writing_ = false;
  int64_t next_complaint_ns_ = 0;
};

}  // namespace clickmill::catalog
