#include "tools/log_commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <limits>
#include <optional>

#include "base/text.h"
#include "base/time_text.h"
#include "click/batch.h"
#include "click/json.h"
#include "engine/config.h"
#include "http/message.h"
#include "log/upkeep.h"
#include "stream/settings.h"
#include "stream/tick.h"
#include "tools/offline_log.h"

namespace clickmill::tools {
namespace {

constexpr int kOk = 0;
constexpr int kFoundWrong = 1;
constexpr int kCouldNotRun = 2;
constexpr size_t kWriteBytes = 1 << 20;

struct LogArguments {
  std::string directory;
  std::optional<uint32_t> partition;
  std::optional<Offset> from_offset;
  LogMs from{std::numeric_limits<int64_t>::min()};
  LogMs to{std::numeric_limits<int64_t>::max()};
  bool all = false;
};

int could_not_run(const std::string& why) {
  std::fputs(("clickmill: " + why + "\n").c_str(), stderr);
  return kCouldNotRun;
}

uint64_t number_of(const std::string& option, const std::string& value) {
  uint64_t number = 0;
  const char* const end = value.data() + value.size();
  const auto [stop, failure] = std::from_chars(value.data(), end, number);
  if (failure == std::errc{} && stop == end && !value.empty()) return number;
  throw engine::ConfigError(fmt::format("{}: \"{}\" is not a whole number", option, value));
}

LogMs time_of(const std::string& option, const std::string& value) {
  const auto time = parse_typed_time(value);
  if (time) return LogMs(time->ms);
  throw engine::ConfigError(fmt::format("{}: \"{}\" {}", option, value, time.error().message()));
}

/// Where the data is: DIR itself, the one that a config names, or the default.
class DirectoryChoice {
 public:
  void config(const std::string& file) { choose(engine::load_config(file).data_dir); }
  void positional(const std::string& directory) { choose(directory); }
  std::string directory() const {
    return directory_ ? *directory_ : engine::parse_config("{}", "").data_dir;
  }

 private:
  void choose(const std::string& directory) {
    if (directory_) throw engine::ConfigError("more than one data directory is named");
    directory_ = directory;
  }
  std::optional<std::string> directory_;
};

bool is_option(const std::string& argument) { return argument.rfind("--", 0) == 0; }

/// The value after an option.
const std::string& value_of(const std::vector<std::string>& arguments, size_t& at) {
  if (at + 1 == arguments.size()) throw engine::ConfigError(arguments[at] + " wants a value");
  return arguments[++at];
}

LogArguments parse_log_arguments(const std::vector<std::string>& arguments, bool dump) {
  LogArguments out;
  DirectoryChoice where;
  for (size_t at = 1; at < arguments.size(); ++at) {
    const std::string& name = arguments[at];
    if (!is_option(name)) {
      where.positional(name);
    } else if (name == "--config") {
      where.config(value_of(arguments, at));
    } else if (name == "--partition") {
      const uint64_t number = number_of(name, value_of(arguments, at));
      out.partition = static_cast<uint32_t>(std::min<uint64_t>(number, UINT32_MAX));
    } else if (dump && name == "--from-offset") {
      out.from_offset = Offset(number_of(name, value_of(arguments, at)));
    } else if (dump && name == "--from") {
      out.from = time_of(name, value_of(arguments, at));
    } else if (dump && name == "--to") {
      out.to = time_of(name, value_of(arguments, at));
    } else if (dump && name == "--all") {
      out.all = true;
    } else {
      throw engine::ConfigError(fmt::format("log {}: no option {}", arguments[0], name));
    }
  }
  out.directory = where.directory();
  return out;
}

void append_tick(std::string_view payload, std::string& out) {
  const auto tick = stream::decode_tick(payload);
  if (!tick) return;
  out += ",\"low_waters\":{";
  for (size_t i = 0; i < tick->low_waters.size(); ++i) {
    if (i != 0) out += ',';
    const auto& [node, low_water] = tick->low_waters[i];
    out += json_quoted(node) + ':' + std::to_string(low_water.value());
  }
  out += '}';
  if (!tick->footing) return;
  const stream::Horizon& horizon = tick->footing->horizon;
  out += fmt::format(",\"stale_before\":{},\"first_kept_hour\":{},\"nodes\":{{",
                     horizon.stale_before().value(), horizon.first_kept_hour().value());
  for (bool first = true; const auto& [name, node] : horizon.nodes()) {
    if (!std::exchange(first, false)) out += ',';
    out += fmt::format("{}:{{\"low_water\":{},\"silent_ms\":{}}}", json_quoted(name),
                       node.low_water.value(), node.silent_ms);
  }
  out += '}';
}

void append_settings(std::string_view payload, std::string& out) {
  const auto settings = stream::decode_settings(payload);
  if (!settings) return;
  out += fmt::format(
      ",\"dedup_hours\":{},\"window_grace_ms\":{},\"max_clock_ahead_ms\":{},\"stale_after_hours\":{"
      "},\"double_click_ms\":{},\"nodes\":[",
      settings->dedup_hours, settings->window_grace_ms, settings->max_clock_ahead_ms,
      settings->stale_after_hours, settings->double_click_ms);
  for (size_t i = 0; i < settings->nodes.size(); ++i) {
    if (i != 0) out += ',';
    out += json_quoted(settings->nodes[i]);
  }
  out += ']';
}

/// An entry that holds no clicks, as one line.
void append_other(const log::Entry& entry, std::string& out) {
  out += fmt::format("{{\"offset\":{},\"append_ms\":{},", entry.first.value(),
                     entry.append_ms.value());
  switch (static_cast<click::EntryKind>(entry.kind)) {
    case click::EntryKind::noop: out += "\"kind\":\"noop\""; break;
    case click::EntryKind::tick:
      out += "\"kind\":\"tick\"";
      append_tick(entry.payload, out);
      break;
    case click::EntryKind::settings:
      out += "\"kind\":\"settings\"";
      append_settings(entry.payload, out);
      break;
    case click::EntryKind::decision: out += "\"kind\":\"decision\""; break;
    case click::EntryKind::repair: out += "\"kind\":\"repair\""; break;
    case click::EntryKind::members: out += "\"kind\":\"members\""; break;
    default: out += fmt::format("\"kind\":{}", entry.kind);
  }
  out += "}\n";
}

/// Writes entries as NDJSON to stdout.
class Dump {
 public:
  Dump(const LogArguments& arguments, Progress& progress)
      : arguments_(arguments), progress_(progress) {}

