#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct ssl_ctx_st;
struct ssl_st;

namespace clickmill::http {

/// A certificate with its key, for the connections that are made with it: TLS 1.2 and 1.3,
/// HTTP/1.1 alone. Thread: any (immutable).
class TlsContext {
 public:
  /// PEM files; the certificate's chain stands behind it. Errc::invalid names the file and
  /// what is wrong with it.
  static Result<std::shared_ptr<const TlsContext>> load(const std::string& cert_path,
                                                        const std::string& key_path);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  /// When the certificate ends, in seconds since 1970.
  int64_t expires_s() const { return expires_s_; }

 private:
  friend class TlsStream;
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* const context_;
  int64_t expires_s_ = 0;
};

/// The encryption of one connection, from bytes to bytes: whoever owns it moves them.
/// Thread: one at a time.
class TlsStream {
 public:
  explicit TlsStream(const TlsContext& context);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  /// Takes what was received: appends what it says to `plain`, and what must be sent
  /// because of it to `out`. False: the connection is over once that has been sent.
  bool receive(std::string_view bytes, std::string& plain, std::string& out);
  /// Appends the encrypted text to `out`. Nothing before the first plain bytes have come.
  void send(std::string_view plain, std::string& out);
  /// Appends the end of what is sent.
  void end(std::string& out);
  /// The client and we have agreed on keys.
  bool established() const;

 private:
  void take_output(std::string& out);
  ssl_st* const ssl_;
};

}  // namespace clickmill::http
