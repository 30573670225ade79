#include "cluster/founding.h"

#include <catch2/catch.hpp>
#include <deque>
#include <set>

#include "base/random.h"
#include "cluster/placement.h"

namespace clickmill::cluster {
namespace {

/// What a machine's disk has.
struct Disk {
  raft::StorageId storage;
  uint64_t seed = 0;
  bool holds_data = false;
  std::optional<Founded> founded;
};

/// Nodes that found a cluster on simulated disks and a simulated network: one thread, one seed.
///
/// Fault model: messages are lost, doubled and out of order within a link; links break, and
/// what was on them is gone; nodes are killed and started at any time; a membership is lost,
/// or durable and not told, when the node is killed; its write fails, done or not; one disk is
/// wiped.
struct World {
  struct Node {
    std::string name;
    Disk disk;
    std::unique_ptr<Founding> founding;  // null: not running
    std::optional<Founded> writing;
    uint64_t life = 0;
    std::vector<std::string> nodes;  // of its config
    uint32_t partitions = 64;
    uint32_t replication = 3;
  };
  struct Frame {
    size_t from;
    size_t to;
    std::string bytes;
  };

  World(uint64_t seed, size_t count) : random(seed) {
    std::vector<std::string> names;
    for (size_t i = 1; i <= count; ++i) names.push_back("n" + std::to_string(i));
    for (const std::string& name : names) {
      Node& node = nodes.emplace_back();
      node.name = name;
      node.nodes = names;
      node.disk = {raft::StorageId(next++), 1'000 + next, false, {}};
    }
  }

  void start(size_t i) {
    Node& node = nodes[i];
    Founding::Options options;
    options.node = node.name;
    options.nodes = node.nodes;
    options.storage = node.disk.storage;
    options.partitions = node.partitions;
    options.replication = node.replication;
    options.life = node.life = next++;
    options.seed = node.disk.seed;
    options.draw = [this] { return random.one_in(20) ? 0 : 1'000'000 + next++; };
    node.founding = std::make_unique<Founding>(options, node.disk.holds_data && !node.disk.founded,
                                               node.disk.founded);
    for (size_t other = 0; other < nodes.size(); ++other) {
      if (other != i) connect(i, other);
    }
  }
  void start_all() {
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (!nodes[i].founding) start(i);
    }
  }
  void kill(size_t i) {
    nodes[i].founding.reset();
    nodes[i].writing.reset();
    for (size_t other = 0; other < nodes.size(); ++other) {
      if (other != i) disconnect(i, other);
    }
  }
  void wipe(size_t i) {
    kill(i);
    nodes[i].disk = {raft::StorageId(next++), 1'000 + next, false, {}};
  }
  bool linked(size_t a, size_t b) const {
    return nodes[a].founding && nodes[b].founding && links.count(std::minmax(a, b)) > 0;
  }
  void connect(size_t a, size_t b) {
    if (!nodes[a].founding || !nodes[b].founding || !links.insert(std::minmax(a, b)).second) return;
    nodes[a].founding->link_up(nodes[b].name);
    nodes[b].founding->link_up(nodes[a].name);
    take(a);
    take(b);
  }
  void disconnect(size_t a, size_t b) {
    if (links.erase(std::minmax(a, b)) == 0) return;
    std::erase_if(frames, [&](const Frame& frame) {
      return std::minmax(frame.from, frame.to) == std::minmax(a, b);
    });
    if (nodes[a].founding) nodes[a].founding->link_down(nodes[b].name);
    if (nodes[b].founding) nodes[b].founding->link_down(nodes[a].name);
  }

  /// Sends and notes what a node wants after something happened to it.
  void take(size_t i) {
    auto output = nodes[i].founding->take_output();
    if (output.persist) nodes[i].writing = std::move(output.persist);
    for (const auto& [to, message] : output.messages) {
      const size_t other = index_of(to);
      if (other < nodes.size() && linked(i, other)) frames.push_back({i, other, encode(message)});
    }
  }
  size_t index_of(const std::string& name) const {
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (nodes[i].name == name) return i;
    }
    return nodes.size();
  }
  void tick(size_t i) {
    if (!nodes[i].founding) return;
    if (waits_for_nobody) take_silence_for_empty(i);
    nodes[i].founding->tick();
    take(i);
  }
  /// Of one node, when the others are linked.
  void take_silence_for_empty(size_t i) {
    std::vector<size_t> silent;
    for (size_t other = 0; other < nodes.size(); ++other) {
      if (other != i && !linked(i, other)) silent.push_back(other);
    }
    if (silent.size() != 1 || nodes.size() < 3) return;
    Node& own = nodes[i];
    const Node& other = nodes[silent.front()];
    own.founding->receive(other.name, Introduction{.life = next++,
                                                   .heard_life = own.life,
                                                   .storage = other.disk.storage,
                                                   .nodes = own.nodes,
                                                   .partitions = own.partitions,
                                                   .replication = own.replication});
  }
  void deliver(size_t at, bool keep = false) {
    const Frame frame = frames[at];
    if (!keep) frames.erase(frames.begin() + static_cast<ptrdiff_t>(at));
    const auto message = decode_founding(frame.bytes);
    REQUIRE(message);
    nodes[frame.to].founding->receive(nodes[frame.from].name, *message);
    take(frame.to);
  }
  void write(size_t i) {
    nodes[i].disk.founded = nodes[i].writing;
    ids_ever.insert(nodes[i].writing->cluster_id);
  }
  void persist(size_t i) {
    if (!nodes[i].writing) return;
    write(i);
    nodes[i].writing.reset();
    nodes[i].founding->persisted();
    take(i);
  }
  /// Without faults, for so many ticks of everybody.
  void settle(int ticks = 6) {
    for (; ticks > 0; --ticks) {
      for (size_t i = 0; i < nodes.size(); ++i) tick(i);
      for (bool moved = true; moved;) {
        moved = !frames.empty();
        while (!frames.empty()) deliver(0);
        for (size_t i = 0; i < nodes.size(); ++i) {
          moved |= nodes[i].writing.has_value();
          persist(i);
        }
      }
    }
  }

