#pragma once

#include <string_view>

#include "base/query_params.h"
#include "base/result.h"

namespace clickmill::http {

/// Reads a multipart/form-data body (RFC 7578): its fields in order, uploaded files left out.
/// Errc::invalid when the Content-Type names no boundary or the body doesn't end with it.
Result<QueryParams> parse_multipart(std::string_view content_type, std::string_view body);

}  // namespace clickmill::http
