// Goal: nodes that should be linked are, again and again; frames arrive whole and in order; a
// slow or dead one costs bounded memory and nobody else. Real sockets; waits are for conditions.

#include "peer/links.h"

#include <array>
#include <map>
#include <thread>
#include <utility>

#include "base/random.h"
#include "peer/nodes.h"

namespace clickmill::peer {

TEST_CASE("links: two nodes link, and each learns who the other is", "[peer]") {
  Pair pair;
  REQUIRE(pair.n1.diary.now(&Diary::ups).size() == 1);
  CHECK(pair.n1.diary.now(&Diary::ups)[0].node_id == "n2");
  CHECK(pair.n1.diary.now(&Diary::ups)[0].partitions == 64);
  CHECK(pair.n2.diary.now(&Diary::ups)[0].node_id == "n1");
  CHECK(pair.n1.links->counts().links_up.value() == 1);
  pair.n1.diary.wait_line("n2 (127.0.0.1:" + std::to_string(pair.n2.port) +
                          "): link is up, its version is 9.9");
  pair.n2.diary.wait_line("): link is up, its version is 9.9");
}

TEST_CASE("links: frames of all lanes arrive in both directions, in order within a lane",
          "[peer]") {
  Pair pair;
  constexpr size_t kFrames = 3'000;
  const auto talk = [&](Node& from, const std::string& to, uint64_t seed) {
    Random random(seed);
    for (size_t i = 0; i < kFrames; ++i) {
      const Lane lane = std::array{Lane::group, Lane::call, Lane::bulk}[random.below(3)];
      std::string frame = std::to_string(i) + ' ';
      frame.append(random.one_in(100) ? random.below(1'000'000) : random.below(100), 'x');
      while (!from.send(to, lane, frame)) std::this_thread::yield();
    }
  };
  std::thread other([&] { talk(pair.n2, "n1", 2); });
  talk(pair.n1, "n2", 1);
  other.join();
  for (Node* node : {&pair.n1, &pair.n2}) {
    node->diary.wait_frames(kFrames);
    std::map<Lane, int> last;
    int unordered = 0;
    const auto frames = node->diary.now(&Diary::frames);
    for (const auto& came : frames) {
      const int number = std::stoi(came.frame);
      const auto [at, first] = last.try_emplace(came.lane, number);
      if (!first && number <= std::exchange(at->second, number)) ++unordered;
      CHECK_FALSE(came.from == node->name);
    }
    CHECK(unordered == 0);
    CHECK(last.size() == 3);
    CHECK(frames.size() == kFrames);
  }
  const Counts& out = pair.n1.links->counts();
  const Counts& in = pair.n2.links->counts();
  for (const Lane lane : {Lane::group, Lane::call, Lane::bulk}) {
    CHECK(out.of(lane).frames_out.value() == in.of(lane).frames_in.value());
    CHECK(out.of(lane).bytes_out.value() == in.of(lane).bytes_in.value());
  }
}

TEST_CASE("links: the largest frame of each lane arrives whole", "[peer]") {
  Pair pair;
  for (const Lane lane : {Lane::beat, Lane::group, Lane::call, Lane::bulk}) {
    const std::string frame(payload_bytes_most(lane), 'y');
    CHECK(pair.n1.send("n2", lane, frame));
    CHECK_FALSE(pair.n1.send("n2", lane, frame + "y"));
  }
  pair.n2.diary.wait_frames(4);
  for (const auto& came : pair.n2.diary.now(&Diary::frames))
    CHECK((came.frame == std::string(payload_bytes_most(came.lane), 'y')));
}

TEST_CASE("links: many threads send at once", "[peer]") {
  Pair pair;
  constexpr size_t kEach = 2'000;
  std::vector<std::thread> senders;
  for (int sender = 0; sender < 4; ++sender) {
    senders.emplace_back([&pair] {
      for (size_t i = 0; i < kEach; ++i) {
        while (!pair.n1.send("n2", i % 2 == 0 ? Lane::call : Lane::bulk, "frame"))
          std::this_thread::yield();
      }
    });
  }
  for (auto& sender : senders) sender.join();
  pair.n2.diary.wait_frames(4 * kEach);
  CHECK(pair.n2.diary.now(&Diary::frames).size() == 4 * kEach);
}

TEST_CASE("links: a node that starts again is linked again, and its absence was told", "[peer]") {
  Pair pair;
  SECTION("the one that is called") {
    pair.n2.stop();
    pair.n1.diary.wait_down("closed the connection");
    pair.n1.diary.wait_refused();
    CHECK_FALSE(pair.n1.send("n2", Lane::call, "to nobody"));
    pair.n2.options.listen = "127.0.0.1:" + std::to_string(pair.n2.port);
    pair.n2.start();
  }
  SECTION("the one that calls") {
    pair.n1.stop();
    pair.n2.diary.wait_down("closed the connection");
    pair.n1.start();
  }
  pair.n1.diary.wait_up(2);
  pair.n2.diary.wait_up(2);
  CHECK(pair.n1.send("n2", Lane::call, "again"));
  CHECK(pair.n2.send("n1", Lane::bulk, "and back"));
  pair.n2.diary.wait_frames(1);
  pair.n1.diary.wait_frames(1);
  CHECK(pair.n2.diary.now(&Diary::frames)[0].frame == "again");
}

TEST_CASE("links: a link is made anew when either side wants the two to meet again", "[peer]") {
  Pair pair;
  Node& wants = GENERATE(true, false) ? pair.n1 : pair.n2;
  wants.links->meet_again("nobody");
  wants.links->meet_again(&wants == &pair.n1 ? "n2" : "n1");
  pair.n1.diary.wait_up(2);
  pair.n2.diary.wait_up(2);
  wants.diary.wait_down("it is to be made anew");
  CHECK(pair.n1.send("n2", Lane::call, "again"));
  pair.n2.diary.wait_frames(1);
}

TEST_CASE("links: who waits to be called learns, too, that nobody listens there", "[peer]") {
  Node n1("n1");
  n1.knows("n2").start();
  const uint16_t port_of_n1 = n1.port;
  Node n2("n2");
  n2.knows("n1", port_of_n1).start();
  n2.diary.wait_down("it listens, and has not called yet");
  n1.stop();
  n2.diary.wait_refused();
  CHECK(n2.diary.lines_with("n1 (127.0.0.1:") == 1);
}

TEST_CASE("links: a knock is no stranger, and leaves no line", "[peer]") {
  Node n1("n1");
  n1.knows("n2").start();
  Node n2("n2");
  n2.knows("n1", n1.port).start();
  n2.diary.wait("two knocks", [&] { return n2.diary.downs.size() >= 2; });
  CHECK(n1.diary.lines_with("127.0.0.1:") == n1.diary.lines_with("n2 (127.0.0.1:1)"));
  CHECK(n1.links->counts().strangers.value() == 0);
}

TEST_CASE("links: a frame to nobody, or before there is a link, is not taken", "[peer]") {
  Node n1("n1");
  n1.knows("n2").start();
  CHECK_FALSE(n1.send("n2", Lane::call, "x"));
  CHECK_FALSE(n1.send("n9", Lane::call, "x"));
  CHECK_FALSE(n1.send("n1", Lane::call, "x"));
}

TEST_CASE("links: its own entry among the peers is passed over", "[peer]") {
  Node n2("n2");
  n2.knows("n1").knows("n2").start();
  Node n1("n1");
  n1.knows("n1").knows("n2", n2.port).start();
  n1.diary.wait_up(1);
  n2.diary.wait_up(1);
  CHECK(n1.links->counts().links_up.value() == 1);
}

TEST_CASE("links: three nodes are three pairs", "[peer]") {
  Node n3("n3");
  n3.knows("n1").knows("n2").start();
  Node n2("n2");
  n2.knows("n1").knows("n3", n3.port).start();
  Node n1("n1");
  n1.knows("n2", n2.port).knows("n3", n3.port).start();
  for (Node* node : {&n1, &n2, &n3}) node->diary.wait_up(2);
  for (Node* from : {&n1, &n2, &n3}) {
    for (const char* to : {"n1", "n2", "n3"})
      CHECK(from->send(to, Lane::group, "x") == (from->name != to));
  }
  for (Node* node : {&n1, &n2, &n3}) node->diary.wait_frames(2);
}

TEST_CASE("links: a host that has no address is told by its name, and holds up no stop", "[peer]") {
  Node n1("n1");
  n1.options.peers.push_back({"n2", "no-such-host.invalid", 1});
  n1.start();
  n1.diary.wait_down("no-such-host.invalid");
}

TEST_CASE("links: an end that says nothing more is given up", "[peer]") {
  Node n2("n2");
  n2.knows("n1").start();
  Node n1("n1");
  n1.options.silence_ms = 50;
  n1.knows("n2", n2.port).start();
  n1.diary.wait_down("nothing came for 50 ms");
  n2.diary.wait_down("closed");
}

TEST_CASE("links: one that does not read costs bounded memory, and nobody else", "[peer]") {
  Node n3("n3");
  n3.knows("n1").start();
  Node n2("n2");
  n2.knows("n1").start();
  n2.diary.held = true;
  Node n1("n1");
  n1.knows("n2", n2.port).knows("n3", n3.port).start();
  n1.diary.wait_up(2);
  // Its thread stands in on_frame with the first; what its kernel and ours hold comes on top.
  std::map<Lane, std::vector<std::string>> taken;
  const std::string filler(100'000, 'f');
  for (const Lane lane : {Lane::group, Lane::call, Lane::bulk}) {
    size_t refused = 0;
    for (size_t i = 0; refused < 20; ++i) {
      std::string frame = std::to_string(i) + filler;
      if (n1.send("n2", lane, frame)) {
        taken[lane].push_back(std::move(frame));
        refused = 0;
      } else {
        ++refused;
        // The next round trip to somebody else shows that n1's thread has done what it could.
        const size_t before = n3.diary.now(&Diary::frames).size();
        REQUIRE(n1.send("n3", lane, "are you well?"));
        n3.diary.wait_frames(before + 1);
      }
    }
    // 32 MiB at most wait, and the kernel's buffers are a few MiB.
    CHECK(taken[lane].size() < 700);
    CHECK(n1.links->counts().of(lane).dropped.value() >= 20);
  }
  for (int beat = 0; beat < 10; ++beat) CHECK(n1.send("n2", Lane::beat, std::to_string(beat)));
  CHECK(n1.links->counts().of(Lane::beat).dropped.value() >= 8);

  // What was taken arrives in order once it reads again.
  n2.diary.change([&] { n2.diary.held = false; });
  size_t all = 0;
  for (const auto& [lane, frames] : taken) all += frames.size();
  n2.diary.wait("all that was taken, and the last beat", [&] {
    const auto& came = n2.diary.frames;
    return came.size() > all && std::any_of(came.begin(), came.end(), [](const auto& frame) {
             return frame.lane == Lane::beat && frame.frame == "9";
           });
  });
  std::map<Lane, std::vector<std::string>> came;
  for (auto& frame : n2.diary.now(&Diary::frames)) {
    if (frame.lane != Lane::beat) came[frame.lane].push_back(frame.frame);
  }
  CHECK((came == taken));
}

TEST_CASE("links: one that takes nothing for long is given up", "[peer]") {
  Node n2("n2");
  n2.knows("n1").start();
  n2.diary.held = true;
  Node n1("n1");
  n1.options.stall_ms = 50;
  n1.knows("n2", n2.port).start();
  n1.diary.wait_up(1);
  while (n1.send("n2", Lane::bulk, std::string(1 << 20, 'x'))) {
  }
  n1.diary.wait_down("takes nothing for 50 ms");
  // Where the peer takes bytes now and then for a while, what waits is what is sent next.
  n2.diary.change([&] { n2.diary.held = false; });
  n1.diary.wait_up(2);
}

TEST_CASE("links: a receiver that throws loses the link, not the node", "[peer]") {
  Pair pair;
  pair.n2.diary.change([&] { pair.n2.diary.throws = true; });
  REQUIRE(pair.n1.send("n2", Lane::bulk, "x"));
  pair.n2.diary.wait_down("what came could not be taken: as it was told to");
  pair.n2.diary.change([&] { pair.n2.diary.throws = false; });
  pair.n2.diary.wait_up(2);
  pair.n1.diary.wait_up(2);
  REQUIRE(pair.n1.send("n2", Lane::bulk, "y"));
  pair.n2.diary.wait_frames(1);
}

TEST_CASE("links: stop ends at once, whatever is under way", "[peer]") {
  SilentPort silent;
  Node n1("n1");
  n1.options.peers.push_back({"n2", "127.0.0.1", silent.port});
  n1.options.peers.push_back({"n3", "no-such-host.invalid", 1});
  n1.start();
  n1.links->stop();
  n1.links->stop();
  CHECK_FALSE(n1.send("n2", Lane::call, "x"));
  CHECK(n1.links->counts().links_up.value() == 0);
}

TEST_CASE("links: an address or a secret that does not serve is told at the start", "[peer]") {
  Node n1("n1");
  n1.start();
  Node other("n2");
  other.options.listen = "127.0.0.1:" + std::to_string(n1.port);
  CHECK_THROWS_WITH(other.start(), Catch::Contains("cannot listen on 127.0.0.1:"));
  other.options.listen = "127.0.0.1";
  CHECK_THROWS_WITH(other.start(), Catch::Contains("expected host:port"));
  other.options.listen = "127.0.0.1:0";
  other.options.secret = "";
  CHECK_THROWS_WITH(other.start(), Catch::Contains("cluster.secret_file"));
}

}  // namespace clickmill::peer
