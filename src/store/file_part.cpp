#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/checksum.h"
#include "store/block_cache.h"
#include "store/key_dictionary.h"
#include "store/lazy_part.h"
#include "store/part.h"
#include "store/part_ending.h"
#include "store/part_format.h"

namespace clickmill::store {
namespace {

// Neighbouring blocks are read together up to this: few system calls, little memory.
constexpr uint64_t kReadBytes = 256 * 1024;
constexpr std::array<const char*, kRegions> kRegionNames{"counts", "estimates", "countries",
                                                         "visitors"};

/// Bucket numbers of a scan: [from, to).
struct Buckets {
  uint64_t from = 0;
  uint64_t to = 0;
  bool holds(uint64_t bucket) const { return bucket >= from && bucket < to; }
  bool holds_all(const BlockEntry& block) const {
    return block.min_bucket >= from && block.max_bucket < to;
  }
  bool touches(const BlockEntry& block) const {
    return block.max_bucket >= from && block.min_bucket < to;
  }
};
/// Number of the first bucket that begins at `ms` or later.
uint64_t first_bucket(int64_t ms, int64_t unit) {
  return ms <= 0 ? 0 : static_cast<uint64_t>((ms - 1) / unit) + 1;
}

using Wanted = std::array<bool, kRegions>;
using KeyRange = KeyDictionary::Range;

class FilePart final : public Part {
 public:
  /// `blocks`: the number under which its blocks are kept.
  FilePart(PartMeta meta, PartFile file, uint64_t blocks)
      : meta_(std::move(meta)), file_(std::move(file)), kept_as_(blocks) {}

  Status load(const Footer& footer);
  size_t memory_bytes() const;
  const PartMeta& meta() const override { return meta_; }
  Status scan(const Scan& scan, const Visit& visit) const override;
  Status scan_between(const PartKey& first, const PartKey& last, const Scan& scan,
                      const Visit& visit) const override;
  Result<CountryOrder> countries() const override { return countries_; }
  Status sum(const Scan& scan, const VisitSum& visit) const override;
  Status verify() const override;

 private:
  /// Bytes and columns of the blocks being read; one per scan.
  struct Reading {
    Wanted wanted{};
    bool keep = false;
    Wanted missing{};  ///< what must be read of the group of blocks
    using Kept = std::array<BlockCache::Values, kRegions>;
    std::vector<Kept> kept;  ///< what need not be, of each
    Automated automated = Automated::include;
    std::array<std::string, kRegions> bytes;
    std::array<uint64_t, kRegions> begins{};
    BlockColumns columns;
  };
  using VisitBlock = std::function<void(const BlockEntry&, const BlockColumns&)>;
  /// For one that is kept with all that is wanted.
  using VisitKept = std::function<void(const BlockEntry&, const Reading::Kept&)>;

  Status check_piece(const Piece& piece, std::string_view bytes, const char* what) const;
  Buckets buckets_of(const Scan& scan) const;
  std::vector<uint32_t> blocks_of(KeyRange keys, Buckets buckets) const;
  Status scan_keys(const std::vector<KeyRange>& ranges, const Scan& scan, const Visit& visit) const;
  Status read_blocks(const std::vector<uint32_t>& blocks, Reading& reading, const VisitBlock& visit,
                     const VisitKept& visit_kept) const;
  Wanted look_for(uint32_t block, Reading& reading) const;
  size_t begin_group(const std::vector<uint32_t>& blocks, size_t begin, Reading& reading) const;
  Status read_group(const BlockEntry& first, const BlockEntry& last, Reading& reading) const;
  bool decode_region(Region region, const BlockEntry& block, std::string_view bytes,
                     BlockColumns& columns) const;
  Status decode_block(uint32_t index, const Reading::Kept& kept, Reading& reading) const;
  Status decode_read(uint32_t index, Region region, Reading& reading) const;
  void show_rows(const BlockEntry& block, const Reading& reading, KeyRange keys, Buckets buckets,
                 const Visit& visit) const;
  void show_kept(const BlockEntry& block, const Reading::Kept& kept, Automated automated,
                 KeyRange keys, Buckets buckets, const Visit& visit) const;

