#include "peer/links.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "base/random.h"
#include "base/wakes.h"
#include "peer/connection.h"
#include "peer/line_limit.h"
#include "peer/retry.h"

namespace clickmill::peer {
namespace {

/// A link that stood for so long was a good one: it is made again at once.
constexpr int64_t kGoodLinkMs = 2'000;
/// A sweep that comes so late says that this process stood still.
constexpr int64_t kPauseMs = 500;

/// What one write gathers: less on the connection of the beats, which wait behind it.
constexpr size_t batch_bytes_most(Channel channel) {
  return channel == Channel::fast ? size_t{256} << 10 : size_t{1} << 20;
}

static_assert(Handshake::kNonceBytes % sizeof(uint64_t) == 0);

void fill_nonce(std::string& out) {
  for (size_t at = 0; at < out.size(); at += sizeof(uint64_t)) {
    const uint64_t some = secure_random_u64();
    std::memcpy(&out[at], &some, sizeof some);
  }
}

std::string without_port(const std::string& address) {
  return address.substr(0, address.rfind(':'));
}

/// Looks whether somebody listens, and hangs up.
class Knock final : public SocketUser {
 public:
  using Told = std::function<void(const std::string& why, Failure failure)>;
  Knock(std::shared_ptr<Socket> socket, Told told)
      : socket_(std::move(socket)), told_(std::move(told)) {}
  ~Knock() override { socket_->close(); }

 private:
  void on_open() override {
    socket_->close();
    told_("it listens, and has not called yet", Failure::broken);
  }
  void on_bytes(std::string_view) override {}
  void on_written() override {}
  void on_failed(const std::string& why, Failure failure) override { told_(why, failure); }

  const std::shared_ptr<Socket> socket_;
  const Told told_;
};

}  // namespace

class Links::Impl final : public Connection::Owner {
 public:
  Impl(Options options, Receiver& receiver)
      : options_(std::move(options)), receiver_(receiver), limit_(options_.line_every_ms) {
    for (const Peer& peer : options_.peers) {
      if (peer.node_id == options_.node_id) continue;
      links_.try_emplace(peer.node_id, peer, counts_, peer.node_id > options_.node_id, sockets_);
      names_.push_back(peer.node_id);
    }
  }
  ~Impl() override { stop(); }

  Status start() {
    if (options_.secret.empty())
      return Error(Errc::invalid, "cluster.secret_file: the secret is empty");
    if (options_.tls) TRY(sockets_.use_tls(*options_.tls));
    if (!options_.listen.empty()) address_ = TRY(sockets_.listen(options_.listen));
    last_sweep_ms_ = Sockets::now_ms();
    sockets_.start([this](std::shared_ptr<Socket> socket) { accept(std::move(socket)); },
                   options_.sweep_ms, [this] { sweep(); });
    return {};
  }

  void stop() {
    sockets_.stop([this] {
      for (auto& [name, link] : links_) {
        if (link.up) counts_.links_up.add(-1);
        clear(link);
      }
      for (const auto& connection : std::exchange(loose_, {})) connection->close();
    });
  }

  bool send(const std::string& to, Lane lane, std::string&& frame) {
    const auto found = links_.find(to);
    if (found == links_.end()) return false;
    Link& link = found->second;
    const Outbox::Pushed pushed = link.outbox.push(lane, std::move(frame));
    // Later, if the sender wakes later: what it sends meanwhile goes out in the same write. A beat
    // waits for nobody, whose turn may last: without it all groups would elect.
    if (lane == Lane::beat && pushed != Outbox::Pushed::refused) {
      link.bell_of(channel_of(lane))->wake();
    } else if (pushed == Outbox::Pushed::wakes) {
      LaterWakes::wake(link.bell_of(channel_of(lane)));
    }
    return pushed != Outbox::Pushed::refused;
  }

  void meet_again(const std::string& node) {
    const auto found = links_.find(node);
    if (found == links_.end()) return;
    sockets_.post([this, &link = found->second] {
      if (link.up) fail(link, {"it is to be made anew", Failure::broken, {}});
    });
  }

  const std::string& address() const { return address_; }
  const Counts& counts() const { return counts_; }

