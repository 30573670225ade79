#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/file_system.h"
#include "base/result.h"
#include "store/part_format.h"
#include "store/part_meta.h"

namespace clickmill::store {

/// Where a part stands: a file, or a stretch of one that it shares with others. Thread: any;
/// scans only read at positions, which File allows together.
struct PartFile {
  std::shared_ptr<File> file;
  uint64_t begin = 0;
  uint64_t bytes = 0;
};
/// The whole file.
Result<PartFile> whole_file(std::shared_ptr<File> file);
/// Where the list says. Errc::corrupt: the file ends before.
Result<PartFile> place_of(std::shared_ptr<File> file, const PartMeta& meta);

/// Errc::corrupt, with file and byte. Positions here and below are a part's own.
Error corrupt(const PartFile& part, uint64_t position, const std::string& what);
/// Exactly `size` bytes, or an error.
Status read_exactly(const PartFile& part, uint64_t position, uint64_t size, std::string& out);

/// What stands at both ends of a part, checked. Thread: any.
struct Ending {
  Footer footer;
  uint64_t file_bytes = 0;
  uint64_t checksum = 0;
};
Result<Ending> read_ending(const PartFile& part);
/// But for where it stands in its file.
PartMeta meta_of(const Ending& ending, const std::string& name);
/// But for the name and where it stands.
bool same_meta(const PartMeta& a, const PartMeta& b);

}  // namespace clickmill::store
