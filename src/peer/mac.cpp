#include "peer/mac.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>

#include "base/assert.h"

namespace clickmill::peer {
namespace {

constexpr size_t kHashBytes = 32;

const unsigned char* bytes_of(std::string_view text) {
  return static_cast<const unsigned char*>(static_cast<const void*>(text.data()));
}

}  // namespace

std::string sha256(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  const int ok =
      EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
  CM_ASSERT(ok == 1 && size == kHashBytes);
  return std::string(digest.begin(), digest.begin() + kHashBytes);
}

std::string hmac_sha256(std::string_view key, std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  const auto* const made = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                                bytes_of(bytes), bytes.size(), digest.data(), &size);
  CM_ASSERT(made != nullptr && size == kHashBytes);
  return std::string(digest.begin(), digest.begin() + kHashBytes);
}

bool same_secret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

// The plain functions, which OpenSSL 3 calls deprecated: a small frame costs EVP_MAC three times
// as much, since it makes and frees three contexts for each. The code that hashes is the same.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/// RFC 2104: the key's blocks are hashed once, and what follows goes on from there.
struct Mac::State {
  SHA256_CTX inner;
  SHA256_CTX outer;
  SHA256_CTX now;  ///< of the frame that is worked on
};

Mac::Mac(std::string_view key) : state_(std::make_unique<State>()) {
  CM_ASSERT(!key.empty());
  const std::string block = key.size() > SHA256_CBLOCK ? sha256(key) : std::string(key);
  const auto begin = [&](SHA256_CTX& context, unsigned char pad) {
    std::array<unsigned char, SHA256_CBLOCK> padded;
    padded.fill(pad);
    for (size_t i = 0; i < block.size(); ++i) padded[i] ^= static_cast<unsigned char>(block[i]);
    CM_ASSERT(SHA256_Init(&context) == 1);
    CM_ASSERT(SHA256_Update(&context, padded.data(), padded.size()) == 1);
  };
  begin(state_->inner, 0x36);
  begin(state_->outer, 0x5c);
}

Mac::~Mac() {
  if (state_) OPENSSL_cleanse(state_.get(), sizeof(State));
}

Mac::Mac(Mac&& other) noexcept = default;

void Mac::begin() { state_->now = state_->inner; }

void Mac::add(std::string_view bytes) {
  CM_ASSERT(SHA256_Update(&state_->now, bytes.data(), bytes.size()) == 1);
}

Mac::Tag Mac::finish() {
  std::array<unsigned char, kHashBytes> hash{};
  CM_ASSERT(SHA256_Final(hash.data(), &state_->now) == 1);
  state_->now = state_->outer;
  CM_ASSERT(SHA256_Update(&state_->now, hash.data(), hash.size()) == 1);
  CM_ASSERT(SHA256_Final(hash.data(), &state_->now) == 1);
  Tag tag{};
  std::copy_n(hash.begin(), kBytes, tag.begin());
  return tag;
}

#pragma GCC diagnostic pop

}  // namespace clickmill::peer
