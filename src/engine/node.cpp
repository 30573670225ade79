#include "clickmill/node.h"

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/file_system.h"
#include "engine/config.h"
#include "engine/direct.h"
#include "engine/engine.h"

namespace clickmill {

struct Node::Parts {
  explicit Parts(engine::Config config) : engine(std::move(config), files, clock) {}
  SystemClock clock;
  PosixFileSystem files;
  engine::Engine engine;
  std::optional<engine::Direct> direct;
};

namespace {

/// The text with what is given beside it, so that one reader checks all.
std::string merged(const Config& config) {
  auto json = nlohmann::json::parse(config.json, nullptr, true, true);
  const auto set = [&json](const char* pointer, const auto& value) {
    if (value) json[nlohmann::json::json_pointer(pointer)] = *value;
  };
  set("/data_dir", config.data_dir);
  set("/node_id", config.node_id);
  set("/listen/collector", config.collector);
  set("/listen/api", config.api);
  set("/log/partitions", config.partitions);
  set("/collector/durability", config.durability);
  set("/collector/default_redirect", config.default_redirect);
  set("/catalog/file", config.catalog_file);
  set("/threads", config.threads);
  return json.dump();
}

engine::Config checked_config(const Config& given) {
  try {
    // First the text alone: what is wrong with it is told as it stands there.
    engine::Config config = engine::parse_config(given.json, given.path);
    config = engine::parse_config(merged(given), given.path);
    if (given.listeners) {
      engine::check_config(config);
    } else {
      if (config.cluster) throw StartError("cluster: a node without listeners can have no peers");
      config.listen.collector.clear();
      config.listen.api.clear();
    }
    return config;
  } catch (const engine::ConfigError& error) {
    throw StartError(error.what());
  } catch (const nlohmann::json::exception& error) {
    throw StartError(std::string("config: ") + error.what());
  }
}

Config config_of(const std::string& json, const std::string& path) {
  Config config;
  config.json = json;
  config.path = path;
  return config;
}

}  // namespace

Node::Node(const std::string& config_json, const std::string& config_path)
    : Node(config_of(config_json, config_path)) {}

Node::Node(const Config& config) : parts_(std::make_unique<Parts>(checked_config(config))) {
  auto started = parts_->engine.start();
  if (started) started = parts_->engine.wait_until_counting();
  if (!started) throw StartError(started.error().text());
  parts_->direct.emplace(parts_->engine.context());
}

Node::~Node() { stop(); }

void Node::stop() {
  parts_->direct->close();
  parts_->engine.stop();
  parts_->direct->settle();
}

const std::string& Node::collector_address() const { return parts_->engine.collector_address(); }
const std::string& Node::api_address() const { return parts_->engine.api_address(); }

Receipt Node::record(const Click& click) {
  auto fate = std::make_shared<std::promise<Fate>>();
  Receipt receipt;
  receipt.fate = fate->get_future();
  receipt.redirect_url =
      parts_->direct->record(click, [fate](Fate told) { fate->set_value(told); });
  return receipt;
}

std::string Node::record(const Click& click, std::function<void(Fate)> told) {
  return parts_->direct->record(click, std::move(told));
}

Counts Node::counts(const CountsQuery& query) const { return parts_->direct->counts(query); }
Top Node::top(const TopQuery& query) const { return parts_->direct->top(query); }
bool Node::put_ad(const Ad& ad) { return parts_->direct->put_ad(ad); }
bool Node::remove_ad(const std::string& ad_id) { return parts_->direct->remove_ad(ad_id); }
std::optional<Ad> Node::find_ad(const std::string& ad_id) const {
  return parts_->direct->find_ad(ad_id);
}
std::vector<std::string> Node::not_ready() const { return parts_->direct->not_ready(); }

}  // namespace clickmill
