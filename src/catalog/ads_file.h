#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/checksum.h"
#include "base/file_system.h"
#include "catalog/ad.h"

namespace clickmill::catalog {

/// What a catalog file is made of. Format: top of ads_file.cpp.
struct AdsChange {
  enum class Kind : uint8_t { upsert = 1, remove = 2, source = 3 };
  Kind kind = Kind::upsert;
  Ad ad;           ///< upsert; remove: its ad_id alone
  Hash128 source;  ///< checksum of the ads file last taken in
};
void append_change(const AdsChange& change, std::string& body);
/// Errc::corrupt for bytes that append_change() can't have written.
Result<std::vector<AdsChange>> read_changes(std::string_view body);
void append_upsert(const Ad& ad, std::string& body);
/// Bytes that append_upsert() adds, about.
size_t upsert_bytes(const Ad& ad);

/// The file of changes. Thread: one at a time.
/// After a failed sync or rewrite it is not usable(): the bytes on disk are
/// unknown, and only a rewrite that succeeds makes it usable again.
class AdsFile {
 public:
  /// Reads the file, handing each change over in order, or makes an empty one.
  /// A torn tail is cut. Damage costs the changes it stands in, which damage() tells, and is
  /// Errc::corrupt only where it leaves none; after damage in the middle the file is not
  /// usable(). Nor is it on a disk that can't be written, which is read all the same.
  static Result<AdsFile> open(FileSystem& files, std::string path,
                              const std::function<void(AdsChange&&)>& on_change);

  /// Appends the changes in `body` as one record; durable on return, all or none.
  Status append(std::string_view body);
  /// Replaces the file by one that holds these bodies, a record each.
  Status rewrite(const std::vector<std::string>& bodies);
  /// What open() found damaged and could go on without; empty: nothing.
  const std::string& damage() const { return damage_; }
  bool usable() const { return file_ != nullptr; }
  uint64_t bytes() const { return end_; }

 private:
  AdsFile(FileSystem& files, std::string path) : files_(&files), path_(std::move(path)) {}
  Status replay(std::string_view bytes, const std::function<void(AdsChange&&)>& on_change);
  Status hand_over(std::string_view body, uint64_t position,
                   const std::function<void(AdsChange&&)>& on_change) const;
  Result<uint64_t> take_bad_end(std::string_view bytes, uint64_t position,
                                const std::function<void(AdsChange&&)>& on_change);
  Status pass_hole(std::string_view bytes, uint64_t position, uint64_t end,
                   const std::function<void(AdsChange&&)>& on_change);
  void keep_damaged(std::string_view bytes);
  void tell(std::string damage);
  Status reopen();

  FileSystem* files_;
  std::string path_;
  std::string damage_;
  std::unique_ptr<File> file_;
  uint64_t end_ = 0;
};

}  // namespace clickmill::catalog
