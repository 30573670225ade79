#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/strong.h"
#include "engine/data_dir.h"
#include "state/store.h"

namespace clickmill::engine {

/// How `clickmill backup` and a running node talk: by files in `backup/` of the data
/// directory, so that who may back it up is who may read it, and it needs neither key nor
/// listener. A command holds LOCK for as long as it runs and puts a token into `request`. The
/// node freezes its data: gives what it consists of further names in `image/`, and puts the
/// token with what it did into `answer`. The command copies from there, and removes the
/// image; what a command that was killed has left, the node removes, and a start does.
struct FreezePaths {
  std::string data_dir;
  std::string folder() const { return data_dir + "/backup"; }
  std::string lock() const { return folder() + "/LOCK"; }
  std::string request() const { return folder() + "/request"; }
  std::string answer() const { return folder() + "/answer"; }
  std::string image() const { return folder() + "/image"; }
};

/// What stands in an image beside the files themselves.
struct FrozenImage {
  int64_t made_ms = 0;  ///< when it was begun: what was answered before is in it
  std::string node_id;
  uint32_t partitions = 0;
  std::optional<JournalPos> journal_end;  ///< the journal goes so far; absent: all that is there
  std::vector<state::FrozenFile> state;
  std::vector<std::string> notes;  ///< what it lacks, for people
};

/// An answer's text: the image, or why there is none. Format: JSON, see backup_image.cpp.
std::string answer_text(const std::string& token, const Result<FrozenImage>& image);
struct Answer {
  std::string token;
  Result<FrozenImage> image;
};
/// Errc::corrupt for a text that answer_text() didn't write.
Result<Answer> parse_answer(const std::string& text);

/// What freezing asks of whoever has the data open.
struct FreezeSources {
  /// Journal::durable_end(). Null: nobody writes it.
  std::function<JournalPos()> journal_end = nullptr;
  uint64_t journal_file_bytes = 0;
  /// state::Store::freeze_files().
  std::function<Result<std::vector<state::FrozenFile>>(const std::string& into)> state;
  /// Keeps files that are removed until it is let go.
  std::function<std::shared_ptr<void>()> hold = nullptr;
};

/// Makes the image anew. In an order in which what is frozen later may be newer, never what
/// is frozen sooner: journal files first (those that are freed meanwhile stay under their
/// further name), then the state, then what it names and the log, and last how far the
/// journal is. So no checkpoint stands ahead of its log, and every click is in the log or in
/// the spool.
/// An image's parts, tables of ids and segments may hold more than the state and the manifests
/// name, even files that are still written: who copies takes what is named.
/// Cost: a system call for each file. Thread: one at a time.
Result<FrozenImage> freeze(const DataPaths& paths, const NodeFile& node, int64_t now_ms,
                           const FreezeSources& sources);

/// The state's files of a node that doesn't run, as FreezeSources has them.
Result<std::vector<state::FrozenFile>> freeze_stopped_state(const std::string& directory,
                                                            const std::string& into);

}  // namespace clickmill::engine
