#include "tools/backup_check.h"

#include <fmt/format.h>

#include <memory>

#include "dedup/table_image.h"
#include "state/slots.h"
#include "state/store.h"
#include "stream/checkpoint.h"
#include "tools/offline_log.h"

namespace clickmill::tools {
namespace {

constexpr uint64_t kStateCacheBytes = 16 << 20;

Status add_named(state::Slot slot, state::Store& state, Named& named) {
  const auto checkpoint = TRY(stream::read_checkpoint(slot, state));
  if (!checkpoint) return {};
  for (const auto& part : checkpoint->parts) {
    named.parts.insert(part.name);
    named.places.emplace(part.name, part.position);
  }
  if (const auto image = TRY(dedup::read_image_record(slot, state)))
    named.tables.insert(dedup::image_file_name(slot, image->number));
  Offset& applied = named.applied[slot.partition().value()];
  applied = std::max(applied, checkpoint->applied);
  return {};
}

}  // namespace

Result<Named> read_named(FileSystem& files, const std::string& data_dir, uint32_t partitions) {
  Named named;
  named.applied.resize(partitions);
  const std::string directory = data_dir + "/state";
  // A node that was killed in its first moments has none.
  if (!files.exists(directory + "/CURRENT")) return named;
  const auto state = TRY(state::open_rocks_store_read_only(directory, kStateCacheBytes));
  for (uint32_t i = 0; i < partitions; ++i) {
    const auto standing = TRY(state::read_standing(PartitionId(i), *state));
    TRY(add_named(standing.live, *state, named));
    if (standing.building) TRY(add_named(*standing.building, *state, named));
  }
  return named;
}

Result<std::vector<std::string>> check_data(FileSystem& files, const std::string& data_dir,
                                            const Named& named, Progress& progress) {
  std::vector<std::string> wrong;
  for (const std::string& part : named.parts) {
    if (!files.exists(data_dir + "/store/" + part))
      wrong.push_back(data_dir + "/store/" + part + ": is missing, though a checkpoint names it");
  }
  const auto log = TRY(OfflineLog::open(files, data_dir, progress));
  for (const std::string& damage : log->damage()) wrong.push_back(damage);
  for (uint32_t i = 0; i < log->partitions() && i < named.applied.size(); ++i) {
    const auto* segments = log->segments(i);
    Offset last = segments ? segments->last() : Offset(0);
    if (const auto unsealed = log->unsealed(i); !unsealed.empty()) last = unsealed.back().last();
    if (named.applied[i] > last) {
      wrong.push_back(
          fmt::format("partition {}: the checkpoint is at offset {}, the log ends at {}", i,
                      named.applied[i].value(), last.value()));
    }
  }
  return wrong;
}

}  // namespace clickmill::tools
