#include "clickmill/node.h"

#include "base/clock.h"
#include "base/file_system.h"
#include "engine/config.h"
#include "engine/engine.h"

namespace clickmill {

struct Node::Parts {
  explicit Parts(engine::Config config) : engine(std::move(config), files, clock) {}
  SystemClock clock;
  PosixFileSystem files;
  engine::Engine engine;
};

namespace {

engine::Config checked_config(const std::string& json, const std::string& path) {
  try {
    engine::Config config = engine::parse_config(json, path);
    engine::check_config(config);
    return config;
  } catch (const engine::ConfigError& error) {
    throw StartError(error.what());
  }
}

}  // namespace

Node::Node(const std::string& config_json, const std::string& config_path)
    : parts_(std::make_unique<Parts>(checked_config(config_json, config_path))) {
  auto started = parts_->engine.start();
  if (started) started = parts_->engine.wait_until_counting();
  if (!started) throw StartError(started.error().text());
}

Node::~Node() = default;
void Node::stop() { parts_->engine.stop(); }
const std::string& Node::collector_address() const { return parts_->engine.collector_address(); }
const std::string& Node::api_address() const { return parts_->engine.api_address(); }

}  // namespace clickmill
