#include "http/content_encoding.h"

#include <zlib.h>

#include <algorithm>

#include "http/media_type.h"

namespace clickmill::http {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr size_t kPieceBytes = 32 * 1024;
constexpr int kGzipOnly = 16 + MAX_WBITS;
constexpr int kMemoryLevel = 8;  // zlib's default

enum class Outcome : uint8_t { whole, broken, too_large };

class Inflater {
 public:
  Inflater() { ready_ = ::inflateInit2(&stream_, kGzipOnly) == Z_OK; }
  ~Inflater() {
    if (ready_) ::inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// All members of a gzip file, one behind the other (RFC 1952, 2.2).
  Outcome run(std::string_view bytes, uint64_t most, std::string& out) {
    if (!ready_) return Outcome::broken;
    // zlib's interface is older than const; it doesn't write there.
    stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    while (true) {
      const int code = piece(most, out);
      if (out.size() > most) return Outcome::too_large;
      if (code == Z_STREAM_END && stream_.avail_in == 0) return Outcome::whole;
      if (code == Z_STREAM_END) {
        if (::inflateReset(&stream_) != Z_OK) return Outcome::broken;
      } else if (code != Z_OK || (stream_.avail_in == 0 && stream_.avail_out != 0)) {
        return Outcome::broken;
      }
    }
  }

 private:
  int piece(uint64_t most, std::string& out) {
    // One byte beyond the bound is how one learns that there are more.
    const auto room = static_cast<uInt>(std::min<uint64_t>(piece_.size(), most + 1 - out.size()));
    stream_.next_out = piece_.data();
    stream_.avail_out = room;
    const int code = ::inflate(&stream_, Z_NO_FLUSH);
    out.append(piece_.begin(),
               piece_.begin() + static_cast<std::ptrdiff_t>(room - stream_.avail_out));
    return code;
  }

  z_stream stream_{};
  std::vector<Bytef> piece_ = std::vector<Bytef>(kPieceBytes);
  bool ready_ = false;
};

/// Codings in the order in which they were applied, identity left out.
std::vector<std::string> codings_of(const Request& request) {
  std::vector<std::string> codings;
  for (const auto item : header_items(request, "Content-Encoding")) {
    auto name = media_type(item);
    if (name != "identity") codings.push_back(std::move(name));
  }
  return codings;
}

Response unknown_coding(const std::vector<std::string>& codings) {
  std::string named;
  for (const std::string& coding : codings) named += (named.empty() ? "" : ", ") + coding;
  auto response = problem(
      415, "Content-Encoding " + named + " is not understood; send the body as it is, or with gzip",
      "Content-Encoding");
  response.headers.emplace_back("Accept-Encoding", "gzip");
  return response;
}

std::optional<Response> gunzip(const Request& request, std::string& decoded) {
  switch (Inflater().run(request.body, request.body_bytes_max, decoded)) {
    case Outcome::whole: return std::nullopt;
    case Outcome::broken:
      return problem(400, "the body is not whole gzip, as Content-Encoding says it is",
                     "Content-Encoding");
    case Outcome::too_large: break;
  }
  decoded = {};
  return problem(413, "the body has more than the " + std::to_string(request.body_bytes_max) +
                          " bytes that this path takes, decoded");
}

}  // namespace

std::optional<Response> decode_body(const Request& request, std::string& decoded,
                                    std::string_view& body) {
  body = request.body;
  if (body.empty()) return std::nullopt;
  const auto codings = codings_of(request);
  if (codings.size() == 1 && (codings[0] == "gzip" || codings[0] == "x-gzip")) {
    if (auto refused = gunzip(request, decoded)) return refused;
    body = decoded;
  } else if (!codings.empty()) {
    return unknown_coding(codings);
  }
  if (body.starts_with(kByteOrderMark)) body.remove_prefix(kByteOrderMark.size());
  return std::nullopt;
}

std::string gzipped(std::string_view bytes) {
  z_stream stream{};
  if (::deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, kGzipOnly, kMemoryLevel,
                     Z_DEFAULT_STRATEGY) != Z_OK)
    return {};
  std::string out(::deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const bool whole = ::deflate(&stream, Z_FINISH) == Z_STREAM_END;
  out.resize(whole ? stream.total_out : 0);
  ::deflateEnd(&stream);
  return out;
}

}  // namespace clickmill::http
