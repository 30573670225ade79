#include "engine/config_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/edit_distance.h"

namespace clickmill::engine {
namespace {

using Json = nlohmann::json;

/// The value for a message, shortened.
std::string shown(const Json& value) {
  if (value.is_structured()) return value.is_object() ? "{…}" : "[…]";
  constexpr size_t kLongest = 60;
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "…";
  return text;
}

std::string in_quotes(std::string_view text) { return '"' + std::string(text) + '"'; }

std::string joined(std::string_view path, std::string_view key) {
  return path.empty() ? std::string(key) : std::string(path) + '.' + std::string(key);
}

std::string element(std::string_view path, size_t index) {
  return std::string(path) + '[' + std::to_string(index) + ']';
}

std::string_view last_key(std::string_view path) {
  const size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

/// A right key in a wrong place is as near as a slip of one letter.
size_t distance_of_paths(std::string_view unknown, std::string_view known) {
  // A key longer than any of ours is nobody's slip; comparing it would only take time.
  constexpr size_t kLongest = 200;
  unknown = unknown.substr(0, kLongest);
  return std::min(edit_distance(unknown, known),
                  edit_distance(last_key(unknown), last_key(known)) + 1);
}

/// Takes the next step off a path: a key, or an index in brackets.
std::string_view next_step(std::string_view& path) {
  if (path.front() == '.') path.remove_prefix(1);
  const size_t end = std::min(path.find_first_of(".[", 1), path.size());
  const std::string_view step = path.substr(0, end);
  path.remove_prefix(end);
  return step;
}

}  // namespace

struct ConfigReader::Impl {
  Json root;
  std::vector<std::string> problems;
  std::vector<std::string> known;  // paths of keys, in the order asked for
  std::set<const Json*> seen;      // values that a known path leads to or through

  void add(std::string line) {
    if (std::find(problems.begin(), problems.end(), line) == problems.end()) {
      problems.push_back(std::move(line));
    }
  }

  void learn(std::string_view path) {
    if (path.back() == ']') return;
    if (std::find(known.begin(), known.end(), path) == known.end()) known.emplace_back(path);
  }

  /// The value at the path, or null when there is none; what is on the way
  /// becomes known.
  const Json* find(std::string_view path) {
    const Json* at = &root;
    std::string_view rest = path;
    while (!rest.empty()) {
      const std::string_view step = next_step(rest);
      const std::string_view so_far = path.substr(0, path.size() - rest.size());
      learn(so_far);
      if (at != nullptr) at = child(*at, step, so_far);
    }
    return at;
  }

  const Json* child(const Json& parent, std::string_view step, std::string_view path) {
    const Json* found = nullptr;
    if (step.front() == '[') {
      // objects() has counted them, so the index is one of the list's.
      found = &parent.at(std::stoul(std::string(step.substr(1))));
    } else if (parent.is_object()) {
      const auto at = parent.find(std::string(step));
      if (at != parent.end()) found = &*at;
    } else {
      const size_t above = path.size() - step.size();
      expected(above == 0 ? "" : path.substr(0, above - 1), parent, "an object");
    }
    if (found != nullptr) seen.insert(found);
    return found;
  }

  void expected(std::string_view path, const Json& got, std::string_view what) {
    const std::string where = path.empty() ? "the document" : std::string(path);
    add(where + ": " + shown(got) + " is not " + std::string(what));
  }

  void name_unknown(const Json& value, const std::string& path) {
    if (value.is_array()) {
      for (size_t i = 0; i < value.size(); ++i) {
        // Our lists hold no lists: going into them would let the file choose the depth.
        if (value[i].is_object()) name_unknown(value[i], element(path, i));
      }
    }
    if (!value.is_object()) return;
    for (const auto& [key, inner] : value.items()) {
      const std::string inner_path = joined(path, key);
      if (seen.count(&inner) == 0) {
        add("unknown key " + shown(inner_path) + "; did you mean " +
            in_quotes(nearest(inner_path)) + "?");
      } else if (has_known_keys(inner_path)) {
        name_unknown(inner, inner_path);
      }
    }
  }

