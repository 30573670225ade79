#include "catalog/catalog.h"

#include <mutex>

#include "base/logging.h"
#include "base/ndjson.h"
#include "catalog/ads_file.h"
#include "catalog/shards.h"

namespace clickmill::catalog {
namespace {

/// A file smaller than this is never worth rewriting.
constexpr uint64_t kCompactBytesMin = 64 * 1024;
constexpr size_t kRewriteBodyBytes = 256 * 1024;

Result<std::vector<Ad>> read_ads(std::string_view text, const std::string& path) {
  std::vector<Ad> ads;
  std::optional<Error> error;
  for_each_line(text, [&](std::string_view line, size_t number) {
    Ad ad;
    if (const auto wrong = parse_ad(line, {}, ad)) {
      const std::string field = wrong->field.empty() ? "" : wrong->field + ": ";
      error.emplace(Errc::invalid, "line " + std::to_string(number) + ": " + field + wrong->detail,
                    path);
      return false;
    }
    ads.push_back(std::move(ad));
    return true;
  });
  if (error) return *std::move(error);
  return ads;
}

class FileCatalog final : public Catalog {
 public:
  FileCatalog(FileSystem& files, AdsFile file)
      : files_(&files), damage_(file.damage()), file_(std::move(file)) {}

  std::shared_ptr<const Snapshot> snapshot() const override { return current(); }
  std::string damage() const override { return damage_; }
  Result<bool> put(const Ad& ad) override;
  Status put_all(const std::vector<Ad>& ads) override;
  Result<bool> remove(std::string_view ad_id) override;
  Result<size_t> take_in_file(const std::string& path) override;
  Status apply(const std::vector<AdsChange>& changes) override;
  Hash128 taken_in() const override {
    std::lock_guard lock(writer_mutex_);
    return source_;
  }

  void start(std::shared_ptr<const Shards> ads, Hash128 source);
  void mend();

 private:
  /// Changes being gathered: the file's bytes and the set they lead to.
  struct Edit {
    explicit Edit(std::shared_ptr<const Shards> base) : ads(std::move(base)) {}
    ShardsEditor ads;
    std::string body;
    int64_t growth = 0;  ///< of live_bytes_
  };
  std::shared_ptr<const Shards> current() const {
    std::lock_guard lock(snapshot_mutex_);
    return snapshot_;
  }
  static Status upsert(const Ad& ad, Edit& edit);
  static bool erase(std::string_view ad_id, Edit& edit);
  Status commit(Edit&& edit, Hash128 source);
  Status rewrite(const Shards& ads, Hash128 source);
  void compact_if_worth_it();

  // Serialises writers, who wait for the disk under it: the catalog belongs to no
  // thread of its own. Taken before snapshot_mutex_.
  mutable std::mutex writer_mutex_;
  FileSystem* files_;
  const std::string damage_;
  AdsFile file_;
  Hash128 source_;
  uint64_t live_bytes_ = 0;  ///< what a rewritten file would hold, about

