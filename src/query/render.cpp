// The bodies of DESIGN §7. Written by hand: 100,000 points through a JSON library
// take a second and a gigabyte.
#include <fmt/format.h>

#include <limits>
#include <set>

#include "base/strong.h"
#include "base/text.h"
#include "base/time_text.h"
#include "query/aggregate.h"

namespace clickmill::query {
namespace {

/// What a point takes without a breakdown by country: enough to reserve.
constexpr size_t kPointBytes = 200;

void append_number(std::string& out, uint64_t value) {
  const fmt::format_int text(value);
  out.append(text.data(), text.size());
}

/// Like format_time_ms, but quick for many times of the same day.
class TimeWriter {
 public:
  void append(std::string& out, int64_t ms) {
    const int64_t day = floor_to(ms, kDayMs);
    const int64_t rest = ms - day;
    // Fractions and clamped years are for the one that knows them.
    if (rest % 1000 != 0 || ms < kYear0Ms || ms > kYear9999Ms) {
      out += format_time_ms(ms);
      return;
    }
    if (day != day_) {
      day_ = day;
      date_ = format_time_ms(day).substr(0, 11);
    }
    out += date_;
    append_two(out, rest / kHourMs);
    out += ':';
    append_two(out, rest / kMinuteMs % 60);
    out += ':';
    append_two(out, rest / 1000 % 60);
    out += 'Z';
  }

 private:
  static constexpr int64_t kYear0Ms = -62'167'219'200'000;
  static constexpr int64_t kYear9999Ms = 253'402'300'799'999;
  static void append_two(std::string& out, int64_t value) {
    out += static_cast<char>('0' + value / 10);
    out += static_cast<char>('0' + value % 10);
  }
  int64_t day_ = std::numeric_limits<int64_t>::min();
  std::string date_;
};

/// Devices and countries are counted apart from visitors: with a filter nobody knows them.
bool has_unique_users(const ClicksRequest& request) { return !request.device && !request.country; }

std::string_view breakdown_name(Breakdown breakdown) {
  return breakdown == Breakdown::country ? "country" : "device_type";
}

std::string_view device_name(size_t index) {
  return click::to_string(static_cast<click::Device>(index));
}

class JsonClicks {
 public:
  explicit JsonClicks(const ClicksRequest& request) : request_(request) {}

  std::string body(const ClicksAnswer& answer) {
    out_.reserve(400 + answer.data.size() * kPointBytes);
    head(answer);
    out_ += ",\"data\":[";
    for (const Bucket& bucket : answer.data) {
      if (out_.back() != '[') out_ += ',';
      point(bucket);
    }
    out_ += "],\"total\":{";
    counts(answer.total);
    breakdown(answer.total);
    out_ += "},\"as_of\":";
    time(answer.as_of_ms);
    if (answer.stale) out_ += ",\"stale\":true";
    out_ += '}';
    return std::move(out_);
  }

 private:
  void head(const ClicksAnswer& answer) {
    out_ += '{';
    if (!request_.ad_id.empty()) {
      out_ += "\"ad_id\":" + json_quoted(request_.ad_id) + ',';
    }
    out_ += "\"advertiser_id\":" + json_quoted(answer.advertiser_id);
    out_ += ",\"from\":";
    time(request_.from_ms);
    out_ += ",\"to\":";
    time(request_.to_ms);
    out_.append(",\"granularity\":\"").append(to_string(request_.granularity));
    out_ += "\",\"timezone\":" + json_quoted(request_.zone->name());
    if (request_.automated != store::Automated::include)
      out_.append(",\"automated\":\"").append(to_string(request_.automated)) += '"';
    if (request_.breakdown == Breakdown::none) return;
    out_.append(",\"breakdown\":\"").append(breakdown_name(request_.breakdown)) += '"';
  }
  void point(const Bucket& bucket) {
    out_ += "{\"window_start\":";
    time(bucket.start_ms);
    out_ += ',';
    counts(bucket);
    out_ += bucket.complete ? ",\"complete\":true" : ",\"complete\":false";
    breakdown(bucket);
    out_ += '}';
  }
  void counts(const Bucket& bucket) {
    out_ += "\"click_count\":";
    append_number(out_, bucket.clicks);
    if (has_unique_users(request_)) {
      out_ += ",\"unique_users\":";
      append_number(out_, bucket.unique_users);
    }
    out_ += ",\"automated_clicks\":";
    append_number(out_, bucket.automated);
  }
  void breakdown(const Bucket& bucket) {
    if (request_.breakdown == Breakdown::none) return;
    out_.append(",\"").append(breakdown_name(request_.breakdown)) += "\":{";
    if (request_.breakdown == Breakdown::device_type) {
      for (size_t i = 0; i < click::kDevices; ++i) entry(device_name(i), bucket.devices[i]);
    } else {
      for (const auto& [country, clicks] : bucket.countries) {
        if (clicks > 0) entry(click::to_string_country(country), clicks);
      }
    }
    out_ += '}';
  }
  void entry(std::string_view name, uint64_t clicks) {
    if (out_.back() != '{') out_ += ',';
    out_ += '"';
    out_.append(name) += "\":";
    append_number(out_, clicks);
  }
  void time(int64_t ms) {
    out_ += '"';
    times_.append(out_, ms);
    out_ += '"';
  }

