// Goal: two nodes with one secret and no quarrel agree on keys; every quarrel ends with the same
// reason on both sides; and whoever lacks the secret, with any bytes he can see or make, is
// never believed.

#include "peer/handshake.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "base/bytes.h"
#include "base/random.h"

namespace clickmill::peer {
namespace {

using Role = Handshake::Role;

Hello hello_of(const std::string& name) {
  Hello hello;
  hello.node_id = name;
  hello.cluster_id = 7;
  hello.epoch = 2;
  hello.epoch_random = 99;
  hello.storage_id = name == "n1" ? 11 : 22;
  hello.partitions = 64;
  hello.replication = 3;
  hello.version = "1.2.3";
  return hello;
}

/// A nonce that no other call gives.
std::string fresh_nonce() {
  static uint64_t number = 0;
  std::string nonce(Handshake::kNonceBytes - 8, 'n');
  ByteWriter(nonce).u64(++number);
  return nonce;
}

Handshake::Options client_options() {
  Handshake::Options options;
  options.role = Role::client;
  options.self = hello_of("n1");
  options.secret = "the secret";
  options.nonce = fresh_nonce();
  options.channel = Channel::bulk;
  options.link = 0x123456789abcdef0;
  options.expected = "n2";
  return options;
}

Handshake::Options server_options() {
  Handshake::Options options;
  options.role = Role::server;
  options.self = hello_of("n2");
  options.secret = "the secret";
  options.nonce = fresh_nonce();
  options.known = {"n1", "n3"};
  return options;
}

/// Gives all of it; the handshake must not stop before the end.
void give(Handshake& to, std::string_view bytes) {
  REQUIRE(to.step(bytes).has_value());
  REQUIRE(bytes.empty());
}

/// Carries bytes to and fro until none are left.
void run(Handshake& client, Handshake& server) {
  while (true) {
    const std::string out = client.take_output();
    const std::string back = server.take_output();
    if (out.empty() && back.empty()) return;
    give(server, out);
    give(client, back);
  }
}

struct Quarrel {
  Refusal code;
  std::string text;
};

/// Both sides must give up for the same reason, in the same words.
void check_refused(Handshake& client, Handshake& server, const Quarrel& want) {
  for (const Handshake* side : {&client, &server}) {
    REQUIRE(side->refused());
    CHECK(side->refused()->code == want.code);
    CHECK(side->refused()->text == want.text);
    CHECK_FALSE(side->done());
  }
}

}  // namespace

TEST_CASE("handshake: two nodes agree, and each learns who the other is", "[peer]") {
  Handshake client(client_options());
  Handshake server(server_options());
  run(client, server);
  REQUIRE(client.done());
  REQUIRE(server.done());
  CHECK((client.proven() && server.proven()));
  CHECK(client.peer().node_id == "n2");
  CHECK(client.peer().storage_id == 22);
  CHECK(server.peer().node_id == "n1");
  CHECK(server.peer().cluster_id == 7);
  CHECK(server.peer().epoch == 2);
  CHECK(server.peer().epoch_random == 99);
  CHECK(server.peer().storage_id == 11);
  CHECK(server.peer().partitions == 64);
  CHECK(server.peer().replication == 3);
  CHECK(server.peer().version == "1.2.3");
  CHECK(server.channel() == Channel::bulk);
  CHECK(server.link() == 0x123456789abcdef0);
  CHECK(client.protocol() == 1);
  CHECK((client.key_out() == server.key_in()));
  CHECK((client.key_in() == server.key_out()));
  CHECK((client.key_in() != client.key_out()));
  CHECK(client.key_in().size() == 32);
}

TEST_CASE("handshake: no two have the same keys", "[peer]") {
  std::vector<std::string> keys;
  for (int i = 0; i < 2; ++i) {
    Handshake client(client_options());
    Handshake server(server_options());
    run(client, server);
    keys.push_back(client.key_out());
    keys.push_back(client.key_in());
  }
  std::sort(keys.begin(), keys.end());
  CHECK(std::unique(keys.begin(), keys.end()) == keys.end());
}

TEST_CASE("handshake: byte by byte, and what follows it stays", "[peer]") {
  Handshake client(client_options());
  Handshake server(server_options());
  for (int round = 0; round < 3; ++round) {
    for (const char byte : client.take_output()) give(server, {&byte, 1});
    std::string back = server.take_output();
    if (client.proven() || back.empty()) continue;
    for (size_t i = 0; i + 1 < back.size(); ++i) give(client, {&back[i], 1});
    const std::string last = back.substr(back.size() - 1) + (server.done() ? "a frame" : "");
    std::string_view rest = last;
    REQUIRE(client.step(rest).has_value());
    CHECK(rest == (server.done() ? "a frame" : ""));
  }
  CHECK(client.done());
  CHECK(server.done());
}

TEST_CASE("handshake: a node without a cluster may join any, whatever its epoch", "[peer]") {
  auto options = client_options();
  options.self.cluster_id = 0;
  options.self.epoch = 0;
  options.self.epoch_random = 0;
  Handshake client(options);
  Handshake server(server_options());
  run(client, server);
  CHECK(client.done());
  CHECK(server.done());
}

TEST_CASE("handshake: what the two differ in is told on both sides in the same words", "[peer]") {
  auto caller = client_options();
  auto called = server_options();
  Quarrel want;
  SECTION("cluster") {
    caller.self.cluster_id = 0xabc;
    want = {Refusal::cluster, "n1 belongs to cluster 0000000000000abc, n2 to 0000000000000007"};
  }
  SECTION("the caller was left behind") {
    caller.self.epoch = 1;
    want = {Refusal::epoch, "n1 is of epoch 1, n2 of 2: n1 was left behind by a forced recovery"};
  }
  SECTION("the called was left behind") {
    called.self.epoch = 1;
    want = {Refusal::epoch, "n2 is of epoch 1, n1 of 2: n2 was left behind by a forced recovery"};
  }
  SECTION("two forced recoveries") {
    caller.self.epoch_random = 98;
    want = {Refusal::epoch,
            "n1 and n2 were both recovered by force, each to an epoch 2 of its own"};
  }
  SECTION("partitions") {
    called.self.partitions = 32;
    want = {Refusal::partitions, "n1 has 64 partitions, n2 has 32 (log.partitions)"};
  }
  SECTION("a caller of an earlier version than the cluster") {
    called.self.levels = {1, 3};
    called.self.level = 2;
    want = {Refusal::feature_level,
            "n1 (version 1.2.3) runs feature level 1, and the cluster is at 2"};
  }
  SECTION("a called of a later version than the cluster") {
    called.self.levels = {3, 4};
    caller.self.levels = {1, 3};
    caller.self.level = 2;
    want = {Refusal::feature_level,
            "n2 (version 1.2.3) runs feature levels 3 to 4, and the cluster is at 2"};
  }
  SECTION("levels that don't overlap") {
    caller.self.levels = {1, 2};
    called.self.levels = {3, 4};
    want = {Refusal::feature_level,
            "n1 (version 1.2.3) runs feature levels 1 to 2, n2 (version 1.2.3) runs feature levels "
            "3 to 4: none in common"};
  }
  SECTION("own name") {
    called.self.node_id = "n1";
    want = {Refusal::own_name, "two nodes are called n1"};
  }
  SECTION("the wrong machine answers") {
    called.self.node_id = "n3";
    want = {Refusal::other_node, "n1 called n2, and n3 answered"};
  }
  SECTION("an unknown caller") {
    called.known = {"n3"};
    want = {Refusal::unknown_node, "n1 is not among the cluster.peers of n2"};
  }
  SECTION("the wrong direction") {
    caller.self.node_id = "n3";
    want = {Refusal::other_node, "n3 called n2: the lower node_id is to call"};
  }
  Handshake client(caller);
  Handshake server(called);
  run(client, server);
  CHECK((client.proven() && server.proven()));
  check_refused(client, server, want);
}

TEST_CASE("handshake: other secrets are told before anything else", "[peer]") {
  auto caller = client_options();
  caller.secret = "another";
  caller.self.partitions = 1;
  Handshake client(caller);
  Handshake server(server_options());
  run(client, server);
  check_refused(client, server, {Refusal::secret, "the secrets of n2 and n1 differ"});
  CHECK(client.refused()->by_peer);
  CHECK_FALSE((client.proven() || server.proven()));
}

TEST_CASE("handshake: protocols that don't overlap, from either side", "[peer]") {
  auto caller = client_options();
  auto called = server_options();
  std::string want;
  SECTION("an old caller") {
    called.protocol_lowest = 2;
    called.protocol_highest = 3;
    want = "n2 speaks the peer protocols 2 to 3, n1 speaks 1 to 1";
  }
  SECTION("an old called") {
    caller.protocol_lowest = 4;
    caller.protocol_highest = 5;
    want = "n2 speaks the peer protocols 1 to 1, n1 speaks 4 to 5";
  }
  Handshake client(caller);
  Handshake server(called);
  run(client, server);
  check_refused(client, server, {Refusal::protocol, want});
  CHECK(client.refused()->by_peer);
}

TEST_CASE("handshake: the highest common protocol is spoken", "[peer]") {
  auto caller = client_options();
  auto called = server_options();
  caller.protocol_highest = 4;
  called.protocol_lowest = 2;
  called.protocol_highest = 7;
  Handshake client(caller);
  Handshake server(called);
  run(client, server);
  CHECK((client.done() && server.done()));
  CHECK(client.protocol() == 4);
  CHECK(server.protocol() == 4);
}

TEST_CASE("handshake: what a later version appends to its hello is ignored", "[peer]") {
  Handshake client(client_options());
  Handshake server(server_options());
  std::string hello = client.take_output() + "more";
  ByteWriter(hello).u8(0);
  std::string longer;
  ByteWriter(longer).u32(static_cast<uint32_t>(hello.size() - 4));
  hello.replace(0, 4, longer);
  give(server, hello);
  CHECK(server.peer().node_id == "n1");
  CHECK_FALSE(server.take_output().empty());
}

TEST_CASE("handshake: each learns which feature levels the other runs", "[peer]") {
  auto caller = client_options();
  caller.self.levels = {2, 4};
  caller.self.level_most = 3;
  auto called = server_options();
  called.self.levels = {1, 3};
  called.self.level_most = 3;
  called.self.level = 2;
  Handshake client(caller);
  Handshake server(called);
  run(client, server);
  REQUIRE((client.done() && server.done()));
  CHECK(server.peer().levels == FeatureLevels{2, 4});
  CHECK(server.peer().level_most == 3);
  CHECK(server.peer().level == 0);
  CHECK(client.peer().level == 2);
}

TEST_CASE("handshake: a level that one knew may have risen since", "[peer]") {
  auto caller = client_options();
  caller.self.levels = {3, 4};
  caller.self.level = 3;
  auto called = server_options();
  called.self.levels = {2, 3};
  called.self.level = 2;
  Handshake client(caller);
  Handshake server(called);
  run(client, server);
  CHECK((client.done() && server.done()));
}

TEST_CASE("handshake: a hello without feature levels is of the first", "[peer]") {
  auto caller = client_options();
  caller.self.levels = {5, 6};
  Handshake client(caller);
  Handshake server(server_options());
  std::string hello = client.take_output();
  hello.resize(hello.size() - 4 * sizeof(uint16_t));
  std::string shorter;
  ByteWriter(shorter).u32(static_cast<uint32_t>(hello.size() - 4));
  hello.replace(0, 4, shorter);
  give(server, hello);
  CHECK(server.peer().version == "1.2.3");
  CHECK(server.peer().levels == FeatureLevels{1, 1});
  CHECK(server.peer().level == 0);
  CHECK_FALSE(server.take_output().empty());
}

TEST_CASE("handshake: the two ends of different TLS connections don't agree", "[peer]") {
  auto caller = client_options();
  auto called = server_options();
  caller.tls_binding = std::string(32, 'a');
  called.tls_binding = std::string(32, GENERATE('a', 'b'));
  Handshake client(caller);
  Handshake server(called);
  run(client, server);
  const bool same = called.tls_binding == caller.tls_binding;
  CHECK(client.done() == same);
  CHECK(server.done() == same);
}

TEST_CASE("handshake: a caller's own words sent back prove nothing", "[peer]") {
  Handshake client(client_options());
  const std::string hello = client.take_output();
  give(client, hello);
  // It believes to have met its own name, and says so in its proof; that proof comes back too.
  const std::string proof = client.take_output();
  give(client, proof);
  REQUIRE(client.refused());
  CHECK(client.refused()->code == Refusal::secret);
  CHECK_FALSE(client.proven());
}

TEST_CASE("handshake: a server's proof can't be had by letting it answer itself", "[peer]") {
  // The attacker calls n2 twice and lets each connection answer the other.
  Handshake one(server_options());
  Handshake two(server_options());
  Handshake caller(client_options());
  const std::string hello = caller.take_output();
  give(one, hello);
  give(two, hello);
  const std::string hello_of_one = one.take_output();
  std::string_view bytes = hello_of_one;
  CHECK(two.step(bytes).error().code() == Errc::invalid);
  CHECK_FALSE((one.proven() || two.proven()));
}

TEST_CASE("handshake: a recorded conversation opens nothing, on either side", "[peer]") {
  Handshake client(client_options());
  Handshake server(server_options());
  const std::string client_hello = client.take_output();
  give(server, client_hello);
  const std::string server_hello = server.take_output();
  give(client, server_hello);
  const std::string client_proof = client.take_output();
  give(server, client_proof);
  const std::string server_proof = server.take_output();
  give(client, server_proof);
  REQUIRE((client.done() && server.done()));

  Handshake next_server(server_options());
  give(next_server, client_hello);
  next_server.take_output();
  give(next_server, client_proof);
  REQUIRE(next_server.refused());
  CHECK(next_server.refused()->code == Refusal::secret);
  CHECK_FALSE(next_server.proven());

  Handshake next_client(client_options());
  give(next_client, server_hello);
  give(next_client, server_proof);
  REQUIRE(next_client.refused());
  CHECK(next_client.refused()->code == Refusal::secret);
  CHECK_FALSE(next_client.proven());
}

TEST_CASE("handshake: any byte changed on the way makes no link", "[peer]") {
  // A man in the middle changes one byte of one of the four messages.
  const size_t which = GENERATE(range(size_t{0}, size_t{4}));
  size_t changed = 0;
  for (size_t at = 0;; ++at) {
    Handshake client(client_options());
    Handshake server(server_options());
    bool broken = false;
    for (size_t message = 0; message < 4 && !broken; ++message) {
      Handshake& from = message % 2 == 0 ? client : server;
      Handshake& to = message % 2 == 0 ? server : client;
      std::string bytes = from.take_output();
      if (message == which) {
        if (at == bytes.size()) break;
        bytes[at] = static_cast<char>(bytes[at] ^ 1);
        ++changed;
      }
      std::string_view rest = bytes;
      broken = !to.step(rest) || to.refused();
    }
    if (changed != at + 1) break;
    CAPTURE(which, at);
    CHECK_FALSE((client.done() && server.done()));
    CHECK_FALSE((which == 3 ? client.done() : server.done()));
  }
  CHECK(changed > 30);
}

TEST_CASE("handshake: strangers are known by their first bytes", "[peer]") {
  const auto [said, want] = GENERATE(table<std::string, std::string>({
      {"GET / HTTP/1.1\r\n\r\n", "it speaks HTTP"},
      {std::string("\x16\x03\x01\x02\x00\x01", 6), "it speaks TLS"},
      {std::string("\x15\x03\x03\x00\x02\x02", 6), "it speaks TLS"},
      {std::string("\x00\x00\x00\x00", 4), "its first bytes are no hello"},
      {"SSH-2.0-OpenSSH_9.2", "its first bytes are no hello"},
      {std::string("\x01\x00\x00\x00\x09", 5), "a message of type 9 has no place here"},
      {std::string("\x01\x00\x00\x00\x02", 5), "a message of type 2 has no place here"},
      {std::string("\x01\x00\x00\x00\x03", 5), "its refusal is cut short"},
      {std::string("\x09\x00\x00\x00\x01xxxxxxxx", 13), "its hello has another magic"},
  }));
  Handshake server(server_options());
  std::string_view bytes = said;
  const Status status = server.step(bytes);
  REQUIRE_FALSE(status.has_value());
  CHECK(status.error().message().find(want) != std::string::npos);
  CHECK(server.take_output().empty());
}

TEST_CASE("handshake: no message is longer than 4 KiB, and a longer one is not waited for",
          "[peer]") {
  for (const uint32_t size : {4092u, 4093u}) {
    Handshake server(server_options());
    std::string bytes;
    ByteWriter(bytes).u32(size);
    std::string_view rest = bytes;
    CHECK(server.step(rest).has_value() == (size == 4092));
  }
}

TEST_CASE("handshake: cut or mutated messages are errors, never more", "[peer]") {
  const uint64_t seed = GENERATE(range(uint64_t{1}, uint64_t{301}));
  CAPTURE(seed);
  Random random(seed);
  Handshake client(client_options());
  Handshake server(server_options());
  for (int message = 0; message < 4; ++message) {
    Handshake& from = message % 2 == 0 ? client : server;
    Handshake& to = message % 2 == 0 ? server : client;
    std::string bytes = from.take_output();
    while (!bytes.empty() && random.one_in(2)) {
      const size_t at = random.below(bytes.size());
      switch (random.below(4)) {
        case 0: bytes[at] = static_cast<char>(random.next()); break;
        case 1: bytes.erase(at, 1 + random.below(5)); break;
        case 2: bytes.insert(at, 1 + random.below(5), static_cast<char>(random.next())); break;
        default: bytes += bytes.substr(at); break;
      }
    }
    std::string_view rest = bytes;
    if (!to.step(rest)) return;
  }
}

}  // namespace clickmill::peer
