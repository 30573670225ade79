#pragma once

#include <string>

#include "base/random.h"
#include "click/click.h"

namespace clickmill::click {

/// Random clicks: mostly such as real traffic brings, now and then odd ones in
/// every field. The view from next() lives until the following call.
class SampleClicks {
 public:
  explicit SampleClicks(uint64_t seed) : random_(seed) {}

  const ClickView& next() {
    now_ms_ += static_cast<int64_t>(random_.below(5));
    click_id_ = random_.one_in(20) ? "c-" + number(1'000'000) : uuid();
    const uint64_t ad = random_.below(1 + random_.below(300));
    ad_id_ = "ad_" + std::to_string(ad);
    advertiser_id_ = random_.one_in(50) ? "" : "adv_" + std::to_string(ad / 10);
    format_ = ad % 3 == 0 ? "banner" : ad % 3 == 1 ? "video" : "native";
    user_id_ = random_.one_in(5) ? "" : "user_" + number(50'000);
    ip_ = address();
    user_agent_ = random_.one_in(30) ? odd_text(300) : kAgents[random_.below(4)];
    referrer_ = random_.one_in(3) ? "" : "https://news.example/page/" + number(40);
    view_.click_id = click_id_;
    view_.ad_id = random_.one_in(40) ? odd_text(64) : ad_id_;
    view_.advertiser_id = advertiser_id_;
    view_.ad_format = format_;
    view_.received_ms = ArrivalMs(now_ms_);
    view_.timestamp_ms = EventMs(now_ms_ - static_cast<int64_t>(random_.below(2000)));
    if (random_.one_in(100)) view_.timestamp_ms = EventMs(static_cast<int64_t>(random_.next()));
    view_.device = static_cast<Device>(random_.below(kDevices));
    view_.country = country_of(static_cast<char>('A' + random_.below(26)), 'E');
    view_.flags = static_cast<uint8_t>(random_.one_in(50) ? random_.below(256) : 0);
    view_.user_id = user_id_;
    view_.ip = ip_;
    view_.user_agent = user_agent_;
    view_.referrer = referrer_;
    return view_;
  }

 private:
  static constexpr const char* kAgents[] = {
      "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0.0.0",
      "Mozilla/5.0 (Linux; Android 14; SM-X710) AppleWebKit/537.36 Chrome/126.0.0.0", ""};

  std::string number(uint64_t bound) { return std::to_string(random_.below(bound)); }
  std::string uuid() {
    std::string text(36, '-');
    for (size_t i = 0; i < 36; ++i) {
      if (i != 8 && i != 13 && i != 18 && i != 23) text[i] = "0123456789abcdef"[random_.below(16)];
    }
    return text;
  }
  std::string address() {
    if (random_.one_in(20)) return odd_text(45);
    if (random_.one_in(5)) return "2001:db8::" + std::to_string(1 + random_.below(9999));
    std::string text = number(256);
    for (int i = 0; i < 3; ++i) text += "." + number(256);
    return text;
  }
  const std::string& odd_text(size_t bytes_max) {
    odd_.resize(random_.below(bytes_max + 1));
    for (auto& c : odd_) c = static_cast<char>(random_.next());
    return odd_;
  }

  Random random_;
  int64_t now_ms_ = 1'782'295'200'000;
  ClickView view_;
  std::string click_id_, ad_id_, advertiser_id_, format_, user_id_, ip_, user_agent_, referrer_;
  std::string odd_;
};

}  // namespace clickmill::click
