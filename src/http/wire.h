#pragma once

#include <string>
#include <string_view>

#include "http/message.h"

namespace clickmill::http {

/// How the end of an answer's body is told to the client.
enum class Framing : uint8_t {
  none,         ///< the status has no body (1xx, 204, 304)
  length,       ///< Content-Length
  chunked,      ///< pieces with their length in front
  until_close,  ///< the connection's end (HTTP/1.0 has no chunks)
};

/// Appends status line, headers and the empty line. `close`: whether the
/// connection ends afterwards; `http_minor` is the request's version.
/// A line break inside a header's value becomes a space: no value can add a header.
/// Thread: any.
void append_head(std::string& out, const Response& response, Framing framing, bool close,
                 int http_minor);
/// Appends one chunk; nothing for an empty piece, which would end the body.
void append_chunk(std::string& out, std::string_view piece);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

/// Now, as in a Date header. Made once a second and thread.
std::string_view http_date();

}  // namespace clickmill::http
