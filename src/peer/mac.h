#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace clickmill::peer {

/// 32 bytes each. Thread: any.
std::string sha256(std::string_view bytes);
std::string hmac_sha256(std::string_view key, std::string_view bytes);
/// In a time that says nothing of where they differ.
bool same_secret(std::string_view a, std::string_view b);

/// HMAC-SHA256 under one key, cut to 16 bytes: what vouches for a frame. May be fed piece by
/// piece; one serves all frames (setting up the key costs two blocks of the hash).
/// Thread: one at a time.
class Mac {
 public:
  static constexpr size_t kBytes = 16;
  using Tag = std::array<char, kBytes>;

  explicit Mac(std::string_view key);
  ~Mac();
  Mac(Mac&& other) noexcept;
  Mac& operator=(Mac&&) = delete;

  void begin();
  void add(std::string_view bytes);
  Tag finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace clickmill::peer
