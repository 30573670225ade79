#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/log_writer.h"
#include "base/logging.h"
#include "base/service_manager.h"
#include "catalog/catalog.h"
#include "engine/config.h"
#include "engine/edge.h"
#include "engine/engine.h"
#include "query/zone_files.h"
#include "sinks/sinks.h"
#include "tools/backup_command.h"
#include "tools/cluster_command.h"
#include "tools/help.h"
#include "tools/log_commands.h"
#include "tools/recount_command.h"
#include "tools/recover.h"
#include "tools/recover_clock.h"
#include "tools/recover_cluster.h"
#include "tools/store_command.h"

/// Read by jemalloc, where it is linked. Two heaps, instead of four a core, and no large blocks
/// kept by threads: what one gives back another can take. What is free goes back to the system
/// after half a second, by a thread of its own.
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf =
    "narenas:2,lg_tcache_max:12,dirty_decay_ms:500,muzzy_decay_ms:0,background_thread:true,"
    "max_background_threads:1";
}

namespace clickmill {
namespace {

constexpr int kOk = 0;
constexpr int kFoundWrong = 1;
constexpr int kCouldNotRun = 2;

int usage_error(const std::string& message) {
  std::fputs(fmt::format("clickmill: {}; see clickmill --help\n", message).c_str(), stderr);
  return kCouldNotRun;
}

/// Blocks the signals that serve waits for, in this and all later threads.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  // A client that hangs up must not end the process.
  ::signal(SIGPIPE, SIG_IGN);
  return signals;
}

/// Takes in config, catalog file and zone rules again, each if it is fine by itself.
void reload(const std::string& path, engine::Engine& engine) {
  query::ZoneFiles::system().look_again();
  try {
    const engine::Config config =
        path.empty() ? engine::parse_config("{}", "") : engine::load_config(path);
    engine.reload(config);
  } catch (const engine::ConfigError& error) {
    engine.keep_config(error.what());
  }
}

/// What readiness lacks, for `systemctl status`.
std::string status_of(engine::Engine& engine) {
  const std::vector<std::string> reasons = engine.not_ready();
  if (reasons.empty()) return "ready";
  return fmt::format("redirecting, not ready: {}", fmt::join(reasons, "; "));
}

/// The next signal. While it waits, a service manager is told what readiness lacks.
int next_signal(const sigset_t& signals, engine::Engine& engine, ServiceManager& manager) {
  constexpr timespec kStatusPeriod{.tv_sec = 1, .tv_nsec = 0};
  while (manager.listens()) {
    manager.status(status_of(engine));
    const int number = sigtimedwait(&signals, nullptr, &kStatusPeriod);
    if (number > 0) return number;
    if (errno != EAGAIN && errno != EINTR) return SIGTERM;
  }
  int number = 0;
  return sigwait(&signals, &number) == 0 ? number : SIGTERM;
}

void wait_for_stop(const sigset_t& signals, const std::string& path, engine::Engine& engine,
                   ServiceManager& manager) {
  while (next_signal(signals, engine, manager) == SIGHUP) {
    manager.reloading();
    reload(path, engine);
    manager.ready();
  }
}

/// While balancers notice. Another SIGTERM or SIGINT ends it at once.
void wait_for_balancers(const sigset_t& signals, uint32_t seconds, engine::Engine& engine) {
  if (seconds == 0) return;
  log_info("serve", fmt::format("not ready any more; stopping in {} s", seconds));
  engine.announce_stop();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(
        until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return;
    const timespec wait{left.count() / 1'000'000'000, left.count() % 1'000'000'000};
    const int number = sigtimedwait(&signals, nullptr, &wait);
    if (number == SIGTERM || number == SIGINT) return;
  }
}

int run_node(const engine::Config& config, const std::string& path) {
  set_logging(config.log_level, config.log_format);
  const sigset_t signals = block_signals();
  const LogWriter log_writer;
  SystemClock clock;
  PosixFileSystem files;
  engine::Engine engine(config, files, clock);
  if (auto started = engine.start(); !started) {
    std::fputs(fmt::format("clickmill: {}\n", started.error().text()).c_str(), stderr);
    return kCouldNotRun;
  }
  log_info("serve", fmt::format("ready: collector http://{}, api http://{}, data {}",
                                engine.collector_address(), engine.api_address(), config.data_dir));
  ServiceManager manager(std::getenv("NOTIFY_SOCKET"));
  manager.ready();
  Status counting;
  // What is read behind the redirects may say that this node can't go on.
  std::thread watch([&engine, &counting] {
    counting = engine.wait_until_counting();
    if (!counting && counting.error().code() != Errc::closed) ::kill(::getpid(), SIGTERM);
  });
  wait_for_stop(signals, path, engine, manager);
  wait_for_balancers(signals, config.shutdown_delay_s, engine);
  log_info("serve", "stopping");
  manager.stopping();
  manager.status("stopping");
  engine.stop();
  watch.join();
  if (counting || counting.error().code() == Errc::closed) return kOk;
  std::fputs(fmt::format("clickmill: {}\n", counting.error().text()).c_str(), stderr);
  return kCouldNotRun;
}

int serve(const std::vector<std::string>& arguments) {
  engine::Config config;
  if (arguments.empty()) {
    config = engine::parse_config("{}", "");
  } else if (arguments.size() == 2 && arguments[0] == "--config") {
    config = engine::load_config(arguments[1]);
  } else {
    return usage_error("serve takes --config FILE or nothing");
  }
  engine::check_config(config);
  return run_node(config, arguments.empty() ? "" : arguments[1]);
}

int check_config(const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return usage_error("check-config takes one FILE");
  const engine::Config config = engine::load_config(arguments[0]);
  engine::check_config(config);
  if (config.cluster) engine::check_cluster_files(*config.cluster);
  engine::check_files(config);
  if (const Status sinks = sinks::check_settings(config.sinks); !sinks)
    throw engine::ConfigError(sinks.error().message());
  if (!config.catalog.file.empty()) {
    PosixFileSystem files;
    auto read = catalog::check_ads_file(files, config.catalog.file);
    // Serving goes on without it; who checks wants to know.
    if (!read) throw engine::ConfigError("catalog.file: " + read.error().text());
  }
  std::fputs(fmt::format("{}: ok\n", arguments[0]).c_str(), stdout);
  if (const auto zones = query::ZoneFiles::system().warning(); !zones.empty())
    std::fputs(fmt::format("warning: {}\n", zones).c_str(), stderr);
  return kOk;
}

tools::Print to(std::FILE* file) {
  return [file](const std::string& line) { std::fputs((line + "\n").c_str(), file); };
}

int recount(const std::vector<std::string>& arguments) {
  return tools::recount_command(arguments, to(stdout), to(stderr));
}

int recover_clock(const std::vector<std::string>& arguments) {
  const bool yes = arguments.size() > 1 && arguments[1] == "--yes";
  const size_t at = yes ? 2 : 1;
  if (arguments.size() != at + 2 || arguments[at] != "--config")
    return usage_error("recover --clock takes [--yes] --config FILE");
  const engine::Config config = engine::load_config(arguments[at + 1]);
  engine::check_config(config);
  SystemClock clock;
  PosixFileSystem files;
  const auto tell = [](const std::string& line) { std::fputs((line + "\n").c_str(), stderr); };
  const auto done = tools::set_clock_back(config, files, clock, tell, yes);
  if (!done) {
    std::fputs(fmt::format("clickmill: {}\n", done.error().text()).c_str(), stderr);
    return kCouldNotRun;
  }
  for (const std::string& line : done->report) std::fputs((line + "\n").c_str(), stdout);
  return done->outcome == tools::ClockRecovery::Outcome::planned ? kFoundWrong : kOk;
}

int backup(const std::vector<std::string>& arguments) {
  return tools::backup_command(arguments, to(stdout), to(stderr));
}

int restore(const std::vector<std::string>& arguments) {
  return tools::restore_command(arguments, to(stdout), to(stderr));
}

int store(const std::vector<std::string>& arguments) {
  return tools::store_command(
      arguments, [](const std::string& line) { std::fputs((line + "\n").c_str(), stdout); },
      [](const std::string& line) { std::fputs((line + "\n").c_str(), stderr); });
}

int cluster(const std::vector<std::string>& arguments) {
  return tools::cluster_command(arguments, to(stdout), to(stderr));
}

/// Nothing: they are none of `recover --force-quorum`.
std::optional<tools::ForceOptions> force_options(const std::vector<std::string>& arguments,
                                                 std::string& config) {
  tools::ForceOptions options;
  bool forces = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    const bool takes_value = word == "--config" || word == "--survey" || word == "--with";
    if (takes_value && i + 1 == arguments.size()) return std::nullopt;
    if (word == "--force-quorum") {
      forces = true;
    } else if (word == "--yes") {
      options.yes = true;
    } else if (word == "--begin-empty") {
      options.begin_empty = true;
    } else if (word == "--config") {
      config = arguments[++i];
    } else if (word == "--survey") {
      options.survey = arguments[++i];
    } else if (word == "--with") {
      options.with.push_back(arguments[++i]);
    } else {
      return std::nullopt;
    }
  }
  const bool surveys = !options.survey.empty();
  if (!forces || config.empty() || (surveys && (options.yes || !options.with.empty())) ||
      (options.begin_empty && options.with.empty()))
    return std::nullopt;
  return options;
}

