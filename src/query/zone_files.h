#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "query/buckets.h"

namespace clickmill::query {

/// The system's time zones: a directory of TZif files as the tzdata package installs them.
///
/// Files that have changed (device, inode, time or size) are read again: looked for at most
/// once a minute and before a zone is read for the first time, so that a zone and its links
/// never disagree for longer. A node takes new rules in without a restart.
/// Thread: any. May read some files of the directory.
class ZoneFiles {
 public:
  /// `clock` is borrowed and outlives it.
  ZoneFiles(std::string directory, const Clock& clock);
  /// Those of $TZDIR, or of /usr/share/zoneinfo; one for the process.
  static ZoneFiles& system();

  /// By name, in any case; the zone has its own name. UTC needs no file. Errc::invalid
  /// quotes what is no zone's name, with the nearest ones: `localtime`, `posixrules`, `Factory`,
  /// `posix/…` and `right/…`, which mean another zone on every machine, are none.
  Result<std::shared_ptr<const TimeZone>> load(std::string_view name);
  /// The next one to ask looks for changes, however short ago that was done.
  void look_again();
  /// Of the database, such as 2026f; "unknown" where it doesn't say, "none" without zones.
  std::string version();
  /// What an operator should know; empty: nothing.
  std::string warning();

 private:
  /// Tells two contents of a path apart; all 0: there is no file.
  struct Identity {
    uint64_t device = 0;
    uint64_t inode = 0;
    int64_t modified_ns = 0;
    int64_t bytes = 0;
    friend bool operator==(const Identity&, const Identity&) = default;
  };
  struct Loaded {
    Identity identity;
    std::shared_ptr<const TimeZone> zone;
  };
  static Identity identity_of(const std::string& path);

  void look_if_due();
  void look();
  void list(const std::string& below);
  Result<std::shared_ptr<const TimeZone>> read(const std::string& name);
  Error unknown(std::string_view asked) const;
  std::string path_of(std::string_view name) const;

  const std::string directory_;
  const Clock& clock_;
  // Guards all below, while files are read too: they are small, and seldom read. Innermost.
  std::mutex mutex_;
  bool due_ = true;
  int64_t looked_ns_ = 0;
  std::map<std::string, std::string, std::less<>> names_;  ///< lower case → own
  std::map<std::string, Loaded, std::less<>> loaded_;      ///< by own name
  std::string version_ = "none";
};

}  // namespace clickmill::query
