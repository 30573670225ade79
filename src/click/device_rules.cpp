// The words that tell a device, each with an agent that it decides and a count: of how many of
// 49,125 agents it tells what is expected (10,000 of npm user-agents 2.1.198, 2,118 of npm
// crawler-user-agents 1.60.0, and the fixtures of Matomo's device-detector of August 2026).
// A rule that decides none of those stands for what is known otherwise.
//
// First what outweighs all else (robot_rules.cpp), then what is told by name, then what most
// agents of a kind say.

#include "click/device_rules.h"

#include <iterator>
#include <vector>

namespace clickmill::click {
namespace {

using Told = DeviceRule::Told;
constexpr Told kOther{Device::other};
constexpr Told kMobile{Device::mobile};
constexpr Told kTablet{Device::tablet};
constexpr Told kDesktop{Device::desktop};

constexpr DeviceRule kRules[] = {
    // Consoles.
    {"playstation", "", kOther, "Mozilla/5.0 (PlayStation 4 Pro 5.0)", 10},
    {"xbox", "", kOther, "Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1; … Xbox)", 12},
    {"nintendo", "", kOther, "Mozilla/5.0 (Nintendo 3DS; U; ; en) Version/1.7498.EU", 8},
    {"retroid", "", kOther, "Mozilla/5.0 (Linux; Android 9; Retroid Pocket 2+) …", 5},
    {"gamepad", "", kOther, "Mozilla/5.0 (Linux; Android 4.1.1; ARCHOS GAMEPAD …", 2},
    {"ouya", "", kOther, "Mozilla/5.0 (Linux; U; Android OUYA 4.1.2; en-us; OUYA …", 1},
    {"<shield", "", kOther, "Mozilla/5.0 (Linux; U; Android 5.0.1; NVIDIA Shield; …", 5},
    {"<switch lite", "", kOther, "Mozilla/5.0 (Linux; arm_64; Android 15; Switch Lite) …", 1},

    // Television sets, sticks and boxes.
    {"tv>", "", kOther, "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) … TV Safari/537.36", 1614},
    {"smarttv", "", kOther, "Mozilla/5.0 (Linux ) AppleWebKit/537.36 … SmartTvA/3.0.0", 46},
    {"appletv", "", kOther, "Mozilla/5.0 (AppleTV11,1; CPU OS 11.1 like Mac OS X; en-US)", 1},
    {"firetv", "", kOther, "Player/3.1 (NFANDROID2-PRV-FIRETVSTICK2018)", 1},
    {"vidaa", "", kOther, "Mozilla/5.0 (X11; Linux armv7l) … VIDAA/6.0", 0},
    {"nettv", "", kOther, "Opera/9.80 (Linux armv7l; InettvBrowser/2.2 …", 5},
    {"<box>", "", kOther, "Mozilla/5.0 (Linux; Android 10; TP01_box) AppleWebKit/537.36 …", 64},
    {"mibox", "", kOther, "Mozilla/5.0 (Linux; Android 5.1; MiBOX3_PRO) …", 5},
    {"<stb", "", kOther, "Mozilla/5.0 (Linux; Android 5.1.1; STB0819) …", 10},
    {"bravia", "", kOther, "Mozilla/5.0 (Linux; Android 8.0.0; BRAVIA 4K UR2) …", 13},
    {"<aft", "", kOther, "Mozilla/5.0 (Linux; Android 9; AFTTIFF43) AppleWebKit/537.36 …", 73},
    {"<crkey", "", kOther, "Mozilla/5.0 (CrKey armv7l 1.4.15250) AppleWebKit/537.36 …", 18},
    {"chromecast", "", kOther, "Mozilla/5.0 (Linux; Android 10; Chromecast …", 4},
    {"web0s", "", kOther, "Mozilla/5.0 (Web0S; Linux) AppleWebKit/538.2 … Safari/538.2", 0},
    {"netcast", "", kOther, "Mozilla/5.0 (DirectFB; Linux armv7l) … NetCast.Media-2013 …", 1},
    {"<omi/", "", kOther, "Mozilla/5.0 (Linux; Andr0id 13; … OMI/4.25.0.50.StableAVB.15", 17},
    {"ce-html", "", kOther, "Opera/9.80 (Linux mips; U; xx) Presto/2.10.287 … CE-HTML/1.0 …", 4},
    {"<viera", "", kOther, "Mozilla/5.0 (FreeBSD; U; Viera; fr-FR) AppleWebKit/535.1 …", 3},
    {"roku", "", kOther, "Mozilla/5.0 (QSP; Roku; UI; 5.3.0.49)", 6},
    {"<tivo>", "", kOther, "Mozilla/5.0 (Linux; U; Android 9.0.0; en-us; TIVO STREAM 4K …", 3},
    {"brightsign", "", kOther, "BrightSign/7.0.60 (XT1143) Mozilla/5.0 (Unknown; Linux arm) …", 10},
    {"<shell", "", kOther, "Mozilla/5.0 (Linux; Android 4.4.4; Digma Shell LC430DUY) …", 79},
    {"espial", "", kOther, "Mozilla/5.0 (DTV) AppleWebKit/531.2+ (KHTML, … Espial/6.0.4", 5},
    {"skyworth", "", kOther, "Mozilla/5.0 (Linux; U; Android 4.0.4; zh-cn; Skyworth 8K55 …", 1},
    {"humax", "", kOther, "YouViewHTML/1.0 AppleWebKit/538.1 (Humax; DTRT2000; …", 1},
    {"_uhd", "", kOther, "Mozilla/5.0 (Linux; Android 4.4.4; ELED-50SMART_UHD) …", 3},
    {"-uhd", "", kOther, "Mozilla/5.0 (Linux; arm_64; Android 6.0; Optoma-UHD) …", 4},
    {"ppr2.180905", "", kOther, "Mozilla/5.0 (Linux; Android 9; … Build/PPR2.180905.006.A1; …",
     101},
    {"ptt1.", "", kOther, "Mozilla/5.0 (Linux; Android 9; … Build/PTT1.190222.001) …", 29},
    {"projector", "", kOther, "Mozilla/5.0 (Linux; Android 7.1.2; Projector) …", 3},
    {"netbox", "", kOther, "Linux; U; Android 12; fa_US; NETBOX-ShineS; …", 1},
    {"freebox", "", kOther, "TiviMate/4.7.0 (Freebox Player Mini; Android 7.1.1)", 1},
    {"smartbox", "", kOther, "Mozilla/5.0 (Linux; Android 7.1.2; ERGO SmartBox SX …", 2},
    {"ott>", "", kOther, "Mozilla/5.0 (Linux; x86_64 … Sky_OTT_RTD1319_2020/1.0.0 …", 3},
    {"<vizio", "", kOther, "VIZIO V435-J01 ViziOS/1.0.69.130 WatchFree/24.06.13.2 …", 17},
    {"rombica", "", kOther, "Mozilla/5.0 (Linux; Android 5.1.1; Rombica Infinity K8 …", 3},
    {"polarline", "", kOther, "Mozilla/5.0 (Linux; Android 9; POLARLINE_K_32PL13TC-SM) …", 4},
    {"mitv", "", kOther, "Mozilla/5.0 (Linux; Android 9; MiTV4I) AppleWebKit/537.36 …", 3},
    {"<stick", "", kOther, "Mozilla/5.0 (Linux; Android 4.4.2; TOUCAN Stick 4K) …", 6},
    {"box>", "", kOther, "Mozilla/5.0 (Linux; Android 10; MBOX) AppleWebKit/537.36 …", 42},
    {"<tvb", "", kOther, "Dalvik/2.1.0 (Linux; U; Android 9; TVB-100 Build/PI)", 2},
    {"tdtv", "", kOther, "Mozilla/5.0 (Linux; Android 11; TDTV50BS06U) …", 15},
    {"<led", "", kOther, "Mozilla/5.0 (Linux; Android 9; SUN_LED32S11) …", 43},
    {"nmf26q", "", kOther, "Mozilla/5.0 (Linux; Android 7.1.1; VONTAR Z8 … Build/NMF26Q) …", 36},
    {"m5c14j", "", kOther, "Mozilla/5.0 (Linux; Android 6.0.1; 32FK30G Build/M5C14J) …", 12},
    {"nhg47l", "", kOther, "Mozilla/5.0 (Linux; Android 7.1.2; TB-PO1 Build/NHG47L) …", 16},
    {"a95x", "", kOther, "Mozilla/5.0 (Linux; Android 9; A95XZ2) AppleWebKit/537.36 …", 25},
    {"<x96", "", kOther, "Mozilla/5.0 (Linux; Android 11; X96_X6_I) AppleWebKit/537.36 …", 17},
    {"ts2c", "", kOther, "Mozilla/5.0 (Linux; Android 9; 65LEX-8174/UTS2C) …", 17},
    {"_4k>", "", kOther, "Mozilla/5.0 (Linux; Android 7.0; AS_4K) AppleWebKit/537.36 …", 7},
    {"-4k>", "", kOther, "Mozilla/5.0 (Linux; Android 5.1.1; ILEPO MXQ-4K) …", 2},
    {"<as4k", "", kOther, "Mozilla/5.0 (Linux; Android 7.0; AS4K) AppleWebKit/537.36 …", 5},
    {"<mxq", "", kOther, "Mozilla/5.0 (Linux; Android 7.1.2; YUTMART-MXQPRO …", 2},
    {"ugoos", "", kOther, "Mozilla/5.0 (Linux; Android 9; UGOOS-AM6) AppleWebKit/537.36 …", 13},
    {"nexon", "", kOther, "Mozilla/5.0 (Linux; Android 9; NEXON X1) AppleWebKit/537.36 …", 12},
    {"vontar", "", kOther, "Mozilla/5.0 (Linux; Android 11; VONTAR X2) …", 7},
    {"zidoo", "", kOther, "Mozilla/5.0 (Linux; Android 6.0.1; ZIDOO_X8) …", 10},
    {"pendoo", "", kOther, "Mozilla/5.0 (Linux; Android 10; pendoo T95) …", 9},
    {"iconbit movie", "", kOther, "Mozilla/5.0 (Linux; Android 10; iconBIT Movie X) …", 4},
    {"vorke", "", kOther, "Mozilla/5.0 (Linux; Android 9; VORKE Z7) AppleWebKit/537.36 …", 5},
    {"formuler", "", kOther, "Mozilla/5.0 (Linux; Android 7.0; Formuler Z8) …", 5},
    {"harper", "", kOther, "Mozilla/5.0 (Linux; Android 11; HARPER 65Q850TS) …", 5},
    {"<hk1", "", kOther, "Mozilla/5.0 (Linux; Android 8.1.0; HK1 Max) …", 5},
    {"selenga", "", kOther, "Mozilla/5.0 (Linux; Android 9; Selenga_A5) …", 5},
    {"beelink", "", kOther, "Mozilla/5.0 (Linux; Android 7.1.2; Beelink A1) …", 5},
    {"transpeed", "", kOther, "Mozilla/5.0 (Linux; Android 11; TranSpeed X4) …", 4},
    {"evpad", "", kOther, "Mozilla/5.0 (Linux; Android 7.0; EVPAD-3S) …", 3},
    {"<hty", "", kOther, "Mozilla/5.0 (Linux; Android 11; HTY_43FHD06B …", 12},
    {"<tx3", "", kOther, "Mozilla/5.0 (Linux; Android 7.1.2; TX3MINI) …", 3},
    {"orbsmart", "", kOther, "Mozilla/5.0 (Linux; Android 9; Orbsmart S86) …", 4},

    // Headsets.
    {"oculus", "", kOther, "Mozilla/5.0 (X11; … OculusBrowser/32.1.0.37.133.575621010 …", 9},
    {"<quest 2", "", kOther, "Mozilla/5.0 (Linux; Android 12; Quest 2) … Safari/537.36", 0},
    {"<quest 3", "", kOther, "Mozilla/5.0 (Linux; arm_64; Android 14; Quest 3) …", 2},
    {"<quest pro", "", kOther, "Mozilla/5.0 (Linux; Android 12; Quest Pro) … Safari/537.36", 0},
    {"<vive ", "", kOther, "Mozilla/5.0 (Linux; Android 10; VIVE Focus 3) … Mobile Safari", 0},
    {"visionos", "", kOther, "Shop/2.1 (Apple Vision Pro; visionOS 1.2)", 0},
    {"like quest", "", kOther, "Mozilla/5.0 (X11; Linux x86_64; PICO 4 OS5.8.2 like Quest) …", 2},
    {"<pico 4", "", kOther, "Mozilla/5.0 (Linux; Android 10; PICO 4) … Mobile Safari/537.36", 0},
    {"<pico g", "", kOther, "Mozilla/5.0 (Linux; Android 8.1.0; Pico G2 4K …", 1},
    {"<pico neo", "", kOther, "Mozilla/5.0 (Linux; Android 10; Pico Neo 3 Build/4.9.5; wv) …", 1},
    {"wolvic", "", kOther, "Mozilla/5.0 (Linux; Android 10; A8110) … Wolvic/1.0", 1},

    // Watches, speakers and displays.
    {"watch", "", kOther, "Mozilla/5.0 (Linux; Android 7.1.1; LG Watch Urbane …) …", 71},
    {"<sm-r", "", kOther, "Mozilla/5.0 (Linux; Android 11; SM-R870) AppleWebKit/537.36 …", 50},
    {"<aeo", "", kOther, "Mozilla/5.0 (Linux; Android 9; AEOHY) AppleWebKit/537.36 …", 17},
    {"alexa", "", kOther, "AlexaMediaPlayer/2.0.201528.0 (Linux;Android 5.1.1) …", 2},
    {";echo_", "", kOther, "Amazon;Echo_Dot;27d4dfe427b34d57995b463e5d63198d;;tpapi;3.199.422", 2},
    {"<echo/", "", kOther, "Echo/1.0(APNG)", 2},
    {"<sonos", "", kOther, "Sonos/71.0-37271 (Play:3)", 44},
    {"homepod", "", kOther, "AppleCoreMedia/1.0.0.15F80 (HomePod; U; CPU OS 11_4 like Mac …", 1},
    {"moto 360", "", kOther, "Mozilla/5.0 (Linux; Android 4.4; Moto 360 Build/KNX01S) …", 1},
    {"family hub", "", kOther, "Mozilla/5.0 (Linux; Tizen 4.0; SAMSUNG Family Hub 4.0) …", 3},

    // Cars.
    {"tesla/", "", kOther, "Mozilla/5.0 (X11; … Tesla/develop-2022.12.3.2-5-2d5530dd8f", 4},
    {"qtcarbrowser", "", kOther, "Mozilla/5.0 (X11; u; Linux; C) AppleWebKit … QtCarBrowser …", 1},
    {"carpad", "", kOther, "Mozilla/5.0 (Linux; Android 4.4.2; CarPad-III-P) …", 2},
    {"audi_", "", kOther, "Dalvik/2.1.0 (Linux; U; Android 10; audi_ks1280x480 …", 1},
    {"<byd", "", kOther, "Mozilla/5.0 (Linux; U; Android 12; en-us; DiLink5.0 For BYD …", 1},
    {"automotive", "", kOther, "Mozilla/5.0 (Linux; Android 12; Automotive) … Safari/537.36", 0},
    {"polestar", "", kOther, "Dalvik/2.1.0 (Linux; U; Android 10; Polestar …", 1},
    {"<dmp", "", kOther, "Mozilla/5.0 (Linux; Android 10; H-DMP100) AppleWebKit/537.36 …", 3},

    // Cameras and players that are no phones.
    {"coolpix", "", kOther, "Mozilla/5.0 (Linux; U; Android 2.3.3; ja-jp; COOLPIX S800c …", 1},
    {"<fiio", "", kOther, "Mozilla/5.0 (Linux; Android 7.0; FiiO M11) …", 6},
    {"<nw-", "", kOther, "Mozilla/5.0 (Linux; Android 9; NW-ZX500Series) …", 4},
    {"tinker board", "", kOther, "Mozilla/5.0 (Linux; Android 7.1.2; Tinker Board) …", 2},

    // Windows Phone, which calls itself Android and iPhone too.
    {"windows phone", "", kMobile, "Mozilla/5.0 (Windows Phone 10.0.13333.0; U; pt-BR; Microsoft …",
     114},
    {"iemobile", "", kMobile, "Mozilla/4.0 (compatible; MSIE 6.0; Windows CE; IEMobile 7.6) …", 23},
    {"windows ce", "", kMobile, "Mozilla/4.0 (compatible; MSIE 4.01; Windows CE; PPC; …", 4},

    // Laptops that run Android.
    {"chromebook", "", kDesktop, "Mozilla/5.0 (Linux; Android 9; Samsung Chromebook 3) …", 18},
    {"inspiron", "", kDesktop, "Mozilla/5.0 (Linux; Android 7.1.1; Inspiron 3542) …", 9},
    {"vostro", "", kDesktop, "Mozilla/5.0 (Linux; Android 7.1.1; Vostro 3546) …", 2},
    {"satellite", "", kDesktop, "Mozilla/5.0 (Linux; Android 9; SATELLITE L50-C) …", 10},
    {"travelmate", "", kDesktop, "Mozilla/5.0 (Linux; Android 9; TravelMate P653-M) …", 5},
    {"aspire", "", kDesktop, "Mozilla/5.0 (Linux; Android 7.1.1; Aspire 4349) …", 7},
    {"pixelbook", "", kDesktop, "Mozilla/5.0 (Linux; x86_64; Android 11; Google Pixelbook Go) …",
     1},
    {"laptop", "", kDesktop, "Mozilla/5.0 (Windows NT 10.0.15063.726; osmeta … Laptop …", 1},

    // iPads, and now and then iPhones, that ask for the desktop site: in an app, in Chrome,
    // Firefox, Edge and Google's. Safari's own can't be told from a Mac's.
    {"macintosh", "mobile/", kTablet,
     "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) … Mobile/15E148", 0},
    {"macintosh", "crios/", kTablet,
     "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) … CriOS/128.0", 0},
    {"macintosh", "fxios/", kTablet, "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15) … FxiOS/128.0",
     0},
    {"macintosh", "edgios/", kTablet,
     "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) … EdgiOS/128", 0},
    {"macintosh", "gsa/", kTablet, "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) … GSA/330.0",
     0},

    // Tablets.
    {"ipad", "", kTablet, "Mozilla/5.0 (iPad; U; CPU iPhone OS 5_1_1 like Mac OS X; …", 158},
    {"<sm-t", "", kTablet, "Mozilla/5.0 Linux; Android 9; SM-T835N AppleWebKit/537.36 …", 246},
    {"<sm-x", "", kTablet, "Mozilla/5.0 (Linux; Android 13; SM-X210) AppleWebKit/537.36 …", 62},
    {"<sm-p", "", kTablet, "Mozilla/5.0 (Linux; Android 14; SM-P620) AppleWebKit/537.36 …", 39},
    {"<gt-p", "", kTablet, "Mozilla/5.0 (Linux; U; Android 3.1; el-gr; GT-P7500 …", 49},
    {"<gt-n8", "", kTablet, "Mozilla/5.0 (Linux; U; Android 4.1.1; cs-cz; GT-N8000 …", 7},
    {"tablet", "", kTablet, "Mozilla/5.0 (Android; Tablet; rv:20.0) Gecko/20.0 Firefox/20.0", 79},
    {"kindle", "", kTablet, "Mozilla/4.0 (compatible; Linux 2.6.22) … Kindle/2.0 …", 3},
    {"<kfa", "", kTablet, "Mozilla/5.0 (Linux; Android 4.2.2; KFAPWI Build/JDQ39) …", 5},
    {"<kfd", "", kTablet, "Mozilla/5.0 (Linux; Android 5.1.1; KFDOWI Build/LVY48F) …", 1},
    {"<kfg", "", kTablet, "Mozilla/5.0 (Linux; Android 5.1.1; KFGIWI Build/LVY48F) …", 1},
    {"<kfj", "", kTablet, "Mozilla/5.0 (Linux; Android 4.0.4; KFJWA Build/IMM76D) …", 3},
    {"<kfk", "", kTablet, "Mozilla/5.0 (Linux; Android 7.1.2; KFKAWI Build/NS6301) …", 1},
    {"<kfm", "", kTablet, "Mozilla/5.0 (Linux; Android 9; KFMAWI) AppleWebKit/537.36 …", 3},
    {"<kfo", "", kTablet, "Mozilla/5.0 (Linux; U; de-de; KFOT Build/IML74K) …", 2},
    {"<kfq", "", kTablet, "Mozilla/5.0 (Linux; Android 11; KFQUWI) AppleWebKit/537.36 …", 2},
    {"<kfr", "", kTablet, "Mozilla/5.0 (Linux; Android 11; KFRAWI) AppleWebKit/537.36 …", 4},
    {"<kfs", "", kTablet, "Mozilla/5.0 (Linux; Android 11; KFSNWI) AppleWebKit/537.36 …", 6},
    {"<kft", "", kTablet, "Mozilla/5.0 (Linux; Android 9; KFTRWI) AppleWebKit/537.36 …", 12},
    {"silk-", "", kTablet, "Mozilla/5.0 (Linux; U; Android 2.3.4; … Silk-Accelerated=true", 2},
    {"silk/", "", kTablet, "Mozilla/5.0 (Linux; Android 5.1.1) … Silk/108.4.6 like Chrome/108 …",
     1},
    {"<nook", "", kTablet, "Mozilla/5.0 (Linux; U; Android 2.2.1; en-us; NOOK BNRV200 …", 4},
    {"touchpad", "", kTablet, "Mozilla/5.0 (Linux; U; Android 4.0.4; en-gb; CnM Touchpad …", 2},
    {"nexus 7", "", kTablet, "Mozilla/5.0 (Linux; U; Android 4.2; vi-vn; Nexus 7 …", 7},
    {"nexus 9", "", kTablet, "Mozilla/5.0 (Linux; Android 5.0; Nexus 9 Build/LRX21F) …", 1},
    {"nexus 10", "", kTablet, "Mozilla/5.0 (Linux; Android 4.4.2; Nexus 10 Build/KOT49H) …", 2},
    {"pixel c>", "", kTablet, "Dalvik/2.1.0 (Linux; U; Android 7.1.1; Pixel C Build/N4F26I)", 1},
    {"<tab", "", kTablet, "Mozilla/5.0 (Linux; Android 11; Tab 6) AppleWebKit/537.36 …", 364},
    {"tab>", "", kTablet, "Mozilla/5.0 (Windows NT 10.0; Trident/7.0; Touch; SurfTab …", 144},
    {"pad>", "", kTablet, "Mozilla/5.0 (Linux; Android 4.2.2; PocketBook SURFpad 3 …", 310},
    {"lenovo tb", "", kTablet, "Mozilla/5.0 (Linux; Android 12; Lenovo TB125FU) …", 85},
    {"<tb-x", "", kTablet, "Mozilla/5.0 (Linux; Android 9; TB-X103F) AppleWebKit/537.36 …", 13},
    {"<tb-8", "", kTablet, "Mozilla/5.0 (Linux; Android 7.1.1; TB-8704V) …", 2},
    {"<tb-7", "", kTablet, "Mozilla/5.0 (Linux; Android 8.1.0; TB-703G) …", 4},
    {"<tb-", "", kTablet, "Mozilla/5.0 (Linux; Android 12; TB-JS101A) …", 9},
    {"<yt-", "", kTablet, "Mozilla/5.0 (Linux; Android 9; Lenovo YT-X705F) …", 9},
    {"<yt3", "", kTablet, "Mozilla/5.0 (Linux; Android 11; YT3-X50F) AppleWebKit/537.36 …", 10},
    {"<bah", "", kTablet, "Mozilla/5.0 (Linux; Android 10; BAH3-L09) AppleWebKit/537.36 …", 18},
    {"<ags", "", kTablet, "Mozilla/5.0 (Linux; Android 10; AGS6-W09) AppleWebKit/537.36 …", 29},
    {"<jdn", "", kTablet, "Mozilla/5.0 (Linux; Android 6.0.1; JDN-L01) …", 10},
    {"<agr", "", kTablet, "Mozilla/5.0 (Linux; Android 10; AGR-L09; HMSCore 5.0.4.301) …", 7},
    {"<bg2", "", kTablet, "Mozilla/5.0 (Linux; Android 6.0; BG2-W09) AppleWebKit/537.36 …", 3},
    {"<wgr", "", kTablet, "Mozilla/5.0 (Linux; Android 10; WGR-W09 Build/XXXXX; wv) …", 5},
    {"<mrx", "", kTablet, "Mozilla/5.0 (Linux; Android 10; MRX-W09 Build/XXXXX; wv) …", 7},
    {"<t1-", "", kTablet, "Mozilla/5.0 (Linux; Android 4.4.2; T1-701u) …", 6},
    {"transformer", "", kTablet, "Mozilla/5.0 (Linux; U; Android 3.2.1; es-es; Transformer …", 5},
    {"xoom", "", kTablet, "Mozilla/5.0 (Linux; U; Android 3.1; en-us; Xoom Build/HMJ25) …", 5},
    {"<mz60", "", kTablet, "Mozilla/5.0 (Linux; U; Android 4.1.1; en-us; MZ601 …", 8},
    {"slate", "", kTablet, "Mozilla/5.0 (Linux; Android 9; Slate2) AppleWebKit/537.36 …", 15},
    {"readboy", "", kTablet, "Mozilla/5.0 (Linux; Android 10; Readboy_C18Max) …", 12},
    {"pocketbook", "", kTablet, "Mozilla/5.0 (Linux; en_US) AppleWebKit/534.34 PocketBook/801 …",
     21},
    {"kobo", "", kTablet, "Mozilla/5.0 (Linux; U; Android 2.0; en-us;) … (Kobo …", 1},
    {"plane", "", kTablet, "Mozilla/5.0 Linux; Android 7.0; Plane 8555M 4G PS8168ML …", 52},
    {"optima", "", kTablet, "Mozilla/5.0 (Linux; Android 11; Optima 1440E 4G TS1269PL) …", 60},
    {"iplay", "", kTablet, "Mozilla/5.0 (Linux; Android 11; iPlay9T) AppleWebKit/537.36 …", 30},
    {"kids", "", kTablet, "Mozilla/5.0 (Linux; Android 9; GTKIDS7) AppleWebKit/537.36 …", 29},
    {"ursus", "", kTablet, "Mozilla/5.0 (Linux; Android 5.0; Ursus TS170) …", 18},
    {"<a1-8", "", kTablet, "Mozilla/5.0 Linux; Android 4.4.2; A1-841 AppleWebKit/537.36 …", 6},
    {"<b1-7", "", kTablet, "Mozilla/5.0 (Linux; Android 7.0; B1-7A0) AppleWebKit/537.36 …", 14},
    {"<b3-a", "", kTablet, "Mozilla/5.0 (Linux; Android 7.0; B3-A40) AppleWebKit/537.36 …", 10},
    {"<a3-a", "", kTablet, "Mozilla/5.0 (Linux; Android 7.0; A3-A50) AppleWebKit/537.36 …", 6},
    {"<me17", "", kTablet, "Mozilla/5.0 (Linux; Android 4.2.2; ME173X Build/JDQ39) …", 3},
    {"<me30", "", kTablet, "Mozilla/5.0 (Linux; Android 4.2.2; ME302KL Build/JDQ39) …", 3},
    {"<lg-v", "", kTablet, "Mozilla/5.0 (Linux; Android 7.0; LG-V520) AppleWebKit/537.36 …", 29},
    {"woxter", "", kTablet, "Mozilla/5.0 (Linux; Android 4.4.2; Woxter QX78) …", 32},
    {"freeme", "", kTablet, "Mozilla/5.0 (Linux; Android 4.4.4; FreeMe X4 7HD) …", 11},
    {"xelio", "", kTablet, "Mozilla/5.0 (Linux; Android 7.0; XELIO_HD10_LTE) …", 10},
    {"contixo", "", kTablet, "Mozilla/5.0 (Linux; Android 6.0; CONTIXO B108) …", 14},
    {"<tz", "", kTablet, "Mozilla/5.0 Linux; Android 6.0; TZ857 AppleWebKit/537.36 …", 116},
    {"<pmt", "", kTablet, "Mozilla/5.0 (Linux; Android 9; PMT4991_4G) …", 80},
    {"w09>", "", kTablet, "Mozilla/5.0 (Linux; Android 12; BTK-W09) AppleWebKit/537.36 …", 37},
    {"<mid7", "", kTablet, "Mozilla/5.0 (Linux; Android 5.1; TM-MID795) …", 34},
    {"<mid8", "", kTablet, "Mozilla/5.0 (Linux; Android 4.2.2; TF-MID804G) …", 15},
    {"<mid1", "", kTablet, "Mozilla/5.0 (Linux; Android 8.1.0; MID169) …", 24},
    {"flyer", "", kTablet, "Mozilla/5.0 (Linux; U; Android 2.3.4; es-us; HTC Flyer …", 6},
    {"<tpc", "", kTablet, "Mozilla/5.0 (Linux; Android 9; TPC-G109) AppleWebKit/537.36 …", 28},
    {"<mid>", "", kTablet, "Mozilla/5.0 (Linux; Android 7.0; ONDA_MID) …", 20},
    {"<mfc", "", kTablet, "Mozilla/5.0 (Linux; Android 8.1.0; MFC_8) AppleWebKit/537.36 …", 25},
    {"<kob", "", kTablet, "Mozilla/5.0 (Linux; Android 7.0; KOB-L09) AppleWebKit/537.36 …", 7},
    {"numy", "", kTablet, "Mozilla/5.0 (Linux; Android 4.2.2; Numy3G_AX10) …", 10},
    {"navitel", "", kTablet, "Mozilla/5.0 (Linux; Android 4.4.2; NAVITEL A731) …", 9},
    {"tb30", "", kTablet, "Mozilla/5.0 (Linux; Android 13; TB301FU) AppleWebKit/537.36 …", 4},

    // Apple's phones and players.
    {"iphone", "", kMobile, "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) …", 4253},
    {"ipod", "", kMobile, "Mozilla/5.0 (iPod touch; CPU iPod OS 12_5 like Mac OS X) … Safari", 0},

    // Phones.
    {"mobile", "", kMobile, "Mozilla/5.0 (Linux; Android 10; K) … Chrome/126.0.0.0 Mobile Safari",
     24369},
    {"opera mini", "", kMobile, "Opera/9.80 (BREW; Opera Mini/5.1/27.2338; U; xx) …", 7},
    {"opera mobi", "", kMobile, "Mozilla/5.0 Opera/9.80 (KDDI-KC4A; BREW; Opera Mobi; U; ja) …", 4},
    {"blackberry", "", kMobile, "OneBrowser/for Blackberry3.0.0 (BlackBerry9930/7.1.0.580)", 5},
    {"webos", "", kMobile, "Mozilla/5.0 (webOS/2.1.1; U; xx) AppleWebKit/532.2 (KHTML, …", 3},
    {"symb", "", kMobile, "Mozilla/5.0 (SymbianOS/9.2;U; Series60/5.0 …", 7},
    {"series60", "", kMobile, "NokiaN73-2/3.0-630.0.2 Series60/3.0 Profile/MIDP-2.0 …", 1},
    {"series40", "", kMobile, "Mozilla/5.0 (Series40; Nokia306/03.63; Profile/MIDP-2.1 …", 1},
    {"midp", "", kMobile,
     "Mozilla/5.0_(Smartfren-E781A/E2_SQID_V0.1.6; … Profile/MIDP-2.0_Configuration/CLDC-1.1; …",
     78},
    {"kaios", "", kMobile, "KaiOS Downloader", 2},
    {"dalvik", "", kMobile, "Dalvik/2.1.0 Linux; U; Android 6.0; SP21 Build/MRA58K", 547},
    {"maemo", "", kMobile, "Mozilla/5.0 (X11; U; Linux armv7l; pt-PT; … Maemo …", 1},
    {"meego", "", kMobile, "Mozilla/5.0 (Nokia; Qt; MeeGo)", 1},
    {"palm", "", kMobile, "Mozilla/5.0 [en] (PalmOS; U; WebPro/3.5; Palm-Zi72)", 7},
    {"nokia", "", kMobile, "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 6.2; … Nokia …", 12},
    {"ucweb", "", kMobile, "JUC (Linux; U; 2.3.5; zh-cn; … UCWEB7.9.0.94/139/444", 1},
    {"up.browser", "", kMobile, "QC6035 UP.Browser/4.1.22b1", 28},
    {"docomo", "", kMobile, "DoCoMo/1.0/D501i", 4},
    {"netfront", "", kMobile, "Mozilla/3.0(WILLCOM;SANYO/WX310SA/2;1/1/C128) NetFront/3.3", 5},
    {"obigo", "", kMobile, "HUAWEI-M636/001.00 WAP/OBIGO/Q05A", 2},
    {"samsung-", "", kMobile, "Mozilla/5.0 (Linux; Android 7.0; SAMSUNG-SM-J327AZ …", 4},
    {"<phone", "", kMobile, "Mozilla/5.0 (2822MB; 720x1411; 320x319; 411x806; … Phone …", 3},
    {"<wap", "", kMobile, "R380 2.0 WAP1.1", 26},

    // Browsers on Android without the word mobile; other programs there run on phones mostly.
    {"mozilla/", "android", kTablet,
     "Mozilla/5.0 (Linux; Android 13; K) … Chrome/126.0.0.0 Safari/537.36", 3490},
    {"android", "", kMobile, "Instagram 219.0.0.12.117 Android (28/9; 480dpi; 1080x2076)", 74},

    // Desktops.
    {"windows", "", kDesktop, "Mozilla/5.0 (Windows NT 10.0; Win64; x64) … Chrome/126.0.0.0 …",
     1413},
    {"macintosh", "", kDesktop, "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) … Safari/605.1.15",
     3101},
    {"mac os x", "", kDesktop, "Mozilla/5.0 (X11; Intel Mac OS X) AppleWebKit/538.1 (KHTML, …", 4},
    {"<x11", "", kDesktop, "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
     201},
    {"linux x86_64", "", kDesktop, "Mozilla/5.0 (Wayland; Linux x86_64; System76) …", 5},
    {"konqueror", "", kDesktop, "Mozilla/5.0 (compatible; Konqueror/3.4; CYGWIN_NT-5.1) …", 4},
    {"ubuntu", "", kDesktop, "ELinks/0.12~pre6-1ubuntu1 (textmode; Ubuntu; Linux …", 1},
    {"freebsd", "", kDesktop, "Mozilla/3.0 (WorldGate Gazelle 3.5.1 … FreeBSD2.2.8-STABLE)", 1},
    {"os/2", "", kDesktop, "Mozilla/5.0 (OS/2; Warp 4.5; rv:10.0.12) Gecko/20100101 …", 1},
    {"amiga", "", kDesktop, "Mozilla/5.0 (compatible; IBrowse 3.0; AmigaOS4.0)", 4},
    {"haiku", "", kDesktop, "Mozilla/5.0 (BeOS; U; Haiku BePC; en-US; rv:1.8.1.21pre) …", 2},

    // UC Browser.
    {"ucbrowser", "", kMobile, "Mozilla/5.0 (U; en-US) U2/1.0.0 UCBrowser/9.4.0.460", 42},
};

}  // namespace

std::span<const DeviceRule> device_rules() {
  static const std::vector<DeviceRule> all = [] {
    const auto robots = robot_rules();
    std::vector<DeviceRule> rules(robots.begin(), robots.end());
    rules.insert(rules.end(), std::begin(kRules), std::end(kRules));
    return rules;
  }();
  return all;
}

}  // namespace clickmill::click
