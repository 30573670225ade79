#include "store/part_ending.h"

#include <algorithm>
#include <utility>

namespace clickmill::store {

Result<PartFile> whole_file(std::shared_ptr<File> file) {
  const uint64_t bytes = TRY(file->size());
  return PartFile{std::move(file), 0, bytes};
}

Result<PartFile> place_of(std::shared_ptr<File> file, const PartMeta& meta) {
  auto whole = TRY(whole_file(std::move(file)));
  if (meta.position == 0) return whole;
  if (whole.bytes < meta.position || whole.bytes - meta.position < meta.bytes)
    return corrupt(whole, std::max(whole.bytes, meta.position), "the file ends early");
  return PartFile{std::move(whole.file), meta.position, meta.bytes};
}

Error corrupt(const PartFile& part, uint64_t position, const std::string& what) {
  return Error(Errc::corrupt, what, part.file->path(), part.begin + position);
}

Status read_exactly(const PartFile& part, uint64_t position, uint64_t size, std::string& out) {
  TRY(part.file->read_at(part.begin + position, size, out));
  if (out.size() != size) return corrupt(part, position + out.size(), "the file ends early");
  return {};
}

Result<Ending> read_ending(const PartFile& part) {
  Ending ending;
  ending.file_bytes = part.bytes;
  if (ending.file_bytes < kHeaderBytes + kFooterBytes) {
    return corrupt(part, ending.file_bytes, "too short for a part");
  }
  std::string bytes;
  TRY(read_exactly(part, 0, kHeaderBytes, bytes));
  uint32_t version = 0;
  std::string problem = check_header(bytes, version);
  if (!problem.empty()) return corrupt(part, 0, problem);
  const uint64_t at = ending.file_bytes - kFooterBytes;
  TRY(read_exactly(part, at, kFooterBytes, bytes));
  problem = decode_footer(bytes, ending.file_bytes, ending.footer);
  if (!problem.empty()) return corrupt(part, at, problem);
  if (version != ending.footer.version) {
    return corrupt(part, 0,
                   "header of version " + std::to_string(version) + ", footer of version " +
                       std::to_string(ending.footer.version));
  }
  ending.checksum = footer_checksum(bytes);
  return ending;
}

PartMeta meta_of(const Ending& ending, const std::string& name) {
  const Footer& footer = ending.footer;
  const int64_t unit = bucket_ms(footer.table);
  return PartMeta{
      name,        footer.table,      footer.min_bucket * unit, footer.max_bucket * unit,
      footer.rows, ending.file_bytes, ending.checksum};
}

bool same_meta(const PartMeta& a, const PartMeta& b) {
  return a.table == b.table && a.min_bucket_ms == b.min_bucket_ms &&
         a.max_bucket_ms == b.max_bucket_ms && a.rows == b.rows && a.bytes == b.bytes &&
         a.checksum == b.checksum;
}

}  // namespace clickmill::store
