#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "log/entry.h"
#include "raft/message.h"

namespace clickmill::raft {

/// The kinds of entries that are Raft's own; all others are opaque to it.
inline constexpr uint8_t kNoOpKind = 0;
inline constexpr uint8_t kMembershipKind = 6;

void encode_membership(const Membership& membership, std::string& out);
/// Errc::corrupt for bytes that encode_membership() can't have written.
Result<Membership> decode_membership(std::string_view bytes);

/// What Core needs to know of an entry. Errc::corrupt: a change of members that can't be read.
Result<EntryHead> head_of(const log::Entry& entry);

/// A message as a peer's bytes gave it. Its entries stand beside it, in the order of the
/// heads.
struct Received {
  Message message;
  std::vector<log::Entry> entries;
};

/// `entry_of` gives the entry whose head a message holds.
using EntryOf = std::function<const log::Entry&(const EntryHead&)>;
/// Format: top of codec.cpp.
std::string encode_message(const Message& message, const EntryOf& entry_of);
/// Errc::corrupt for bytes that encode_message() can't have written. What it says may still
/// be nonsense.
Result<Received> decode_message(std::string_view bytes);

}  // namespace clickmill::raft
