#include "tools/backup_command.h"

#include <fmt/format.h>

#include <charconv>
#include <functional>
#include <map>

#include "base/time_text.h"
#include "engine/config.h"
#include "tools/backup_maker.h"
#include "tools/help.h"
#include "tools/restore.h"

namespace clickmill::tools {
namespace {

constexpr int kOk = 0;
constexpr int kFoundWrong = 1;
constexpr int kCouldNotRun = 2;
constexpr uint64_t kMiBMost = 1 << 20;

/// What a command line holds: one folder, and options.
struct Arguments {
  std::string folder;
  std::map<std::string, std::string> values;  ///< by option; of one without a value ""

  bool has(const std::string& option) const { return values.count(option) != 0; }
  std::string value(const std::string& option) const {
    const auto found = values.find(option);
    return found == values.end() ? "" : found->second;
  }
};

/// `options`: known ones, and whether they take a value.
Result<Arguments> parse(const std::vector<std::string>& arguments,
                        const std::map<std::string, bool>& options) {
  Arguments parsed;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!argument.starts_with("--")) {
      if (!parsed.folder.empty() || argument.empty())
        return Error(Errc::invalid, "one DIR, not \"" + argument + "\" too");
      parsed.folder = argument;
      continue;
    }
    const auto known = options.find(argument);
    if (known == options.end()) return Error(Errc::invalid, "no option " + argument);
    if (known->second && i + 1 == arguments.size())
      return Error(Errc::invalid, argument + " needs a value");
    parsed.values[argument] = known->second ? arguments[++i] : "";
  }
  if (parsed.folder.empty()) return Error(Errc::invalid, "DIR is missing");
  return parsed;
}

Result<uint64_t> rate_of(const Arguments& arguments, uint64_t standing) {
  if (!arguments.has("--rate")) return standing;
  const std::string text = arguments.value("--rate");
  uint64_t mib = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, mib);
  if (failure != std::errc{} || stop != end || mib > kMiBMost)
    return Error(Errc::invalid, "--rate: \"" + text + "\" is no number of MiB a second");
  return mib << 20;
}

/// The config that is named, or one that is all defaults but for its data directory.
Result<engine::Config> config_of(const Arguments& arguments, const std::string& data_option) {
  if (arguments.has("--config") && arguments.has(data_option))
    return Error(Errc::invalid, "--config and " + data_option + " at once");
  if (arguments.has("--config")) return engine::load_config(arguments.value("--config"));
  engine::Config config = engine::parse_config("{}", "");
  if (arguments.has(data_option)) config.data_dir = arguments.value(data_option);
  return config;
}

std::string mib(uint64_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

std::string contents_of(const BackupManifest& manifest) {
  return fmt::format("{} files, {}; holds all that node {} answered before {}",
                     manifest.files.size(), mib(manifest.bytes()), manifest.node_id,
                     format_time_ms(manifest.made_ms));
}

Result<int> make(const std::vector<std::string>& arguments, const Print& print, const Print& tell) {
  const auto parsed =
      TRY(parse(arguments, {{"--config", true}, {"--data-dir", true}, {"--rate", true}}));
  BackupRequest request;
  request.config = TRY(config_of(parsed, "--data-dir"));
  request.folder = parsed.folder;
  request.bytes_per_second = TRY(rate_of(parsed, request.bytes_per_second));
  be_idle();
  const SystemClock clock;
  BackupMaker maker(std::move(request), clock, tell);
  const auto made = TRY(maker.run());
  for (const std::string& note : made.notes) tell("warning: " + note);
  print(fmt::format("{}: {}; {} of it are shared with the node by hard links", parsed.folder,
                    contents_of(made), mib(maker.bytes_shared())));
  return made.notes.empty() ? kOk : kFoundWrong;
}

/// The same for `restore --check`.
Result<int> verify(const std::string& folder, uint64_t bytes_per_second, const Print& print,
                   const Print& tell) {
  PosixFileSystem files;
  const SystemClock clock;
  const auto wrong = TRY(verify_backup({folder}, files, clock, bytes_per_second, tell));
  for (const std::string& line : wrong) print(line);
  if (!wrong.empty()) return kFoundWrong;
  print(fmt::format("{}: whole; {}", folder, contents_of(TRY(read_manifest(files, {folder})))));
  return kOk;
}

Result<int> verify_command(const std::vector<std::string>& arguments, const Print& print,
                           const Print& tell) {
  const auto parsed = TRY(parse(arguments, {{"--rate", true}}));
  const uint64_t rate = TRY(rate_of(parsed, 0));
  return verify(parsed.folder, rate, print, tell);
}

Result<int> restore(const std::vector<std::string>& arguments, const Print& print,
                    const Print& tell) {
  const auto parsed = TRY(
      parse(arguments,
            {{"--config", true}, {"--to", true}, {"--check", false}, {"--new-cluster", false}}));
  if (parsed.has("--check")) return verify(parsed.folder, 0, print, tell);
  if (!parsed.has("--to") && !parsed.has("--config"))
    return Error(Errc::invalid, "--to DATA_DIR or --config FILE is missing");
  RestoreRequest request;
  request.backup = {parsed.folder};
  const auto config = TRY(config_of(parsed, "--to"));
  request.data_dir = config.data_dir;
  request.new_cluster = parsed.has("--new-cluster");
  request.one_of_many = request.new_cluster && config.cluster &&
                        config.cluster->replicas() < config.cluster->peers.size();
  request.node_id = config.node_id;
  PosixFileSystem files;
  const SystemClock clock;
  auto restored = restore_backup(request, files, clock, tell);
  if (!restored && restored.error().code() == Errc::corrupt) {
    print(restored.error().text());
    return kFoundWrong;
  }
  const Restored done = TRY(std::move(restored));
  print(fmt::format("{}: restored from {}: {}; {} of it are shared with the backup by hard links",
                    request.data_dir, parsed.folder, contents_of(done.manifest),
                    mib(done.bytes_shared)));
  if (done.one_of_many)
    print(
        "It is of the same cluster still: keep it from addresses of nodes of that which are alive. "
        "It has only some of the partitions: restore the newest backup of every node in the same "
        "way. Then, before any is started: clickmill recover --force-quorum --config FILE "
        "--survey OUT on each, and with all surveys on each: clickmill recover --force-quorum "
        "--config FILE --with SURVEY --with SURVEY … --yes");
  return kOk;
}

int exit_code(const std::string& command, const Result<int>& code, const Print& tell) {
  if (code) return *code;
  tell(fmt::format("clickmill: {}: {}", command, code.error().text()));
  if (code.error().code() == Errc::invalid && code.error().path().empty()) tell(usage_of(command));
  return kCouldNotRun;
}

}  // namespace

int backup_command(const std::vector<std::string>& arguments, const Print& print,
                   const Print& tell) {
  if (!arguments.empty() && arguments[0] == "verify") {
    return exit_code("backup verify",
                     verify_command({arguments.begin() + 1, arguments.end()}, print, tell), tell);
  }
  return exit_code("backup", make(arguments, print, tell), tell);
}

int restore_command(const std::vector<std::string>& arguments, const Print& print,
                    const Print& tell) {
  return exit_code("restore", restore(arguments, print, tell), tell);
}

}  // namespace clickmill::tools
