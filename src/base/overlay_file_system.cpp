#include "base/overlay_file_system.h"

#include <algorithm>
#include <set>

namespace clickmill {
namespace {

Error not_there(const std::string& path) { return Error(Errc::not_found, "no such file", path); }

}  // namespace

/// Reads from below until it is first written to.
class OverlayFileSystem::OverlayFile final : public File {
 public:
  OverlayFile(OverlayFileSystem& disk, const std::string& path, std::unique_ptr<File> below,
              ContentPtr content, bool writable)
      : File(path),
        disk_(disk),
        below_(std::move(below)),
        content_(std::move(content)),
        writable_(writable) {}

  Status write_at(uint64_t position, std::string_view bytes) override {
    TRY(own());
    const std::lock_guard lock(content_->mutex);
    auto& all = content_->bytes;
    if (all.size() < position + bytes.size()) all.resize(position + bytes.size());
    all.replace(position, bytes.size(), bytes);
    return {};
  }
  Status read_at(uint64_t position, size_t length, std::string& out) override {
    if (!content_) return below_->read_at(position, length, out);
    const std::lock_guard lock(content_->mutex);
    const auto& all = content_->bytes;
    out = position < all.size() ? all.substr(position, length) : std::string();
    return {};
  }
  Status sync() override { return {}; }
  Result<uint64_t> size() override {
    if (!content_) return below_->size();
    const std::lock_guard lock(content_->mutex);
    return uint64_t{content_->bytes.size()};
  }
  Status truncate(uint64_t length) override {
    TRY(own());
    const std::lock_guard lock(content_->mutex);
    content_->bytes.resize(length);
    return {};
  }

 private:
  Status own() {
    if (!writable_) return Error(Errc::io, "the file is open for reading only", path());
    if (!content_) content_ = TRY(disk_.take_over(path()));
    return {};
  }

  OverlayFileSystem& disk_;
  std::unique_ptr<File> below_;
  ContentPtr content_;
  const bool writable_;
};

OverlayFileSystem::ContentPtr OverlayFileSystem::find(const std::string& path, bool& hidden) {
  const std::lock_guard lock(mutex_);
  const auto at = changed_.find(path);
  hidden = at != changed_.end();
  return hidden ? at->second : nullptr;
}

void OverlayFileSystem::put(const std::string& path, ContentPtr content) {
  const std::lock_guard lock(mutex_);
  changed_[path] = std::move(content);
}

Result<OverlayFileSystem::ContentPtr> OverlayFileSystem::take_over(const std::string& path) {
  bool hidden = false;
  auto content = find(path, hidden);
  if (content) return content;
  if (hidden) return not_there(path);
  content = std::make_shared<Content>();
  content->bytes = TRY(read_file(below_, path));
  put(path, content);
  return content;
}

Result<std::unique_ptr<File>> OverlayFileSystem::open(const std::string& path, Open mode) {
  bool hidden = false;
  auto content = find(path, hidden);
  std::unique_ptr<File> below;
  if (mode == Open::create && exists(path)) return Error(Errc::io, "the file exists", path);
  if (mode == Open::create || mode == Open::truncate) {
    content = std::make_shared<Content>();
    put(path, content);
  } else if (!content) {
    if (hidden) return not_there(path);
    below = TRY(below_.open(path, Open::read));
  }
  return std::unique_ptr<File>(std::make_unique<OverlayFile>(
      *this, path, std::move(below), std::move(content), mode != Open::read));
}

Status OverlayFileSystem::rename(const std::string& from, const std::string& to) {
  auto content = TRY(take_over(from));
  put(to, std::move(content));
  put(from, nullptr);
  return {};
}

Status OverlayFileSystem::remove(const std::string& path) {
  if (!exists(path)) return not_there(path);
  put(path, nullptr);
  return {};
}

Result<std::vector<std::string>> OverlayFileSystem::list(const std::string& directory) {
  const auto below = TRY(below_.list(directory));
  std::set<std::string> names(below.begin(), below.end());
  const std::lock_guard lock(mutex_);
  for (const auto& [path, content] : changed_) {
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos || path.substr(0, slash) != directory) continue;
    const std::string name = path.substr(slash + 1);
    if (content) {
      names.insert(name);
    } else {
      names.erase(name);
    }
  }
  return std::vector<std::string>(names.begin(), names.end());
}

bool OverlayFileSystem::exists(const std::string& path) {
  bool hidden = false;
  const auto content = find(path, hidden);
  return hidden ? content != nullptr : below_.exists(path);
}

}  // namespace clickmill
