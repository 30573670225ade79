#include "engine/sinks_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string_view>

#include "base/text.h"
#include "engine/config_reader.h"
#include "http/client.h"
#include "http/server.h"
#include "sinks/clickhouse_table.h"
#include "sinks/kafka_broker.h"

namespace clickmill::engine {
namespace {

constexpr size_t kNameMost = 64;
constexpr size_t kTopicMost = 249;  // Kafka's own limit
constexpr uint32_t kTimeoutMostMs = 600'000;

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

/// "name=value" each, no name twice, nor one of the sink's own.
void read_options(ConfigReader& in, const std::string& key, bool (*is_own)(std::string_view),
                  std::vector<std::string>& out) {
  in.texts(key, out);
  std::set<std::string> names;
  for (const std::string& option : out) {
    const std::string name = option.substr(0, option.find('='));
    if (name.size() == option.size() || name.empty()) {
      in.problem(key, '"' + option + "\" is not written as name=value");
    } else if (is_own(name)) {
      in.problem(key, name + " is set by the sink itself, so that no click is lost or doubled");
    } else if (!names.insert(name).second) {
      in.problem(key, name + " stands there twice");
    }
  }
}

void read_file_path(ConfigReader& in, const std::string& key, const std::string& folder,
                    std::string& out) {
  if (in.text(key, out) && !out.empty())
    out = (std::filesystem::path(folder) / out).lexically_normal().string();
}

/// The rest of the properties' rules are librdkafka's.
sinks::KafkaSettings read_kafka(ConfigReader& in, const std::string& path,
                                const std::string& folder) {
  sinks::KafkaSettings sink;
  in.text(path + ".name", sink.name);
  read_brokers(in, path + ".brokers", sink.brokers);
  read_topic(in, path + ".topic", sink.topic);
  read_options(in, path + ".options", sinks::is_own_property, sink.options);
  read_file_path(in, path + ".options_file", folder, sink.options_file);
  return sink;
}

/// What may stand between backquotes as it is.
void read_identifier(ConfigReader& in, const std::string& key, std::string& out) {
  if (in.text(key, out) && !consists_of(out, kNameMost, "_-"))
    in.problem(key, "not 1 to 64 letters, digits and _ -");
}

void read_url(ConfigReader& in, const std::string& key, std::string& out) {
  if (!in.has(key)) in.problem(key, "is missing");
  if (!in.text(key, out)) return;
  if (const auto url = http::parse_url(out); !url) in.problem(key, url.error().message());
}

void read_user(ConfigReader& in, const std::string& key, std::string& out) {
  if (!in.text(key, out)) return;
  const bool visible =
      std::all_of(out.begin(), out.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!visible || out.size() > kNameMost) in.problem(key, "not up to 64 visible ASCII characters");
}

sinks::ClickHouseSettings read_clickhouse(ConfigReader& in, const std::string& path,
                                          const std::string& folder) {
  sinks::ClickHouseSettings sink;
  in.text(path + ".name", sink.name);
  read_url(in, path + ".url", sink.url);
  read_identifier(in, path + ".database", sink.database);
  read_identifier(in, path + ".table", sink.table);
  read_user(in, path + ".user", sink.user);
  read_file_path(in, path + ".password_file", folder, sink.password_file);
  if (!sink.password_file.empty() && sink.user.empty())
    in.problem(path + ".password_file", "is a password of nobody: user is missing");
  read_file_path(in, path + ".ca_file", folder, sink.ca_file);
  if (!sink.ca_file.empty() && !sink.url.starts_with("https://"))
    in.problem(path + ".ca_file", "has no use where the url is not https://");
  read_options(in, path + ".options", sinks::is_own_parameter, sink.options);
  for (const std::string& option : sink.options) {
    if (option == "wait_for_async_insert=0")
      in.problem(path + ".options", option + " would answer before the rows are kept");
  }
  in.number(path + ".timeout_ms", sink.timeout_ms, 100, kTimeoutMostMs);
  return sink;
}

}  // namespace

std::vector<sinks::Settings> read_sinks(ConfigReader& in, const std::string& folder) {
  enum class Type { kafka, clickhouse };
  std::vector<sinks::Settings> out;
  std::set<std::string> names;
  for (size_t i = 0, count = in.objects("sinks"); i < count; ++i) {
    const std::string path = fmt::format("sinks[{}]", i);
    if (!in.has(path + ".type")) in.problem(path + ".type", "is missing");
    Type type = Type::kafka;
    if (!in.choice<Type>(path + ".type", type,
                         {{"kafka", Type::kafka}, {"clickhouse", Type::clickhouse}}) &&
        in.has(path + ".url")) {
      type = Type::clickhouse;
    }
    if (type == Type::kafka) {
      out.emplace_back(read_kafka(in, path, folder));
    } else {
      out.emplace_back(read_clickhouse(in, path, folder));
    }
    const std::string& name =
        std::visit([](const auto& sink) -> const std::string& { return sink.name; }, out.back());
    if (!consists_of(name, kNameMost, "_-"))
      in.problem(path + ".name", "not 1 to 64 letters, digits and _ -");
    if (!names.insert(name).second) {
      in.problem(path + ".name", fmt::format("\"{}\" is another sink's too: each keeps its "
                                             "position under its name",
                                             name));
    }
  }
  return out;
}

}  // namespace clickmill::engine
