// Goal: the rules of the source tree that a compiler doesn't check: folders look
// only downward, heavy headers stay out of ours, a source file begins with its own
// header, nothing is left lying about, and README's layout is the tree's.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "source_dir.h"

namespace clickmill::tidy {
namespace {

namespace fs = std::filesystem;

/// A folder includes only itself and what stands before it.
const std::vector<std::string> kLayers = {"base",      "http",    "peer",    "sketch", "log",
                                          "raft",      "state",   "dedup",   "click",  "store",
                                          "stream",    "catalog", "cluster", "sinks",  "query",
                                          "collector", "api",     "engine",  "tools"};

struct SourceFile {
  std::string path;  // from the folder it was looked for in
  std::string text;
  std::vector<std::string> quoted;  // #include "…", in order
  std::vector<std::string> angled;  // #include <…>
};

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<SourceFile> sources(const std::string& folder) {
  static const std::regex include(R"(^\s*#\s*include\s*(["<])([^">]+)[">])");
  std::vector<SourceFile> found;
  const fs::path root = fs::path(kSourceDir) / folder;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const auto extension = entry.path().extension();
    if (extension != ".h" && extension != ".cpp") continue;
    SourceFile file{
        fs::relative(entry.path(), root).generic_string(), text_of(entry.path()), {}, {}};
    std::istringstream lines(file.text);
    for (std::string line; std::getline(lines, line);) {
      std::smatch match;
      if (!std::regex_search(line, match, include)) continue;
      (match[1] == "\"" ? file.quoted : file.angled).push_back(match[2]);
    }
    found.push_back(std::move(file));
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  return found;
}

std::string first_part(const std::string& path) { return path.substr(0, path.find('/')); }

/// Position in kLayers; past the end for main.cpp, which may include everything.
size_t layer_of(const std::string& path) {
  const auto at = std::find(kLayers.begin(), kLayers.end(), first_part(path));
  return static_cast<size_t>(at - kLayers.begin());
}

using Complaints = std::vector<std::string>;

/// How many arguments stand between a parenthesis, which ends before `at`, and its partner.
int arguments_at(const std::string& text, size_t at) {
  int commas = 0;
  for (int depth = 1; depth > 0 && at < text.size(); ++at) {
    const char c = text[at];
    if (c == '(' || c == '<' || c == '{' || c == '[') ++depth;
    if (c == ')' || c == '>' || c == '}' || c == ']') --depth;
    if (c == ',' && depth == 1) ++commas;
  }
  return commas + 1;
}

/// A header and the source files that implement it are one unit, named by the header
/// without its ending. What a unit includes of src, its source files' too, it needs.
using Needs = std::map<std::string, std::set<std::string>>;

std::string without_ending(const std::string& path) { return path.substr(0, path.rfind('.')); }

Needs needs_of(const std::vector<SourceFile>& files) {
  std::set<std::string> headers;
  for (const auto& file : files) {
    if (file.path.ends_with(".h")) headers.insert(without_ending(file.path));
  }
  Needs needs;
  for (const auto& file : files) {
    std::string unit = without_ending(file.path);
    // Part of a class, as partition_healing.cpp of Partition: its own header comes first.
    if (headers.count(unit) == 0 && !file.quoted.empty() &&
        first_part(file.quoted.front()) == first_part(file.path))
      unit = without_ending(file.quoted.front());
    auto& needed = needs[unit];
    for (const auto& included : file.quoted) {
      if (const std::string other = without_ending(included); other != unit) needed.insert(other);
    }
  }
  return needs;
}

/// Whether `from` is `to`, or needs it by any way.
bool reaches(const Needs& needs, const std::string& from, const std::string& to) {
  std::set<std::string> seen;
  std::vector<std::string> left{from};
  while (!left.empty()) {
    const std::string unit = left.back();
    left.pop_back();
    if (unit == to) return true;
    const auto at = needs.find(unit);
    if (at == needs.end() || !seen.insert(unit).second) continue;
    left.insert(left.end(), at->second.begin(), at->second.end());
  }
  return false;
}

/// What a shell command prints.
std::string output_of(const std::string& command) {
  std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  REQUIRE(pipe != nullptr);
  std::string text;
  char piece[4096];
  for (size_t size; (size = fread(piece, 1, sizeof piece, pipe.get())) > 0;)
    text.append(piece, size);
  return text;
}

}  // namespace

