#include "peer/outbox.h"

#include <catch2/catch.hpp>

namespace clickmill::peer {
namespace {

using Pushed = Outbox::Pushed;
constexpr size_t kMiB = size_t{1} << 20;

std::vector<std::string> payloads(const std::vector<Frame>& frames) {
  std::vector<std::string> out;
  for (const Frame& frame : frames) out.push_back(frame.payload);
  return out;
}
using Texts = std::vector<std::string>;

struct Fixture {
  Counts counts;
  Outbox outbox{counts};
  Fixture() { outbox.open(); }
  /// How many MiB of this lane are taken.
  size_t fill(Lane lane) {
    size_t taken = 0;
    while (outbox.push(lane, std::string(kMiB - Outbox::kFrameCost, 'x')) != Pushed::refused)
      ++taken;
    return taken;
  }
};

}  // namespace

TEST_CASE("outbox: beats leave first, then groups, then calls, each in order", "[peer]") {
  Fixture f;
  f.outbox.push(Lane::call, "c1");
  f.outbox.push(Lane::group, "g1");
  f.outbox.push(Lane::bulk, "b1");
  f.outbox.push(Lane::call, "c2");
  f.outbox.push(Lane::beat, "beat");
  f.outbox.push(Lane::group, "g2");
  CHECK(payloads(f.outbox.take(Channel::fast, kMiB)) == Texts{"beat", "g1", "g2", "c1", "c2"});
  CHECK(payloads(f.outbox.take(Channel::bulk, kMiB)) == Texts{"b1"});
}

TEST_CASE("outbox: a newer beat takes the place of the one that waits", "[peer]") {
  Fixture f;
  for (const char* beat : {"1", "2", "3"})
    CHECK(f.outbox.push(Lane::beat, beat) != Pushed::refused);
  CHECK(f.counts.of(Lane::beat).dropped.value() == 2);
  CHECK(payloads(f.outbox.take(Channel::fast, kMiB)) == Texts{"3"});
  // One that is being written is not touched; the next one waits behind it.
  f.outbox.push(Lane::beat, "4");
  CHECK(payloads(f.outbox.take(Channel::fast, kMiB)) == Texts{"4"});
  CHECK(f.counts.of(Lane::beat).dropped.value() == 2);
}

TEST_CASE("outbox: each lane holds so much, whatever the others hold", "[peer]") {
  Fixture f;
  CHECK(f.fill(Lane::group) == 16);
  CHECK(f.fill(Lane::call) == 16);
  CHECK(f.fill(Lane::bulk) == 32);
  CHECK(f.outbox.push(Lane::beat, "beat") != Pushed::refused);
  CHECK(f.counts.of(Lane::group).dropped.value() == 1);
  CHECK(f.counts.of(Lane::call).dropped.value() == 1);
  CHECK(f.counts.of(Lane::bulk).dropped.value() == 1);
}

TEST_CASE("outbox: what is being written still takes its room", "[peer]") {
  Fixture f;
  REQUIRE(f.fill(Lane::bulk) == 32);
  REQUIRE(f.outbox.take(Channel::bulk, 4 * kMiB).size() == 4);
  CHECK(f.fill(Lane::bulk) == 0);
  REQUIRE(f.outbox.take(Channel::bulk, kMiB).size() == 1);
  CHECK(f.fill(Lane::bulk) == 4);
}

TEST_CASE("outbox: small frames cost more than their bytes", "[peer]") {
  Fixture f;
  size_t taken = 0;
  while (f.outbox.push(Lane::call, "x") != Pushed::refused) ++taken;
  CHECK(taken == Outbox::kCallBytesMost / (Outbox::kFrameCost + 1));
}

TEST_CASE("outbox: a frame larger than its connection carries is refused", "[peer]") {
  Fixture f;
  for (const Lane lane : {Lane::beat, Lane::group, Lane::call, Lane::bulk}) {
    CHECK(f.outbox.push(lane, std::string(payload_bytes_most(lane), 'x')) != Pushed::refused);
    CHECK(f.outbox.push(lane, std::string(payload_bytes_most(lane) + 1, 'x')) == Pushed::refused);
  }
}

TEST_CASE("outbox: a batch is bounded, but for one frame that is larger alone", "[peer]") {
  Fixture f;
  for (int i = 0; i < 3; ++i) f.outbox.push(Lane::call, std::string(1'000, 'x'));
  CHECK(f.outbox.take(Channel::fast, 2 * (1'000 + kFrameOverhead)).size() == 2);
  CHECK(f.outbox.take(Channel::fast, 500).size() == 1);
  CHECK(f.outbox.take(Channel::fast, 500).empty());
}

TEST_CASE("outbox: only the first of those that nobody is about to take wakes", "[peer]") {
  Fixture f;
  CHECK(f.outbox.push(Lane::call, "a") == Pushed::wakes);
  CHECK(f.outbox.push(Lane::call, "b") == Pushed::waits);
  CHECK(f.outbox.push(Lane::bulk, "c") == Pushed::wakes);
  CHECK(f.outbox.take(Channel::fast, kMiB).size() == 2);
  // Whoever took it comes again when it has been written.
  CHECK(f.outbox.push(Lane::call, "d") == Pushed::waits);
  CHECK(f.outbox.take(Channel::fast, kMiB).size() == 1);
  CHECK(f.outbox.take(Channel::fast, kMiB).empty());
  CHECK(f.outbox.push(Lane::beat, "e") == Pushed::wakes);
}

TEST_CASE("outbox: closed it holds and takes nothing, opened again it begins anew", "[peer]") {
  Fixture f;
  REQUIRE(f.fill(Lane::call) == 16);
  REQUIRE(f.outbox.take(Channel::fast, kMiB).size() == 1);
  f.outbox.close();
  CHECK(f.counts.of(Lane::call).dropped.value() == 1 + 15);
  CHECK(f.outbox.push(Lane::call, "x") == Pushed::refused);
  f.outbox.open();
  CHECK(f.outbox.take(Channel::fast, kMiB).empty());
  CHECK(f.fill(Lane::call) == 16);
}

}  // namespace clickmill::peer
