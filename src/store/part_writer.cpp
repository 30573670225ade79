#include "store/part_writer.h"

#include <algorithm>
#include <limits>

#include "base/checksum.h"
#include "store/key_dictionary.h"
#include "store/part_format.h"

namespace clickmill::store {
namespace {

// A block is a unit of reading and of skipping: an ad's hour in minutes should
// cost one block, and its entry of some 40 bytes should cost little per row.
constexpr size_t kBlockRows = 128;
// An ad with this many rows begins a block of its own, so that its sums in the
// directory are of it alone.
constexpr size_t kOwnBlockRows = 64;

Error row_invalid(size_t index, const char* what) {
  return Error(Errc::invalid, "part: row " + std::to_string(index) + ": " + what);
}

Status check_rows(const std::vector<Row>& rows, Table table) {
  const int64_t unit = bucket_ms(table);
  if (rows.empty()) return Error(Errc::invalid, "part: no rows");
  for (size_t i = 0; i < rows.size(); ++i) {
    const int64_t bucket = rows[i].bucket_ms;
    if (bucket < 0 || bucket % unit != 0 ||
        bucket / unit > int64_t{std::numeric_limits<uint32_t>::max()}) {
      return row_invalid(i, "no bucket of this table begins then");
    }
    if (i > 0 && !key_less(rows[i - 1], rows[i])) return row_invalid(i, "keys are not rising");
  }
  return {};
}

/// First row of each block, and the number of rows at the end.
std::vector<size_t> block_bounds(const std::vector<uint32_t>& keys) {
  std::vector<size_t> bounds{0};
  const auto pending = [&](size_t at) { return at - bounds.back(); };
  for (size_t begin = 0; begin < keys.size();) {
    const auto run_end = std::upper_bound(keys.begin() + static_cast<std::ptrdiff_t>(begin),
                                          keys.end(), keys[begin]);
    const auto end = static_cast<size_t>(run_end - keys.begin());
    const size_t length = end - begin;
    const bool own = length >= kOwnBlockRows;
    if (pending(begin) > 0 && (own || pending(end) > kBlockRows)) bounds.push_back(begin);
    if (own) {
      // Even shares, none much above kBlockRows: a short last block would cost a whole entry.
      const size_t blocks = (length + kBlockRows / 2) / kBlockRows;
      const size_t share = (length + blocks - 1) / blocks;
      for (size_t at = begin + share; at < end; at += share) bounds.push_back(at);
      if (end < keys.size()) bounds.push_back(end);
    }
    begin = end;
  }
  if (bounds.back() != keys.size()) bounds.push_back(keys.size());
  return bounds;
}

/// A part in the making: everything but the file.
struct Image {
  std::array<std::string, kRegions> sections;
  std::string dictionary;
  std::string directory;
  Footer footer;
};

Image make_image(Table table, const std::vector<Row>& rows) {
  Image image;
  std::vector<uint32_t> keys;
  KeyDictionary::of_rows(rows, keys).encode(image.dictionary);
  const CountryOrder countries = CountryOrder::of_rows(rows);
  countries.encode(image.dictionary);
  const std::vector<size_t> bounds = block_bounds(keys);
  std::vector<BlockEntry> blocks;
  for (size_t i = 0; i + 1 < bounds.size(); ++i) {
    const size_t size = bounds[i + 1] - bounds[i];
    blocks.push_back(encode_block(std::span(rows).subspan(bounds[i], size),
                                  std::span(keys).subspan(bounds[i], size), table, countries,
                                  image.sections));
  }
  Footer& footer = image.footer;
  footer.table = table;
  footer.rows = rows.size();
  footer.blocks = blocks.size();
  footer.min_bucket = blocks.front().min_bucket;
  for (const BlockEntry& block : blocks) {
    footer.min_bucket = std::min(footer.min_bucket, block.min_bucket);
    footer.max_bucket = std::max(footer.max_bucket, block.max_bucket);
  }
  encode_directory(blocks, footer.min_bucket, image.directory);
  return image;
}

/// Writes pieces one after the other.
class Appender {
 public:
  explicit Appender(File& file) : file_(file) {}
  Status append(std::string_view bytes) {
    TRY(file_.write_at(position_, bytes));
    position_ += bytes.size();
    return {};
  }
  uint64_t position() const { return position_; }

 private:
  File& file_;
  uint64_t position_ = 0;
};

Status append_piece(Appender& out, std::string_view bytes, Piece& piece) {
  piece = Piece{out.position(), bytes.size(), xxh64_of(bytes)};
  return out.append(bytes);
}

}  // namespace

namespace {

Result<PartMeta> write_file(FileSystem& files, const std::string& path, const std::string& name,
                            Table table, const std::vector<Row>& rows) {
  Image image = make_image(table, rows);
  Footer& footer = image.footer;
  auto file = TRY(files.open(path, FileSystem::Open::truncate));
  Appender out(*file);
  TRY(out.append(encode_header()));
  for (size_t i = 0; i < kRegions; ++i) {
    footer.sections[i] = image.sections[i].size();
    TRY(out.append(image.sections[i]));
  }
  TRY(append_piece(out, image.dictionary, footer.dictionary));
  TRY(append_piece(out, image.directory, footer.directory));
  const std::string end = encode_footer(footer);
  TRY(out.append(end));
  TRY(file->sync());
  return PartMeta{name,
                  table,
                  footer.min_bucket * bucket_ms(table),
                  footer.max_bucket * bucket_ms(table),
                  footer.rows,
                  out.position(),
                  footer_checksum(end)};
}

}  // namespace

Result<PartMeta> write_part(FileSystem& files, const std::string& directory,
                            const std::string& name, Table table, const std::vector<Row>& rows) {
  TRY(check_rows(rows, table));
  const std::string path = directory + "/" + name;
  auto written = write_file(files, path, name, table, rows);
  // On a full disk, half a file each time it is tried again would be the rest of it.
  if (!written) ignore(files.remove(path), "the caller hears why the part was not written");
  return written;
}

}  // namespace clickmill::store
