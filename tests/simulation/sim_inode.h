#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "base/random.h"

namespace clickmill::simulation {

inline constexpr uint64_t kPageBytes = 4096;
inline constexpr uint64_t kSectorBytes = 512;
inline constexpr unsigned kSectors = kPageBytes / kSectorBytes;

using Content = std::array<char, kPageBytes>;

inline bool all_zero(std::string_view bytes) {
  return bytes.empty() ||
         (bytes.front() == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

/// Bits of the sectors that the bytes [from, to) of a page touch.
inline unsigned sector_mask(uint64_t from, uint64_t to) {
  const auto first = static_cast<unsigned>(from / kSectorBytes);
  const auto end = static_cast<unsigned>((to + kSectorBytes - 1) / kSectorBytes);
  return ((1U << end) - 1) & ~((1U << first) - 1);
}

/// Four kilobytes as processes see them, and what the platter has where that differs.
struct Page {
  Content seen{};
  std::unique_ptr<Content> durable;  ///< valid in the sectors of dirty | lost
  unsigned dirty = 0;                ///< written since the last sync
  unsigned lost = 0;                 ///< a failed sync dropped them: clean, yet not on the platter

  void touch(unsigned sectors) {
    const unsigned fresh = sectors & ~(dirty | lost);
    if (fresh != 0 && !durable) durable = std::make_unique<Content>();
    for (unsigned i = 0; i < kSectors; ++i) {
      if ((fresh >> i & 1) != 0) copy_sector(*durable, seen, i);
    }
    dirty |= sectors;
    lost &= ~sectors;
  }
  /// The platter takes what is seen.
  void keep(unsigned sector) { settle(~(1U << sector)); }
  /// Processes see the platter's bytes again.
  void revert(unsigned sector) {
    copy_sector(seen, *durable, sector);
    settle(~(1U << sector));
  }
  void sync() { settle(~dirty); }

 private:
  static void copy_sector(Content& to, const Content& from, unsigned sector) {
    std::memcpy(to.data() + sector * kSectorBytes, from.data() + sector * kSectorBytes,
                kSectorBytes);
  }
  void settle(unsigned remaining) {
    dirty &= remaining;
    lost &= remaining;
    if ((dirty | lost) == 0) durable.reset();
  }
};

/// A file's bytes. Pages that hold only zeros need not exist, so that a
/// pre-written journal file costs nothing.
class Inode {
 public:
  uint64_t size() const { return size_; }

  void write(uint64_t position, std::string_view bytes) {
    const uint64_t end = position + bytes.size();
    while (!bytes.empty()) {
      const uint64_t at = position % kPageBytes;
      const auto piece = bytes.substr(0, kPageBytes - at);
      write_page(position / kPageBytes, at, piece);
      position += piece.size();
      bytes.remove_prefix(piece.size());
    }
    if (end > size_) size_ = end;
  }

  void read(uint64_t position, size_t length, std::string& out) const {
    if (position >= size_) length = 0;
    length = static_cast<size_t>(std::min<uint64_t>(length, size_ - std::min(position, size_)));
    out.assign(length, '\0');
    for (size_t done = 0; done < length;) {
      const uint64_t at = (position + done) % kPageBytes;
      const size_t piece = std::min<size_t>(length - done, kPageBytes - at);
      if (const auto page = pages_.find((position + done) / kPageBytes); page != pages_.end()) {
        std::memcpy(out.data() + done, page->second.seen.data() + at, piece);
      }
      done += piece;
    }
  }

  void truncate(uint64_t length) {
    for (auto it = pages_.lower_bound(length / kPageBytes); it != pages_.end(); ++it) {
      const uint64_t base = it->first * kPageBytes;
      const uint64_t from = length > base ? length - base : 0;
      if (from >= kPageBytes) continue;
      it->second.touch(sector_mask(from, kPageBytes));
      dirty_pages_.insert(it->first);
      std::memset(it->second.seen.data() + from, 0, kPageBytes - from);
    }
    size_ = length;
    size_min_ = std::min(size_min_, length);
  }

  void sync() {
    for (const uint64_t number : dirty_pages_) pages_.find(number)->second.sync();
    dirty_pages_.clear();
    durable_size_ = size_min_ = size_;
  }

  /// Some dirty sectors arrive, the others are dropped but look clean.
  void fail_sync(Random& random) {
    for (const uint64_t number : dirty_pages_) {
      Page& page = pages_.find(number)->second;
      for (unsigned i = 0; i < kSectors; ++i) {
        if ((page.dirty >> i & 1) == 0) continue;
        if (random.one_in(2)) {
          page.keep(i);
        } else {
          page.dirty &= ~(1U << i);
          page.lost |= 1U << i;
        }
      }
      if (page.lost != 0) lost_pages_.insert(number);
    }
    dirty_pages_.clear();
  }

  /// Memory pressure: lost sectors may be read from the platter again.
  void evict(Random& random) {
    for (const uint64_t number : lost_pages_) {
      if (random.one_in(2)) revert(number, pages_.find(number)->second.lost);
    }
  }

  void crash(Random& random) {
    const uint64_t kept_quarters = random.below(5);
    for (const uint64_t number : dirty_pages_) {
      const unsigned dirty = pages_.find(number)->second.dirty;
      unsigned reverted = 0;
      for (unsigned i = 0; i < kSectors; ++i) {
        if ((dirty >> i & 1) != 0 && random.below(4) >= kept_quarters) reverted |= 1U << i;
      }
      revert(number, reverted);
    }
    for (const uint64_t number : lost_pages_) revert(number, pages_.find(number)->second.lost);
    const uint64_t size_max = std::max(size_, durable_size_);
    switch (random.below(3)) {
      case 0: size_ = durable_size_; break;
      case 1: break;
      default: size_ = size_min_ + random.below(size_max - size_min_ + 1);
    }
    truncate(size_);
    sync();
    lost_pages_.clear();
  }

  /// Bit rot: what is seen and what is durable change alike.
  void flip(uint64_t byte, unsigned bit) {
    Page& page = pages_[byte / kPageBytes];
    const auto mask = static_cast<char>(1U << bit);
    page.seen[byte % kPageBytes] = static_cast<char>(page.seen[byte % kPageBytes] ^ mask);
    if (!page.durable) return;
    char& durable = (*page.durable)[byte % kPageBytes];
    durable = static_cast<char>(durable ^ mask);
  }

 private:
  void write_page(uint64_t number, uint64_t at, std::string_view bytes) {
    auto found = pages_.find(number);
    if (found == pages_.end()) {
      if (all_zero(bytes)) return;
      found = pages_.try_emplace(number).first;
    }
    found->second.touch(sector_mask(at, at + bytes.size()));
    dirty_pages_.insert(number);
    std::memcpy(found->second.seen.data() + at, bytes.data(), bytes.size());
  }
  void revert(uint64_t number, unsigned sectors) {
    Page& page = pages_.find(number)->second;
    for (unsigned i = 0; i < kSectors; ++i) {
      if ((sectors >> i & 1) != 0) page.revert(i);
    }
  }

  std::map<uint64_t, Page> pages_;
  std::set<uint64_t> dirty_pages_;
  std::set<uint64_t> lost_pages_;
  uint64_t size_ = 0;
  uint64_t durable_size_ = 0;
  uint64_t size_min_ = 0;  ///< since the last sync
};

}  // namespace clickmill::simulation
