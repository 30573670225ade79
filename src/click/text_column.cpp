// A column of texts. Nothing at all for a column of none; else a form (u8), the one
// with the fewest bytes, then by form:
//
//   0 plain       numbers: lengths; then the texts one after the other
//   1 dictionary  varint number of entries; texts: entries, the most frequent
//                 first; numbers: the entry of each text
//   2 numbered    for "user_1234": texts: what stands before the number; numbers:
//                 0 for no number, else the number + 1 (at most 18 digits, in its
//                 decimal spelling)
//   3 uuids       16 bytes each, for lower-case UUIDs
//
// Columns of texts stand in one another at most kDepthMax deep.

#include <algorithm>
#include <bit>
#include <charconv>

#include "base/checksum.h"
#include "click/column.h"
#include "click/packing.h"

namespace clickmill::click {
namespace {

enum class Form : uint8_t { plain = 0, dictionary = 1, numbered = 2, uuids = 3 };
constexpr int kDepthMax = 3;
constexpr size_t kDigitsMax = 18;
constexpr uint64_t kNumberMax = 999'999'999'999'999'999;

using Texts = std::vector<std::string_view>;
std::string encoded(const Texts& texts, int depth);

std::string encode_plain(const Texts& texts) {
  std::string out(1, static_cast<char>(Form::plain));
  std::vector<uint64_t> lengths;
  for (const auto text : texts) lengths.push_back(text.size());
  append_numbers(lengths, out);
  for (const auto text : texts) out += text;
  return out;
}

/// Empty when no text repeats.
std::string encode_dictionary(const Texts& texts, int depth) {
  std::vector<DictionaryKey> keys;
  for (const auto text : texts) keys.push_back({text});
  const Dictionary dictionary = make_dictionary(keys);
  if (dictionary.first_at.size() == texts.size()) return {};
  Texts entries;
  for (const size_t at : dictionary.first_at) entries.push_back(texts[at]);
  std::string out(1, static_cast<char>(Form::dictionary));
  ByteWriter(out).varint(entries.size());
  out += encoded(entries, depth + 1);
  append_numbers(dictionary.index_of, out);
  return out;
}

/// Length of the number that ends the text: digits without a leading zero.
size_t number_length(std::string_view text) {
  size_t digits = 0;
  while (digits < std::min(text.size(), kDigitsMax)) {
    const char c = text[text.size() - 1 - digits];
    if (c < '0' || c > '9') break;
    ++digits;
  }
  while (digits > 1 && text[text.size() - digits] == '0') --digits;
  return digits;
}

/// Empty when few texts end in a number.
std::string encode_numbered(const Texts& texts, int depth) {
  Texts heads;
  std::vector<uint64_t> numbers;
  size_t numbered = 0;
  for (const auto text : texts) {
    const size_t length = number_length(text);
    uint64_t number = 0;
    if (length > 0) {
      std::from_chars(text.data() + text.size() - length, text.data() + text.size(), number);
      ++number;
      ++numbered;
    }
    heads.push_back(text.substr(0, text.size() - length));
    numbers.push_back(number);
  }
  if (numbered * 4 < texts.size()) return {};
  std::string out(1, static_cast<char>(Form::numbered));
  out += encoded(heads, depth + 1);
  append_numbers(numbers, out);
  return out;
}

std::string encode_uuids(const Texts& texts) {
  std::string out(1, static_cast<char>(Form::uuids));
  char packed[kUuidBytes];
  for (const auto text : texts) {
    if (!pack_uuid(text, packed)) return {};
    out.append(packed, kUuidBytes);
  }
  return out;
}

std::string encoded(const Texts& texts, int depth) {
  if (texts.empty()) return {};
  std::string best = encode_plain(texts);
  const auto consider = [&](std::string&& other) {
    if (!other.empty() && other.size() < best.size()) best = std::move(other);
  };
  if (depth < kDepthMax) {
    consider(encode_dictionary(texts, depth));
    consider(encode_numbered(texts, depth));
  }
  consider(encode_uuids(texts));
  return best;
}

}  // namespace

Dictionary make_dictionary(const std::vector<DictionaryKey>& keys) {
  struct Entry {
    size_t first_at;
    size_t times;
    size_t made;
    uint64_t hash;
  };
  // Open addressing with the hash beside the key's place, so that long keys (agents)
  // are compared once; std::unordered_map would take as long as all the rest.
  constexpr uint32_t kFree = ~uint32_t{0};
  std::vector<uint32_t> slots(std::bit_ceil(keys.size() * 2 + 1), kFree);
  std::vector<Entry> entries;
  std::vector<uint32_t> made_as;
  made_as.reserve(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    const uint64_t hash = xxh64_of(keys[i].text, keys[i].code);
    size_t slot = hash & (slots.size() - 1);
    const auto taken_by_another = [&] {
      if (slots[slot] == kFree) return false;
      const Entry& entry = entries[slots[slot]];
      return entry.hash != hash || !(keys[entry.first_at] == keys[i]);
    };
    while (taken_by_another()) slot = (slot + 1) & (slots.size() - 1);
    if (slots[slot] == kFree) {
      slots[slot] = static_cast<uint32_t>(entries.size());
      entries.push_back({i, 0, entries.size(), hash});
    }
    ++entries[slots[slot]].times;
    made_as.push_back(slots[slot]);
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.times != b.times ? a.times > b.times : a.made < b.made;
  });
  std::vector<uint64_t> place(entries.size());
  Dictionary dictionary;
  for (size_t i = 0; i < entries.size(); ++i) {
    place[entries[i].made] = i;
    dictionary.first_at.push_back(entries[i].first_at);
  }
  dictionary.index_of.reserve(keys.size());
  for (const uint32_t made : made_as) dictionary.index_of.push_back(place[made]);
  return dictionary;
}