TEST_CASE("tidy: every folder of src has its place in the order of layers", "[tidy]") {
  Complaints complaints;
  for (const auto& file : sources("src")) {
    if (file.path != "main.cpp" && layer_of(file.path) == kLayers.size())
      complaints.push_back(file.path);
  }
  CHECK(complaints == Complaints{});
}

TEST_CASE("tidy: a folder includes only what stands before it", "[tidy]") {
  Complaints complaints;
  size_t seen = 0;
  for (const auto& file : sources("src")) {
    for (const auto& included : file.quoted) {
      ++seen;
      // The embedding API is engine's to implement.
      if (included.starts_with("clickmill/") && layer_of(file.path) == layer_of("engine/"))
        continue;
      const bool known = fs::exists(fs::path(kSourceDir) / "src" / included);
      if (!known || layer_of(included) > layer_of(file.path))
        complaints.push_back(file.path + " includes " + included);
    }
  }
  CHECK(seen > 300);
  CHECK(complaints == Complaints{});
}

TEST_CASE("tidy: no two files of src need each other, nor three in a ring", "[tidy]") {
  Complaints complaints;
  const Needs needs = needs_of(sources("src"));
  for (const auto& [unit, needed] : needs) {
    for (const auto& other : needed) {
      if (reaches(needs, other, unit)) complaints.push_back(unit + " needs " + other);
    }
  }
  CHECK(needs.size() > 150);
  CHECK(complaints == Complaints{});
}

TEST_CASE("tidy: heavy headers are included by source files only", "[tidy]") {
  Complaints complaints;
  for (const char* folder : {"src", "include"}) {
    if (!fs::exists(fs::path(kSourceDir) / folder)) continue;
    for (const auto& file : sources(folder)) {
      if (!file.path.ends_with(".h")) continue;
      for (const auto& included : file.angled) {
        for (const char* heavy :
             {"boost/", "nlohmann/", "rocksdb/", "openssl/", "iostream", "filesystem", "regex"}) {
          if (included.starts_with(heavy))
            complaints.push_back(file.path + " includes " + included);
        }
      }
    }
  }
  CHECK(complaints == Complaints{});
}

TEST_CASE("tidy: a source file begins with its own header, so that each stands alone", "[tidy]") {
  Complaints complaints;
  const auto files = sources("src");
  std::set<std::string> paths;
  for (const auto& file : files) paths.insert(file.path);
  for (const auto& file : files) {
    if (file.path.ends_with(".h")) {
      if (file.text.find("#pragma once") == std::string::npos)
        complaints.push_back(file.path + ": no #pragma once");
      continue;
    }
    const std::string own = file.path.substr(0, file.path.size() - 4) + ".h";
    if (paths.count(own) == 0) continue;
    if (file.quoted.empty() || file.quoted.front() != own)
      complaints.push_back(file.path + ": " + own + " is not first");
  }
  CHECK(complaints == Complaints{});
}

TEST_CASE("tidy: every header of src is included by something", "[tidy]") {
  std::set<std::string> included;
  for (const char* folder : {"src", "tests", "bench"}) {
    for (const auto& file : sources(folder)) {
      for (const auto& name : file.quoted) {
        if (name != file.path.substr(0, file.path.rfind('.')) + ".h") included.insert(name);
      }
    }
  }
  Complaints complaints;
  for (const auto& file : sources("src")) {
    if (file.path.ends_with(".h") && included.count(file.path) == 0)
      complaints.push_back(file.path);
  }
  CHECK(complaints == Complaints{});
}

TEST_CASE("tidy: no file is longer than 500 lines, and none holds unfinished marks", "[tidy]") {
  Complaints complaints;
  const std::regex unfinished(std::string("\\b(TO") + "DO|FIX" + "ME|X" + "XX|HA" + "CK)\\b");
  for (const auto& file : sources("src")) {
    const auto lines = std::count(file.text.begin(), file.text.end(), '\n');
    if (lines > 500) complaints.push_back(file.path + ": " + std::to_string(lines) + " lines");
    if (std::regex_search(file.text, unfinished))
      complaints.push_back(file.path + ": unfinished mark");
  }
  CHECK(complaints == Complaints{});
}

