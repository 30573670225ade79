#include "cluster/beat.h"

#include <catch2/catch.hpp>

#include "base/random.h"

namespace clickmill::cluster {
namespace {

Beat full_beat() {
  Beat beat;
  beat.life = 0xfedcba9876543210;
  beat.number = 4711;
  beat.echo_life = 77;
  beat.echo = 4710;
  beat.echo_delay_us = 12'345;
  beat.claims_seen = {0, 5, 300};
  beat.storage = raft::StorageId(~uint64_t{0});
  beat.wall_ms = 1'782'295'200'131;
  beat.fit = true;
  beat.workers = {{3, 9}, {4'294'967'295, 0}};
  beat.low_waters = LowWaters{ArrivalMs(1'782'295'200'000),
                              {{PartitionId(0), ArrivalMs(5)}, {PartitionId(63), ArrivalMs(6)}}};
  return beat;
}

Claims full_claims() { return {8, 1, 12, {{0, Term(3)}, {2, Term(1)}, {64, Term(1'000'004)}}}; }

/// Changes some bits, cuts or lengthens.
std::string mutated(Random& random, std::string bytes) {
  for (uint64_t left = 1 + random.below(3); left > 0 && !bytes.empty(); --left) {
    const size_t at = random.below(bytes.size());
    switch (random.below(4)) {
      case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8))); break;
      case 1: bytes[at] = static_cast<char>(random.next()); break;
      case 2: bytes.resize(at); break;
      default: bytes.insert(at, bytes.substr(random.below(bytes.size()), random.below(30)));
    }
  }
  return bytes;
}

}  // namespace

TEST_CASE("beat: what is encoded comes back", "[cluster]") {
  const Beat beat = full_beat();
  const auto back = decode_beat(encode(beat));
  REQUIRE(back);
  CHECK(*back == beat);

  Beat first;
  first.life = first.number = 1;
  first.storage = raft::StorageId(1);
  first.workers.resize(1);
  const auto least = decode_beat(encode(first));
  REQUIRE(least);
  CHECK(*least == first);

  const auto claims = decode_claims(encode(full_claims()));
  REQUIRE(claims);
  CHECK(*claims == full_claims());
  const Claims none{8, 1, 13, {}};
  const auto no_claims = decode_claims(encode(none));
  REQUIRE(no_claims);
  CHECK(*no_claims == none);
}

TEST_CASE("beat: a beat is small, however many groups are led", "[cluster]") {
  Beat beat = full_beat();
  beat.low_waters.reset();
  beat.claims_seen = {1'000, 1'000};
  CHECK(encode(beat).size() < 80);
}

TEST_CASE("beat: a low-water is its partition's own or that of all", "[cluster]") {
  const LowWaters low_waters = *full_beat().low_waters;
  CHECK(low_waters.of(PartitionId(0)) == ArrivalMs(5));
  CHECK(low_waters.of(PartitionId(1)) == ArrivalMs(1'782'295'200'000));
  CHECK(low_waters.of(PartitionId(63)) == ArrivalMs(6));
  CHECK(low_waters.of(PartitionId(64)) == ArrivalMs(1'782'295'200'000));
}

TEST_CASE("beat: values that no node has are refused", "[cluster]") {
  const auto refused = [](auto change) {
    Beat beat = full_beat();
    change(beat);
    return !decode_beat(encode(beat)).has_value();
  };
  CHECK(refused([](Beat& beat) { beat.life = 0; }));
  CHECK(refused([](Beat& beat) { beat.number = 0; }));
  CHECK(refused([](Beat& beat) { beat.storage = raft::StorageId(0); }));
  CHECK(refused([](Beat& beat) { beat.wall_ms = -1; }));
  CHECK(refused([](Beat& beat) { beat.wall_ms = 253'402'300'800'000; }));
  CHECK_FALSE(refused([](Beat& beat) { beat.wall_ms = 253'402'300'799'999; }));
  CHECK(refused([](Beat& beat) { beat.workers.clear(); }));
  CHECK(refused([](Beat& beat) { beat.low_waters->all = ArrivalMs(-1); }));
  CHECK(refused([](Beat& beat) { beat.low_waters->exceptions[1].partition = PartitionId(0); }));
  CHECK_FALSE(refused([](Beat& beat) { beat.workers.resize(256); }));

  const auto claims_refused = [](auto change) {
    Claims claims = full_claims();
    change(claims);
    return !decode_claims(encode(claims)).has_value();
  };
  CHECK(claims_refused([](Claims& claims) { claims.life = 0; }));
  CHECK(claims_refused([](Claims& claims) { claims.number = 0; }));
  CHECK(claims_refused([](Claims& claims) { claims.led[1].group = 0; }));
  CHECK(claims_refused([](Claims& claims) { claims.led[0].term = Term(0); }));
  CHECK_FALSE(claims_refused([](Claims& claims) { claims.worker = 255; }));
}

TEST_CASE("beat: another version is refused by name, a rest behind the end too", "[cluster]") {
  std::string beat = encode(full_beat());
  CHECK_FALSE(decode_beat(beat + '\0'));
  beat[0] = 2;
  const auto newer = decode_beat(beat);
  REQUIRE_FALSE(newer);
  CHECK(newer.error().message() == "beat of version 2, not 1");
  std::string claims = encode(full_claims());
  CHECK_FALSE(decode_claims(claims + '\0'));
  claims[0] = 0;
  REQUIRE_FALSE(decode_claims(claims));
  CHECK(decode_claims(claims).error().message() == "claims of version 0, not 1");
  CHECK_FALSE(decode_beat(""));
  CHECK_FALSE(decode_claims(""));
}

TEST_CASE("beat: a huge number of something is refused before it is made", "[cluster]") {
  // A count of 2^63 where workers, exceptions and groups are counted.
  const std::string huge("\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 9);
  const std::string beat = encode(full_beat());
  const std::string claims = encode(full_claims());
  for (size_t at = 1; at < beat.size(); ++at)
    ignore(decode_beat(beat.substr(0, at) + huge + beat.substr(at)), "it must only not crash");
  for (size_t at = 1; at < claims.size(); ++at)
    ignore(decode_claims(claims.substr(0, at) + huge + claims.substr(at)),
           "it must only not crash");
}

TEST_CASE("beat: nonsense is an error, or a beat that can be told again", "[cluster]") {
  Random random(7);
  size_t taken = 0;
  for (int i = 0; i < 20'000; ++i) {
    if (const auto beat = decode_beat(mutated(random, encode(full_beat())))) {
      ++taken;
      const auto again = decode_beat(encode(*beat));
      if (!again || !(*again == *beat)) FAIL("beat " << i << " doesn't come back");
    }
    if (const auto claims = decode_claims(mutated(random, encode(full_claims())))) {
      ++taken;
      const auto again = decode_claims(encode(*claims));
      if (!again || !(*again == *claims)) FAIL("claims " << i << " don't come back");
    }
  }
  CHECK(taken > 100);
}

}  // namespace clickmill::cluster
