#include "engine/options.h"

#include <algorithm>

namespace clickmill::engine {
namespace {

constexpr uint64_t kJournalFilesLeast =
    16;  // a bounded journal has smaller files rather than fewer
constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kReserveLeast = 1024 * kMiB;

collector::Durability durability_of(Durability durability) {
  switch (durability) {
    case Durability::memory: return collector::Durability::memory;
    case Durability::written: return collector::Durability::written;
    case Durability::synced: break;
  }
  return collector::Durability::synced;
}

}  // namespace

Result<log::Journal::Options> journal_options(const Config& config, FileSystem& files,
                                              const std::string& directory) {
  log::Journal::Options options;
  options.queue_bytes = config.collector.buffer_bytes;
  options.reserve_bytes = std::max(TRY(files.space(directory)).total_bytes / 20, kReserveLeast);
  const uint64_t bound = config.log.journal_bytes;
  if (bound == 0) return options;
  options.files_bytes_most = bound;
  options.reserve_bytes = std::min(options.reserve_bytes, bound / 4);
  options.file_bytes = std::min(options.file_bytes, bound / kJournalFilesLeast / kMiB * kMiB);
  return options;
}

collector::Intake::Options intake_options(const Config& config) {
  collector::Intake::Options options;
  options.durability = durability_of(config.collector.durability);
  options.redirect_deadline_ms = config.collector.redirect_deadline_ms;
  options.default_redirect = config.collector.default_redirect;
  options.trusted_proxies = config.collector.trusted_proxies;
  options.country_header = config.collector.country_header;
  options.cors_origins = config.collector.cors_origins;
  options.partitions = config.log.partitions;
  return options;
}

}  // namespace clickmill::engine