TEST_CASE("tidy: a constructor with more than five arguments takes Options", "[tidy]") {
  static const std::regex type("\\b(?:class|struct)\\s+([A-Z]\\w*)[^;(){]*\\{");
  Complaints complaints;
  for (const auto& file : sources("src")) {
    for (std::sregex_iterator at(file.text.begin(), file.text.end(), type), end; at != end; ++at) {
      const std::string name = (*at)[1].str() + '(';
      for (size_t found = file.text.find(name); found != std::string::npos;
           found = file.text.find(name, found + 1)) {
        const bool starts = std::isalnum(static_cast<unsigned char>(file.text[found - 1])) == 0;
        if (starts && arguments_at(file.text, found + name.size()) > 5)
          complaints.push_back(file.path + ": " + (*at)[1].str());
      }
    }
  }
  CHECK(complaints == Complaints{});
}

TEST_CASE("tidy: an answer is dropped with a reason only", "[tidy]") {
  // ignore() takes one (base/result.h). The macros of assert.h drop no answer.
  const std::regex dropped(
      "\\(void\\)\\s*[a-zA-Z_*(]|static_cast<void>\\((?!0\\)|sizeof)|std::ignore");
  Complaints complaints;
  for (const char* folder : {"src", "include", "tests", "bench"}) {
    for (const auto& file : sources(folder)) {
      if (std::regex_search(file.text, dropped) && file.path != "tidy/tidy_test.cpp")
        complaints.push_back(std::string(folder) + '/' + file.path);
    }
  }
  CHECK(complaints == Complaints{});
}

TEST_CASE("tidy: no line is wider than 100 columns", "[tidy]") {
  // A byte that goes on a UTF-8 character takes no column of its own.
  const auto columns = [](const std::string& line) {
    return std::count_if(line.begin(), line.end(),
                         [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
  };
  Complaints complaints;
  for (const char* folder : {"src", "include", "tests", "bench"}) {
    for (const auto& file : sources(folder)) {
      std::istringstream lines(file.text);
      size_t number = 0;
      for (std::string line; std::getline(lines, line);) {
        ++number;
        if (columns(line) <= 100) continue;
        complaints.push_back(std::string(folder) + '/' + file.path + ':' + std::to_string(number));
      }
    }
  }
  CHECK(complaints == Complaints{});
}

TEST_CASE("tidy: every file is as clang-format leaves it", "[tidy]") {
  // Other versions wrap otherwise, so only the one of Debian 12 can judge.
  const std::string version = output_of("clang-format --version 2>/dev/null");
  if (version.find(" version 14.") == std::string::npos) {
    std::printf("SKIPPED tidy: clang-format 14 is not installed\n");
    return;
  }
  const std::string complaints =
      output_of("cd '" + std::string(kSourceDir) +
                "' && find src include tests bench -name '*.h' -o -name '*.cpp' | sort |"
                " xargs clang-format --dry-run 2>&1 | grep 'warning:' | head -20");
  CHECK(complaints == std::string());
}

TEST_CASE("tidy: README's layout lists the folders of src, in order", "[tidy]") {
  const std::string readme = text_of(fs::path(kSourceDir) / "README.md");
  const size_t begin = readme.find("## Layout");
  REQUIRE(begin != std::string::npos);
  const std::string layout = readme.substr(begin, readme.find("\n## ", begin + 1) - begin);
  static const std::regex folder(R"(\n\s*src/([a-z]+)/)");
  std::vector<std::string> listed;
  for (std::sregex_iterator at(layout.begin(), layout.end(), folder), end; at != end; ++at)
    listed.push_back((*at)[1]);
  std::vector<std::string> present;
  for (const auto& layer : kLayers) {
    if (fs::exists(fs::path(kSourceDir) / "src" / layer)) present.push_back(layer);
  }
  CHECK(listed == present);
}

}  // namespace clickmill::tidy
