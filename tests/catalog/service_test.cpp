#include "catalog/service.h"

#include <catch2/catch.hpp>
#include <deque>

#include "simulation/sim_file_system.h"

namespace clickmill::catalog {
namespace {

using Kind = Finding::Kind;
using AnswerKind = SourceAnswer::Kind;

Ad ad_of(const std::string& ad_id, const std::string& url = "https://a.example/") {
  return {ad_id, "adv_1", "banner", url};
}

/// Keeps questions until the test answers them, in any order.
class ManualSource final : public Source {
 public:
  void fetch(const std::string& ad_id, std::function<void(SourceAnswer)> done) override {
    asked.push_back(ad_id);
    open.emplace_back(ad_id, std::move(done));
  }
  void answer(SourceAnswer answer) {
    auto [ad_id, done] = std::move(open.front());
    open.pop_front();
    done(std::move(answer));
  }
  void found(const std::string& url = "https://a.example/") {
    answer({AnswerKind::ad, ad_of(open.front().first, url), {}});
  }
  void absent() { answer({AnswerKind::no_ad, {}, {}}); }
  void fail() { answer({AnswerKind::failed, {}, "broken"}); }

  std::vector<std::string> asked;
  std::deque<std::pair<std::string, std::function<void(SourceAnswer)>>> open;
};

struct Fixture {
  explicit Fixture(Service::Options options = {}) : options_(std::move(options)) {
    options_.in_background = [](const std::function<void()>& task) {
      task();
      return true;
    };
    REQUIRE(files.create_directories("/data"));
    restart();
  }
  void restart() {
    service.reset();
    copy = Catalog::open(files, "/data").value();
    metrics = std::make_unique<Metrics>();
    service = std::make_unique<Service>(source, *copy, clock, options_, *metrics);
  }
  /// What the caller heard will stand at the answer's place.
  std::shared_ptr<std::vector<Finding>> look_up(const std::string& ad_id) {
    auto heard = std::make_shared<std::vector<Finding>>();
    service->look_up(ad_id, [heard](Finding finding) { heard->push_back(std::move(finding)); });
    return heard;
  }
  void pass(int64_t ms) {
    clock.advance_ms(ms);
    service->tick();
  }
  std::string url_of(const std::string& ad_id) {
    const auto finding = service->known(ad_id);
    if (!finding) return "?";
    return finding->ad != nullptr ? finding->ad->redirect_url : "none";
  }

