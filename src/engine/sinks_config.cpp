#include "engine/sinks_config.h"

#include <fmt/format.h>

#include <filesystem>
#include <set>
#include <string_view>

#include "base/text.h"
#include "engine/config_reader.h"
#include "http/server.h"
#include "sinks/kafka_broker.h"

namespace clickmill::engine {
namespace {

constexpr size_t kNameMost = 64;
constexpr size_t kTopicMost = 249;  // Kafka's own limit

void read_brokers(ConfigReader& in, const std::string& key, std::string& out) {
  if (!in.has(key)) in.problem(key, "is missing");
  if (!in.text(key, out)) return;
  std::string_view rest = out;
  while (true) {
    const size_t comma = rest.find(',');
    const std::string broker(rest.substr(0, comma));
    const auto parsed = http::parse_host_port(broker);
    if (!parsed) {
      in.problem(key, parsed.error().message());
    } else if (parsed->port == 0) {
      in.problem(key, fmt::format("\"{}\": port 0 is none to connect to", broker));
    }
    if (comma == std::string_view::npos) return;
    rest.remove_prefix(comma + 1);
  }
}

void read_topic(ConfigReader& in, const std::string& key, std::string& out) {
  if (!in.has(key)) in.problem(key, "is missing");
  if (!in.text(key, out)) return;
  if (!consists_of(out, kTopicMost, "._-") || out == "." || out == "..")
    in.problem(key, "not 1 to 249 letters, digits and . _ -");
}

/// The rest of the properties' rules are librdkafka's.
void read_options(ConfigReader& in, const std::string& key, std::vector<std::string>& out) {
  in.texts(key, out);
  std::set<std::string> names;
  for (const std::string& option : out) {
    const std::string name = option.substr(0, option.find('='));
    if (name.size() == option.size() || name.empty()) {
      in.problem(key, '"' + option + "\" is not written as name=value");
    } else if (sinks::is_own_property(name)) {
      in.problem(key, name + " is set by the sink itself, so that no click is lost or doubled");
    } else if (!names.insert(name).second) {
      in.problem(key, name + " stands there twice");
    }
  }
}

}  // namespace

std::vector<sinks::KafkaSettings> read_sinks(ConfigReader& in, const std::string& folder) {
  std::vector<sinks::KafkaSettings> out;
  std::set<std::string> names;
  for (size_t i = 0, count = in.objects("sinks"); i < count; ++i) {
    const std::string path = fmt::format("sinks[{}]", i);
    sinks::KafkaSettings sink;
    if (!in.has(path + ".type")) in.problem(path + ".type", "is missing");
    std::string type;
    in.choice<std::string>(path + ".type", type, {{"kafka", "kafka"}});
    if (in.text(path + ".name", sink.name) && !consists_of(sink.name, kNameMost, "_-"))
      in.problem(path + ".name", "not 1 to 64 letters, digits and _ -");
    if (!names.insert(sink.name).second) {
      in.problem(path + ".name", fmt::format("\"{}\" is another sink's too: each keeps its "
                                             "position under its name",
                                             sink.name));
    }
    read_brokers(in, path + ".brokers", sink.brokers);
    read_topic(in, path + ".topic", sink.topic);
    read_options(in, path + ".options", sink.options);
    if (in.text(path + ".options_file", sink.options_file) && !sink.options_file.empty()) {
      sink.options_file =
          (std::filesystem::path(folder) / sink.options_file).lexically_normal().string();
    }
    out.push_back(std::move(sink));
  }
  return out;
}

}  // namespace clickmill::engine
