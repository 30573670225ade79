#pragma once

#include <memory>
#include <string>

#include "base/result.h"

namespace clickmill::sinks {

/// Where a sink's rows go.
/// Thread: one at a time, but end(): any.
class Table {
 public:
  virtual ~Table() = default;
  /// Waits until the rows (one JSON object a line) are kept safely there. After an error some
  /// of them may be: the same are given again.
  virtual Status insert(const std::shared_ptr<const std::string>& rows) = 0;
  /// What is under way and all that comes is answered with Errc::closed.
  virtual void end() = 0;
};

}  // namespace clickmill::sinks
