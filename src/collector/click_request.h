#pragma once

#include <optional>

#include "click/parse.h"
#include "http/message.h"

namespace clickmill::collector {

/// Reads a click out of a request, in any of the ways in which one may come: JSON under any
/// type, a form (url-encoded or multipart), a ping or an empty body (fields in the query),
/// a link. An answer when it can't be read.
/// click_id and timestamp_ms may be absent afterwards, but for JSON.
std::optional<http::Response> read_click(const http::Request& request, click::ParsedClick& out);

}  // namespace clickmill::collector
