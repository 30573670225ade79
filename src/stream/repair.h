#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/checksum.h"
#include "base/result.h"
#include "store/row.h"

namespace clickmill::stream {

/// Payload of a repair entry: minute rows of one partition as a recount found that
/// they should be. An item counts only where the row is still stored as the recount
/// saw it: what was clicked or decided meanwhile is never undone, and a replica, or
/// a replay, that has the row right keeps it.
struct Repair {
  struct Item {
    store::Row row;      ///< as it should be; without any click: there should be none
    Hash128 instead_of;  ///< fingerprint_of the row that is stored
  };
  std::string by;           ///< name of the key
  std::vector<Item> items;  ///< by store::key_less, distinct
};
/// A repair is cut into entries of about so many bytes, so that each fits a group of the journal.
inline constexpr size_t kRepairBytesMost = 96 << 10;

/// Payloads of one or more entries; none when there are no items.
std::vector<std::string> encode_repair(const Repair& repair);
Result<Repair> decode_repair(std::string_view bytes);

/// Of what a row holds; the same for the same counts and visitors, however they came about.
Hash128 fingerprint_of(const store::Row& row);

}  // namespace clickmill::stream
