#include "click_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "click/click.h"

namespace clickmill::bench {
namespace {

constexpr uint64_t kVisitors = 500'000;

struct Browser {
  std::string_view device;
  std::string_view user_agent;
};
constexpr auto kBrowsers = std::to_array<Browser>({
    {"mobile",
     "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/126.0.0.0 Mobile Safari/537.36"},
    {"mobile",
     "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
     "Gecko) Version/17.5 Mobile/15E148 Safari/604.1"},
    {"desktop",
     "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/126.0.0.0 Safari/537.36"},
    {"mobile",
     "Mozilla/5.0 (iPhone; CPU iPhone OS 16_7_8 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
     "Gecko) Mobile/15E148 [FBAN/FBIOS;FBAV/470.0.0.41.98;FBBV/615085303;FBDV/iPhone10,6]"},
    {"mobile",
     "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) "
     "SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36"},
    {"desktop",
     "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
     "Version/17.5 Safari/605.1.15"},
    {"mobile",
     "Mozilla/5.0 (Linux; Android 13; Redmi Note 12 Build/TKQ1.221114.001; wv) "
     "AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/125.0.6422.165 Mobile "
     "Safari/537.36 Instagram 336.0.0.35.90 Android"},
    {"desktop", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0"},
    {"tablet",
     "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
     "Version/16.6 Mobile/15E148 Safari/604.1"},
    {"mobile",
     "Mozilla/5.0 (Linux; Android 12; moto g(30)) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/125.0.6422.147 Mobile Safari/537.36"},
    {"desktop",
     "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/126.0.0.0 Safari/537.36 Edg/126.0.2592.68"},
    {"mobile",
     "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
     "Gecko) CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1"},
    {"desktop",
     "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/125.0.0.0 Safari/537.36"},
    {"mobile",
     "Mozilla/5.0 (Linux; U; Android 11; en-US; CPH2269 Build/RP1A.200720.011) "
     "AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/100.0.4896.58 UCBrowser/13.7.0 "
     "Mobile Safari/537.36"},
    {"tablet",
     "Mozilla/5.0 (Linux; Android 13; SM-X200) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/126.0.0.0 Safari/537.36"},
    {"desktop", "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"},
    {"mobile",
     "Mozilla/5.0 (Linux; Android 10; VOG-L29) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/114.0.5735.196 HuaweiBrowser/14.0.5.302 Mobile Safari/537.36"},
    {"desktop",
     "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/124.0.0.0 Safari/537.36 OPR/110.0.0.0"},
    {"mobile", "Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0"},
    {"other",
     "Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) "
     "76.0.3809.146/6.0 TV Safari/537.36"},
});

constexpr auto kSites = std::to_array<std::string_view>({
    "https://www.example-news.com/world/europe/2026/06/24/",
    "https://m.example-weather.org/forecast/hourly/berlin-",
    "https://recipes.example.net/vegetarian/pasta/slow-roasted-",
    "https://forum.example-cars.com/threads/first-service-",
    "https://www.example-sport.tv/football/live-score/match-",
    "https://video.example.com/watch?list=trending&v=",
});

constexpr auto kCountries =
    std::to_array<std::string_view>({"US", "US", "US", "IN", "IN", "BR", "DE", "GB", "FR", "JP",
                                     "MX", "ID", "TR", "ZA", "CA", "PL"});

/// splitmix64: a good 64-bit mix of one number.
uint64_t mixed(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

void append_hex(uint64_t value, int digits, std::string& out) {
  for (int at = digits - 1; at >= 0; --at) out += "0123456789abcdef"[(value >> (4 * at)) & 15];
}

/// A version 4 UUID of 128 bits of hash.
void append_uuid(uint64_t high, uint64_t low, std::string& out) {
  append_hex(high >> 32, 8, out);
  out += '-';
  append_hex(high >> 16, 4, out);
  out += "-4";
  append_hex(high, 3, out);
  out += '-';
  append_hex((low >> 48 & 0x3fff) | 0x8000, 4, out);
  out += '-';
  append_hex(low, 12, out);
}

void append_number(uint64_t value, std::string& out) {
  const fmt::format_int digits(value);
  out.append(digits.data(), digits.size());
}

/// As {:06}.
void append_padded(uint32_t value, std::string& out) {
  const fmt::format_int digits(value);
  if (digits.size() < 6) out.append(6 - digits.size(), '0');
  out.append(digits.data(), digits.size());
}

}  // namespace

ClickSource::ClickSource(uint64_t seed, uint32_t ads, std::string run, std::string host)
    : seed_(mixed(seed)), run_(std::move(run)), host_(std::move(host)), cumulative_(ads) {
  double sum = 0;
  for (uint32_t ad = 0; ad < ads; ++ad) cumulative_[ad] = sum += 1.0 / (ad + 1);
  for (double& share : cumulative_) share /= sum;
}

uint32_t ClickSource::ad_of(uint64_t number) const {
  // 53 bits make a double in [0, 1), so the search always finds an ad: the last share is 1.
  double at = static_cast<double>(mixed(seed_ + 3 * number) >> 11) * 0x1p-53;
  auto found = std::upper_bound(cumulative_.begin(), cumulative_.end() - 1, at);
  return static_cast<uint32_t>(found - cumulative_.begin());
}

std::string ClickSource::ad_id(uint32_t ad) const {
  return fmt::format("bench-{}-{:06}", run_, ad);
}

std::string ClickSource::ad_line(uint32_t ad) const {
  return fmt::format(R"({{"ad_id":"{}","advertiser_id":"{}","ad_format":"banner",)"
                     R"("redirect_url":"https://shop.example.com/landing/{}?)"
                     R"(utm_source=clickmill&utm_medium=cpc"}})"
                     "\n",
                     ad_id(ad), advertiser_id(), ad);
}

