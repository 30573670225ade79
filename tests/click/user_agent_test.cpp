// Agents of our own choice, the kinds that were read wrongly once and their siblings among them,
// and the rules themselves: each is shown with its example and what it was counted for.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cctype>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "base/random.h"
#include "click/device_rules.h"
#include "click/parse.h"

namespace clickmill::click {
namespace {

struct Seen {
  std::string agent;
  Device device;
};

std::string android(const std::string& model, bool mobile = false) {
  return "Mozilla/5.0 (Linux; Android 11; " + model +
         ") AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 " + (mobile ? "Mobile " : "") +
         "Safari/537.36";
}
std::string mac(const std::string& rest) {
  return "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like "
         "Gecko) " +
         rest;
}
std::string chrome(const std::string& system, const std::string& rest = "") {
  return "Mozilla/5.0 (" + system +
         ") AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36" + rest;
}
std::string iphone(const std::string& rest) {
  return "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, "
         "like Gecko) " +
         rest;
}

const std::vector<Seen>& agents() {
  static const std::vector<Seen> all = [] {
    std::vector<Seen> out;
    const auto are = [&](Device device, std::initializer_list<std::string> list) {
      for (const auto& agent : list) out.push_back({agent, device});
    };
    // Phones.
    are(Device::mobile,
        {iphone("Version/17.5 Mobile/15E148 Safari/604.1"),
         iphone("CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1"),
         iphone("Mobile/15E148 [FBAN/FBIOS;FBAV/468.0.0.39;FBDV/iPhone15,2;FBSN/iOS]"),
         iphone("Mobile/15E148 Instagram 334.0.0.29.102 (iPhone15,2; iOS 17_5)"),
         iphone("Mobile/15E148 musical_ly_34.1.0 BytedanceWebview/d8a21c6"),
         "Mozilla/5.0 (iPod touch; CPU iPhone OS 12_5 like Mac OS X) AppleWebKit/605.1.15",
         android("K", true),
         android("Pixel 8", true),
         android("SM-S918B", true),
         android("CUBOT_X19", true),
         android("CUBOT NOTE 20", true),
         "Mozilla/5.0 (Linux; Android 13; CUBOT KINGKONG 9 Build/TP1A) AppleWebKit/537.36 Chrome/"
         "126.0.0.0 Mobile Safari/537.36",
         "Mozilla/5.0 (Linux; Android 14; SM-A546B; wv) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/470.0.0.41.88;]",
         "Mozilla/5.0 (Android 13; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0",
         "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) AppleWebKit/537.36 "
         "Chrome/52.0.2743.116 Mobile Safari/537.36 Edge/15.15063",
         "Mozilla/5.0 (compatible; MSIE 10.0; Windows Phone 8.0; Trident/6.0; IEMobile/10.0; ARM)",
         "Dalvik/2.1.0 (Linux; U; Android 9; SM-J730F Build/PPR1.180610.011)",
         "Dalvik/1.6.0 (Linux; U; Android 4.4.2; Nexus 5 Build/KOT49H)",
         "Nokia6120c/3.83; Profile/MIDP-2.0 Configuration/CLDC-1.1",
         "SAMSUNG-GT-E2252/E2252DDKJ1 NetFront/4.1 Profile/MIDP-2.0 Configuration/CLDC-1.1",
         "SonyEricssonK800i/R1KG Browser/NetFront/3.3 Profile/MIDP-2.0 Configuration/CLDC-1.1",
         "MOT-V9mm/00.62 UP.Browser/6.2.3.4.c.1.123 (GUI) MMP/2.0",
         "LG-GS290/V100 Obigo/WAP2.0 Profile/MIDP-2.1 Configuration/CLDC-1.1",
         "DoCoMo/2.0 P900i(c100;TB;W24H11)",
         "KDDI-CA39 UP.Browser/6.2.0.13.1.5 (GUI) MMP/2.0",
         "Mozilla/5.0 (Mobile; Nokia 8110 4G; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5",
         "Mozilla/5.0 (SymbianOS/9.2; U; Series60/3.1 NokiaE63-1) AppleWebKit/413 Safari/413",
         "Mozilla/5.0 (BlackBerry; U; BlackBerry 9900; en) AppleWebKit/534.11+ Mobile Safari",
         "BlackBerry9000/4.6.0.167 Profile/MIDP-2.0 Configuration/CLDC-1.1 VendorID/102",
         "Mozilla/5.0 (BB10; Touch) AppleWebKit/537.10+ Version/10.0.9.2372 Mobile Safari/537.10+",
         "Mozilla/5.0 (webOS/2.2.4; U; en-US) AppleWebKit/534.6 webOSBrowser/221.56 Safari Pre/3.0",
         "Opera/9.80 (Android; Opera Mini/36.2/119.132; U; id) Presto/2.12.423 Version/12.16",
         "Opera/9.80 (J2ME/MIDP; Opera Mini/7.1/28.3; U; en) Presto/2.8.119",
         "Instagram 219.0.0.12.117 Android (28/9; 480dpi; 1080x2076; HUAWEI; COR-L29)",
         "com.google.android.youtube/17.31.35(Linux; U; Android 11; SM-A515F) gzip",
         "TikTok 26.2.0 rv:262018 (iPhone; iOS 16.0; en_US) Cronet",
         "UCWEB/2.0 (MIDP-2.0; U; Adr 4.4.4; en-US; XT1022) U2/1.0.0 UCBrowser/10.9.8 U2/1.0.0",
         "Mozilla/5.0 (PLAYSTAR Mobile; Linux) Mobile"});
    // Tablets.
    are(Device::tablet,
        {"Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
         "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 CriOS/126.0 Mobile",
         iphone("Mobile/16D57 Instagram 91.0.0.18.117 (iPad5,3; iPhone OS 12_1_4; de_DE)"),
         mac("Mobile/15E148"), mac("Mobile/15E148 [FBAN/FBIOS;FBAV/468.0]"),
         mac("CriOS/126 Version/11.1.1 Safari/605.1.15"), mac("FxiOS/127.0 Safari/605.1.15"),
         mac("EdgiOS/125.0.2535.96 Version/17.0 Safari/604.1"), mac("GSA/320.0 Safari/604.1"),
         "Mozilla/5.0 (Android 13; Tablet; rv:127.0) Gecko/127.0 Firefox/127.0", android("K"),
         android("SM-X710"), android("SM-T870", true), android("Lenovo TB-X606F", true),
         android("Lenovo TB350FU"), android("Redmi Pad SE"), android("Pixel Tablet"),
         android("AGS3-W09"), android("Nexus 7", true), android("SHIELD Tablet K1"),
         "Mozilla/5.0 (Linux; Android 9; KFMAWI) AppleWebKit/537.36 Silk/108.4.6 like Chrome/108 "
         "Safari/537.36",
         "Mozilla/5.0 (Linux; U; Android 4.0.3; en-us; KFTT Build/IML74K) AppleWebKit/535.19 "
         "Silk/3.4 Mobile Safari/535.19 Silk-Accelerated=true",
         "Mozilla/5.0 (PlayBook; U; RIM Tablet OS 2.1.0; en-US) AppleWebKit/536.2+ Safari/536.2+",
         "Mozilla/5.0 (hp-tablet; Linux; hpwOS/3.0.5; U; en-US) AppleWebKit/534.6 TouchPad/1.0",
         // E-readers.
         "Mozilla/5.0 (X11; U; Linux armv7l like Android; en-us) AppleWebKit/531.2+ Kindle/3.0+",
         "Mozilla/5.0 (Linux; U; Android 2.0; en-us;) AppleWebKit/538.1 Mobile Safari (Kobo Touch "
         "0377/4.20.14601)",
         "Mozilla/5.0 (Linux; en_US) AppleWebKit/534.34 PocketBook/801 Safari/534.34",
         "Dalvik/2.1.0 (Linux; U; Android 9; SM-T510 Build/PPR1.180610.011)"});
    // Desktops.
    are(Device::desktop,
        {chrome("Windows NT 10.0; Win64; x64"), chrome("X11; CrOS x86_64 14541.0.0"),
         chrome("X11; Linux x86_64"), mac("Version/17.5 Safari/605.1.15"),
         chrome("Macintosh; Intel Mac OS X 10_15_7"),
         "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
         "Mozilla/5.0 (Windows NT 10.0; rv:127.0) Gecko/20100101 Firefox/127.0",
         "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; Tablet PC 2.0)",
         "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko",
         "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/"
         "55.0.2883.87 UBrowser/7.0.185.1002 Safari/537.36",
         "Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/"
         "78.0.3904.108 UCBrowser/12.12 Safari/537.36",
         "Opera/9.80 (Windows NT 6.1; U; en) Presto/2.10.229 Version/11.62",
         "Mozilla/5.0 (X11; FreeBSD amd64; rv:126.0) Gecko/20100101 Firefox/126.0",
         chrome("Windows NT 10.0; Win64; x64", " Edg/126.0.0.0"),
         chrome("Windows NT 10.0; Win64; x64", " OPR/111.0.0.0"), android("Samsung Chromebook 3"),
         "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Slack/4.38.125 Chrome/124.0.6367.243 Electron/30.1.0 Safari/537.36"});
    // Television sets, sticks and boxes.
    are(Device::other,
        {"Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/538.1 Version/6.0 TV Safari/538.1",
         "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 Chrome/79.0.3945.79 Safari/537.36",
         android("AFTS"),
         android("AFTMM Build/NS6265; wv", true),
         android("AFTKA"),
         "Mozilla/5.0 (Linux; Android 7.1.2; AFTN) AppleWebKit/537.36 Silk/120.1 like Chrome/120 "
         "Safari/537.36",
         "Dalvik/2.1.0 (Linux; U; Android 9; AFTSSS Build/PS7633)",
         android("Chromecast Build/QTS1.200625.002"),
         android("Chromecast HD", true),
         "Mozilla/5.0 (X11; Linux armv7l) AppleWebKit/537.36 Chrome/90.0 Safari/537.36 CrKey/1.54",
         "Mozilla/5.0 (Fuchsia) AppleWebKit/537.36 Chrome/100.0 Safari/537.36 CrKey/1.56.500000",
         android("BRAVIA 4K UR2"),
         android("MIBOX3", true),
         android("MiTV-MSSP1"),
         android("SHIELD Android TV"),
         android("ADT-3 Android TV"),
         android("Google TV Streamer"),
         android("Mi TV Stick", true),
         android("X96Max_Plus2"),
         "Mozilla/5.0 (Linux; NetCast; U) AppleWebKit/537.31 Chrome/38.0 Safari/537.31 SmartTV/8.0",
         "Mozilla/5.0 (AppleTV11,1; CPU OS 11.1 like Mac OS X; en-US)",
         "AppleTV6,2/11.1",
         "Roku/DVP-12.0 (12.0.0.4182-88)",
         "Opera/9.80 (Linux armv7l; HbbTV/1.2.1 (; Philips; ; ; )) Presto/2.12 Version/12.11",
         "HbbTV/1.4.1 (+DRM;Samsung;SmartTV2021:UAU7000;T-KSU2FDEUC-1.0;;) Tizen/6.0 Mozilla/5.0",
         "Mozilla/5.0 (Linux armv7l) AppleWebKit/537.36 Chrome/84.0 Safari/537.36 OPR/46.0 "
         "OMI/4.21.2 Model/Vestel-MB230 VSTVB"});
    // Consoles, headsets, watches, speakers, displays, cars.
    are(Device::other,
        {"Mozilla/5.0 (PlayStation 5 3.11) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/605.1",
         "Mozilla/5.0 (PlayStation Vita 3.73) AppleWebKit/537.73 Silk/3.2",
         "Mozilla/4.0 (PSP (PlayStation Portable); 2.00)",
         "Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox Series X) AppleWebKit/537.36 "
         "Edge/44",
         "Mozilla/5.0 (Nintendo Switch; WebApplet) AppleWebKit/613.0 NintendoBrowser/6.0.0.20045",
         "Mozilla/5.0 (Nintendo 3DS; U; ; en) Version/1.7412.EU",
         "Opera/9.30 (Nintendo Wii; U; ; 2047-7; en)",
         android("Retroid Pocket 4", true),
         "Mozilla/5.0 (X11; Linux x86_64; Quest 3) AppleWebKit/537.36 OculusBrowser/33.2 "
         "Chrome/124.0 VR Safari/537.36",
         "Mozilla/5.0 (Linux; Android 12; Quest 2) AppleWebKit/537.36 OculusBrowser/27.0 "
         "Chrome/112 "
         "Mobile VR Safari/537.36",
         "Mozilla/5.0 (X11; Linux x86_64; PICO 4 OS5.4.0 like Quest) AppleWebKit/537.36 "
         "PicoBrowser/3.3.22 Chrome/105.0 VR Safari/537.36",
         android("Quest 2"),
         android("Quest Pro"),
         android("PICO 4", true),
         android("VIVE Focus 3", true),
         "Shop/2.1 (Apple Vision Pro; visionOS 1.2)",
         "Mozilla/5.0 (Linux; Android 10; A8110) Gecko/117.0 Wolvic/1.0",
         android("SM-R890", true),
         android("TicWatch Pro 3", true),
         "atc/1.0 watchOS/9.1 model/Watch6,1 hwp/t8301 build/20S75",
         android("AEOBP"),
         "AlexaMediaPlayer/2.1.4676.0 (Linux;Android 5.1.1) ExoPlayerLib/1.5.9",
         "Linux UPnP/1.0 Sonos/76.2-47270 (ZPS22)",
         "AppleCoreMedia/1.0.0.20L563 (HomePod; U; CPU OS 16_5 like Mac OS X; en_us)",
         "Mozilla/5.0 (Linux; Tizen 4.0; SAMSUNG Family Hub 4.0) Chrome/56.0 Safari/537.36",
         "Mozilla/5.0 (X11; GNU/Linux) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Chromium/88.0.4324.150 "
         "Chrome/88.0.4324.150 Safari/537.36 Tesla/2021.24.4-6d4d0e1f",
         "Mozilla/5.0 (X11; GNU/Linux) AppleWebKit/601.1 (KHTML, like Gecko) Tesla QtCarBrowser "
         "Safari/601.1",
         "Mozilla/5.0 (Linux; Android 12; Android Automotive) Chrome/126.0.0.0 Safari/537.36"});
    // Robots, those that name a device too among them.
    are(Device::other,
        {"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
         "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 Chrome/126 "
         "Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
         "Mozilla/5.0 (iPhone; CPU iPhone OS 14_7 like Mac OS X) AppleWebKit/605.1.15 Mobile "
         "Safari/604.1 (compatible; AdsBot-Google-Mobile; +http://www.google.com/mobile/adsbot)",
         "Mozilla/5.0 (Linux; Android 5.0; SM-G920A) Chrome/126 Mobile Safari/537.36 (compatible; "
         "AdsBot-Google-Mobile)",
         "AdsBot-Google (+http://www.google.com/adsbot.html)",
         "Mediapartners-Google",
         iphone("Mobile/15E148 Safari/604.1 (compatible; Mediapartners-Google/2.1)"),
         android("Nexus 5X Build/MMB29P", true) + " (compatible; GoogleOther)",
         chrome("X11; Linux x86_64", " (compatible; Google-InspectionTool/1.0;)"),
         chrome("Windows NT 10.0; Win64; x64", " BingPreview/1.0b"),
         iphone("Version/7.0 Mobile/11A465 Safari/9537.53 BingPreview/1.0b"),
         "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; "
         "+http://www.bing.com/bingbot.htm) Chrome/116.0.1938.76 Safari/537.36",
         chrome("X11; Linux x86_64", " DatadogSynthetics"),
         chrome("X11; Linux x86_64", " PTST/211202.211915"),
         android("moto g power", true) + " PTST/230101",
         chrome("Windows NT 10.0; Win64; x64", " (https://example.org/why)"),
         chrome("X11; Linux x86_64", " HeadlessChrome/126.0.0.0"),
         "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/126.0 Safari/537.36",
         chrome("X11; Linux x86_64", " Chrome-Lighthouse"),
         "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
         "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
         "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_5) AppleWebKit/605.1.15 Safari/605.1.15 "
         "(Applebot/0.1; +http://www.apple.com/go/applebot)",
         "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
         "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; "
         "+https://openai.com/gptbot)",
         "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
         "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
         "Twitterbot/1.0",
         "WhatsApp/2.23.20.0",
         "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
         "Pinterest/0.2 (+https://www.pinterest.com/bot.html)",
         "Datadog Agent/7.69.2",
         "Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
         "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/78.0 Safari/537.36 "
         "PingdomTMS/2020.2",
         "curl/8.1.2",
         "python-requests/2.31.0",
         "Wget/1.21.3",
         "Go-http-client/1.1",
         "okhttp/4.12.0",
         "Java/17.0.2",
         "PostmanRuntime/7.39.0",
         "node",
         "axios/1.7.2",
         "Mozilla/5.0",
         "Mozilla",
         "-",
         "",
         " ",
         "x"});
    return out;
  }();
  return all;
}

std::string in_case(std::string text, int (*change)(int)) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [&](char c) { return static_cast<char>(change(static_cast<unsigned char>(c))); });
  return text;
}

