// clickmill-bench: puts a node on this machine under load and checks its counts.

#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "dedup_bench.h"
#include "freshness.h"
#include "history.h"
#include "lines.h"
#include "load.h"
#include "log_bench.h"
#include "options.h"
#include "questions.h"
#include "store_bench.h"
#include "stream_bench.h"
#include "verify.h"

namespace clickmill::bench {
namespace {

int64_t now_ms() {
  auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count();
}

void say(const std::string& line) {
  std::fputs((line + "\n").c_str(), stdout);
  std::fflush(stdout);
}

double milliseconds(uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e6; }

void print_load(const Options& options, const LoadReport& report) {
  uint64_t answers = report.latency_ns.count();
  say(fmt::format(
      "load: {} over {} connections for {} s",
      options.rate == 0 ? "as fast as possible" : fmt::format("{} clicks/s", options.rate),
      options.connections, options.seconds));
  say(fmt::format("clicks: {} sent ({} copies), {} bytes a request", report.requests, report.copies,
                  report.requests == 0 ? 0 : report.request_bytes / report.requests));
  say(fmt::format("throughput: {:.0f} answers/s", static_cast<double>(answers) / report.elapsed_s));
  std::string statuses;
  for (auto [status, count] : report.answers_by_status) {
    statuses += fmt::format(" {}: {},", status, count);
  }
  say(fmt::format("answers:{} none: {}", statuses, report.unanswered));
  if (report.never_sent > 0) {
    say(fmt::format("never sent: {} clicks that were due; the latencies below leave them out",
                    report.never_sent));
  }
  if (report.connect_failures > 0) {
    say(fmt::format("connections: {} attempts failed", report.connect_failures));
  }
  const Histogram& latency = report.latency_ns;
  say(
      fmt::format("latency from the {} send, ms: p50 {:.3f}  p90 {:.3f}  p99 {:.3f}  p99.9 {:.3f}  "
                  "max {:.3f}",
                  options.rate == 0 ? "actual" : "intended", milliseconds(latency.percentile(0.5)),
                  milliseconds(latency.percentile(0.9)), milliseconds(latency.percentile(0.99)),
                  milliseconds(latency.percentile(0.999)), milliseconds(latency.max())));
  for (const auto& [took_ns, due_ms] : report.slowest)
    say(fmt::format("slow: due at {:.3f} s, {:.3f} ms", due_ms / 1e3, milliseconds(took_ns)));
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  say(fmt::format("generator: {:.1f} s of CPU time",
                  static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                      static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6));
}

void print_freshness(const FreshnessProbe::Report& report) {
  const Histogram& visible = report.visible_ns;
  say(
      fmt::format("freshness (click answered to visible in a query), ms: p50 {:.1f}  p99 {:.1f}  "
                  "max {:.1f}  ({} clicks)",
                  milliseconds(visible.percentile(0.5)), milliseconds(visible.percentile(0.99)),
                  milliseconds(visible.max()), visible.count()));
  if (!report.failure.empty()) say("freshness: ended early: " + report.failure);
}

bool print_verdict(const Verdict& verdict) {
  bool right = verdict.ads_that_differ == 0 && verdict.answered > 0;
  say(fmt::format("counts: all there {:.2f} s after the run", verdict.settled_s));
  say(fmt::format(
      "exactly once: {} ({} ads; {} distinct clicks answered, {} without an answer; {} "
      "counted)",
      right ? "yes" : "no", verdict.ads, verdict.answered, verdict.open, verdict.counted));
  for (const std::string& difference : verdict.differences) say("  " + difference);
  if (verdict.ads_that_differ > verdict.differences.size()) {
    say(fmt::format("  … {} ads differ", verdict.ads_that_differ));
  }
  return right;
}

/// Whether the counts were right.
Result<bool> run(const Options& options) {
  int64_t begin_ms = now_ms();
  std::string name = fmt::format("{:x}", begin_ms);
  ClickSource source(options.seed, options.ads, name, options.collector.text());
  ApiClient api(options.api);
  FreshnessProbe probe(options, name);
  if (options.check) {
    TRY(upload_ads(api, source, options.ads));
    TRY(probe.start());
  }
  Ledger ledger;
  LoadReport report = TRY(run_load(options, source, ledger));
  print_load(options, report);
  if (!options.check) return true;
  print_freshness(probe.stop());
  Verdict verdict = TRY(verify(api, source, ledger, options.ads, begin_ms, now_ms() + 1));
  return print_verdict(verdict);
}

constexpr uint64_t kIdsMost = 2'000'000'000;

/// Sets a member that holds every number within the option's bounds.
template <typename T>
std::function<void(uint64_t)> into(T& member) {
  return [&member](uint64_t number) { member = static_cast<T>(number); };
}

Status run_dedup(int count, const char* const* arguments) {
  DedupBenchOptions options;
  TRY(parse_directory_options("dedup", count, arguments, options.directory,
                              {{"--ids", 1, kIdsMost, into(options.ids)},
                               {"--measured", 1, kIdsMost, into(options.measured)},
                               {"--partitions", 1, 1024, into(options.partitions)},
                               {"--checkpoint", 1, 100'000'000, into(options.checkpoint)},
                               {"--interval", 0, 3600, into(options.interval_s)},
                               {"--bare", 0, kIdsMost, into(options.bare)}}));
  return run_dedup_bench(options);
}

Status run_log(int count, const char* const* arguments) {
  LogBenchOptions options;
  TRY(parse_directory_options("log", count, arguments, options.directory,
                              {{"--clicks", 10'000, 2'000'000, into(options.clicks)},
                               {"--seconds", 1, 60, into(options.seconds)},
                               {"--batch", 1, 4096, into(options.batch)}}));
  return run_log_bench(options);
}

Status run_lines(int count, const char* const* arguments) {
  LinesOptions options;
  TRY(parse_directory_options("lines", count, arguments, options.directory,
                              {{"--clicks", 1, kIdsMost, into(options.clicks)},
                               {"--ads", 1, 1'000'000, into(options.ads)},
                               {"--days", 1, 365, into(options.days)}}));
  return write_lines(options);
}

Status run_stream(int count, const char* const* arguments) {
  StreamBenchOptions options;
  TRY(parse_directory_options("stream", count, arguments, options.directory,
                              {{"--clicks", 1, kIdsMost, into(options.clicks)},
                               {"--ids", 0, kIdsMost, into(options.ids)},
                               {"--ads", 1, 1'000'000, into(options.ads)},
                               {"--rate", 1, 10'000'000, into(options.rate)},
                               {"--batch", 1, 4096, into(options.batch)},
                               {"--checkpoint", 0, kIdsMost, into(options.checkpoint)}}));
  return run_stream_bench(options);
}

Status run_store(int count, const char* const* arguments) {
  StoreBenchOptions options;
  TRY(parse_directory_options("store", count, arguments, options.directory,
                              {{"--partitions", 1, 1024, into(options.partitions)},
                               {"--ads", 1, 1'000'000, into(options.ads)},
                               {"--days", 1, 10'000, into(options.days)},
                               {"--minutes", 1, 1440, into(options.minutes)},
                               {"--flushes", 1, 24, into(options.flushes)},
                               {"--late", 1, 1'000'000'000, into(options.late)},
                               {"--kept-days", 1, 36'500, into(options.kept_days)}}));
  return run_store_bench(options);
}

Status run_history(int count, const char* const* arguments) {
  HistoryOptions options;
  TRY(parse_directory_options("history", count, arguments, options.directory,
                              {{"--rows", 1, 100'000'000, into(options.rows)},
                               {"--ads", 1, 100'000, into(options.ads)},
                               {"--clicks", 1, 100, into(options.clicks)},
                               {"--until", 0, 1ULL << 40, into(options.until_s)},
                               {"--seed", 0, UINT64_MAX, into(options.seed)}}));
  if (options.until_s == 0) options.until_s = static_cast<uint64_t>(now_ms()) / 1000 - 300;
  return write_history(options);
}

Status run_questions(int count, const char* const* arguments) {
  QuestionsOptions options;
  TRY(parse_directory_options("questions", count, arguments, options.directory,
                              {{"--port", 1, 65'535, into(options.port)},
                               {"--clients", 1, 256, into(options.clients)},
                               {"--milliseconds", 1, 60'000, into(options.milliseconds)},
                               {"--pid", 0, 1ULL << 32, into(options.pid)}}));
  return ask_questions(options);
}

int report_failure(const Error& error) {
  fmt::print(stderr, "clickmill-bench: {}\n", error.text());
  return 2;
}

}  // namespace
}  // namespace clickmill::bench

int main(int count, char** arguments) {
  using namespace clickmill::bench;
  using Benchmark = clickmill::Status (*)(int, const char* const*);
  const std::pair<std::string_view, Benchmark> benchmarks[] = {
      {"dedup", run_dedup},  {"history", run_history},     {"lines", run_lines},
      {"log", run_log},      {"questions", run_questions}, {"store", run_store},
      {"stream", run_stream}};
  for (const auto& [name, run_benchmark] : benchmarks) {
    if (count < 2 || name != arguments[1]) continue;
    auto done = run_benchmark(count - 2, arguments + 2);
    return done ? 0 : report_failure(done.error());
  }
  auto options = parse_options(count, arguments);
  if (!options) return report_failure(options.error());
  if (options->help) {
    fmt::print("{}", usage());
    return 0;
  }
  auto right = run(*options);
  if (!right) return report_failure(right.error());
  return *right ? 0 : 1;
}
