#pragma once

#include <string>

#include "base/strong.h"
#include "click/click.h"

namespace clickmill::click {

/// Appends the fields of a recorded click as members of a JSON object, without
/// the braces: `"received_ms":…,"click_id":…, …,"advertiser_id":…,"ad_format":…`.
/// Every field stands there, an absent one as ""; `"backfill":true` and
/// `"unknown_ad":true` follow only where they hold. Bytes that are no UTF-8,
/// which JSON can't carry, become U+FFFD.
void append_json(const ClickView& click, std::string& out);

/// Appends a line of the raw log, newline included: offset, append_ms, then the click.
void append_json_line(Offset offset, LogMs append_ms, const ClickView& click, std::string& out);

}  // namespace clickmill::click
