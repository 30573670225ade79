#include "http/request_parser.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <optional>

#include "base/text.h"
#include "http/plain_head.h"

namespace clickmill::http {
namespace {

namespace beast = boost::beast;
using beast::error_code;

/// Bodies grow as they arrive: a client that only claims a large one costs little.
constexpr uint64_t kReserveBytesMax = 256 * 1024;
/// A chunked body tells its length only as it comes.
constexpr uint64_t kChunkedStepBytes = 1 << 20;
/// A larger body's memory is given back after its request.
constexpr size_t kKeptBodyBytes = 64 * 1024;

/// Less than "0", CR LF, CR LF, of which a last chunk has at least that much: given so
/// little of one a second time, Beast 1.81 runs into an assertion of its own.
bool is_piece_of_last_chunk(std::string_view bytes) {
  if (bytes.size() >= 5) return false;
  if (bytes.substr(0, 2) == "\r\n") bytes.remove_prefix(2);
  return !bytes.empty() && bytes.front() == '0';
}

/// Whether a header line goes on in the next one. Beast joins them, as HTTP/1.0 allowed; who
/// stands in front may not, and would see another request (RFC 9112, 5.2).
/// `bytes`: what has come of a header section and is not read yet.
bool has_folded_line(std::string_view bytes) {
  bytes = bytes.substr(0, bytes.find("\r\n\r\n"));
  return bytes.find("\n ") != std::string_view::npos ||
         bytes.find("\n\t") != std::string_view::npos;
}

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

Method method_of(beast::http::verb verb) {
  switch (verb) {
    case beast::http::verb::get: return Method::get;
    case beast::http::verb::head: return Method::head;
    case beast::http::verb::post: return Method::post;
    case beast::http::verb::put: return Method::put;
    case beast::http::verb::delete_: return Method::delete_;
    case beast::http::verb::options: return Method::options;
    default: return Method::other;
  }
}

/// The request's bytes, copied once from the connection's buffer.
class ReceivedRequest final : public Request {
 public:
  explicit ReceivedRequest(std::string ip) : ip_(std::move(ip)) { peer_ip = ip_; }
  ~ReceivedRequest() override { give_back(); }
  ReceivedRequest(const ReceivedRequest&) = delete;
  ReceivedRequest& operator=(const ReceivedRequest&) = delete;

  std::string_view header(std::string_view name) const override {
    for (const Field& field : fields_) {
      if (field.name_size == name.size() && same_without_case(name_of(field), name)) {
        return value_of(field);
      }
    }
    return {};
  }
  std::vector<std::string_view> header_lines(std::string_view name) const override {
    std::vector<std::string_view> lines;
    for (const Field& field : fields_) {
      if (field.name_size != name.size() || !same_without_case(name_of(field), name)) continue;
      lines.push_back(value_of(field));
    }
    return lines;
  }

  void clear() {
    method = Method::other;
    path = query = body = {};
    text_.clear();
    target_at_ = target_size_ = 0;
    fields_.clear();
    drop_large();
    bytes_.clear();
  }
  bool is_large() const { return budget_ != nullptr || bytes_.capacity() > kKeptBodyBytes; }
  /// A large body is worked off: what it held serves others.
  void drop_large() {
    if (bytes_.capacity() > kKeptBodyBytes) bytes_ = {};
    give_back();
  }
  /// Takes from the budget until the request holds `bytes`; false: it can't.
  bool hold(const std::shared_ptr<BodyBudget>& budget, uint64_t bytes) {
    if (budget == nullptr || bytes <= budget_bytes_) return true;
    if (!budget->take(bytes - budget_bytes_)) return false;
    budget_ = budget;
    budget_bytes_ = bytes;
    return true;
  }
  void set_target(std::string_view target) {
    text_ = target;
    target_size_ = target.size();
  }
  void add_field(std::string_view name, std::string_view value) {
    const auto at = static_cast<uint32_t>(text_.size());
    const auto name_size = static_cast<uint32_t>(name.size());
    fields_.push_back({at, name_size, at + name_size, static_cast<uint32_t>(value.size())});
    text_ += name;
    text_ += value;
  }
  /// A whole header section as it came, whose fields lie within it. False: as set_views().
  bool set_plain(const PlainHead& head, std::string_view section) {
    method = head.method;
    text_ = section;
    target_at_ = static_cast<size_t>(head.target.data() - section.data());
    target_size_ = head.target.size();
    const auto place = [&](std::string_view part) {
      return static_cast<uint32_t>(part.data() - section.data());
    };
    for (const PlainHead::Field& field : head.fields()) {
      fields_.push_back({place(field.name), static_cast<uint32_t>(field.name.size()),
                         place(field.value), static_cast<uint32_t>(field.value.size())});
    }
    return set_views();
  }
  /// Once all text is in, so that the views stay valid. False: no target we serve.
  bool set_views() {
    std::string_view target = std::string_view(text_).substr(target_at_, target_size_);
    if (target.empty()) return false;
    if (target.front() != '/' && target != "*") {
      // The absolute form, which every server must understand (RFC 9112, 3.2.2).
      const size_t scheme_end = target.find("://");
      if (scheme_end == std::string_view::npos) return false;
      target.remove_prefix(scheme_end + 3);
      target.remove_prefix(std::min(target.find_first_of("/?"), target.size()));
    }
    const size_t mark = target.find('?');
    path = target.substr(0, mark);
    if (path.empty()) path = "/";
    if (mark != std::string_view::npos) query = target.substr(mark + 1);
    return true;
  }
  std::string& bytes() { return bytes_; }
  void finish() { body = bytes_; }

