#include "tools/recount_command.h"

#include <fmt/format.h>

#include <optional>

#include "base/time_text.h"
#include "click/parse.h"
#include "engine/config.h"
#include "tools/help.h"
#include "tools/recount_report.h"

namespace clickmill::tools {

namespace {

constexpr int kCouldNotRun = 2;

Result<int64_t> time_of(const std::string& option, const std::string& text) {
  auto time = parse_typed_time(text);
  if (time) return time->ms;
  return Error(Errc::invalid, option + ": \"" + text + "\" " + time.error().message());
}

Result<RecountArguments> parse(const std::vector<std::string>& arguments) {
  RecountArguments request;
  std::optional<int64_t> from;
  std::optional<int64_t> to;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& option = arguments[i];
    if (option == "--repair") {
      request.repair = true;
      continue;
    }
    if (i + 1 == arguments.size()) return Error(Errc::invalid, option + " needs a value");
    const std::string& value = arguments[++i];
    if (option == "--config") {
      request.data_dir = engine::load_config(value).data_dir;
    } else if (option == "--data-dir") {
      request.data_dir = value;
    } else if (option == "--node") {
      request.node = value;
    } else if (option == "--cluster") {
      request.cluster = value;
    } else if (option == "--key-file") {
      request.key_file = value;
    } else if (option == "--from") {
      from = TRY(time_of(option, value));
    } else if (option == "--to") {
      to = TRY(time_of(option, value));
    } else if (option == "--ad") {
      if (!click::valid_ad_id(value))
        return Error(Errc::invalid, "--ad: " + click::shown(value) + " is no ad_id");
      request.ad_id = value;
    } else {
      return Error(Errc::invalid, "unknown option " + option);
    }
  }
  const int wheres = (request.data_dir.empty() ? 0 : 1) + (request.node.empty() ? 0 : 1) +
                     (request.cluster.empty() ? 0 : 1);
  if (wheres == 0)
    return Error(Errc::invalid, "--config, --data-dir, --node or --cluster is missing");
  if (wheres > 1)
    return Error(Errc::invalid, "of --node, --cluster and a data directory two at once");
  if (request.repair && !request.data_dir.empty()) {
    return Error(Errc::invalid,
                 "--repair needs a running node, which writes the repair into its log: --node URL");
  }
  if (!from || !to)
    return Error(Errc::invalid, std::string(from ? "--to" : "--from") + " is missing");
  if (*from >= *to) return Error(Errc::invalid, "--from is not before --to");
  request.from_ms = floor_to(*from, kMinuteMs);
  request.to_ms = floor_to(*to + kMinuteMs - 1, kMinuteMs);
  return request;
}

Result<int> run(const std::vector<std::string>& arguments, const Print& print, const Print& tell) {
  const RecountArguments request = TRY(parse(arguments));
  if (!request.node.empty()) return recount_node(request, print, tell);
  if (!request.cluster.empty()) return recount_cluster(request, print, tell);
  auto code = recount_offline(request, print, tell);
  if (!code && code.error().code() == Errc::busy)
    tell("a running node recounts itself: recount --node URL");
  return code;
}

}  // namespace

int recount_command(const std::vector<std::string>& arguments, const Print& print,
                    const Print& tell) {
  auto code = run(arguments, print, tell);
  if (code) return *code;
  tell("clickmill: recount: " + code.error().text());
  if (code.error().code() == Errc::invalid) tell(usage_of("recount"));
  return kCouldNotRun;
}

}  // namespace clickmill::tools
