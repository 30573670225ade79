#pragma once

#include <cstdint>
#include <string>

#include "base/metrics.h"
#include "base/strong.h"

namespace clickmill::sinks {

/// What /metrics tells of each sink.
struct Figures {
  Figures(Metrics& metrics, const std::string& sink)
      : sent(metrics.counter("clickmill_sink_sent_total",
                             "Clicks or rows that a sink has taken, those that were sent again too",
                             "sink=\"" + sink + '"')),
        errors(metrics.counter("clickmill_sink_errors_total", "Failures of a sink",
                               "sink=\"" + sink + '"')),
        lag_offsets(metrics.gauge("clickmill_sink_lag_offsets",
                                  "Committed offsets led here that a sink has not taken yet",
                                  "sink=\"" + sink + '"')),
        lag_seconds(metrics.gauge("clickmill_sink_lag_seconds",
                                  "Age of the oldest of them, as far as it is known",
                                  "sink=\"" + sink + '"')) {}

  Counter& sent;
  Counter& errors;
  Gauge& lag_offsets;
  Gauge& lag_seconds;
};

/// Since when something has not arrived. In a log that never rests something is always on its
/// way: what counts is since when that is there which was last there and has not arrived.
class Behind {
 public:
  /// What there is, and how far it has arrived.
  void look(Offset arrived, Offset committed, int64_t now_ms) {
    if (arrived >= committed) {
      since_ms_ = 0;
    } else if (since_ms_ == 0 || arrived >= mark_) {
      mark_ = committed;
      since_ms_ = now_ms;
    }
  }
  void reset() { since_ms_ = 0; }
  /// 0: everything has arrived.
  int64_t since_ms() const { return since_ms_; }

 private:
  Offset mark_;
  int64_t since_ms_ = 0;
};

}  // namespace clickmill::sinks
