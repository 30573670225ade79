#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace clickmill::http {

enum class Method : uint8_t { get, head, post, put, delete_, options, other };

/// One request. The views point into the connection's buffers and live as long
/// as the RequestPtr does. Thread: any (immutable once handed over).
class Request {
 public:
  virtual ~Request() = default;
  /// First header of that name, compared without case; empty when absent.
  virtual std::string_view header(std::string_view name) const = 0;
  /// All headers of that name, in order.
  virtual std::vector<std::string_view> header_lines(std::string_view name) const = 0;

  Method method = Method::other;
  std::string_view path;   ///< still percent-encoded, without the query
  std::string_view query;  ///< without '?'
  std::string_view body;
  std::string_view peer_ip;  ///< textual address of the other end of the socket
  /// What a body may have at most on this path, decoded too.
  uint64_t body_bytes_max = 0;
};
using RequestPtr = std::shared_ptr<const Request>;

/// The items of a header that is a list: all its lines joined in order (RFC 9110, 5.3),
/// without blanks around them, empty ones left out.
std::vector<std::string_view> header_items(const Request& request, std::string_view name);

/// Makes a body piece by piece, so that a long answer stays small in memory.
/// Called on the query threads' behalf by the connection; never two calls at once.
class BodyStream {
 public:
  virtual ~BodyStream() = default;
  /// Puts the next bytes into `out` (cleared first); false when there are no more.
  virtual bool next(std::string& out) = 0;
};

struct Response {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;  ///< without Content-Length, Date
  std::string content_type;                                  ///< empty: none
  std::string body;
  std::unique_ptr<BodyStream> stream;  ///< when set, sent chunked after `body`
};

/// Who asked, and gets one answer. Thread: any.
class Asker {
 public:
  virtual ~Asker() = default;
  virtual void respond(Response&& response) = 0;
};

/// Sends the answer to one request. Movable; call it once, from any thread.
/// Destroyed without a call it answers 500, so that no connection hangs.
class Responder {
 public:
  using Send = std::function<void(Response&&)>;
  Responder() = default;
  explicit Responder(Send send) : send_(std::move(send)) {}
  explicit Responder(std::shared_ptr<Asker> asker) : asker_(std::move(asker)) {}
  Responder(Responder&& other) noexcept
      : send_(std::exchange(other.send_, nullptr)), asker_(std::move(other.asker_)) {}
  Responder& operator=(Responder&& other) noexcept {
    std::swap(send_, other.send_);
    std::swap(asker_, other.asker_);
    return *this;
  }
  Responder(const Responder&) = delete;
  Responder& operator=(const Responder&) = delete;
  ~Responder();

  void operator()(Response&& response) {
    if (const auto asker = std::exchange(asker_, nullptr)) asker->respond(std::move(response));
    if (const auto send = std::exchange(send_, nullptr)) send(std::move(response));
  }
  explicit operator bool() const { return asker_ != nullptr || send_ != nullptr; }

 private:
  Send send_;
  std::shared_ptr<Asker> asker_;  ///< in its place: without an allocation
};

/// Answers one request, now or later. Called on an io thread: it must not block.
using Handler = std::function<void(RequestPtr, Responder)>;

/// Why a request may not send a large body, of which nothing has been read yet; nothing: it
/// may. Called on an io thread: it must not block.
using RefuseLarge = std::function<std::optional<Response>(const Request&)>;

/// Whether the connections of this peer begin with a PROXY header. Called on an io thread.
using ExpectsProxyHeader = std::function<bool(std::string_view peer_ip)>;

/// Adds what every answer of a listener carries. Called on an io thread; of a request that
/// was refused early the path, and some headers, may be missing.
using Finish = std::function<void(const Request&, Response&)>;

/// An application/problem+json answer (RFC 9457). `field` only when a field,
/// parameter or header is to blame.
Response problem(int status, std::string_view detail, std::string_view field = {});
/// 200 (or `status`) with a JSON body.
Response json_response(std::string body, int status = 200);
/// The standard phrase of a status, e.g. "Not Found".
std::string_view status_title(int status);

}  // namespace clickmill::http
