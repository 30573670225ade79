#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"

namespace clickmill::http {

/// The body as its sender wrote it: Content-Encoding undone, a UTF-8 byte order mark taken
/// off. `body` views the request's bytes or, of a compressed one, `decoded`.
/// An answer when that can't be: 415 for a coding other than gzip, 400 for broken gzip, 413
/// for more than request.body_bytes_max bytes, before they are made.
/// Cost: some 5 ms a MiB of gzip, so on an io thread for small bodies only.
std::optional<Response> decode_body(const Request& request, std::string& decoded,
                                    std::string_view& body);

/// The bytes as gzip.
std::string gzipped(std::string_view bytes);

}  // namespace clickmill::http
