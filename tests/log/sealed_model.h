#pragma once

#include <string>
#include <vector>

#include "base/random.h"
#include "log/entry.h"

namespace clickmill::log {

using Block = std::vector<Entry>;

/// Contiguous entries from offset 1 on, cut into blocks one entry at a time:
/// what Segments must hold, in the most naive form.
inline std::vector<Block> random_blocks(Random& random, size_t blocks) {
  std::vector<Block> out;
  Offset next(1);
  Term term(1);
  LogMs time(1'700'000'000'000);
  while (out.size() <= blocks) {
    Entry entry{next, 1, static_cast<uint8_t>(random.below(4)), term, time, {}};
    if (random.one_in(2)) entry.count = static_cast<uint32_t>(1 + random.below(1500));
    const uint64_t length = random.one_in(8) ? random.below(3000) : random.below(60);
    const bool noise = random.one_in(2);
    for (uint64_t i = 0; i < length; ++i) {
      entry.payload.push_back(noise ? static_cast<char>(random.next()) : 'a');
    }
    next = entry.last() + 1;
    if (random.one_in(9)) ++term;
    if (random.one_in(3)) {
      time = time + static_cast<int64_t>(random.below(random.one_in(6) ? 2'000'000 : 500));
    }
    const bool joins = !out.empty() && same_block(out.back().back(), entry);
    if (!joins) out.emplace_back();
    out.back().push_back(std::move(entry));
  }
  out.pop_back();
  return out;
}

/// Blocks [from, to) as one list, the way seal() takes them.
inline std::vector<Entry> joined(const std::vector<Block>& blocks, size_t from, size_t to) {
  std::vector<Entry> out;
  for (size_t i = from; i < to; ++i) out.insert(out.end(), blocks[i].begin(), blocks[i].end());
  return out;
}

/// Every field of every entry, to be compared.
inline std::string text_of(const std::vector<Entry>& entries) {
  std::string out;
  for (const auto& entry : entries) {
    for (const auto number :
         {entry.first.value(), uint64_t{entry.count}, uint64_t{entry.kind}, entry.term.value(),
          static_cast<uint64_t>(entry.append_ms.value()), uint64_t{entry.payload.size()}}) {
      out += std::to_string(number) + ' ';
    }
    out += entry.payload;
  }
  return out;
}

}  // namespace clickmill::log
