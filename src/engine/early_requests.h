#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <mutex>
#include <string_view>

#include "http/message.h"

namespace clickmill::engine {

/// Clicks, ads, who asks, health and metrics need no partition.
bool asks_partitions(std::string_view path);

/// Requests that ask partitions before these are open: after a start they wait a few
/// seconds, as they would have waited for the listener, rather than be refused.
/// Thread: any. The mutex guards the queue between io threads and who opens.
class EarlyRequests {
 public:
  using Handle = std::function<void(http::RequestPtr, http::Responder)>;
  explicit EarlyRequests(Handle handle) : handle_(std::move(handle)) {}

  /// Handles it, now or once open() is called.
  void take(http::RequestPtr request, http::Responder respond);
  void open();
  /// Answers 503 to those that have waited for too long, or to all.
  void refuse(bool all);

 private:
  struct Waiting {
    http::RequestPtr request;
    http::Responder respond;
    std::chrono::steady_clock::time_point until;
  };
  const Handle handle_;
  std::atomic<bool> open_{false};
  std::mutex mutex_;
  std::deque<Waiting> waiting_;  ///< who came first leaves first
};

}  // namespace clickmill::engine
