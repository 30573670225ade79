#include "stream/commit.h"

#include <algorithm>
#include <utility>

#include "base/fail_point.h"
#include "base/logging.h"
#include "base/strong.h"

namespace clickmill::stream {
namespace {

Status copy_of(const Status& status) {
  if (status) return {};
  const Error& error = status.error();
  return Error(error.code(), error.message(), error.path(), error.position());
}

}  // namespace

/// Some commits that are written together; their mutexes are held.
class JointWrite {
 public:
  explicit JointWrite(std::vector<Commit*> commits) : commits_(std::move(commits)) {}

  void run() {
    for (Commit* commit : commits_) write_parts(*commit);
    if (file_) finish_file();
    drop_failed();
    fail_point("checkpoint.parts_synced");
    commit_batches();
    drop_failed();
    fail_point("checkpoint.committed");
    for (Commit* commit : commits_) {
      commit->unlink_replaced();
      commit->done_ = Status();
    }
  }

 private:
  static void fail(Commit& commit, const Status& why) {
    if (!commit.done_) commit.done_ = copy_of(why);
  }

  void drop_failed() {
    std::erase_if(commits_, [](const Commit* commit) { return commit->done_.has_value(); });
  }

  void write_parts(Commit& commit) {
    const auto& flush = commit.work_.flush;
    if (!flush || flush->written()) return;
    auto done = commit.work_.shelf == nullptr ? flush->run() : write_shared(commit);
    if (!done) fail(commit, done);
  }

  Status write_shared(Commit& commit) {
    if (!file_) TRY(open_file(commit));
    const size_t before = file_->size();
    auto done = commit.work_.flush->write_to(*file_);
    if (done) {
      in_file_.push_back(&commit);
      return done;
    }
    file_->cut_to(before);
    commit.work_.flush->write_again();
    return done;
  }

  Status open_file(const Commit& first) {
    store::ShelfName name;
    name.number = first.work_.shelf->next_number();
    name.period_ms = floor_to(
        std::clamp<int64_t>(first.work_.record.horizon.log_time().value(), 0, kLastDayMs), kDayMs);
    name.level = store::ShelfName::kFlushed;
    directory_ = first.work_.flush->directory();
    file_ = TRY(store::ShelfWriter::create(first.work_.files, directory_, name.text()));
    return {};
  }

  void finish_file() {
    FileSystem& files = commits_.front()->work_.files;
    auto done = in_file_.empty() ? Status() : file_->finish();
    if (done && !in_file_.empty()) done = files.sync_directory(directory_);
    if (!done || in_file_.empty())
      ignore(files.remove(directory_ + "/" + file_->name()), "the next start removes it");
    // Before anybody's checkpoint can name it: nobody's release takes away what another needs.
    for (Commit* commit : in_file_) {
      if (done) commit->work_.shelf->hold(commit->work_.slot, commit->work_.flush->metas());
    }
    for (Commit* commit : in_file_) {
      auto opened = done ? commit->work_.flush->open(*commit->work_.shelf) : copy_of(done);
      if (opened) continue;
      fail(*commit, opened);
      commit->work_.flush->write_again();
      if (done)
        ignore(commit->work_.shelf->release(commit->work_.slot, file_->name()),
               "the next start removes it");
    }
  }

  /// As one batch: of several, the last one's sync would not be the others' where the database
  /// is opened anew in between.
  void commit_batches() {
    if (commits_.empty()) return;
    state::Batch all;
    for (Commit* commit : commits_) {
      Commit::Work& work = commit->work_;
      if (work.flush) {
        const auto& metas = work.flush->metas();
        work.record.parts.insert(work.record.parts.end(), metas.begin(), metas.end());
      }
      put_checkpoint(work.slot, work.record, work.batch);
      all.append(std::exchange(work.batch, {}));
    }
    fail_point("checkpoint.batch_made");
    auto done = commits_.front()->work_.store.commit(all, true);
    if (done) return;
    // It isn't known whose trouble it is: all are tried again, sooner or later each alone.
    const bool passes = done.error().code() == Errc::no_space || done.error().code() == Errc::busy;
    if (commits_.size() > 1 && !passes)
      done = Error(Errc::io, "not committed: " + done.error().text());
    for (Commit* commit : commits_) fail(*commit, done);
  }

  // The last day that a file's name can tell: 9999-12-31.
  static constexpr int64_t kLastDayMs = 253'402'214'400'000;

  std::vector<Commit*> commits_;  // without an answer
  std::vector<Commit*> in_file_;  // that have parts in it
  std::unique_ptr<store::ShelfWriter> file_;
  std::string directory_;  // where it is
};

Status Commit::run() {
  std::lock_guard lock(mutex_);
  if (!done_) JointWrite({this}).run();
  return copy_of(*done_);
}

void Commit::run_together(const std::vector<std::shared_ptr<Commit>>& commits) {
  std::vector<std::unique_lock<std::mutex>> locks;
  std::vector<Commit*> waiting;
  for (const auto& commit : commits) {
    std::unique_lock lock(commit->mutex_, std::try_to_lock);
    if (!lock || commit->done_) continue;
    locks.push_back(std::move(lock));
    waiting.push_back(commit.get());
  }
  if (!waiting.empty()) JointWrite(std::move(waiting)).run();
}

void Commit::unlink_replaced() {
  for (const std::string& path : work_.replaced) {
    fail_point("parts.unlink_begin");
    const std::string name = path.substr(path.rfind('/') + 1);
    if (work_.shelf != nullptr && store::Shelf::is_shared(name)) {
      if (auto gone = work_.shelf->release(work_.slot, name); !gone)
        log_warn("store", gone.error().text());
      continue;
    }
    // Readers of an older snapshot keep their open file. A file that stays
    // behind is removed at the next start.
    if (auto gone = work_.files.remove(path); !gone) log_warn("store", gone.error().text());
    fail_point("parts.unlinked");
  }
}

}  // namespace clickmill::stream
