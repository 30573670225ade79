#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace clickmill::stream {

/// The names of ads and advertisers, each pair once, for rows of many minutes: an import over a
/// week makes thousands of minutes with a row or two of the same few ads. What it gives stays in
/// place as long as it lives. Thread: worker; what it has given any.
class AdTexts {
 public:
  /// The ad_id, then the advertiser_id. `ad_hash`: MinuteRows::hash_of(ad_id).
  const char* keep(uint64_t ad_hash, std::string_view ad_id, std::string_view advertiser_id);
  size_t memory_bytes() const { return slots_.capacity() * sizeof(Slot) + texts_total_; }

 private:
  struct Slot {
    const char* texts = nullptr;  // null: free
    uint16_t ad_bytes = 0;
    uint16_t advertiser_bytes = 0;
    uint32_t tag = 0;
  };
  static size_t start_of(uint32_t tag, size_t slots) { return tag & (slots - 1); }
  void grow();
  const char* put(std::string_view ad_id, std::string_view advertiser_id);

  std::vector<Slot> slots_;  // a power of two of them, at most three quarters used
  size_t used_ = 0;
  std::vector<std::unique_ptr<char[]>> texts_;
  size_t text_used_ = 0;   // of the last block
  size_t text_bytes_ = 0;  // of the last block
  size_t texts_total_ = 0;
};

}  // namespace clickmill::stream