 private:
  struct Field {
    uint32_t name_at;  ///< in text_
    uint32_t name_size;
    uint32_t value_at;
    uint32_t value_size;
  };
  void give_back() {
    if (budget_) budget_->give_back(budget_bytes_);
    budget_.reset();
    budget_bytes_ = 0;
  }
  std::string_view name_of(const Field& field) const {
    return std::string_view(text_).substr(field.name_at, field.name_size);
  }
  std::string_view value_of(const Field& field) const {
    return std::string_view(text_).substr(field.value_at, field.value_size);
  }
  std::string ip_;
  std::string text_;  ///< the section as it came; or target, then names and values
  size_t target_at_ = 0;
  size_t target_size_ = 0;
  std::vector<Field> fields_;
  std::string bytes_;
  std::shared_ptr<BodyBudget> budget_;
  uint64_t budget_bytes_ = 0;
};

/// What went wrong, where Beast has no word for it.
enum class Fault : uint8_t { none, host, target, encoding, folded };

class Reader final : public beast::http::basic_parser<true> {
 public:
  Reader(ReceivedRequest& request, const BodyLimits& limits) : request_(request), limits_(limits) {
    eager(true);
    header_limit(kHeaderBytesMax);
    body_limit(boost::none);  // Beast knows one limit only and no path
  }

  int minor = 1;
  bool header_done = false;
  bool expects_continue = false;
  Fault fault = Fault::none;
  std::optional<Response> refusal;  ///< of a large body
  size_t header_bytes = 0;

 private:
  void on_request_impl(beast::http::verb verb, beast::string_view method, beast::string_view target,
                       int version, error_code& ec) override {
    request_.method = method_of(verb);
    request_.set_target(view(target));
    minor = version % 10;
    count_header(method.size() + target.size() + 12, ec);
  }
  void on_response_impl(int, beast::string_view, int, error_code&) override {}

  void on_field_impl(beast::http::field name, beast::string_view name_text,
                     beast::string_view value, error_code& ec) override {
    if (header_done) return;  // a trailer: the views into the text are already out
    request_.add_field(view(name_text), view(value));
    count_header(name_text.size() + value.size() + 4, ec);
    using beast::http::field;
    if (name == field::host) ++hosts_;
    if (name == field::transfer_encoding) encoded_ = true;
    if (name == field::expect) expects_continue = same_without_case(view(value), "100-continue");
  }

  void on_header_impl(error_code& ec) override {
    header_done = true;
    if (minor == 0) expects_continue = false;
    if (!request_.set_views()) {
      fault = Fault::target;
    } else if (hosts_ > 1 || (hosts_ == 0 && minor == 1)) {
      fault = Fault::host;
    } else if (encoded_ && !chunked()) {
      // Its body's end is unknown; guessing is how requests are smuggled.
      fault = Fault::encoding;
    }
    if (fault != Fault::none) ec = beast::http::error::bad_value;
    const auto& paths = limits_.large_paths;
    const bool large = std::find(paths.begin(), paths.end(), request_.path) != paths.end();
    limit_ = large ? limits_.large : limits_.usual;
    request_.body_bytes_max = limit_;
    if (!ec && content_length().value_or(0) > limit_) ec = beast::http::error::body_limit;
    if (!ec && large) begin_large(ec);
  }

