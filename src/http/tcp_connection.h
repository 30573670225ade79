#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "base/metrics.h"
#include "http/io_thread.h"
#include "http/message.h"
#include "http/request_parser.h"
#include "http/tls.h"

namespace clickmill::http {

/// What the connections of one listener have in common. Outlives them.
struct Site {
  BodyLimits limits;
  Handler handler;
  /// Called on every answer before it is written, refused requests' included; may be empty.
  Finish finish;
  /// Whether a peer's connections must begin with a PROXY header, which tells the client's
  /// address; empty: nobody's.
  ExpectsProxyHeader expects_proxy_header;
  std::atomic<bool> proxy_fault_said{false};
  /// Null: the connections are not encrypted.
  std::shared_ptr<const TlsContext> tls() const {
    const std::lock_guard lock(tls_mutex_);
    return tls_;
  }
  void set_tls(std::shared_ptr<const TlsContext> tls) {
    const std::lock_guard lock(tls_mutex_);
    tls_ = std::move(tls);
  }
  Histogram* answer_took = nullptr;  ///< from a whole request to its answer
  std::atomic<uint32_t> open{0};     ///< connections

 private:
  // Guards the pointer between those that open connections and who replaces it.
  mutable std::mutex tls_mutex_;
  std::shared_ptr<const TlsContext> tls_;
};

/// Takes over the connected, non-blocking socket `fd`: reads a request, has it answered,
/// writes the answer, and so on. One request is under way at a time; those behind it wait
/// in the buffer, so answers keep the order of the requests. Thread: `thread`'s.
void open_connection(IoThread& thread, Site& site, int fd, std::string peer_ip);

}  // namespace clickmill::http
