#include "simulation/sim_network.h"

#include <algorithm>

namespace clickmill::simulation {

class SimNetwork::Port final : public peer::Transport {
 public:
  Port(SimNetwork& network, size_t node) : network_(network), node_(node) {}
  bool send(const std::string& to, peer::Lane lane, std::string frame) override {
    for (size_t i = 0; i < network_.ports_.size(); ++i) {
      if (name_of(i) == to) return network_.send(node_, i, lane, std::move(frame));
    }
    return false;
  }
  void meet_again(const std::string& node) override {
    for (size_t i = 0; i < network_.ports_.size(); ++i) {
      if (name_of(i) == node) network_.to_renew_.insert(pair_of(node_, i));
    }
  }

 private:
  SimNetwork& network_;
  const size_t node_;
};

SimNetwork::SimNetwork(uint64_t seed, size_t nodes, const Clock& clock)
    : random_(seed), clock_(clock), receivers_(nodes), storages_(nodes), epochs_(nodes) {
  for (size_t i = 0; i < nodes; ++i) ports_.push_back(std::make_unique<Port>(*this, i));
  for (size_t a = 0; a < nodes; ++a) {
    for (size_t b = a + 1; b < nodes; ++b) links_[{a, b}];
  }
}

SimNetwork::~SimNetwork() = default;

peer::Transport& SimNetwork::transport(size_t node) { return *ports_[node]; }

void SimNetwork::attach(size_t node, peer::Receiver* receiver, uint64_t storage, uint64_t epoch) {
  receivers_[node] = receiver;
  storages_[node] = storage;
  epochs_[node] = epoch;
  if (receiver != nullptr) return;
  for (auto& [pair, link] : links_) {
    if (pair.first == node || pair.second == node) take_down(pair, true);
  }
}

void SimNetwork::take_down(Pair pair, bool refused) {
  Link& link = links_[pair];
  if (!link.up) return;
  link.up = false;
  link.again_ms = clock_.wall_ms() + 100;
  std::erase_if(frames_, [&](const auto& frame) {
    return pair_of(frame.second.from, frame.second.to) == pair;
  });
  for (const auto& [own, other] : {pair, Pair(pair.second, pair.first)}) {
    if (receivers_[own] != nullptr) receivers_[own]->on_link_down(name_of(other), refused, "");
  }
}

void SimNetwork::break_link(size_t a, size_t b, int64_t for_ms) {
  take_down(pair_of(a, b), false);
  links_[pair_of(a, b)].again_ms = clock_.wall_ms() + for_ms;
}

void SimNetwork::heal() {
  deaf_.clear();
  delay_ms_most_ = 5;
  drop_one_in_ = 0;
  for (auto& [pair, link] : links_) link.again_ms = std::min(link.again_ms, clock_.wall_ms());
}

bool SimNetwork::send(size_t from, size_t to, peer::Lane lane, std::string&& bytes) {
  if (from == to || !links_[pair_of(from, to)].up) return false;
  if (lane == peer::Lane::group && drop_one_in_ != 0 && random_.one_in(drop_one_in_)) return false;
  if (deaf_.count({from, to}) != 0) return true;
  if (rots_ && lane == peer::Lane::bulk && bytes.size() > 400 && random_.one_in(2)) {
    // Behind what says how long things are.
    char& byte = bytes[bytes.size() - 1 - random_.below(bytes.size() / 4)];
    byte = static_cast<char>(byte ^ (1 << random_.below(8)));
  }
  const int64_t delay =
      1 + static_cast<int64_t>(random_.below(static_cast<uint64_t>(delay_ms_most_)));
  int64_t& last = last_[{Pair(from, to), lane}];
  last = std::max(last, clock_.wall_ms() + delay);
  frames_.emplace(last, Frame{from, to, lane, std::move(bytes)});
  return true;
}

peer::Hello SimNetwork::hello_of(size_t node) const {
  peer::Hello hello;
  hello.node_id = name_of(node);
  hello.storage_id = storages_[node];
  if (introduce_) introduce_(node, hello);
  return hello;
}

/// As a handshake finds.
bool SimNetwork::fit(Pair pair) {
  const auto [a, b] = pair;
  if (peer::misfit_of_levels(hello_of(a), hello_of(b)).empty()) return true;
  for (const auto& [own, other] : {pair, Pair(b, a)})
    receivers_[own]->on_misfit(hello_of(other), peer::Refusal::feature_level);
  return false;
}

void SimNetwork::step() {
  const int64_t now = clock_.wall_ms();
  for (const Pair& pair : std::exchange(to_renew_, {})) take_down(pair, false);
  for (auto& [pair, link] : links_) {
    const auto [a, b] = pair;
    if (link.up || now < link.again_ms || receivers_[a] == nullptr || receivers_[b] == nullptr)
      continue;
    if (epochs_[a] != epochs_[b]) {
      link.again_ms = now + 100;
      if (left_behind_) left_behind_(epochs_[a] < epochs_[b] ? a : b);
      continue;
    }
    if (!fit(pair)) {
      link.again_ms = now + 100;
      continue;
    }
    link.up = true;
    for (const auto& [own, other] : {pair, Pair(b, a)})
      receivers_[own]->on_link_up(hello_of(other));
  }
  while (!frames_.empty() && frames_.begin()->first <= now) {
    Frame frame = std::move(frames_.begin()->second);
    frames_.erase(frames_.begin());
    if (receivers_[frame.to] != nullptr)
      receivers_[frame.to]->on_frame(name_of(frame.from), frame.lane, std::move(frame.bytes));
  }
}

}  // namespace clickmill::simulation
