// Row, as the state store keeps it (varint: LEB128; bytes: varint length, then the bytes):
//   u8       version: 1, or 2 for clicks of machines; a higher one is refused
//   bytes    advertiser_id
//   bytes    ad_id
//   svarint  bucket_ms
//   varint   clicks, then one per device
//   varint   number of countries, then for each: u16 code (rising), varint clicks (not 0)
//   bytes    serialized sketch
// Little-endian. The record it stands in has the checksum.
#include "store/row.h"

#include <algorithm>
#include <span>
#include <tuple>

#include "store/scan.h"

namespace clickmill::store {
namespace {

constexpr uint8_t kRowVersion = 1;
// The same bytes. A program that knows no such rows must not take them for a person's.
constexpr uint8_t kAutomatedRowVersion = 2;

auto key_of(const Row& row) {
  return std::tie(row.advertiser_id, row.ad_id, row.automated, row.bucket_ms);
}

using CountryCount = std::pair<click::Country, uint64_t>;

bool decode_countries(ByteCursor& cursor, std::vector<CountryCount>& countries) {
  const uint64_t size = cursor.varint();
  // The number is not believed before its entries are seen: no reserve.
  for (uint64_t i = 0; i < size && cursor.ok(); ++i) {
    const click::Country code = cursor.u16();
    const uint64_t clicks = cursor.varint();
    if (clicks == 0 || (!countries.empty() && countries.back().first >= code)) return false;
    countries.emplace_back(code, clicks);
  }
  return cursor.ok();
}

Error row_error(const ByteCursor& cursor, const char* what) {
  return Error(Errc::corrupt,
               "row: " + std::string(what) + " before byte " + std::to_string(cursor.position()));
}

}  // namespace

std::string_view to_string(Table table) {
  switch (table) {
    case Table::minute: return "minute";
    case Table::hour: return "hour";
    case Table::day: return "day";
  }
  return "unknown";
}

void Counts::add(click::Device device, click::Country country) {
  ++clicks;
  ++devices[static_cast<size_t>(device)];
  const auto at = std::lower_bound(
      countries.begin(), countries.end(), country,
      [](const CountryCount& entry, click::Country code) { return entry.first < code; });
  if (at != countries.end() && at->first == country) {
    ++at->second;
  } else {
    countries.insert(at, {country, 1});
  }
}

void Counts::merge(const Counts& other) {
  clicks += other.clicks;
  for (size_t i = 0; i < devices.size(); ++i) devices[i] += other.devices[i];
  if (other.countries.empty()) return;
  std::vector<CountryCount> merged;
  merged.reserve(countries.size() + other.countries.size());
  auto a = countries.begin();
  auto b = other.countries.begin();
  while (a != countries.end() && b != other.countries.end()) {
    if (a->first == b->first) {
      merged.emplace_back(a->first, a->second + b->second);
      ++a;
      ++b;
    } else {
      merged.push_back(a->first < b->first ? *a++ : *b++);
    }
  }
  merged.insert(merged.end(), a, countries.end());
  merged.insert(merged.end(), b, other.countries.end());
  countries = std::move(merged);
}

void Row::merge(const Row& other) {
  counts.merge(other.counts);
  visitors.merge(other.visitors);
}

bool key_less(const Row& a, const Row& b) { return key_of(a) < key_of(b); }
bool same_key(const Row& a, const Row& b) { return key_of(a) == key_of(b); }

bool holds_nothing(const Row& row) { return row.counts == Counts{} && row.visitors.empty(); }

void encode_row(const Row& row, std::string& out) {
  RowView view;
  view.advertiser_id = row.advertiser_id;
  view.ad_id = row.ad_id;
  view.automated = row.automated;
  view.bucket_ms = row.bucket_ms;
  view.clicks = row.counts.clicks;
  view.devices = row.counts.devices;
  view.countries = row.counts.countries.data();
  view.countries_size = row.counts.countries.size();
  const std::string visitors = row.visitors.serialize();
  view.visitors = visitors;
  encode_row(view, out);
}

void encode_row(const RowView& row, std::string& out) {
  ByteWriter writer(out);
  writer.u8(row.automated ? kAutomatedRowVersion : kRowVersion);
  writer.bytes(row.advertiser_id);
  writer.bytes(row.ad_id);
  writer.svarint(row.bucket_ms);
  writer.varint(row.clicks);
  for (const uint64_t clicks : row.devices) writer.varint(clicks);
  writer.varint(row.countries_size);
  for (const auto& [country, clicks] : std::span(row.countries, row.countries_size)) {
    writer.u16(country);
    writer.varint(clicks);
  }
  writer.bytes(row.visitors);
}

Result<Row> decode_row(ByteCursor& cursor) {
  const uint8_t version = cursor.u8();
  if (!cursor.ok()) return row_error(cursor, "no bytes");
  if (version != kRowVersion && version != kAutomatedRowVersion) {
    return Error(Errc::corrupt, "row: version " + std::to_string(version) +
                                    ", this program reads up to " +
                                    std::to_string(kAutomatedRowVersion));
  }
  Row row;
  row.automated = version == kAutomatedRowVersion;
  row.advertiser_id = cursor.bytes();
  row.ad_id = cursor.bytes();
  row.bucket_ms = cursor.svarint();
  row.counts.clicks = cursor.varint();
  for (uint64_t& clicks : row.counts.devices) clicks = cursor.varint();
  if (!decode_countries(cursor, row.counts.countries)) {
    return row_error(cursor, "cut short, or countries out of order");
  }
  const std::string_view sketch = cursor.bytes();
  if (!cursor.ok()) return row_error(cursor, "cut short");
  row.visitors = TRY(sketch::Hll::parse(sketch));
  return row;
}

}  // namespace clickmill::store
