#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "catalog/catalog.h"
#include "catalog/lookup.h"
#include "click/parse.h"
#include "collector/country_db.h"
#include "collector/proxy_headers.h"
#include "collector/spool.h"
#include "http/message.h"

namespace clickmill::collector {

/// Turns a parsed click into a spooled one: knows who clicked, by the connection, and where
/// an ad leads, by the catalog or the configuration service.
/// Thread: any (immutable).
class Intake {
 public:
  struct Options {
    std::string default_redirect;
    ProxyHeaders::Options proxies;
    const Countries* countries = nullptr;  ///< borrowed; null: none
    uint32_t partitions = 64;
  };
  /// `lookup`: where ads are asked for; null: the catalog has them all.
  Intake(Spool& spool, catalog::Catalog& catalog, catalog::Lookup* lookup, Options options,
         Metrics& metrics);

  /// What a connection tells of a click that doesn't say it itself. A bulk line's is empty:
  /// its connection is a server's, which says nothing of the person who clicked.
  struct Connection {
    std::string ip;               ///< in its one spelling
    std::string_view user_agent;  ///< cut to click::kHeaderBytesKept, as is referrer
    click::DeviceHints hints;
    std::string_view referrer;
    std::optional<click::Country> country;  ///< this and click_id by trusted proxies' headers
    std::string_view click_id;              ///< empty: none
  };
  Connection connection_of(const http::Request& request) const;
  /// The client's address; empty when only a proxy's is known, which stands for many.
  std::string known_client(const http::Request& request) const {
    return proxies_.known_client(request);
  }

  /// Where an ad leads.
  struct Target {
    std::shared_ptr<const catalog::Ad> ad;  ///< null: to the default redirect, if there is one
    bool ad_pending =
        false;  ///< the configuration service didn't say in time whether there is such an ad
    std::string_view url;  ///< empty: nowhere
  };
  /// What is known without asking elsewhere; empty: ask_target().
  std::optional<Target> known_target(std::string_view ad_id) const;
  /// Asks it; `done` is called once, after catalog.timeout_ms at the latest, from any thread.
  void ask_target(std::string_view ad_id, std::function<void(const Target&)> done) const;
  /// Where an ad leads that there is no time to ask for.
  Target pending_target() const { return target_of(nullptr, true); }

  /// Encodes and spools. On an error the click was not taken: whoever answers as if
  /// it had been counts it as dropped.
  Status spool(const click::ParsedClick& click, const Connection& connection, const Target& target,
               uint8_t flags, log::Lane lane, std::shared_ptr<ClickAnswer> answer);

  /// False while only users' clicks find room: the disk is full, or worse.
  bool takes_bulk() const { return spool_.takes_bulk(); }

 private:
  click::Country country_of(const click::ParsedClick& click, const Connection& connection,
                            std::string_view ip) const;
  Target target_of(std::shared_ptr<const catalog::Ad> ad, bool ad_pending) const;

  Spool& spool_;
  catalog::Catalog& catalog_;
  catalog::Lookup* const lookup_;
  const Options options_;
  const ProxyHeaders proxies_;
  Counter& automated_;
};

}  // namespace clickmill::collector
