#include "http/auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>
#include <utility>

#include "base/text.h"

namespace clickmill::http {
namespace {

constexpr size_t kHexDigits = 64;

/// The token of `Bearer TOKEN`; the scheme's name has no case (RFC 9110, 11.1).
std::optional<std::string_view> bearer_token(std::string_view value) {
  constexpr std::string_view kScheme = "bearer ";
  if (value.size() <= kScheme.size()) return std::nullopt;
  if (!starts_without_case(value, kScheme)) return std::nullopt;
  const size_t start = value.find_first_not_of(' ', kScheme.size());
  if (start == std::string_view::npos) return std::nullopt;
  return value.substr(start, value.find_last_not_of(' ') + 1 - start);
}

}  // namespace

std::string sha256_hex(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1) {
    return {};
  }
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(kHexDigits);
  for (unsigned i = 0; i < size; ++i) {
    out += kHex[digest[i] >> 4];
    out += kHex[digest[i] & 15];
  }
  return out;
}

void Authenticator::replace(std::vector<Key> keys) {
  auto fresh = std::make_shared<const std::vector<Key>>(std::move(keys));
  std::lock_guard lock(mutex_);
  keys_ = std::move(fresh);
}

std::shared_ptr<const std::vector<Key>> Authenticator::keys() const {
  std::lock_guard lock(mutex_);
  return keys_;
}

std::optional<Principal> Authenticator::authenticate(const Request& request) const {
  const auto keys = this->keys();
  if (keys->empty()) return Principal{"loopback", Role::admin, {}};
  const auto token = bearer_token(request.header("authorization"));
  if (!token) return std::nullopt;
  const std::string digest = sha256_hex(*token);
  if (digest.size() != kHexDigits) return std::nullopt;
  const Key* match = nullptr;
  // No early end: the time must not tell which key matched, or whether one did.
  for (const Key& key : *keys) {
    if (key.sha256_hex.size() != kHexDigits) continue;
    if (CRYPTO_memcmp(key.sha256_hex.data(), digest.data(), kHexDigits) == 0) match = &key;
  }
  if (match == nullptr) return std::nullopt;
  return Principal{match->name, match->role, match->advertiser_id};
}

Response Authenticator::unauthorized() {
  Response response = problem(401, "a valid key is needed: Authorization: Bearer KEY");
  response.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"clickmill\"");
  return response;
}

Response Authenticator::forbidden(std::string_view needed_role) {
  return problem(403, "this needs a key with the role " + std::string(needed_role));
}

}  // namespace clickmill::http
