#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace clickmill::engine {

/// Reads a JSON document (comments allowed) key by key, checks types and
/// ranges, and gathers all that is wrong instead of stopping at the first.
///
/// A key is named by its path: "log.partitions", "auth.keys[0].name". The paths
/// asked for are the known keys; finish() calls every other one unknown. The
/// readers leave `out` alone unless the key is there and right, so that it
/// keeps its default, and return whether they set it.
/// Thread: one at a time.
class ConfigReader {
 public:
  /// Errc::invalid tells line and column of a syntax error.
  static Result<ConfigReader> parse(std::string_view json);
  ConfigReader(ConfigReader&&) noexcept;
  ~ConfigReader();

  bool has(std::string_view path);
  bool text(std::string_view path, std::string& out);
  bool texts(std::string_view path, std::vector<std::string>& out);
  template <std::unsigned_integral T>
  bool number(std::string_view path, T& out, uint64_t lowest,
              uint64_t highest = std::numeric_limits<T>::max()) {
    uint64_t value = 0;
    if (!whole_number(path, value, lowest, highest)) return false;
    out = static_cast<T>(value);
    return true;
  }
  /// One of some names.
  template <typename T>
  bool choice(std::string_view path, T& out,
              std::initializer_list<std::pair<std::string_view, T>> choices) {
    std::vector<std::string_view> names;
    for (const auto& [name, value] : choices) names.push_back(name);
    size_t index = 0;
    if (!one_of(path, index, names)) return false;
    out = choices.begin()[index].second;
    return true;
  }
  /// How many objects the list has; 0 when it is absent or wrong.
  size_t objects(std::string_view path);
  /// A problem unless the key is absent or equals this JSON (empty: absent only).
  void refuse(std::string_view path, std::string_view except_json, std::string_view why);

  /// Adds "path: what".
  void problem(std::string_view path, std::string_view what);
  /// Every problem in one line each, unknown keys with the nearest known one.
  std::vector<std::string> finish() &&;

 private:
  struct Impl;
  explicit ConfigReader(std::unique_ptr<Impl> impl);
  bool whole_number(std::string_view path, uint64_t& out, uint64_t lowest, uint64_t highest);
  bool one_of(std::string_view path, size_t& index, const std::vector<std::string_view>& names);

  std::unique_ptr<Impl> impl_;
};

}  // namespace clickmill::engine
