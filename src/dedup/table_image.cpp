// File <slot>-<number>.ids, little-endian:
//
//   offset  size  field
//   0       8     magic "cmidimg\0"
//   8       4     version, 2 (1 had other ids in each shard)
//   12      4     slot
//   16      8     hours per band
//   24      8     covered hour, see ImageCover
//   32      4     covered sequence
//   36      4     number of shards
//   40      8     XXH3-64 of bytes 0–39
//   48            for each shard:
//           8     length
//           n     the shard (top of id_table.cpp)
//           8     XXH3-64 of those n bytes, seeded with the checksum before it
//
// So the last checksum covers the file. It stands with the file's number and
// length in the state store, in a checkpoint that was committed after the file
// and its name were synced:
//
//   meta space, key: slot, 4 bytes big-endian | "ids-image"
//   value: u8 version 1 | u64 number | u64 bytes | u64 checksum |
//          i64 hours per band | i64 hour | u32 sequence | u64 XXH3-64 of everything before
//
// A file is read only where the record names it, and only if all of it agrees;
// so neither a torn nor an older one, nor one of another partition or of other
// data, is ever taken for it. A newer version is like no image.

#include "dedup/table_image.h"

#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/file_header.h"
#include "base/logging.h"

namespace clickmill::dedup {
namespace {

constexpr FileFormat kFormat{"table image", {"cmidimg\0", 8}, 2};
constexpr size_t kHeaderBytes = 48;
constexpr uint8_t kRecordVersion = 1;
constexpr std::string_view kSuffix = ".ids";

std::string record_key(state::Slot slot) {
  std::string key;
  append_key_u32(key, slot.value());
  key += kImageRecordKey;
  return key;
}

std::string prefix_of(state::Slot slot) { return std::to_string(slot.value()) + "-"; }

std::string header_of(state::Slot slot, const ImageCover& cover) {
  std::string header = begin_file_header(kFormat);
  ByteWriter writer(header);
  writer.u32(slot.value());
  writer.i64(cover.hours_per_band);
  writer.i64(cover.hour.value());
  writer.u32(cover.sequence);
  writer.u32(static_cast<uint32_t>(IdTable::kShards));
  append_checksum(header);
  return header;
}

uint64_t u64_at(std::string_view bytes, size_t at) { return ByteCursor(bytes.substr(at)).u64(); }

/// The shard as it stands in the file; `checksum` goes on.
void append_shard(const IdTable& table, size_t shard, uint64_t& checksum, std::string& out) {
  out.assign(8, '\0');
  table.encode_shard(shard, out);
  const auto block = std::string_view(out).substr(8);
  checksum = xxh64_of(block, checksum);
  std::string length;
  ByteWriter(length).u64(block.size());
  out.replace(0, 8, length);
  ByteWriter(out).u64(checksum);
}

/// Reads an image's parts one after the other and keeps the checksum.
class ImageReader {
 public:
  ImageReader(File& file, uint64_t bytes) : file_(file), bytes_(bytes) {}

  /// The next `length` bytes, all of them.
  Result<std::string> take(uint64_t length) {
    if (length > bytes_ - at_) return corrupt("is too short");
    std::string out;
    TRY(file_.read_at(at_, length, out));
    if (out.size() != length) return corrupt("is too short");
    at_ += length;
    return out;
  }
  Status header(state::Slot slot, const ImageCover& cover) {
    const auto found = TRY(take(kHeaderBytes));
    TRY(read_file_header(kFormat, found, file_.path()));
    if (found != header_of(slot, cover)) return corrupt("has another header");
    checksum_ = u64_at(found, kHeaderBytes - 8);
    return {};
  }
  Result<std::string> shard() {
    const auto length = TRY(take(8));
    auto block = TRY(take(u64_at(length, 0)));
    const auto stored = TRY(take(8));
    checksum_ = xxh64_of(block, checksum_);
    if (u64_at(stored, 0) != checksum_) return corrupt("fails its checksum");
    return block;
  }
  Error corrupt(const char* what) const {
    return Error(Errc::corrupt, std::string("id table image ") + what, file_.path(), at_);
  }
  uint64_t checksum() const { return checksum_; }
  bool at_end() const { return at_ == bytes_; }

 private:
  File& file_;
  const uint64_t bytes_;
  uint64_t at_ = 0;
  uint64_t checksum_ = 0;
};

}  // namespace

std::string image_file_name(state::Slot slot, uint64_t number) {
  return prefix_of(slot) + std::to_string(number) + std::string(kSuffix);
}

void put_image_record(state::Slot slot, const ImageRecord& record, state::Batch& batch) {
  std::string value;
  ByteWriter writer(value);
  writer.u8(kRecordVersion);
  writer.u64(record.number);
  writer.u64(record.bytes);
  writer.u64(record.checksum);
  writer.i64(record.cover.hours_per_band);
  writer.i64(record.cover.hour.value());
  writer.u32(record.cover.sequence);
  append_checksum(value);
  batch.put(state::kMetaSpace, record_key(slot), std::move(value));
}

void remove_image_record(state::Slot slot, state::Batch& batch) {
  batch.remove(state::kMetaSpace, record_key(slot));
}

Result<std::optional<ImageRecord>> read_image_record(state::Slot slot, state::Store& store) {
  const auto value = TRY(store.get(state::kMetaSpace, record_key(slot)));
  const auto body = value ? before_checksum(*value) : std::nullopt;
  if (!body) return std::optional<ImageRecord>();
  ByteCursor cursor(*body);
  if (cursor.u8() != kRecordVersion) return std::optional<ImageRecord>();
  ImageRecord record;
  record.number = cursor.u64();
  record.bytes = cursor.u64();
  record.checksum = cursor.u64();
  record.cover.hours_per_band = cursor.i64();
  record.cover.hour = LogHour(cursor.i64());
  record.cover.sequence = cursor.u32();
  if (!cursor.done() || record.cover.hours_per_band < 1) return std::optional<ImageRecord>();
  return std::optional<ImageRecord>(record);
}

/// Shared with the background's tasks: theirs while `busy` is set, the worker's
/// otherwise.
struct ImageWriter::Job {
  FileSystem& files;
  const std::string directory;
  const std::string path;
  std::function<bool(std::function<void()>)> run;  // immutable
  std::shared_ptr<std::atomic<bool>> writing;
  ImageRecord record;
  std::atomic<bool> busy{false};
  std::unique_ptr<File> file;
  std::string bytes;  // to be written next
  bool durable = false;
  bool taken = false;
  std::optional<std::string> failure;

