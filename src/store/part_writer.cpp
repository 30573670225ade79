#include "store/part_writer.h"

#include <algorithm>
#include <limits>

#include "base/checksum.h"
#include "store/key_dictionary.h"
#include "store/part_format.h"
#include "store/row_views.h"

namespace clickmill::store {
namespace {

// A block is a unit of reading and of skipping: an ad's hour in minutes should
// cost one block, and its entry of some 40 bytes should cost little per row.
constexpr size_t kBlockRows = 128;
// A key with this many rows begins a block of its own, so that its sums in the
// directory are of it alone: of people or of machines too.
constexpr size_t kOwnBlockRows = 64;

Error row_invalid(size_t index, const char* what) {
  return Error(Errc::invalid, "part: row " + std::to_string(index) + ": " + what);
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

/// Writes pieces one after the other, small ones together: most parts are one write.
class Appender {
 public:
  Appender(File& file, uint64_t begin) : file_(file), begin_(begin) {}
  Status append(std::string_view bytes) {
    if (held_.size() + bytes.size() > kHeldMost) TRY(flush());
    position_ += bytes.size();
    if (bytes.size() > kHeldMost) return file_.write_at(begin_ + position_ - bytes.size(), bytes);
    held_ += bytes;
    return {};
  }
  Status flush() {
    if (!held_.empty()) TRY(file_.write_at(begin_ + position_ - held_.size(), held_));
    held_.clear();
    return {};
  }
  uint64_t position() const { return position_; }

 private:
  static constexpr size_t kHeldMost = 256 << 10;
  File& file_;
  const uint64_t begin_;
  uint64_t position_ = 0;
  std::string held_;  // not written yet; ends at position_
};

Status append_piece(Appender& out, std::string_view bytes, Piece& piece) {
  piece = Piece{out.position(), bytes.size(), xxh64_of(bytes)};
  return out.append(bytes);
}

}  // namespace

PartWriter::PartWriter(Table table, KeyDictionary keys, CountryOrder countries)
    : table_(table), keys_(std::move(keys)), countries_(std::move(countries)) {}

Status PartWriter::check(std::span<const RowView> rows) const {
  const int64_t unit = bucket_ms(table_);
  RowView last;
  last.advertiser_id = last_.advertiser_id;
  last.ad_id = last_.ad_id;
  last.automated = last_.automated;
  last.bucket_ms = last_.bucket_ms;
  for (size_t i = 0; i < rows.size(); ++i) {
    const int64_t bucket = rows[i].bucket_ms;
    if (bucket < 0 || bucket % unit != 0 ||
        bucket / unit > int64_t{std::numeric_limits<uint32_t>::max()}) {
      return row_invalid(footer_rows_ + i, "no bucket of this table begins then");
    }
    const bool first = footer_rows_ + i == 0;
    if (!first && !view_less(i == 0 ? last : rows[i - 1], rows[i]))
      return row_invalid(footer_rows_ + i, "keys are not rising");
  }
  return {};
}

Status PartWriter::add(std::span<const RowView> rows) {
  if (rows.empty()) return {};
  TRY(check(rows));
  std::vector<uint32_t> keys;
  keys.reserve(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i > 0 && same_ad(rows[i - 1], rows[i])) {
      keys.push_back(next_key_ - 1);
      continue;
    }
    const uint32_t key = next_key_++;
    if (key >= keys_.size() || keys_.ad_id(key) != rows[i].ad_id ||
        keys_.advertiser_id(key) != rows[i].advertiser_id ||
        keys_.automated(key) != rows[i].automated)
      return row_invalid(footer_rows_ + i, "not the next of the keys");
    keys.push_back(key);
  }
  const std::vector<size_t> bounds = block_bounds(keys);
  for (size_t i = 0; i + 1 < bounds.size(); ++i) {
    const size_t size = bounds[i + 1] - bounds[i];
    blocks_.push_back(encode_block(rows.subspan(bounds[i], size),
                                   std::span(keys).subspan(bounds[i], size), table_, countries_,
                                   sections_));
  }
  footer_rows_ += rows.size();
  last_.advertiser_id = rows.back().advertiser_id;
  last_.ad_id = rows.back().ad_id;
  last_.automated = rows.back().automated;
  last_.bucket_ms = rows.back().bucket_ms;
  return {};
}

Result<PartMeta> PartWriter::write(FileSystem& files, const std::string& directory,
                                   const std::string& name) {
  TRY(check_whole());
  const std::string path = directory + "/" + name;
  auto written = write_file(files, path, name);
  // On a full disk, half a file each time it is tried again would be the rest of it.
  if (!written) ignore(files.remove(path), "the caller hears why the part was not written");
  return written;
}

Status PartWriter::check_whole() const {
  if (blocks_.empty()) return Error(Errc::invalid, "part: no rows");
  if (next_key_ != keys_.size()) return Error(Errc::invalid, "part: a key has no row");
  return {};
}

Result<PartMeta> PartWriter::write_file(FileSystem& files, const std::string& path,
                                        const std::string& name) {
  auto file = TRY(files.open(path, FileSystem::Open::truncate));
  auto meta = TRY(write_to(*file, 0, name));
  TRY(file->sync());
  return meta;
}

Result<PartMeta> PartWriter::write_to(File& file, uint64_t begin, const std::string& name) const {
  TRY(check_whole());
  Footer footer;
  if (keys_.any_automated()) footer.version = kVersionWithAutomated;
  footer.table = table_;
  footer.rows = footer_rows_;
  footer.blocks = blocks_.size();
  footer.min_bucket = blocks_.front().min_bucket;
  for (const BlockEntry& block : blocks_) {
    footer.min_bucket = std::min(footer.min_bucket, block.min_bucket);
    footer.max_bucket = std::max(footer.max_bucket, block.max_bucket);
  }
  std::string dictionary;
  keys_.encode(dictionary);
  countries_.encode(dictionary);
  std::string directory;
  encode_directory(blocks_, footer.min_bucket, directory);
  Appender out(file, begin);
  TRY(out.append(encode_header(footer.version)));
  for (size_t i = 0; i < kRegions; ++i) {
    footer.sections[i] = sections_[i].size();
    TRY(out.append(sections_[i]));
  }
  TRY(append_piece(out, dictionary, footer.dictionary));
  TRY(append_piece(out, directory, footer.directory));
  const std::string end = encode_footer(footer);
  TRY(out.append(end));
  TRY(out.flush());
  return PartMeta{name,
                  table_,
                  footer.min_bucket * bucket_ms(table_),
                  footer.max_bucket * bucket_ms(table_),
                  footer.rows,
                  out.position(),
                  footer_checksum(end),
                  begin};
}

Result<PartMeta> write_part(FileSystem& files, const std::string& directory,
                            const std::string& name, Table table, const std::vector<Row>& rows) {
  const RowViews views(rows);
  return write_part(files, directory, name, table, std::span<const RowView>(views));
}

Result<PartMeta> write_part(FileSystem& files, const std::string& directory,
                            const std::string& name, Table table, std::span<const RowView> rows) {
  PartWriter writer = TRY(writer_of(table, rows));
  return writer.write(files, directory, name);
}

Result<PartWriter> writer_of(Table table, std::span<const RowView> rows) {
  std::vector<uint32_t> keys;
  PartWriter writer(table, KeyDictionary::of_rows(rows, keys), CountryOrder::of_rows(rows));
  TRY(writer.add(rows));
  return writer;
}

}  // namespace clickmill::store
