#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/file_system.h"
#include "base/time_text.h"
#include "http/client.h"
#include "http/message.h"
#include "tools/progress.h"
#include "tools/recount_report.h"

namespace clickmill::tools {
namespace {

using nlohmann::json;

constexpr int64_t kTimeoutMs = 10'000;
constexpr auto kPollEvery = std::chrono::milliseconds(200);
constexpr size_t kPage = 500;
// A moment without an answer is no end: the node may be busy.
constexpr int kPatience = 5;
constexpr uint64_t kReplyMost = 8 << 20;

/// One recount on a running node: begun, followed to its end, and told.
class NodeRecount {
 public:
  NodeRecount(http::Client& client, const RecountArguments& request, const Print& print,
              const Print& tell)
      : client_(client), request_(request), print_(print), tell_(tell), progress_(clock_, tell) {}

  const std::set<uint32_t>& judged() const { return judged_; }

  Result<int> run() {
    std::string path = fmt::format("/v1/recounts?from={}&to={}", request_.from_ms, request_.to_ms);
    // An ad_id has no character that would have to be escaped.
    if (!request_.ad_id.empty()) path += "&ad_id=" + request_.ad_id;
    if (request_.repair) path += "&repair=true";
    const json begun = TRY(call(http::Method::post, path));
    path_ = fmt::format("/v1/recounts/{}", begun.at("id").get<uint64_t>());
    tell_(fmt::format("recounting {} to {} on {} ({}; DELETE it to end it early)",
                      format_time_ms(request_.from_ms), format_time_ms(request_.to_ms),
                      request_.node, path_));
    int failures = 0;
    while (true) {
      auto report = look();
      if (report && report->at("state") != "running" && report->at("data").empty())
        return finish(*report);
      failures = report ? 0 : failures + 1;
      if (failures > kPatience) return std::move(report).error();
      if (!report || report->at("data").empty()) std::this_thread::sleep_for(kPollEvery);
    }
  }

 private:
  Result<json> call(http::Method method, const std::string& path) {
    std::promise<Result<http::Client::Reply>> promise;
    auto answered = promise.get_future();
    client_.send(method, path, kTimeoutMs, [&promise](Result<http::Client::Reply> reply) {
      promise.set_value(std::move(reply));
    });
    const auto reply = TRY(answered.get());
    json body = json::parse(reply.body, nullptr, false);
    if (reply.status >= 200 && reply.status < 300 && body.is_object()) return body;
    const bool says_why = body.is_object() && body.contains("detail") && body["detail"].is_string();
    return Error(reply.status == 421 ? Errc::not_leader : Errc::invalid,
                 fmt::format("{} answered {}: {}", request_.node, reply.status,
                             says_why ? body["detail"].get<std::string>() : "no clickmill api?"));
  }

  /// What is new: lists the differences, says how far it is.
  Result<json> look() {
    json report =
        TRY(call(http::Method::get, fmt::format("{}?after={}&limit={}", path_, listed_, kPage)));
    for (const json& one : report.at("data")) {
      print_(one.at("detail").get<std::string>() +
             (one.at("repaired").get<bool>() ? " (repaired)" : ""));
      ++listed_;
    }
    const auto done = report.at("partitions_done").get<uint64_t>();
    const auto read = report.at("entries_read").get<uint64_t>();
    progress_.at([&] {
      return fmt::format("{} of {} partitions, {} log entries read, {} differ", done,
                         report.at("partitions").get<uint64_t>(), read,
                         report.at("differ").get<uint64_t>());
    });
    return report;
  }

  Result<int> finish(const json& report) {
    if (report.at("state") != "done") {
      const json& why = report.at("detail");
      return Error(Errc::closed,
                   fmt::format("the recount was {}: {}", report.at("state").get<std::string>(),
                               why.is_string() ? why.get<std::string>() : ""));
    }
    // A node of an earlier version holds all of them, or doesn't say.
    for (const json& id : report.value("partition_ids", json::array()))
      judged_.insert(id.get<uint32_t>());
    const auto differ = report.at("differ").get<uint64_t>();
    if (const json& from = report.at("judged_from"); from.is_string()) {
      const int64_t until_ms = parse_time_ms(from.get<std::string>()).value_or(request_.to_ms);
      tell_(cant_be_judged(request_, until_ms));
    }
    if (differ > listed_)
      tell_(fmt::format("{} more differ, which are not listed", differ - listed_));
    tell_(fmt::format(
        "{} clicks in the range, {} minutes of ads compared, {} differ{}",
        report.at("clicks").get<uint64_t>(), report.at("compared").get<uint64_t>(), differ,
        request_.repair ? fmt::format(", {} repaired", report.at("repaired").get<uint64_t>())
                        : ""));
    return differ == 0 ? 0 : 1;
  }

  http::Client& client_;
  const RecountArguments& request_;
  const Print& print_;
  const Print& tell_;
  const SystemClock clock_;
  Progress progress_;
  std::string path_;
  std::set<uint32_t> judged_;
  size_t listed_ = 0;
};

}  // namespace

Result<int> recount_node(const RecountArguments& request, const Print& print, const Print& tell,
                         std::set<uint32_t>* judged) {
  http::Client::Options options;
  auto url = http::parse_url(request.node);
  if (!url) return std::move(url).error().with_context("--node");
  options.url = *std::move(url);
  options.body_bytes_most = kReplyMost;
  if (!request.key_file.empty()) {
    PosixFileSystem files;
    std::string key = TRY(read_file(files, request.key_file));
    key.erase(key.find_last_not_of(" \r\n\t") + 1);
    if (key.find_first_of("\r\n") != std::string::npos)
      return Error(Errc::invalid, "--key-file: more than one line");
    options.headers.emplace_back("Authorization", "Bearer " + key);
  }
  http::Client client(std::move(options));
  client.start();
  NodeRecount recount(client, request, print, tell);
  auto code = recount.run();
  client.stop();
  if (judged != nullptr) judged->insert(recount.judged().begin(), recount.judged().end());
  return code;
}

}  // namespace clickmill::tools