  /// Whether we know what is inside; a key that is refused as a whole is left alone.
  bool has_known_keys(const std::string& path) const {
    return std::any_of(known.begin(), known.end(), [&](const std::string& other) {
      return other.size() > path.size() && other.compare(0, path.size(), path) == 0 &&
             (other[path.size()] == '.' || other[path.size()] == '[');
    });
  }

  std::string nearest(const std::string& path) const {
    return *std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
      return distance_of_paths(path, a) < distance_of_paths(path, b);
    });
  }
};

ConfigReader::ConfigReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ConfigReader::ConfigReader(ConfigReader&&) noexcept = default;
ConfigReader::~ConfigReader() = default;

Result<ConfigReader> ConfigReader::parse(std::string_view json) {
  constexpr bool kThrow = true;
  constexpr bool kIgnoreComments = true;
  auto impl = std::make_unique<Impl>();
  try {
    impl->root = Json::parse(json, nullptr, kThrow, kIgnoreComments);
  } catch (const Json::exception& error) {
    std::string_view what = error.what();
    // Without "[json.exception.parse_error.101] ".
    if (const size_t end = what.find("] "); end != what.npos) what.remove_prefix(end + 2);
    return Error(Errc::invalid, std::string(what));
  }
  if (!impl->root.is_object()) impl->expected("", impl->root, "an object");
  return ConfigReader(std::move(impl));
}

bool ConfigReader::has(std::string_view path) { return impl_->find(path) != nullptr; }

bool ConfigReader::text(std::string_view path, std::string& out) {
  const Json* const value = impl_->find(path);
  if (value == nullptr) return false;
  if (!value->is_string()) {
    impl_->expected(path, *value, "a string");
    return false;
  }
  out = value->get<std::string>();
  return true;
}

bool ConfigReader::texts(std::string_view path, std::vector<std::string>& out) {
  const Json* const value = impl_->find(path);
  if (value == nullptr) return false;
  if (!value->is_array()) {
    impl_->expected(path, *value, "a list of strings");
    return false;
  }
  std::vector<std::string> taken(value->size());
  bool right = true;
  for (size_t i = 0; i < taken.size(); ++i) right &= text(element(path, i), taken[i]);
  if (right) out = std::move(taken);
  return right;
}

bool ConfigReader::whole_number(std::string_view path, uint64_t& out, uint64_t lowest,
                                uint64_t highest) {
  const Json* const value = impl_->find(path);
  if (value == nullptr) return false;
  const bool unsigned_one = value->is_number_unsigned();
  if (unsigned_one && value->get<uint64_t>() >= lowest && value->get<uint64_t>() <= highest) {
    out = value->get<uint64_t>();
    return true;
  }
  std::string rule = "a whole number from " + std::to_string(lowest);
  rule +=
      highest == std::numeric_limits<uint64_t>::max() ? " up" : " to " + std::to_string(highest);
  impl_->expected(path, *value, rule);
  return false;
}

bool ConfigReader::one_of(std::string_view path, size_t& index,
                          const std::vector<std::string_view>& names) {
  const Json* const value = impl_->find(path);
  if (value == nullptr) return false;
  for (index = 0; index < names.size(); ++index) {
    if (*value == names[index]) return true;
  }
  std::string rule = "one of";
  for (const auto name : names) rule += (name == names.front() ? " " : ", ") + in_quotes(name);
  impl_->expected(path, *value, rule);
  return false;
}

size_t ConfigReader::objects(std::string_view path) {
  const Json* const value = impl_->find(path);
  if (value == nullptr) return 0;
  if (!value->is_array()) {
    impl_->expected(path, *value, "a list of objects");
    return 0;
  }
  return value->size();
}

void ConfigReader::refuse(std::string_view path, std::string_view except_json,
                          std::string_view why) {
  const Json* const value = impl_->find(path);
  if (value == nullptr) return;
  if (!except_json.empty() && *value == Json::parse(except_json)) return;
  problem(path, why);
}

void ConfigReader::problem(std::string_view path, std::string_view what) {
  impl_->add(std::string(path) + ": " + std::string(what));
}

std::vector<std::string> ConfigReader::finish() && {
  impl_->name_unknown(impl_->root, "");
  return std::move(impl_->problems);
}

}  // namespace clickmill::engine
