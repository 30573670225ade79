#pragma once

// base/ is what every other folder stands on and nothing of it knows a click: results and
// errors, numbers that can't be mixed (strong.h), bytes on disk (bytes.h, checksum.h),
// text (text.h, query_params.h, params.h, ndjson.h), and the outside world as arguments:
// Clock, FileSystem, Random. Give a simulated one and everything above runs on virtual
// time and a disk that forgets.
// Begin here: a function that can fail answers Result<T> or Status, TRY passes an error
// up, and no byte from outside ever reaches an assertion (assert.h). What a class may be
// called from stands in its contract as `Thread:`; mailbox.h and owned_by_thread.h are
// how threads keep apart.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace clickmill {

/// What the caller can do about an error.
enum class Errc : uint8_t {
  invalid,     ///< the input is wrong; the message names the field and the rule
  not_found,   ///< the thing asked for does not exist
  corrupt,     ///< bytes read back fail their checksum or format
  io,          ///< the device or the kernel refused
  no_space,    ///< the disk or a reserve on it is full; may pass
  not_leader,  ///< another node orders this partition; ask again there
  busy,        ///< a bounded queue is full or a deadline passed; retry later
  closed,      ///< shut down, or failed for good
};

std::string_view to_string(Errc code);

/// Why something failed: one pointer, so that a Result costs little.
/// Thread: any (immutable once made).
class [[nodiscard]] Error {
 public:
  explicit Error(Errc code, std::string message, std::string path = {}, uint64_t position = 0);

  Errc code() const { return detail_->code; }
  const std::string& message() const { return detail_->message; }
  /// File that is concerned, or empty.
  const std::string& path() const { return detail_->path; }
  /// Byte in that file.
  uint64_t position() const { return detail_->position; }
  /// Everything in one line, for a person.
  std::string text() const;
  /// The same error with what the caller knows in front of the message.
  Error with_context(std::string_view context) &&;

 private:
  struct Detail {
    Errc code;
    std::string message;
    std::string path;
    uint64_t position;
  };
  std::unique_ptr<Detail> detail_;
};

/// A value or an Error; std::expected's member names.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}      // NOLINT: implicit by design
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit by design

  bool has_value() const { return value_.has_value(); }
  explicit operator bool() const { return has_value(); }
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  Error& error() & { return *error_; }
  const Error& error() const& { return *error_; }
  Error&& error() && { return *std::move(error_); }

 private:
  std::optional<T> value_;
  std::optional<Error> error_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit by design

  bool has_value() const { return !error_.has_value(); }
  explicit operator bool() const { return has_value(); }
  void value() const {}
  void operator*() const {}
  Error& error() & { return *error_; }
  const Error& error() const& { return *error_; }
  Error&& error() && { return *std::move(error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

/// Drops an answer, and says to whoever reads it why nobody needs to know. There is no
/// other way: a cast to void gives no reason (tests/tidy).
template <typename T>
constexpr void ignore(const T& /*answer*/, const char* /*why*/) {}

}  // namespace clickmill

/// Takes the value of a Result or returns its error from the calling function.
/// Use it as a whole statement or initialiser only.
#define TRY(expression)                                      \
  __extension__({                                            \
    auto try_result_ = (expression);                         \
    if (!try_result_) return std::move(try_result_).error(); \
    *std::move(try_result_);                                 \
  })