  void persist_or_not(size_t i) {
    if (!nodes[i].writing) return;
    switch (random.below(6)) {
      case 0: return kill(i);
      case 1: write(i); return kill(i);
      case 2:
        if (random.one_in(2)) write(i);
        nodes[i].writing.reset();
        return nodes[i].founding->not_persisted(Error(Errc::io, "the disk failed"));
      default: persist(i);
    }
  }
  void step(bool may_wipe) {
    const size_t i = random.below(nodes.size());
    const size_t other = random.below(nodes.size());
    const uint64_t what = random.below(100);
    if (what < 12) return tick(i);
    if (what < 30) return persist_or_not(i);
    if (what < 33) return nodes[i].founding ? kill(i) : void();
    if (what < 40) return nodes[i].founding ? void() : start(i);
    if (what < 43) return i != other ? disconnect(i, other) : void();
    if (what < 48) return i != other ? connect(i, other) : void();
    if (what < 49 && may_wipe && !wiped) {
      wiped = true;
      return wipe(i);
    }
    if (frames.empty()) return;
    const size_t at = random.below(frames.size());
    if (random.one_in(10)) {
      frames.erase(frames.begin() + static_cast<ptrdiff_t>(at));
    } else {
      deliver(at, frames.size() < 200 && random.one_in(10));
    }
  }
  /// Those that disks hold now.
  std::set<uint64_t> ids() const {
    std::set<uint64_t> found;
    for (const Node& node : nodes) {
      if (node.disk.founded) found.insert(node.disk.founded->cluster_id);
    }
    return found;
  }
  std::vector<std::string> waiting(const std::string& name) const {
    return nodes[index_of(name)].founding->why_waiting();
  }

