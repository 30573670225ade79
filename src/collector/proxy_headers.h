#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/metrics.h"
#include "click/parse.h"
#include "collector/trusted_proxies.h"
#include "http/message.h"

namespace clickmill::collector {

/// Reads what trusted proxies tell of a client in headers, and from nobody else. What they
/// send and can't be read counts as absent, is counted by header, and said once.
/// Thread: any.
class ProxyHeaders {
 public:
  struct Options {
    std::vector<std::string> trusted_proxies;
    // In lower case; empty: none.
    std::string client_ip_header;  ///< "forwarded" is read as RFC 7239 has it
    std::string country_header;
    std::string click_id_header;
  };
  struct Told {
    std::string ip;  ///< of the client, in its one spelling
    std::optional<click::Country> country;
    std::string_view click_id;  ///< empty: none
  };
  ProxyHeaders(Options options, Metrics& metrics);
  Told read(const http::Request& request) const;
  /// The client's address alone; empty when no more than a proxy is known. Counts and says
  /// nothing: read() does.
  std::string known_client(const http::Request& request) const;

 private:
  struct Header {
    std::string name;
    Counter& unreadable;
    std::atomic<bool> said{false};
  };
  using Items = std::vector<std::string_view>;
  static std::unique_ptr<Header> make(std::string name, Metrics& metrics);
  /// The header that names the client of this request, and its items.
  std::pair<Header*, Items> hops_of(const http::Request& request) const;
  std::string client_ip(const http::Request& request) const;
  void complain(Header& header, const http::Request& request, std::string_view value) const;

  const TrustedProxies proxies_;
  // Null: not asked for.
  const std::unique_ptr<Header> forwarded_for_;
  const std::unique_ptr<Header> client_ip_;
  const std::unique_ptr<Header> country_;
  const std::unique_ptr<Header> click_id_;
};

/// The addresses in a Forwarded header (RFC 7239), all its lines joined: what stands behind
/// `for=` in each element, "" where an element has none.
std::vector<std::string_view> forwarded_for(const http::Request& request);

}  // namespace clickmill::collector
