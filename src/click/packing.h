#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace clickmill::click {

inline constexpr size_t kUuidBytes = 16;
inline constexpr size_t kUuidChars = 36;
inline constexpr size_t kIpCharsMax = 45;

/// Packs a lower-case 8-4-4-4-12 UUID into 16 bytes; false (and `out` is
/// undefined) for any other text.
bool pack_uuid(std::string_view text, char* out);
/// Writes 36 characters.
void unpack_uuid(const char* packed, char* out);

/// How an address stands in a record. Never renumber.
enum class IpForm : uint8_t { text = 0, v4 = 1, v6 = 2 };
/// Packs an address in its canonical spelling (dotted quad without leading
/// zeros; RFC 5952) into 4 or 16 bytes; IpForm::text for any other text.
/// The spelling is ours and not libc's, since it decides what stands in files.
IpForm pack_ip(std::string_view text, char* out);
/// Writes at most kIpCharsMax characters, gives how many. `form` is v4 or v6.
size_t unpack_ip(IpForm form, const char* packed, char* out);

}  // namespace clickmill::click