std::string word_of(const DeviceRule& rule) {
  return std::string(rule.word) + (rule.then.empty() ? "" : " … " + std::string(rule.then));
}

std::string without_marks(std::string_view word) {
  if (word.starts_with('<')) word.remove_prefix(1);
  if (word.ends_with('>')) word.remove_suffix(1);
  return std::string(word);
}

Device told(const std::string& agent, std::string_view mobile, std::string_view factors = {}) {
  return device_of(agent, {mobile, factors, {}});
}

}  // namespace

TEST_CASE("user agent: what counts as what", "[click]") {
  for (const auto& [agent, device] : agents()) {
    CAPTURE(agent);
    CHECK(to_string(device_of(agent)) == to_string(device));
  }
}

TEST_CASE("user agent: capitals don't matter", "[click]") {
  for (const auto& [agent, device] : agents()) {
    CAPTURE(agent);
    CHECK(to_string(device_of(in_case(agent, std::tolower))) == to_string(device));
    CHECK(to_string(device_of(in_case(agent, std::toupper))) == to_string(device));
  }
}

TEST_CASE("user agent: each rule decides its example; the table of them", "[click]") {
  std::cout << "word (< begins, > ends a word) | device | agents | example\n";
  for (const DeviceRule& rule : device_rules()) {
    CAPTURE(rule.word, rule.then, rule.example);
    std::cout << word_of(rule) << " | "
              << (rule.told.device ? to_string(*rule.told.device) : "passed over") << " | "
              << rule.count << " | " << rule.example << "\n";
    CHECK(in_case(std::string(rule.word), std::tolower) == rule.word);
    CHECK(without_marks(rule.word).size() >= 2);
    const DeviceRule* const decides = deciding_rule(rule.example);
    if (rule.told.device) {
      CHECK(decides == &rule);
    } else {
      // Without the rule another one would find its word in the text.
      const std::string inner = without_marks(rule.word);
      CHECK(in_case(std::string(rule.example), std::tolower).find(inner) != std::string::npos);
      CHECK(deciding_rule(inner) == nullptr);
    }
  }
}

