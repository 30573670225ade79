#include "base/reserved_file_system.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace clickmill {

class ReservedFileSystem::ReservedFile final : public File {
 public:
  ReservedFile(ReservedFileSystem& disk, std::unique_ptr<File> below, uint64_t bytes)
      : File(below->path()), disk_(disk), below_(std::move(below)), bytes_(bytes) {}

  Status write_at(uint64_t position, std::string_view bytes) override {
    if (position + bytes.size() > bytes_) TRY(disk_.check_room(path()));
    TRY(below_->write_at(position, bytes));
    bytes_ = std::max(bytes_, position + bytes.size());
    return {};
  }
  Status read_at(uint64_t position, size_t length, std::string& out) override {
    return below_->read_at(position, length, out);
  }
  Status sync() override { return below_->sync(); }
  Result<uint64_t> size() override { return below_->size(); }
  Status truncate(uint64_t length) override {
    TRY(below_->truncate(length));
    bytes_ = length;
    return {};
  }

 private:
  ReservedFileSystem& disk_;
  const std::unique_ptr<File> below_;
  uint64_t bytes_;  // of the writing thread
};

Result<std::unique_ptr<File>> ReservedFileSystem::open(const std::string& path, Open mode) {
  if (mode == Open::read || path.starts_with(exempt_)) return below_.open(path, mode);
  const bool makes = mode == Open::create || mode == Open::truncate;
  if (makes) TRY(check_room(path));
  if (makes) made_anew(path);
  auto file = TRY(below_.open(path, mode));
  const uint64_t bytes = makes ? 0 : TRY(file->size());
  return std::unique_ptr<File>(std::make_unique<ReservedFile>(*this, std::move(file), bytes));
}

std::shared_ptr<void> ReservedFileSystem::hold_removals() {
  {
    const std::lock_guard lock(mutex_);
    ++holds_;
  }
  return {this, [](ReservedFileSystem* disk) { disk->end_hold(); }};
}

void ReservedFileSystem::end_hold() {
  // Removed under the lock, so that nobody makes one of them anew in between.
  const std::lock_guard lock(mutex_);
  if (--holds_ > 0) return;
  for (const std::string& path : std::exchange(held_back_, {}))
    ignore(below_.remove(path), "what stays is named by nothing, and the next start removes it");
}

Status ReservedFileSystem::remove(const std::string& path) {
  if (!path.starts_with(exempt_)) {
    const std::lock_guard lock(mutex_);
    if (holds_ > 0 && below_.exists(path)) {
      held_back_.insert(path);
      return {};
    }
  }
  return below_.remove(path);
}

/// A file of that name is wanted again.
void ReservedFileSystem::made_anew(const std::string& path) {
  const std::lock_guard lock(mutex_);
  held_back_.erase(path);
}

Status ReservedFileSystem::check_room(const std::string& path) {
  const uint64_t reserve = reserve_bytes_;
  if (reserve == 0) return {};
  const auto slash = path.rfind('/');
  const auto space = below_.space(slash == std::string::npos ? "." : path.substr(0, slash));
  // A disk that can't say how full it is will say so when it is written to.
  if (!space || space->free_bytes >= reserve) return {};
  return Error(
      Errc::no_space,
      fmt::format("{} bytes free are less than the reserve of {}", space->free_bytes, reserve),
      path);
}

}  // namespace clickmill
