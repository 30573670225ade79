#include "cluster/shared_catalog.h"

#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <optional>
#include <utility>

#include "base/logging.h"
#include "catalog/shards.h"

namespace clickmill::cluster {
namespace {

using catalog::Ad;
using catalog::AdsChange;

constexpr size_t kListed = 1'000;

AdsProposal upserts(const std::vector<Ad>& ads) {
  AdsProposal proposal;
  proposal.changes.reserve(ads.size());
  for (const Ad& ad : ads) proposal.changes.push_back({AdsChange::Kind::upsert, ad, {}});
  return proposal;
}

}  // namespace

/// The file's ads below those that are there already, made anew when these change.
struct SharedCatalog::ForNow {
  Hash128 file;
  std::shared_ptr<const catalog::Shards> ads;
  std::shared_ptr<const Snapshot> below;
  std::shared_ptr<const Snapshot> both;

  const std::shared_ptr<const Snapshot>& with(const std::shared_ptr<const Snapshot>& own) {
    if (both && below == own) return both;
    catalog::ShardsEditor editor(ads);
    std::vector<Ad> page;
    for (std::string after;; after = page.back().ad_id) {
      page = own->list({}, after, kListed);
      for (const Ad& ad : page) editor.put(ad);
      if (page.size() < kListed) break;
    }
    below = own;
    both = editor.finish();
    return both;
  }
};

std::shared_ptr<const catalog::Snapshot> SharedCatalog::snapshot() const {
  auto own = own_.snapshot();
  const std::lock_guard lock(mutex_);
  return for_now_ ? for_now_->with(own) : own;
}

/// Asks, and waits on the own thread.
Result<AdsGroup::Outcome> SharedCatalog::ask(AdsProposal&& proposal) {
  struct Waiting {
    std::mutex mutex;
    std::condition_variable told;
    std::optional<Result<AdsGroup::Outcome>> answer;
  };
  AdsDesk* desk = nullptr;
  {
    const std::lock_guard lock(mutex_);
    desk = desk_;
  }
  if (desk == nullptr) return Error(Errc::busy, "the node is starting; nothing was changed");
  const auto waiting = std::make_shared<Waiting>();
  desk->propose(std::move(proposal), [waiting](Result<AdsGroup::Outcome> answer) {
    const std::lock_guard lock(waiting->mutex);
    waiting->answer = std::move(answer);
    waiting->told.notify_one();
  });
  std::unique_lock lock(waiting->mutex);
  if (!waiting->told.wait_for(lock, std::chrono::milliseconds(options_.wait_ms),
                              [&] { return waiting->answer.has_value(); }))
    return Error(Errc::busy,
                 "the change was not confirmed in time; it may still come about: look, or send it "
                 "again");
  return *std::move(waiting->answer);
}

Result<bool> SharedCatalog::put(const Ad& ad) {
  AdsProposal proposal = upserts({ad});
  TRY(check_proposal(proposal));
  const auto outcome = TRY(ask(std::move(proposal)));
  return outcome.made > 0;
}

Status SharedCatalog::put_all(const std::vector<Ad>& ads) { return apply(upserts(ads).changes); }

Result<bool> SharedCatalog::remove(std::string_view ad_id) {
  AdsProposal proposal;
  proposal.changes.push_back({AdsChange::Kind::remove, {std::string(ad_id), {}, {}, {}}, {}});
  TRY(check_proposal(proposal));
  const auto outcome = TRY(ask(std::move(proposal)));
  return outcome.removed > 0;
}

Status SharedCatalog::apply(const std::vector<AdsChange>& changes) {
  if (changes.empty()) return {};
  AdsProposal all;
  all.changes = changes;
  TRY(check_proposal(all));
  size_t done = 0;
  for (AdsProposal& step : split_proposal(std::move(all), options_.step_bytes)) {
    const size_t more = step.changes.size();
    auto outcome = ask(std::move(step));
    if (!outcome && more < changes.size())
      return std::move(outcome).error().with_context(
          fmt::format("the first {} of {} ads are in, the next ones not", done, changes.size()));
    if (!outcome) return std::move(outcome).error();
    done += more;
  }
  return {};
}

Result<size_t> SharedCatalog::take_in_file(const std::string& path) {
  auto upload = TRY(catalog::read_ads_file(files_, path));
  if (upload.checksum == own_.taken_in()) return size_t{0};
  const size_t count = upload.ads.size();
  const bool serves = own_.snapshot()->size() == 0;
  if (serves) {
    catalog::ShardsEditor editor(nullptr);
    for (const Ad& ad : upload.ads) editor.put(ad);
    auto for_now = std::make_shared<ForNow>();
    for_now->file = upload.checksum;
    for_now->ads = editor.finish();
    const std::lock_guard lock(mutex_);
    for_now_ = std::move(for_now);
  }
  bring(std::move(upload));
  return serves ? count : 0;
}

void SharedCatalog::connect(AdsDesk& desk) {
  std::vector<catalog::AdsUpload> early;
  {
    const std::lock_guard lock(mutex_);
    desk_ = &desk;
    early.swap(early_);
  }
  for (catalog::AdsUpload& upload : early) bring(std::move(upload));
}

void SharedCatalog::bring(catalog::AdsUpload&& upload) {
  AdsDesk* desk = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (desk_ == nullptr) return early_.push_back(std::move(upload));
    desk = desk_;
  }
  AdsProposal all = upserts(upload.ads);
  all.kind = AdsProposal::Kind::of_file;
  all.file = upload.checksum;
  all.changes.push_back({AdsChange::Kind::source, {}, all.file});
  desk->bring(std::move(all), [this, file = upload.checksum](const Status& done) {
    if (done) came_in(file);
  });
}

/// Thread: the desk's worker.
void SharedCatalog::came_in(Hash128 file) {
  log_info("catalog", "the ads of catalog.file hold in the whole cluster");
  const std::lock_guard lock(mutex_);
  if (for_now_ && for_now_->file == file) for_now_.reset();
}

}  // namespace clickmill::cluster
