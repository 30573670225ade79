#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "clickmill/ad.h"
#include "clickmill/click.h"
#include "clickmill/config.h"
#include "clickmill/counts.h"

namespace clickmill {

/// Why a node could not start; the text names the key, file or address concerned.
class StartError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Why a call of a running node has no result.
class RequestError : public std::runtime_error {
 public:
  enum class Kind : std::uint8_t {
    invalid,      ///< the input is wrong; trying again won't help
    not_found,    ///< no such ad or advertiser
    unavailable,  ///< not now, or the node was stopped
    failed,       ///< the disk, or damage on it
  };
  RequestError(Kind kind, std::string field, const std::string& what)
      : std::runtime_error(field.empty() ? what : field + ": " + what),
        kind_(kind),
        field_(std::move(field)) {}
  Kind kind() const { return kind_; }
  /// The one to blame, as the HTTP API calls it; empty: none.
  const std::string& field() const { return field_; }

 private:
  Kind kind_;
  std::string field_;
};

/// A clickmill node inside another program: the same engine, listeners and data
/// directory as `clickmill serve`, without its signal handling; or, with
/// Config::listeners false, without any port.
///
/// Several nodes fit in one process, each with a data directory of its own.
/// A program whose node listens must ignore SIGPIPE, as one that writes to sockets does anyway.
/// Thread: make, stop and destroy it on one thread. Everything else may be called from any
/// thread, beside stop() too, which waits for calls under way; after it they throw. The node's
/// own threads live until stop() returns.
/// Errors: the constructors throw StartError, all others RequestError.
class Node {
 public:
  /// Starts a node from a config as text (JSON with comments; `{}` is every
  /// default). `config_path` is where relative paths in it start and what
  /// messages name; empty: the current directory. On return clicks are taken; counts of the
  /// last run may still be catching up (not_ready()).
  explicit Node(const std::string& config_json, const std::string& config_path = {});
  explicit Node(const Config& config);
  /// Stops, if stop() was not called.
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// Drains requests, checkpoints and closes, within seconds. Calling it again does nothing.
  /// Not from a callback.
  void stop();
  /// Addresses bound, such as "127.0.0.1:8080"; a configured port 0 is resolved here. Empty
  /// without listeners.
  const std::string& collector_address() const;
  const std::string& api_address() const;
  /// Why GET /readyz would not be green; empty: it is.
  std::vector<std::string> not_ready() const;

  /// Records a click as GET /v1/click does. Waits for nothing but, with catalog.source "http",
  /// for an ad that is not known yet (catalog.timeout_ms). Who keeps more under way than the
  /// disk takes (`collector.buffer_bytes`) hears Fate::dropped.
  Receipt record(const Click& click);
  /// The same; `told` hears the fate once, and the answer is where the person goes. It is
  /// called by a thread of the node that others wait for, perhaps before record() returns: it
  /// must be quick, and not call the node. What it throws is dropped.
  std::string record(const Click& click, std::function<void(Fate)> told);

  /// As GET /v1/metrics/clicks, for every advertiser. A click shows within a second. Blocks
  /// until the partitions have answered; while they catch up after a start no longer than
  /// five seconds, then Kind::unavailable is thrown.
  Counts counts(const CountsQuery& query) const;
  /// As GET /v1/metrics/top.
  Top top(const TopQuery& query) const;

  /// Durable on return. True when the ad is new. Not with catalog.source "http".
  bool put_ad(const Ad& ad);
  /// False when there was none. Its counts stay.
  bool remove_ad(const std::string& ad_id);
  std::optional<Ad> find_ad(const std::string& ad_id) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace clickmill
