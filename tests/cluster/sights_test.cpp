#include "cluster/sights.h"

#include <catch2/catch.hpp>

namespace clickmill::cluster {
namespace {

constexpr int64_t kMs = 1'000'000;  // ns

/// Some nodes with wires between them. Time passes only by pass(); a node's clock may be off.
struct Nodes {
  struct Node {
    std::unique_ptr<Sights> sights;
    uint32_t workers = 2;
    raft::StorageId storage;
    int64_t clock_error_ms = 0;
    uint32_t worker_age_ms = 5;
    bool fit = true;
    std::optional<LowWaters> low_waters;
  };

  explicit Nodes(size_t count = 3) {
    for (size_t i = 1; i <= count; ++i) {
      Node& node = nodes["n" + std::to_string(i)];
      node.storage = raft::StorageId(100 + i);
    }
    for (auto& [name, node] : nodes) start(name);
  }

  void start(const std::string& name) {
    Node& node = nodes.at(name);
    Sights::Options options;
    options.node = name;
    for (const auto& [other, ignored] : nodes) options.peers.push_back(other);
    options.workers = node.workers;
    options.storage = node.storage;
    options.life = ++lives;
    node.sights = std::make_unique<Sights>(options);
  }

  Sights& at(const std::string& name) { return *nodes.at(name).sights; }
  void pass(int64_t ms) { now_ns += ms * kMs; }
  int64_t wall_of(const std::string& name) const {
    return 1'782'295'200'000 + now_ns / kMs + nodes.at(name).clock_error_ms;
  }

  Beat make_beat(const std::string& from, const std::string& to) {
    const Node& node = nodes.at(from);
    Beat beat = node.sights->beat_to(to, now_ns, wall_of(from));
    beat.fit = node.fit;
    beat.low_waters = node.low_waters;
    for (Beat::Worker& worker : beat.workers) worker.age_ms = node.worker_age_ms;
    return beat;
  }
  void hear(const std::string& from, const std::string& to, const Beat& beat) {
    const auto back = decode_beat(encode(beat));
    REQUIRE(back);
    nodes.at(to).sights->heard(from, *back, now_ns, wall_of(to));
  }
  void beat(const std::string& from, const std::string& to) { hear(from, to, make_beat(from, to)); }
  void send_claims(const std::string& from, const std::string& to) {
    for (const Claims& claims : at(from).unechoed(to)) {
      const auto back = decode_claims(encode(claims));
      REQUIRE(back);
      at(to).claimed(from, *back);
    }
  }
  /// Everybody's claims and beats reach everybody.
  void round() {
    for (const auto& [from, ignored] : nodes) {
      for (const auto& [to, also_ignored] : nodes) {
        if (from == to) continue;
        send_claims(from, to);
        beat(from, to);
      }
    }
  }

  raft::Sight sight(const std::string& seer, const std::string& seen, uint32_t group = 0) {
    return at(seer).sight_of({seen, nodes.at(seen).storage}, group, now_ns);
  }
  Sights::PeerView view(const std::string& seer, const std::string& seen) {
    for (auto& one : at(seer).view(now_ns)) {
      if (one.node == seen) return one;
    }
    FAIL("no view of " << seen);
    return {};
  }

