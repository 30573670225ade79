#include "log/compression.h"

#include <lz4.h>
#include <zstd.h>

#include <algorithm>

namespace clickmill::log {
namespace {

constexpr int kZstdLevel = 3;

std::string compress_lz4(std::string_view raw) {
  const int size = static_cast<int>(raw.size());
  std::string out(static_cast<size_t>(LZ4_compressBound(size)), '\0');
  const int stored =
      LZ4_compress_default(raw.data(), out.data(), size, static_cast<int>(out.size()));
  out.resize(static_cast<size_t>(std::max(stored, 0)));
  return out;
}

std::string compress_zstd(std::string_view raw) {
  std::string out(ZSTD_compressBound(raw.size()), '\0');
  const size_t stored = ZSTD_compress(out.data(), out.size(), raw.data(), raw.size(), kZstdLevel);
  out.resize(ZSTD_isError(stored) != 0 ? 0 : stored);
  return out;
}

}  // namespace

std::string compress(std::string raw, Compression& compression) {
  std::string out;
  if (compression == Compression::lz4) out = compress_lz4(raw);
  if (compression == Compression::zstd) out = compress_zstd(raw);
  if (!out.empty() && out.size() < raw.size()) return out;
  compression = Compression::none;
  return raw;
}

std::optional<std::string> decompress(std::string_view stored, uint8_t compression,
                                      size_t raw_size) {
  if (raw_size > kRawBytesMax || stored.size() > kRawBytesMax) return std::nullopt;
  if (compression == static_cast<uint8_t>(Compression::none)) {
    return stored.size() == raw_size ? std::optional(std::string(stored)) : std::nullopt;
  }
  std::string raw(raw_size, '\0');
  if (compression == static_cast<uint8_t>(Compression::lz4)) {
    const int got = LZ4_decompress_safe(stored.data(), raw.data(), static_cast<int>(stored.size()),
                                        static_cast<int>(raw_size));
    if (got < 0 || static_cast<size_t>(got) != raw_size) return std::nullopt;
    return raw;
  }
  if (compression == static_cast<uint8_t>(Compression::zstd)) {
    const size_t got = ZSTD_decompress(raw.data(), raw_size, stored.data(), stored.size());
    if (ZSTD_isError(got) != 0 || got != raw_size) return std::nullopt;
    return raw;
  }
  return std::nullopt;
}

}  // namespace clickmill::log
