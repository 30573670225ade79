#include "query/zone_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <tuple>
#include <vector>

#include "base/edit_distance.h"
#include "click/parse.h"
#include "query/tzif.h"

namespace clickmill::query {
namespace {

constexpr int64_t kLookEveryNs = 60'000'000'000;
constexpr size_t kNameSizeMax = 64;
/// The largest file of the database has 4 KiB, the text of its rules 110.
constexpr size_t kFileBytesMax = 1 << 20;
constexpr size_t kNearestMost = 3;
// Whatever folder is taken for the zones': theirs has 600, as America/Indiana/Knox at most.
constexpr size_t kNamesMost = 5000;
constexpr std::ptrdiff_t kPartsMost = 3;
/// Names of files and folders that are zones only by their contents.
constexpr std::array<std::string_view, 5> kNoZones{"localtime", "posixrules", "factory", "posix",
                                                   "right"};

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

bool is_zone_name(std::string_view name) {
  // No dots at all, so no tables and no "..".
  return !name.empty() && name.size() <= kNameSizeMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '+' || c == '/' || c == '-';
         });
}

/// Empty for anything but a readable file of sensible size.
std::string read_file(const std::string& path) {
  // O_NONBLOCK: should a device or pipe stand there, opening it must not wait.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return {};
  std::string bytes;
  struct stat status {};
  if (::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
      static_cast<size_t>(status.st_size) <= kFileBytesMax) {
    bytes.resize(static_cast<size_t>(status.st_size));
    if (::pread(fd, bytes.data(), bytes.size(), 0) != status.st_size) bytes.clear();
  }
  ::close(fd);
  return bytes;
}

std::string version_in(const std::string& directory) {
  constexpr std::string_view kMark = "# version ";
  const auto first_line = [](const std::string& text) { return text.substr(0, text.find('\n')); };
  const std::string rules = first_line(read_file(directory + "/tzdata.zi"));
  std::string version = rules.compare(0, kMark.size(), kMark) == 0
                            ? rules.substr(kMark.size())
                            : first_line(read_file(directory + "/+VERSION"));
  // It stands in metrics, whose labels know quotes.
  if (version.size() > kNameSizeMax || !is_zone_name(version)) return "unknown";
  return version;
}

std::string_view last_part(std::string_view name) { return name.substr(name.rfind('/') + 1); }

/// How far what was typed is from a zone: as a whole, or the place alone (`berlin`).
size_t distance_to_zone(const std::string& typed, std::string_view zone) {
  return std::min(edit_distance(typed, zone) * 2,
                  edit_distance(last_part(typed), last_part(zone)) * 2 + 1);
}

}  // namespace

ZoneFiles::ZoneFiles(std::string directory, const Clock& clock)
    : directory_(std::move(directory)), clock_(clock) {}

ZoneFiles& ZoneFiles::system() {
  static const SystemClock clock;
  const char* const chosen = std::getenv("TZDIR");
  static ZoneFiles files(chosen != nullptr && *chosen != '\0' ? chosen : "/usr/share/zoneinfo",
                         clock);
  return files;
}

Result<std::shared_ptr<const TimeZone>> ZoneFiles::load(std::string_view name) {
  const std::string asked = lower(name);
  if (asked == "utc") return TimeZone::utc();
  const std::lock_guard lock(mutex_);
  look_if_due();
  auto own = names_.find(asked);
  if (own == names_.end() || loaded_.find(own->second) == loaded_.end()) {
    look();
    own = names_.find(asked);
  }
  if (own == names_.end()) return unknown(name);
  return read(own->second);
}

Result<std::shared_ptr<const TimeZone>> ZoneFiles::read(const std::string& name) {
  const auto at = loaded_.find(name);
  if (at != loaded_.end()) return at->second.zone;
  const std::string path = path_of(name);
  const Identity identity = identity_of(path);
  auto table = parse_tzif(read_file(path));
  if (!table) {
    return Error(Errc::invalid, click::shown(name) +
                                    " can't be used as a time zone on this node (" +
                                    table.error().message() + ")");
  }
  auto zone = TimeZone::of(name, *std::move(table));
  loaded_[name] = {identity, zone};
  return zone;
}

void ZoneFiles::look_again() {
  const std::lock_guard lock(mutex_);
  due_ = true;
}

std::string ZoneFiles::version() {
  const std::lock_guard lock(mutex_);
  look_if_due();
  return version_;
}

std::string ZoneFiles::warning() {
  const std::lock_guard lock(mutex_);
  look_if_due();
  if (!names_.empty()) return {};
  return "there is no time zone data in " + directory_ +
         " (package tzdata): queries can only be answered in UTC";
}

void ZoneFiles::look_if_due() {
  if (due_ || clock_.monotonic_ns() - looked_ns_ >= kLookEveryNs) look();
}

void ZoneFiles::look() {
  due_ = false;
  looked_ns_ = clock_.monotonic_ns();
  names_.clear();
  list("");
  version_ = names_.empty() ? "none" : version_in(directory_);
  std::erase_if(loaded_, [&](const auto& entry) {
    return !(identity_of(path_of(entry.first)) == entry.second.identity);
  });
}

void ZoneFiles::list(const std::string& below) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  for (fs::directory_iterator entry(path_of(below), ignored), end; entry != end;
       entry.increment(ignored)) {
    const std::string name = below + entry->path().filename().string();
    const std::string key = lower(name);
    const bool none = std::find(kNoZones.begin(), kNoZones.end(), key) != kNoZones.end();
    if (none || !is_zone_name(name)) continue;
    if (names_.size() >= kNamesMost) return;
    if (entry->is_directory(ignored)) {
      const bool deep = std::count(name.begin(), name.end(), '/') + 1 >= kPartsMost;
      if (!deep && !entry->is_symlink(ignored)) list(name + '/');
    } else if (key != "leapseconds") {
      names_.emplace(key, name);
    }
  }
}

Error ZoneFiles::unknown(std::string_view asked) const {
  if (names_.empty()) {
    return Error(Errc::invalid, click::shown(asked) +
                                    " can't be looked up: this node has no time zone "
                                    "data (package tzdata), and knows UTC alone");
  }
  std::string typed = lower(asked.substr(0, kNameSizeMax));
  std::replace(typed.begin(), typed.end(), '+', '_');
  std::vector<std::pair<size_t, const std::string*>> near;
  for (const auto& [key, name] : names_) near.emplace_back(distance_to_zone(typed, key), &name);
  const size_t most = std::min(kNearestMost, near.size());
  std::partial_sort(near.begin(), near.begin() + static_cast<std::ptrdiff_t>(most), near.end(),
                    [](const auto& a, const auto& b) {
                      return std::tie(a.first, *a.second) < std::tie(b.first, *b.second);
                    });
  std::string text = "there is no time zone named " + click::shown(asked) + "; the nearest are ";
  for (size_t i = 0; i < most; ++i) text.append(i == 0 ? "" : ", ").append(*near[i].second);
  return Error(Errc::invalid, text);
}

std::string ZoneFiles::path_of(std::string_view name) const {
  return (directory_ + '/').append(name);
}

ZoneFiles::Identity ZoneFiles::identity_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};
  return {status.st_dev, status.st_ino,
          int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec, status.st_size};
}

}  // namespace clickmill::query