  std::map<std::string, Node> nodes;
  int64_t now_ns = 50 * kMs;
  uint64_t lives = 0;
};

}  // namespace

TEST_CASE("sights: nobody is seen before its first beat, nor who is no peer", "[cluster]") {
  Nodes nodes;
  CHECK_FALSE(nodes.sight("n1", "n2").heard);
  CHECK_FALSE(nodes.at("n1").storage_of("n2"));
  CHECK_FALSE(nodes.at("n1").low_water("n2", PartitionId(0)));
  CHECK_FALSE(nodes.at("n1").fit("n2", nodes.now_ns));
  CHECK_FALSE(nodes.view("n1", "n2").age_ms);

  nodes.beat("n2", "n1");
  CHECK(nodes.sight("n1", "n2").heard);
  CHECK(nodes.at("n1").storage_of("n2") == raft::StorageId(102));

  const Beat beat = nodes.make_beat("n2", "n1");
  Sights& n1 = nodes.at("n1");
  n1.heard("n9", beat, nodes.now_ns, 0);
  n1.heard("n1", beat, nodes.now_ns, 0);
  n1.claimed("n9", {1, 0, 1, {}});
  n1.link_up("n9", "1");
  n1.link_down("n9", true, nodes.now_ns);
  CHECK_FALSE(n1.sight_of({"n9", raft::StorageId(102)}, 0, nodes.now_ns).heard);
  CHECK_FALSE(n1.sight_of({"n1", raft::StorageId(102)}, 0, nodes.now_ns).heard);
  CHECK(n1.view(nodes.now_ns).size() == 2);
}

TEST_CASE("sights: who is silent for 800 ms is not heard", "[cluster]") {
  Nodes nodes;
  nodes.beat("n2", "n1");
  nodes.pass(799);
  CHECK(nodes.sight("n1", "n2").heard);
  CHECK(nodes.at("n1").fit("n2", nodes.now_ns));
  nodes.pass(1);
  CHECK_FALSE(nodes.sight("n1", "n2").heard);
  CHECK_FALSE(nodes.at("n1").fit("n2", nodes.now_ns));
  CHECK(nodes.view("n1", "n2").age_ms == 800);
  nodes.beat("n2", "n1");
  CHECK(nodes.sight("n1", "n2").heard);
}

TEST_CASE("sights: another storage at the node's address is not the member", "[cluster]") {
  Nodes nodes;
  nodes.beat("n2", "n1");
  Sights& n1 = nodes.at("n1");
  CHECK(n1.sight_of({"n2", raft::StorageId(102)}, 0, nodes.now_ns).heard);
  CHECK_FALSE(n1.sight_of({"n2", raft::StorageId(7)}, 0, nodes.now_ns).heard);

  nodes.nodes["n2"].storage = raft::StorageId(7);
  nodes.start("n2");
  nodes.beat("n2", "n1");
  CHECK(n1.sight_of({"n2", raft::StorageId(7)}, 0, nodes.now_ns).heard);
  CHECK_FALSE(n1.sight_of({"n2", raft::StorageId(102)}, 0, nodes.now_ns).heard);
  CHECK(n1.storage_of("n2") == raft::StorageId(7));
}

TEST_CASE("sights: a worker that stands still hides its groups and no others", "[cluster]") {
  Nodes nodes;
  Beat beat = nodes.make_beat("n2", "n1");
  beat.workers = {{799, 0}, {800, 0}, {0, 0}};
  nodes.hear("n2", "n1", beat);
  // By the sender's number of workers, not by the own.
  CHECK(nodes.sight("n1", "n2", 0).heard);
  CHECK_FALSE(nodes.sight("n1", "n2", 1).heard);
  CHECK(nodes.sight("n1", "n2", 2).heard);
  CHECK(nodes.sight("n1", "n2", 3).heard);
  CHECK_FALSE(nodes.sight("n1", "n2", 64).heard);
  CHECK(nodes.at("n1").fit("n2", nodes.now_ns));
}

TEST_CASE("sights: an echo answers a beat of ours that is younger than 800 ms", "[cluster]") {
  Nodes nodes;
  nodes.beat("n2", "n1");
  CHECK_FALSE(nodes.sight("n1", "n2").echoes);
  nodes.beat("n1", "n2");
  const int64_t sent_ns = nodes.now_ns;
  nodes.pass(100);
  nodes.beat("n2", "n1");
  CHECK(nodes.sight("n1", "n2").echoes);
  // The way to n2 is cut: it goes on beating, content, and echoes the old one.
  while (nodes.now_ns < sent_ns + 700 * kMs) {
    nodes.pass(100);
    ignore(nodes.make_beat("n1", "n2"), "nobody hears it");
    nodes.beat("n2", "n1");
  }
  nodes.pass(99);
  CHECK(nodes.sight("n1", "n2").echoes);
  nodes.pass(1);
  CHECK(nodes.sight("n1", "n2").heard);
  CHECK_FALSE(nodes.sight("n1", "n2").echoes);
  nodes.beat("n2", "n1");
  CHECK_FALSE(nodes.sight("n1", "n2").echoes);
}

TEST_CASE("sights: the echo of a former life is none", "[cluster]") {
  Nodes nodes;
  for (int i = 0; i < 5; ++i) nodes.beat("n1", "n2");
  nodes.start("n1");
  // n2 has not heard of the new life and echoes number 5; n1 has sent so many again.
  for (int i = 0; i < 9; ++i) ignore(nodes.make_beat("n1", "n2"), "nobody hears it");
  nodes.beat("n2", "n1");
  CHECK(nodes.sight("n1", "n2").heard);
  CHECK_FALSE(nodes.sight("n1", "n2").echoes);
  nodes.beat("n1", "n2");
  nodes.beat("n2", "n1");
  CHECK(nodes.sight("n1", "n2").echoes);
  CHECK(nodes.sight("n2", "n1").heard);
}

TEST_CASE("sights: late and repeated beats make nobody younger", "[cluster]") {
  Nodes nodes;
  nodes.nodes["n2"].fit = false;
  const Beat first = nodes.make_beat("n2", "n1");
  nodes.nodes["n2"].fit = true;
  const Beat second = nodes.make_beat("n2", "n1");
  nodes.hear("n2", "n1", second);
  nodes.pass(500);
  nodes.hear("n2", "n1", first);
  nodes.hear("n2", "n1", second);
  CHECK(nodes.at("n1").fit("n2", nodes.now_ns));
  nodes.pass(300);
  CHECK_FALSE(nodes.sight("n1", "n2").heard);
}

TEST_CASE("sights: a refused connection is 600 ms of silence, a broken one none", "[cluster]") {
  Nodes nodes;
  nodes.beat("n2", "n1");
  nodes.at("n1").link_down("n2", false, nodes.now_ns);
  nodes.pass(700);
  CHECK(nodes.sight("n1", "n2").heard);

  nodes.beat("n2", "n1");
  nodes.pass(50);
  nodes.at("n1").link_down("n2", true, nodes.now_ns);
  CHECK(nodes.sight("n1", "n2").heard);
  nodes.pass(199);
  CHECK(nodes.sight("n1", "n2").heard);
  // Tried again and refused again: that adds nothing.
  nodes.at("n1").link_down("n2", true, nodes.now_ns);
  CHECK(nodes.sight("n1", "n2").heard);
  nodes.pass(1);
  CHECK_FALSE(nodes.sight("n1", "n2").heard);

  nodes.at("n1").link_up("n2", "0.1.0");
  CHECK_FALSE(nodes.sight("n1", "n2").heard);
  nodes.beat("n2", "n1");
  CHECK(nodes.sight("n1", "n2").heard);
  CHECK(nodes.view("n1", "n2").up);
  CHECK(nodes.view("n1", "n2").version == "0.1.0");
}

TEST_CASE("sights: a refusal long after the last beat makes nobody younger", "[cluster]") {
  Nodes nodes;
  nodes.beat("n2", "n1");
  nodes.pass(790);
  nodes.at("n1").link_down("n2", true, nodes.now_ns);
  nodes.pass(10);
  CHECK_FALSE(nodes.sight("n1", "n2").heard);
}

TEST_CASE("sights: a claim names the groups that are led, by worker", "[cluster]") {
  Nodes nodes;
  CHECK(nodes.at("n2").claim(0, {{0, Term(3)}, {64, Term(5)}}));
  CHECK(nodes.at("n2").claim(1, {{7, Term(4)}}));
  nodes.round();
  CHECK(nodes.sight("n1", "n2", 0).leads == Term(3));
  CHECK(nodes.sight("n1", "n2", 64).leads == Term(5));
  CHECK(nodes.sight("n1", "n2", 7).leads == Term(4));
  CHECK(nodes.sight("n1", "n2", 2).leads == Term(0));
  CHECK(nodes.sight("n1", "n2", 9).leads == Term(0));
  CHECK(nodes.sight("n1", "n3", 0).leads == Term(0));

  CHECK(nodes.at("n2").claim(0, {{0, Term(6)}}));
  nodes.round();
  CHECK(nodes.sight("n1", "n2", 0).leads == Term(6));
  CHECK(nodes.sight("n1", "n2", 64).leads == Term(0));
  CHECK(nodes.at("n2").claim(0, {}));
  nodes.round();
  CHECK(nodes.sight("n1", "n2", 0).leads == Term(0));
  CHECK(nodes.sight("n1", "n2", 7).leads == Term(4));
}

TEST_CASE("sights: the newest leader of a group is known without knowing its members",
          "[cluster]") {
  Nodes nodes;
  using Leader = std::optional<std::pair<std::string, Term>>;
  const auto leader = [&] { return nodes.at("n1").leader_of(4, nodes.now_ns); };
  nodes.round();
  CHECK(leader() == Leader());
  CHECK(nodes.at("n2").claim(0, {{4, Term(3)}}));
  nodes.round();
  CHECK(leader() == Leader({"n2", Term(3)}));
  // n2 hasn't heard of it yet.
  CHECK(nodes.at("n3").claim(0, {{4, Term(5)}}));
  nodes.round();
  CHECK(leader() == Leader({"n3", Term(5)}));
  nodes.pass(900);
  CHECK(leader() == Leader());
}

TEST_CASE("sights: only a changed set is a new claim", "[cluster]") {
  Nodes nodes;
  Sights& n1 = nodes.at("n1");
  CHECK_FALSE(n1.claim(0, {}));
  CHECK(n1.claims(0).number == 0);
  CHECK(n1.unechoed("n2").empty());
  CHECK(n1.claim(0, {{0, Term(3)}}));
  CHECK(n1.claims(0).number == 1);
  CHECK_FALSE(n1.claim(0, {{0, Term(3)}}));
  CHECK(n1.claim(0, {{0, Term(4)}}));
  CHECK(n1.claims(0).number == 2);
  CHECK(n1.claims(1).number == 0);
}

TEST_CASE("sights: a claim that was lost leaves the older one void", "[cluster]") {
  Nodes nodes;
  nodes.at("n2").claim(0, {{0, Term(3)}, {2, Term(3)}});
  nodes.round();
  CHECK(nodes.sight("n1", "n2", 0).leads == Term(3));
  nodes.at("n2").claim(0, {{0, Term(3)}});
  nodes.beat("n2", "n1");
  CHECK(nodes.sight("n1", "n2", 0).heard);
  CHECK(nodes.sight("n1", "n2", 0).leads == Term(0));
  nodes.send_claims("n2", "n1");
  CHECK(nodes.sight("n1", "n2", 0).leads == Term(3));
  CHECK(nodes.sight("n1", "n2", 2).leads == Term(0));
}

TEST_CASE("sights: a claim counts before the beat that tells its number", "[cluster]") {
  Nodes nodes;
  nodes.beat("n2", "n1");
  nodes.at("n2").claim(0, {{0, Term(3)}});
  nodes.send_claims("n2", "n1");
  CHECK(nodes.sight("n1", "n2", 0).leads == Term(3));
  // An older one that arrives late changes nothing.
  const Claims older = nodes.at("n2").claims(0);
  nodes.at("n2").claim(0, {{0, Term(5)}});
  nodes.send_claims("n2", "n1");
  nodes.at("n1").claimed("n2", older);
  CHECK(nodes.sight("n1", "n2", 0).leads == Term(5));
}

TEST_CASE("sights: claims are sent until they are echoed", "[cluster]") {
  Nodes nodes;
  Sights& n1 = nodes.at("n1");
  n1.claim(0, {{0, Term(3)}});
  n1.claim(1, {{1, Term(3)}});
  CHECK(n1.unechoed("n2").size() == 2);
  nodes.beat("n1", "n2");
  nodes.beat("n2", "n1");
  CHECK(n1.unechoed("n2").size() == 2);
  // One of the two arrives.
  nodes.at("n2").claimed("n1", n1.claims(1));
  nodes.beat("n2", "n1");
  REQUIRE(n1.unechoed("n2").size() == 1);
  CHECK(n1.unechoed("n2")[0] == n1.claims(0));
  nodes.send_claims("n1", "n2");
  nodes.beat("n2", "n1");
  CHECK(n1.unechoed("n2").empty());
  CHECK(n1.unechoed("n3").size() == 2);
  n1.claim(1, {});
  REQUIRE(n1.unechoed("n2").size() == 1);
  CHECK(n1.unechoed("n2")[0].led.empty());
  CHECK(n1.unechoed("n9").empty());
}

TEST_CASE("sights: a node that starts anew leads nothing that it led before", "[cluster]") {
  Nodes nodes;
  nodes.at("n2").claim(0, {{0, Term(3)}});
  nodes.round();
  nodes.round();
  const Claims before = nodes.at("n2").claims(0);
  CHECK(nodes.sight("n1", "n2", 0).leads == Term(3));
  nodes.start("n2");
  nodes.beat("n2", "n1");
  CHECK(nodes.sight("n1", "n2", 0).heard);
  CHECK(nodes.sight("n1", "n2", 0).leads == Term(0));
  // Its numbers begin anew: its first is not taken for the first of the life before.
  nodes.at("n2").claim(0, {{0, Term(4)}});
  nodes.beat("n2", "n1");
  CHECK(nodes.sight("n1", "n2", 0).leads == Term(0));
  CHECK(nodes.at("n2").unechoed("n1").size() == 1);
  nodes.round();
  CHECK(nodes.sight("n1", "n2", 0).leads == Term(4));
  nodes.round();
  CHECK(nodes.at("n2").unechoed("n1").empty());
  // And what was on its way since then says nothing any more.
  nodes.at("n1").claimed("n2", before);
  CHECK(nodes.sight("n1", "n2", 0).leads == Term(0));
  nodes.round();
  nodes.round();
  CHECK(nodes.sight("n1", "n2", 0).leads == Term(4));
}

TEST_CASE("sights: who starts anew is told all claims again", "[cluster]") {
  Nodes nodes;
  nodes.at("n1").claim(0, {{0, Term(3)}});
  nodes.round();
  nodes.round();
  CHECK(nodes.at("n1").unechoed("n2").empty());
  nodes.start("n2");
  nodes.beat("n2", "n1");
  CHECK(nodes.at("n1").unechoed("n2").size() == 1);
  nodes.round();
  CHECK(nodes.sight("n2", "n1", 0).leads == Term(3));
}

TEST_CASE("sights: low-waters are the newest that was told, with when", "[cluster]") {
  Nodes nodes;
  nodes.nodes["n2"].low_waters = LowWaters{ArrivalMs(1'000), {{PartitionId(5), ArrivalMs(400)}}};
  nodes.beat("n2", "n1");
  const int64_t told_ns = nodes.now_ns;
  nodes.nodes["n2"].low_waters.reset();
  nodes.pass(100);
  nodes.beat("n2", "n1");
  const auto of = [&](uint32_t partition) {
    return nodes.at("n1").low_water("n2", PartitionId(partition));
  };
  REQUIRE(of(5));
  CHECK(of(5)->value == ArrivalMs(400));
  CHECK(of(4)->value == ArrivalMs(1'000));
  CHECK(of(4)->heard_ns == told_ns);
  nodes.nodes["n2"].low_waters = LowWaters{ArrivalMs(2'000), {}};
  nodes.beat("n2", "n1");
  CHECK(of(5)->value == ArrivalMs(2'000));
  CHECK(of(5)->heard_ns == nodes.now_ns);
}

TEST_CASE("sights: round trip and clock are measured by echoes", "[cluster]") {
  Nodes nodes;
  nodes.nodes["n2"].clock_error_ms = 700;
  const Beat asked = nodes.make_beat("n1", "n2");
  nodes.pass(10);
  nodes.hear("n1", "n2", asked);
  nodes.pass(60);
  const Beat answer = nodes.make_beat("n2", "n1");
  nodes.pass(30);
  CHECK_FALSE(nodes.view("n1", "n2").rtt_us);
  nodes.hear("n2", "n1", answer);
  const auto view = nodes.view("n1", "n2");
  CHECK(view.rtt_us == 40'000);
  REQUIRE(view.clock);
  // 30 ms away and taken for 20: wrong by 10, within the 20 of the error.
  CHECK(view.clock->offset_ms == 690);
  CHECK(view.clock->error_ms == 20);
  nodes.pass(3'000);
  CHECK_FALSE(nodes.view("n1", "n2").clock);
}

TEST_CASE("sights: an echo that claims to have waited longer than it was away is no measure",
          "[cluster]") {
  Nodes nodes;
  nodes.beat("n1", "n2");
  Beat beat = nodes.make_beat("n2", "n1");
  beat.echo_delay_us = GENERATE(uint64_t{1}, ~uint64_t{0}, uint64_t{1} << 63);
  nodes.hear("n2", "n1", beat);
  CHECK(nodes.sight("n1", "n2").echoes);
  CHECK_FALSE(nodes.view("n1", "n2").rtt_us);
  CHECK_FALSE(nodes.view("n1", "n2").clock);
}

TEST_CASE("sights: the one clock of three that is far off is unfit", "[cluster]") {
  Nodes nodes;
  const int64_t error_ms = GENERATE(-3'600'000, -10'001, 10'001, 31'536'000'000);
  nodes.nodes["n3"].clock_error_ms = error_ms;
  nodes.round();
  nodes.round();
  CHECK(nodes.at("n1").clock_is_fit(nodes.now_ns, false));
  CHECK(nodes.at("n2").clock_is_fit(nodes.now_ns, false));
  CHECK_FALSE(nodes.at("n3").clock_is_fit(nodes.now_ns, true));
  // Cut off from all, it is believed if the kernel vouches for it.
  nodes.pass(3'000);
  CHECK(nodes.at("n3").clock_is_fit(nodes.now_ns, true));
  CHECK_FALSE(nodes.at("n3").clock_is_fit(nodes.now_ns, false));
}

TEST_CASE("sights: a clock is judged against the middle of a majority that agrees", "[cluster]") {
  struct Row {
    std::vector<ClockOffset> peers;
    size_t nodes;
    bool fit_if_synchronised;
    bool fit_if_not;
  };
  const Row row = GENERATE(values<Row>({
      {{}, 1, true, true},
      {{}, 3, true, false},
      {{{9'999, 0}}, 3, true, true},
      {{{10'001, 0}}, 3, true, false},                // two left, and they differ
      {{{10'001, 0}, {-10'001, 0}}, 3, true, false},  // all differ
      {{{10'000, 0}, {20'000, 0}}, 3, true, true},
      {{{10'001, 0}, {10'002, 0}}, 3, false, false},
      {{{10'100, 100}, {10'200, 0}}, 3, true, true},  // within what was measured
      {{{10'101, 100}, {10'200, 0}}, 3, false, false},
      {{{0, 0}, {60'000, 0}, {60'000, 0}}, 4, true, false},
      {{{0, 0}, {0, 0}, {60'000, 0}, {60'000, 0}}, 5, true, true},
      {{{1, 0}, {60'000, 0}, {60'000, 0}, {60'001, 0}}, 5, false, false},
      {{{60'000, 0}, {60'000, 0}, {60'000, 0}}, 5, false, false},
      {{{60'000, 0}, {60'000, 0}}, 5, true, false},
  }));
  CHECK(clock_is_fit(row.peers, row.nodes, row.nodes, true) == row.fit_if_synchronised);
  CHECK(clock_is_fit(row.peers, row.nodes, row.nodes, false) == row.fit_if_not);
}

}  // namespace clickmill::cluster
