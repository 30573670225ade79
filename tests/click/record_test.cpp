#include <arpa/inet.h>

#include <catch2/catch.hpp>

#include "base/random.h"
#include "click/click.h"
#include "click/packing.h"
#include "click/record_layout.h"
#include "click/sample_clicks.h"

namespace clickmill::click {
namespace {

std::string encoded(const ClickView& click) {
  std::string out;
  encode_record(click, out);
  return out;
}

bool same(const ClickView& a, const ClickView& b) {
  return a.click_id == b.click_id && a.ad_id == b.ad_id && a.advertiser_id == b.advertiser_id &&
         a.ad_format == b.ad_format && a.timestamp_ms == b.timestamp_ms &&
         a.received_ms == b.received_ms && a.device == b.device && a.country == b.country &&
         a.flags == b.flags && a.user_id == b.user_id && a.ip == b.ip &&
         a.user_agent == b.user_agent && a.referrer == b.referrer;
}

}  // namespace

TEST_CASE("record: what was encoded comes back, and encodes to the same bytes", "[click]") {
  const uint64_t seed = 7;
  CAPTURE(seed);
  SampleClicks samples(seed);
  for (int i = 0; i < 3000; ++i) {
    const ClickView& click = samples.next();
    const std::string bytes = encoded(click);
    ByteCursor cursor(bytes);
    RecordScratch scratch;
    const auto decoded = decode_record(cursor, scratch);
    REQUIRE(decoded);
    REQUIRE(cursor.done());
    REQUIRE(same(*decoded, click));
    REQUIRE(encoded(*decoded) == bytes);
    ByteCursor skipping(bytes);
    const auto skipped = skip_record(skipping);
    REQUIRE(skipped);
    REQUIRE(*skipped == bytes);
  }
}

TEST_CASE("record: a cut record is refused at every length", "[click]") {
  SampleClicks samples(3);
  for (int i = 0; i < 20; ++i) {
    const std::string bytes = encoded(samples.next());
    for (size_t length = 0; length < bytes.size(); ++length) {
      RecordScratch scratch;
      ByteCursor cursor(std::string_view(bytes).substr(0, length));
      const auto decoded = decode_record(cursor, scratch);
      REQUIRE_FALSE(decoded);
      REQUIRE(decoded.error().code() == Errc::corrupt);
      ByteCursor skipping(std::string_view(bytes).substr(0, length));
      REQUIRE_FALSE(skip_record(skipping));
    }
  }
}

TEST_CASE("record: whatever decodes has one encoding, flipped bits and noise included", "[click]") {
  const uint64_t seed = 11;
  CAPTURE(seed);
  Random random(seed);
  SampleClicks samples(seed);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = encoded(samples.next());
    if (random.one_in(4)) {
      for (auto& byte : bytes) byte = static_cast<char>(random.next());
    }
    bytes[random.below(bytes.size())] ^= static_cast<char>(1U << random.below(8));
    RecordScratch scratch;
    ByteCursor cursor(bytes);
    const auto decoded = decode_record(cursor, scratch);
    if (!decoded) continue;
    REQUIRE(encoded(*decoded) == bytes.substr(0, cursor.position()));
  }
}

TEST_CASE("record: text that could have been packed is refused", "[click]") {
  RecordLayout layout;
  layout.country = kUnknownCountry;
  layout.click_id = "x";
  RecordScratch scratch;
  const auto decodes = [&] {
    std::string bytes;
    append_layout(layout, bytes);
    ByteCursor cursor(bytes);
    return decode_record(cursor, scratch).has_value();
  };
  REQUIRE(decodes());
  SECTION("click_id") { layout.click_id = "123e4567-e89b-12d3-a456-426614174000"; }
  SECTION("IPv4") { layout.ip = "10.0.0.1"; }
  SECTION("IPv6") { layout.ip = "2001:db8::1"; }
  SECTION("country") { layout.country = country_of('u', 'S'); }
  REQUIRE_FALSE(decodes());
}

