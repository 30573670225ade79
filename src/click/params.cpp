#include "click/params.h"

#include "click/parse.h"

namespace clickmill::click {

void read_id(Params& params, std::string_view name, std::string& out) {
  const std::string* text = params.find(name);
  if (text == nullptr) return;
  if (!valid_ad_id(*text)) {
    params.fail(name, shown(*text) +
                          " is no id: it must have 1 to 64 characters of A-Z, a-z, 0-9, "
                          "'.', '_', ':' and '-'");
  }
  out = *text;
}

void read_device(Params& params, std::optional<Device>& out) {
  const std::string* text = params.find("device_type");
  if (text == nullptr) return;
  const auto device = parse_device(*text);
  if (device) {
    out = *device;
  } else {
    params.fail("device_type", shown(*text) + " is none of mobile, desktop, tablet, other");
  }
}

void read_country(Params& params, std::optional<Country>& out) {
  const std::string* text = params.find("country");
  if (text == nullptr) return;
  out = parse_country(*text);
  if (!out) params.fail("country", country_complaint(*text));
}

}  // namespace clickmill::click
