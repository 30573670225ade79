#pragma once

#include <cstdint>

#include "http/message.h"

namespace clickmill::collector {

// What a browser says of a request besides the click itself.

/// Fetched ahead of a click that may never come.
bool is_prefetch(const http::Request& request);
/// Fetched to be shown in a preview, not clicked.
bool is_preview(const http::Request& request);

/// What becomes of a redirect in the browser.
enum class Following : uint8_t {
  navigation,  ///< the person goes where it leads; anything that doesn't say otherwise
  unseen,      ///< the browser would load the advertiser's page for nobody (beacon, ping, image)
  script,      ///< a script reads the answer, and a redirect to another site fails it
};
Following following_of(const http::Request& request);

}  // namespace clickmill::collector