TEST_CASE("record: a length in more bytes than it needs is refused", "[click]") {
  std::string bytes = encoded({.click_id = "x", .ad_id = "a"});
  REQUIRE(bytes[kRecordFixedBytes] == 1);
  bytes[kRecordFixedBytes] = static_cast<char>(0x81);
  bytes.insert(kRecordFixedBytes + 1, 1, '\0');
  ByteCursor cursor(bytes);
  RecordScratch scratch;
  REQUIRE_FALSE(decode_record(cursor, scratch));
}

TEST_CASE("record: unknown shape bits and ip form 3 are refused", "[click]") {
  for (const unsigned shape : {0x20U, 0x40U, 0x80U, 0x18U}) {
    std::string bytes = encoded({.click_id = "x", .ad_id = "a"});
    bytes[17] = static_cast<char>(static_cast<unsigned>(bytes[17]) | shape);
    ByteCursor cursor(bytes);
    RecordScratch scratch;
    REQUIRE_FALSE(decode_record(cursor, scratch));
  }
}

TEST_CASE("record: stamping changes the times and nothing else", "[click]") {
  const bool timestamp_too = GENERATE(false, true);
  SampleClicks samples(5);
  for (int i = 0; i < 50; ++i) {
    ClickView click = samples.next();
    std::string bytes = "before";
    encode_record(click, bytes);
    const ArrivalMs now(1'782'295'200'123 + i);
    stamp_received(bytes, 6, now, timestamp_too);
    click.received_ms = now;
    if (timestamp_too) click.timestamp_ms = EventMs(now.value());
    REQUIRE(bytes == "before" + encoded(click));
  }
}

TEST_CASE("record: flags stand at byte 0 and received_ms at byte 1", "[click]") {
  const std::string bytes = encoded(
      {.timestamp_ms = EventMs(0x1112), .received_ms = ArrivalMs(0x0102030405), .flags = 3});
  REQUIRE(kReceivedMsAt == 1);
  REQUIRE(bytes.substr(0, 17) ==
          std::string("\x03\x05\x04\x03\x02\x01\0\0\0\x12\x11\0\0\0\0\0\0", 17));
}

TEST_CASE("record: a country that is no letter pair is written as ZZ", "[click]") {
  const std::string bytes = encoded({.click_id = "x", .ad_id = "a", .country = 0});
  ByteCursor cursor(bytes);
  RecordScratch scratch;
  REQUIRE(decode_record(cursor, scratch)->country == kUnknownCountry);
  REQUIRE(to_string_country(kUnknownCountry) == "ZZ");
  REQUIRE(to_string_country(country_of('D', 'E')) == "DE");
}

TEST_CASE("packing: a UUID packs in lower case only", "[click]") {
  char packed[kUuidBytes];
  REQUIRE(pack_uuid("00112233-4455-6677-8899-aabbccddeeff", packed));
  REQUIRE(static_cast<uint8_t>(packed[15]) == 0xff);
  for (const std::string_view text :
       {"00112233-4455-6677-8899-AABBCCDDEEFF", "00112233-4455-6677-8899-aabbccddeef",
        "00112233-4455-6677-8899-aabbccddeeffa", "00112233445566778899aabbccddeeff0000",
        "00112233-4455-6677-8899-aabbccddeefg", "0011223-34455-6677-8899-aabbccddeeff", ""}) {
    CAPTURE(text);
    REQUIRE_FALSE(pack_uuid(text, packed));
  }
}

