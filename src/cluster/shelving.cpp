#include "cluster/shelving.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "base/logging.h"

namespace clickmill::cluster {
namespace {

constexpr int64_t kAfterFailureMs = 60'000;

}  // namespace

Shelving::Shelving(Options options, Owned& owned, FileSystem& files, store::Shelf& shelf,
                   const Clock& clock)
    : options_(std::move(options)), owned_(owned), files_(files), shelf_(shelf), clock_(clock) {}

/// Counts down between the workers.
struct Shelving::Asked {
  std::atomic<size_t> missing;
  std::function<void(size_t, Partition&)> question;
  std::function<void()> then;
};

void Shelving::ask(const std::vector<PartitionId>& ids,
                   std::function<void(size_t, Partition&)> question, std::function<void()> then) {
  if (ids.empty()) return then();
  const auto asked = std::make_shared<Asked>();
  asked->missing = ids.size();
  asked->question = std::move(question);
  asked->then = std::move(then);
  for (size_t i = 0; i < ids.size(); ++i) {
    Partition* const partition = owned_.partitions[ids[i].value()].get();
    // One that has stopped is the end of the node: then nothing comes of it.
    ignore(owned_.worker_of(ids[i]).post([asked, partition, i] {
      asked->question(i, *partition);
      if (--asked->missing == 0) asked->then();
    }),
           "a worker that has stopped ends with the node");
  }
}

void Shelving::background(std::function<void()> task) {
  if (!options_.in_background(std::move(task))) end(false);
}

void Shelving::step() {
  const int64_t now = clock_.monotonic_ns();
  if (under_way_ || now < next_ns_) return;
  under_way_ = true;
  struct Views {
    std::mutex mutex;  // guards the views between the workers; innermost
    std::vector<stream::ShelfView> all;
  };
  const auto views = std::make_shared<Views>();
  ask(
      owned_.all(),
      [views](size_t, Partition& partition) {
        auto view = partition.shelf_view();
        if (!view) return;
        const std::lock_guard lock(views->mutex);
        views->all.push_back(*std::move(view));
      },
      [this, views] {
        background([this, views] {
          // The same however the workers were at it.
          std::sort(views->all.begin(), views->all.end(),
                    [](const auto& a, const auto& b) { return a.id < b.id; });
          plan(views->all);
        });
      });
}

void Shelving::plan(const std::vector<stream::ShelfView>& views) {
  auto plan = stream::plan_shelving(views, options_.rules);
  if (!plan || plan->shares.empty()) return end(false);
  keep(*std::move(plan));
}

void Shelving::keep(stream::ShelfPlan plan) {
  std::vector<PartitionId> ids;
  for (const auto& share : plan.shares) ids.push_back(share.id);
  struct Kept {
    explicit Kept(stream::ShelfPlan of) : plan(std::move(of)), yes(plan.shares.size()) {}
    stream::ShelfPlan plan;
    std::vector<std::atomic<bool>> yes;
  };
  const auto kept = std::make_shared<Kept>(std::move(plan));
  ask(
      ids,
      [kept](size_t i, Partition& partition) {
        kept->yes[i] = partition.begin_shelving(kept->plan.shares[i]);
      },
      [this, kept] {
        stream::ShelfPlan left = kept->plan;
        left.shares.clear();
        for (size_t i = 0; i < kept->yes.size(); ++i) {
          if (kept->yes[i]) left.shares.push_back(kept->plan.shares[i]);
        }
        if (left.shares.empty()) return end(false);
        const auto work = std::make_shared<stream::ShelfWork>(std::move(left), files_,
                                                              options_.directory, shelf_);
        background([this, work] { write(work); });
      });
}

void Shelving::write(const Work& work) {
  if (!work->written()) {
    if (auto done = work->write_next(); !done) return failed(done.error());
    return background([this, work] { write(work); });
  }
  if (auto done = work->finish(); !done) return failed(done.error());
  hand_out(work);
}

void Shelving::hand_out(const Work& work) {
  std::vector<PartitionId> ids;
  for (const auto& share : work->shares()) ids.push_back(share.id);
  ask(
      ids,
      [this, work](size_t i, Partition& partition) {
        partition.end_shelving(work->shares()[i], shelf_);
      },
      [this, work] {
        ++steps_;
        bytes_written_ += work->bytes_written();
        log_info("store",
                 fmt::format("parts of {} partitions, {} bytes, stand together: {} bytes",
                             work->shares().size(), work->bytes_read(), work->bytes_written()));
        end(true);
      });
}

/// `again`: one step makes the next one due, it may be.
void Shelving::end(bool again) {
  if (!again) next_ns_ = clock_.monotonic_ns() + options_.every_ms * 1'000'000;
  under_way_ = false;
}

void Shelving::failed(const Error& why) {
  ++steps_failed_;
  log_error("store", "parts can't be put together: " + why.text());
  next_ns_ = clock_.monotonic_ns() + kAfterFailureMs * 1'000'000;
  under_way_ = false;
}

}  // namespace clickmill::cluster
