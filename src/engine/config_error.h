#pragma once

#include <stdexcept>

namespace clickmill::engine {

/// A config that can't be used: one line per problem, each naming the key.
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace clickmill::engine
