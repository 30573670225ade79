#include "collector/country_db.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <maxminddb.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/ip_address.h"
#include "base/logging.h"
#include "base/time_text.h"
#include "click/parse.h"

namespace clickmill::collector {
namespace {

constexpr int64_t kBytesMost = 1 << 30;
constexpr int64_t kSecondNs = 1'000'000'000;

/// Closes a descriptor.
struct Descriptor {
  int fd;
  explicit Descriptor(int number) : fd(number) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

Error cannot_read(const std::string& path) {
  return Error(Errc::io, path + ": cannot be read: " + std::strerror(errno));
}

Error not_whole(const std::string& path, std::string_view why) {
  return Error(Errc::invalid,
               fmt::format("{}: is no whole database in MaxMind's format: {}", path, why));
}

int64_t changed_ns(const struct stat& info) {
  return info.st_mtim.tv_sec * kSecondNs + info.st_mtim.tv_nsec;
}

/// Copies the file into memory of ours: the library maps what it opens, and a mapped file
/// that somebody cuts short ends the process.
Status copy_to(int memory, const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat before {};
  if (file.fd < 0 || ::fstat(file.fd, &before) != 0) return cannot_read(path);
  if (!S_ISREG(before.st_mode)) return Error(Errc::io, path + ": is no file");
  if (before.st_size > kBytesMost) return not_whole(path, "it has more than 1 GiB");
  std::vector<char> piece(1 << 20);
  int64_t copied = 0;
  while (copied <= kBytesMost) {
    const ssize_t size = ::read(file.fd, piece.data(), piece.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return cannot_read(path);
    if (size == 0) break;
    if (copied == 0 && size > 2 && piece[0] == '\x1f' && piece[1] == '\x8b')
      return not_whole(path, "it is compressed by gzip; unpack it");
    for (ssize_t at = 0; at < size;) {
      const ssize_t written = ::write(memory, piece.data() + at, static_cast<size_t>(size - at));
      if (written <= 0) return Error(Errc::io, path + ": there is no memory for it");
      at += written;
    }
    copied += size;
  }
  struct stat after {};
  if (::fstat(file.fd, &after) != 0) return cannot_read(path);
  if (copied != before.st_size || after.st_size != copied ||
      changed_ns(after) != changed_ns(before))
    return not_whole(path, "it is being written");
  return {};
}

/// The text at a place of a record; nothing when the record has none there.
Result<std::optional<std::string_view>> text_at(MMDB_entry_s entry, const char* first,
                                                const char* second) {
  const std::array<const char*, 3> place = {first, second, nullptr};
  MMDB_entry_data_s value{};
  const int status = MMDB_aget_value(&entry, &value, place.data());
  if (status == MMDB_LOOKUP_PATH_DOES_NOT_MATCH_DATA_ERROR ||
      status == MMDB_INVALID_LOOKUP_PATH_ERROR)
    return std::optional<std::string_view>();
  if (status != MMDB_SUCCESS) return Error(Errc::invalid, MMDB_strerror(status));
  if (!value.has_data || value.type != MMDB_DATA_TYPE_UTF8_STRING)
    return std::optional<std::string_view>();
  return std::optional(std::string_view(value.utf8_string, value.data_size));
}

Result<std::optional<click::Country>> country_of(MMDB_entry_s entry) {
  constexpr std::pair<const char*, const char*> kPlaces[] = {
      {"country", "iso_code"}, {"country_code", nullptr}, {"country", nullptr}};
  for (const auto& [first, second] : kPlaces) {
    if (const auto text = TRY(text_at(entry, first, second))) return click::known_country(*text);
  }
  return std::optional<click::Country>();
}

}  // namespace

struct CountryDb::File {
  MMDB_s mmdb{};
  bool is_open = false;
  bool has_v4 = false;
  std::unordered_map<uint32_t, click::Country> countries;  ///< by the record's offset

  ~File() {
    if (is_open) MMDB_close(&mmdb);
  }

  /// Looks at every node and every record once: what is missing or torn shows now, and not
  /// as a wrong country later.
  Status read_all() {
    const uint32_t nodes = mmdb.metadata.node_count;
    std::vector<bool> seen(nodes);
    std::vector<uint32_t> next = {0};
    std::set<uint32_t> records;
    while (!next.empty()) {
      const uint32_t at = next.back();
      next.pop_back();
      if (at >= nodes) return Error(Errc::invalid, "a node points beyond the tree");
      // MaxMind's own files lead to the IPv4 addresses in several ways.
      if (seen[at]) continue;
      seen[at] = true;
      MMDB_search_node_s node{};
      if (const int status = MMDB_read_node(&mmdb, at, &node); status != MMDB_SUCCESS)
        return Error(Errc::invalid, MMDB_strerror(status));
      TRY(read_record(node.left_record, node.left_record_type, node.left_record_entry, next,
                      records));
      TRY(read_record(node.right_record, node.right_record_type, node.right_record_entry, next,
                      records));
    }
    if (countries.empty()) {
      return Error(Errc::invalid,
                   "no record has a country, neither as country.iso_code nor as country_code nor "
                   "as country");
    }
    has_v4 = mmdb.metadata.ip_version == 4 || mmdb.ipv4_start_node.node_value != nodes;
    return {};
  }

