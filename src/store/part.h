#pragma once

// store/ holds counts: Rows (row.h: clicks, devices, countries and a sketch of visitors per
// ad and minute, hour or day) in immutable column files, the parts. A part is written once
// (part_writer.h), read block by block (Part), and replaced by a merge of several
// (merge.h); part_format.h is the file's frame, block.h its inside.
// stream/ writes parts, query/ reads them on query threads while that goes on. Which parts
// there are is not known here: the stream's checkpoint lists them (PartMeta).
// Promise: every block read is checked; damage is an error with file and byte, never a
// wrong count. Begin with row.h, then Part.

#include <memory>
#include <string>

#include "base/file_system.h"
#include "store/countries.h"
#include "store/part_meta.h"
#include "store/scan.h"

namespace clickmill::store {

/// One immutable column file of rows sorted by key_less. Format: top of part_format.cpp.
/// Opening reads footer and block directory; blocks are read (and checked)
/// when a scan needs them. A part unlinked by a merge stays readable until its
/// last shared_ptr goes. Thread: any.
class Part {
 public:
  virtual ~Part() = default;
  /// Errc::corrupt names file and byte.
  static Result<std::shared_ptr<const Part>> open(FileSystem& files, const std::string& directory,
                                                  const PartMeta& meta);
  /// Of a file that is open, and that others may share.
  static Result<std::shared_ptr<const Part>> open(std::shared_ptr<File> file, const PartMeta& meta);
  /// What the file says of itself, for who has no list.
  static Result<PartMeta> read_meta(FileSystem& files, const std::string& directory,
                                    const std::string& name);
  /// Stands for a part that can't be read: whatever asks for rows that it may hold is
  /// answered with the error.
  static std::shared_ptr<const Part> damaged(const PartMeta& meta, const Error& why);
  virtual const PartMeta& meta() const = 0;
  /// None else that this process has opened has it.
  uint64_t number() const { return number_; }
  /// Visits matching rows in key order.
  virtual Status scan(const Scan& scan, const Visit& visit) const = 0;
  /// The same of the keys from `first` to `last` alone. Cost, unless overridden: all of scan().
  virtual Status scan_between(const PartKey& first, const PartKey& last, const Scan& scan,
                              const Visit& visit) const;
  /// The countries that occur in it, by falling clicks. Cost, unless overridden: all rows.
  virtual Result<CountryOrder> countries() const;
  /// Visits the sums per (advertiser, ad, automated) that has matching rows, in key order.
  /// Cost: a block of one such key that lies within the range is not read, its sums
  /// stand in the directory.
  virtual Status sum(const Scan& scan, const VisitSum& visit) const = 0;
  /// Reads all of it: every checksum, every column.
  virtual Status verify() const { return {}; }

 private:
  static uint64_t next_number();
  const uint64_t number_ = next_number();
};

}  // namespace clickmill::store
