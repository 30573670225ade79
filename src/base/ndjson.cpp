#include "base/ndjson.h"

#include <fmt/format.h>

#include <iterator>
#include <utility>

#include "base/text.h"

namespace clickmill {
namespace {

constexpr size_t kListed = 1000;

}  // namespace

void LineReport::reject(size_t line, std::string field, std::string detail) {
  ++rejected_;
  list_.emplace(line, Reason{std::move(field), std::move(detail)});
  if (list_.size() > kListed) list_.erase(std::prev(list_.end()));
}

std::string LineReport::to_json() const {
  std::string list;
  for (const auto& [line, reason] : list_) {
    list += fmt::format("{}{{\"line\":{},\"field\":{},\"detail\":{}}}", list.empty() ? "" : ",",
                        line, json_quoted(reason.field), json_quoted(reason.detail));
  }
  return fmt::format("{{\"accepted\":{},\"rejected_count\":{},\"rejected\":[{}]}}", accepted_,
                     rejected_, list);
}

}  // namespace clickmill
