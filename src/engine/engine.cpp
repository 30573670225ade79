#include "engine/engine.h"

#include <utility>

#include "engine/running_node.h"

namespace clickmill::engine {

Engine::Engine(Config config, FileSystem& files, Clock& clock)
    : node_(std::make_unique<RunningNode>(std::move(config), files, clock)) {}
Engine::~Engine() = default;
Status Engine::start() { return node_->start(); }
Status Engine::wait_until_counting() { return node_->wait_until_counting(); }
void Engine::announce_stop() { node_->announce_stop(); }
void Engine::stop() { node_->stop(); }
const std::string& Engine::collector_address() const { return node_->collector_address_; }
const std::string& Engine::api_address() const { return node_->api_address_; }
std::vector<std::string> Engine::not_ready() { return node_->not_ready(); }
api::Context& Engine::context() { return node_->context(); }
void Engine::reload(const Config& next) { node_->reload(next); }
void Engine::keep_config(const std::string& why) { node_->keep_config(why); }

}  // namespace clickmill::engine