  PartMeta meta_;
  const PartFile file_;
  const uint64_t kept_as_;
  KeyDictionary keys_;
  CountryOrder countries_;
  std::vector<BlockEntry> blocks_;
};

Status FilePart::check_piece(const Piece& piece, std::string_view bytes, const char* what) const {
  const uint64_t checksum = xxh64_of(bytes);
  if (checksum == piece.checksum) return {};
  return corrupt(
      file_, piece.position,
      fmt::format("{}: checksum {:016x}, stored {:016x}", what, checksum, piece.checksum));
}

Status FilePart::load(const Footer& footer) {
  std::string bytes;
  TRY(read_exactly(file_, footer.dictionary.position,
                   footer.dictionary.size + footer.directory.size, bytes));
  const auto dictionary = std::string_view(bytes).substr(0, footer.dictionary.size);
  const auto directory = std::string_view(bytes).substr(footer.dictionary.size);
  TRY(check_piece(footer.dictionary, dictionary, "dictionary"));
  TRY(check_piece(footer.directory, directory, "directory"));
  ByteCursor cursor(dictionary);
  const bool any_automated = footer.version == kVersionWithAutomated;
  if (!keys_.decode(cursor, any_automated) || !countries_.decode(cursor) || !cursor.done()) {
    return corrupt(file_, footer.dictionary.position, "dictionary: format");
  }
  if (!decode_directory(directory, footer, keys_.size(), blocks_)) {
    return corrupt(file_, footer.directory.position, "directory: format");
  }
  return {};
}

size_t FilePart::memory_bytes() const {
  return sizeof(*this) + keys_.memory_bytes() + blocks_.capacity() * sizeof(BlockEntry) +
         countries_.countries.capacity() * sizeof(CountryOrder::Usual);
}

Buckets FilePart::buckets_of(const Scan& scan) const {
  const int64_t unit = bucket_ms(meta_.table);
  return Buckets{first_bucket(scan.from_ms, unit), first_bucket(scan.to_ms, unit)};
}

/// The blocks that may hold rows of the keys in the buckets, rising.
std::vector<uint32_t> FilePart::blocks_of(KeyRange keys, Buckets buckets) const {
  const auto from =
      std::partition_point(blocks_.begin(), blocks_.end(),
                           [&](const BlockEntry& block) { return block.last_key < keys.begin; });
  const auto to = std::partition_point(
      from, blocks_.end(), [&](const BlockEntry& block) { return block.first_key < keys.end; });
  std::vector<uint32_t> out;
  const auto take = [&](auto first, auto last) {
    for (; first != last; ++first) {
      if (buckets.touches(*first)) out.push_back(static_cast<uint32_t>(first - blocks_.begin()));
    }
  };
  if (keys.end - keys.begin != 1 || to - from < 3) {
    take(from, to);
    return out;
  }
  // All but the outer two hold this key alone, so they stand in the order of time.
  const auto early = std::partition_point(
      from + 1, to - 1, [&](const BlockEntry& block) { return block.max_bucket < buckets.from; });
  const auto late = std::partition_point(
      early, to - 1, [&](const BlockEntry& block) { return block.min_bucket < buckets.to; });
  take(from, from + 1);
  take(early, late);
  take(to - 1, to);
  return out;
}

/// What is kept of the block goes to the end of `reading.kept`; gives what isn't.
Wanted FilePart::look_for(uint32_t block, Reading& reading) const {
  auto& kept = reading.kept.emplace_back();
  Wanted missing = reading.wanted;
  if (!reading.keep) return missing;
  for (const auto region : {Region::counts, Region::estimates, Region::countries}) {
    const auto r = static_cast<size_t>(region);
    if (!missing[r]) continue;
    kept[r] = BlockCache::of_process().find(kept_as_, block, region);
    missing[r] = kept[r] == nullptr;
  }
  return missing;
}

/// Begins the run of neighbours from `begin` on that is read at once; gives its end.
size_t FilePart::begin_group(const std::vector<uint32_t>& blocks, size_t begin,
                             Reading& reading) const {
  reading.kept.clear();
  uint64_t bytes = 0;
  size_t end = begin;
  for (; end < blocks.size() && blocks[end] == blocks[begin] + (end - begin); ++end) {
    const Wanted missing = look_for(blocks[end], reading);
    if (end == begin) reading.missing = missing;
    for (size_t r = 0; r < kRegions; ++r) {
      if (missing[r]) bytes += blocks_[blocks[end]].sizes[r];
    }
    if (end > begin && (bytes > kReadBytes || missing != reading.missing)) break;
  }
  return end;
}

Status FilePart::read_group(const BlockEntry& first, const BlockEntry& last,
                            Reading& reading) const {
  for (size_t r = 0; r < kRegions; ++r) {
    if (!reading.missing[r]) continue;
    const uint64_t begin = first.positions[r];
    const uint64_t end = last.positions[r] + last.sizes[r];
    TRY(read_exactly(file_, begin, end - begin, reading.bytes[r]));
    reading.begins[r] = begin;
  }
  return {};
}

bool FilePart::decode_region(Region region, const BlockEntry& block, std::string_view bytes,
                             BlockColumns& columns) const {
  switch (region) {
    case Region::counts: return decode_counts(block, bytes, columns);
    case Region::estimates: return decode_estimates(block, bytes, columns);
    case Region::countries:
      return decode_countries(bytes, columns.clicks, countries_, columns.countries,
                              columns.countries_begin);
    case Region::visitors: return decode_visitors(block, bytes, columns);
  }
  return false;
}

Status FilePart::decode_block(uint32_t index, const Reading::Kept& kept, Reading& reading) const {
  for (size_t r = 0; r < kRegions; ++r) {
    if (!reading.wanted[r]) continue;
    const auto region = static_cast<Region>(r);
    if (kept[r]) {
      unpack_region(region, blocks_[index], *kept[r], reading.columns);
    } else {
      TRY(decode_read(index, region, reading));
    }
  }
  return {};
}

Status FilePart::decode_read(uint32_t index, Region region, Reading& reading) const {
  const BlockEntry& block = blocks_[index];
  const auto r = static_cast<size_t>(region);
  const auto bytes = std::string_view(reading.bytes[r])
                         .substr(block.positions[r] - reading.begins[r], block.sizes[r]);
  const auto what = [&] { return "block " + std::to_string(index) + ": " + kRegionNames[r]; };
  const uint32_t checksum = region_checksum(bytes);
  if (checksum != block.checksums[r]) {
    return corrupt(
        file_, block.positions[r],
        fmt::format("{}: checksum {:016x}, stored {:016x}", what(), checksum, block.checksums[r]));
  }
  if (!decode_region(region, block, bytes, reading.columns)) {
    return corrupt(file_, block.positions[r], what() + ": format");
  }
  if (reading.keep && region != Region::visitors) {
    BlockCache::of_process().put(kept_as_, index, region,
                                 pack_region(region, block, reading.columns));
  }
  return {};
}

Status FilePart::read_blocks(const std::vector<uint32_t>& blocks, Reading& reading,
                             const VisitBlock& visit, const VisitKept& visit_kept) const {
  for (size_t begin = 0; begin < blocks.size();) {
    const size_t end = begin_group(blocks, begin, reading);
    TRY(read_group(blocks_[blocks[begin]], blocks_[blocks[end - 1]], reading));
    const bool all_kept = reading.missing == Wanted{};
    for (size_t i = 0; begin < end; ++begin, ++i) {
      if (all_kept) {
        visit_kept(blocks_[blocks[begin]], reading.kept[i]);
        continue;
      }
      TRY(decode_block(blocks[begin], reading.kept[i], reading));
      visit(blocks_[blocks[begin]], reading.columns);
    }
  }
  return {};
}

void FilePart::show_rows(const BlockEntry& block, const Reading& reading, KeyRange keys,
                         Buckets buckets, const Visit& visit) const {
  const BlockColumns& columns = reading.columns;
  const Wanted& wanted = reading.wanted;
  const int64_t unit = bucket_ms(meta_.table);
  RowView view;
  uint32_t key = block.last_key + 1;
  for (uint32_t i = 0; i < block.rows; ++i) {
    if (columns.keys[i] < keys.begin || columns.keys[i] >= keys.end) continue;
    if (!buckets.holds(columns.buckets[i])) continue;
    if (key != columns.keys[i]) {
      key = columns.keys[i];
      view.advertiser_id = keys_.advertiser_id(key);
      view.ad_id = keys_.ad_id(key);
      view.automated = keys_.automated(key);
    }
    if (!takes(reading.automated, view.automated)) continue;
    view.bucket_ms = static_cast<int64_t>(columns.buckets[i]) * unit;
    view.clicks = columns.clicks[i];
    for (size_t d = 0; d < click::kDevices; ++d) view.devices[d] = columns.devices[d][i];
    if (wanted[static_cast<size_t>(Region::estimates)]) view.unique_estimate = columns.estimates[i];
    if (wanted[static_cast<size_t>(Region::countries)]) {
      view.countries = columns.countries.data() + columns.countries_begin[i];
      view.countries_size = columns.countries_begin[i + 1] - columns.countries_begin[i];
    }
    if (wanted[static_cast<size_t>(Region::visitors)]) view.visitors = columns.visitors[i];
    visit(view);
  }
}

/// Shows the numbers of the rows of those keys and buckets.
template <typename Show>
void each_kept_row(const BlockEntry& block, const KeptCounts& counts, KeyRange keys,
                   Buckets buckets, const Show& show) {
  if (block.first_key != block.last_key) {
    for (size_t row = 0; row < block.rows; ++row) {
      const uint32_t key = counts.key(row);
      if (key >= keys.begin && key < keys.end && buckets.holds(counts.bucket(row))) show(row);
    }
    return;
  }
  // Of one key: in the order of time.
  size_t row = 0;
  for (size_t end = block.rows; row < end;) {
    const size_t middle = (row + end) / 2;
    if (counts.bucket(middle) < buckets.from) {
      row = middle + 1;
    } else {
      end = middle;
    }
  }
  for (; row < block.rows && counts.bucket(row) < buckets.to; ++row) show(row);
}

void FilePart::show_kept(const BlockEntry& block, const Reading::Kept& kept, Automated automated,
                         KeyRange keys, Buckets buckets, const Visit& visit) const {
  const int64_t unit = bucket_ms(meta_.table);
  const KeptCounts counts(block, *kept[0]);
  const auto& estimates = kept[static_cast<size_t>(Region::estimates)];
  const auto& countries = kept[static_cast<size_t>(Region::countries)];
  std::vector<CountryCount> of_row;
  RowView view;
  each_kept_row(block, counts, keys, buckets, [&](size_t row) {
    const uint32_t key = counts.key(row);
    view.automated = keys_.automated(key);
    if (!takes(automated, view.automated)) return;
    view.advertiser_id = keys_.advertiser_id(key);
    view.ad_id = keys_.ad_id(key);
    view.bucket_ms = static_cast<int64_t>(counts.bucket(row)) * unit;
    view.clicks = counts.clicks(row);
    for (size_t d = 0; d < click::kDevices; ++d) view.devices[d] = counts.device(d, row);
    if (estimates) view.unique_estimate = (*estimates)[row];
    if (countries) {
      of_row.clear();
      append_kept_countries(block, *countries, row, of_row);
      view.countries = of_row.data();
      view.countries_size = of_row.size();
    }
    visit(view);
  });
}

Status FilePart::scan_keys(const std::vector<KeyRange>& ranges, const Scan& scan,
                           const Visit& visit) const {
  const Buckets buckets = buckets_of(scan);
  Reading reading;
  reading.wanted = {true, scan.estimates || scan.visitors, scan.countries, scan.visitors};
  reading.automated = scan.automated;
  reading.keep = scan.keep;
  for (const KeyRange keys : ranges) {
    if (keys_.passes_over(keys, scan.automated)) continue;
    TRY(read_blocks(
        blocks_of(keys, buckets), reading,
        [&](const BlockEntry& block, const BlockColumns&) {
          show_rows(block, reading, keys, buckets, visit);
        },
        [&](const BlockEntry& block, const Reading::Kept& kept) {
          show_kept(block, kept, reading.automated, keys, buckets, visit);
        }));
  }
  return {};
}

Status FilePart::scan(const Scan& scan, const Visit& visit) const {
  return scan_keys(keys_.find(scan.advertiser_id, scan.ad_id), scan, visit);
}

Status FilePart::scan_between(const PartKey& first, const PartKey& last, const Scan& scan,
                              const Visit& visit) const {
  const KeyRange keys = keys_.between(first, last);
  return keys.begin == keys.end ? Status() : scan_keys({keys}, scan, visit);
}

void add_block(const BlockEntry& block, AdSum& sum) {
  sum.rows += block.rows;
  sum.clicks += block.clicks;
  for (size_t d = 0; d < click::kDevices; ++d) sum.devices[d] += block.devices[d];
}
void add_row(const BlockColumns& columns, size_t row, AdSum& sum) {
  ++sum.rows;
  sum.clicks += columns.clicks[row];
  for (size_t d = 0; d < click::kDevices; ++d) sum.devices[d] += columns.devices[d][row];
}

Status FilePart::sum(const Scan& scan, const VisitSum& visit) const {
  const Buckets buckets = buckets_of(scan);
  Reading reading;
  reading.wanted = {true, false, false, false};
  reading.keep = scan.keep;
  for (const KeyRange keys : keys_.find(scan.advertiser_id, scan.ad_id)) {
    std::vector<AdSum> sums(keys.end - keys.begin);
    std::vector<uint32_t> blocks = blocks_of(keys, buckets);
    std::erase_if(blocks, [&](uint32_t index) {
      const BlockEntry& block = blocks_[index];
      if (block.first_key != block.last_key || !buckets.holds_all(block)) return false;
      add_block(block, sums[block.first_key - keys.begin]);
      return true;
    });
    TRY(read_blocks(
        blocks, reading,
        [&](const BlockEntry& block, const BlockColumns& columns) {
          for (uint32_t i = 0; i < block.rows; ++i) {
            const uint32_t key = columns.keys[i];
            if (key < keys.begin || key >= keys.end || !buckets.holds(columns.buckets[i])) continue;
            add_row(columns, i, sums[key - keys.begin]);
          }
        },
        [&](const BlockEntry& block, const Reading::Kept& kept) {
          const KeptCounts counts(block, *kept[0]);
          each_kept_row(block, counts, keys, buckets, [&](size_t row) {
            AdSum& sum = sums[counts.key(row) - keys.begin];
            ++sum.rows;
            sum.clicks += counts.clicks(row);
            for (size_t d = 0; d < click::kDevices; ++d) sum.devices[d] += counts.device(d, row);
          });
        }));
    for (uint32_t key = keys.begin; key < keys.end; ++key) {
      AdSum& sum = sums[key - keys.begin];
      if (sum.rows == 0 || !takes(scan.automated, keys_.automated(key))) continue;
      sum.advertiser_id = keys_.advertiser_id(key);
      sum.ad_id = keys_.ad_id(key);
      sum.automated = keys_.automated(key);
      visit(sum);
    }
  }
  return {};
}

/// Reads its insides, whenever they are asked for.
class FileSource final : public LazyPart::Source {
 public:
  FileSource(PartMeta meta, PartFile file, const Footer& footer)
      : meta_(std::move(meta)), file_(std::move(file)), footer_(footer) {}
  const PartMeta& meta() const override { return meta_; }
  Result<LazyPart::Inside> load(uint64_t number) const override {
    auto part = std::make_shared<FilePart>(meta_, file_, number);
    TRY(part->load(footer_));
    const size_t bytes = part->memory_bytes();
    return LazyPart::Inside{std::move(part), bytes};
  }

