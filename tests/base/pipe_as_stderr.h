#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <string>

#include "base/logging.h"

namespace clickmill {

/// Stderr is a pipe for as long as one lives.
class PipeAsStderr {
 public:
  PipeAsStderr() : kept_(::dup(STDERR_FILENO)) {
    REQUIRE(::pipe2(ends_.data(), O_CLOEXEC) == 0);
    ::dup2(ends_[1], STDERR_FILENO);
    ::close(ends_[1]);
  }
  ~PipeAsStderr() {
    ::dup2(kept_, STDERR_FILENO);
    ::close(kept_);
    ::close(ends_[0]);
    set_logging(LogLevel::info, LogFormat::text);
  }
  /// What stands in it, up to and with the first `end`.
  std::string read_until(const std::string& end) const {
    std::string text;
    while (text.find(end) == std::string::npos) {
      char piece[4096];
      const ssize_t got = ::read(ends_[0], piece, sizeof(piece));
      REQUIRE(got > 0);
      text.append(piece, static_cast<size_t>(got));
    }
    return text;
  }

 private:
  int kept_;
  std::array<int, 2> ends_{};
};

}  // namespace clickmill
