// What is done, in this order, each step so that it can be done again after a kill:
//   setting-clock            written first, removed last: `to` and the number N
//   log/<p>/                 segments with a time above `to` move to clock.ahead-N/log-<p>/,
//                            and their entries are sealed anew; `done` there ends it
//   state/                   horizon and ids of each partition
//   journal/                 what is still needed of it goes into journal.new/, which takes
//                            its place; the old one becomes clock.ahead-N/journal/
//   upkeep                   removed, since the time it trusted is wrong
#include "tools/recover_clock.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/node_clock.h"
#include "base/time_text.h"
#include "click/batch.h"
#include "engine/data_dir.h"
#include "log/journal_recovery.h"
#include "state/slots.h"
#include "tools/clock_journal.h"
#include "tools/id_refill.h"
#include "tools/progress.h"
#include "tools/segments_set_back.h"
#include "tools/set_back.h"

namespace clickmill::tools {
namespace {

constexpr uint64_t kStateCacheBytes = 16 << 20;
// As NodeClock: clocks differ by so much without anything being wrong.
constexpr int64_t kAheadMostMs = 10'000;

std::string span_of(int64_t ms) {
  const int64_t seconds = ms / 1000;
  if (seconds < 2 * 3600) return fmt::format("{} s", seconds);
  if (seconds < 48 * 3600) return fmt::format("{} hours", (seconds + 1800) / 3600);
  return fmt::format("{} days", (seconds + 43'200) / 86'400);
}

/// What `setting-clock` says: "to 1782295200131 kept 1".
struct Begun {
  int64_t to_ms = 0;
  uint32_t kept = 0;
};

std::string text_of(const Begun& begun) {
  return fmt::format("to {} kept {}\n", begun.to_ms, begun.kept);
}

Result<Begun> parse_begun(const std::string& text, const std::string& path) {
  Begun begun;
  const auto number = [&text](std::string_view word, auto& out) {
    const size_t at = text.find(word);
    if (at == std::string::npos) return false;
    const char* const from = text.data() + at + word.size();
    return std::from_chars(from, text.data() + text.size(), out).ec == std::errc{};
  };
  if (!number("to ", begun.to_ms) || !number("kept ", begun.kept) || text != text_of(begun))
    return Error(Errc::corrupt, "not what recover --clock writes", path);
  return begun;
}

class Recovery {
 public:
  Recovery(const engine::Config& config, FileSystem& files, Clock& clock, const Print& tell)
      : config_(config), files_(files), clock_(clock), progress_(clock, tell) {}

  Result<ClockRecovery> run(bool yes) {
    if (!files_.exists(config_.data_dir + "/node"))
      return Error(Errc::not_found, "no clickmill data directory", config_.data_dir);
    dir_ = TRY(engine::DataDir::open_existing(files_, config_.data_dir));
    TRY(refuse_member());
    const std::string marker = dir_->paths().setting_clock();
    if (files_.exists(marker)) {
      const std::string text = TRY(read_file(files_, marker));
      begun_ = TRY(parse_begun(text, marker));
      say(fmt::format("an earlier recover --clock was interrupted; it goes on, back to {}",
                      format_time_ms(begun_.to_ms)));
    } else if (const bool ahead = TRY(plan()); !ahead) {
      return std::move(out_);
    }
    if (!yes) {
      out_.outcome = ClockRecovery::Outcome::planned;
      say("nothing was changed yet: say --yes to do it");
      return std::move(out_);
    }
    TRY(set_back());
    out_.outcome = ClockRecovery::Outcome::done;
    return std::move(out_);
  }

 private:
  /// The others apply the same log: what one of them changed in it would part them for ever.
  Status refuse_member() const {
    if (!config_.cluster && !files_.exists(config_.data_dir + "/cluster")) return {};
    return Error(
        Errc::invalid,
        "this is a member of a cluster, whose log and time are the others' too: they can't be set "
        "back for one of them. A node that was ahead alone was not listened to; its clock right, "
        "start it again. Where the time of the whole cluster went ahead, it goes on once the "
        "clocks have caught up",
        config_.data_dir);
  }

  /// Says what there is to do; false: nothing.
  Result<bool> plan() {
    log::JournalRecovery journal(files_, dir_->journal(), log::Journal::Options{}.unsynced_bytes);
    const auto found = files_.exists(dir_->journal()) ? TRY(journal.find_end()) : log::Recovered{};
    begun_.to_ms = clock_.wall_ms();
    begun_.kept = 1;
    while (files_.exists(kept_folder())) ++begun_.kept;
    const int64_t ahead_ms = found.time_ms - begun_.to_ms;
    if (ahead_ms <= kAheadMostMs) {
      say(fmt::format("node time is {}, the clock says {}: nothing is ahead, nothing was changed",
                      format_time_ms(found.time_ms), format_time_ms(begun_.to_ms)));
      return false;
    }
    say(fmt::format("node time is {}, {} ahead of the clock, which says {} and is{} synchronised",
                    format_time_ms(found.time_ms), span_of(ahead_ms), format_time_ms(begun_.to_ms),
                    clock_.synchronised() ? "" : " not"));
    say(
        fmt::format("it is set back to the clock's. What is replaced is kept in {}, and needs as "
                    "much space again as the run that was ahead has written",
                    kept_folder()));
    say("what was counted stays where it was counted, plain links of that run in minutes that lie "
        "ahead; what stands in review stays there, to be accepted; ids are filed anew from the "
        "log, so that copies are still known");
    return true;
  }

  Status set_back() {
    TRY(files_.create_directories(kept_folder()));
    const std::string marker = dir_->paths().setting_clock();
    if (!files_.exists(marker)) {
      TRY(check_standing());
      TRY(write_file_atomically(files_, marker, text_of(begun_)));
    }
    TRY(open_logs());
    for (uint32_t i = 0; i < partitions(); ++i) TRY(set_segments_back(i));
    ClockJournal journal(files_, {dir_->paths(), kept_folder(), LogMs(begun_.to_ms)}, progress_);
    TRY(journal.read(segments_, settings_));
    TRY(set_state_back(journal));
    TRY(journal.replace(clock_));
    if (files_.exists(dir_->path() + "/upkeep")) TRY(files_.remove(dir_->path() + "/upkeep"));
    TRY(files_.remove(marker));
    TRY(files_.sync_directory(dir_->path()));
    say(fmt::format("node time is set back to {}: start the node. Delete {} once all is well",
                    format_time_ms(begun_.to_ms), kept_folder()));
    return {};
  }

  uint32_t partitions() const { return dir_->node().partitions; }
  std::string kept_folder() const {
    return fmt::format("{}/clock.ahead-{}", config_.data_dir, begun_.kept);
  }

  Result<std::unique_ptr<state::Store>> open_state() {
    TRY(files_.create_directories(dir_->state()));
    return state::open_rocks_store(dir_->state(), kStateCacheBytes);
  }

  /// Before anything is changed.
  Status check_standing() {
    const auto state = TRY(open_state());
    for (uint32_t i = 0; i < partitions(); ++i) {
      const auto standing = TRY(state::read_standing(PartitionId(i), *state));
      if (standing.building) {
        return Error(Errc::busy, fmt::format("partition {} is being rebuilt from the log: start "
                                             "the node and let it finish",
                                             i));
      }
      TRY(stream::read_checkpoint(standing.live, *state));
    }
    return {};
  }

  /// Settings in force, which say how a click was judged.
  Status open_logs() {
    const auto state = TRY(open_state());
    for (uint32_t i = 0; i < partitions(); ++i) {
      const auto standing = TRY(state::read_standing(PartitionId(i), *state));
      const auto checkpoint = TRY(stream::read_checkpoint(standing.live, *state));
      settings_.push_back(checkpoint ? checkpoint->settings : stream::Settings{});
    }
    return {};
  }

  Status set_segments_back(uint32_t partition) {
    SegmentsSetBack::Options of;
    of.directory = dir_->log(partition);
    of.kept = fmt::format("{}/log-{}", kept_folder(), partition);
    of.to = LogMs(begun_.to_ms);
    of.segments.segment_bytes = config_.log.segment_bytes;
    of.segments.compression = config_.log.compression;
    of.at = [&](Offset offset) {
      progress_.at([&] {
        return fmt::format("log of partition {} of {}: at offset {}", partition + 1, partitions(),
                           offset.value());
      });
    };
    const SetBack set_back(of.to, settings_[partition]);
    segments_.push_back(TRY(set_segments_back_in(files_, std::move(of), set_back)));
    return {};
  }

  Status set_state_back(const ClockJournal& journal) {
    const auto state = TRY(open_state());
    for (uint32_t i = 0; i < partitions(); ++i) {
      const auto standing = TRY(state::read_standing(PartitionId(i), *state));
      IdRefill::Options of;
      of.to = LogMs(begun_.to_ms);
      of.seed = dir_->node().seed;
      of.at = [&](Offset offset) {
        progress_.at([&] {
          return fmt::format("ids of partition {} of {}: at offset {}", i + 1, partitions(),
                             offset.value());
        });
      };
      const auto unsealed = TRY(journal.unsealed(i));
      IdRefill refill(standing.live, *state, *segments_[i], unsealed, std::move(of));
      if (auto done = refill.run(); !done)
        return std::move(done).error().with_context(fmt::format("partition {}", i));
    }
    return drop_spaces_ahead(*state);
  }

  /// Those of the wrong time, which nobody would ask for before it has come.
  Status drop_spaces_ahead(state::Store& state) const {
    for (const state::Space& space : state.spaces()) {
      const auto hour = state::hour_of_ids_space(space);
      if (hour && *hour > hour_of(LogMs(begun_.to_ms))) TRY(state.drop_space(space));
    }
    return {};
  }

  void say(std::string line) { out_.report.push_back(std::move(line)); }

  const engine::Config& config_;
  FileSystem& files_;
  Clock& clock_;
  Progress progress_;
  std::unique_ptr<engine::DataDir> dir_;
  Begun begun_;
  std::vector<stream::Settings> settings_;  ///< by partition
  std::vector<std::unique_ptr<log::Segments>> segments_;
  ClockRecovery out_;
};

}  // namespace

Result<ClockRecovery> set_clock_back(const engine::Config& config, FileSystem& files, Clock& clock,
                                     const Print& tell, bool yes) {
  return Recovery(config, files, clock, tell).run(yes);
}

}  // namespace clickmill::tools
