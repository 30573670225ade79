#include "catalog/source.h"

#include <fmt/format.h>

namespace clickmill::catalog {
namespace {

class HttpSource final : public Source {
 public:
  HttpSource(http::Client& client, int64_t timeout_ms) : client_(client), timeout_ms_(timeout_ms) {}
  void fetch(const std::string& ad_id, std::function<void(SourceAnswer)> done) override {
    // The only ad_ids that mean something else in a path (RFC 3986, 5.2.4), escaped or not.
    if (ad_id == "." || ad_id == "..") return done({SourceAnswer::Kind::no_ad, {}, {}});
    client_.get("/" + ad_id, timeout_ms_,
                [ad_id, done = std::move(done)](const Result<http::Client::Reply>& reply) {
                  done(answer_of(ad_id, reply));
                });
  }

 private:
  http::Client& client_;
  const int64_t timeout_ms_;
};

}  // namespace

SourceAnswer answer_of(const std::string& ad_id, const Result<http::Client::Reply>& reply) {
  SourceAnswer answer;
  if (!reply) {
    answer.why = reply.error().message();
  } else if (reply->status == 404) {
    answer.kind = SourceAnswer::Kind::no_ad;
  } else if (reply->status != 200) {
    answer.why = fmt::format("status {}", reply->status);
  } else if (const auto wrong = parse_ad(reply->body, ad_id, answer.ad)) {
    answer.why = wrong->field.empty() ? wrong->detail : wrong->field + ": " + wrong->detail;
  } else {
    answer.kind = SourceAnswer::Kind::ad;
  }
  return answer;
}

std::unique_ptr<Source> open_http_source(http::Client& client, int64_t timeout_ms) {
  return std::make_unique<HttpSource>(client, timeout_ms);
}

}  // namespace clickmill::catalog
