#include "questions.h"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "api_client.h"
#include "histogram.h"

namespace clickmill::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Kind {
  std::string name;
  std::vector<std::string> targets;
};

Result<std::vector<Kind>> read_kinds(const std::string& path) {
  std::ifstream file(path);
  std::vector<Kind> kinds;
  for (std::string line; std::getline(file, line);) {
    const size_t tab = line.find('\t');
    if (tab == std::string::npos) return Error(Errc::invalid, "wants name, tab, target", path);
    const std::string name = line.substr(0, tab);
    if (kinds.empty() || kinds.back().name != name) kinds.push_back({name, {}});
    kinds.back().targets.push_back(line.substr(tab + 1));
  }
  if (kinds.empty()) return Error(Errc::invalid, "holds no question", path);
  return kinds;
}

/// What the threads of a process have run so far.
uint64_t cpu_ns(uint64_t pid) {
  uint64_t sum = 0;
  std::error_code error;
  for (const auto& task :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid), error)) {
    uint64_t ns = 0;
    std::ifstream(task.path() / "schedstat") >> ns;
    sum += ns;
  }
  return sum;
}

/// The clients that ask one kind of question, and what they measured.
class Asking {
 public:
  Asking(const QuestionsOptions& options, const Kind& kind) : options_(options), kind_(kind) {}

  Status run() {
    const uint64_t cpu_before = options_.pid == 0 ? 0 : cpu_ns(options_.pid);
    until_ = Clock::now() + std::chrono::milliseconds(options_.milliseconds);
    std::vector<std::thread> threads;
    for (uint32_t i = 0; i < options_.clients; ++i) threads.emplace_back([this] { ask(); });
    for (std::thread& thread : threads) thread.join();
    if (failure_) return *std::move(failure_);
    const double cpu = options_.pid == 0 ? 0
                                         : static_cast<double>(cpu_ns(options_.pid) - cpu_before) /
                                               static_cast<double>(latency_.count());
    fmt::print("{}\t{}\t{}\t{:.3f}\t{:.3f}\t{:.3f}\t{:.0f}\n", kind_.name, options_.clients,
               latency_.count(), ms(latency_.percentile(0.5)), ms(latency_.percentile(0.99)),
               ms(latency_.max()), cpu / 1000);
    std::fflush(stdout);
    return {};
  }

 private:
  static double ms(uint64_t ns) { return static_cast<double>(ns) / 1e6; }

  void ask() {
    ApiClient api({"127.0.0.1", options_.port});
    std::vector<uint64_t> measured;
    do {
      const auto& target = kind_.targets[next_++ % kind_.targets.size()];
      const auto begin = Clock::now();
      auto reply = api.request("GET", target, "");
      measured.push_back(static_cast<uint64_t>((Clock::now() - begin).count()));
      if (reply && reply->status == 200) continue;
      std::lock_guard lock(mutex_);
      if (!failure_) {
        failure_ =
            reply ? Error(Errc::io, fmt::format("{}: {} {}", target, reply->status, reply->body))
                  : std::move(reply).error();
      }
      return;
    } while (Clock::now() < until_);
    std::lock_guard lock(mutex_);
    for (const uint64_t ns : measured) latency_.add(ns);
  }

  const QuestionsOptions& options_;
  const Kind& kind_;
  Clock::time_point until_;
  std::atomic<size_t> next_ = 0;
  std::mutex mutex_;  // guards what the clients hand in when they end:
  Histogram latency_;
  std::optional<Error> failure_;
};

}  // namespace

Status ask_questions(const QuestionsOptions& options) {
  const auto kinds = TRY(read_kinds(options.directory + "/questions.tsv"));
  for (const Kind& kind : kinds) {
    // Once before it is measured: the first reads what is not in memory yet.
    ApiClient api({"127.0.0.1", options.port});
    TRY(api.request("GET", kind.targets.front(), ""));
    TRY(Asking(options, kind).run());
  }
  return {};
}

}  // namespace clickmill::bench
