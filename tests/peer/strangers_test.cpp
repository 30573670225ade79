// Goal: whoever is no peer, or one that does not fit, is sent away with one clear line on both
// sides, and nobody who is linked feels it.

#include <atomic>

#include "base/bytes.h"
#include "peer/handshake.h"
#include "peer/nodes.h"

namespace clickmill::peer {
namespace {

/// Speaks for n1 by hand, to find out what a peer that breaks the rules can do.
class ByHand {
 public:
  explicit ByHand(uint16_t port, Channel channel = Channel::fast, uint64_t link = 5)
      : socket_(port), handshake_(options(channel, link)) {
    socket_.write(handshake_.take_output());
  }
  bool shake() {
    while (!handshake_.done() && !handshake_.refused()) {
      const std::string piece = socket_.read();
      if (piece.empty()) return false;
      std::string_view bytes = piece;
      if (!handshake_.step(bytes)) return false;
      socket_.write(handshake_.take_output());
    }
    return handshake_.done();
  }
  FrameWriter writer() const { return {handshake_.key_out(), handshake_.protocol()}; }
  RawSocket& socket() { return socket_; }

 private:
  static Handshake::Options options(Channel channel, uint64_t link) {
    static char number = 'a';
    Handshake::Options out;
    out.self = hello_of("n1");
    out.secret = "a secret";
    out.nonce = std::string(Handshake::kNonceBytes, number++);
    out.channel = channel;
    out.link = link;
    out.expected = "n2";
    return out;
  }
  RawSocket socket_;
  Handshake handshake_;
};

std::string bytes_of(FrameWriter& writer, Frame frame) {
  std::vector<std::string> pieces;
  writer.write(std::move(frame), pieces);
  std::string all;
  for (const auto& piece : pieces) all += piece;
  return all;
}

void check_alive(Pair& pair) {
  const size_t before = pair.n2.diary.now(&Diary::frames).size();
  CHECK(pair.n1.send("n2", Lane::call, "still here"));
  pair.n2.diary.wait_frames(before + 1);
  CHECK(pair.n1.diary.now(&Diary::downs).empty());
  CHECK(pair.n1.links->counts().links_up.value() == 1);
}

}  // namespace

TEST_CASE("links: what two nodes differ in is told on both sides in one line", "[peer]") {
  Node n2("n2");
  Node n1("n1");
  n2.knows("n1");
  Refusal code = Refusal::none;
  std::string want;
  SECTION("secret") {
    n1.options.secret = "another";
    code = Refusal::secret;
    want = "the secrets of n2 and n1 differ";
  }
  SECTION("cluster") {
    n1.hello.cluster_id = 8;
    code = Refusal::cluster;
    want = "n1 belongs to cluster 0000000000000008, n2 to 0000000000000007";
  }
  SECTION("epoch") {
    n2.hello.epoch = 3;
    code = Refusal::epoch;
    want = "n1 is of epoch 1, n2 of 3: n1 was left behind by a forced recovery";
  }
  SECTION("epoch of another recovery") {
    n1.hello.epoch_random = 3;
    code = Refusal::epoch;
    want = "n1 and n2 were both recovered by force, each to an epoch 1 of its own";
  }
  SECTION("partitions") {
    n1.hello.partitions = 8;
    code = Refusal::partitions;
    want = "n1 has 8 partitions, n2 has 64 (log.partitions)";
  }
  SECTION("unknown") {
    n2.options.peers.clear();
    n2.knows("n3");
    code = Refusal::unknown_node;
    want = "n1 is not among the cluster.peers of n2";
  }
  SECTION("own name") {
    n2.options.node_id = "n1";
    n2.options.peers.clear();
    code = Refusal::own_name;
    want = "two nodes are called n1";
  }
  SECTION("another node") {
    n2.options.node_id = "n5";
    code = Refusal::other_node;
    want = "n1 called n2, and n5 answered";
  }
  n2.start();
  n1.knows("n2", n2.port).start();
  n1.diary.wait_line(want);
  n2.diary.wait_line(want);
  n1.diary.wait_down(want);
  n1.diary.wait_refused();
  // Tried again and again, said once.
  n1.diary.wait("three refusals", [&] { return n1.diary.downs.size() >= 3; });
  CHECK(n1.diary.lines_with(want) == 1);
  CHECK(n2.diary.lines_with(want) == 1);
  CHECK(n1.diary.now(&Diary::ups).empty());
  CHECK(n2.diary.now(&Diary::ups).empty());
  CHECK(n1.links->counts().refusals.value() >= 3);
  if (code == Refusal::secret) {
    CHECK(n1.diary.now(&Diary::misfits).empty());
    CHECK(n2.diary.now(&Diary::misfits).empty());
    CHECK(n2.links->counts().strangers.value() >= 1);
    // A stranger who only says that he is n1 does not make n1 look dead.
    for (const auto& down : n2.diary.now(&Diary::downs)) CHECK((down.why != want || !down.refused));
    return;
  }
  REQUIRE_FALSE(n1.diary.now(&Diary::misfits).empty());
  REQUIRE_FALSE(n2.diary.now(&Diary::misfits).empty());
  CHECK(n1.diary.now(&Diary::misfits)[0].why == code);
  CHECK(n2.diary.now(&Diary::misfits)[0].why == code);
}

TEST_CASE("links: what was refused is linked once it fits", "[peer]") {
  Node n2("n2");
  n2.knows("n1");
  std::atomic<uint32_t> partitions{32};
  n2.start();
  Node n1("n1");
  n1.knows("n2", n2.port);
  n1.options.self = [&] {
    Hello hello = hello_of("n1");
    hello.partitions = partitions;
    return hello;
  };
  n1.options.log = [](LogLevel, const std::string&) {};
  n1.links = std::make_unique<Links>(n1.options, n1.diary);
  REQUIRE(n1.links->start().has_value());
  n1.diary.wait_refused();
  partitions = 64;
  n1.diary.wait_up(1);
  n2.diary.wait_up(1);
}

TEST_CASE("links: noise from a stranger costs a connection and one line", "[peer]") {
  Pair pair;
  const std::string noise =
      GENERATE(std::string("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), std::string(100'000, 'x'),
               std::string(100, '\0'), std::string("\x16\x03\x01\x02\x00\x01", 6));
  for (int i = 0; i < 5; ++i) {
    RawSocket stranger(pair.n2.port);
    stranger.write(noise);
    CHECK(stranger.read_to_end().empty());
  }
  pair.n2.diary.wait_line("not let in: no clickmill node speaks so");
  CHECK(pair.n2.diary.lines_with("not let in") == 1);
  CHECK(pair.n2.links->counts().strangers.value() == 5);
  check_alive(pair);
}

TEST_CASE("links: a crowd that holds connections open keeps no peer out", "[peer]") {
  Node n2("n2");
  n2.options.half_open_most = 8;
  n2.knows("n1").start();
  std::vector<std::unique_ptr<RawSocket>> crowd;
  for (int i = 0; i < 50; ++i) crowd.push_back(std::make_unique<RawSocket>(n2.port));
  Node n1("n1");
  n1.knows("n2", n2.port).start();
  n1.diary.wait_up(1);
  n2.diary.wait_up(1);
  // All but eight were closed to make room, and n1's two took the place of two.
  for (size_t i = 0; i < 42; ++i) CHECK(crowd[i]->read_to_end().empty());
}

TEST_CASE("links: who says nothing is closed in time", "[peer]") {
  Node n2("n2");
  n2.options.handshake_ms = 50;
  n2.knows("n1").start();
  RawSocket stranger(n2.port);
  CHECK(stranger.read_to_end().empty());
}

TEST_CASE("links: one that accepts and says nothing is tried again and again", "[peer]") {
  SilentPort silent;
  Node n1("n1");
  n1.options.handshake_ms = 50;
  n1.knows("n2", silent.port).start();
  n1.diary.wait("two tries", [&] { return n1.diary.downs.size() >= 2; });
  CHECK(n1.diary.now(&Diary::downs)[0].why == "not made within 50 ms");
  CHECK_FALSE(n1.diary.now(&Diary::downs)[0].refused);
  CHECK(n1.diary.lines_with("not made within") == 1);
}

TEST_CASE("links: a caller who proves himself on one connection only has no link", "[peer]") {
  Node n2("n2");
  n2.options.handshake_ms = 50;
  n2.knows("n1").start();
  ByHand fast(n2.port);
  CHECK(fast.shake());
  n2.diary.wait_down("not made within 50 ms");
  CHECK(fast.socket().read_to_end().empty());
  CHECK(n2.diary.now(&Diary::ups).empty());
}

TEST_CASE("links: a peer's broken frame ends the link, after the good ones before it", "[peer]") {
  Node n2("n2");
  n2.knows("n1").start();
  ByHand fast(n2.port, Channel::fast);
  ByHand bulk(n2.port, Channel::bulk);
  REQUIRE((fast.shake() && bulk.shake()));
  n2.diary.wait_up(1);
  FrameWriter writer = fast.writer();
  std::string bytes = bytes_of(writer, {Lane::call, "good"});
  std::string want;
  SECTION("checksum") {
    std::string bad = bytes_of(writer, {Lane::call, "bad"});
    bad[17] ^= 1;
    bytes += bad;
    want = "frame 1: its checksum is wrong";
  }
  SECTION("number") {
    bytes += bytes;
    want = "frame 1: bears the number 0";
  }
  SECTION("length") {
    ByteWriter(bytes).u32(0x7fffffff);
    bytes.append(12, '\0');
    want = "frame 1: is 2147483651 bytes long";
  }
  SECTION("lane") {
    bytes += bytes_of(writer, {Lane::bulk, "on the wrong connection"});
    want = "frame 1: is of lane 3";
  }
  fast.socket().write(bytes);
  n2.diary.wait_down(want);
  n2.diary.wait_line("n1 (127.0.0.1:1): link lost: " + want);
  REQUIRE(n2.diary.now(&Diary::frames).size() == 1);
  CHECK(n2.diary.now(&Diary::frames)[0].frame == "good");
  CHECK(n2.links->counts().links_up.value() == 0);
  bulk.socket().read_to_end();
}

TEST_CASE("links: frames that come before the link is up wait for it", "[peer]") {
  Node n2("n2");
  n2.knows("n1").start();
  ByHand fast(n2.port, Channel::fast);
  REQUIRE(fast.shake());
  FrameWriter writer = fast.writer();
  fast.socket().write(bytes_of(writer, {Lane::group, "early"}));
  ByHand bulk(n2.port, Channel::bulk);
  REQUIRE(bulk.shake());
  n2.diary.wait_frames(1);
  CHECK(n2.diary.now(&Diary::ups).size() == 1);
  CHECK(n2.diary.now(&Diary::frames)[0].frame == "early");
}

TEST_CASE("links: a caller's new link ends his old one, noticed dead or not", "[peer]") {
  Node n2("n2");
  n2.knows("n1").start();
  ByHand fast(n2.port, Channel::fast, 1);
  ByHand bulk(n2.port, Channel::bulk, 1);
  REQUIRE((fast.shake() && bulk.shake()));
  n2.diary.wait_up(1);
  ByHand next_bulk(n2.port, Channel::bulk, 2);
  REQUIRE(next_bulk.shake());
  n2.diary.wait_down("the peer made a new one");
  ByHand next_fast(n2.port, Channel::fast, 2);
  REQUIRE(next_fast.shake());
  n2.diary.wait_up(2);
  CHECK(n2.links->counts().links_up.value() == 1);
  fast.socket().read_to_end();
  bulk.socket().read_to_end();
}

TEST_CASE("links: the two connections of a link must tell the same storage", "[peer]") {
  Node n2("n2");
  n2.knows("n1").start();
  std::atomic<uint64_t> storage{1};
  Node n1("n1");
  n1.knows("n2", n2.port);
  n1.options.log = [](LogLevel, const std::string&) {};
  n1.options.self = [&] {
    Hello hello = hello_of("n1");
    const uint64_t was = storage;
    if (was < 4) ++storage;  // another one for each of the first connections
    hello.storage_id = was;
    return hello;
  };
  n1.links = std::make_unique<Links>(n1.options, n1.diary);
  REQUIRE(n1.links->start().has_value());
  n2.diary.wait_down("it changed while the link was made");
  n2.diary.wait_up(1);
  CHECK(n2.diary.now(&Diary::ups)[0].storage_id == 4);
}

}  // namespace clickmill::peer
