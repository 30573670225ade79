#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/params.h"
#include "click/click.h"

namespace clickmill::click {

/// Parameters that name what a click has, by the rules of its fields. Absent ones
/// leave `out` as it is; wrong ones fail `params`.
void read_id(Params& params, std::string_view name, std::string& out);  ///< ad or advertiser
void read_device(Params& params, std::optional<Device>& out);           ///< device_type
void read_country(Params& params, std::optional<Country>& out);         ///< country

}  // namespace clickmill::click