/// Written out by hand: the generator must cost less than what it measures.
void ClickSource::append_body(uint64_t number, int64_t timestamp_ms, std::string& out) const {
  const uint64_t id = mixed(seed_ + 3 * number + 1);
  const uint64_t visitor = visitor_of(number);
  out += R"({"click_id":")";
  append_uuid(id, mixed(id), out);
  out += R"(","ad_id":"bench-)";
  out += run_;
  out += '-';
  append_padded(ad_of(number), out);
  out += R"(","timestamp_ms":)";
  append_number(static_cast<uint64_t>(timestamp_ms), out);
  out += R"(,"device_type":")";
  out += kBrowsers[visitor % kBrowsers.size()].device;
  out += R"(","country":")";
  out += kCountries[(visitor >> 8) % kCountries.size()];
  out += R"(","user_id":")";
  append_uuid(visitor, mixed(visitor), out);
  out += R"("})";
}

uint64_t ClickSource::visitor_of(uint64_t number) const {
  return mixed(mixed(seed_ + 3 * number + 2) % kVisitors);
}

void ClickSource::append_line(uint64_t number, int64_t timestamp_ms, std::string& out) {
  append_body(number, timestamp_ms, out);
  out += '\n';
}

void ClickSource::write_request(uint64_t number, int64_t timestamp_ms, std::string& out) {
  const uint64_t visitor = visitor_of(number);
  body_.clear();
  append_body(number, timestamp_ms, body_);
  out.clear();
  out += "POST /v1/click HTTP/1.1\r\nHost: ";
  out += host_;
  out += "\r\nUser-Agent: ";
  out += kBrowsers[visitor % kBrowsers.size()].user_agent;
  out += "\r\nReferer: ";
  out += kSites[(visitor >> 16) % kSites.size()];
  append_number(visitor >> 24 & 0xffff, out);
  out += "\r\nContent-Type: application/json\r\nContent-Length: ";
  append_number(body_.size(), out);
  out += "\r\n\r\n";
  out += body_;
}

void ClickSource::append_record(uint64_t number, int64_t received_ms, Field without,
                                std::string& out) {
  const uint64_t id = mixed(seed_ + 3 * number + 1);
  const uint64_t visitor = visitor_of(number);
  const Browser& browser = kBrowsers[visitor % kBrowsers.size()];
  for (auto* text : {&click_id_, &user_id_}) text->clear();
  append_uuid(id, mixed(id), click_id_);
  append_uuid(visitor, mixed(visitor), user_id_);
  ad_id_ = ad_id(ad_of(number));
  advertiser_id_ = advertiser_id();
  const uint64_t address = mixed(visitor + 1);
  ip_ = fmt::format("{}.{}.{}.{}", 1 + address % 220, address >> 8 & 255, address >> 16 & 255,
                    address >> 24 & 255);
  referrer_ = fmt::format("{}{}", kSites[(visitor >> 16) % kSites.size()], visitor >> 24 & 0xffff);

  click::ClickView view;
  const auto unless = [&](Field field, std::string_view value) {
    return field == without ? std::string_view() : value;
  };
  view.click_id = without == Field::click_id ? std::string_view("x") : click_id_;
  view.ad_id = without == Field::ad_id ? std::string_view("x") : ad_id_;
  view.advertiser_id = unless(Field::ad_id, advertiser_id_);
  view.ad_format = "banner";
  view.received_ms = ArrivalMs(received_ms);
  // As fast as light and a tapping finger: a few dozen ms, sometimes much more.
  const uint64_t delay =
      20 + mixed(id + 2) % 60 + (mixed(id + 3) % 16 == 0 ? mixed(id + 4) % 2000 : 0);
  view.timestamp_ms =
      EventMs(received_ms - (without == Field::timestamp_ms ? 0 : static_cast<int64_t>(delay)));
  if (without != Field::device_type) {
    view.device = click::parse_device(browser.device).value();
  }
  if (without != Field::country) {
    const auto country = kCountries[(visitor >> 8) % kCountries.size()];
    view.country = click::country_of(country[0], country[1]);
  }
  view.user_id = unless(Field::user_id, user_id_);
  view.ip = unless(Field::ip, ip_);
  view.user_agent = unless(Field::user_agent, browser.user_agent);
  view.referrer = unless(Field::referrer, referrer_);
  click::encode_record(view, out);
}

}  // namespace clickmill::bench
