#include <algorithm>

#include "click/parse.h"

namespace clickmill::click {
namespace {

bool has(std::string_view agent, std::string_view word) {
  return agent.find(word) != std::string_view::npos;
}

template <typename Words>
bool has_any(std::string_view agent, const Words& words) {
  return std::any_of(std::begin(words), std::end(words),
                     [&](std::string_view word) { return has(agent, word); });
}

// Words as they are spelled in the wild. Crawlers come first: many call
// themselves a browser as well ("Mozilla/5.0 … (compatible; Googlebot/2.1)").
constexpr std::string_view kRobots[] = {"bot/",
                                        "Bot/",
                                        "bot;",
                                        "Bot;",
                                        "bot)",
                                        "Googlebot",
                                        "bingbot",
                                        "crawler",
                                        "Crawler",
                                        "spider",
                                        "Spider",
                                        "Slurp",
                                        "facebookexternalhit",
                                        "HeadlessChrome",
                                        "PhantomJS",
                                        "Lighthouse",
                                        "GPTBot",
                                        "monitoring",
                                        "Uptime"};
constexpr std::string_view kTablets[] = {"iPad", "Tablet",   "tablet",   "Kindle",
                                         "Silk", "PlayBook", "TouchPad", "Nexus 7"};
constexpr std::string_view kMobiles[] = {"iPhone",     "iPod",       "Windows Phone", "IEMobile",
                                         "Opera Mini", "Opera Mobi", "BlackBerry",    "BB10",
                                         "webOS",      "Symbian",    "Mobile",        "MIDP",
                                         "KaiOS",      "UCBrowser",  "Fennec"};
constexpr std::string_view kDesktops[] = {"Windows NT", "Macintosh", "X11", "CrOS"};
// Screens and players that run Android or a browser without being any of the three.
constexpr std::string_view kOthers[] = {
    "SmartTV", "SMART-TV", "Smart-TV",    "GoogleTV", "AppleTV",  "Apple TV", "BRAVIA",    "AFTT",
    "HbbTV",   "CrKey",    "PlayStation", "Xbox",     "Nintendo", "Web0S",    "Android TV"};

}  // namespace

Device device_of_user_agent(std::string_view user_agent) {
  // Browsers all begin so; command-line tools, libraries and plain crawlers don't.
  const bool browser = user_agent.starts_with("Mozilla/") || user_agent.starts_with("Opera/") ||
                       has(user_agent, "UCWEB") || has(user_agent, "BlackBerry");
  if (!browser || has_any(user_agent, kRobots) || has_any(user_agent, kOthers)) {
    return Device::other;
  }
  // Windows Phone claims to be Android and iPhone too, so it is asked first.
  if (has(user_agent, "Windows Phone")) return Device::mobile;
  if (has_any(user_agent, kTablets) && !has(user_agent, "Tablet PC")) return Device::tablet;
  if (has(user_agent, "Android")) {
    const bool phone = has(user_agent, "Mobile") || has(user_agent, "Opera M");
    return phone ? Device::mobile : Device::tablet;
  }
  if (has_any(user_agent, kMobiles)) return Device::mobile;
  if (has_any(user_agent, kDesktops)) return Device::desktop;
  return Device::other;
}

}  // namespace clickmill::click