  Job(FileSystem& files_in, const std::string& directory_in, const std::string& name,
      std::shared_ptr<std::atomic<bool>> writing_in)
      : files(files_in),
        directory(directory_in),
        path(directory_in + "/" + name),
        writing(std::move(writing_in)) {}
  ~Job() {
    file.reset();
    if (!taken) ignore(files.remove(path), "keep_only() removes it at the next start");
    writing->store(false);
  }
  void check(const Status& done) {
    if (!done) failure = done.error().text();
  }
  void write() {
    check(file->write_at(record.bytes, bytes));
    record.bytes += bytes.size();
    bytes.clear();
  }
  void sync() {
    check(file->sync());
    if (!failure) check(files.sync_directory(directory));
    durable = !failure;
  }
};

ImageWriter::~ImageWriter() = default;

const ImageCover& ImageWriter::cover() const { return job_->record.cover; }

bool ImageWriter::busy() const { return job_->busy.load(); }

void ImageWriter::step(const IdTable& table) {
  const bool last = next_shard_ == IdTable::kShards;
  if (job_->durable || job_->failure) return;
  // A step that could not be given to the background is tried again as it is.
  if (!last && job_->bytes.empty()) {
    append_shard(table, next_shard_, job_->record.checksum, job_->bytes);
  }
  job_->busy.store(true);
  const bool taken = job_->run([job = job_, last] {
    last ? job->sync() : job->write();
    job->busy.store(false);
  });
  if (!taken) {
    job_->busy.store(false);
  } else if (!last) {
    ++next_shard_;
  }
}

std::optional<ImageRecord> ImageWriter::take() {
  if (!job_->durable) return {};
  job_->taken = true;
  return job_->record;
}

std::optional<std::string> ImageWriter::failure() const { return job_->failure; }

TableImages::TableImages(FileSystem& files, Options options)
    : files_(files), options_(std::move(options)) {}

bool TableImages::run(std::function<void()> task) const {
  if (options_.in_background) return options_.in_background(std::move(task));
  task();
  return true;
}

std::unique_ptr<ImageWriter> TableImages::begin(state::Slot slot, uint64_t number,
                                                const ImageCover& cover) {
  if (writing_->exchange(true)) return nullptr;
  const auto job = std::make_shared<ImageWriter::Job>(files_, options_.directory,
                                                      image_file_name(slot, number), writing_);
  job->run = [this](std::function<void()> task) { return run(std::move(task)); };
  job->record.number = number;
  job->record.cover = cover;
  auto file = files_.open(job->path, FileSystem::Open::truncate);
  if (!file) {
    log_warn("dedup", "no table image: " + file.error().text());
    return nullptr;
  }
  job->file = std::move(*file);
  job->bytes = header_of(slot, cover);
  job->record.checksum = u64_at(job->bytes, kHeaderBytes - 8);
  job->write();
  return std::unique_ptr<ImageWriter>(new ImageWriter(job));
}

Result<IdTable> TableImages::read(state::Slot slot, const ImageRecord& record,
                                  int64_t forgotten_before) {
  const auto path = options_.directory + "/" + image_file_name(slot, record.number);
  const auto file = TRY(files_.open(path, FileSystem::Open::read));
  ImageReader reader(*file, record.bytes);
  const uint64_t size = TRY(file->size());
  if (size != record.bytes) return reader.corrupt("has another length");
  TRY(reader.header(slot, record.cover));
  const int64_t newest_band = band_of(record.cover.hour, record.cover.hours_per_band);
  IdTable table(forgotten_before);
  for (size_t shard = 0; shard < IdTable::kShards; ++shard) {
    const auto block = TRY(reader.shard());
    if (!table.decode_shard(shard, block, newest_band))
      return reader.corrupt("has a malformed shard");
  }
  if (!reader.at_end() || reader.checksum() != record.checksum) {
    return reader.corrupt("is not the one that the checkpoint names");
  }
  return table;
}

void TableImages::remove(state::Slot slot, uint64_t number) {
  constexpr auto kLater = "what stays is removed by the next start";
  const auto task = [files = &files_,
                     path = options_.directory + "/" + image_file_name(slot, number)] {
    ignore(files->remove(path), kLater);
  };
  ignore(run(task), kLater);
}

void TableImages::keep_only(state::Slot slot, std::optional<uint64_t> number) {
  const auto names = files_.list(options_.directory);
  if (!names) return;
  const auto keep = number ? image_file_name(slot, *number) : std::string();
  for (const auto& name : *names) {
    if (!name.starts_with(prefix_of(slot)) || name == keep) continue;
    ignore(files_.remove(options_.directory + "/" + name), "it costs only its space");
  }
}

}  // namespace clickmill::dedup