  /// Everything that was asked for of one partition.
  Status partition(const OfflineLog& log, uint32_t number) {
    if (const auto* segments = log.segments(number)) TRY(sealed(*segments, number));
    for (const auto& entry : log.unsealed(number)) TRY(append(entry));
    return {};
  }
  Status flush() {
    const bool whole = std::fwrite(lines_.data(), 1, lines_.size(), stdout) == lines_.size();
    lines_.clear();
    if (whole && std::fflush(stdout) == 0) return {};
    return Error(Errc::io, "can't write to stdout");
  }

 private:
  Status sealed(const log::Segments& segments, uint32_t number) {
    // Offsets begin at 1.
    Offset next = std::max(arguments_.from_offset.value_or(segments.first()), Offset(1));
    if (next < segments.first()) {
      return Error(
          Errc::not_found,
          fmt::format("--from-offset: {} is not kept any more; the log begins at offset {}",
                      next.value(), segments.first().value()));
    }
    if (const auto found = TRY(segments.find_time(arguments_.from))) {
      next = std::max(next, *found);
    } else {
      return {};
    }
    while (next <= segments.last()) {
      progress_.at([&] {
        return fmt::format("partition {}: offset {} of {}", number, next.value(),
                           segments.last().value());
      });
      const auto entries = TRY(segments.read_block(next));
      if (entries.front().append_ms >= arguments_.to) return {};
      for (const auto& entry : entries) TRY(append(entry));
      next = entries.back().last() + 1;
    }
    return {};
  }

  Status append(const log::Entry& entry) {
    if (entry.append_ms < arguments_.from || entry.append_ms >= arguments_.to) return {};
    if (entry.kind == static_cast<uint8_t>(click::EntryKind::clicks)) {
      TRY(append_clicks(entry));
    } else if (arguments_.all && wanted(entry.last())) {
      append_other(entry, lines_);
    }
    if (lines_.size() >= kWriteBytes) return flush();
    return {};
  }

  bool wanted(Offset offset) const {
    return !arguments_.from_offset || offset >= *arguments_.from_offset;
  }

  Status append_clicks(const log::Entry& entry) {
    ByteCursor cursor(entry.payload);
    TRY(click::decode_batch_header(cursor));
    click::RecordScratch scratch;
    for (Offset offset = entry.first; offset <= entry.last(); ++offset) {
      const auto view = TRY(click::decode_record(cursor, scratch));
      if (wanted(offset)) {
        click::append_json_line(offset, entry.append_ms, view, lines_);
      }
    }
    return {};
  }

