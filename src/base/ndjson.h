#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

namespace clickmill {

/// Calls visit(line, number) for every line of newline-delimited JSON that isn't
/// blank, until it answers false. Numbers count from 1, blank lines included.
template <typename Visit>
void for_each_line(std::string_view text, Visit visit) {
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (!visit(line, number)) return;
  }
}

/// What became of the lines of a bulk upload, as its answer says it:
/// {"accepted":n,"rejected_count":m,"rejected":[{"line":…,"field":…,"detail":…}]},
/// of which the list holds the first 1,000. Lines may come in any order. Thread: one at a time.
class LineReport {
 public:
  void accept(size_t lines = 1) { accepted_ += lines; }
  void reject(size_t line, std::string field, std::string detail);
  /// What another part of the same upload tells; none of its lines stands here.
  void add(LineReport&& part);
  size_t accepted() const { return accepted_; }
  size_t rejected() const { return rejected_; }
  std::string to_json() const;
  /// The same, and where nothing was accepted a "detail" that says why, for a sender that
  /// looks at the first lines of an answer only. `rule`: what each line is to be.
  std::string to_json_with_reason(std::string_view rule) const;

 private:
  std::string why_none(std::string_view rule) const;
  std::string json(std::string_view more) const;

  size_t accepted_ = 0;
  size_t rejected_ = 0;
  struct Reason {
    std::string field;
    std::string detail;
  };
  std::map<size_t, Reason> list_;  ///< by line
};

}  // namespace clickmill
