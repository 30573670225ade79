#include <bitset>

#include "click/parse.h"

namespace clickmill::click {
namespace {

/// ISO 3166-1 alpha-2, officially assigned.
constexpr std::string_view kCodes =
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR "
    "BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ "
    "EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW "
    "GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY "
    "KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV "
    "MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY "
    "QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG "
    "TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM "
    "ZW";
static_assert(kCodes.size() == 249 * 3 - 1);

size_t slot_of(char a, char b) {
  return static_cast<size_t>(a - 'A') * 26 + static_cast<size_t>(b - 'A');
}

}  // namespace

std::optional<Country> parse_country(std::string_view text) {
  static const std::bitset<26 * 26> known = [] {
    std::bitset<26 * 26> bits;
    for (size_t i = 0; i < kCodes.size(); i += 3) bits.set(slot_of(kCodes[i], kCodes[i + 1]));
    bits.set(slot_of('Z', 'Z'));
    return bits;
  }();
  if (text.size() != 2) return std::nullopt;
  if (text[0] < 'A' || text[0] > 'Z' || text[1] < 'A' || text[1] > 'Z') return std::nullopt;
  if (!known.test(slot_of(text[0], text[1]))) return std::nullopt;
  return country_of(text[0], text[1]);
}

}  // namespace clickmill::click