 private:
  const PartMeta meta_;
  const PartFile file_;
  const Footer footer_;
};

Status FilePart::verify() const {
  Reading reading;
  reading.wanted.fill(true);
  std::vector<uint32_t> all(blocks_.size());
  std::iota(all.begin(), all.end(), 0U);
  return read_blocks(
      all, reading, [](const BlockEntry&, const BlockColumns&) {},
      [](const BlockEntry&, const Reading::Kept&) {});
}

}  // namespace

Result<PartMeta> Part::read_meta(FileSystem& files, const std::string& directory,
                                 const std::string& name) {
  auto file = TRY(files.open(directory + "/" + name, FileSystem::Open::read));
  const auto whole = TRY(whole_file(std::move(file)));
  return meta_of(TRY(read_ending(whole)), name);
}

Result<std::shared_ptr<const Part>> Part::open(FileSystem& files, const std::string& directory,
                                               const PartMeta& meta) {
  return open(TRY(files.open(directory + "/" + meta.name, FileSystem::Open::read)), meta);
}
Result<std::shared_ptr<const Part>> Part::open(std::shared_ptr<File> file, const PartMeta& meta) {
  PartFile place = TRY(place_of(std::move(file), meta));
  const Ending ending = TRY(read_ending(place));
  if (!same_meta(meta_of(ending, meta.name), meta)) {
    return corrupt(place, ending.file_bytes - kFooterBytes,
                   fmt::format("not the part that the list names: footer {:016x}, listed {:016x}",
                               ending.checksum, meta.checksum));
  }
  auto part = std::make_shared<LazyPart>(
      std::make_unique<FileSource>(meta, std::move(place), ending.footer));
  TRY(part->open());
  return std::shared_ptr<const Part>(std::move(part));
}

}  // namespace clickmill::store
