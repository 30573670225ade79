#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "cluster/founded.h"

namespace clickmill::cluster {

/// What a data directory holds when its node starts.
enum class Holds : uint8_t {
  nothing,
  data,        ///< of a node that was alone until now
  membership,  ///< of a cluster
};

/// What a node that belongs to no cluster yet tells its peers, and they it.
struct Introduction {
  uint64_t life = 0;        ///< of the sender, drawn at its start
  uint64_t heard_life = 0;  ///< the receiver's, as far as heard; 0: not yet
  Holds holds = Holds::nothing;
  uint64_t cluster_id = 0;  ///< with Holds::membership
  raft::StorageId storage;
  // Of its config.
  std::vector<std::string> nodes;  ///< all, sorted
  uint32_t partitions = 0;
  uint32_t replication = 0;

  friend bool operator==(const Introduction&, const Introduction&) = default;
};

/// A member's answer to a node that holds nothing: be one too.
struct Offer {
  uint64_t life = 0;     ///< of the sender
  uint64_t to_life = 0;  ///< whom it answers; nobody else may take it
  Founded founded;

  friend bool operator==(const Offer&, const Offer&) = default;
};

using FoundingMessage = std::variant<Introduction, Offer>;

// Format: top of founding_message.cpp. Errc::invalid for anything that no encode() gave.
std::string encode(const FoundingMessage& message);
Result<FoundingMessage> decode_founding(std::string_view bytes);

}  // namespace clickmill::cluster
