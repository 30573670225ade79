// TZif, RFC 8536 §3, read only; numbers are big-endian:
//   0   4   "TZif"
//   4   1   version: NUL, '2', '3' or '4'
//   5   15  reserved
//   20  24  six u32 counts: isut, isstd, leap, time, type, char
//   44      data block, its times 4 bytes wide:
//           time × transition time | time × u8 type index |
//           type × {i32 offset in s, u8 is summer, u8 name index} |
//           char names | leap × (time + 4) | isstd × u8 | isut × u8
// From version 2 on a second header and block follow, whose times are 8 bytes
// wide, then "\n", the POSIX rule for the time after the last transition, "\n".
#include "query/tzif.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/strong.h"
#include "base/time_text.h"
#include "query/posix_rule.h"

namespace clickmill::query {
namespace {

/// Far outside of every time we handle, and safe to multiply by 1000.
constexpr int64_t kFarS = 1'000'000'000'000;

struct Header {
  char version = 0;
  uint64_t isut = 0;
  uint64_t isstd = 0;
  uint64_t leap = 0;
  uint64_t time = 0;
  uint64_t type = 0;
  uint64_t chars = 0;
};

int64_t signed_of(std::string_view bytes) {
  const uint64_t value = read_key_u64(bytes);
  return bytes.size() == 4 ? static_cast<int32_t>(static_cast<uint32_t>(value))
                           : static_cast<int64_t>(value);
}

/// Asks for ok() at the cursor, as ByteCursor does.
Header read_header(ByteCursor& in) {
  Header header;
  if (in.raw(4) != "TZif") in.fail();
  header.version = static_cast<char>(in.u8());
  in.raw(15);
  for (uint64_t* count :
       {&header.isut, &header.isstd, &header.leap, &header.time, &header.type, &header.chars}) {
    *count = read_key_u64(in.raw(4));
  }
  return header;
}

uint64_t block_bytes(const Header& header, uint64_t width) {
  return header.time * (width + 1) + header.type * 6 + header.chars + header.leap * (width + 4) +
         header.isstd + header.isut;
}

Error invalid(const char* what) { return Error(Errc::invalid, std::string("zone file: ") + what); }

/// Adds a change of offset; one that changes nothing (another name) is left out.
void add_transition(ZoneTable& table, int64_t at_s, int64_t offset_s) {
  const int64_t offset_ms = floor_to(offset_s * 1000, kMinuteMs);
  if (at_s < -kFarS) {
    table.first_offset_ms = offset_ms;
    return;
  }
  const int64_t at_ms = floor_to(at_s * 1000, kMinuteMs);
  auto& all = table.transitions;
  // Two in one minute: only the later one can be told.
  if (!all.empty() && all.back().at_ms == at_ms) all.pop_back();
  const int64_t before = all.empty() ? table.first_offset_ms : all.back().offset_ms;
  if (before != offset_ms) all.push_back({at_ms, offset_ms});
}

Result<ZoneTable> read_block(ByteCursor& in, const Header& header, uint64_t width) {
  if (header.leap != 0) return invalid("it counts leap seconds");
  if (header.type == 0 || header.type > 256) return invalid("no or too many offset types");
  const std::string_view times = in.raw(header.time * width);
  const std::string_view indexes = in.raw(header.time);
  const std::string_view types = in.raw(header.type * 6);
  in.raw(header.chars + header.isstd + header.isut);
  if (!in.ok()) return invalid("cut short");

  std::vector<int64_t> offsets_s;
  for (uint64_t i = 0; i < header.type; ++i) {
    const int64_t offset_s = signed_of(types.substr(i * 6, 4));
    if (offset_s <= -25 * 3600 || offset_s >= 26 * 3600) return invalid("an offset over a day");
    offsets_s.push_back(offset_s);
  }
  ZoneTable table;
  table.first_offset_ms = floor_to(offsets_s[0] * 1000, kMinuteMs);
  int64_t before_s = INT64_MIN;
  for (uint64_t i = 0; i < header.time; ++i) {
    const int64_t at_s = signed_of(times.substr(i * width, width));
    const auto index = static_cast<uint8_t>(indexes[i]);
    if (index >= offsets_s.size()) return invalid("a transition to a type that isn't there");
    if (i > 0 && at_s <= before_s) return invalid("transitions out of order");
    before_s = at_s;
    if (at_s > kFarS) break;
    add_transition(table, at_s, offsets_s[index]);
  }
  return table;
}

/// Writes the rule out for 400 years and a few, from which all later years are looked up.
void append_rule(ZoneTable& table, const PosixRule& rule) {
  const int64_t last_ms = table.transitions.empty() ? 0 : table.transitions.back().at_ms;
  const int64_t year = civil_from_days(floor_to(last_ms, kDayMs) / kDayMs).year;
  for (int64_t y = year; y <= year + 404; ++y) {
    const int64_t begin_s = rule.summer_begin.at(y) - rule.standard_offset_s;
    const int64_t end_s = rule.summer_end.at(y) - rule.summer_offset_s;
    const auto add = [&](int64_t at_s, int64_t offset_s) {
      if (at_s * 1000 > last_ms || table.transitions.empty()) add_transition(table, at_s, offset_s);
    };
    if (begin_s < end_s) {
      add(begin_s, rule.summer_offset_s);
      add(end_s, rule.standard_offset_s);
    } else {
      add(end_s, rule.standard_offset_s);
      add(begin_s, rule.summer_offset_s);
    }
  }
  // Two years on, every transition around is the rule's own.
  table.cycle_begin_ms = days_from_civil(year + 2, 1, 1) * kDayMs;
}

bool rising(const std::vector<ZoneTable::Transition>& all) {
  return std::is_sorted(all.begin(), all.end(),
                        [](const auto& a, const auto& b) { return a.at_ms < b.at_ms; });
}

}  // namespace

Result<ZoneTable> parse_tzif(std::string_view bytes) {
  ByteCursor in(bytes);
  Header header = read_header(in);
  if (!in.ok()) return invalid("no TZif header");
  if (header.version < '2') return read_block(in, header, 4);

  in.raw(block_bytes(header, 4));
  header = read_header(in);
  if (!in.ok()) return invalid("no 64-bit block");
  ZoneTable table = TRY(read_block(in, header, 8));
  const std::string_view footer = in.rest();
  const size_t end = footer.find('\n', 1);
  if (footer.empty() || footer[0] != '\n' || end == std::string_view::npos) {
    return invalid("no footer");
  }
  if (end == 1) return table;
  const auto rule = parse_posix_rule(footer.substr(1, end - 1));
  if (!rule) return invalid("the rule in the footer can't be read");
  if (rule->has_summer) append_rule(table, *rule);
  // A rule that moves its transitions across each other is no rule.
  if (!rising(table.transitions)) return invalid("transitions out of order");
  return table;
}

}  // namespace clickmill::query
