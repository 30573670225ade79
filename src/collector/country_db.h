#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "click/click.h"

namespace clickmill::collector {

/// A database in MaxMind's format that tells the country of an address, read whole into
/// memory and checked: a file that is overwritten later harms nobody.
/// The country stands in `country.iso_code` (MaxMind's own files), `country_code` or
/// `country` (flat ones), whatever the file calls its type.
/// Thread: any (immutable).
class CountryDb {
 public:
  /// Errc::invalid: it is no such database, or not whole. Errc::io: it can't be read.
  static Result<std::shared_ptr<const CountryDb>> open(const std::string& path);
  ~CountryDb();
  CountryDb(const CountryDb&) = delete;
  CountryDb& operator=(const CountryDb&) = delete;

  /// A translated address is looked up as the IPv4 address in it, a private or reserved one
  /// not at all.
  std::optional<click::Country> find(std::string_view ip) const;
  /// For the log: its type, date and number of countries.
  std::string summary() const;
  /// An IPv6-only file knows no IPv4 address.
  bool has_v4() const;
  int64_t built_s() const;  ///< since 1970

 private:
  struct File;
  explicit CountryDb(std::unique_ptr<File> file);
  std::unique_ptr<File> file_;
};

/// The database at a path, taken in again when the file has been replaced. One that can't be
/// taken in leaves the former in use.
/// Thread: look_again one at a time; the rest any. The mutex guards pointer and text.
class Countries {
 public:
  /// Empty: there is none, and nothing is known of any address.
  explicit Countries(std::string path) : path_(std::move(path)) {}
  /// Reads the file if it is another than at the last call, or `anyway`. May take long.
  void look_again(bool anyway);
  std::optional<click::Country> find(std::string_view ip) const;
  /// Why the file is not in use; empty: it is.
  std::string trouble() const;
  /// When the one in use was built, in seconds since 1970; NaN: there is none.
  double built_s() const;

 private:
  struct Identity {
    uint64_t device = 0;
    uint64_t inode = 0;
    int64_t size = -1;
    int64_t changed_ns = 0;
    friend bool operator==(const Identity&, const Identity&) = default;
  };
  static Identity identity_of(const std::string& path);
  std::shared_ptr<const CountryDb> current() const;

  const std::string path_;
  Identity seen_;
  bool looked_ = false;
  mutable std::mutex mutex_;
  std::shared_ptr<const CountryDb> db_;
  std::string trouble_;
};

}  // namespace clickmill::collector