  Status read_record(uint64_t value, uint8_t type, const MMDB_entry_s& entry,
                     std::vector<uint32_t>& next, std::set<uint32_t>& records) {
    if (type == MMDB_RECORD_TYPE_EMPTY) return {};
    if (type == MMDB_RECORD_TYPE_SEARCH_NODE) {
      // Zeros where nothing was written yet would lead back to the root.
      if (value == 0) return Error(Errc::invalid, "a node leads back to the first");
      next.push_back(static_cast<uint32_t>(value));
      return {};
    }
    if (type != MMDB_RECORD_TYPE_DATA) return Error(Errc::invalid, "a node points to no record");
    if (!records.insert(entry.offset).second) return {};
    if (const auto country = TRY(country_of(entry))) countries.emplace(entry.offset, *country);
    return {};
  }
};

CountryDb::CountryDb(std::unique_ptr<File> file) : file_(std::move(file)) {}
CountryDb::~CountryDb() = default;

Result<std::shared_ptr<const CountryDb>> CountryDb::open(const std::string& path) {
  const Descriptor memory(::memfd_create("country_db", MFD_CLOEXEC));
  if (memory.fd < 0) return cannot_read(path);
  TRY(copy_to(memory.fd, path));
  auto file = std::make_unique<File>();
  // The mapping stays when the descriptor is closed.
  const std::string opened = fmt::format("/proc/self/fd/{}", memory.fd);
  if (const int status = MMDB_open(opened.c_str(), MMDB_MODE_MMAP, &file->mmdb);
      status != MMDB_SUCCESS)
    return not_whole(path, MMDB_strerror(status));
  file->is_open = true;
  if (auto read = file->read_all(); !read) return not_whole(path, read.error().message());
  return std::shared_ptr<const CountryDb>(new CountryDb(std::move(file)));
}

std::optional<click::Country> CountryDb::find(std::string_view ip) const {
  auto address = parse_ip_address(ip);
  if (!address) return std::nullopt;
  address = without_translation(*address);
  if (!is_global(*address)) return std::nullopt;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  const sockaddr* asked = nullptr;
  if (address->is_v4()) {
    v4.sin_family = AF_INET;
    std::memcpy(&v4.sin_addr, address->bytes.data() + 12, 4);
    asked = reinterpret_cast<const sockaddr*>(&v4);
  } else {
    v6.sin6_family = AF_INET6;
    std::memcpy(&v6.sin6_addr, address->bytes.data(), 16);
    asked = reinterpret_cast<const sockaddr*>(&v6);
  }
  int status = MMDB_SUCCESS;
  const auto found = MMDB_lookup_sockaddr(&file_->mmdb, asked, &status);
  if (status != MMDB_SUCCESS || !found.found_entry) return std::nullopt;
  const auto country = file_->countries.find(found.entry.offset);
  if (country == file_->countries.end()) return std::nullopt;
  return country->second;
}

std::string CountryDb::summary() const {
  std::set<click::Country> all;
  for (const auto& [offset, country] : file_->countries) all.insert(country);
  const auto& metadata = file_->mmdb.metadata;
  return fmt::format("{} of {}, {} countries", metadata.database_type,
                     format_time_ms(built_s() * 1'000), all.size());
}

bool CountryDb::has_v4() const { return file_->has_v4; }
int64_t CountryDb::built_s() const {
  return static_cast<int64_t>(file_->mmdb.metadata.build_epoch);
}

Countries::Identity Countries::identity_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return {};
  return {info.st_dev, info.st_ino, info.st_size, changed_ns(info)};
}

void Countries::look_again(bool anyway) {
  if (path_.empty()) return;
  const Identity identity = identity_of(path_);
  if (std::exchange(looked_, true) && !anyway && identity == seen_) return;
  seen_ = identity;
  auto opened = CountryDb::open(path_);
  if (opened) {
    log_info("countries", (*opened)->summary() + " from " + path_);
    if (!(*opened)->has_v4())
      log_warn("countries", path_ + " knows no IPv4 address: these count as ZZ");
  } else {
    log_error("countries", opened.error().text());
  }
  const std::lock_guard lock(mutex_);
  trouble_ = opened ? "" : "collector.country_db: " + opened.error().text();
  if (opened) db_ = *std::move(opened);
}

std::shared_ptr<const CountryDb> Countries::current() const {
  const std::lock_guard lock(mutex_);
  return db_;
}

std::optional<click::Country> Countries::find(std::string_view ip) const {
  if (path_.empty()) return std::nullopt;
  const auto db = current();
  return db ? db->find(ip) : std::nullopt;
}

std::string Countries::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

double Countries::built_s() const {
  const auto db = current();
  return db ? static_cast<double>(db->built_s()) : std::nan("");
}

}  // namespace clickmill::collector
