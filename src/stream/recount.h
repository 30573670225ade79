#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "log/entry.h"
#include "store/row.h"
#include "stream/settings.h"

namespace clickmill::stream {

/// Hands over one partition's committed entries, oldest first. Called several times.
using ReadLog = std::function<Status(const std::function<Status(const log::Entry&)>& visit)>;

struct RecountOptions {
  int64_t from_ms = 0;  ///< minutes that begin in [from, to); both are whole minutes
  int64_t to_ms = 0;
  std::string ad_id;  ///< empty: every ad
  uint64_t seed = 0;  ///< the data's secret, by which visitors are hashed
  Settings settings;  ///< in force before the first settings entry that is read
  /// Everything that was appended from then on is handed over, though the first entry
  /// is younger. INT64_MAX: what lies before the first entry is missing.
  int64_t complete_from_ms = INT64_MAX;
  /// So many identities are held in memory at a time, about 64 bytes each; when
  /// the range has more, the log is read twice for each further share of them.
  size_t ids_most = 4'000'000;
  /// Minutes of ads beyond which the range is refused with Errc::invalid.
  size_t rows_most = SIZE_MAX;
};

struct Recounted {
  /// Minute rows, sorted by store::key_less.
  std::vector<store::Row> rows;
  /// Minutes before it may lack what the log no longer holds: clicks, or ids that
  /// would make one of their clicks a duplicate. INT64_MIN: the log is whole.
  int64_t judged_from_ms = INT64_MIN;
  uint64_t entries = 0;
  uint64_t clicks = 0;  ///< of the range, copies included
  /// A click before the first entry was accepted: it may belong to the range.
  bool accepted_earlier = false;
};

/// Counts anew what one partition's log holds (DESIGN §1, §5): the verdict of each
/// click whose minute lies in the range, with an exact set of identities.
///
/// Reconciliation stands on its own feet: it shares the formats of entries and
/// rows with the stream, but none of its operators, tables or checkpoints.
Result<Recounted> recount(const RecountOptions& options, const ReadLog& read);

/// One minute of one ad that is stored otherwise than recounted.
struct Difference {
  std::string advertiser_id;
  std::string ad_id;
  bool automated = false;
  int64_t minute_ms = 0;
  store::Row stored;     ///< no counts: there is no row
  store::Row recounted;  ///< no counts: there should be none
};
/// Both sorted by store::key_less with distinct keys. Rows without any click and
/// visitor count as absent.
std::vector<Difference> differences(const std::vector<store::Row>& stored,
                                    const std::vector<store::Row>& recounted);
/// "ad_1 2026-06-24T10:00:00Z adv_1: clicks stored 5, recounted 6; …", naming what differs;
/// of machines' clicks "… adv_1 (automated): …".
std::string to_text(const Difference& difference);

}  // namespace clickmill::stream
