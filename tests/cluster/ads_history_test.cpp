#include "cluster/ads_history.h"

#include <array>
#include <catch2/catch.hpp>

namespace clickmill::cluster {
namespace {

using catalog::AdsChange;
using Kind = AdsProposal::Kind;

AdsChange put(const std::string& ad_id, const std::string& to) {
  return {AdsChange::Kind::upsert, {ad_id, "adv", "banner", "https://shop.example/" + to}, {}};
}
AdsChange removal(const std::string& ad_id) {
  return {AdsChange::Kind::remove, {ad_id, {}, {}, {}}, {}};
}

/// Tells the history entry by entry, and keeps what it makes of them.
class Story {
 public:
  /// What the entry changes: "ad=where", "-ad" or "file", one after the other.
  std::string tell(Kind kind, std::vector<AdsChange> changes, Hash128 file = {}) {
    log::Entry entry;
    entry.first = Offset(next_);
    entry.count = static_cast<uint32_t>(changes.size());
    entry.kind = static_cast<uint8_t>(kind);
    entry.payload = encode_ads({kind, file, std::move(changes)});
    next_ += entry.count;
    const auto made = history.take(entry);
    REQUIRE(made);
    std::string out;
    for (const AdsChange& change : *made) {
      if (!out.empty()) out += ' ';
      switch (change.kind) {
        case AdsChange::Kind::upsert:
          out += change.ad.ad_id + '=' + change.ad.redirect_url.substr(21);
          break;
        case AdsChange::Kind::remove: out += '-' + change.ad.ad_id; break;
        case AdsChange::Kind::source: out += "file"; break;
      }
    }
    return out;
  }
  AdsHistory history;

 private:
  uint64_t next_ = 1;
};

constexpr Hash128 kFile{1, 2};
const AdsChange kFileEnds{AdsChange::Kind::source, {}, kFile};

TEST_CASE("ads history: changes hold as they are told", "[cluster][ads]") {
  Story story;
  CHECK(story.tell(Kind::changes, {put("a", "1"), removal("b")}) == "a=1 -b");
  CHECK(story.tell(Kind::changes, {put("a", "1")}) == "a=1");
  CHECK(story.history.mentions("b"));
  CHECK_FALSE(story.history.mentions("c"));
}

TEST_CASE("ads history: each ad of a file comes once, though two nodes bring it at once",
          "[cluster][ads]") {
  Story story;
  CHECK(story.tell(Kind::of_file, {put("a", "file"), put("b", "file")}, kFile) == "a=file b=file");
  // Acknowledged meanwhile: the second node's copy of the file must not undo it.
  CHECK(story.tell(Kind::changes, {put("a", "new")}) == "a=new");
  CHECK(story.tell(Kind::of_file, {put("a", "file"), put("b", "file")}, kFile).empty());
  CHECK_FALSE(story.history.took_in(kFile));
  CHECK(story.tell(Kind::of_file, {put("c", "file"), kFileEnds}, kFile) == "c=file file");
  CHECK(story.history.took_in(kFile));
  CHECK(story.tell(Kind::of_file, {put("c", "file"), kFileEnds}, kFile).empty());
  CHECK(story.tell(Kind::changes, {removal("c")}) == "-c");
  CHECK(story.tell(Kind::of_file, {put("c", "file"), kFileEnds}, kFile).empty());
  // Another file is another matter.
  CHECK(story.tell(Kind::of_file, {put("c", "other")}, Hash128{3, 4}) == "c=other");
}

TEST_CASE("ads history: what a node had before holds only where nothing is known of the ad",
          "[cluster][ads]") {
  Story story;
  CHECK(story.tell(Kind::changes, {put("a", "1"), removal("b")}) == "a=1 -b");
  CHECK(story.tell(Kind::own, {put("a", "own"), put("b", "own"), put("c", "own")}) == "c=own");
  CHECK(story.tell(Kind::own, {put("c", "of another node")}).empty());
}

TEST_CASE("ads history: Raft's own entries change nothing, and an unknown kind is refused",
          "[cluster][ads]") {
  AdsHistory history;
  log::Entry entry;
  entry.first = Offset(1);
  CHECK(history.take(entry)->empty());
  entry.kind = 6;
  CHECK(history.take(entry)->empty());
  entry.kind = 5;
  CHECK(history.take(entry).error().code() == Errc::invalid);
  entry.kind = 1;
  entry.payload = "\x09";
  CHECK(history.take(entry).error().code() == Errc::corrupt);
}

TEST_CASE("ads history: a recorded level holds, never falls, and is not passed by unread",
          "[cluster][ads]") {
  AdsHistory history({1, 3});
  log::Entry entry;
  entry.kind = kLevelKind;
  CHECK(history.level() == 0);
  for (const FeatureLevel level : std::array<FeatureLevel, 3>{2, 3, 2}) {
    entry.payload = encode_level(level);
    CHECK(history.take(entry)->empty());
  }
  CHECK(history.level() == 3);
  entry.payload = "x";
  CHECK(history.take(entry).error().code() == Errc::corrupt);
  entry.payload = encode_level(4);
  const auto taken = history.take(entry);
  CHECK(taken.error().code() == Errc::invalid);
  CHECK(taken.error().message() ==
        "the cluster is at feature level 4, and this version runs 3 at most");
  // So that it can be said.
  CHECK(history.level() == 4);
  // No node asks another one for it.
  CHECK_FALSE(decode_ads(kLevelKind, encode_level(2)));
}

TEST_CASE("ads history: a proposal is split by bytes, and nothing of it is lost",
          "[cluster][ads]") {
  AdsProposal all;
  all.kind = Kind::of_file;
  all.file = kFile;
  for (int i = 0; i < 3'000; ++i) all.changes.push_back(put("ad" + std::to_string(i), "x"));
  all.changes.push_back(kFileEnds);
  const auto parts = split_proposal(AdsProposal(all), 4'000);
  size_t at = 0;
  for (const AdsProposal& part : parts) {
    CHECK(part.kind == Kind::of_file);
    CHECK(part.file == kFile);
    CHECK(encode_ads(part).size() <= 4'100);
    for (const AdsChange& change : part.changes) {
      CHECK(change.ad == all.changes[at].ad);
      ++at;
    }
  }
  CHECK(at == all.changes.size());
  CHECK(split_proposal(AdsProposal(all), 1).size() == all.changes.size());
}

TEST_CASE("ads history: what breaks a rule is no proposal", "[cluster][ads]") {
  const auto wrong = [](Kind kind, std::vector<AdsChange> changes) {
    const auto checked = check_proposal({kind, kFile, std::move(changes)});
    return checked ? std::string() : checked.error().message();
  };
  CHECK(wrong(Kind::changes, {put("a", "1"), removal("b")}).empty());
  CHECK(wrong(Kind::of_file, {put("a", "1"), kFileEnds}).empty());
  CHECK_FALSE(wrong(Kind::changes, {}).empty());
  CHECK_FALSE(wrong(Kind::changes, {put("not an id", "1")}).empty());
  CHECK_FALSE(wrong(Kind::changes, {removal("")}).empty());
  CHECK_FALSE(wrong(Kind::changes, {kFileEnds}).empty());
  CHECK_FALSE(wrong(Kind::own, {removal("a")}).empty());
  CHECK_FALSE(wrong(Kind::of_file, {{AdsChange::Kind::source, {}, Hash128{9, 9}}}).empty());
}

}  // namespace
}  // namespace clickmill::cluster