 private:
  struct Link;
  /// Has what waits for a channel written.
  struct Bell final : Sleeper {
    Bell(Sockets& of, Link& to, Channel by) : sockets(of), link(to), channel(by) {}
    void wake() override {
      sockets.post([to = &link, by = channel] { to->flush(by); });
    }
    Sockets& sockets;
    Link& link;
    const Channel channel;
  };
  struct Link {
    Link(Peer to, Counts& counts, bool called_by_us, Sockets& sockets)
        : peer(std::move(to)),
          calls(called_by_us),
          fast_bell(std::make_shared<Bell>(sockets, *this, Channel::fast)),
          bulk_bell(std::make_shared<Bell>(sockets, *this, Channel::bulk)),
          outbox(counts),
          retry(secure_random_u64()) {}
    const std::shared_ptr<Sleeper>& bell_of(Channel channel) const {
      return channel == Channel::fast ? fast_bell : bulk_bell;
    }
    std::shared_ptr<Connection>& of(Channel channel) {
      return channel == Channel::fast ? fast : bulk;
    }
    bool begun() const { return fast || bulk; }
    void flush(Channel channel) {
      if (up) of(channel)->flush();
    }

    const Peer peer;
    const bool calls;  ///< we have the lower node_id
    const std::shared_ptr<Sleeper> fast_bell;
    const std::shared_ptr<Sleeper> bulk_bell;
    Outbox outbox;
    // The peer thread's:
    Retry retry;
    size_t turn = 0;      ///< which of the peer's addresses to try first
    uint64_t number = 0;  ///< which its caller drew for both connections
    std::shared_ptr<Connection> fast;
    std::shared_ptr<Connection> bulk;
    bool up = false;
    int64_t since_ms = 0;  ///< up, or begun
    std::shared_ptr<Knock> knock;
  };

  Link& of(const Connection& connection) {
    const auto& name = connection.from_outside() ? connection.peer().node_id : connection.called();
    return links_.find(name)->second;  // of those that were proven, or called
  }

  // Making a link.

  void call(Link& link) {
    link.number = secure_random_u64();
    link.since_ms = Sockets::now_ms();
    ++link.turn;
    for (const Channel channel : {Channel::fast, Channel::bulk}) {
      link.of(channel) = std::make_shared<Connection>(
          *this, sockets_.to(link.peer.host, link.peer.port, link.turn), link.peer.node_id, channel,
          link.number);
    }
    link.fast->open();
    link.bulk->open();
  }

  void accept(std::shared_ptr<Socket> socket) {
    // The oldest: who means it needs a few milliseconds, who only holds a place has had his time.
    if (loose_.size() >= options_.half_open_most) {
      give_up(*loose_.front());
      loose_.erase(loose_.begin());
    }
    loose_.push_back(std::make_shared<Connection>(*this, std::move(socket), "", Channel::fast, 0));
    loose_.back()->open();
  }

  void give_up(Connection& connection) {
    if (connection.shaking()) counts_.strangers.add();
    connection.close();
  }

  Handshake begin(Connection& connection) override {
    Handshake::Options hello;
    hello.role = connection.from_outside() ? Handshake::Role::server : Handshake::Role::client;
    hello.self = options_.self();
    hello.self.node_id = options_.node_id;
    hello.secret = options_.secret;
    hello.nonce.resize(Handshake::kNonceBytes);
    fill_nonce(hello.nonce);
    hello.channel = connection.channel();
    hello.link = connection.link();
    hello.expected = connection.called();
    hello.known = names_;
    hello.tls_binding = connection.tls_binding();
    return Handshake(std::move(hello));
  }

  void on_proven(Connection& connection) override {
    Link& link = of(connection);
    if (connection.from_outside()) attach(link, connection);
    if (link.fast && link.bulk && link.fast->done() && link.bulk->done()) go_up(link);
  }

  void attach(Link& link, Connection& connection) {
    const auto self = connection.shared_from_this();
    std::erase(loose_, self);
    // A caller that draws a new number has given the old link up, noticed here or not.
    if (link.begun() && (link.number != connection.link() || link.of(connection.channel())))
      fail(link, {"the peer made a new one", Failure::broken, {}});
    if (!link.begun()) link.since_ms = Sockets::now_ms();
    link.number = connection.link();
    link.of(connection.channel()) = self;
  }

