#pragma once

namespace clickmill::collector {

/// Hears what became of a click on its way through the spool.
/// Thread: the journal's, but committed() the worker of the click's partition.
class ClickAnswer {
 public:
  virtual ~ClickAnswer() = default;
  virtual void written() {}
  virtual void durable() = 0;
  /// The journal is closed.
  virtual void failed() = 0;
  /// Whether committed() is to be called. The spool doesn't keep the answer alive until then:
  /// whoever made it does, for as long as it is wanted.
  virtual bool waits_for_commit() const { return false; }
  /// The log of the click's partition has it, whatever becomes of this node. Once for every
  /// click that was given the answer; never for one that damage has taken.
  virtual void committed() {}
};

}  // namespace clickmill::collector
