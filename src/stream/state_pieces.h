#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "stream/checkpoint.h"

namespace clickmill::stream {

// How a partition's state goes from node to node. Formats: top of state_pieces.cpp.

/// What is told before the first piece.
struct StateHead {
  Checkpoint record;       ///< as it stands there, with the names of that slot's parts
  uint64_t key_bytes = 0;  ///< of all that is in no part, about
  uint64_t bytes() const;  ///< of everything, about
};
std::string encode_state_head(const StateHead& head);
Result<StateHead> decode_state_head(std::string_view bytes);

/// Where a piece begins. For who receives it: opaque, and to be given back.
struct StateCursor {
  enum class Stage : uint8_t { keys = 0, parts = 1, end = 2 };
  Stage stage = Stage::keys;
  std::string space;      ///< keys: of that space, from `key` on, which lacks the slot
  std::string key;        //
  uint64_t part = 0;      ///< parts: its number in the record's list,
  uint64_t position = 0;  ///< and byte
};
std::string encode_state_cursor(const StateCursor& cursor);
Result<StateCursor> decode_state_cursor(std::string_view bytes);

/// Some megabyte of a state, in sections.
struct StatePiece {
  struct Keys {
    std::string_view space;
    std::vector<std::pair<std::string_view, std::string_view>> values;  ///< by key without slot
  };
  struct PartBytes {
    uint64_t part = 0;
    uint64_t position = 0;
    std::string_view bytes;
  };
  std::string_view next;  ///< cursor of the next one; empty: this was the last
  std::vector<std::variant<Keys, PartBytes>> sections;
};

/// Puts a piece together.
class StatePieceWriter {
 public:
  void begin_keys(std::string_view space);
  void add(std::string_view key, std::string_view value);
  void add(const StatePiece::PartBytes& bytes);
  /// Of what was added.
  size_t size() const { return sections_.size() + keys_.size(); }
  /// `next`: null after the last one.
  std::string finish(const StateCursor* next);

 private:
  void end_keys();
  std::string sections_;
  std::string space_;
  std::string keys_;
  uint64_t count_ = 0;
};
/// Borrows the bytes. Errc::corrupt: not what was written.
Result<StatePiece> decode_state_piece(std::string_view bytes);

}  // namespace clickmill::stream
