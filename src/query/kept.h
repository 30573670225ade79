#pragma once

#include <optional>

#include "query/request.h"
#include "store/retention.h"

namespace clickmill::query {

/// Sees to it that a request can be answered although rows before these times have been
/// deleted from their tables: a total, which may have any edges, is widened to whole hours
/// or days where minutes are gone. What can't be answered from what is left is refused,
/// naming what is gone and what would do; an answer never counts what is gone as zero.
std::optional<ParamError> fit_to_kept(ClicksRequest& request, const store::TableTimes& deleted);
std::optional<ParamError> fit_to_kept(TopRequest& request, const store::TableTimes& deleted);

}  // namespace clickmill::query
