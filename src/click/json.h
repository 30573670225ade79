#pragma once

#include <string>

#include "base/strong.h"
#include "click/click.h"

namespace clickmill::click {

/// Appends the members of a click as it was recorded, without braces, beginning
/// with received_ms and ending with ad_format (`"received_ms":…,"click_id":…,…`).
/// All of them always stand there, text that is unknown as "", except for
/// `"backfill":true` and `"unknown_ad":true`, which follow only where set.
/// Bytes that are no UTF-8 become U+FFFD.
void append_json(const ClickView& click, std::string& out);

/// Appends a line of the raw log, newline included: offset, append_ms, then the click.
void append_json_line(Offset offset, LogMs append_ms, const ClickView& click, std::string& out);

}  // namespace clickmill::click
