#pragma once

#include <string>

namespace clickmill {

/// Where an ad leads and whose it is.
struct Ad {
  std::string ad_id;          ///< 1 to 64 of A-Z a-z 0-9 . _ : -
  std::string advertiser_id;  ///< the same
  std::string ad_format;      ///< 1 to 32 of a-z 0-9 _ -
  std::string redirect_url;   ///< http or https, at most 2,048 bytes
};

}  // namespace clickmill
