#include <algorithm>
#include <catch2/catch.hpp>
#include <future>
#include <mutex>
#include <vector>

#include "api/context.h"

namespace clickmill::api {

TEST_CASE("api: beyond what may wait a question is refused at once, and told when to come again",
          "[api]") {
  TaskPool pool("query", 1, 2);
  std::promise<void> begun;
  std::promise<void> go_on;
  std::vector<http::Response> answers;
  std::mutex mutex;  // guards the answers
  const auto responder = [&] {
    return http::Responder([&](http::Response&& response) {
      std::lock_guard lock(mutex);
      answers.push_back(std::move(response));
    });
  };
  run_task(pool, responder(), [&] {
    begun.set_value();
    go_on.get_future().wait();
    return http::json_response("{}");
  });
  begun.get_future().wait();
  for (int i = 0; i < 2; ++i) run_task(pool, responder(), [] { return http::json_response("{}"); });
  {
    std::lock_guard lock(mutex);
    REQUIRE(answers.empty());
  }
  run_task(pool, responder(), [] { return http::json_response("{}"); });
  {
    std::lock_guard lock(mutex);
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].status == 503);
    const auto& headers = answers[0].headers;
    CHECK(std::find(headers.begin(), headers.end(),
                    std::pair<std::string, std::string>("Retry-After", "1")) != headers.end());
  }
  go_on.set_value();
  // Those that wait when it stops are answered too, by their Responders' end.
  pool.stop();
  REQUIRE(answers.size() == 4);
}

}  // namespace clickmill::api
