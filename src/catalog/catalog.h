#pragma once

// catalog/ knows the ads: where a click leads and whose it is. Catalog is the node's own
// list, a snapshot in memory over a durable file of changes (ads_file.h); Service asks a
// configuration service over HTTP and keeps its answers in a Catalog (service.h).
// Redirects look ads up on io threads, without a lock that a writer holds; writers run in
// a pool. Promise: a put is durable on return, and a file that is damaged anywhere but at
// its torn end is refused. Begin with Ad, then Catalog.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/checksum.h"
#include "base/file_system.h"
#include "base/result.h"
#include "catalog/ad.h"
#include "catalog/snapshot.h"

namespace clickmill::catalog {

struct AdsChange;

/// The ads of this node: an immutable snapshot for readers (shared_ptr swap),
/// one writer at a time, and a durable file.
///
/// File `catalog` in the data directory: append-only checksummed upserts and
/// deletes (format: top of ads_file.cpp), synced before a write is answered,
/// rewritten whole when twice as large as needed. A torn tail is cut; damaged changes at
/// the very end are left out and told by damage(); damage anywhere else is Errc::corrupt
/// with its position, and nothing is opened.
/// Errors: after a failed write readers see the state before it; after a restart
/// the file may hold it or not. The next write settles it.
/// Thread: any; writers are serialised by a mutex that readers never take.
class Catalog {
 public:
  using Snapshot = catalog::Snapshot;
  static Result<std::unique_ptr<Catalog>> open(FileSystem& files, std::string data_dir);
  virtual ~Catalog() = default;

  virtual std::shared_ptr<const Snapshot> snapshot() const = 0;
  /// What open() found damaged and left out; empty: nothing.
  virtual std::string damage() const = 0;
  /// Durable on return. True when the ad is new.
  virtual Result<bool> put(const Ad& ad) = 0;
  /// All in one durable write (and one new snapshot).
  virtual Status put_all(const std::vector<Ad>& ads) = 0;
  /// False when there was none.
  virtual Result<bool> remove(std::string_view ad_id) = 0;
  /// Upserts an NDJSON file of ads when its bytes have changed since it was
  /// last taken in (the checksum is remembered durably). Answers how many ads
  /// it took in (0: unchanged). Errc::invalid names line and field; then nothing is taken in.
  virtual Result<size_t> take_in_file(const std::string& path) = 0;
  /// All in their order, in one durable write (and one new snapshot).
  virtual Status apply(const std::vector<AdsChange>& changes) = 0;
  /// Checksum of the file last taken in; zeros: none was.
  virtual Hash128 taken_in() const = 0;
};

/// An NDJSON file of ads.
struct AdsUpload {
  std::vector<Ad> ads;
  Hash128 checksum;
};
/// Errors as take_in_file.
Result<AdsUpload> read_ads_file(FileSystem& files, const std::string& path);
/// Whether take_in_file could read the file and what it says. Errors as there.
Status check_ads_file(FileSystem& files, const std::string& path);

}  // namespace clickmill::catalog
