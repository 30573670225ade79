#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace clickmill::click {

/// The value of one member of a JSON object, as far as flat records need it.
struct FlatValue {
  enum class Kind : uint8_t {
    absent,
    null,
    integer,       ///< `integer` holds it
    other_number,  ///< a fraction, an exponent or beyond int64; `text` is its spelling
    string,        ///< `text` holds it, decoded
    boolean,
    object,  ///< its content was skipped
    array,
  };
  Kind kind = Kind::absent;
  int64_t integer = 0;  ///< of a boolean 1 or 0
  std::string text;
};

inline constexpr size_t kJsonDepthMax = 32;

/// Why a text is no JSON object we read. `member` is set when one of the
/// object's own members is to blame (a number that no double can hold).
struct FlatJsonError {
  std::string member;
  std::string detail;
};

/// Reads a JSON object in one pass and hands each of its own members over, in
/// order, repeated ones too; what is nested deeper is checked and skipped. Strict:
/// UTF-8, no comments, one value, at most kJsonDepthMax levels. Builds no tree
/// and doesn't recurse, so that hostile input costs no more than its length.
std::optional<FlatJsonError> read_flat_json(
    std::string_view json, const std::function<void(std::string_view, FlatValue&&)>& on_member);

}  // namespace clickmill::click
