#include <algorithm>
#include <bitset>
#include <iterator>
#include <utility>

#include "click/parse.h"

namespace clickmill::click {
namespace {

/// ISO 3166-1 alpha-2, officially assigned, and XK, which everybody writes for Kosovo.
constexpr std::string_view kCodes =
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR "
    "BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ "
    "EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW "
    "GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY "
    "KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV "
    "MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY "
    "QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG "
    "TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA "
    "ZM ZW";
static_assert(kCodes.size() == 250 * 3 - 1);

/// What people write instead, and what they mean.
constexpr std::pair<std::string_view, std::string_view> kMeant[] = {
    {"UK", "GB"},  {"EL", "GR"},  {"USA", "US"}, {"GBR", "GB"}, {"DEU", "DE"},
    {"FRA", "FR"}, {"CHN", "CN"}, {"IND", "IN"}, {"XKX", "XK"}};

std::string in_capitals(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
  return out;
}

/// Of two capital letters.
size_t slot_of(char a, char b) {
  return static_cast<size_t>(a - 'A') * 26 + static_cast<size_t>(b - 'A');
}

bool listed(char a, char b) {
  static const std::bitset<26 * 26> codes = [] {
    std::bitset<26 * 26> bits;
    for (size_t i = 0; i < kCodes.size(); i += 3) bits.set(slot_of(kCodes[i], kCodes[i + 1]));
    return bits;
  }();
  const auto capital = [](char c) { return c >= 'A' && c <= 'Z'; };
  return capital(a) && capital(b) && codes.test(slot_of(a, b));
}

}  // namespace

std::optional<Country> known_country(std::string_view text) {
  if (text.size() != 2) return std::nullopt;
  const std::string code = in_capitals(text);
  if (!listed(code[0], code[1])) return std::nullopt;
  return country_of(code[0], code[1]);
}

std::optional<Country> parse_country(std::string_view text) {
  if (in_capitals(text) == "ZZ") return kUnknownCountry;
  return known_country(text);
}

Country listed_country(Country code) {
  const bool known = listed(static_cast<char>(code >> 8), static_cast<char>(code & 0xff));
  return known ? code : kUnknownCountry;
}

std::string country_complaint(std::string_view text) {
  const std::string code = in_capitals(text);
  const auto meant = std::find_if(std::begin(kMeant), std::end(kMeant),
                                  [&](const auto& pair) { return pair.first == code; });
  std::string out = shown(text) + " is no country: it must be an ISO 3166-1 alpha-2 code, XK or ZZ";
  if (meant != std::end(kMeant)) out.append("; write ").append(meant->second);
  return out;
}

}  // namespace clickmill::click
