#include "tools/help.h"

#include <fmt/format.h>

#include <algorithm>

namespace clickmill::tools {
namespace {

struct Option {
  std::string_view spelling;
  std::string_view text;
};

struct Command {
  std::string_view name;
  std::string_view summary;             ///< for the list of commands
  std::vector<std::string_view> usage;  ///< behind "clickmill NAME"
  std::string_view text;
  std::vector<Option> options;
  std::vector<Option> exit_codes;
};

constexpr Option kConfig{"--config FILE", "the node's config, which names its data directory"};
constexpr Option kData{"DIR",
                       "a data directory, in place of --config; ./clickmill-data if neither"};
constexpr Option kPartition{"--partition N", "only this one; default: all of them"};
constexpr Option kNode{"--node URL", "of a running node's api: http://127.0.0.1:8081"};
constexpr Option kKey{"--key-file FILE", "holds a key with role admin"};
constexpr Option kNodeConfig{"--config FILE", "the config of any node of the cluster"};
constexpr Option kYes{"--yes", "do it; without it the command only says what it would do"};
constexpr Option kNotDone{"2", "nothing was changed, or not all was done; stderr says why"};
constexpr Option kHelpOption{"--help", "this text"};
constexpr Option kRan{"0", "fine"};
constexpr Option kCouldNotRun{"2", "could not run; stderr says why"};

// conf/clickmill.1 says the same at more length, and a test compares the two.
const std::vector<Command>& commands() {
  static const std::vector<Command> all = {
      {"serve",
       "run a node until SIGTERM or SIGINT",
       {"[--config FILE]"},
       "Runs one node in the foreground; it logs to stderr. SIGTERM and SIGINT drain and end it;\n"
       "SIGHUP takes in the config's keys and log level, the catalog file and the zone rules.",
       {{"--config FILE", "the node's config; default: one node on loopback, all defaults"}},
       {{"0", "ended by SIGTERM or SIGINT"}, kCouldNotRun}},
      {"check-config",
       "validate a config without starting",
       {"FILE"},
       "Checks a config, and the catalog.file, the secret and the certificates that it names.",
       {{"FILE", "the config"}},
       {kRan, {"1", "something is wrong; stderr names the key"}, kCouldNotRun}},
      {"recount",
       "count the raw log anew and list what is stored otherwise",
       {"(--config FILE | --data-dir DIR) --from TIME --to TIME [--ad AD_ID]",
        "--node URL [--key-file FILE] [--repair] --from TIME --to TIME [--ad AD_ID]",
        "--cluster FILE [--key-file FILE] [--repair] --from TIME --to TIME [--ad AD_ID]"},
       "Lists every minute of an ad whose counts differ from what its clicks give. The first\n"
       "form reads the data of a stopped node and changes nothing; the second asks a running one,\n"
       "the third every running node of the cluster whose config FILE is, about each copy that it\n"
       "has.",
       {kConfig,
        {"--data-dir DIR", "the data directory itself"},
        kNode,
        kKey,
        {"--cluster FILE", "the config of any node of a cluster"},
        {"--repair", "put right what differs"},
        {"--from TIME", "first minute: 2026-06-24T00:00:00Z, a date, or milliseconds"},
        {"--to TIME", "end, not included"},
        {"--ad AD_ID", "only this ad; default: all of them"}},
       {{"0", "stored and recounted agree"}, {"1", "they differ, repaired or not"}, kCouldNotRun}},
      {"backup",
       "copy the data of a node, running or not, into a new folder",
       {"DIR [--config FILE | --data-dir DIR] [--rate MIB]"},
       "Makes DIR, which must not exist or be empty, a whole and checked backup, or leaves\n"
       "nothing. Run it on the node's machine, as the node's user or as root. What never changes\n"
       "is shared by hard links where DIR is on the same file system.",
       {{"DIR", "the backup"},
        kConfig,
        {"--data-dir DIR", "the data directory itself; ./clickmill-data if neither"},
        {"--rate MIB", "read at most so many MiB a second; default: 64, 0: no bound"}},
       {kRan, {"1", "made, but it lacks something, which stderr names"}, kCouldNotRun}},
      {"backup verify",
       "read all of a backup, and check that a node would start from it",
       {"DIR [--rate MIB]"},
       "Names each file that is missing or damaged.",
       {{"DIR", "the backup"},
        {"--rate MIB", "read at most so many MiB a second; default: no bound"}},
       {{"0", "whole"}, {"1", "damaged; stdout names the files"}, kCouldNotRun}},
      {"restore",
       "make a data directory of a backup",
       {"DIR (--config FILE | --to DIR) [--new-cluster]", "DIR --check"},
       "Checks every byte on the way. The data directory must not exist or be empty. What the\n"
       "node counts from then on is a new life of its data: no offset of the log is given twice.",
       {{"DIR", "the backup"},
        kConfig,
        {"--to DIR", "the data directory itself"},
        {"--new-cluster", "of a cluster whose nodes are all lost: begin it anew with this copy"},
        {"--check", "only check the backup, as backup verify does"}},
       {kRan, {"1", "the backup is damaged; stdout names the file"}, kCouldNotRun}},
      {"log dump",
       "print the raw clicks as NDJSON",
       {"[--config FILE | DIR] [--partition N] [--from-offset N] [--from TIME] [--to TIME] "
        "[--all]"},
       "Prints one click a line, what only the journal holds included. The node must be stopped;\n"
       "nothing is changed.",
       {kConfig,
        kData,
        kPartition,
        {"--from-offset N", "begin at this offset"},
        {"--from TIME", "begin at this log time"},
        {"--to TIME", "end before this log time"},
        {"--all", "ticks, settings and the rest too"}},
       {kRan, {"1", "some of it is damaged or deleted; stderr says what"}, kCouldNotRun}},
      {"log verify",
       "check every byte of log and journal, changing none",
       {"[--config FILE | DIR] [--partition N]"},
       "Names file and byte of what is damaged. The node must be stopped; a running one checks\n"
       "its log itself.",
       {kConfig, kData, kPartition},
       {{"0", "no damage"}, {"1", "damage, listed on stdout"}, kCouldNotRun}},
      {"store dump",
       "print the rows of all parts as NDJSON",
       {"[--config FILE | DIR]"},
       "Prints a row a line: of minutes, hours and days, part by part. Rows of one bucket may "
       "stand\n"
       "in several parts, what is newer than the last flush in none. The node must be stopped.",
       {kConfig, kData},
       {kRan, {"1", "some of it is damaged; stderr says what"}, kCouldNotRun}},
      {"store verify",
       "check every byte of the parts, changing none",
       {"[--config FILE | DIR]"},
       "Names file and byte of what is damaged. The node must be stopped; it rebuilds what is\n"
       "damaged from its log, where that reaches back, once somebody asks for it.",
       {kConfig, kData},
       {{"0", "no damage"}, {"1", "damage, listed on stdout"}, kCouldNotRun}},
      {"retention",
       "the clock is right: delete what is too old",
       {"--now [--config FILE | DIR]"},
       "Tells a node that deletes nothing, since its clock was far ahead, that the clock is\n"
       "right. The node may run, or hears of it when it starts.",
       {{"--now", "has to be there, since what is deleted is gone"}, kConfig, kData},
       {kRan, kCouldNotRun}},
      {"recover",
       "make a node go on: damaged journal, cluster that is gone, clock that was ahead",
       {"--force-quorum --config FILE [--yes]", "--force-quorum --config FILE --survey OUT",
        "--force-quorum --config FILE --with SURVEY … [--begin-empty] [--yes]",
        "--clock [--yes] --config FILE"},
       "The node must be stopped.\n"
       "--force-quorum, of a node alone that refuses to start over damage in its journal: keeps "
       "the\n"
       "damaged file as *.damaged, says what is gone, and sends the last day's readable clicks "
       "once\n"
       "more, so that nothing counts twice.\n"
       "--force-quorum, of a cluster whose other nodes are gone for good: makes this node the "
       "only\n"
       "voter, in a new epoch, after saying what may be lost: the others are left behind, and "
       "come\n"
       "back by `clickmill cluster rejoin`. Of more nodes than copies several are left, and none\n"
       "has everything: with all of them stopped, --survey on each says what it has, and the same\n"
       "surveys are given to --with on each.\n"
       "--clock, of a node alone after a run with a clock that was ahead: sets the node's time "
       "back\n"
       "to the clock, which must be right. Counts and review stay as they are, copies are still\n"
       "known; what is replaced is kept as clock.ahead-N in the data directory.",
       {{"--force-quorum", "has to be there, since answered clicks may be lost"},
        {"--clock", "says what setting the time back would do"},
        {"--yes", "does it: of the clock, or of a cluster's forced quorum"},
        {"--survey OUT", "writes what this node has to the file OUT, and changes nothing"},
        {"--with SURVEY", "goes on together with the surveyed nodes, this one among them"},
        {"--begin-empty", "lets partitions begin empty that nobody has a copy of"},
        kConfig},
       {{"0", "done; or nothing was wrong and nothing changed"},
        {"1", "recovered, with the losses on stdout; or the time is ahead, and --yes is missing"},
        kCouldNotRun}},
      {"cluster status",
       "say how a cluster is: nodes, leaders, lag, what is wrong",
       {"(--config FILE | --node URL) [--key-file FILE] [--json]"},
       "Asks one node how it sees the others: who is there, who leads how many partitions, how\n"
       "many entries each has yet to apply, clocks, versions and what the feature level waits\n"
       "for, disks that don't vote yet, counts that differ.\n"
       "With --config it asks that node, or another of its cluster if that one does not answer.",
       {{"--config FILE", "the config of a node"},
        kNode,
        kKey,
        {"--json", "the same for programs"}},
       {{"0", "all is well"},
        {"1", "it works and is not well: the last line says why"},
        kCouldNotRun}},
      {"cluster add",
       "wait until a new node votes in every partition",
       {"NODE --config FILE [--key-file FILE]"},
       "A node that stands in cluster.peers of every config, and was started with an empty data\n"
       "directory, is taken in by itself. This says how far it is, or what it lacks.",
       {kNodeConfig, kKey},
       {{"0", "it votes in every partition"}, kCouldNotRun}},
      {"cluster drain",
       "have a node give its leads away before it is stopped",
       {"NODE --config FILE [--key-file FILE] [--yes]"},
       "The node gives its leads to others, its readiness turns red, and its spool empties. It\n"
       "keeps its vote. Refused where the others could not go on without it.",
       {kNodeConfig, kKey, kYes},
       {{"0", "it leads nothing and holds nothing back"}, kNotDone}},
      {"cluster replace",
       "put a new node in the place of one that is gone",
       {"OLD NEW --config FILE [--key-file FILE] [--yes]"},
       "Every node's cluster.peers must name NEW in place of OLD, and NEW was started with an "
       "empty\n"
       "data directory. It gets what the others have, votes, and OLD loses its vote.",
       {kNodeConfig, kKey, kYes},
       {{"0", "NEW votes in every partition, OLD is a member of nothing"}, kNotDone}},
      {"cluster forget",
       "take the vote from a node that will not come back",
       {"NODE --config FILE [--key-file FILE] [--yes]"},
       "No node's cluster.peers may name it any more. Refused where it would leave a partition\n"
       "fewer voters than cluster.replication asks for.",
       {kNodeConfig, kKey, kYes},
       {{"0", "it is a member of nothing"}, kNotDone}},
      {"cluster replication",
       "wait until each partition has another number of copies",
       {"N --config FILE [--key-file FILE]"},
       "Every node's cluster.replication must be N, and the nodes were started again one after "
       "the\n"
       "other. Copies are made and given up by themselves once all of them are there and want the\n"
       "same.",
       {kNodeConfig, kKey},
       {{"0", "each partition is on N nodes"}, kNotDone}},
      {"cluster rejoin",
       "bring back a node that a forced recovery left behind",
       {"--config FILE [--from URL] [--key-file FILE] [--yes]"},
       "On the machine of that node, which is stopped: its data directory, kept aside, gives way "
       "to\n"
       "one of the present epoch, which gets log and counts from the others. All clicks that it "
       "has\n"
       "answered and that may be missing there are sent again, and counted once. Says first what "
       "it\n"
       "will do. Interrupted at any point, it is to be run again.",
       {{"--config FILE", "the node's config"},
        {"--from URL", "the api of a node of the epoch to join; default: the others of the config"},
        kKey,
        kYes},
       {{"0", "done: start the node"}, kNotDone}},
  };
  return all;
}

size_t width_of(const std::vector<Option>& options) {
  size_t width = 0;
  for (const Option& option : options) width = std::max(width, option.spelling.size());
  return width;
}

void append_table(const std::vector<Option>& options, std::string& out) {
  const size_t width = width_of(options);
  for (const Option& option : options)
    out += fmt::format("  {:{}}  {}\n", option.spelling, width, option.text);
}

bool is_help(const std::string& argument) { return argument == "--help" || argument == "-h"; }

/// The commands that begin with `word`: "log" has two.
std::vector<const Command*> commands_of(std::string_view word) {
  std::vector<const Command*> found;
  for (const Command& command : commands()) {
    if (command.name == word ||
        (command.name.starts_with(word) && command.name.substr(word.size()).starts_with(" ")))
      found.push_back(&command);
  }
  return found;
}

std::string help_of(const Command& command) {
  std::string out = usage_of(command.name);
  out += fmt::format("\n{}\n\nOptions:\n", command.text);
  auto options = command.options;
  options.push_back(kHelpOption);
  append_table(options, out);
  out += "\nExit codes:\n";
  append_table(command.exit_codes, out);
  return out;
}

}  // namespace

std::string help() {
  std::string out =
      "clickmill: counts ad clicks exactly once\n\n"
      "Usage:\n  clickmill COMMAND [OPTION...]\n\nCommands:\n";
  std::vector<Option> list;
  for (const Command& command : commands()) list.push_back({command.name, command.summary});
  list.push_back({"--version", "print the version"});
  list.push_back({"--help", "print this text"});
  append_table(list, out);
  out +=
      "\n`clickmill COMMAND --help` lists a command's options; most take --config FILE.\n"
      "Exit codes: 0 fine, 1 something is wrong with what was checked, 2 could not run.\n";
  return out;
}

std::string help_of(std::string_view command) {
  std::string out;
  for (const Command* const found : commands_of(command)) {
    if (!out.empty()) out += '\n';
    out += help_of(*found);
  }
  return out;
}

std::string usage_of(std::string_view command) {
  std::string out = "Usage:\n";
  for (const Command* const found : commands_of(command)) {
    for (const std::string_view usage : found->usage)
      out += fmt::format("  clickmill {} {}\n", found->name, usage);
  }
  return out;
}

bool asks_help(const std::vector<std::string>& arguments, std::string& command) {
  if (arguments.empty()) return false;
  if (is_help(arguments[0]) || arguments[0] == "help") {
    command = arguments.size() > 1 && arguments[0] == "help" ? arguments[1] : "";
    if (arguments.size() > 2 && arguments[0] == "help") command += " " + arguments[2];
    return true;
  }
  if (std::none_of(arguments.begin() + 1, arguments.end(), is_help)) return false;
  command = arguments[0];
  if (const std::string two = command + " " + arguments[1]; !commands_of(two).empty())
    command = two;
  return true;
}

}  // namespace clickmill::tools
