#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace clickmill::http {

/// A connected, non-blocking TCP socket, which it owns. Thread: one.
class Socket {
 public:
  explicit Socket(int descriptor);
  ~Socket() { close(); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int descriptor() const { return descriptor_; }
  enum class Got : uint8_t { bytes, nothing_yet, end };
  /// `bytes` is how many of `most` have come. Got::end: the client's, or the connection's.
  Got receive(void* room, size_t most, size_t& bytes);
  /// How many it takes now; nothing: the connection has failed.
  std::optional<size_t> send(std::string_view bytes);
  /// Whether something has come that is not received yet.
  bool has_arrived() const;
  /// Sends no more. False: the connection has failed.
  bool end_sending();
  void close();
  /// Closes so that the client learns that something is missing.
  void reset();

 private:
  int descriptor_;  ///< -1 once closed
};

}  // namespace clickmill::http
