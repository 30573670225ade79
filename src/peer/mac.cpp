#include "peer/mac.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace clickmill::peer {
namespace {

constexpr size_t kHashBytes = 32;

const unsigned char* bytes_of(std::string_view text) {
  return static_cast<const unsigned char*>(static_cast<const void*>(text.data()));
}

EVP_MAC* hmac() {
  // Fetching looks through OpenSSL's providers, so it is done once and kept.
  static EVP_MAC* const found = EVP_MAC_fetch(nullptr, OSSL_MAC_NAME_HMAC, nullptr);
  return found;
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

Mac::Mac(std::string_view key) : context_(EVP_MAC_CTX_new(hmac())) {
  char digest[] = "SHA256";
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                               OSSL_PARAM_construct_end()};
  CM_ASSERT(context_ != nullptr && !key.empty());
  CM_ASSERT(EVP_MAC_init(context_, bytes_of(key), key.size(), params) == 1);
}

Mac::~Mac() { EVP_MAC_CTX_free(context_); }

Mac::Mac(Mac&& other) noexcept : context_(std::exchange(other.context_, nullptr)) {}

// Without a key: the one it has stays.
void Mac::begin() { CM_ASSERT(EVP_MAC_init(context_, nullptr, 0, nullptr) == 1); }

void Mac::add(std::string_view bytes) {
  CM_ASSERT(EVP_MAC_update(context_, bytes_of(bytes), bytes.size()) == 1);
}

Mac::Tag Mac::finish() {
  std::array<unsigned char, kHashBytes> whole{};
  size_t size = 0;
  CM_ASSERT(EVP_MAC_final(context_, whole.data(), &size, whole.size()) == 1);
  CM_ASSERT(size == kHashBytes);
  Tag tag{};
  std::copy_n(whole.begin(), kBytes, tag.begin());
  return tag;
}

}  // namespace clickmill::peer
