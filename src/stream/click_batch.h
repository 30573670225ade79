#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/checksum.h"
#include "base/result.h"
#include "click/batch.h"
#include "click/click.h"
#include "dedup/dedup.h"
#include "log/entry.h"
#include "stream/head.h"

namespace clickmill::stream {

/// A clicks entry taken apart into what the operators need of each click.
/// Kept from entry to entry for its memory, if that is little. Views borrow the entry's payload.
/// Thread: worker.
class ClickBatch {
 public:
  struct Click {
    Head::Click counting;
    ArrivalMs received_ms;
    uint8_t flags = 0;        ///< click::Flag
    std::string_view record;  ///< as it stands in the log
  };

  /// Errc::corrupt for a payload that is not a header and entry.count records.
  /// `seed` is the data's secret one.
  Status decode(const log::Entry& entry, uint64_t seed);
  /// The entry has been applied.
  void done();
  const click::BatchHeader& header() const { return header_; }
  const std::vector<Click>& clicks() const { return clicks_; }
  const std::vector<dedup::Identity>& identities() const { return identities_; }

 private:
  click::BatchHeader header_;
  std::vector<Click> clicks_;
  std::vector<dedup::Identity> identities_;
};

/// The 128-bit identity of a click: XXH3 of ad_id NUL click_id, seeded.
Hash128 identity_of(std::string_view ad_id, std::string_view click_id, uint64_t seed);

}  // namespace clickmill::stream
