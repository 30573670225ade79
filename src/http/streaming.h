#pragma once

#include <exception>
#include <memory>
#include <string>

#include "base/logging.h"
#include "http/message.h"

namespace clickmill::http {

/// A body in the making, shared with the thread that asks for the next piece:
/// the connection may close meanwhile.
struct Streaming {
  std::unique_ptr<BodyStream> source;
  std::string piece;
  bool more = true;
  bool failed = false;
  bool chunked = true;

  void pull() {
    try {
      piece.clear();
      more = source->next(piece);
    } catch (const std::exception& escaped) {
      log_error("http", std::string("a streamed answer failed: ") + escaped.what());
      failed = true;
    }
  }
};

}  // namespace clickmill::http
