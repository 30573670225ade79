#include <algorithm>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "decoders/decoders.h"
#include "log/journal.h"
#include "log/journal_reader.h"
#include "log/journal_salvage.h"
#include "simulation/sim_file_system.h"

namespace clickmill::decoders {
namespace {

// Two journal files in a row, as they stand on disk.

constexpr uint64_t kFileBytes = 5 * log::kJournalAlign;
constexpr uint64_t kUnsynced = 4 * log::kJournalAlign;
const std::string kFolder = "journal";

std::string path_of(uint64_t number) { return kFolder + "/" + log::journal_file_name(number); }

std::string journal_example(Random& random) {
  simulation::SimFileSystem files(random.next());
  ManualClock wall(1'782'295'200'000);
  NodeClock clock(wall);
  log::Journal::Options options;
  options.file_bytes = kFileBytes;
  options.group_bytes = 4'000;
  options.unsynced_bytes = kUnsynced;
  auto journal =
      log::Journal::open(files, kFolder, clock, options,
                         [](JournalPos, const log::RecordView&) -> Status { return {}; });
  CM_ASSERT(journal);
  while ((*journal)->current_file() < 2 || !random.one_in(3)) {
    log::Append record;
    record.kind = static_cast<log::RecordKind>(1 + random.below(6));
    record.partition = PartitionId(static_cast<uint32_t>(random.below(64)));
    record.payload = std::string(random.below(3'000), static_cast<char>(random.next()));
    CM_ASSERT((*journal)->append(std::move(record)));
    if (random.one_in(2)) (*journal)->pump();
    if ((*journal)->current_file() == 3) break;
  }
  return read_file(files, path_of(1)).value() + read_file(files, path_of(2)).value();
}

/// Every header and every plausible group of a file gets the checksum that it should have.
std::string with_right_checksums(std::string file) {
  if (file.size() < 48) return file;
  std::string checksum;
  ByteWriter(checksum).u64(xxh64_of(std::string_view(file).substr(0, 40)));
  file.replace(40, 8, checksum);
  for (size_t at = log::kJournalAlign; at + log::kGroupHeaderBytes <= file.size();
       at += log::kJournalAlign) {
    const auto header = log::peek_group(std::string_view(file).substr(at), file.size() - at);
    if (!header) continue;
    std::string group = file.substr(at, log::kGroupHeaderBytes + header->payload_bytes);
    log::seal_group(*header, group);
    file.replace(at, log::kGroupHeaderBytes, group, 0, log::kGroupHeaderBytes);
  }
  return file;
}

using Found = std::vector<std::pair<JournalPos, std::string>>;

Result<log::Recovered> recover(simulation::SimFileSystem& files, Found& found) {
  found.clear();
  return log::recover_journal(files, kFolder, kUnsynced,
                              [&](JournalPos at, const log::RecordView& record) -> Status {
                                found.emplace_back(at, record.payload);
                                return {};
                              });
}

/// `resealed`: a whole group may hold records that no journal wrote.
void check_files(const std::string& first, const std::string& second, bool resealed) {
  simulation::SimFileSystem files(1);
  CM_ASSERT(files.create_directories(kFolder));
  for (const auto& [number, bytes] : {std::pair{1, &first}, std::pair{2, &second}}) {
    auto file = files.open(path_of(static_cast<uint64_t>(number)), FileSystem::Open::create);
    CM_ASSERT(file && (*file)->write_at(0, *bytes));
  }
  Found found, again;
  const auto recovered = recover(files, found);
  CM_ASSERT(recovered ||
            (recovered.error().code() == Errc::corrupt && !recovered.error().path().empty()));
  const auto salvaged = log::salvage_journal(files, kFolder, kUnsynced);
  CM_ASSERT(salvaged);
  CM_ASSERT(!recovered || salvaged->damage.empty());
  const auto after = recover(files, again);
  CM_ASSERT(after || resealed);
  if (recovered) CM_ASSERT(found == again);
}

void check_journal(std::string_view bytes) {
  const std::string first(bytes.substr(0, std::min<size_t>(bytes.size(), kFileBytes)));
  const std::string second(bytes.substr(first.size()));
  check_files(first, second, false);
  check_files(with_right_checksums(first), with_right_checksums(second), true);
}

}  // namespace

const Decoder kJournal{"journal", journal_example, check_journal};

}  // namespace clickmill::decoders