  const LogArguments& arguments_;
  Progress& progress_;
  std::string lines_;
};

/// The partitions asked for; throws for one that isn't there.
std::pair<uint32_t, uint32_t> range_of(const LogArguments& arguments, uint32_t partitions) {
  if (!arguments.partition) return {0, partitions};
  if (*arguments.partition < partitions) return {*arguments.partition, *arguments.partition + 1};
  throw engine::ConfigError(fmt::format("--partition: {} is not below {}, the number of partitions",
                                        *arguments.partition, partitions));
}

int dump(const OfflineLog& log, const LogArguments& arguments, Progress& progress) {
  const auto [begin, end] = range_of(arguments, log.partitions());
  int code = log.damage().empty() ? kOk : kFoundWrong;
  for (const auto& line : log.damage()) std::fputs(("damage: " + line + "\n").c_str(), stderr);
  Dump lines(arguments, progress);
  for (uint32_t i = begin; i < end; ++i) {
    auto done = lines.partition(log, i);
    if (done) continue;
    const bool gone = done.error().code() == Errc::not_found;
    if (!gone && done.error().code() != Errc::corrupt) return could_not_run(done.error().text());
    // Nothing behind it is printed, so that a reader can't take a gap for the log.
    std::fputs(
        fmt::format("{}: partition {}: {}\n", gone ? "gone" : "damage", i, done.error().text())
            .c_str(),
        stderr);
    code = kFoundWrong;
  }
  if (auto done = lines.flush(); !done) return could_not_run(done.error().text());
  return code;
}

/// Every record of an entry decodes, and there are as many as offsets.
bool entry_is_whole(const log::Entry& entry) {
  if (entry.kind != static_cast<uint8_t>(click::EntryKind::clicks)) return true;
  ByteCursor cursor(entry.payload);
  if (!click::decode_batch_header(cursor)) return false;
  for (uint32_t i = 0; i < entry.count; ++i) {
    if (!click::skip_record(cursor)) return false;
  }
  return cursor.done();
}

int verify(const OfflineLog& log, const LogArguments& arguments) {
  const auto [begin, end] = range_of(arguments, log.partitions());
  std::vector<std::string> damage = log.damage();
  uint64_t blocks = 0;
  uint64_t entries = 0;
  uint64_t unsealed = 0;
  for (uint32_t i = begin; i < end; ++i) {
    const size_t before = damage.size();
    if (log.segments(i) != nullptr) {
      auto report = log.verify(i);
      blocks += report.blocks;
      entries += report.entries;
      damage.insert(damage.end(), report.damage.begin(), report.damage.end());
    }
    for (const auto& entry : log.unsealed(i)) {
      ++unsealed;
      if (entry_is_whole(entry)) continue;
      damage.push_back(
          fmt::format("partition {}: the entry of offset {} in the journal is malformed", i,
                      entry.first.value()));
    }
    std::fputs(fmt::format("partition {} ({} of {}): {} blocks so far, {}\n", i, i + 1 - begin,
                           end - begin, blocks, damage.size() == before ? "ok" : "DAMAGED")
                   .c_str(),
               stderr);
  }
  for (const auto& line : damage) std::fputs(("damage: " + line + "\n").c_str(), stdout);
  std::fputs(
      fmt::format("{} partitions, {} blocks, {} entries; journal: {} records, {} entries not "
                  "sealed yet; {}\n",
                  end - begin, blocks, entries, log.journal_records(), unsealed,
                  damage.empty() ? "no damage" : fmt::format("{} places damaged", damage.size()))
          .c_str(),
      stdout);
  return damage.empty() ? kOk : kFoundWrong;
}

}  // namespace

int log_command(const std::vector<std::string>& arguments) {
  const bool is_dump = !arguments.empty() && arguments[0] == "dump";
  if (!is_dump && (arguments.empty() || arguments[0] != "verify")) {
    throw engine::ConfigError("log wants dump or verify");
  }
  const LogArguments parsed = parse_log_arguments(arguments, is_dump);
  PosixFileSystem files;
  const SystemClock clock;
  // Not between the clicks of a dump that goes to the screen.
  const bool quiet = is_dump && ::isatty(STDOUT_FILENO) != 0;
  Progress progress(clock, [quiet](const std::string& line) {
    if (!quiet) std::fputs((line + "\n").c_str(), stderr);
  });
  const auto log = OfflineLog::open(files, parsed.directory, progress);
  if (!log) {
    const char* hint =
        log.error().code() == Errc::busy
            ? " (of a running node, read GET /v1/log/raw-clicks; it checks its segments itself)"
            : "";
    return could_not_run(log.error().text() + hint);
  }
  return is_dump ? dump(**log, parsed, progress) : verify(**log, parsed);
}

int retention_command(const std::vector<std::string>& arguments) {
  DirectoryChoice where;
  bool now = false;
  for (size_t at = 0; at < arguments.size(); ++at) {
    if (arguments[at] == "--now") {
      now = true;
    } else if (arguments[at] == "--config") {
      where.config(value_of(arguments, at));
    } else if (!is_option(arguments[at])) {
      where.positional(arguments[at]);
    } else {
      throw engine::ConfigError("retention: no option " + arguments[at]);
    }
  }
  if (!now) throw engine::ConfigError("retention wants --now");
  const std::string directory = where.directory();
  PosixFileSystem files;
  if (!files.exists(directory + "/node")) {
    return could_not_run(directory + ": not a data directory: it has no node file");
  }
  const auto marked = write_file_atomically(files, log::Upkeep::lift_marker(directory), "");
  if (!marked) return could_not_run(marked.error().text());
  std::fputs("the node deletes what is too old within a second, or when it starts\n", stdout);
  return kOk;
}

}  // namespace clickmill::tools
