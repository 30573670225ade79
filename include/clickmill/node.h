#pragma once

#include <memory>
#include <stdexcept>
#include <string>

namespace clickmill {

/// Why a node could not start; the text names the key, file or address concerned.
class StartError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A clickmill node inside another program: the same engine, listeners and data
/// directory as `clickmill serve`, without its signal handling.
///
/// Several nodes fit in one process, each with a data directory of its own.
/// The program must ignore SIGPIPE, as one that writes to sockets does anyway.
/// Thread: make, stop and destroy it on one thread; HTTP is served by threads
/// of its own, which live until stop() returns.
class Node {
 public:
  /// Starts a node from a config as text (JSON with comments; `{}` is every
  /// default). `config_path` is where relative paths in it start and what
  /// messages name; empty: the current directory. Redirects are served on
  /// return; counts may still be catching up (GET /readyz says so).
  /// Throws StartError.
  explicit Node(const std::string& config_json, const std::string& config_path = {});
  /// Stops, if stop() was not called.
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// Drains requests, checkpoints and closes, within seconds. Calling it again does nothing.
  void stop();
  /// Addresses bound, such as "127.0.0.1:8080"; a configured port 0 is resolved here.
  const std::string& collector_address() const;
  const std::string& api_address() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace clickmill
