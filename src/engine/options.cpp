#include "engine/options.h"

#include <algorithm>
#include <thread>

#include "base/random.h"
#include "collector/trusted_proxies.h"

namespace clickmill::engine {
namespace {

constexpr uint64_t kJournalFilesLeast =
    16;  // a bounded journal has smaller files rather than fewer
constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kReserveLeast = 1024 * kMiB;
// Four of the journal's files.
constexpr uint64_t kStoreReserveMost = 256 * kMiB;

// What all partitions together hold in memory, until it is in a checkpoint.
constexpr uint64_t kUnsavedBytes = 20 << 20;
// And of entries, until they are sealed.
constexpr uint64_t kUnsealedBytes = 32 << 20;
// And of clicks in the spool; what goes beyond is read back from the journal.
constexpr uint64_t kSpoolBytes = 16 << 20;

constexpr uint64_t kBulkBodyMost = 16 << 20;
// Apart, so that neither listener's clients can take the other's.
constexpr uint32_t kConnectionsMost = 20'000;
constexpr uint32_t kApiConnectionsMost = 4'000;

stream::Settings settings_of(const Config& config) {
  stream::Settings settings;
  settings.dedup_hours = config.stream.dedup_hours;
  settings.window_grace_ms = int64_t{config.stream.window_grace_s} * 1000;
  settings.max_clock_ahead_ms = int64_t{config.stream.max_clock_ahead_s} * 1000;
  settings.double_click_ms = config.stream.double_click_ms;
  settings.stale_after_hours = config.stream.stale_after_hours;
  settings.nodes = {config.node_id};
  return settings;
}

}  // namespace

unsigned threads_of(const Config& config) {
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  return config.threads != 0 ? config.threads : cores;
}

Result<log::Journal::Options> journal_options(const Config& config, FileSystem& files,
                                              const std::string& directory) {
  log::Journal::Options options;
  options.queue_bytes = config.collector.buffer_bytes;
  options.reserve_bytes = std::max(TRY(files.space(directory)).total_bytes / 20, kReserveLeast);
  options.continue_bytes = options.file_bytes / 2;
  const uint64_t bound = config.log.journal_bytes;
  if (bound == 0) return options;
  options.files_bytes_most = bound;
  options.reserve_bytes = std::min(options.reserve_bytes, bound / 4);
  options.file_bytes = std::min(options.file_bytes, bound / kJournalFilesLeast / kMiB * kMiB);
  options.continue_bytes = options.file_bytes / 2;
  return options;
}

Result<Machine::Options> machine_options(const Config& config, FileSystem& files,
                                         const DataDir& dir) {
  Machine::Options options;
  options.node_id = config.node_id;
  options.paths = dir.paths();
  options.partitions = config.log.partitions;
  options.workers = threads_of(config);
  options.seed = dir.node().seed;
  options.jitter_seed = secure_random_u64();
  options.memory_limit_bytes = memory_limit_here();
  options.retention = {int64_t{config.log.retention_days} * kDayMs, config.log.retention_bytes};
  options.store_days = {config.store.minute_days, config.store.hour_days, config.store.day_days};
  options.journal = TRY(journal_options(config, files, dir.path()));
  // There a click waits for the journal several times over.
  if (config.collector.durability == Durability::replicated)
    options.journal.linger_us = options.journal.log_linger_us;
  options.segments.segment_bytes = config.log.segment_bytes;
  options.segments.compression = config.log.compression;
  options.partition.settings = settings_of(config);
  options.partition.checkpoint_bytes = kUnsavedBytes / config.log.partitions;
  options.spool.memory_bytes = kSpoolBytes;
  options.answers_wait_for_commit = config.collector.durability == Durability::replicated;
  options.spool.window_grace_ms = int64_t{config.stream.window_grace_s} * 1000;
  options.spool.max_clock_ahead_ms = int64_t{config.stream.max_clock_ahead_s} * 1000;
  options.partition.log_bytes = kUnsealedBytes / config.log.partitions;
  options.partition.checkpoint_interval_ms = int64_t{config.stream.checkpoint_interval_s} * 1000;
  return options;
}

Result<uint64_t> reserve_bytes(const Config& config, FileSystem& files,
                               const std::string& directory) {
  const auto journal = TRY(journal_options(config, files, directory));
  return std::min(journal.reserve_bytes / 4, kStoreReserveMost);
}

collector::Intake::Options intake_options(const Config& config) {
  collector::Intake::Options options;
  options.default_redirect = config.collector.default_redirect;
  options.proxies.trusted_proxies = config.collector.trusted_proxies;
  options.proxies.country_header = config.collector.country_header;
  options.proxies.client_ip_header = config.collector.client_ip_header;
  options.proxies.click_id_header = config.collector.click_id_header;
  options.partitions = config.log.partitions;
  return options;
}

http::Server::Options server_options(const Config& config) {
  http::Server::Options options;
  options.io_threads = threads_of(config);
  options.max_connections = kConnectionsMost;
  options.idle_timeout_ms = config.idle_timeout_s * 1'000;
  return options;
}

http::Server::Listener collector_listener(const Config& config) {
  http::Server::Listener listener;
  listener.name = "collector";
  listener.address = config.listen.collector;
  listener.max_body_bytes = config.collector.max_body_bytes;
  listener.max_connections = kConnectionsMost - kApiConnectionsMost;
  if (config.collector.proxy_protocol) {
    listener.expects_proxy_header =
        [proxies = collector::TrustedProxies(config.collector.trusted_proxies)](
            std::string_view peer_ip) { return proxies.trusts(peer_ip); };
  }
  return listener;
}

http::Server::Listener api_listener(const Config& config) {
  http::Server::Listener listener;
  listener.name = "api";
  listener.address = config.listen.api;
  listener.max_body_bytes = config.collector.max_body_bytes;
  listener.large_body_paths = {"/v1/clicks", "/v1/ads"};
  listener.large_body_bytes = kBulkBodyMost;
  listener.max_connections = kApiConnectionsMost;
  return listener;
}

}  // namespace clickmill::engine
