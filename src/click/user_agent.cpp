// What kind of device an agent tells of, and whether a machine uses it: by words, which stand with
// their examples in device_rules.cpp. One pass over the agent: at each byte only the words that
// begin with these two letters are compared, so that hundreds of words cost no more than a few.

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "click/device_rules.h"
#include "click/parse.h"

namespace clickmill::click {
namespace {

/// Agents are looked at so far; more is never kept.
constexpr size_t kAgentBytes = 1024;

constexpr char lowered(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }
constexpr bool in_word(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

/// A rule's word without its marks.
struct Word {
  explicit Word(const DeviceRule& rule) : text(rule.word), then(rule.then) {
    begins = text.starts_with('<');
    if (begins) text.remove_prefix(1);
    ends = text.ends_with('>');
    if (ends) text.remove_suffix(1);
  }
  bool stands_at(std::string_view agent, size_t at) const {
    if (agent.compare(at, text.size(), text) != 0) return false;
    const size_t end = at + text.size();
    if (begins && at > 0 && in_word(agent[at - 1])) return false;
    if (ends && end < agent.size() && in_word(agent[end])) return false;
    return then.empty() || agent.find(then, end) != std::string_view::npos;
  }
  static constexpr size_t kSlots = 128 * 128;
  static size_t slot_of(char a, char b) {
    return (static_cast<size_t>(a) & 0x7f) << 7 | (static_cast<size_t>(b) & 0x7f);
  }
  size_t slot() const { return slot_of(text[0], text[1]); }
  std::string_view text;
  std::string_view then;
  bool begins = false;
  bool ends = false;
};

/// The rules' words by their first two letters.
class Words {
 public:
  Words() {
    const auto rules = device_rules();
    for (size_t i = 0; i < rules.size(); ++i) words_.push_back({Word(rules[i]), i});
    std::stable_sort(words_.begin(), words_.end(),
                     [](const auto& a, const auto& b) { return a.word.slot() < b.word.slot(); });
    for (const auto& placed : words_) ++begins_[placed.word.slot() + 1];
    for (size_t i = 1; i < begins_.size(); ++i)
      begins_[i] = static_cast<uint16_t>(begins_[i] + begins_[i - 1]);
  }
  /// The first rule whose word the agent holds; the number of rules when it holds none.
  size_t first_in(std::string_view agent) const {
    const auto rules = device_rules();
    size_t first = rules.size();
    for (size_t at = 0; at + 1 < agent.size();) {
      size_t next = at + 1;
      const size_t slot = Word::slot_of(agent[at], agent[at + 1]);
      for (size_t i = begins_[slot]; i < begins_[slot + 1]; ++i) {
        if (!words_[i].word.stands_at(agent, at)) continue;
        if (rules[words_[i].rule].told.device) {
          first = std::min(first, words_[i].rule);
          continue;
        }
        // Words to be passed over stand first among the rules, so nothing of it was taken yet.
        next = at + words_[i].word.text.size();
        break;
      }
      at = next;
    }
    return first;
  }

 private:
  struct Placed {
    Word word;
    size_t rule;
  };
  std::vector<Placed> words_;
  std::array<uint16_t, Word::kSlots + 1> begins_{};
};

/// Sec-CH-UA-Form-Factors is a list of words, of which the one that says most comes first here.
std::optional<Device> device_of_form_factors(std::string_view list) {
  constexpr std::pair<std::string_view, Device> kFactors[] = {
      {"automotive", Device::other}, {"xr", Device::other},      {"watch", Device::other},
      {"tablet", Device::tablet},    {"mobile", Device::mobile}, {"eink", Device::tablet},
      {"desktop", Device::desktop}};
  if (list.empty()) return std::nullopt;
  std::string words(list.substr(0, kAgentBytes));
  std::transform(words.begin(), words.end(), words.begin(), lowered);
  for (const auto& [word, device] : kFactors) {
    if (words.find(word) != std::string::npos) return device;
  }
  return std::nullopt;
}

bool names(std::string_view text, std::string_view name) {
  return std::search(text.begin(), text.end(), name.begin(), name.end(),
                     [](char a, char b) { return lowered(a) == b; }) != text.end();
}

Device device_by(const DeviceRule* rule, std::string_view user_agent, const DeviceHints& hints) {
  const Device told = rule == nullptr ? Device::other : *rule->told.device;
  // A robot or a television set is named; hints come from the browser that it is built on.
  if (rule != nullptr && told == Device::other) return told;
  if (const auto device = device_of_form_factors(hints.form_factors)) return *device;
  const bool by_name = rule != nullptr && rule->then != "android";
  if (hints.mobile == "?1" && !(told == Device::tablet && by_name)) return Device::mobile;
  // Of Android's browsers those on tablets say ?0; a phone's says so when it plays a desktop.
  const bool android = rule != nullptr && rule->word == "mobile" && names(user_agent, "android");
  if (hints.mobile == "?0" && android) return Device::tablet;
  return told;
}

const DeviceRule* find_rule(std::string_view user_agent) {
  static const Words words;
  char text[kAgentBytes];
  const size_t length = std::min(user_agent.size(), kAgentBytes);
  std::transform(user_agent.begin(), user_agent.begin() + static_cast<ptrdiff_t>(length), text,
                 lowered);
  const auto rules = device_rules();
  const size_t first = words.first_in({text, length});
  return first == rules.size() ? nullptr : &rules[first];
}

/// What was found for agents that this thread has seen: most come again with the next click of
/// the same person, or of the same browser's many users.
class KnownAgents {
 public:
  const DeviceRule* rule_of(std::string_view user_agent) {
    Entry& entry = entries_[xxh64_of(user_agent) % kEntries];
    if (entry.agent == user_agent) return entry.rule;
    entry.rule = find_rule(user_agent);
    entry.agent = user_agent;
    return entry.rule;
  }

 private:
  static constexpr size_t kEntries = 512;
  struct Entry {
    std::string agent;  ///< the empty one has no rule
    const DeviceRule* rule = nullptr;
  };
  std::array<Entry, kEntries> entries_;
};

}  // namespace

const DeviceRule* deciding_rule(std::string_view user_agent) {
  if (user_agent.empty() || user_agent.size() > kAgentBytes) return find_rule(user_agent);
  thread_local KnownAgents known;
  return known.rule_of(user_agent);
}

AgentTells read_agent(std::string_view user_agent, const DeviceHints& hints) {
  const DeviceRule* const rule = deciding_rule(user_agent);
  // Who drives a browser by a program often gives it another agent, and forgets the brands.
  const bool headless = names(hints.brands.substr(0, kAgentBytes), "headless");
  return {device_by(rule, user_agent, hints),
          headless || (rule != nullptr && rule->told.automated)};
}

}  // namespace clickmill::click