TEST_CASE("packing: addresses pack in their canonical spelling only", "[click]") {
  const auto [text, form] = GENERATE(table<std::string, IpForm>({
      {"0.0.0.0", IpForm::v4},
      {"255.255.255.255", IpForm::v4},
      {"10.20.30.40", IpForm::v4},
      {"256.0.0.1", IpForm::text},
      {"01.2.3.4", IpForm::text},
      {"1.2.3", IpForm::text},
      {"1.2.3.4.5", IpForm::text},
      {"1.2.3.4 ", IpForm::text},
      {"1..3.4", IpForm::text},
      {"", IpForm::text},
      {"::", IpForm::v6},
      {"::1", IpForm::v6},
      {"1::", IpForm::v6},
      {"2001:db8::1", IpForm::v6},
      {"2001:db8:0:1:1:1:1:1", IpForm::v6},
      {"2001:0:0:1::1", IpForm::v6},
      {"1:2:3:4:5:6:7:8", IpForm::v6},
      {"::ffff:1.2.3.4", IpForm::v6},
      {"::ffff:102:304", IpForm::text},
      {"2001:DB8::1", IpForm::text},
      {"2001:db8::0001", IpForm::text},
      {"2001:db8::1:1:1:1:1", IpForm::text},
      {"2001:0:0:1:0:0:0:1", IpForm::text},
      {"1:2:3:4:5:6:7", IpForm::text},
      {"1:2:3:4:5:6:7:8:9", IpForm::text},
      {"1::2::3", IpForm::text},
      {":::", IpForm::text},
      {":", IpForm::text},
      {"1:", IpForm::text},
      {"12345::", IpForm::text},
      {"fe80::1%eth0", IpForm::text},
  }));
  CAPTURE(text);
  char packed[16];
  REQUIRE(pack_ip(text, packed) == form);
}

TEST_CASE("packing: every IPv6 spelling is one that libc reads back", "[click]") {
  const uint64_t seed = 21;
  CAPTURE(seed);
  Random random(seed);
  for (int i = 0; i < 5000; ++i) {
    char packed[16];
    for (size_t at = 0; at < 16; ++at) {
      packed[at] = random.one_in(2) ? '\0' : static_cast<char>(random.next());
    }
    char text[kIpCharsMax + 1] = {};
    const size_t length = unpack_ip(IpForm::v6, packed, text);
    REQUIRE(length <= kIpCharsMax);
    char parsed[16];
    REQUIRE(inet_pton(AF_INET6, text, parsed) == 1);
    REQUIRE(std::string(parsed, 16) == std::string(packed, 16));
    char repacked[16];
    REQUIRE(pack_ip(std::string_view(text, length), repacked) == IpForm::v6);
    REQUIRE(std::string(repacked, 16) == std::string(packed, 16));
  }
}

TEST_CASE("click: the partition of an ad never changes", "[click]") {
  REQUIRE(partition_of("ad_8821", 1).value() == 0);
  // These stand in data directories.
  REQUIRE(partition_of("ad_8821", 64).value() == 0);
  REQUIRE(partition_of("ad_1", 64).value() == 7);
}

TEST_CASE("click: a visitor is the user_id, else address and agent, else nobody", "[click]") {
  const uint64_t seed = 99;
  const auto user = visitor_of({.user_id = "u1", .ip = "1.2.3.4", .user_agent = "x"}, seed);
  REQUIRE(user.known);
  REQUIRE(visitor_of({.user_id = "u1", .ip = "5.6.7.8"}, seed).hash == user.hash);
  REQUIRE(visitor_of({.user_id = "u1"}, seed + 1).hash != user.hash);
  const auto agent = visitor_of({.ip = "1.2.3.4", .user_agent = "x"}, seed);
  REQUIRE(agent.known);
  REQUIRE(agent.hash != visitor_of({.ip = "1.2.3.4x"}, seed).hash);
  REQUIRE(agent.hash != visitor_of({.user_id = "1.2.3.4x"}, seed).hash);
  REQUIRE(visitor_of({.ip = "1.2.3.4"}, seed).known);
  REQUIRE(visitor_of({.user_agent = "x"}, seed).known);
  REQUIRE_FALSE(visitor_of({}, seed).known);
  const std::string long_agent(4000, 'a');
  REQUIRE(visitor_of({.user_agent = long_agent}, seed).hash ==
          visitor_of({.user_agent = std::string(long_agent)}, seed).hash);
}

TEST_CASE("click: device words round-trip and others are refused", "[click]") {
  for (const auto device : {Device::mobile, Device::desktop, Device::tablet, Device::other}) {
    REQUIRE(*parse_device(to_string(device)) == device);
  }
  REQUIRE_FALSE(parse_device("Mobile"));
  REQUIRE_FALSE(parse_device(""));
}

}  // namespace clickmill::click
