#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "store/scan.h"

namespace clickmill::store {

/// The countries of a part, by falling clicks, with the share each usually takes
/// of what the ones before it leave: where the coding of a block's countries starts.
struct CountryOrder {
  struct Usual {
    click::Country code = 0;
    uint16_t share = 0;  ///< in 65536ths
  };
  std::vector<Usual> countries;

  static CountryOrder of_clicks(const std::map<click::Country, uint64_t>& clicks);
  /// Of so many clicks, about what each country has; every country has some.
  void add_clicks(uint64_t clicks, std::map<click::Country, uint64_t>& out) const;
  static CountryOrder of_rows(std::span<const RowView> rows);
  void encode(std::string& out) const;
  bool decode(ByteCursor& cursor);
};

using CountryCount = std::pair<click::Country, uint64_t>;

/// The countries region of a block. Format: top of countries.cpp.
void encode_countries(std::span<const RowView> rows, const CountryOrder& order, std::string& out);
/// `clicks` per row as decoded. Gives the counts of row after row, sorted by code
/// within a row, and where each row begins (rows + 1 indexes). False when the
/// bytes can't be what encode_countries wrote.
bool decode_countries(std::string_view bytes, std::span<const uint64_t> clicks,
                      const CountryOrder& order, std::vector<CountryCount>& counts,
                      std::vector<uint32_t>& begins);

}  // namespace clickmill::store
