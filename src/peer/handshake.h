#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "peer/frame.h"
#include "peer/transport.h"

namespace clickmill::peer {

/// How two nodes get to know each other on a new connection: each says who it is, each proves
/// that it knows the secret (the caller first, so that the called is no oracle), and each says
/// whether it takes the other. Bytes in, bytes out; no sockets, clock or random source.
/// Messages: top of handshake.cpp.
/// Thread: one at a time.
class Handshake {
 public:
  static constexpr size_t kNonceBytes = 32;
  static constexpr size_t kMessageBytesMost = 4096;
  enum class Role : uint8_t {
    client = 1,  ///< opened the connection
    server = 2,
  };
  struct Options {
    Role role = Role::client;
    Hello self;
    std::string secret;               ///< not empty
    std::string nonce;                ///< kNonceBytes from the kernel, never used before
    Channel channel = Channel::fast;  ///< client: what the connection is for,
    uint64_t link = 0;                ///< the same number for both connections of a link,
    std::string expected;             ///< and which node is called
    std::vector<std::string> known;   ///< server: who may call
    std::string tls_binding;          ///< what only the two ends of this TLS connection know
    uint16_t protocol_lowest = 1;
    uint16_t protocol_highest = 1;
  };
  struct Refused {
    Refusal code = Refusal::none;
    std::string text;  ///< for people; names both nodes
    bool by_peer = false;
  };

  explicit Handshake(Options options);
  /// Takes bytes from the front of `bytes`; what follows the handshake's end stays there.
  /// An error (Errc::invalid): no node speaks so; there is nothing to answer.
  Status step(std::string_view& bytes);
  /// What is to be sent, after every step and at the beginning.
  std::string take_output() { return std::exchange(output_, {}); }

  /// Both have proved themselves and take each other.
  bool done() const { return stage_ == Stage::over && !refused_; }
  /// It is over without a link; what take_output gives is still to be sent.
  const std::optional<Refused>& refused() const { return refused_; }
  /// The peer knows the secret: what it says of itself is true.
  bool proven() const { return proven_; }
  /// Its node_id is known (if not true) as soon as its hello has come; empty before.
  const Hello& peer() const { return peer_; }
  Channel channel() const { return options_.channel; }
  uint64_t link() const { return options_.link; }
  /// When done: what keys the frames of each direction, and the highest common protocol.
  std::string key_out() const { return key(options_.role); }
  std::string key_in() const { return key(other(options_.role)); }
  uint16_t protocol() const { return protocol_; }

 private:
  enum class Stage : uint8_t { hello, proof, over };
  struct Verdict {
    Refusal code = Refusal::none;
    std::string text;
  };
  static Role other(Role role) { return role == Role::client ? Role::server : Role::client; }
  Status take(std::string_view message);
  Status take_hello(std::string_view message);
  Status take_proof(std::string_view body);
  Status take_refusal(std::string_view body);
  std::string hello() const;
  void send_hello();
  void send_proof();
  /// For what is found before there is proof.
  void refuse(Verdict why);
  Verdict judge() const;
  Verdict judge_name() const;
  Verdict judge_cluster() const;
  std::string proof_of(Role role, const Verdict& verdict) const;
  std::string key(Role direction) const;

  Options options_;
  Stage stage_ = Stage::hello;
  std::string input_;
  std::string output_;
  std::string sent_hello_;
  std::string binding_;  ///< hash of both hellos
  Verdict verdict_;
  Hello peer_;
  bool proven_ = false;
  uint16_t protocol_ = 0;
  std::optional<Refused> refused_;
};

}  // namespace clickmill::peer
