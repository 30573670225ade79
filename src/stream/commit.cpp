#include "stream/commit.h"

#include "base/fail_point.h"
#include "base/logging.h"

namespace clickmill::stream {

Status Commit::run() {
  std::lock_guard lock(mutex_);
  if (!done_) done_ = write();
  if (*done_) return {};
  const Error& error = done_->error();
  return Error(error.code(), error.message(), error.path(), error.position());
}

Status Commit::write() {
  if (work_.flush) {
    TRY(work_.flush->run());
    const auto& metas = work_.flush->metas();
    work_.record.parts.insert(work_.record.parts.end(), metas.begin(), metas.end());
  }
  fail_point("checkpoint.parts_synced");
  put_checkpoint(work_.slot, work_.record, work_.batch);
  fail_point("checkpoint.batch_made");
  TRY(work_.store.commit(work_.batch, true));
  fail_point("checkpoint.committed");
  work_.batch = {};
  unlink_replaced();
  return {};
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