  /// What may not come is refused here, before the client's memory is ours.
  void begin_large(error_code& ec) {
    const auto length = content_length();
    if (length ? *length <= limits_.usual : !chunked()) return;
    large_ = true;
    if (limits_.refuse_large) refusal = limits_.refuse_large(request_);
    if (refusal) {
      ec = beast::http::error::body_limit;
    } else {
      hold(length.value_or(kChunkedStepBytes), ec);
    }
  }
  void hold(uint64_t bytes, error_code& ec) {
    if (request_.hold(limits_.budget, bytes)) return;
    refusal = problem(503, "the node holds as much of large bodies as it may; try again");
    refusal->headers.emplace_back("Retry-After", "1");
    ec = beast::http::error::body_limit;
  }

  void on_body_init_impl(const boost::optional<uint64_t>& length, error_code&) override {
    if (length) request_.bytes().reserve(std::min<uint64_t>(*length, kReserveBytesMax));
  }
  size_t on_body_impl(beast::string_view body, error_code&) override {
    std::string& bytes = request_.bytes();
    // Once that much of it has come, the rest is believed to come as well.
    if (bytes.size() + body.size() > bytes.capacity() && bytes.size() >= kReserveBytesMax / 2)
      bytes.reserve(content_length().value_or(0));
    bytes.append(body.data(), body.size());
    return body.size();
  }
  void on_chunk_header_impl(uint64_t size, beast::string_view, error_code& ec) override {
    const uint64_t before = request_.bytes().size();
    if (size > limit_ - before) {
      ec = beast::http::error::body_limit;
    } else if (large_) {
      hold((before + size + kChunkedStepBytes - 1) / kChunkedStepBytes * kChunkedStepBytes, ec);
    }
  }
  size_t on_chunk_body_impl(uint64_t, beast::string_view body, error_code& ec) override {
    return on_body_impl(body, ec);
  }
  void on_finish_impl(error_code&) override { request_.finish(); }

  void count_header(size_t bytes, error_code& ec) {
    header_bytes += bytes;
    if (header_bytes > kHeaderBytesMax) ec = beast::http::error::header_limit;
  }

  ReceivedRequest& request_;
  const BodyLimits& limits_;
  uint64_t limit_ = 0;
  bool large_ = false;
  int hosts_ = 0;
  bool encoded_ = false;
};

}  // namespace

class RequestParser::Impl {
 public:
  Impl(const BodyLimits& body_limits, std::string ip)
      : limits(body_limits),
        peer_ip(std::move(ip)),
        request(std::make_shared<ReceivedRequest>(peer_ip)) {}

  /// Takes a request that has come as a whole and has nothing unusual. False: it is Beast's.
  bool take_plain(std::string_view bytes, size_t& used) {
    PlainHead head;
    if (!head.read(bytes) || head.bytes > kHeaderBytesMax) return false;
    if (head.body_bytes > limits.usual || bytes.size() - head.bytes < head.body_bytes) return false;
    make_request();
    if (!request->set_plain(head, bytes.substr(0, head.bytes))) return false;
    const auto& paths = limits.large_paths;
    if (std::find(paths.begin(), paths.end(), request->path) != paths.end()) return false;
    request->body_bytes_max = limits.usual;
    request->bytes().assign(bytes.substr(head.bytes, head.body_bytes));
    request->finish();
    used += head.bytes + head.body_bytes;
    plain = true;
    plain_keep_alive = head.keep_alive;
    return true;
  }

  void make_request() {
    if (request.use_count() == 1) {
      after_last_holder();
      request->clear();
    } else {
      request = std::make_shared<ReceivedRequest>(peer_ip);
    }
  }

  void begin() {
    make_request();
    reader.emplace(*request, limits);
  }

  void next() {
    plain = false;
    reader.reset();
    // Whoever works on it still gives its body back; an idle connection holds none.
    if (request->is_large()) {
      if (request.use_count() > 1) request = std::make_shared<ReceivedRequest>(peer_ip);
      after_last_holder();
      request->drop_large();
    }
  }

