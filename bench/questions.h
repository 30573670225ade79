#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "options.h"

namespace clickmill::bench {

struct QuestionsOptions {
  /// Holds questions.tsv: a question a line: name, tab, target; neighbours of one name are
  /// of one kind.
  std::string directory;
  uint16_t port = 8081;  ///< of the api, on loopback
  uint32_t clients = 1;
  uint64_t milliseconds = 1000;  ///< for each kind
  uint64_t pid = 0;              ///< of the node, to tell what a question costs it; 0: unknown
};

/// Asks each kind of question over and over, every client on its own connection, and
/// prints `name clients answers p50_ms p99_ms max_ms cpu_us` a line, tabs between. An error
/// when an answer isn't 200.
Status ask_questions(const QuestionsOptions& options);

}  // namespace clickmill::bench