int recover(const std::vector<std::string>& arguments) {
  if (!arguments.empty() && arguments[0] == "--clock") return recover_clock(arguments);
  std::string config_path;
  const auto options = force_options(arguments, config_path);
  if (!options) {
    return usage_error(
        "recover takes --force-quorum --config FILE [--yes], --force-quorum --config FILE "
        "--survey OUT, --force-quorum --config FILE --with SURVEY … [--begin-empty] [--yes], or "
        "--clock [--yes] --config FILE");
  }
  const engine::Config config = engine::load_config(config_path);
  engine::check_config(config);
  SystemClock clock;
  PosixFileSystem files;
  if (config.cluster) {
    const auto code =
        tools::recover_cluster(config, *options, files, clock, to(stdout), to(stderr));
    if (code) return *code;
    std::fputs(fmt::format("clickmill: {}\n", code.error().text()).c_str(), stderr);
    return kCouldNotRun;
  }
  if (!options->survey.empty() || !options->with.empty())
    return usage_error("--survey and --with are of a cluster, and the config has none");
  const auto recovered = tools::recover_by_force(config, files, clock, to(stderr));
  if (!recovered) {
    std::fputs(fmt::format("clickmill: {}\n", recovered.error().text()).c_str(), stderr);
    return kCouldNotRun;
  }
  for (const std::string& line : recovered->report) std::fputs((line + "\n").c_str(), stdout);
  return recovered->found_damage ? kFoundWrong : kOk;
}

