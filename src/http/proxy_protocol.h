#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace clickmill::http {

/// What a balancer says of a connection before it passes the client's bytes on: the PROXY
/// protocol, version 1 (text) or 2 (binary).
struct ProxyHeader {
  enum class Outcome : uint8_t { need_more, complete, failed };
  Outcome outcome = Outcome::need_more;
  size_t used = 0;        ///< complete: bytes of the header; the client's follow
  std::string source_ip;  ///< complete: the client; empty: the balancer speaks for itself
  std::string fault;      ///< failed: what is wrong
};

/// Reads the first bytes of a connection. At most 65,551 bytes of a header are asked for.
/// Thread: any.
ProxyHeader read_proxy_header(std::string_view bytes);

}  // namespace clickmill::http