  void go_up(Link& link) {
    const auto fast = link.fast;
    const auto bulk = link.bulk;
    const Hello& peer = fast->peer();
    if (peer.storage_id != bulk->peer().storage_id || peer.epoch != bulk->peer().epoch)
      return fail(link, {"it changed while the link was made", Failure::broken, {}});
    link.up = true;
    link.since_ms = Sockets::now_ms();
    link.knock.reset();
    link.outbox.open();
    counts_.links_up.add(1);
    say(link.peer.node_id + " up", LogLevel::info,
        fmt::format("{} ({}): link is up, its version is {}", link.peer.node_id, fast->remote(),
                    peer.version));
    receiver_.on_link_up(peer);
    fast->flow();
    if (link.up && link.bulk == bulk) bulk->flow();
  }

  // Frames.

  void on_frame(Connection& connection, Frame&& frame) override {
    Counts::OfLane& lane = counts_.of(frame.lane);
    lane.frames_in.add();
    lane.bytes_in.add(frame.payload.size());
    receiver_.on_frame(of(connection).peer.node_id, frame.lane, std::move(frame.payload));
  }

  std::vector<Frame> next_frames(Connection& connection) override {
    auto frames =
        of(connection).outbox.take(connection.channel(), batch_bytes_most(connection.channel()));
    for (const Frame& frame : frames) {
      counts_.of(frame.lane).frames_out.add();
      counts_.of(frame.lane).bytes_out.add(frame.payload.size());
    }
    return frames;
  }

  // The end of a link, or of a try.

  void on_ended(Connection& connection, const Connection::Ending& ending) override {
    if (ending.refused) counts_.refusals.add();
    const auto self = connection.shared_from_this();
    if (std::find(loose_.begin(), loose_.end(), self) != loose_.end())
      return send_away(connection, ending);
    Link& link = of(connection);
    const bool proven = connection.proven();
    const Hello peer = connection.peer();
    if (ending.refused) {
      // What it still has to say goes out behind the link.
      link.of(connection.channel()).reset();
      loose_.push_back(self);
      if (proven) receiver_.on_misfit(peer, ending.refused->code);
    }
    fail(link, ending);
  }

  /// A caller from outside that made no link. What it says of itself may be a lie unless proven.
  void send_away(Connection& connection, const Connection::Ending& ending) {
    // Whoever only hung up looked whether somebody listens, or another node has said why.
    if (!ending.refused && ending.failure != Failure::nonsense) return;
    const Hello peer = connection.peer();
    const std::string& name = peer.node_id;
    const bool proven = connection.proven();
    if (proven) {
      say(name + " refused", LogLevel::error, fmt::format("{}: refused: {}", name, ending.why));
      receiver_.on_misfit(peer, ending.refused->code);
    } else {
      counts_.strangers.add();
      say("from " + without_port(connection.remote()), LogLevel::warn,
          fmt::format("{}{}: not let in: {}", connection.remote(),
                      name.empty() ? "" : " (says it is " + name + ")", ending.why));
    }
    const auto known = links_.find(name);
    if (known != links_.end() && !known->second.up)
      receiver_.on_link_down(name, proven, ending.why);
  }

  void fail(Link& link, const Connection::Ending& ending) {
    const bool was_up = link.up;
    const int64_t now_ms = Sockets::now_ms();
    clear(link);
    if (was_up) {
      counts_.links_up.add(-1);
      counts_.links_lost.add();
    }
    if (ending.refused) {
      link.retry.failed(now_ms, options_.refused_ms_first, options_.refused_ms_most);
    } else if (was_up && now_ms - link.since_ms >= kGoodLinkMs) {
      link.retry.succeeded();
    } else {
      link.retry.failed(now_ms, options_.retry_ms_first, options_.retry_ms_most);
    }
    tell_down(link, was_up ? "link lost" : "no link", ending);
  }

  void tell_down(Link& link, const char* what, const Connection::Ending& ending) {
    const std::string& name = link.peer.node_id;
    if (ending.refused) {
      say(name + " refused", LogLevel::error, fmt::format("{}: refused: {}", name, ending.why));
    } else {
      say(name + what, LogLevel::warn,
          fmt::format("{} ({}:{}): {}: {}", name, link.peer.host, link.peer.port, what,
                      ending.why));
    }
    receiver_.on_link_down(name, ending.failure == Failure::nobody_listens || ending.refused,
                           ending.why);
  }

