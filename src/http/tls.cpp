#include "http/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>
#include <ctime>
#include <new>

namespace clickmill::http {
namespace {

constexpr size_t kReadBytes = 16 * 1024;

/// Why this thread's last call failed, and the queue emptied.
std::string last_reason() {
  const unsigned long error = ERR_peek_error();
  const char* const reason = ERR_SYSTEM_ERROR(error) ? std::strerror(ERR_GET_REASON(error))
                                                     : ERR_reason_error_string(error);
  std::string text = reason != nullptr ? reason : "unknown error";
  ERR_clear_error();
  return text;
}

Error unusable(const std::string& what) {
  return Error(Errc::invalid, what + ": " + last_reason());
}

/// A client that speaks of protocols gets the one there is; others are none of ours.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* size,
                    const unsigned char* offered, unsigned int offered_size, void*) {
  static constexpr std::array<unsigned char, 9> kHttp = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* found = nullptr;
  const int outcome =
      SSL_select_next_proto(&found, size, kHttp.data(), kHttp.size(), offered, offered_size);
  *chosen = found;
  return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

int64_t expiry_of(SSL_CTX* context) {
  std::tm utc{};
  const X509* const certificate = SSL_CTX_get0_certificate(context);
  if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &utc) != 1)
    return 0;
  return ::timegm(&utc);
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::load(const std::string& cert_path,
                                                           const std::string& key_path) {
  ERR_clear_error();
  SSL_CTX* const context = SSL_CTX_new(TLS_server_method());
  if (context == nullptr) return unusable("TLS");
  std::shared_ptr<TlsContext> out(new TlsContext(context));
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  // The idle ones of many connections keep no buffers.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(
      context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  // A key with a password would have the library ask at the terminal.
  SSL_CTX_set_default_passwd_cb(context, [](char*, int, int, void*) { return -1; });
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  if (SSL_CTX_use_certificate_chain_file(context, cert_path.c_str()) != 1)
    return unusable(cert_path + ": holds no certificate that can be used");
  if (SSL_CTX_use_PrivateKey_file(context, key_path.c_str(), SSL_FILETYPE_PEM) != 1)
    return unusable(key_path + ": holds no key that fits " + cert_path);
  if (SSL_CTX_check_private_key(context) != 1)
    return unusable(key_path + ": is not the key of " + cert_path);
  out->expires_s_ = expiry_of(context);
  return std::shared_ptr<const TlsContext>(std::move(out));
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

TlsStream::TlsStream(const TlsContext& context) : ssl_(SSL_new(context.context_)) {
  if (ssl_ == nullptr) throw std::bad_alloc();
  BIO* const in = BIO_new(BIO_s_mem());
  BIO* const out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl_, in, out);
  SSL_set_accept_state(ssl_);
}

TlsStream::~TlsStream() { SSL_free(ssl_); }

bool TlsStream::established() const { return SSL_is_init_finished(ssl_) == 1; }

void TlsStream::take_output(std::string& out) {
  BIO* const encrypted = SSL_get_wbio(ssl_);
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(encrypted, &bytes);
  if (size > 0) out.append(bytes, static_cast<size_t>(size));
  BIO_reset(encrypted);
}

bool TlsStream::receive(std::string_view bytes, std::string& plain, std::string& out) {
  ERR_clear_error();
  while (!bytes.empty()) {
    const auto size = static_cast<int>(std::min<size_t>(bytes.size(), INT_MAX));
    if (BIO_write(SSL_get_rbio(ssl_), bytes.data(), size) != size) return false;
    bytes.remove_prefix(static_cast<size_t>(size));
  }
  std::array<char, kReadBytes> piece;
  int size = 0;
  while ((size = SSL_read(ssl_, piece.data(), static_cast<int>(piece.size()))) > 0)
    plain.append(piece.data(), static_cast<size_t>(size));
  const int why = SSL_get_error(ssl_, size);
  ERR_clear_error();
  // A handshake's answer, or the alert that says what was wrong.
  take_output(out);
  return why == SSL_ERROR_WANT_READ;
}

void TlsStream::send(std::string_view plain, std::string& out) {
  ERR_clear_error();
  while (!plain.empty()) {
    const auto most = static_cast<int>(std::min<size_t>(plain.size(), INT_MAX));
    const int size = SSL_write(ssl_, plain.data(), most);
    if (size <= 0) break;  // it failed before: the connection ends with the next read
    plain.remove_prefix(static_cast<size_t>(size));
  }
  ERR_clear_error();
  take_output(out);
}

void TlsStream::end(std::string& out) {
  ERR_clear_error();
  if (established()) SSL_shutdown(ssl_);
  ERR_clear_error();
  take_output(out);
}

}  // namespace clickmill::http
