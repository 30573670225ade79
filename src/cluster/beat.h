#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/strong.h"
#include "raft/membership.h"

namespace clickmill::cluster {

/// What a node still holds and hasn't got committed: no click older than this, by partition.
struct LowWaters {
  ArrivalMs all;  ///< of every partition that is no exception
  struct Exception {
    PartitionId partition;
    ArrivalMs value;
    friend bool operator==(const Exception&, const Exception&) = default;
  };
  std::vector<Exception> exceptions;  ///< by partition, each once

  ArrivalMs of(PartitionId partition) const;
  friend bool operator==(const LowWaters&, const LowWaters&) = default;
};

/// What a node tells each peer ten times a second, however many groups there are.
struct Beat {
  uint64_t life = 0;    ///< drawn at each start of the sender: its numbers begin anew
  uint64_t number = 0;  ///< counts up, for each receiver
  // What was heard of the receiver; all 0 before that.
  uint64_t echo_life = 0;
  uint64_t echo = 0;           ///< its highest number in that life
  uint64_t echo_delay_us = 0;  ///< how long ago it came
  /// By the receiver's workers: the highest claim number that was heard, in echo_life.
  std::vector<uint64_t> claims_seen;

  raft::StorageId storage;
  int64_t wall_ms = 0;  ///< the sender's node time, as it goes into logs
  bool fit = false;     ///< it may lead: its disk and its clock are fine
  struct Worker {
    uint32_t age_ms = 0;        ///< of its last loop
    uint64_t claim_number = 0;  ///< of its newest Claims; 0: it has led nothing yet
    friend bool operator==(const Worker&, const Worker&) = default;
  };
  std::vector<Worker> workers;          ///< all; group g is worker g mod size's
  std::optional<LowWaters> low_waters;  ///< about once a second

  friend bool operator==(const Beat&, const Beat&) = default;
};

/// All that one worker of a node leads and can serve. A new number is a new set; it is sent
/// until a beat of the receiver has echoed it.
struct Claims {
  uint64_t life = 0;
  uint32_t worker = 0;
  uint64_t number = 0;
  struct Led {
    uint32_t group = 0;
    Term term;
    friend bool operator==(const Led&, const Led&) = default;
  };
  std::vector<Led> led;  ///< by group, each once

  friend bool operator==(const Claims&, const Claims&) = default;
};

// Format: top of beat.cpp. Decoding gives Errc::invalid for anything that no encode() gave.
std::string encode(const Beat& beat);
std::string encode(const Claims& claims);
Result<Beat> decode_beat(std::string_view bytes);
Result<Claims> decode_claims(std::string_view bytes);

}  // namespace clickmill::cluster
