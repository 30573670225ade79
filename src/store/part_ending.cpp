#include "store/part_ending.h"

namespace clickmill::store {

Error corrupt(const File& file, uint64_t position, const std::string& what) {
  return Error(Errc::corrupt, what, file.path(), position);
}

Status read_exactly(File& file, uint64_t position, uint64_t size, std::string& out) {
  TRY(file.read_at(position, size, out));
  if (out.size() != size) return corrupt(file, position + out.size(), "the file ends early");
  return {};
}

Result<Ending> read_ending(File& file) {
  Ending ending;
  ending.file_bytes = TRY(file.size());
  if (ending.file_bytes < kHeaderBytes + kFooterBytes) {
    return corrupt(file, ending.file_bytes, "too short for a part");
  }
  std::string bytes;
  TRY(read_exactly(file, 0, kHeaderBytes, bytes));
  uint32_t version = 0;
  std::string problem = check_header(bytes, version);
  if (!problem.empty()) return corrupt(file, 0, problem);
  const uint64_t at = ending.file_bytes - kFooterBytes;
  TRY(read_exactly(file, at, kFooterBytes, bytes));
  problem = decode_footer(bytes, ending.file_bytes, ending.footer);
  if (!problem.empty()) return corrupt(file, at, problem);
  if (version != ending.footer.version) {
    return corrupt(file, 0,
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
