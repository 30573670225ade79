// A positions file: magic | u32 version | varint partitions | varint offset of each | checksum
// (base/file_header.h).
#include "sinks/positions.h"

#include <utility>

#include "base/checksum.h"
#include "base/file_header.h"

namespace clickmill::sinks {
namespace {

constexpr FileFormat kFormat{.name = "positions of a sink", .magic = "CMSINKPS", .version = 1};

}  // namespace

Result<Positions> Positions::open(FileSystem& files, std::string path, size_t partitions) {
  Positions positions(files, std::move(path), partitions);
  if (!files.exists(positions.path_)) return positions;
  const std::string bytes = TRY(read_file(files, positions.path_));
  auto header = TRY(read_file_header(kFormat, bytes, positions.path_));
  const uint64_t count = header.fields.varint();
  if (count != partitions) {
    return Error(Errc::corrupt, "the positions are of another number of partitions",
                 positions.path_);
  }
  for (Offset& arrived : positions.arrived_) arrived = Offset(header.fields.varint());
  if (!header.fields.done())
    return Error(Errc::corrupt, "the positions are malformed", positions.path_);
  return positions;
}

void Positions::set(PartitionId id, Offset arrived) {
  if (arrived_[id.value()] == arrived) return;
  arrived_[id.value()] = arrived;
  changed_ = true;
}

Status Positions::save() {
  if (!changed_) return {};
  std::string bytes = begin_file_header(kFormat);
  ByteWriter out(bytes);
  out.varint(arrived_.size());
  for (const Offset arrived : arrived_) out.varint(arrived.value());
  append_checksum(bytes);
  TRY(write_file_atomically(*files_, path_, bytes));
  changed_ = false;
  return {};
}

}  // namespace clickmill::sinks
