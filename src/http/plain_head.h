#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "http/message.h"

namespace clickmill::http {

/// The header section of a request that has nothing unusual, read in place.
/// It takes less than RFC 9112 allows, so that no two readers can see two requests in it:
/// GET, HEAD or POST, HTTP/1.1, lines that end in CR LF, printable ASCII, one Host, one
/// Content-Length at most, and none of the headers that change where a body ends or what is
/// to come before it. Whatever else there is belongs to the full parser, and so does what has
/// not come yet. Thread: any.
class PlainHead {
 public:
  struct Field {
    std::string_view name;
    std::string_view value;
  };
  /// Whether `bytes` begin with one.
  bool read(std::string_view bytes);

  Method method = Method::other;
  std::string_view target;
  uint64_t body_bytes = 0;
  bool keep_alive = true;
  size_t bytes = 0;  ///< of the section, its empty line included
  std::span<const Field> fields() const { return {fields_.data(), count_}; }

 private:
  bool read_request_line(std::string_view line);
  bool read_field(std::string_view line);
  bool note(const Field& field);

  static constexpr size_t kFieldsMost = 32;
  std::array<Field, kFieldsMost> fields_;
  size_t count_ = 0;
  bool has_host_ = false;
  bool has_length_ = false;
};

}  // namespace clickmill::http
