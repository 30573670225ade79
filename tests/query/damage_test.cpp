#include <catch2/catch.hpp>
#include <functional>

#include "base/query_params.h"
#include "click/parse.h"
#include "query/aggregate.h"
#include "store/shelf_file.h"
#include "stream/stream_fixture.h"

namespace clickmill::query {
namespace {

using stream::kPartition;
using stream::Pipeline;
using stream::RandomLog;
using stream::Stream;

/// Goal: whatever byte of a node's part files is wrong, no question is answered with other
/// counts. Method: a stream whose rows lie in parts of their own and in shared files of every
/// table, each byte of them falsified once, and read by a node that starts then: every question
/// is refused, naming the damage, or gives the answer from before.
class Asked {
 public:
  explicit Asked(uint64_t seed) : stream_(seed) {
    RandomLog log(seed);
    for (int i = 0; i < 28; ++i) {
      stream_.apply(log.next());
      if (i % 2 == 1) stream_.checkpoint();
      while (i < 22 && stream_.shelve()) stream_.checkpoint();
    }
    stream_.checkpoint();
    // As long as fits their buckets: the log begins at 2026-06-24T10:00:00Z.
    const std::string day = "&from=2026-06-24T08:00:00Z&to=2026-06-24T20:00:00Z";
    const std::string month = "&from=2026-06-20T00:00:00Z&to=2026-07-10T00:00:00Z";
    for (const char* who : {"ad_id=ad_0", "advertiser_id=adv_1", "advertiser_id=*"}) {
      for (const std::string& shape :
           {day + "&granularity=1m&breakdown=device_type",
            month + "&granularity=1h&breakdown=country", month + "&granularity=1d",
            month + "&granularity=1d&country=AE", kYear + "&granularity=total&automated=exclude",
            kYear + "&granularity=total&device_type=tablet"}) {
        ask(clicks_request(std::string(who) + shape + "&fill=none"), aggregate_clicks,
            render_clicks);
      }
    }
    for (const char* shape : {"", "&advertiser_id=adv_1", "&device_type=mobile", "&country=BE"})
      ask(std::get<TopRequest>(parse_top(parse_query(kYear.substr(1) + shape), 0)), aggregate_top,
          render_top);
    expected_ = answers(0, 1);
    for (const auto& answer : expected_) REQUIRE(answer.damaged.empty());
  }

  /// Of all its files, one after the other; and right again in the end.
  void falsify_every_byte() {
    for (const std::string& name : names()) {
      CAPTURE(name);
      const std::string path = "/store/" + name;
      const std::string bytes = *read_file(stream_.files(), path);
      const auto file = stream_.files().open(path, FileSystem::Open::write);
      REQUIRE(file);
      for (uint64_t at = 0; at < bytes.size(); ++at) {
        CAPTURE(at);
        const char wrong = static_cast<char>(bytes[at] ^ static_cast<char>(1 + random_.below(255)));
        REQUIRE((*file)->write_at(at, {&wrong, 1}));
        check(name, at);
        REQUIRE((*file)->write_at(at, {&bytes[at], 1}));
      }
      falsified += bytes.size();
    }
    REQUIRE(answers(0, 1) == expected_);
  }

  size_t shelved_files() const {
    size_t shared = 0;
    for (const std::string& name : names()) shared += store::Shelf::is_shelved(name) ? 1 : 0;
    return shared;
  }
  size_t files() const { return names().size(); }

  uint64_t falsified = 0;
  uint64_t refused = 0;

 private:
  struct Answer {
    std::string text;
    std::string damaged;  ///< instead: the file
    friend bool operator==(const Answer&, const Answer&) = default;
  };

  inline static const std::string kYear = "&from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z";
  static ClicksRequest clicks_request(const std::string& query) {
    auto parsed = parse_clicks(parse_query(query), 600'000);
    if (const auto* error = std::get_if<ParamError>(&parsed)) FAIL(error->field + error->detail);
    return std::get<ClicksRequest>(std::move(parsed));
  }
  std::vector<std::string> names() const { return stream_.files().list("/store").value(); }

  std::unique_ptr<Pipeline> start() {
    shelf_ = std::make_unique<store::Shelf>(stream_.files(), "/store");
    stream::hold_named(kPartition, stream_.store(), *shelf_);
    auto options = Stream::small_parts();
    options.seed = stream::kSeed;
    options.store_directory = "/store";
    options.shelf = shelf_.get();
    options.damaged_parts = true;
    auto opened = Pipeline::open(kPartition, stream_.store(), stream_.files(), options);
    if (!opened) FAIL(opened.error().text());
    return *std::move(opened);
  }

  template <typename Request, typename Aggregate, typename Render>
  void ask(const Request& request, const Aggregate& aggregate, const Render& render) {
    questions_.push_back([=](const Pipeline& pipeline) {
      const std::vector<store::Version> versions{pipeline.version(head_scan(request))};
      const auto answer = aggregate(request, versions);
      if (!answer) REQUIRE(answer.error().code() == Errc::corrupt);
      return answer ? Answer{render(request, *answer), ""} : Answer{"", answer.error().path()};
    });
  }

  /// Of each `of`th question from the `first` on.
  std::vector<Answer> answers(size_t first, size_t of) {
    const auto pipeline = start();
    std::vector<Answer> out;
    for (size_t i = first; i < questions_.size(); i += of) out.push_back(questions_[i](*pipeline));
    // Who reads everything.
    const auto version = pipeline->version(Stream::everything());
    whole_ = {};
    for (const auto& list : *version.parts) {
      const auto rows = store::read_merged(list, std::numeric_limits<int64_t>::min());
      if (!rows) whole_ = rows.error().path();
    }
    return out;
  }

  /// A byte of `name` is wrong. A quarter of the questions, and who reads everything.
  void check(const std::string& name, uint64_t at) {
    constexpr size_t kShares = 4;
    const auto got = answers(at % kShares, kShares);
    for (size_t i = 0; i < got.size(); ++i) {
      if (got[i].damaged.empty()) {
        REQUIRE(got[i].text == expected_[at % kShares + i * kShares].text);
        continue;
      }
      REQUIRE(got[i].damaged == "/store/" + name);
      REQUIRE(!whole_.empty());
      ++refused;
    }
    bool told = !whole_.empty();
    // What of a shared file is no part's is for who has no list of them.
    if (!told && store::Shelf::is_shared(name))
      told = !store::read_shelf(stream_.files(), "/store", name);
    REQUIRE(told);
  }

  mutable Stream stream_;
  Random random_{6};
  std::unique_ptr<store::Shelf> shelf_;
  std::vector<std::function<Answer(const Pipeline&)>> questions_;
  std::vector<Answer> expected_;
  std::string whole_;  ///< the file that a reader of everything found damaged; empty: none
};

}  // namespace

TEST_CASE("questions: whatever byte of a file is wrong, they are refused or answered right",
          "[query]") {
  Asked asked(3);
  CAPTURE(asked.files(), asked.shelved_files());
  REQUIRE(asked.shelved_files() >= 3);
  REQUIRE(asked.files() > asked.shelved_files());
  asked.falsify_every_byte();
  CAPTURE(asked.falsified);
  CHECK(asked.refused > asked.falsified);
}

}  // namespace clickmill::query
