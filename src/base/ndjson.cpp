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

void LineReport::add(LineReport&& part) {
  accepted_ += part.accepted_;
  rejected_ += part.rejected_;
  list_.merge(part.list_);
  while (list_.size() > kListed) list_.erase(std::prev(list_.end()));
}

std::string LineReport::to_json() const { return json(""); }

std::string LineReport::to_json_with_reason(std::string_view rule) const {
  return json(accepted_ == 0 ? ",\"detail\":" + json_quoted(why_none(rule)) : "");
}

std::string LineReport::why_none(std::string_view rule) const {
  if (rejected_ == 0) return fmt::format("the body holds no line; {}", rule);
  const auto& [line, reason] = *list_.begin();
  return fmt::format("none of {} lines was accepted; the first, line {}: {}{}{}", rejected_, line,
                     reason.field, reason.field.empty() ? "" : ": ", reason.detail);
}

std::string LineReport::json(std::string_view more) const {
  std::string list;
  for (const auto& [line, reason] : list_) {
    list += fmt::format("{}{{\"line\":{},\"field\":{},\"detail\":{}}}", list.empty() ? "" : ",",
                        line, json_quoted(reason.field), json_quoted(reason.detail));
  }
  return fmt::format("{{\"accepted\":{},\"rejected_count\":{},\"rejected\":[{}]{}}}", accepted_,
                     rejected_, list, more);
}

}  // namespace clickmill
