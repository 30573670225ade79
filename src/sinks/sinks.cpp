#include "sinks/sinks.h"

#include <utility>

#include "sinks/kafka_broker.h"

namespace clickmill::sinks {

Status check_settings(const std::vector<KafkaSettings>& settings) {
  for (size_t i = 0; i < settings.size(); ++i)
    TRY(check_kafka(settings[i], "sinks[" + std::to_string(i) + "]"));
  return {};
}

Result<std::unique_ptr<Sinks>> Sinks::open(const std::vector<KafkaSettings>& settings, Node node) {
  if (settings.empty()) return std::unique_ptr<Sinks>();
  auto sinks = std::make_unique<Sinks>();
  const std::string folder = node.data_dir + "/sinks";
  TRY(node.files.create_directories(folder));
  for (const KafkaSettings& one : settings) {
    auto positions =
        Positions::open(node.files, folder + "/" + one.name + ".positions", node.partitions);
    // To begin anew would send everything again, and to go on anywhere else would lose clicks.
    if (!positions) {
      return std::move(positions.error())
          .with_context("sink " + one.name +
                        ": how far it came is not known; without this file it sends all clicks "
                        "that are kept again");
    }
    Sink::Options options;
    options.name = one.name;
    options.node_id = node.node_id;
    options.partitions = node.partitions;
    options.open = [one] { return open_kafka(one); };
    if (node.peers != nullptr) {
      options.ask = [calls = &node.peers->calls(), name = one.name](
                        const std::string& peer, std::function<void(std::string)> told) {
        calls->ask(peer, cluster::CallKind::sink, name, [told](Result<std::string> answer) {
          if (answer) told(*std::move(answer));
        });
      };
    }
    sinks->sinks_.push_back(
        std::make_unique<Sink>(std::move(options), Sink::Log{node.log, node.states},
                               *std::move(positions), node.clock, node.metrics));
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
