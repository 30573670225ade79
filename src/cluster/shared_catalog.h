#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/catalog.h"
#include "cluster/ads_desk.h"

namespace clickmill::cluster {

/// The ads of a cluster, as each of its nodes has them: read here, changed in the ads' group.
/// put, put_all, remove and apply return once this node has the change too. Errc::busy: not in
/// time; the message says whether it may still come about. Ads of a large put_all come in
/// several steps, of which the first may hold when a later one fails.
///
/// take_in_file answers at once: a file that the cluster has not taken in yet is brought to it
/// for as long as that takes, once in all, whichever nodes have it. Where this node has no ads
/// at all, those of the file serve redirects until then; then it answers how many.
/// Thread: any, but no worker: writers wait.
class SharedCatalog final : public catalog::Catalog {
 public:
  struct Options {
    int64_t wait_ms = 6'000;       ///< a little longer than the desk's patience
    size_t step_bytes = 64 << 10;  ///< of a put_all
  };
  /// `own`, which the group writes, and `files` are borrowed.
  SharedCatalog(catalog::Catalog& own, FileSystem& files, Options options)
      : own_(own), files_(files), options_(options) {}
  SharedCatalog(catalog::Catalog& own, FileSystem& files) : SharedCatalog(own, files, Options()) {}
  /// Borrowed; before any change but a file. The desk must not call back after this is gone.
  void connect(AdsDesk& desk);

  std::shared_ptr<const Snapshot> snapshot() const override;
  std::string damage() const override { return own_.damage(); }
  Result<bool> put(const catalog::Ad& ad) override;
  Status put_all(const std::vector<catalog::Ad>& ads) override;
  Result<bool> remove(std::string_view ad_id) override;
  Result<size_t> take_in_file(const std::string& path) override;
  Status apply(const std::vector<catalog::AdsChange>& changes) override;
  Hash128 taken_in() const override { return own_.taken_in(); }

 private:
  struct ForNow;
  Result<AdsGroup::Outcome> ask(AdsProposal&& proposal);
  void bring(catalog::AdsUpload&& upload);
  void came_in(Hash128 file);

  catalog::Catalog& own_;
  FileSystem& files_;
  const Options options_;
  /// Guards the rest, between readers, take_in_file and the desk's word that a file is in.
  /// Nobody waits for a disk or another lock under it but own_.snapshot()'s.
  mutable std::mutex mutex_;
  AdsDesk* desk_ = nullptr;
  std::vector<catalog::AdsUpload> early_;  ///< from before connect()
  std::shared_ptr<ForNow> for_now_;        ///< a file's ads that serve until they are in
};

}  // namespace clickmill::cluster
