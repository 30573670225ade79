#include "tools/backup_files.h"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/hard_links.h"

namespace clickmill::tools {
namespace {

constexpr size_t kPiece = 1 << 20;
constexpr size_t kPage = 4096;
// Else a file goes to the disk as a whole, and a journal's sync waits for that.
constexpr uint64_t kSyncEvery = 4 << 20;
constexpr int64_t kSecondNs = 1'000'000'000;

bool all_zeros(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char byte) { return byte == '\0'; });
}

/// Writes the pages that hold anything.
Status write_pages(File& file, uint64_t at, std::string_view piece) {
  while (!piece.empty()) {
    size_t holding = 0;
    while (holding < piece.size() && !all_zeros(piece.substr(holding, kPage))) holding += kPage;
    holding = std::min(holding, piece.size());
    if (holding > 0) TRY(file.write_at(at, piece.substr(0, holding)));
    const size_t passed = std::min(std::max(holding, kPage), piece.size());
    at += passed;
    piece.remove_prefix(passed);
  }
  return {};
}

}  // namespace

Result<uint64_t> BackupFiles::copy(const std::string& from, const std::string& to, uint64_t bytes,
                                   uint64_t size) {
  const auto target = TRY(files_.open(to, FileSystem::Open::create));
  uint64_t unsynced = 0;
  const auto write = [&](uint64_t at, std::string_view piece) -> Status {
    TRY(write_pages(*target, at, piece));
    unsynced += piece.size();
    if (unsynced < kSyncEvery) return {};
    unsynced = 0;
    return target->sync();
  };
  FileChecksum checksum = TRY(read(from, bytes, write));
  const std::string zeros(kPiece, '\0');
  for (uint64_t at = bytes; at < size; at += kPiece)
    checksum.add(std::string_view(zeros).substr(0, std::min<uint64_t>(kPiece, size - at)));
  TRY(target->truncate(size));
  TRY(target->sync());
  return checksum.value();
}

Result<uint64_t> BackupFiles::share(const std::string& from, const std::string& to,
                                    uint64_t bytes) {
  auto shared = add_name(from, to);
  if (!shared && shared.error().code() == Errc::invalid) return copy(from, to, bytes);
  TRY(std::move(shared));
  bytes_shared_ += bytes;
  return checksum_of(to, bytes);
}

Result<uint64_t> BackupFiles::checksum_of(const std::string& path, uint64_t bytes) {
  const auto file = TRY(files_.open(path, FileSystem::Open::read));
  if (const uint64_t size = TRY(file->size()); size > bytes)
    return Error(Errc::corrupt, fmt::format("has {} bytes, not {}", size, bytes), path);
  const FileChecksum checksum =
      TRY(read(path, bytes, [](uint64_t, std::string_view) -> Status { return {}; }));
  return checksum.value();
}

Result<FileChecksum> BackupFiles::read(const std::string& path, uint64_t bytes, const Take& take) {
  const auto file = TRY(files_.open(path, FileSystem::Open::read));
  FileChecksum checksum;
  std::string piece;
  for (uint64_t at = 0; at < bytes; at += piece.size()) {
    keep_pace(std::min<uint64_t>(kPiece, bytes - at));
    TRY(file->read_at(at, std::min<uint64_t>(kPiece, bytes - at), piece));
    if (piece.empty())
      return Error(Errc::corrupt, fmt::format("ends at byte {} of {}", at, bytes), path, at);
    checksum.add(piece);
    TRY(take(at, piece));
    bytes_read_ += piece.size();
    progress_.at([&] {
      const uint64_t most = std::max(options_.bytes_expected, bytes_read_);
      return options_.bytes_expected == 0
                 ? fmt::format("{} MiB done, at {}", bytes_read_ >> 20, path)
                 : fmt::format("{} of {} MiB done, at {}", bytes_read_ >> 20, most >> 20, path);
    });
  }
  return checksum;
}

void BackupFiles::keep_pace(uint64_t bytes) {
  if (options_.bytes_per_second == 0) return;
  const int64_t now_ns = clock_.monotonic_ns();
  if (next_ns_ > now_ns) std::this_thread::sleep_for(std::chrono::nanoseconds(next_ns_ - now_ns));
  next_ns_ = std::max(next_ns_, now_ns) +
             static_cast<int64_t>(bytes) * kSecondNs /
                 static_cast<int64_t>(std::min<uint64_t>(options_.bytes_per_second, 1ULL << 40));
}

void be_idle() {
  // Where all processors are busy, something is left for it.
  constexpr int kNice = 10;
  constexpr long kIoprioWhoProcess = 1;
  constexpr long kIoprioIdle = 3L << 13;
  if (::nice(kNice) == -1 || ::syscall(SYS_ioprio_set, kIoprioWhoProcess, 0L, kIoprioIdle) != 0) {
    // Where it isn't allowed, the pace is all there is.
  }
}

}  // namespace clickmill::tools
