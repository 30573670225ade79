#pragma once

#include <string>
#include <utility>

#include "base/result.h"
#include "base/strong.h"
#include "log/entry.h"
#include "stream/settings.h"

namespace clickmill::tools {

/// What was recorded while node time ran ahead, as it stands when node time is set back to
/// `to`: no time of ours in it is above that, and order, offsets and identities are as before.
/// What the stream has made of a click it makes of it again when the log is replayed: one that
/// was late is late, one that was counted in a minute counts there.
/// Done twice it changes nothing more. Thread: one.
class SetBack {
 public:
  SetBack(LogMs to, stream::Settings settings) : to_(to), settings_(std::move(settings)) {}

  /// Errc::corrupt: it is not what its kind says.
  Result<log::Entry> entry(log::Entry entry) const;
  /// A click that no log has yet, so that nothing was made of it: it counts in the minute of
  /// its own timestamp; where that was the clock's, it is `to`. Errc::corrupt: no record.
  Status pending(std::string& record) const;

 private:
  Result<std::string> clicks(std::string_view payload) const;
  Result<std::string> tick(std::string_view payload) const;
  void judged(std::string& record) const;

  LogMs to_;
  stream::Settings settings_;
};

}  // namespace clickmill::tools
