#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/strong.h"

namespace clickmill::sinks {

/// Where a sink's messages go. What it has taken it keeps trying to bring there, in order,
/// until it says what became of it.
/// Thread: one at a time.
class Broker {
 public:
  struct Message {
    std::string_view key;
    std::string_view value;
    PartitionId partition;
    Offset offset;
  };
  /// `why` is empty when it is kept safely where it went.
  using Told = std::function<void(void* ticket, std::string_view why)>;

  virtual ~Broker() = default;
  /// Copies the message. False: too much waits, try again later. An error is for good: this
  /// broker has to be made anew.
  virtual Result<bool> send(const Message& message, void* ticket) = 0;
  /// Waits up to `wait_ms` for something to tell, and tells it here, each ticket once.
  /// Errc::closed: this broker has to be made anew.
  virtual Status serve(int wait_ms, const Told& told) = 0;
  /// Failures that it gets over by itself, since it was made; and the last one's text.
  virtual size_t errors() const = 0;
  virtual std::string last_error() const = 0;
};

}  // namespace clickmill::sinks