  const ClicksRequest& request_;
  TimeWriter times_;
  std::string out_;
};

/// RFC 4180, lines ended by LF. No value of ours needs quoting: times, numbers, fixed
/// words and capital letters.
class CsvClicks {
 public:
  explicit CsvClicks(const ClicksRequest& request) : request_(request) {}

  std::string body(const ClicksAnswer& answer) {
    out_.reserve(100 + answer.data.size() * 60);
    if (request_.breakdown == Breakdown::country) collect_countries(answer);
    head();
    for (const Bucket& bucket : answer.data) line(bucket);
    return std::move(out_);
  }

 private:
  void collect_countries(const ClicksAnswer& answer) {
    for (const Bucket& bucket : answer.data) {
      for (const auto& [country, clicks] : bucket.countries) {
        if (clicks > 0) countries_.insert(country);
      }
    }
  }
  void head() {
    out_ += "window_start,click_count,unique_users,complete";
    if (request_.automated_column) out_ += ",automated_clicks";
    if (request_.breakdown == Breakdown::device_type) {
      for (size_t i = 0; i < click::kDevices; ++i) (out_ += ',').append(device_name(i));
    }
    for (const click::Country country : countries_) {
      (out_ += ',').append(click::to_string_country(country));
    }
    out_ += '\n';
  }
  void line(const Bucket& bucket) {
    times_.append(out_, bucket.start_ms);
    cell(bucket.clicks);
    if (has_unique_users(request_)) {
      cell(bucket.unique_users);
    } else {
      out_ += ',';
    }
    out_ += bucket.complete ? ",true" : ",false";
    if (request_.automated_column) cell(bucket.automated);
    if (request_.breakdown == Breakdown::device_type) {
      for (const uint64_t clicks : bucket.devices) cell(clicks);
    }
    for (const click::Country country : countries_) {
      const auto at = bucket.countries.find(country);
      cell(at == bucket.countries.end() ? 0 : at->second);
    }
    out_ += '\n';
  }
  void cell(uint64_t value) {
    out_ += ',';
    append_number(out_, value);
  }

  const ClicksRequest& request_;
  std::set<click::Country> countries_;
  TimeWriter times_;
  std::string out_;
};

}  // namespace

std::string render_clicks(const ClicksRequest& request, const ClicksAnswer& answer) {
  if (request.format == Format::csv) return CsvClicks(request).body(answer);
  return JsonClicks(request).body(answer);
}

std::string render_top(const TopRequest& request, const TopAnswer& answer) {
  std::string out = fmt::format(R"({{"from":"{}","to":"{}",)", format_time_ms(request.from_ms),
                                format_time_ms(request.to_ms));
  if (request.automated != store::Automated::include)
    out += fmt::format(R"("automated":"{}",)", to_string(request.automated));
  out += "\"data\":[";
  uint64_t listed = 0;
  uint64_t listed_automated = 0;
  for (const TopAnswer::Item& item : answer.data) {
    if (out.back() != '[') out += ',';
    out += fmt::format(
        R"({{"ad_id":{},"advertiser_id":{},"click_count":{},"automated_clicks":{}}})",
        json_quoted(item.ad_id), json_quoted(item.advertiser_id), item.clicks, item.automated);
    listed += item.clicks;
    listed_automated += item.automated;
  }
  const auto counts = [](uint64_t clicks, uint64_t automated) {
    return fmt::format(R"({{"click_count":{},"automated_clicks":{}}})", clicks, automated);
  };
  out +=
      fmt::format(R"(],"other":{},"total":{},"as_of":"{}"{}}})",
                  counts(answer.total_clicks - listed, answer.total_automated - listed_automated),
                  counts(answer.total_clicks, answer.total_automated),
                  format_time_ms(answer.as_of_ms), answer.stale ? ",\"stale\":true" : "");
  return out;
}

}  // namespace clickmill::query
