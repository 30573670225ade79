#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace clickmill::http {

enum class Role : uint8_t { advertiser, ingest, admin };

struct Key {
  std::string name;
  std::string sha256_hex;  ///< of the bearer token, 64 hex digits, lower case
  Role role = Role::admin;
  std::string advertiser_id;  ///< only for Role::advertiser
  friend bool operator==(const Key&, const Key&) = default;
};

/// Who asks. Without configured keys everyone is the admin named "loopback".
struct Principal {
  std::string name;
  Role role = Role::admin;
  std::string advertiser_id;
};

/// Checks `Authorization: Bearer KEY` against SHA-256 digests, each compared in
/// constant time and all of them always. Thread: any.
class Authenticator {
 public:
  explicit Authenticator(std::vector<Key> keys) { replace(std::move(keys)); }
  /// Holds for the requests that come from now on.
  void replace(std::vector<Key> keys);
  /// Empty when the key is missing or unknown: answer unauthorized().
  std::optional<Principal> authenticate(const Request& request) const;
  /// Whether there are keys at all.
  bool needs_key() const { return !keys()->empty(); }
  /// 401 problem with WWW-Authenticate.
  static Response unauthorized();
  /// 403 problem naming the role that is needed.
  static Response forbidden(std::string_view needed_role);

 private:
  std::shared_ptr<const std::vector<Key>> keys() const;

  // Guards the pointer, not what it leads to.
  mutable std::mutex mutex_;
  std::shared_ptr<const std::vector<Key>> keys_;
};

/// SHA-256 in lower-case hex.
std::string sha256_hex(std::string_view bytes);

}  // namespace clickmill::http
