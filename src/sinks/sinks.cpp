#include "sinks/sinks.h"

#include <utility>

#include "sinks/clickhouse_table.h"
#include "sinks/kafka_broker.h"
#include "sinks/minutes.h"
#include "sinks/sink.h"

namespace clickmill::sinks {
namespace {

using Ask = std::function<void(const std::string& node, std::function<void(std::string)>)>;

Status check(const KafkaSettings& settings, const std::string& key) {
  return check_kafka(settings, key);
}
Status check(const ClickHouseSettings& settings, const std::string& key) {
  return check_clickhouse(settings, key);
}

/// Null: the node is alone.
Ask ask_of(const Sinks::Node& node, const std::string& name) {
  if (node.peers == nullptr) return nullptr;
  return [calls = &node.peers->calls(), name](const std::string& peer,
                                              std::function<void(std::string)> told) {
    calls->ask(peer, cluster::CallKind::sink, name, [told](Result<std::string> answer) {
      if (answer) told(*std::move(answer));
    });
  };
}

template <typename Options>
Options options_of(const Sinks::Node& node, const std::string& name) {
  Options options;
  options.name = name;
  options.node_id = node.node_id;
  options.partitions = node.partitions;
  options.ask = ask_of(node, name);
  return options;
}

Error not_known(Error error, const std::string& name) {
  return std::move(error).with_context(
      "sink " + name +
      ": how far it came is not known; without this file it sends all that is kept again");
}

// To begin anew would send everything again, and to go on anywhere else would lose clicks: so a
// damaged file is for the operator.

Result<std::unique_ptr<Outlet>> make(const KafkaSettings& settings, const Sinks::Node& node,
                                     const std::string& folder) {
  auto positions =
      Positions::open(node.files, folder + "/" + settings.name + ".positions", node.partitions);
  if (!positions) return not_known(std::move(positions).error(), settings.name);
  auto options = options_of<Sink::Options>(node, settings.name);
  options.open = [settings] { return open_kafka(settings); };
  return std::unique_ptr<Outlet>(
      std::make_unique<Sink>(std::move(options), Sink::Log{node.log, node.states},
                             *std::move(positions), node.clock, node.metrics));
}

Result<std::unique_ptr<Outlet>> make(const ClickHouseSettings& settings, const Sinks::Node& node,
                                     const std::string& folder) {
  auto progress =
      Progress::open(node.files, folder + "/" + settings.name + ".progress", node.partitions);
  if (!progress) return not_known(std::move(progress).error(), settings.name);
  return std::unique_ptr<Outlet>(std::make_unique<Minutes>(
      options_of<Minutes::Options>(node, settings.name),
      MinuteFeed::Source{node.log, node.states, node.review, node.retention},
      Minutes::Target{open_clickhouse(settings), *std::move(progress)}, node.clock, node.metrics));
}

}  // namespace

Status check_settings(const std::vector<Settings>& settings) {
  for (size_t i = 0; i < settings.size(); ++i) {
    const std::string key = "sinks[" + std::to_string(i) + "]";
    TRY(std::visit([&](const auto& one) { return check(one, key); }, settings[i]));
  }
  return {};
}

Result<std::unique_ptr<Sinks>> Sinks::open(const std::vector<Settings>& settings, Node node) {
  if (settings.empty()) return std::unique_ptr<Sinks>();
  auto sinks = std::make_unique<Sinks>();
  const std::string folder = node.data_dir + "/sinks";
  TRY(node.files.create_directories(folder));
  for (const Settings& one : settings) {
    auto outlet = TRY(std::visit([&](const auto& of) { return make(of, node, folder); }, one));
    sinks->sinks_.push_back(std::move(outlet));
  }
  if (node.peers != nullptr) sinks->serve(node.peers->calls());
  return sinks;
}

/// The question is a sink's name.
void Sinks::serve(cluster::Calls& calls) {
  calls.serve(cluster::CallKind::sink, [this](const std::string& /*from*/, std::string_view name,
                                              const cluster::Calls::Answer& answer) {
    for (const auto& sink : sinks_) {
      if (sink->name() == name) return answer(sink->told());
    }
    answer(Error(Errc::not_found, "there is no such sink here"));
  });
}

void Sinks::start() {
  for (const auto& sink : sinks_) sink->start();
}

void Sinks::stop() {
  for (const auto& sink : sinks_) sink->stop();
}

std::vector<std::string> Sinks::warnings() const {
  std::vector<std::string> warnings;
  for (const auto& sink : sinks_) {
    if (std::string warning = sink->warning(); !warning.empty())
      warnings.push_back(std::move(warning));
  }
  return warnings;
}

}  // namespace clickmill::sinks