  static void clear(Link& link) {
    for (auto* connection : {&link.fast, &link.bulk}) {
      if (const auto gone = std::exchange(*connection, nullptr)) gone->close();
    }
    link.knock.reset();
    link.outbox.close();
    link.up = false;
    link.number = 0;
  }

  // Time.

  void sweep() {
    const int64_t now_ms = Sockets::now_ms();
    const int64_t late_ms = now_ms - std::exchange(last_sweep_ms_, now_ms) - options_.sweep_ms;
    for (auto& [name, link] : links_) {
      if (late_ms > kPauseMs) forgive(link, late_ms);
      if (link.up) {
        check(link, now_ms);
      } else if (link.begun() || link.knock) {
        if (now_ms - link.since_ms > options_.handshake_ms)
          fail(link,
               {fmt::format("not made within {} ms", options_.handshake_ms), Failure::broken, {}});
      } else if (link.retry.due(now_ms)) {
        link.calls ? call(link) : knock(link);
      }
    }
    for (const auto& connection : loose_) {
      if (now_ms - connection->made_ms() > options_.handshake_ms) give_up(*connection);
    }
    std::erase_if(loose_, [](const auto& connection) { return connection->closed(); });
  }

  static void forgive(Link& link, int64_t paused_ms) {
    link.since_ms += paused_ms;
    for (const auto& connection : {link.fast, link.bulk}) {
      if (connection) connection->forgive(paused_ms);
    }
  }

  void check(Link& link, int64_t now_ms) {
    if (now_ms - link.fast->heard_ms() > options_.silence_ms)
      return fail(
          link, {fmt::format("nothing came for {} ms", options_.silence_ms), Failure::broken, {}});
    for (const auto& connection : {link.fast, link.bulk}) {
      const auto moved_ms = connection->write_moved_ms();
      if (moved_ms && now_ms - *moved_ms > options_.stall_ms)
        return fail(
            link,
            {fmt::format("it takes nothing for {} ms", options_.stall_ms), Failure::broken, {}});
    }
  }

  /// We wait for the peer to call; if its process is gone, its machine can say so.
  void knock(Link& link) {
    link.since_ms = Sockets::now_ms();
    auto socket = sockets_.plain_to(link.peer.host, link.peer.port, link.turn++);
    link.knock =
        std::make_shared<Knock>(socket, [this, &link](const std::string& why, Failure failure) {
          const auto ended = std::exchange(link.knock, nullptr);
          if (ended == nullptr || link.begun()) return;
          link.retry.failed(Sockets::now_ms(), options_.retry_ms_first, options_.retry_ms_most);
          tell_down(link, "no link", {why, failure, {}});
        });
    socket->open(link.knock);
  }

  void say(const std::string& thing, LogLevel level, const std::string& text) {
    if (!limit_.admits(thing, Sockets::now_ms())) return;
    options_.log ? options_.log(level, text) : log_line(level, "peer", text);
  }

  const Options options_;
  Receiver& receiver_;
  Counts counts_;
  std::string address_;
  Sockets sockets_;                    // outlives what holds a Socket
  std::map<std::string, Link> links_;  // never changes once made; what is in it does
  std::vector<std::string> names_;

  // The peer thread's:
  LineLimit limit_;
  /// In handshake from outside, or with a refusal on its way; oldest first.
  std::vector<std::shared_ptr<Connection>> loose_;
  int64_t last_sweep_ms_ = 0;
};

Links::Links(Options options, Receiver& receiver)
    : impl_(std::make_unique<Impl>(std::move(options), receiver)) {}
Links::~Links() = default;
Status Links::start() { return impl_->start(); }
void Links::stop() { impl_->stop(); }
const std::string& Links::address() const { return impl_->address(); }
bool Links::send(const std::string& to, Lane lane, std::string frame) {
  return impl_->send(to, lane, std::move(frame));
}
void Links::meet_again(const std::string& node) { impl_->meet_again(node); }
const Counts& Links::counts() const { return impl_->counts(); }

}  // namespace clickmill::peer
