#include "options.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>

namespace clickmill::bench {
namespace {

constexpr uint32_t kSecondsMax = 600;
constexpr uint32_t kConnectionsMax = 10'000;
constexpr uint32_t kAdsMax = 1'000'000;
constexpr uint32_t kSlowestMax = 1'000;
constexpr uint64_t kRateMax = 1'000'000;

Error wrong(std::string_view option, std::string_view value, std::string_view rule) {
  return Error(Errc::invalid, fmt::format("{} {}: {}", option, value, rule));
}

/// parse_number for a rule whose values fit 32 bits.
Result<uint32_t> parse_count(std::string_view option, std::string_view value, uint32_t high) {
  uint64_t number = TRY(parse_number(option, value, 1, high));
  return static_cast<uint32_t>(number);
}

Result<double> parse_share(std::string_view option, std::string_view value) {
  double share = 0;
  const char* end = value.data() + value.size();
  auto [rest, error] = std::from_chars(value.data(), end, share);
  // The comparison also refuses nan.
  if (error != std::errc{} || rest != end || !(share >= 0 && share <= 0.9)) {
    return wrong(option, value, "wants a share from 0 to 0.9");
  }
  return share;
}

Result<Address> parse_address(std::string_view option, std::string_view value) {
  size_t colon = value.rfind(':');
  if (colon == std::string_view::npos) return wrong(option, value, "wants HOST:PORT");
  std::string_view host = value.substr(0, colon);
  if (host == "localhost") host = "127.0.0.1";
  in_addr address{};
  // A name that begins with 127 is no address.
  if (inet_pton(AF_INET, std::string(host).c_str(), &address) != 1 || !host.starts_with("127.")) {
    return wrong(option, value, "only loopback addresses (127.x.x.x) may be put under load");
  }
  uint64_t port = TRY(parse_number(option, value.substr(colon + 1), 1, 65'535));
  return Address{std::string(host), static_cast<uint16_t>(port)};
}

Status set_option(Options& options, std::string_view name, std::string_view value) {
  if (name == "--collector") {
    options.collector = TRY(parse_address(name, value));
  } else if (name == "--api") {
    options.check = value != "none";
    if (options.check) options.api = TRY(parse_address(name, value));
  } else if (name == "--rate") {
    options.rate = TRY(parse_number(name, value, 0, kRateMax));
  } else if (name == "--connections") {
    options.connections = TRY(parse_count(name, value, kConnectionsMax));
  } else if (name == "--seconds") {
    options.seconds = TRY(parse_count(name, value, kSecondsMax));
  } else if (name == "--ads") {
    options.ads = TRY(parse_count(name, value, kAdsMax));
  } else if (name == "--duplicates") {
    options.duplicates = TRY(parse_share(name, value));
  } else if (name == "--slowest") {
    options.slowest = TRY(parse_count(name, value, kSlowestMax));
  } else if (name == "--seed") {
    options.seed = TRY(parse_number(name, value, 0, UINT64_MAX));
  } else {
    return Error(Errc::invalid, fmt::format("{}: no such option; --help lists them", name));
  }
  return {};
}

}  // namespace

Result<uint64_t> parse_number(std::string_view option, std::string_view value, uint64_t low,
                              uint64_t high) {
  uint64_t number = 0;
  const char* end = value.data() + value.size();
  auto [rest, error] = std::from_chars(value.data(), end, number);
  if (error != std::errc{} || rest != end || number < low || number > high) {
    return wrong(option, value, fmt::format("wants a whole number from {} to {}", low, high));
  }
  return number;
}

Status parse_directory_options(std::string_view benchmark, int count, const char* const* arguments,
                               std::string& directory, const std::vector<NumberOption>& numbers) {
  for (int at = 0; at + 1 < count; at += 2) {
    const std::string_view name = arguments[at];
    if (name == "--directory") {
      directory = arguments[at + 1];
      continue;
    }
    const auto known = std::find_if(numbers.begin(), numbers.end(),
                                    [&](const auto& one) { return one.name == name; });
    if (known == numbers.end())
      return Error(Errc::invalid, fmt::format("{}: no option {}", benchmark, name));
    known->set(TRY(parse_number(name, arguments[at + 1], known->low, known->high)));
  }
  if (count % 2 == 0 && !directory.empty()) return {};
  return Error(Errc::invalid,
               fmt::format("{}: wants --directory DIR, and a value for every option", benchmark));
}

Result<Options> parse_options(int count, const char* const* arguments) {
  Options options;
  for (int at = 1; at < count; ++at) {
    std::string_view name = arguments[at];
    if (name == "--help") {
      options.help = true;
      return options;
    }
    if (at + 1 == count) return Error(Errc::invalid, fmt::format("{}: wants a value", name));
    TRY(set_option(options, name, arguments[++at]));
  }
  return options;
}

std::string usage() {
  return fmt::format(
      "clickmill-bench: sends realistic clicks to a node on this machine and checks its counts\n"
      "  --collector HOST:PORT  default 127.0.0.1:8080; loopback only\n"
      "  --api HOST:PORT        default 127.0.0.1:8081; none: upload no ads, compare no counts\n"
      "  --rate R               clicks per second; 0 (default): as fast as possible\n"
      "  --connections N        default 64, at most {}\n"
      "  --seconds S            default 10, at most {}\n"
      "  --ads N                default 10000, at most {}\n"
      "  --duplicates P         share of copies, default 0.05\n"
      "  --seed N               default 1\n"
      "  --slowest N            shows when the N slowest answers were due\n"
      "clickmill-bench lines --directory DIR [--clicks N] [--ads N] [--days N]: writes clicks of "
      "the\n"
      "    last N days as bodies for POST /v1/clicks, and their ads\n"
      "clickmill-bench log --directory DIR [--clicks N] [--seconds S] [--batch N]: the log alone, "
      "beside a plain file\n"
      "clickmill-bench dedup --directory DIR [--ids N] [--measured N] [--partitions N]\n"
      "    [--checkpoint N] [--interval S] [--bare N]: deduplication alone, N ids in state\n"
      "    (864000000: a day at 10,000/s, 20 GB of disk; with --partitions 64 --interval 30 saved "
      "as\n"
      "    a node does), beside a bare RocksDB loop over --bare of the same (0: none)\n"
      "clickmill-bench stream --directory DIR [--clicks N] [--ids N] [--ads N] [--rate R] [--batch "
      "N] "
      "[--checkpoint N]: the stream alone, saved as a node does or every N clicks of a partition\n"
      "clickmill-bench store --directory DIR [--ads N] [--days N] [--minutes N] [--flushes N]\n"
      "    [--late N] [--partitions N] [--kept-days N]: the parts of N days, as they age\n"
      "clickmill-bench history --directory DIR [--rows N] [--ads N] [--clicks N] [--until S] "
      "[--seed N]:\n"
      "    a year of clicks into files for an import; questions --directory DIR [--port N]\n"
      "    [--clients N] [--milliseconds N] [--pid N]: asks DIR/questions.tsv (bench/query.sh)\n"
      "Exits 0 when every answered click was counted exactly once, 1 when not, 2 when it could not "
      "run.\n",
      kConnectionsMax, kSecondsMax, kAdsMax);
}

}  // namespace clickmill::bench