  // Guards the pointer alone, for as long as it takes to copy it: readers never wait
  // for a write. (libstdc++ 12's atomic<shared_ptr> spins on a bit all the same.)
  mutable std::mutex snapshot_mutex_;
  std::shared_ptr<const Shards> snapshot_;
};

void FileCatalog::start(std::shared_ptr<const Shards> ads, Hash128 source) {
  ads->for_each([&](const Ad& ad) { live_bytes_ += upsert_bytes(ad); });
  source_ = source;
  snapshot_ = std::move(ads);
}

/// After damage in the middle the file is written anew, so that it is told once. A disk that
/// can't be written keeps nobody from the ads: the next change tries again.
void FileCatalog::mend() {
  std::lock_guard lock(writer_mutex_);
  if (file_.usable() || damage_.empty()) return;
  if (auto done = rewrite(*current(), source_); !done)
    log_warn("catalog", "rewriting the damaged file: " + done.error().text());
}

Status FileCatalog::upsert(const Ad& ad, Edit& edit) {
  if (const auto wrong = check_ad(ad)) {
    return Error(Errc::invalid, wrong->field + ": " + wrong->detail);
  }
  const Ad* before = edit.ads.find(ad.ad_id);
  if (before != nullptr && *before == ad) return {};
  append_upsert(ad, edit.body);
  edit.growth += static_cast<int64_t>(upsert_bytes(ad));
  if (const auto old = edit.ads.put(ad)) edit.growth -= static_cast<int64_t>(upsert_bytes(*old));
  return {};
}

bool FileCatalog::erase(std::string_view ad_id, Edit& edit) {
  const auto removed = edit.ads.remove(ad_id);
  if (removed == nullptr) return false;
  edit.growth -= static_cast<int64_t>(upsert_bytes(*removed));
  append_change({AdsChange::Kind::remove, {std::string(ad_id), {}, {}, {}}, {}}, edit.body);
  return true;
}

/// Makes the edit durable, then visible.
Status FileCatalog::commit(Edit&& edit, Hash128 source) {
  auto ads = edit.ads.finish();
  if (file_.usable()) {
    if (!edit.body.empty()) TRY(file_.append(edit.body));
  } else {
    TRY(rewrite(*ads, source));
  }
  live_bytes_ = static_cast<uint64_t>(static_cast<int64_t>(live_bytes_) + edit.growth);
  source_ = source;
  {
    std::lock_guard lock(snapshot_mutex_);
    snapshot_.swap(ads);
  }
  compact_if_worth_it();
  return {};
}

Status FileCatalog::rewrite(const Shards& ads, Hash128 source) {
  std::vector<std::string> bodies(1);
  append_change({AdsChange::Kind::source, {}, source}, bodies.back());
  ads.for_each([&](const Ad& ad) {
    if (bodies.back().size() > kRewriteBodyBytes) bodies.emplace_back();
    append_upsert(ad, bodies.back());
  });
  return file_.rewrite(bodies);
}

void FileCatalog::compact_if_worth_it() {
  if (file_.bytes() < kCompactBytesMin || file_.bytes() / 2 < live_bytes_) return;
  // Only writers change snapshot_, and this one holds their mutex. What was asked
  // for is durable already; a file that couldn't be rewritten is
  // tried again with the next change, which then fails if this still does.
  const Status done = rewrite(*snapshot_, source_);
  if (!done) log_warn("catalog", "rewriting the file: " + done.error().text());
}

Result<bool> FileCatalog::put(const Ad& ad) {
  std::lock_guard lock(writer_mutex_);
  Edit edit(current());
  const bool is_new = edit.ads.find(ad.ad_id) == nullptr;
  TRY(upsert(ad, edit));
  TRY(commit(std::move(edit), source_));
  return is_new;
}

Status FileCatalog::put_all(const std::vector<Ad>& ads) {
  std::lock_guard lock(writer_mutex_);
  Edit edit(current());
  for (const auto& ad : ads) TRY(upsert(ad, edit));
  return commit(std::move(edit), source_);
}

Result<bool> FileCatalog::remove(std::string_view ad_id) {
  std::lock_guard lock(writer_mutex_);
  Edit edit(current());
  if (!erase(ad_id, edit)) return false;
  TRY(commit(std::move(edit), source_));
  return true;
}

Status FileCatalog::apply(const std::vector<AdsChange>& changes) {
  std::lock_guard lock(writer_mutex_);
  Edit edit(current());
  Hash128 source = source_;
  for (const AdsChange& change : changes) {
    switch (change.kind) {
      case AdsChange::Kind::upsert: TRY(upsert(change.ad, edit)); break;
      case AdsChange::Kind::remove: erase(change.ad.ad_id, edit); break;
      case AdsChange::Kind::source:
        source = change.source;
        append_change(change, edit.body);
        break;
    }
  }
  return commit(std::move(edit), source);
}

Result<size_t> FileCatalog::take_in_file(const std::string& path) {
  std::lock_guard lock(writer_mutex_);
  const std::string text = TRY(read_file(*files_, path));
  const Hash128 source = xxh128_of(text);
  if (source == source_) return size_t{0};
  const auto ads = TRY(read_ads(text, path));
  Edit edit(current());
  for (const auto& ad : ads) TRY(upsert(ad, edit));
  append_change({AdsChange::Kind::source, {}, source}, edit.body);
  TRY(commit(std::move(edit), source));
  return ads.size();
}

}  // namespace

Result<AdsUpload> read_ads_file(FileSystem& files, const std::string& path) {
  const std::string text = TRY(read_file(files, path));
  AdsUpload upload;
  upload.ads = TRY(read_ads(text, path));
  upload.checksum = xxh128_of(text);
  return upload;
}

Status check_ads_file(FileSystem& files, const std::string& path) {
  TRY(read_ads_file(files, path));
  return {};
}

Result<std::unique_ptr<Catalog>> Catalog::open(FileSystem& files, std::string data_dir) {
  ShardsEditor ads(nullptr);
  Hash128 source;
  auto file = TRY(AdsFile::open(files, data_dir + "/catalog", [&](AdsChange&& change) {
    switch (change.kind) {
      case AdsChange::Kind::upsert: ads.put(change.ad); break;
      case AdsChange::Kind::remove: ads.remove(change.ad.ad_id); break;
      case AdsChange::Kind::source: source = change.source; break;
    }
  }));
  auto catalog = std::make_unique<FileCatalog>(files, std::move(file));
  catalog->start(ads.finish(), source);
  catalog->mend();
  return std::unique_ptr<Catalog>(std::move(catalog));
}

}  // namespace clickmill::catalog
