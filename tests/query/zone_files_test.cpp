#include "query/zone_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/strong.h"

namespace clickmill::query {
namespace {

namespace fs = std::filesystem;

/// A version 1 file of one type: so many hours east, for ever.
std::string zone_bytes(int hours) {
  std::string out = "TZif" + std::string(16, '\0');
  for (const char count : {'\0', '\0', '\0', '\0', '\1', '\4'}) out += std::string(3, '\0') + count;
  const auto offset = static_cast<uint32_t>(hours * 3600);
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(offset >> shift);
  return out + std::string(2, '\0') + std::string("LMT\0", 4);
}

/// A folder as tzdata leaves it.
class Zones {
 public:
  Zones() {
    fs::create_directories(directory_ + "/America");
    fs::create_directories(directory_ + "/Canada");
    put("America/Vancouver", zone_bytes(-8));
    fs::create_symlink("../America/Vancouver", directory_ + "/Canada/Pacific");
    put("UTC", zone_bytes(0));
    put("tzdata.zi", "# version 2025b\nR d 1916 o\n");
    put("zone1970.tab", "AD\t+4230+00131\tEurope/Andorra\n");
  }
  ~Zones() { fs::remove_all(directory_); }
  /// Replaced by a rename, as a package does it.
  void put(const std::string& name, const std::string& bytes) {
    const std::string fresh = directory_ + "/.fresh";
    std::ofstream(fresh, std::ios::binary) << bytes;
    fs::rename(fresh, directory_ + '/' + name);
  }
  std::string said(const std::string& name) {
    auto zone = files.load(name);
    if (!zone) return zone.error().message();
    return (*zone)->name() + ' ' + std::to_string((*zone)->offset_s(0) / 3600);
  }
  const std::string& directory() const { return directory_; }

 private:
  static std::string make_directory() {
    char name[] = "/tmp/clickmill-zones-XXXXXX";
    return ::mkdtemp(name);
  }
  std::string directory_ = make_directory();

 public:
  ManualClock clock{0};
  ZoneFiles files{directory_, clock};
};

bool holds(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("zone files: changed ones are read again, links with them, within a minute", "[query]") {
  Zones zones;
  REQUIRE(zones.said("America/Vancouver") == "America/Vancouver -8");
  zones.put("America/Vancouver", zone_bytes(-7));
  zones.put("tzdata.zi", "# version 2026f\n");
  CHECK(zones.said("America/Vancouver") == "America/Vancouver -8");
  CHECK(zones.files.version() == "2025b");
  zones.clock.advance_ms(60'000);
  CHECK(zones.said("America/Vancouver") == "America/Vancouver -7");
  CHECK(zones.said("Canada/Pacific") == "Canada/Pacific -7");
  CHECK(zones.files.version() == "2026f");

  // A link read for the first time doesn't run ahead of its zone.
  Zones others;
  REQUIRE(others.said("America/Vancouver") == "America/Vancouver -8");
  others.put("America/Vancouver", zone_bytes(-7));
  CHECK(others.said("Canada/Pacific") == "Canada/Pacific -7");
  CHECK(others.said("America/Vancouver") == "America/Vancouver -7");
}

TEST_CASE("zone files: whoever is told to look again does so at once", "[query]") {
  Zones zones;
  REQUIRE(zones.said("america/vancouver") == "America/Vancouver -8");
  zones.put("America/Vancouver", zone_bytes(-7));
  zones.files.look_again();
  CHECK(zones.said("america/vancouver") == "America/Vancouver -7");
  fs::remove(zones.directory() + "/America/Vancouver");
  zones.files.look_again();
  CHECK(holds(zones.said("America/Vancouver"), "there is no time zone named"));
  zones.put("America/Vancouver", "garbage");
  CHECK(holds(zones.said("America/Vancouver"), "can't be used"));
  zones.put("America/Vancouver", zone_bytes(-8));
  CHECK(zones.said("America/Vancouver") == "America/Vancouver -8");
}

TEST_CASE("zone files: any case is taken, and what is no zone is not", "[query]") {
  Zones zones;
  for (const std::string none : {"posix/UTC", "right/UTC"}) {
    fs::create_directories(zones.directory() + '/' + none.substr(0, 5));
    zones.put(none, zone_bytes(0));
  }
  for (const std::string none : {"localtime", "posixrules", "Factory"})
    zones.put(none, zone_bytes(0));
  CHECK(zones.said("AMERICA/vancouver") == "America/Vancouver -8");
  CHECK(zones.said("canada/PACIFIC") == "Canada/Pacific -8");
  CHECK(zones.said("utc") == "UTC 0");
  for (const std::string none :
       {"localtime", "LOCALTIME", "posixrules", "Factory", "factory", "posix/UTC", "right/UTC",
        "Posix/utc", "tzdata.zi", "zone1970.tab", "America", "America/", "", "/UTC", "./UTC",
        "../etc/passwd", "America/../UTC", "America//Vancouver"}) {
    CAPTURE(none);
    const std::string text = zones.said(none);
    CHECK(holds(text, "there is no time zone named \"" + none + '"'));
    CHECK(holds(text, "the nearest are "));
  }
}

TEST_CASE("zone files: an unknown name is told the nearest", "[query]") {
  Zones zones;
  fs::create_directories(zones.directory() + "/Europe");
  fs::create_directory_symlink("..", zones.directory() + "/Europe/Loop");
  for (const std::string name : {"Europe/Berlin", "Europe/Dublin", "America/New_York", "Japan"})
    zones.put(name, zone_bytes(1));
  const auto nearest = [&](const std::string& typed) {
    const std::string text = zones.said(typed);
    const std::string mark = "the nearest are ";
    const size_t at = text.find(mark) + mark.size();
    return text.substr(at, text.find(',', at) - at);
  };
  CHECK(nearest("Berlin") == "Europe/Berlin");
  CHECK(nearest("Europe/Berln") == "Europe/Berlin");
  CHECK(nearest("America/Berlin") == "Europe/Berlin");
  CHECK(nearest("new+york") == "America/New_York");
  CHECK(nearest("Jpan") == "Japan");
  CHECK(nearest("posix/Europe/Dublin") == "Europe/Dublin");
}

TEST_CASE("zone files: without any, UTC is left and the operator is told", "[query]") {
  ManualClock clock(0);
  ZoneFiles files("/tmp/clickmill-there-are-no-zones-here", clock);
  REQUIRE(files.load("Utc"));
  const auto refused = files.load("Europe/Berlin");
  REQUIRE_FALSE(refused);
  CHECK(holds(refused.error().message(), "\"Europe/Berlin\""));
  CHECK(holds(refused.error().message(), "no time zone data"));
  CHECK(files.version() == "none");
  CHECK(holds(files.warning(), "there is no time zone data"));
  Zones zones;
  CHECK(zones.files.warning().empty());
  zones.put("tzdata.zi", "rules\n");
  zones.files.look_again();
  CHECK(zones.files.version() == "unknown");
}

}  // namespace clickmill::query