void append_texts(const std::vector<std::string_view>& texts, std::string& out) {
  out += encoded(texts, 0);
}

std::vector<std::string_view> TextReader::read(ByteCursor& cursor, size_t count) {
  return read_nested(cursor, count, 0);
}

TextReader::Texts TextReader::read_nested(ByteCursor& cursor, size_t count, int depth) {
  if (count == 0) return {};
  const auto form = static_cast<Form>(cursor.u8());
  Texts texts;
  switch (form) {
    case Form::plain: texts = read_plain(cursor, count); break;
    case Form::dictionary: texts = read_dictionary(cursor, count, depth); break;
    case Form::numbered: texts = read_numbered(cursor, count, depth); break;
    case Form::uuids: texts = read_uuids(cursor, count); break;
    default: cursor.fail();
  }
  if (!cursor.ok()) return {};
  return texts;
}

TextReader::Texts TextReader::read_plain(ByteCursor& cursor, size_t count) {
  const auto lengths = read_numbers(cursor, count);
  Texts texts;
  texts.reserve(lengths.size());
  for (const uint64_t length : lengths) texts.push_back(cursor.raw(length));
  return texts;
}

TextReader::Texts TextReader::read_dictionary(ByteCursor& cursor, size_t count, int depth) {
  const uint64_t number = cursor.varint();
  if (number > count || depth == kDepthMax) cursor.fail();
  if (!cursor.ok()) return {};
  const auto entries = read_nested(cursor, number, depth + 1);
  const auto indexes = read_numbers(cursor, count);
  if (!cursor.ok()) return {};
  Texts texts;
  texts.reserve(indexes.size());
  for (const uint64_t index : indexes) {
    if (index >= entries.size()) {
      cursor.fail();
      break;
    }
    texts.push_back(entries[index]);
  }
  return texts;
}

TextReader::Texts TextReader::read_numbered(ByteCursor& cursor, size_t count, int depth) {
  if (depth == kDepthMax) cursor.fail();
  if (!cursor.ok()) return {};
  const auto heads = read_nested(cursor, count, depth + 1);
  const auto numbers = read_numbers(cursor, count);
  if (!cursor.ok()) return {};
  size_t bytes = 0;
  for (const auto head : heads) bytes += head.size() + kDigitsMax;
  std::string* text = make(cursor, bytes);
  if (text == nullptr) return {};
  Texts texts;
  texts.reserve(count);
  char* end = text->data();
  for (size_t i = 0; i < count; ++i) {
    char* begin = end;
    end = std::copy(heads[i].begin(), heads[i].end(), end);
    if (numbers[i] > kNumberMax + 1) {
      cursor.fail();
      break;
    }
    if (numbers[i] > 0) end = std::to_chars(end, end + kDigitsMax, numbers[i] - 1).ptr;
    texts.emplace_back(begin, static_cast<size_t>(end - begin));
  }
  return texts;
}

TextReader::Texts TextReader::read_uuids(ByteCursor& cursor, size_t count) {
  const std::string_view packed = cursor.raw(count * kUuidBytes);
  if (!cursor.ok()) return {};
  std::string* text = make(cursor, count * kUuidChars);
  if (text == nullptr) return {};
  Texts texts;
  texts.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    char* at = text->data() + i * kUuidChars;
    unpack_uuid(packed.data() + i * kUuidBytes, at);
    texts.emplace_back(at, kUuidChars);
  }
  return texts;
}

std::string* TextReader::make(ByteCursor& cursor, size_t bytes) {
  if (bytes > bytes_left_) {
    cursor.fail();
    return nullptr;
  }
  bytes_left_ -= bytes;
  made_.push_back(std::make_unique<std::string>(bytes, '\0'));
  return made_.back().get();
}

}  // namespace clickmill::click
