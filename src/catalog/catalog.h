#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"

namespace clickmill::catalog {

struct Ad {
  std::string ad_id;
  std::string advertiser_id;  ///< 1–64 of [A-Za-z0-9._:-]
  std::string ad_format;      ///< [a-z0-9_-]{1,32}
  std::string redirect_url;   ///< http or https, ≤ 2,048 bytes, no control characters or spaces
  friend bool operator==(const Ad&, const Ad&) = default;
};

/// Field to blame and why.
struct AdError {
  std::string field;
  std::string detail;
};
/// Reads one ad from a JSON object. `path_ad_id`: given in the URL; the body
/// may leave ad_id out, and must not contradict it.
std::optional<AdError> parse_ad(std::string_view json, std::string_view path_ad_id, Ad& out);
std::string ad_to_json(const Ad& ad);
/// The rule that an ad breaks, if any. put and put_all refuse such an ad (Errc::invalid).
std::optional<AdError> check_ad(const Ad& ad);

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
  /// Lookup in O(1). Transparent, so that a string_view needs no copy.
  class Snapshot {
   public:
    virtual ~Snapshot() = default;
    /// Null when unknown. Lives as long as the snapshot.
    virtual const Ad* find(std::string_view ad_id) const = 0;
    virtual size_t size() const = 0;
    /// Ads in order of ad_id after `after`, at most `limit`, of one advertiser
    /// unless `advertiser_id` is empty.
    virtual std::vector<Ad> list(std::string_view advertiser_id, std::string_view after,
                                 size_t limit) const = 0;
  };
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
};

/// Whether take_in_file could read the file and what it says. Errors as there.
Status check_ads_file(FileSystem& files, const std::string& path);

}  // namespace clickmill::catalog