int version(const std::vector<std::string>&) {
  std::fputs("clickmill " CLICKMILL_VERSION "\n", stdout);
  return kOk;
}

struct Command {
  std::string_view name;
  int (*run)(const std::vector<std::string>& arguments);
};
constexpr Command kCommands[] = {
    {"serve", serve},
    {"check-config", check_config},
    {"log", tools::log_command},
    {"store", store},
    {"retention", tools::retention_command},
    {"recover", recover},
    {"recount", recount},
    {"backup", backup},
    {"restore", restore},
    {"cluster", cluster},
    {"--version", version},
};

int show_help(const std::string& command) {
  const std::string text = command.empty() ? tools::help() : tools::help_of(command);
  if (text.empty()) return usage_error(fmt::format("unknown command \"{}\"", command));
  std::fputs(text.c_str(), stdout);
  return kOk;
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return usage_error("a command is missing");
  if (std::string command; tools::asks_help(arguments, command)) return show_help(command);
  for (const Command& command : kCommands) {
    if (arguments[0] == command.name) return command.run({arguments.begin() + 1, arguments.end()});
  }
  return usage_error(fmt::format("unknown command \"{}\"", arguments[0]));
}

}  // namespace
}  // namespace clickmill

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    return clickmill::run(arguments);
  } catch (const clickmill::engine::ConfigError& error) {
    std::fputs(fmt::format("clickmill: {}\n", error.what()).c_str(), stderr);
    const bool checking = !arguments.empty() && arguments[0] == "check-config";
    return checking ? clickmill::kFoundWrong : clickmill::kCouldNotRun;
  } catch (const std::exception& error) {
    std::fputs(fmt::format("clickmill: {}\n", error.what()).c_str(), stderr);
    return clickmill::kCouldNotRun;
  }
}
