// A progress file: magic | u32 version | varint partitions | of each varint offset, varint
// minute of the walk | checksum (base/file_header.h).
#include "sinks/progress.h"

#include <utility>

#include "base/checksum.h"
#include "base/file_header.h"

namespace clickmill::sinks {
namespace {

constexpr FileFormat kFormat{
    .name = "progress of a sink of minute rows", .magic = "CMSINKPR", .version = 1};

}  // namespace

Result<Progress> Progress::open(FileSystem& files, std::string path, size_t partitions) {
  Progress progress(files, std::move(path), partitions);
  if (!files.exists(progress.path_)) return progress;
  const std::string bytes = TRY(read_file(files, progress.path_));
  auto header = TRY(read_file_header(kFormat, bytes, progress.path_));
  progress.places_ = parse(header.fields, partitions);
  if (!progress.places_.empty() && header.fields.done()) return progress;
  return Error(Errc::corrupt, "the places are malformed, or of another number of partitions",
               progress.path_);
}

void Progress::set(PartitionId id, const Place& place) {
  if (of(id) == place) return;
  places_[id.value()] = place;
  changed_ = true;
}

std::string Progress::told() const {
  std::string told;
  ByteWriter out(told);
  out.varint(places_.size());
  for (const Place& place : places_) {
    out.varint(place.arrived.value());
    out.varint(place.walk);
  }
  return told;
}

std::vector<Progress::Place> Progress::parse(ByteCursor& told, size_t partitions) {
  if (told.varint() != partitions) return {};
  std::vector<Place> places(partitions);
  for (Place& place : places) {
    place.arrived = Offset(told.varint());
    place.walk = told.varint();
  }
  if (!told.ok()) return {};
  return places;
}

Status Progress::save() {
  if (!changed_) return {};
  std::string bytes = begin_file_header(kFormat);
  bytes += told();
  append_checksum(bytes);
  TRY(write_file_atomically(*files_, path_, bytes));
  changed_ = false;
  return {};
}

}  // namespace clickmill::sinks
