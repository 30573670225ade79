#pragma once

#include <string>

namespace clickmill::sinks {

/// One way out, with a thread of its own. Nobody waits for it.
/// Thread: start, stop on one thread; others any.
class Outlet {
 public:
  virtual ~Outlet() = default;
  /// The partitions can be asked.
  virtual void start() = 0;
  /// Gives what is under way a moment, and keeps how far it has come.
  virtual void stop() = 0;
  virtual const std::string& name() const = 0;
  /// For people, when it is minutes behind; empty: it isn't.
  virtual std::string warning() const = 0;
  /// How far it has come, for the same sink of other nodes.
  virtual std::string told() const = 0;
};

}  // namespace clickmill::sinks
