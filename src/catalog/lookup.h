#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "catalog/ad.h"

namespace clickmill::catalog {

/// What is known of one ad.
struct Finding {
  enum class Kind : uint8_t { ad, no_ad, unavailable };
  Kind kind = Kind::unavailable;
  std::shared_ptr<const Ad> ad;  ///< for Kind::ad
};

/// Finds ads that this node doesn't know by itself. Thread: any.
class Lookup {
 public:
  using Done = std::function<void(Finding)>;
  virtual ~Lookup() = default;
  /// What is known without asking: an ad or no_ad; empty: look_up() must ask.
  virtual std::optional<Finding> known(std::string_view ad_id) = 0;
  /// Calls `done` once, at once or when others have answered, or not in time, from any thread.
  virtual void look_up(std::string_view ad_id, Done done) = 0;
};

}  // namespace clickmill::catalog
