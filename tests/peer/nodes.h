#pragma once

// Nodes with real sockets on loopback, and what they were told, to be waited for.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "http/server.h"
#include "peer/links.h"

namespace clickmill::peer {

inline uint16_t port_of(const std::string& address) {
  return http::parse_host_port(address).value().port;
}

/// What one node's Receiver and log were told. Thread: any.
class Diary final : public Receiver {
 public:
  struct Came {
    std::string from;
    Lane lane;
    std::string frame;
  };
  struct Down {
    std::string peer;
    bool refused;
    std::string why;
  };
  struct Misfit {
    std::string peer;
    Refusal why;
  };

  void on_frame(const std::string& from, Lane lane, std::string&& frame) override {
    std::unique_lock lock(mutex);
    if (throws) throw std::runtime_error("as it was told to");
    frames.push_back({from, lane, std::move(frame)});
    changed.notify_all();
    changed.wait(lock, [&] { return !held; });
  }
  void on_link_up(const Hello& peer) override {
    change([&] { ups.push_back(peer); });
  }
  void on_link_down(const std::string& peer, bool refused, const std::string& why) override {
    change([&] { downs.push_back({peer, refused, why}); });
  }
  void on_misfit(const Hello& peer, Refusal why) override {
    change([&] { misfits.push_back({peer.node_id, why}); });
  }
  void line(const std::string& text) {
    change([&] { lines.push_back(text); });
  }

  template <typename Change>
  void change(Change&& make) {
    const std::lock_guard lock(mutex);
    make();
    changed.notify_all();
  }
  /// Waits until `holds`, which sees all that was told.
  template <typename Holds>
  void wait(const char* what, Holds&& holds) {
    std::unique_lock lock(mutex);
    if (!changed.wait_for(lock, std::chrono::seconds(30), std::forward<Holds>(holds)))
      throw std::runtime_error(std::string("never came: ") + what);
  }
  void wait_up(size_t count) {
    wait("the link", [&] { return ups.size() >= count; });
  }
  void wait_frames(size_t count) {
    wait("the frames", [&] { return frames.size() >= count; });
  }
  void wait_down(const std::string& text) {
    wait(("down: " + text).c_str(), [&] {
      return std::any_of(downs.begin(), downs.end(), [&](const Down& down) {
        return down.why.find(text) != std::string::npos;
      });
    });
  }
  /// One that said that nobody listens, or a refusal.
  void wait_refused() {
    wait("refused", [&] {
      return std::any_of(downs.begin(), downs.end(), [](const Down& down) { return down.refused; });
    });
  }
  void wait_line(const std::string& text) {
    wait(("line: " + text).c_str(), [&] {
      return std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
        return line.find(text) != std::string::npos;
      });
    });
  }
  size_t lines_with(const std::string& text) {
    const auto all = now(&Diary::lines);
    return static_cast<size_t>(std::count_if(all.begin(), all.end(), [&](const auto& line) {
      return line.find(text) != std::string::npos;
    }));
  }
  /// As it is now; more may be told at any time.
  template <typename T>
  std::vector<T> now(std::vector<T> Diary::*what) {
    const std::lock_guard lock(mutex);
    return this->*what;
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Came> frames;
  std::vector<Hello> ups;
  std::vector<Down> downs;
  std::vector<Misfit> misfits;
  std::vector<std::string> lines;
  bool held = false;    ///< on_frame does not return while it is
  bool throws = false;  ///< on_frame does
};

inline Hello hello_of(const std::string& name) {
  Hello hello;
  hello.node_id = name;
  hello.cluster_id = 7;
  hello.epoch = 1;
  hello.storage_id = 100;
  hello.partitions = 64;
  hello.replication = 3;
  hello.version = "9.9";
  return hello;
}

/// A node: its options (change them before start), its diary, its links.
struct Node {
  explicit Node(std::string node_id) : name(std::move(node_id)), hello(hello_of(name)) {
    options.node_id = name;
    options.secret = "a secret";
    options.listen = "127.0.0.1:0";
    options.silence_ms = options.stall_ms = 600'000;
    options.retry_ms_first = 5;
    options.retry_ms_most = 20;
    options.refused_ms_first = 10;
    options.refused_ms_most = 40;
    options.sweep_ms = 5;
    options.handshake_ms = 30'000;
  }
  ~Node() { stop(); }
  /// Knows a node at that port; 1: nobody listens there.
  Node& knows(const std::string& peer, uint16_t at = 1) {
    options.peers.push_back({peer, "127.0.0.1", at});
    return *this;
  }
  Node& start() {
    options.self = [this] { return hello; };
    options.log = [this](LogLevel, const std::string& text) { diary.line(text); };
    links = std::make_unique<Links>(options, diary);
    const Status started = links->start();
    if (!started) throw std::runtime_error(started.error().message());
    port = port_of(links->address());
    return *this;
  }
  void stop() {
    diary.change([&] { diary.held = false; });
    links.reset();
  }
  bool send(const std::string& to, Lane lane, std::string frame) {
    return links->send(to, lane, std::move(frame));
  }

  std::string name;
  Hello hello;
  Links::Options options;
  Diary diary;
  std::unique_ptr<Links> links;
  uint16_t port = 0;
};

/// n1, which calls, and n2; linked.
struct Pair {
  Pair() {
    n2.knows("n1").start();
    n1.knows("n2", n2.port).start();
    n1.diary.wait_up(1);
    n2.diary.wait_up(1);
  }
  Node n1{"n1"};
  Node n2{"n2"};
};

/// A plain socket of somebody else.
class RawSocket {
 public:
  explicit RawSocket(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = loopback(port);
    if (::connect(fd_, cast(address), sizeof address) != 0)
      throw std::runtime_error("the raw socket can't connect");
  }
  ~RawSocket() { ::close(fd_); }
  RawSocket(const RawSocket&) = delete;
  RawSocket& operator=(const RawSocket&) = delete;

  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  /// Some bytes; empty: the end.
  std::string read() {
    char piece[4096];
    const ssize_t got = ::recv(fd_, piece, sizeof piece, 0);
    return got > 0 ? std::string(piece, static_cast<size_t>(got)) : std::string();
  }
  std::string read_to_end() {
    std::string all;
    for (std::string piece = read(); !piece.empty(); piece = read()) all += piece;
    return all;
  }

  static sockaddr_in loopback(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  static sockaddr* cast(sockaddr_in& address) {
    return static_cast<sockaddr*>(static_cast<void*>(&address));
  }

 private:
  int fd_;
};

/// A port on which connections are accepted (by the kernel) and nothing is ever said.
class SilentPort {
 public:
  SilentPort() : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = RawSocket::loopback(0);
    socklen_t size = sizeof address;
    if (::bind(fd_, RawSocket::cast(address), size) != 0 || ::listen(fd_, 100) != 0 ||
        ::getsockname(fd_, RawSocket::cast(address), &size) != 0)
      throw std::runtime_error("no silent port");
    port = ntohs(address.sin_port);
  }
  ~SilentPort() { ::close(fd_); }
  SilentPort(const SilentPort&) = delete;
  SilentPort& operator=(const SilentPort&) = delete;
  uint16_t port = 0;

 private:
  int fd_;
};

}  // namespace clickmill::peer