TEST_CASE("user agent: rules to pass over stand first, and no rule stands twice", "[click]") {
  const auto rules = device_rules();
  const auto decides = [](const DeviceRule& rule) { return rule.told.device.has_value(); };
  CHECK(std::is_partitioned(rules.begin(), rules.end(), std::not_fn(decides)));
  std::vector<std::string> words;
  for (const DeviceRule& rule : rules) words.push_back(word_of(rule));
  std::sort(words.begin(), words.end());
  CHECK(std::adjacent_find(words.begin(), words.end()) == words.end());
}

TEST_CASE("user agent: hints of the browser are used where it sent them", "[click]") {
  const std::string bare = android("K");
  const std::string phone = android("K", true);
  const std::string desktop = chrome("X11; Linux x86_64");
  // Without hints, and with hints that say nothing.
  CHECK(told(bare, "") == Device::tablet);
  CHECK(told(phone, "?x", "\"Fridge\"") == Device::mobile);
  // Sec-CH-UA-Mobile.
  CHECK(told(bare, "?1") == Device::mobile);
  CHECK(told(phone, "?1") == Device::mobile);
  CHECK(told(phone, "?0") == Device::tablet);
  CHECK(told(bare, "?0") == Device::tablet);
  CHECK(told(desktop, "?0") == Device::desktop);
  CHECK(told(desktop, "?1") == Device::mobile);
  CHECK(told("", "?1") == Device::mobile);
  CHECK(told("", "?0") == Device::other);
  CHECK(told(android("SM-X710"), "?1") == Device::tablet);
  CHECK(told(iphone("Mobile/15E148"), "?0") == Device::mobile);
  // Sec-CH-UA-Form-Factors says more.
  CHECK(told(phone, "?1", "\"Tablet\"") == Device::tablet);
  CHECK(told(bare, "?0", "\"Mobile\"") == Device::mobile);
  CHECK(told(bare, "?0", "\"Desktop\"") == Device::desktop);
  CHECK(told(desktop, "?0", "\"XR\"") == Device::other);
  CHECK(told(desktop, "?0", "\"Desktop\", \"XR\"") == Device::other);
  CHECK(told(bare, "?0", "\"Automotive\"") == Device::other);
  CHECK(told(phone, "?1", "\"Mobile\",\"Watch\"") == Device::other);
  CHECK(told(bare, "?0", "\"EInk\"") == Device::tablet);
  CHECK(told(bare, "?0", "\"EInk\", \"Mobile\"") == Device::mobile);
  CHECK(told("", "", "\"tablet\"") == Device::tablet);
  // A robot and a television set stay what they are.
  CHECK(told(phone + " (compatible; Googlebot/2.1)", "?1", "\"Mobile\"") == Device::other);
  CHECK(told(android("AFTS"), "?1", "\"Tablet\"") == Device::other);
  CHECK(told("curl/8.1.2", "?1") == Device::other);
}

