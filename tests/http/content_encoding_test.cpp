#include "http/content_encoding.h"

#include <zlib.h>

#include <catch2/catch.hpp>
#include <string>

#include "http/sent_request.h"

namespace clickmill::http {
namespace {

std::string gzip(const std::string& text) {
  z_stream stream{};
  REQUIRE(::deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(::deflateBound(&stream, text.size()), '\0');
  std::string in = text;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(::deflate(&stream, Z_FINISH) == Z_STREAM_END);
  const size_t size = stream.total_out;
  ::deflateEnd(&stream);
  return out.substr(0, size);
}

/// The decoded body, or the status of the refusal and the field it names.
std::string decoded(const std::string& body, SentRequest::Headers headers, uint64_t most = 16'384) {
  SentRequest request(Method::post, body, std::move(headers));
  request.body_bytes_max = most;
  std::string bytes;
  std::string_view text;
  const auto refused = decode_body(request, bytes, text);
  if (!refused) return std::string(text);
  CHECK(bytes.size() <= most + 1);
  return std::to_string(refused->status);
}

std::string coded(const std::string& body, const std::string& coding, uint64_t most = 16'384) {
  return decoded(body, {{"Content-Encoding", coding}}, most);
}

const std::string kText = R"({"click_id":"c","ad_id":"a"})";

}  // namespace

TEST_CASE("content encoding: gzip, identity and none are undone", "[http]") {
  CHECK(decoded(kText, {}) == kText);
  CHECK(coded(kText, "identity") == kText);
  CHECK(coded(kText, "") == kText);
  CHECK(coded(gzip(kText), "gzip") == kText);
  CHECK(coded(gzip(kText), " GZip ") == kText);
  CHECK(coded(gzip(kText), "x-gzip") == kText);
  CHECK(coded(gzip(kText), "identity, gzip") == kText);
  CHECK(decoded(gzip(kText), {{"Content-Encoding", ""}, {"Content-Encoding", "gzip"}}) == kText);
  CHECK(coded("", "gzip").empty());
  CHECK(coded("", "br").empty());
  CHECK(coded(gzip(""), "gzip").empty());
}

TEST_CASE("content encoding: all members of a gzip body are read", "[http]") {
  CHECK(coded(gzip("ab") + gzip("") + gzip("cd"), "gzip") == "abcd");
  std::string many;
  for (int i = 0; i < 700; ++i) many += gzip("x");
  CHECK(coded(many, "gzip") == std::string(700, 'x'));
}

TEST_CASE("content encoding: other codings are 415", "[http]") {
  const auto coding = GENERATE(values<std::string>(
      {"br", "zstd", "deflate", "compress", "gzip, br", "br, gzip", "gzip, gzip", "gzipped"}));
  CAPTURE(coding);
  CHECK(coded(gzip(kText), coding) == "415");
}

TEST_CASE("content encoding: what isn't whole gzip is 400", "[http]") {
  const std::string whole = gzip(kText);
  CHECK(coded(kText, "gzip") == "400");
  CHECK(coded(whole + "x", "gzip") == "400");
  for (size_t length = 1; length < whole.size(); ++length) {
    CAPTURE(length);
    CHECK(coded(whole.substr(0, length), "gzip") == "400");
  }
  for (size_t at = whole.size() - 8; at < whole.size(); ++at) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    CHECK(coded(flipped, "gzip") == "400");
  }
}

TEST_CASE("content encoding: a body is bounded by what it becomes", "[http]") {
  CHECK(coded(gzip(std::string(1000, 'x')), "gzip", 1000) == std::string(1000, 'x'));
  CHECK(coded(gzip(std::string(1001, 'x')), "gzip", 1000) == "413");
  CHECK(coded(gzip(std::string(10'000'000, 'x')), "gzip", 16'384) == "413");
  CHECK(coded(gzip(std::string(600, 'x')) + gzip(std::string(600, 'x')), "gzip", 1000) == "413");
}

TEST_CASE("content encoding: a byte order mark is taken off", "[http]") {
  CHECK(decoded("\xef\xbb\xbf" + kText, {}) == kText);
  CHECK(coded(gzip("\xef\xbb\xbf" + kText), "gzip") == kText);
  CHECK(decoded("\xef\xbb\xbf", {}).empty());
  CHECK(decoded("\xef\xbb", {}) == "\xef\xbb");
}

}  // namespace clickmill::http
