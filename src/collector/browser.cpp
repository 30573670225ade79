#include "collector/browser.h"

#include <algorithm>
#include <string_view>

namespace clickmill::collector {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool starts_with_word(std::string_view text, std::string_view word) {
  return text.size() >= word.size() &&
         std::equal(word.begin(), word.end(), text.begin(),
                    [](char expected, char actual) { return expected == lower(actual); });
}

bool is_word(std::string_view text, std::string_view word) {
  return text.size() == word.size() && starts_with_word(text, word);
}

/// The next of the words between semicolons, as in `prefetch;prerender`.
std::string_view cut_word(std::string_view& item) {
  const size_t end = std::min(item.find(';'), item.size());
  std::string_view word = item.substr(0, end);
  item.remove_prefix(std::min(end + 1, item.size()));
  const auto around = [](char c) { return c == ' ' || c == '\t' || c == '"'; };
  while (!word.empty() && around(word.front())) word.remove_prefix(1);
  while (!word.empty() && around(word.back())) word.remove_suffix(1);
  return word;
}

/// Whether any of the header's lines has a word that `fits`.
template <typename Fits>
bool says(const http::Request& request, std::string_view header, const Fits& fits) {
  for (std::string_view item : http::header_items(request, header)) {
    while (!item.empty()) {
      if (fits(cut_word(item))) return true;
    }
  }
  return false;
}

bool says_word(const http::Request& request, std::string_view header, std::string_view word) {
  return says(request, header, [word](std::string_view said) { return is_word(said, word); });
}

}  // namespace

bool is_prefetch(const http::Request& request) {
  const auto ahead = [](std::string_view word) {
    return starts_with_word(word, "prefetch") || starts_with_word(word, "prerender");
  };
  constexpr std::string_view kHeaders[] = {"Sec-Purpose", "Purpose", "X-Moz", "X-Purpose"};
  return std::any_of(std::begin(kHeaders), std::end(kHeaders),
                     [&](std::string_view header) { return says(request, header, ahead); });
}

bool is_preview(const http::Request& request) {
  if (!http::header_items(request, "X-Firefox-Ai").empty()) return true;
  constexpr std::string_view kHeaders[] = {"Purpose", "X-Purpose", "Sec-Purpose"};
  return std::any_of(std::begin(kHeaders), std::end(kHeaders), [&](std::string_view header) {
    return says_word(request, header, "preview");
  });
}

Following following_of(const http::Request& request) {
  // Both are asked: a service worker's navigation has the destination "empty", and
  // programs that are no browsers send a mode alone.
  if (http::header_items(request, "Sec-Fetch-Dest").empty()) return Following::navigation;
  if (says_word(request, "Sec-Fetch-Mode", "no-cors")) return Following::unseen;
  const bool script =
      says_word(request, "Sec-Fetch-Mode", "cors") && says_word(request, "Sec-Fetch-Dest", "empty");
  return script ? Following::script : Following::navigation;
}

}  // namespace clickmill::collector