  simulation::SimFileSystem files{1};
  ManualClock clock{1'000'000};
  ManualSource source;
  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<Catalog> copy;
  std::unique_ptr<Service> service;
  Service::Options options_;
};

Kind only(const std::vector<Finding>& heard) {
  REQUIRE(heard.size() == 1);
  return heard[0].kind;
}

}  // namespace

TEST_CASE("service: any number of callers for one ad cause one question", "[catalog]") {
  Fixture fixture;
  CHECK_FALSE(fixture.service->known("a").has_value());
  const auto first = fixture.look_up("a");
  const auto second = fixture.look_up("a");
  const auto other = fixture.look_up("b");
  CHECK(fixture.source.asked == std::vector<std::string>{"a", "b"});
  CHECK(first->empty());
  fixture.source.found();
  CHECK(only(*first) == Kind::ad);
  CHECK(first->at(0).ad->redirect_url == "https://a.example/");
  CHECK(only(*second) == Kind::ad);
  CHECK(other->empty());
  fixture.source.absent();
  CHECK(only(*other) == Kind::no_ad);
  CHECK(only(*fixture.look_up("a")) == Kind::ad);
  CHECK(fixture.source.asked.size() == 2);
}

TEST_CASE("service: an old answer serves until the new one is there", "[catalog]") {
  Fixture fixture;
  fixture.look_up("a");
  fixture.source.found("https://old.example/");
  fixture.pass(59'999);
  CHECK(fixture.url_of("a") == "https://old.example/");
  CHECK(fixture.source.asked.size() == 1);
  fixture.pass(1);
  CHECK(fixture.url_of("a") == "https://old.example/");
  CHECK(fixture.url_of("a") == "https://old.example/");
  CHECK(fixture.source.asked.size() == 2);
  fixture.source.found("https://new.example/");
  CHECK(fixture.url_of("a") == "https://new.example/");
  fixture.pass(60'000);
  CHECK(fixture.url_of("a") == "https://new.example/");
  fixture.source.absent();
  CHECK(fixture.url_of("a") == "none");
}

TEST_CASE("service: while it is down, what is known serves on and is asked for once a second",
          "[catalog]") {
  Fixture fixture;
  fixture.look_up("a");
  fixture.source.found();
  fixture.pass(60'000);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(fixture.url_of("a") == "https://a.example/");
    REQUIRE(fixture.source.asked.size() == 2 + i);
    fixture.source.fail();
    fixture.pass(999);
    CHECK(fixture.url_of("a") == "https://a.example/");
    CHECK(fixture.source.asked.size() == 2 + i);
    fixture.pass(1);
  }
}

TEST_CASE("service: no such ad is remembered, briefly", "[catalog]") {
  Fixture fixture;
  fixture.look_up("a");
  fixture.source.absent();
  fixture.pass(9'999);
  CHECK(only(*fixture.look_up("a")) == Kind::no_ad);
  CHECK(fixture.source.asked.size() == 1);
  fixture.pass(1);
  CHECK_FALSE(fixture.service->known("a").has_value());
  const auto heard = fixture.look_up("a");
  fixture.source.found();
  CHECK(only(*heard) == Kind::ad);
}

TEST_CASE("service: a failed question is asked once more, then its callers hear unavailable",
          "[catalog]") {
  Fixture fixture;
  const auto heard = fixture.look_up("a");
  fixture.source.fail();
  fixture.pass(19);
  CHECK(fixture.source.asked.size() == 1);
  fixture.pass(1);
  CHECK(fixture.source.asked.size() == 2);
  CHECK(heard->empty());
  fixture.source.fail();
  CHECK(only(*heard) == Kind::unavailable);
  // Nothing is remembered of it.
  const auto again = fixture.look_up("a");
  fixture.source.fail();
  fixture.pass(20);
  fixture.source.found();
  CHECK(only(*again) == Kind::ad);
}

TEST_CASE("service: a caller waits no longer than timeout_ms, a late answer helps the next",
          "[catalog]") {
  Fixture fixture;
  const auto first = fixture.look_up("a");
  fixture.pass(150);
  const auto second = fixture.look_up("a");
  fixture.pass(49);
  CHECK(first->empty());
  fixture.pass(1);
  CHECK(only(*first) == Kind::unavailable);
  CHECK(second->empty());
  fixture.pass(150);
  CHECK(only(*second) == Kind::unavailable);
  fixture.source.found();
  CHECK(first->size() + second->size() == 2);
  CHECK(only(*fixture.look_up("a")) == Kind::ad);
  CHECK(fixture.source.asked.size() == 1);
}

TEST_CASE("service: questions, callers and what is remembered are bounded", "[catalog]") {
  Service::Options options;
  options.questions_most = 2;
  options.callers_most = 3;
  options.absent_most = 2;
  options.ads_most = 2;
  Fixture fixture(options);
  SECTION("questions") {
    const auto first = fixture.look_up("a");
    fixture.look_up("b");
    CHECK(only(*fixture.look_up("c")) == Kind::unavailable);
    CHECK(fixture.source.asked.size() == 2);
    fixture.source.absent();
    CHECK(only(*first) == Kind::no_ad);
    CHECK(fixture.look_up("c")->empty());
  }
  SECTION("callers") {
    for (int i = 0; i < 3; ++i) CHECK(fixture.look_up("a")->empty());
    CHECK(only(*fixture.look_up("a")) == Kind::unavailable);
    fixture.pass(200);
    CHECK(fixture.look_up("a")->empty());
  }
  SECTION("absent ads: the oldest is forgotten, ads that exist are not") {
    fixture.look_up("real");
    fixture.source.found();
    for (const char* ad_id : {"a", "b", "c"}) {
      fixture.look_up(ad_id);
      fixture.source.absent();
    }
    CHECK(fixture.url_of("a") == "?");
    CHECK(fixture.url_of("b") == "none");
    CHECK(fixture.url_of("c") == "none");
    CHECK(fixture.url_of("real") == "https://a.example/");
  }
  SECTION("ads: one that was forgotten is taken from the copy and asked for again") {
    for (const char* ad_id : {"a", "b", "c"}) {
      fixture.look_up(ad_id);
      fixture.source.found();
    }
    fixture.service->tick();
    CHECK(fixture.metrics->render().find("\nclickmill_catalog_known_ads 2\n") != std::string::npos);
    CHECK(fixture.url_of("a") == "https://a.example/");
    CHECK(fixture.metrics->render().find("\nclickmill_catalog_known_ads 2\n") != std::string::npos);
    CHECK(fixture.source.asked.size() == 4);
  }
}

TEST_CASE("service: a restart knows what the service had told", "[catalog]") {
  Fixture fixture;
  for (const char* ad_id : {"a", "b"}) {
    fixture.look_up(ad_id);
    fixture.source.found();
  }
  fixture.service->tick();
  CHECK(fixture.copy->snapshot()->size() == 2);
  fixture.restart();
  CHECK(fixture.url_of("a") == "https://a.example/");
  CHECK(fixture.source.asked.size() == 3);
  fixture.source.absent();
  CHECK(fixture.url_of("a") == "none");
  fixture.service->tick();
  CHECK(fixture.copy->snapshot()->find("a") == nullptr);
  fixture.restart();
  CHECK(fixture.url_of("a") == "?");
  CHECK(fixture.url_of("b") == "https://a.example/");
}

TEST_CASE("source: only 200 with the right ad and 404 are answers", "[catalog]") {
  const auto kind_of = [](int status, const std::string& body) {
    return answer_of("a", http::Client::Reply{status, body}).kind;
  };
  const std::string rest = R"(,"advertiser_id":"adv_1","ad_format":"video","redirect_url":")";
  CHECK(kind_of(200, R"({"ad_id":"a")" + rest + R"(https://a.example/"})") == AnswerKind::ad);
  CHECK(kind_of(404, "whatever") == AnswerKind::no_ad);
  CHECK(kind_of(200, R"({"ad_id":"b")" + rest + R"(https://a.example/"})") == AnswerKind::failed);
  CHECK(kind_of(200, R"({"ad_id":"a")" + rest + R"x(javascript:alert(1)"})x") ==
        AnswerKind::failed);
  const std::string split = R"({"ad_id":"a")" + rest + "https://a.example/\r\nSet-Cookie: x\"}";
  CHECK(kind_of(200, split) == AnswerKind::failed);
  CHECK(kind_of(200, "") == AnswerKind::failed);
  CHECK(kind_of(200, "<html>") == AnswerKind::failed);
  for (const int status : {201, 204, 301, 302, 400, 401, 403, 410, 429, 500, 503}) {
    CAPTURE(status);
    CHECK(kind_of(status, R"({"ad_id":"a")" + rest + R"(https://a.example/"})") ==
          AnswerKind::failed);
  }
  CHECK(answer_of("a", Error(Errc::io, "gone")).kind == AnswerKind::failed);
}

}  // namespace clickmill::catalog
