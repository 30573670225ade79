#pragma once

#include <string>
#include <vector>

#include "http/message.h"

namespace clickmill::collector {

/// Which web pages may send clicks and read the answers (the Fetch standard's CORS).
/// Thread: any (immutable).
class Cors {
 public:
  /// "*" stands for every origin.
  explicit Cors(std::vector<std::string> origins);
  /// Tells the page that sent `request` whether it may read the answer, whatever the status.
  /// Credentials are allowed, though nothing here reads a cookie: with `*` instead of the
  /// origin a browser takes a JSON beacon from the page and never sends it.
  void add_to(const http::Request& request, http::Response& response) const;
  /// add_to() for a listener's answers: all of them, or those about one path. The Cors must
  /// outlive it.
  http::Finish on_all() const;
  http::Finish on_path(std::string path) const;
  /// The answer to OPTIONS, without what add_to() adds.
  static http::Response preflight();

 private:
  const std::vector<std::string> origins_;
  const bool any_;
};

}  // namespace clickmill::collector
