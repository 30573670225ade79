#include "collector/country_db.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/random.h"
#include "base/temporary_directory.h"
#include "click/parse.h"
#include "collector/mmdb_writer.h"

namespace clickmill::collector {
namespace {

using Writer = MmdbWriter;

std::string nested(const std::string& code) {
  return Writer::map({{"continent", Writer::map({{"code", Writer::text("EU")}})},
                      {"country", Writer::map({{"iso_code", Writer::text(code)}})}});
}
std::string flat(const std::string& code) {
  return Writer::map({{"country_code", Writer::text(code)}});
}

/// 8.8.8.0/24 US, 5.0.0.0/8 DE, 2a00::/16 FR, and ranges that nobody must ask for.
Writer example(std::string (*record)(const std::string&) = nested) {
  Writer writer;
  writer.add_v4({8, 8, 8, 0}, 24, record("US")).add_v4({5, 0, 0, 0}, 8, record("DE"));
  writer.add_v4({192, 168, 0, 0}, 16, record("AU")).add_v4({203, 0, 113, 0}, 24, record("JP"));
  writer.add_v4({9, 9, 9, 9}, 32, record("EU")).add_v4({9, 9, 9, 8}, 32, record("XK"));
  writer.add({0x2a, 0x00}, 16, record("FR"));
  return writer;
}

struct Folder {
  TemporaryDirectory directory;
  std::string path = directory.path() + "/countries.mmdb";
  /// As one should: beside it, then renamed.
  void put(const std::string& bytes) const {
    write(path + ".new", bytes);
    std::filesystem::rename(path + ".new", path);
  }
  static void write(const std::string& to, const std::string& bytes) {
    std::ofstream(to, std::ios::binary | std::ios::trunc) << bytes;
  }
  Error error_of(const std::string& bytes) const {
    put(bytes);
    auto opened = CountryDb::open(path);
    REQUIRE_FALSE(opened);
    return std::move(opened).error();
  }
};

std::string found(const CountryDb& db, const std::string& ip) {
  const auto country = db.find(ip);
  return country ? click::to_string_country(*country) : "";
}

}  // namespace

TEST_CASE("country db: records of every shape are read, whatever type the file says it has",
          "[collector]") {
  const auto as_country = [](const std::string& code) {
    return Writer::map({{"country", Writer::text(code)}, {"asn", Writer::number(6, 7, 4)}});
  };
  const auto record =
      GENERATE_COPY(as<std::string (*)(const std::string&)>{}, nested, flat, +as_country);
  Folder folder;
  folder.put(example(record).bytes());
  auto db = CountryDb::open(folder.path);
  REQUIRE(db);
  const auto [ip, want] = GENERATE(table<std::string, std::string>({
      {"8.8.8.8", "US"},
      {"8.8.9.8", ""},
      {"5.255.255.255", "DE"},
      {"2a00::1", "FR"},
      {"2a01::1", ""},
      {"::ffff:8.8.8.8", "US"},
      {"2002:808:808::1", "US"},
      {"64:ff9b::8.8.8.8", "US"},
      // What no file is to be believed about.
      {"192.168.1.1", ""},
      {"203.0.113.7", ""},
      {"2002:c0a8:101::1", ""},
      // No countries, and what everybody calls one.
      {"9.9.9.9", ""},
      {"9.9.9.8", "XK"},
      {"", ""},
      {"unknown", ""},
  }));
  CAPTURE(ip);
  CHECK(found(**db, ip) == want);
  CHECK((*db)->has_v4());
  CHECK((*db)->summary() == "country ipvAll of 2026-06-17T00:00:00Z, 6 countries");
}

TEST_CASE("country db: a file for one family only says so and harms nobody", "[collector]") {
  Folder folder;
  folder.put(Writer(4).add_v4({8, 8, 8, 0}, 24, flat("US")).bytes());
  auto v4 = CountryDb::open(folder.path);
  REQUIRE(v4);
  CHECK(found(**v4, "8.8.8.8") == "US");
  CHECK(found(**v4, "2a00::1").empty());
  CHECK((*v4)->has_v4());
  folder.put(Writer(6).add({0x2a, 0x00}, 16, flat("FR")).bytes());
  auto v6 = CountryDb::open(folder.path);
  REQUIRE(v6);
  CHECK(found(**v6, "8.8.8.8").empty());
  CHECK(found(**v6, "2a00::1") == "FR");
  CHECK_FALSE((*v6)->has_v4());
}

TEST_CASE("country db: what is no whole database is an error that says why", "[collector]") {
  Folder folder;
  const std::string whole = example().bytes();
  CHECK_THAT(folder.error_of("").message(), Catch::Contains("countries.mmdb: is no whole"));
  CHECK_THAT(folder.error_of("\x1f\x8b\x08 compressed").message(), Catch::Contains("gzip"));
  CHECK_THAT(folder.error_of("GEO-106FREE 2018").message(), Catch::Contains("is no whole"));
  CHECK_THAT(folder.error_of(Writer().add({0x2a, 0}, 16, Writer::map({})).bytes()).message(),
             Catch::Contains("no record has a country"));
  // Being copied there: cut, or with zeros where nothing has arrived yet.
  for (size_t size = 1; size < whole.size(); size += 7)
    CHECK(folder.error_of(whole.substr(0, size)).code() == Errc::invalid);
  for (const size_t zeros : {6, 60, 600})
    CHECK(folder.error_of(std::string(zeros, '\0') + whole.substr(zeros)).code() == Errc::invalid);
  const auto missing = CountryDb::open(folder.path + ".none");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code() == Errc::io);
  CHECK_FALSE(CountryDb::open("/"));
}

