#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/body_budget.h"
#include "http/message.h"

namespace clickmill::http {

inline constexpr size_t kHeaderBytesMax = 16 * 1024;

/// How large a body may be, by path.
struct BodyLimits {
  uint64_t usual = 0;
  std::vector<std::string> large_paths;
  uint64_t large = 0;
  /// Asked before a body that may be above `usual` is read; empty: all may send one.
  RefuseLarge refuse_large = nullptr;
  /// Where such bodies' bytes are taken from; null: no bound.
  std::shared_ptr<BodyBudget> budget = nullptr;
};

/// Turns the bytes of one connection into requests, one after the other.
/// A request's memory is used again for the next one, unless someone still
/// holds its RequestPtr: then the next one gets its own.
/// Owns the requests it makes; borrows `limits`. Thread: one (requests: any).
class RequestParser {
 public:
  enum class Outcome : uint8_t { need_more, complete, failed };

  RequestParser(const BodyLimits& limits, std::string peer_ip);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  /// Reads on; `used` is how many bytes it needs no more. What is left must
  /// come again, in front of what arrives next. After complete or failed: next().
  Outcome parse(std::string_view bytes, size_t& used);
  /// Forgets the request, ready for the one behind it.
  void next();
  /// Who sends the requests from now on. Before the first byte of one.
  void set_peer_ip(std::string peer_ip);

  /// Some byte of the present request has been read.
  bool started() const;
  /// The header section is complete; the body may still be on its way.
  bool header_done() const;
  /// The client waits for "100 Continue" before it sends the body.
  bool expects_continue() const;
  /// Whether the client lets the connection live after this request.
  bool keep_alive() const;
  /// 0 or 1: HTTP/1.0 or HTTP/1.1.
  int http_minor() const;
  /// Method::other before the request line has been read.
  Method method() const;
  /// Body bytes read so far.
  uint64_t body_bytes() const;
  RequestPtr request() const;
  /// After failed: the problem to answer, 400, 413, 431, 503 when the budget is spent,
  /// or what refuse_large said.
  Response failure() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace clickmill::http
