#include "cluster/followers.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace clickmill::cluster {
namespace {

using Woken = Followers::Woken;

/// Notes who was woken and why: "a:committed".
struct Notes {
  Followers::Wake by(std::string name) {
    return [this, name = std::move(name)](Woken woken) {
      const char* why = woken == Woken::committed ? "committed"
                        : woken == Woken::over    ? "over"
                                                  : "refused";
      list.push_back(name + ":" + why);
    };
  }
  std::vector<std::string> list;
};

}  // namespace

TEST_CASE("followers: each is woken once, by the first offset it waits for", "[cluster]") {
  Followers followers;
  Notes notes;
  followers.add(Offset(5), 100, notes.by("five"));
  followers.add(Offset(7), 100, notes.by("seven"));
  followers.add(Offset(5), 100, notes.by("five too"));
  followers.committed(Offset(4));
  CHECK(notes.list.empty());
  followers.committed(Offset(6));
  CHECK(notes.list == std::vector<std::string>{"five:committed", "five too:committed"});
  followers.committed(Offset(7));
  followers.committed(Offset(8));
  followers.expire(1000);
  CHECK(notes.list ==
        std::vector<std::string>{"five:committed", "five too:committed", "seven:committed"});
  CHECK(followers.waiting() == 0);
}

TEST_CASE("followers: time ends the wait, to the nanosecond", "[cluster]") {
  Followers followers;
  Notes notes;
  followers.add(Offset(5), 100, notes.by("early"));
  followers.add(Offset(1), 101, notes.by("late"));
  followers.expire(99);
  CHECK(notes.list.empty());
  followers.expire(100);
  CHECK(notes.list == std::vector<std::string>{"early:over"});
  followers.expire(101);
  CHECK(notes.list == std::vector<std::string>{"early:over", "late:over"});
}

TEST_CASE("followers: the end wakes all, and nobody waits after it", "[cluster]") {
  Followers followers;
  Notes notes;
  followers.add(Offset(5), 100, notes.by("a"));
  followers.end_all();
  followers.add(Offset(5), 100, notes.by("b"));
  CHECK(notes.list == std::vector<std::string>{"a:over", "b:over"});
  CHECK(followers.waiting() == 0);
}

TEST_CASE("followers: one too many is refused, and its place comes back", "[cluster]") {
  Followers followers;
  Notes notes;
  for (size_t i = 0; i < Followers::kWaitingMost; ++i)
    followers.add(Offset(i + 1), 100, notes.by("some"));
  CHECK(notes.list.empty());
  followers.add(Offset(1), 100, notes.by("one too many"));
  CHECK(notes.list == std::vector<std::string>{"one too many:refused"});
  followers.committed(Offset(1));
  followers.add(Offset(9), 100, notes.by("next"));
  CHECK(notes.list.size() == 2);
}

}  // namespace clickmill::cluster