TEST_CASE("country db: no damage of a file does more than an error or a wrong country",
          "[collector]") {
  const uint64_t seed = GENERATE(range(1, 4));
  CAPTURE(seed);
  Random random(seed);
  Folder folder;
  const std::string whole = example().bytes();
  for (int i = 0; i < 1'000; ++i) {
    std::string damaged = whole;
    for (uint64_t flips = 0; flips <= random.below(4); ++flips)
      damaged[random.below(damaged.size())] = static_cast<char>(random.next());
    folder.put(damaged);
    const auto db = CountryDb::open(folder.path);
    if (!db) continue;
    for (const char* ip : {"8.8.8.8", "5.5.5.5", "2a00::1", "9.9.9.9"}) (*db)->find(ip);
  }
}

TEST_CASE("countries: a replaced file is taken in, a torn one is not", "[collector]") {
  Folder folder;
  folder.put(Writer(4).add_v4({8, 8, 8, 0}, 24, flat("US")).bytes());
  Countries countries(folder.path);
  CHECK_FALSE(countries.find("8.8.8.8"));
  countries.look_again(false);
  CHECK(countries.find("8.8.8.8") == click::known_country("US"));
  CHECK(countries.trouble().empty());
  // In place, as nobody should: the one in use stays whole.
  const std::string next = Writer(4).add_v4({8, 8, 8, 0}, 24, flat("CA")).bytes();
  Folder::write(folder.path, next.substr(0, 40));
  countries.look_again(false);
  CHECK_THAT(countries.trouble(), Catch::StartsWith("collector.country_db: " + folder.path));
  CHECK(countries.find("8.8.8.8") == click::known_country("US"));
  Folder::write(folder.path, next);
  countries.look_again(true);
  CHECK(countries.trouble().empty());
  CHECK(countries.find("8.8.8.8") == click::known_country("CA"));
  CHECK(countries.built_s() == 1'781'654'400);
  std::filesystem::remove(folder.path);
  countries.look_again(false);
  CHECK_FALSE(countries.trouble().empty());
  CHECK(countries.find("8.8.8.8") == click::known_country("CA"));
}

TEST_CASE("countries: without a file nothing is known", "[collector]") {
  Countries none("");
  none.look_again(true);
  CHECK_FALSE(none.find("8.8.8.8"));
  CHECK(none.trouble().empty());
  CHECK(std::isnan(none.built_s()));
}

}  // namespace clickmill::collector
