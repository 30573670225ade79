#pragma once

#include <span>
#include <string_view>

namespace clickmill::api {

/// A file built into the binary by conf/embed.cmake.
struct WebFile {
  std::string_view name;  ///< without folder
  std::span<const unsigned char> bytes;
  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};
/// What browsers are given: src/api/page/.
std::span<const WebFile> web_files();
/// What programs are given: openapi.json.
std::span<const WebFile> api_documents();

}  // namespace clickmill::api
