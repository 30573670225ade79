#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "store/row.h"

namespace clickmill::store {

/// What a part list says of a part, without opening the file. Stands in checkpoints.
struct PartMeta {
  std::string name;  ///< file name within the store directory, unique for ever
  Table table = Table::minute;
  int64_t min_bucket_ms = 0;
  int64_t max_bucket_ms = 0;  ///< inclusive
  uint64_t rows = 0;
  uint64_t bytes = 0;
  uint64_t checksum = 0;  ///< of the footer: a manifest against a foreign file
};
void encode_part_meta(const PartMeta& meta, std::string& out);
Result<PartMeta> decode_part_meta(ByteCursor& cursor);

/// Which rows, and which columns of them, a scan wants.
struct Scan {
  std::string_view ad_id;          ///< empty: every ad
  std::string_view advertiser_id;  ///< empty: every advertiser
  int64_t from_ms = 0;             ///< buckets that start in [from, to)
  int64_t to_ms = 0;
  bool countries = false;
  bool visitors = false;
  bool estimates = false;  ///< unique_estimate; implied by visitors
};
/// A row as a scan shows it: borrowed, valid during the call only. Columns not
/// asked for are empty. `visitors` is the serialized sketch.
struct RowView {
  std::string_view advertiser_id;
  std::string_view ad_id;
  int64_t bucket_ms = 0;
  uint64_t clicks = 0;
  std::array<uint64_t, click::kDevices> devices{};
  const std::pair<click::Country, uint64_t>* countries = nullptr;
  size_t countries_size = 0;
  std::string_view visitors;
  uint64_t unique_estimate =
      0;  ///< of this row's sketch alone: a bucket of one row needs no decoding
};
/// What the matching rows of one key sum to.
struct AdSum {
  std::string_view advertiser_id;
  std::string_view ad_id;
  uint64_t rows = 0;
  uint64_t clicks = 0;
  std::array<uint64_t, click::kDevices> devices{};
};
using VisitSum = std::function<void(const AdSum&)>;
using Visit = std::function<void(const RowView&)>;

/// One immutable column file of rows sorted by key_less. Format: top of part.cpp.
/// Opening reads footer and block directory; blocks are read (and checked)
/// when a scan needs them. A part unlinked by a merge stays readable until its
/// last shared_ptr goes. Thread: any.
class Part {
 public:
  virtual ~Part() = default;
  /// Errc::corrupt names file and byte.
  static Result<std::shared_ptr<const Part>> open(FileSystem& files, const std::string& directory,
                                                  const PartMeta& meta);
  virtual const PartMeta& meta() const = 0;
  /// Visits matching rows in key order.
  virtual Status scan(const Scan& scan, const Visit& visit) const = 0;
  /// Visits the sums per (advertiser, ad) that has matching rows, in key order.
  /// Cost: a block of one ad that lies within the range is not read, its sums
  /// stand in the directory.
  virtual Status sum(const Scan& scan, const VisitSum& visit) const = 0;
};

/// Writes and syncs a part file (not the directory; the caller syncs it once for several).
/// `rows` are sorted by key_less with distinct keys, their buckets whole and not before 1970
/// (else Errc::invalid). A file of that name is replaced: one can only be left over
/// from a crash before the checkpoint that would have named it.
Result<PartMeta> write_part(FileSystem& files, const std::string& directory,
                            const std::string& name, Table table, const std::vector<Row>& rows);
/// What a part file says of itself, when no list is at hand (its footer is checked).
Result<PartMeta> read_part_meta(FileSystem& files, const std::string& directory,
                                const std::string& name);
/// Whether no row of the part can lie in the scan's time.
bool apart(const PartMeta& meta, const Scan& scan);
/// Adds the matching rows of parts to `rows`, with all their columns. Errc::invalid when
/// `rows` would hold more than `rows_most`.
Status read_rows(const std::vector<std::shared_ptr<const Part>>& parts, const Scan& scan,
                 std::vector<Row>& rows, size_t rows_most = SIZE_MAX);
/// Sorts rows by key_less and makes one of those with one key.
void fold_rows(std::vector<Row>& rows);
/// Reads parts of one table in full and gives their rows merged, sorted, distinct.
/// Rows of buckets before `oldest_ms` are left out (retention).
Result<std::vector<Row>> read_merged(const std::vector<std::shared_ptr<const Part>>& parts,
                                     int64_t oldest_ms);

}  // namespace clickmill::store