TEST_CASE("user agent: which ones are machines, and which people may use", "[click]") {
  // Robots are among the agents of kind other; here what can be told from them.
  const std::vector<std::string> machines = {
      // Link previews of messengers and networks.
      "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
      "Slack-ImgProxy (+https://api.slack.com/robots)",
      "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
      "facebookexternalhit/1.1 Facebot Twitterbot/1.0",
      "facebookexternalhit/1.1;line-poker/1.0",
      "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)",
      "Twitterbot/1.0",
      "WhatsApp/2.23.20.0 A",
      "WhatsApp/2.2587.9 N",
      "TelegramBot (like TwitterBot)",
      "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
      "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
      "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
      "Mozilla/5.0 (compatible; Pinterestbot/1.0; +https://www.pinterest.com/bot.html)",
      "Mozilla/5.0 (compatible; redditbot/1.0; +http://www.reddit.com/feedback)",
      "Iframely/1.3.1 (+https://iframely.com/docs/about)",
      "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Bluesky Cardyb/1.1)",
      "ViberUrlDownloader",
      "Snap URL Preview Service; bot; snapchat; https://developers.snap.com/robots",
      chrome("Windows NT 10.0; Win64; x64", " BingPreview/1.0b"),
      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko; Google Web Preview)",
      // Robots.
      "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
      android("Nexus 5X", true) + " (compatible; AdsBot-Google-Mobile)",
      "Mediapartners-Google",
      "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0",
      "Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
      // Browsers that a program drives.
      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/126.0 Safari/537.36",
      chrome("X11; Linux x86_64", " Cypress/13.6.0"),
      "Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/538.1 PhantomJS/2.1.1 Safari/538.1",
      // Scripts and libraries of servers.
      "curl/8.1.2",
      "Wget/1.21.3",
      "python-requests/2.31.0",
      "Python/3.11 aiohttp/3.8.4",
      "python-httpx/0.27.0",
      "Go-http-client/2.0",
      "Java/17.0.2",
      "Apache-HttpClient/4.5.13 (Java/11.0.16)",
      "axios/1.7.2",
      "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
      "undici",
      "got (https://github.com/sindresorhus/got)",
      "GuzzleHttp/7",
      "libwww-perl/6.67",
      "PostmanRuntime/7.39.0",
      "reqwest/0.11.3",
      "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.4522",
  };
  for (const auto& agent : machines) {
    CAPTURE(agent);
    CHECK(read_agent(agent).automated);
    CHECK(read_agent(in_case(agent, std::toupper)).automated);
    CHECK(read_agent(agent).device == Device::other);
  }
  const std::vector<std::string> people = {
      // What apps on phones are built on: a click that an app sends is a person's.
      "okhttp/4.12.0", "Dalvik/2.1.0 (Linux; U; Android 13; SM-S918B Build/TP1A.220624.014)",
      "Shop/5.1 CFNetwork/1494.0.7 Darwin/23.4.0", "Dart/3.3 (dart:io)",
      "Shop/2.0 (iPhone; iOS 17.5; Scale/3.00) Alamofire/5.9",
      "Apache-HttpClient/UNAVAILABLE (java 1.4)",
      "UnityPlayer/2021.3.33f1 (UnityWebRequest/1.0, libcurl/8.4.0-DEV)",
      "SonyEricssonW666i/R2BA Java/SEMC-Java/2.0 Profile/MIDP-2.0 Configuration/CLDC-1.1",
      "LG-GT400/v10a Browser/Teleca-Q7.1 MMS/LG-MMS-V1.0/1.2 Java/ASVM/1.1 Profile/MIDP-2.1",
      // Apps' own browsers.
      iphone("Mobile/15E148 [FBAN/FBIOS;FBAV/468.0.0.39;FBDV/iPhone15,2;FBSN/iOS]"),
      iphone("Mobile/15E148 Instagram 334.0.0.29.102 (iPhone15,2; iOS 17_5)"),
      android("SM-A546B; wv", true) + " CamScanner/6.27.0.2210170000",
      android("SM-A546B; wv", true) + " [air.com.shop/1.0]",
      android("SM-A546B; wv", true) + " csh-store-checkout",
      android("K", true) + " Presearch (Tempest)",
      // Devices with a robot's word in their name.
      android("CUBOT_X19", true), android("M bot 54", true), android("M_bot_tab_71"),
      android("XBot_Senior", true), android("Spider 8"),
      // Nothing is known of these.
      "", "-", "x", "Mozilla/5.0", "MyShop/1.2", "WhatsApp"};
  for (const auto& agent : people) {
    CAPTURE(agent);
    CHECK_FALSE(read_agent(agent).automated);
  }
  for (const auto& [agent, device] : agents()) {
    CAPTURE(agent);
    if (device != Device::other) CHECK_FALSE(read_agent(agent).automated);
  }
}

