#include "base/file_header.h"

#include "base/assert.h"
#include "base/checksum.h"

namespace clickmill {
namespace {

constexpr size_t kMagicBytes = 8;
constexpr size_t kChecksumBytes = 8;

Error corrupt(const FileFormat& format, std::string_view what, const std::string& path) {
  return Error(Errc::corrupt, std::string(format.name) + ": file header " + std::string(what),
               path);
}

/// Nothing but what is wrong with the magic.
Status check_magic(const FileFormat& format, std::string_view bytes, const std::string& path) {
  CM_ASSERT(format.magic.size() == kMagicBytes);
  if (bytes.size() < kMagicBytes) return corrupt(format, "is cut off", path);
  if (bytes.starts_with(format.magic)) return {};
  const char* const version = format.version == 0 ? " of this version" : "";
  return Error(Errc::corrupt, "not a " + std::string(format.name) + version, path);
}

std::string readable(const FileFormat& format) {
  std::string text = std::to_string(format.version);
  if (format.version_min != format.version)
    text = std::to_string(format.version_min) + " to " + text;
  return text;
}

/// Version and fields of what stands before the checksum.
Result<FileHeaderFields> fields_of(const FileFormat& format, std::string_view body,
                                   const std::string& path) {
  ByteCursor cursor(body.substr(kMagicBytes));
  if (format.version == 0) return FileHeaderFields{0, cursor};
  const uint32_t version = cursor.u32();
  if (!cursor.ok()) return corrupt(format, "is cut off", path);
  if (version < format.version_min || version > format.version) {
    return Error(Errc::invalid,
                 std::string(format.name) + ": version " + std::to_string(version) +
                     ", this program reads " + readable(format),
                 path, kMagicBytes);
  }
  return FileHeaderFields{version, cursor};
}

}  // namespace

std::string begin_file_header(const FileFormat& format) {
  std::string out(format.magic);
  if (format.version != 0) ByteWriter(out).u32(format.version);
  return out;
}

Result<FileHeaderFields> read_file_header(const FileFormat& format, std::string_view bytes,
                                          const std::string& path) {
  TRY(check_magic(format, bytes, path));
  if (bytes.size() < kMagicBytes + kChecksumBytes) return corrupt(format, "is cut off", path);
  const auto body = before_checksum(bytes);
  if (!body) return corrupt(format, "fails its checksum", path);
  return fields_of(format, *body, path);
}

Result<FileHeaderFields> read_unchecked_file_header(const FileFormat& format,
                                                    std::string_view bytes,
                                                    const std::string& path) {
  TRY(check_magic(format, bytes, path));
  return fields_of(format, bytes, path);
}

}  // namespace clickmill
