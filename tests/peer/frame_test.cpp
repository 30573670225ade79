// Goal: what a reader hands out is what the writer was given, in order; whatever else is done
// to the bytes between them ends the connection at the first frame that it touches.

#include "peer/frame.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "base/bytes.h"
#include "base/random.h"

namespace clickmill::peer {
namespace {

const std::string kKey(32, 'k');

std::string joined(const std::vector<std::string>& pieces) {
  std::string all;
  for (const auto& piece : pieces) all += piece;
  return all;
}

struct Made {
  std::string bytes;
  std::vector<size_t> ends;  // of the frames
};

Made made_of(const std::vector<Frame>& frames, std::string_view key = kKey) {
  FrameWriter writer(key, 1);
  Made made;
  for (Frame frame : frames) {
    std::vector<std::string> pieces;
    writer.write(std::move(frame), pieces);
    made.bytes += joined(pieces);
    made.ends.push_back(made.bytes.size());
  }
  return made;
}

/// Reads `bytes` in portions that `portion` gives; what came, and the error that ended it.
struct Came {
  std::vector<Frame> frames;
  std::string error;
};
template <typename Portion>
Came read_all(FrameReader& reader, std::string_view bytes, Portion portion) {
  Came came;
  while (!bytes.empty()) {
    std::string_view some = bytes.substr(0, portion());
    bytes.remove_prefix(some.size());
    while (true) {
      auto frame = reader.next(some);
      if (!frame) {
        CHECK(frame.error().code() == Errc::corrupt);
        came.error = frame.error().message();
        return came;
      }
      if (!*frame) break;
      came.frames.push_back(**std::move(frame));
    }
    CHECK(some.empty());
  }
  return came;
}
Came read_fast(std::string_view bytes) {
  FrameReader reader(Channel::fast, kKey, 1);
  return read_all(reader, bytes, [] { return std::string_view::npos; });
}

void check_equal(const std::vector<Frame>& a, const std::vector<Frame>& b, size_t count) {
  REQUIRE(a.size() == count);
  for (size_t i = 0; i < count; ++i) {
    CHECK(a[i].lane == b[i].lane);
    CHECK((a[i].payload == b[i].payload));
  }
}

const std::vector<Frame> kThree = {{Lane::beat, "beat"}, {Lane::group, ""}, {Lane::call, "a call"}};

/// A frame with this header that is vouched for.
std::string frame_with(uint32_t length, uint8_t lane, uint8_t kind, uint16_t version,
                       uint64_t number, std::string_view payload) {
  std::string out;
  ByteWriter writer(out);
  writer.u32(length);
  writer.u8(lane);
  writer.u8(kind);
  writer.u16(version);
  writer.u64(number);
  writer.raw(payload);
  return out + hmac_sha256(kKey, out).substr(0, Mac::kBytes);
}

}  // namespace

TEST_CASE("mac: a context used again gives what RFC 4231 and a single call give", "[peer]") {
  const std::string expected(
      "\x5b\xdc\xc1\x46\xbf\x60\x75\x4e\x6a\x04\x24\x26\x08\x95\x75\xc7"
      "\x5a\x00\x3f\x08\x9d\x27\x39\x83\x9d\xec\x58\xb9\x64\xec\x38\x43",
      32);
  const std::string given = "what do ya want for nothing?";
  CHECK((hmac_sha256("Jefe", given) == expected));
  Mac mac("Jefe");
  for (size_t cut = 0; cut <= given.size(); ++cut) {
    mac.begin();
    mac.add(std::string_view(given).substr(0, cut));
    mac.add(std::string_view(given).substr(cut));
    const Mac::Tag tag = mac.finish();
    CHECK((std::string(tag.data(), tag.size()) == hmac_sha256("Jefe", given).substr(0, 16)));
  }
  // A key of a block, and one that is longer and so hashed first.
  for (const size_t size : {size_t{64}, size_t{65}, size_t{200}}) {
    const std::string key(size, 'k');
    Mac of_key(key);
    Mac moved(std::move(of_key));
    moved.begin();
    moved.add(given);
    const Mac::Tag tag = moved.finish();
    CHECK((std::string(tag.data(), tag.size()) == hmac_sha256(key, given).substr(0, 16)));
  }
  CHECK(same_secret("abc", "abc"));
  CHECK_FALSE(same_secret("abc", "abd"));
  CHECK_FALSE(same_secret("abc", "ab"));
}

TEST_CASE("frame: comes out as it went in, in whatever portions", "[peer]") {
  const Made made = made_of(kThree);
  CHECK(made.bytes.size() == 3 * kFrameOverhead + 10);
  for (const size_t portion : {size_t{1}, size_t{2}, size_t{15}, size_t{16}, size_t{17}, size_t{31},
                               size_t{32}, size_t{33}, size_t{1'000}}) {
    FrameReader reader(Channel::fast, kKey, 1);
    const Came came = read_all(reader, made.bytes, [portion] { return portion; });
    CHECK(came.error.empty());
    check_equal(came.frames, kThree, 3);
  }
}

TEST_CASE("frame: random frames in random portions are the same frames", "[peer]") {
  const uint64_t seed = GENERATE(range(uint64_t{1}, uint64_t{21}));
  CAPTURE(seed);
  Random random(seed);
  std::vector<Frame> frames;
  for (uint64_t i = 0; i < 30; ++i) {
    const size_t size = random.below(random.one_in(5) ? 100'000 : 100);
    frames.push_back({Lane{static_cast<uint8_t>(random.below(3))},
                      std::string(size, static_cast<char>(random.next()))});
  }
  const Made made = made_of(frames);
  FrameReader reader(Channel::fast, kKey, 1);
  const Came came = read_all(reader, made.bytes, [&] { return 1 + random.below(50'000); });
  CHECK(came.error.empty());
  check_equal(came.frames, frames, frames.size());
}

TEST_CASE("frame: the largest payload passes, one byte more is told before it comes", "[peer]") {
  const Channel channel = GENERATE(Channel::fast, Channel::bulk);
  const Lane lane = channel == Channel::fast ? Lane::call : Lane::bulk;
  const std::vector<Frame> frames = {{lane, std::string(payload_bytes_most(lane), 'x')},
                                     {lane, "after"}};
  FrameReader reader(channel, kKey, 1);
  const Came came = read_all(reader, made_of(frames).bytes, [] { return size_t{300'000}; });
  check_equal(came.frames, frames, 2);

  std::string header;
  ByteWriter(header).u32(static_cast<uint32_t>(frame_bytes_most(channel) - 4 + 1));
  header.append(12, '\0');
  FrameReader other(channel, kKey, 1);
  const Came refused = read_all(other, header, [] { return size_t{1}; });
  CHECK(refused.error.find("bytes long, expected 32 to") != std::string::npos);
}

TEST_CASE("frame: any one byte changed ends at the frame that it stands in", "[peer]") {
  const Made made = made_of(kThree);
  const std::string filler(frame_bytes_most(Channel::fast), 'z');
  for (size_t at = 0; at < made.bytes.size(); ++at) {
    CAPTURE(at);
    const auto touched = static_cast<size_t>(
        std::upper_bound(made.ends.begin(), made.ends.end(), at) - made.ends.begin());
    for (const int change : {1, 0x80, 0xff}) {
      std::string bytes = made.bytes;
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      // A length that grew is found out only where the frame would end.
      const Came came = read_fast(bytes + filler);
      check_equal(came.frames, kThree, touched);
      CHECK(came.error.find("frame " + std::to_string(touched)) == 0);
    }
  }
}

TEST_CASE("frame: cut, repeated, left out, moved, turned round or foreign ones are told",
          "[peer]") {
  const Made made = made_of(kThree);
  const std::string first = made.bytes.substr(0, made.ends[0]);
  const std::string second = made.bytes.substr(made.ends[0], made.ends[1] - made.ends[0]);
  const std::string third = made.bytes.substr(made.ends[1]);
  for (size_t cut = 0; cut < made.bytes.size(); ++cut) {
    const Came came = read_fast(std::string_view(made.bytes).substr(0, cut));
    CHECK(came.error.empty());
    CHECK(came.frames.size() ==
          static_cast<size_t>(std::upper_bound(made.ends.begin(), made.ends.end(), cut) -
                              made.ends.begin()));
  }
  CHECK(read_fast(first + first).error == "frame 1: bears the number 0");
  CHECK(read_fast(first + third).error == "frame 1: bears the number 2");
  CHECK(read_fast(second + first).error == "frame 0: bears the number 1");
  CHECK(read_fast(made_of(kThree, std::string(32, 'o')).bytes).error ==
        "frame 0: its checksum is wrong");

  FrameReader bulk(Channel::bulk, kKey, 1);
  CHECK(read_all(bulk, made.bytes, [] { return size_t{7}; }).error ==
        "frame 0: is of lane 0, which is not on this connection");
}

TEST_CASE("frame: each field of a header is judged, vouched for or not", "[peer]") {
  CHECK(read_fast(frame_with(28, 2, 0, 1, 0, "")).frames.size() == 1);
  CHECK(read_fast(frame_with(27, 2, 0, 1, 0, "")).error ==
        "frame 0: is 31 bytes long, expected 32 to 2097152");
  CHECK(read_fast(frame_with(0xffffffff, 2, 0, 1, 0, "")).error.find("frame 0: is 4294967299") ==
        0);
  CHECK(read_fast(frame_with(28, 3, 0, 1, 0, "")).error.find("of lane 3") != std::string::npos);
  CHECK(read_fast(frame_with(28, 4, 0, 1, 0, "")).error.find("of lane 4") != std::string::npos);
  CHECK(read_fast(frame_with(28, 2, 1, 1, 0, "")).error ==
        "frame 0: is of kind 1, which is unknown");
  CHECK(read_fast(frame_with(28, 2, 0, 2, 0, "")).error ==
        "frame 0: is of version 2, agreed was 1");
}

TEST_CASE("frame: after a broken one nothing comes any more", "[peer]") {
  FrameReader reader(Channel::fast, kKey, 1);
  std::string bytes = made_of(kThree).bytes;
  bytes[20] ^= 1;
  std::string_view rest = bytes;
  REQUIRE_FALSE(reader.next(rest).has_value());
  const std::string good = made_of(kThree).bytes;
  rest = good;
  CHECK_FALSE(reader.next(rest).has_value());
}

TEST_CASE("frame: noise gives errors and nothing else", "[peer]") {
  const uint64_t seed = GENERATE(range(uint64_t{1}, uint64_t{51}));
  CAPTURE(seed);
  Random random(seed);
  std::string noise;
  for (int i = 0; i < 500; ++i) noise += static_cast<char>(random.next());
  const Came came = read_fast(noise);
  CHECK(came.frames.empty());
  CHECK_FALSE(came.error.empty());
}

}  // namespace clickmill::peer