TEST_CASE("user agent: a browser without a window says so in its brands", "[click]") {
  const std::string desktop = chrome("X11; Linux x86_64");
  const auto tells = [&](std::string_view brands) {
    return read_agent(desktop, {"?0", "\"Desktop\"", brands});
  };
  CHECK(tells(R"("Not/A)Brand";v="8", "HeadlessChrome";v="126")").automated);
  CHECK(tells(R"("headlesschrome";v="126")").device == Device::desktop);
  CHECK_FALSE(tells(R"("Not/A)Brand";v="8", "Chromium";v="126")").automated);
  CHECK_FALSE(tells("").automated);
}

TEST_CASE("user agent: any bytes of any length have a device", "[click]") {
  Random random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string agent = agents()[random.below(agents().size())].agent;
    const size_t cuts = random.below(8);
    for (size_t i = 0; i < cuts && !agent.empty(); ++i)
      agent[random.below(agent.size())] = static_cast<char>(random.below(256));
    agent.resize(random.below(agent.size() + 1));
    CHECK(static_cast<size_t>(device_of(agent, {agent, agent, agent})) < kDevices);
  }
  // What stands beyond what is kept decides nothing.
  const std::string long_agent = chrome("X11; Linux x86_64") + std::string(1024, ' ');
  CHECK(device_of(long_agent + "Googlebot") == Device::desktop);
  CHECK_FALSE(read_agent(long_agent + "Googlebot", {{}, {}, long_agent + "Headless"}).automated);
}

TEST_CASE("user agent: who asks again is told the same, whoever asked in between", "[click]") {
  const std::string agents[] = {"Mozilla/5.0 (iPhone) ", "Mozilla/5.0 (Windows NT) ", "Googlebot/"};
  for (size_t i = 0; i < 3'000; ++i) {
    const std::string agent = agents[i % 3] + std::to_string(i % 700);
    const AgentTells fresh = read_agent(agent + std::string(2'000, ' '));
    CHECK(read_agent(agent).device == fresh.device);
    CHECK(read_agent(agent).automated == fresh.automated);
  }
}

}  // namespace clickmill::click