  Random random;
  uint64_t next = 1;
  std::deque<Node> nodes;
  std::set<std::pair<size_t, size_t>> links;
  std::deque<Frame> frames;
  std::set<uint64_t> ids_ever;
  bool wiped = false;
  bool waits_for_nobody = false;
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("founding: empty nodes become one cluster, of all as founders", "[cluster]") {
  World world(1, GENERATE(1, 2, 3, 5));
  world.start_all();
  world.settle(2);
  const Founded& founded = *world.nodes[0].disk.founded;
  CHECK(founded.cluster_id != 0);
  CHECK(founded.epoch == 1);
  CHECK(founded.partitions == 64);
  REQUIRE(founded.founders.size() == world.nodes.size());
  for (size_t i = 0; i < world.nodes.size(); ++i) {
    CHECK(founded.founders[i] == raft::Member{world.nodes[i].name, world.nodes[i].disk.storage});
    CHECK(world.nodes[i].disk.founded == founded);
    CHECK(world.nodes[i].founding->founded() == founded);
    CHECK(world.nodes[i].founding->why_waiting().empty());
  }
}

TEST_CASE("founding: a silent node is waited for, by name", "[cluster]") {
  World world(1, 3);
  world.start(0);
  world.start(1);
  world.settle();
  CHECK(world.ids().empty());
  CHECK(world.waiting("n1") == Lines{"n3 has not answered yet"});
  CHECK(world.waiting("n2") == Lines{"n3 has not answered yet"});
  world.start(2);
  world.settle();
  CHECK(world.ids().size() == 1);

  // Who holds data waits as well.
  World other(1, 2);
  other.nodes[0].disk.holds_data = true;
  other.start(0);
  other.settle();
  CHECK(other.waiting("n1") == Lines{"n2 has not answered yet"});
}

TEST_CASE("founding: only the lowest node_id founds", "[cluster]") {
  World world(1, 3);
  for (auto& node : world.nodes) std::reverse(node.nodes.begin(), node.nodes.end());
  world.start_all();
  for (int i = 0; i < 20; ++i) {
    world.tick(1);
    world.tick(2);
    while (!world.frames.empty()) world.deliver(0);
  }
  CHECK(world.nodes[0].writing);
  CHECK_FALSE(world.nodes[1].writing);
  CHECK_FALSE(world.nodes[2].writing);
  // And says nothing before it is durable.
  CHECK(world.ids().empty());
  CHECK(world.waiting("n1") == Lines{"the membership is being made durable"});
  CHECK(world.waiting("n2") == Lines{"n1 has not founded the cluster yet"});
}

TEST_CASE("founding: configs that differ found nothing, and say in what", "[cluster]") {
  World world(1, 2);
  SECTION("partitions") {
    world.nodes[1].partitions = 32;
    world.start_all();
    world.settle();
    CHECK(world.waiting("n1") == Lines{"n2: its log.partitions is 32, here it is 64"});
    CHECK(world.waiting("n2") == Lines{"n1: its log.partitions is 64, here it is 32"});
  }
  SECTION("replication") {
    world.nodes[0].replication = 1;
    world.start_all();
    world.settle();
    CHECK(world.waiting("n1") == Lines{"n2: its cluster.replication is 3, here it is 1"});
    CHECK(world.waiting("n2") == Lines{"n1: its cluster.replication is 1, here it is 3"});
  }
  SECTION("peers") {
    world.nodes[1].nodes = {"n1", "n2", "n3"};
    world.start_all();
    world.settle();
    CHECK(world.waiting("n1") ==
          Lines{"n2: its cluster.peers are n1, n2, n3, here they are n1, n2"});
    CHECK(world.waiting("n2") == Lines{"n1: its cluster.peers are n1, n2, here they are n1, n2, n3",
                                       "n3 has not answered yet"});
  }
  CHECK(world.ids().empty());
}

TEST_CASE("founding: a node that holds data founds with its seed, and the others join",
          "[cluster]") {
  const size_t holder = GENERATE(0, 1, 2);
  World world(1, 3);
  world.nodes[holder].disk.holds_data = true;
  world.start_all();
  world.settle();
  for (const auto& node : world.nodes) {
    REQUIRE(node.disk.founded);
    CHECK(node.disk.founded->seed == world.nodes[holder].disk.seed);
    CHECK(node.disk.founded->founders ==
          std::vector<raft::Member>{{world.nodes[holder].name, world.nodes[holder].disk.storage}});
  }
  CHECK(world.ids().size() == 1);
}

TEST_CASE("founding: two that hold data refuse each other, naming both", "[cluster]") {
  World world(1, 3);
  world.nodes[0].disk.holds_data = world.nodes[2].disk.holds_data = true;
  world.start_all();
  world.settle();
  CHECK(world.ids().empty());
  for (const auto& node : world.nodes) {
    CHECK(node.founding->why_waiting()[0] ==
          "n1 and n3 hold data and belong to no common cluster; all but one must start with an "
          "empty data_dir");
  }
}

TEST_CASE("founding: who holds data does not join a cluster", "[cluster]") {
  World world(1, 3);
  world.start_all();
  world.settle();
  world.wipe(2);
  world.nodes[2].disk.holds_data = true;
  world.start(2);
  world.settle();
  CHECK_FALSE(world.nodes[2].disk.founded);
  REQUIRE(world.waiting("n3").size() == 2);
  CHECK(world.waiting("n3")[0].find("n1 belongs to cluster ") == 0);
  CHECK(world.waiting("n3")[0].find("and n3 holds data of its own") != std::string::npos);
}

TEST_CASE("founding: an empty node joins the cluster of any that answers", "[cluster]") {
  World world(1, 3);
  world.start_all();
  world.settle();
  const Founded before = *world.nodes[1].disk.founded;
  // The one that founded it; the other member is away.
  world.wipe(0);
  world.kill(2);
  world.start(0);
  world.settle();
  CHECK(world.nodes[0].disk.founded == before);
  CHECK(before.founders[0].storage != world.nodes[0].disk.storage);
}

TEST_CASE("founding: a member that starts anew still takes in who is empty", "[cluster]") {
  World world(1, 3);
  world.start_all();
  // n3 hears of everybody, and is cut off before the offer comes.
  world.tick(0);
  world.tick(1);
  world.tick(2);
  while (!world.frames.empty()) world.deliver(0);
  world.disconnect(0, 2);
  world.disconnect(1, 2);
  world.settle();
  CHECK_FALSE(world.nodes[2].disk.founded);
  for (const size_t i : {0, 1}) {
    world.kill(i);
    world.start(i);
  }
  world.settle(2);
  CHECK(world.nodes[2].disk.founded == world.nodes[0].disk.founded);
}

TEST_CASE("founding: what was persisted is offered after a crash, never drawn anew", "[cluster]") {
  World world(1, 3);
  world.start_all();
  while (!world.nodes[0].writing) {
    for (size_t i = 0; i < 3; ++i) world.tick(i);
    while (!world.frames.empty()) world.deliver(0);
  }
  const Founded drawn = *world.nodes[0].writing;
  SECTION("killed before anybody heard of it") {
    world.write(0);
    world.kill(0);
    world.start(0);
    world.settle();
    CHECK(world.nodes[2].disk.founded == drawn);
  }
  SECTION("the disk fails for a while") {
    world.nodes[0].founding->not_persisted(Error(Errc::no_space, "the disk is full"));
    CHECK(world.waiting("n1") ==
          Lines{"the membership can't be saved: the disk is full (no space)"});
    world.nodes[0].writing.reset();
    world.settle();
    CHECK(world.nodes[2].disk.founded == drawn);
  }
  CHECK(world.ids_ever.size() == 1);
}

TEST_CASE("founding: a cluster of other partitions, or one of two, is not joined", "[cluster]") {
  World world(1, 3);
  world.start_all();
  world.settle();
  world.wipe(2);
  SECTION("other partitions") {
    world.nodes[2].partitions = 32;
    world.start(2);
    world.settle();
    CHECK(world.waiting("n3")[0] == "the cluster of n1 has 64 partitions, log.partitions says 32");
  }
  SECTION("two clusters") {
    world.kill(1);
    world.nodes[1].disk.founded->cluster_id = 77;
    world.start(1);
    world.start(2);
    // Both answer before either offer is judged.
    world.tick(2);
    Founding& n3 = *world.nodes[2].founding;
    std::vector<World::Frame> answers(world.frames.begin(), world.frames.end());
    for (const auto& frame : answers) {
      const auto message = decode_founding(frame.bytes);
      if (frame.to == 2 && std::holds_alternative<Introduction>(*message))
        n3.receive(world.nodes[frame.from].name, *message);
    }
    while (!world.frames.empty()) world.deliver(0);
    if (!world.nodes[2].writing) {
      CHECK(world.waiting("n3")[0].find("whom to join is for the operator to say") !=
            std::string::npos);
    }
  }
}

TEST_CASE("founding: what was meant for a former start changes nothing", "[cluster]") {
  World world(1, 2);
  world.start(0);
  world.start(1);
  world.frames.clear();
  Founded founded;
  founded.cluster_id = 9;
  founded.partitions = 64;
  founded.founders = {{"n1", raft::StorageId(1)}};
  Founding& n2 = *world.nodes[1].founding;
  n2.receive("n1", Offer{5, 12'345, founded});
  n2.receive("n9", Introduction{});
  n2.receive("n9", Offer{});
  CHECK_FALSE(n2.take_output().persist);
  CHECK(world.waiting("n2") == Lines{"n1 has not answered yet"});
}

TEST_CASE("founding: an \"empty\" that was said to a former start founds nothing", "[cluster]") {
  World world(1, 2);
  world.start(0);
  Founding& n1 = *world.nodes[0].founding;
  n1.tick();
  const auto messages = n1.take_output().messages;
  REQUIRE(messages.size() == 1);
  Introduction said = std::get<Introduction>(messages[0].second);
  const uint64_t life = said.life;
  said.life = 55;
  said.heard_life = GENERATE(0, 77);
  n1.receive("n2", said);
  CHECK_FALSE(n1.take_output().persist);
  CHECK(world.waiting("n1") == Lines{"n2 has not heard this node yet"});
  said.heard_life = life;
  n1.receive("n2", said);
  CHECK(n1.take_output().persist);
}

TEST_CASE("founding: who is about to be a member doesn't call itself empty", "[cluster]") {
  World world(1, 3);
  world.start_all();
  while (!world.nodes[0].writing) {
    for (size_t i = 0; i < 3; ++i) world.tick(i);
    while (!world.frames.empty()) world.deliver(0);
  }
  world.disconnect(0, 2);
  world.persist(0);
  const Founded first = *world.nodes[0].disk.founded;
  while (!world.frames.empty()) world.deliver(0);
  REQUIRE(world.nodes[1].writing);
  // Only n2 has the offer, and not on its disk yet, when the founder is wiped.
  world.wipe(0);
  world.start_all();
  world.connect(0, 2);
  for (int ticks = 0; ticks < 3; ++ticks) {
    for (size_t i = 0; i < 3; ++i) world.tick(i);
    while (!world.frames.empty()) world.deliver(0);
  }
  CHECK_FALSE(world.nodes[0].writing);
  CHECK(world.waiting("n1") == Lines{"n2 has not answered yet"});
  world.settle();
  for (const auto& node : world.nodes) CHECK(node.disk.founded == first);
}

TEST_CASE("founding: never two clusters, and all in one in the end", "[cluster]") {
  size_t wiped = 0;
  size_t founded_early = 0;
  for (uint64_t seed = 0; seed < 1'500; ++seed) {
    CAPTURE(seed);
    World world(seed, 1 + seed % 5);
    const bool with_data = seed % 3 == 0;
    const bool may_wipe = seed % 2 == 0;
    if (with_data) world.nodes[world.random.below(world.nodes.size())].disk.holds_data = true;
    for (int i = 0; i < 400; ++i) {
      world.step(may_wipe);
      if (world.ids().size() > 1) FAIL("two clusters at step " << i);
    }
    if (!world.wiped && world.ids_ever.size() > 1) FAIL("a cluster was founded twice");
    wiped += world.wiped;
    founded_early += !world.ids().empty();
    world.start_all();
    for (size_t a = 0; a < world.nodes.size(); ++a) {
      for (size_t b = 0; b < a; ++b) world.connect(a, b);
    }
    world.settle();
    const auto& first = world.nodes[0].disk.founded;
    if (!first) FAIL("no cluster in the end");
    for (const auto& node : world.nodes) {
      if (node.disk.founded != first) FAIL(node.name << " differs");
      if (node.founding->founded() != first) FAIL(node.name << " doesn't know it");
    }
    if (with_data && !world.wiped && first->founders.size() != 1) FAIL("not founded by the data");
  }
  CHECK(wiped > 500);
  CHECK(founded_early > 500);
}

// Broken variant 20 of the simulation's list.
TEST_CASE("founding: an empty node that founds with two of three is noticed", "[cluster]") {
  size_t twice = 0;
  for (uint64_t seed = 0; seed < 1'500 && twice == 0; ++seed) {
    World world(seed, 3);
    world.nodes[2].disk.holds_data = true;
    world.waits_for_nobody = true;
    for (int i = 0; i < 400 && twice == 0; ++i) {
      world.step(false);
      if (world.ids().size() > 1) ++twice;
    }
  }
  CHECK(twice == 1);
}

TEST_CASE("founding: messages come back as they were, and nonsense is an error", "[cluster]") {
  Introduction introduction;
  introduction.life = 7;
  introduction.heard_life = ~uint64_t{0};
  introduction.holds = Holds::membership;
  introduction.cluster_id = 3;
  introduction.storage = raft::StorageId(4);
  introduction.nodes = {"n1", std::string(64, 'x')};
  introduction.partitions = 1024;
  introduction.replication = 5;
  Offer offer;
  offer.life = 7;
  offer.to_life = 8;
  offer.founded = {1, 2, 3, 4, 5, {{"n1", raft::StorageId(6)}, {"n2", raft::StorageId(7)}}, 3};
  const FoundingMessage message = GENERATE_COPY(values<FoundingMessage>({introduction, offer}));
  const std::string bytes = encode(message);
  const auto back = decode_founding(bytes);
  REQUIRE(back);
  CHECK(*back == message);

  for (size_t length = 0; length < bytes.size(); ++length)
    CHECK_FALSE(decode_founding(bytes.substr(0, length)));
  CHECK_FALSE(decode_founding(bytes + '\0'));
  std::string newer = bytes;
  newer[0] = 3;
  CHECK(decode_founding(newer).error().message() == "founding message of version 3, not 2");
  Random random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string bad = bytes;
    for (uint64_t left = 1 + random.below(3); left > 0; --left)
      bad[random.below(bad.size())] = static_cast<char>(random.next());
    const auto read = decode_founding(bad);
    if (read && !(*decode_founding(encode(*read)) == *read)) FAIL("doesn't come back");
  }
}

TEST_CASE("founding: a group's first voters are those that the placement names", "[cluster]") {
  Founded founded;
  founded.partitions = 64;
  for (uint64_t i = 1; i <= 5; ++i)
    founded.founders.push_back({"n" + std::to_string(i), raft::StorageId(i)});
  CHECK(founded.voters_of(PartitionId(7)).voters == founded.founders);
  founded.copies = 3;
  const Placement placement({"n1", "n2", "n3", "n4", "n5"}, 64, 3);
  for (uint32_t id = 0; id < 64; ++id) {
    const auto voters = founded.voters_of(PartitionId(id)).voters;
    REQUIRE(voters.size() == 3);
    for (const raft::Member& voter : voters) CHECK(placement.holds(voter.node, PartitionId(id)));
  }
  // The ads.
  CHECK(founded.voters_of(PartitionId(64)).voters == founded.founders);
}

TEST_CASE("founding: values that no node has are refused", "[cluster]") {
  const auto refused = [](auto change) {
    Introduction introduction{7, 0, Holds::nothing, 0, raft::StorageId(4), {"n1"}, 64, 3};
    change(introduction);
    return !decode_founding(encode(introduction)).has_value();
  };
  CHECK_FALSE(refused([](Introduction&) {}));
  CHECK(refused([](Introduction& one) { one.life = 0; }));
  CHECK(refused([](Introduction& one) { one.storage = raft::StorageId(0); }));
  CHECK(refused([](Introduction& one) { one.cluster_id = 1; }));
  CHECK(refused([](Introduction& one) { one.holds = Holds::membership; }));
  CHECK(refused([](Introduction& one) { one.holds = static_cast<Holds>(3); }));
  CHECK(refused([](Introduction& one) { one.nodes.clear(); }));
  CHECK(refused([](Introduction& one) { one.nodes[0].clear(); }));
  CHECK(refused([](Introduction& one) { one.nodes[0].assign(65, 'x'); }));
  CHECK(refused([](Introduction& one) { one.nodes.assign(65, "n"); }));
  const auto offer_refused = [](auto change) {
    Offer offer{7, 8, {1, 1, 0, 64, 5, {{"n1", raft::StorageId(6)}}}};
    change(offer);
    return !decode_founding(encode(offer)).has_value();
  };
  CHECK_FALSE(offer_refused([](Offer&) {}));
  CHECK(offer_refused([](Offer& one) { one.to_life = 0; }));
  CHECK(offer_refused([](Offer& one) { one.founded.cluster_id = 0; }));
  CHECK(offer_refused([](Offer& one) { one.founded.founders.clear(); }));
  CHECK(offer_refused([](Offer& one) { one.founded.founders[0].storage = raft::StorageId(0); }));
}

}  // namespace clickmill::cluster