  /// The last other holder may have read on another thread until just now. Taking and
  /// dropping a reference orders those reads before our writes.
  void after_last_holder() { std::shared_ptr<ReceivedRequest>(request).reset(); }

  Outcome put(std::string_view bytes, size_t& used) {
    while (used < bytes.size()) {
      const std::string_view rest = bytes.substr(used);
      if (reader->is_header_done() && reader->chunked() && is_piece_of_last_chunk(rest)) break;
      if (!reader->header_done && has_folded_line(rest)) {
        reader->fault = Fault::folded;
        return Outcome::failed;
      }
      const size_t taken = reader->put({rest.data(), rest.size()}, error);
      used += taken;
      if (error == beast::http::error::need_more) break;
      if (error) return Outcome::failed;
      if (reader->is_done()) return Outcome::complete;
      if (taken == 0) break;
    }
    return check_rest(bytes.size() - used);
  }

  /// Beast sets no bound to a header section that comes in pieces, nor to a chunk's head.
  Outcome check_rest(size_t rest) {
    const size_t before = reader->header_done ? 0 : reader->header_bytes;
    if (before + rest <= kHeaderBytesMax) return Outcome::need_more;
    error = beast::http::error::header_limit;
    return Outcome::failed;
  }

  const BodyLimits& limits;
  std::string peer_ip;
  std::shared_ptr<ReceivedRequest> request;
  std::optional<Reader> reader;
  bool plain = false;  ///< the request was taken without a reader
  bool plain_keep_alive = false;
  error_code error;
};

RequestParser::RequestParser(const BodyLimits& limits, std::string peer_ip)
    : impl_(std::make_unique<Impl>(limits, std::move(peer_ip))) {}
RequestParser::~RequestParser() = default;

RequestParser::Outcome RequestParser::parse(std::string_view bytes, size_t& used) {
  used = 0;
  if (!impl_->reader) {
    // Some clients end a body with a line break too many (RFC 9112, 2.2).
    while (used < bytes.size() && (bytes[used] == '\r' || bytes[used] == '\n')) ++used;
    if (used == bytes.size()) return Outcome::need_more;
    if (impl_->take_plain(bytes.substr(used), used)) return Outcome::complete;
    impl_->begin();
  }
  return impl_->put(bytes, used);
}

void RequestParser::next() { impl_->next(); }
void RequestParser::set_peer_ip(std::string peer_ip) {
  impl_->peer_ip = std::move(peer_ip);
  impl_->request = std::make_shared<ReceivedRequest>(impl_->peer_ip);
}
bool RequestParser::started() const { return impl_->plain || impl_->reader.has_value(); }
bool RequestParser::header_done() const {
  return impl_->plain || (impl_->reader && impl_->reader->header_done);
}
bool RequestParser::expects_continue() const {
  return impl_->reader && impl_->reader->header_done && impl_->reader->expects_continue;
}
bool RequestParser::keep_alive() const {
  if (impl_->plain) return impl_->plain_keep_alive;
  return header_done() && impl_->reader->keep_alive();
}
int RequestParser::http_minor() const { return impl_->reader ? impl_->reader->minor : 1; }
Method RequestParser::method() const { return started() ? impl_->request->method : Method::other; }
uint64_t RequestParser::body_bytes() const { return impl_->request->bytes().size(); }
RequestPtr RequestParser::request() const { return impl_->request; }

Response RequestParser::failure() const {
  if (impl_->reader->refusal) return *std::move(impl_->reader->refusal);
  if (impl_->error == beast::http::error::header_limit) {
    return problem(431, "the header section is larger than 16384 bytes");
  }
  if (impl_->error == beast::http::error::body_limit) {
    return problem(413, "the body is larger than this path takes");
  }
  switch (impl_->reader->fault) {
    case Fault::host: return problem(400, "exactly one Host header is needed", "Host");
    case Fault::target: return problem(400, "the request target is neither a path nor a URL");
    // Not 501, as RFC 9112 would have it: balancers take a node out for what one client sent.
    case Fault::encoding:
      return problem(400, "the only transfer coding is chunked", "Transfer-Encoding");
    case Fault::folded: return problem(400, "a header line goes on in the next line");
    case Fault::none: break;
  }
  return problem(400, "malformed request: " + impl_->error.message());
}

}  // namespace clickmill::http
