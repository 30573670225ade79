#include "cluster/tail_readers.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace clickmill::cluster {
namespace {

using Woken = TailReaders::Woken;

/// Notes who was woken and why: "a:committed".
struct Notes {
  TailReaders::Wake by(std::string name) {
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

TEST_CASE("tail readers: each is woken once, by the first offset it waits for", "[cluster]") {
  TailReaders readers;
  Notes notes;
  readers.add(Offset(5), 100, notes.by("five"));
  readers.add(Offset(7), 100, notes.by("seven"));
  readers.add(Offset(5), 100, notes.by("five too"));
  readers.committed(Offset(4));
  CHECK(notes.list.empty());
  readers.committed(Offset(6));
  CHECK(notes.list == std::vector<std::string>{"five:committed", "five too:committed"});
  readers.committed(Offset(7));
  readers.committed(Offset(8));
  readers.expire(1000);
  CHECK(notes.list ==
        std::vector<std::string>{"five:committed", "five too:committed", "seven:committed"});
  CHECK(readers.waiting() == 0);
}

TEST_CASE("tail readers: time ends the wait, to the nanosecond", "[cluster]") {
  TailReaders readers;
  Notes notes;
  readers.add(Offset(5), 100, notes.by("early"));
  readers.add(Offset(1), 101, notes.by("late"));
  readers.expire(99);
  CHECK(notes.list.empty());
  readers.expire(100);
  CHECK(notes.list == std::vector<std::string>{"early:over"});
  readers.expire(101);
  CHECK(notes.list == std::vector<std::string>{"early:over", "late:over"});
}

TEST_CASE("tail readers: the end wakes all, and nobody waits after it", "[cluster]") {
  TailReaders readers;
  Notes notes;
  readers.add(Offset(5), 100, notes.by("a"));
  readers.end_all();
  readers.add(Offset(5), 100, notes.by("b"));
  CHECK(notes.list == std::vector<std::string>{"a:over", "b:over"});
  CHECK(readers.waiting() == 0);
}

TEST_CASE("tail readers: one too many is refused, and its place comes back", "[cluster]") {
  TailReaders readers;
  Notes notes;
  for (size_t i = 0; i < TailReaders::kWaitingMost; ++i)
    readers.add(Offset(i + 1), 100, notes.by("some"));
  CHECK(notes.list.empty());
  readers.add(Offset(1), 100, notes.by("one too many"));
  CHECK(notes.list == std::vector<std::string>{"one too many:refused"});
  readers.committed(Offset(1));
  readers.add(Offset(9), 100, notes.by("next"));
  CHECK(notes.list.size() == 2);
}

}  // namespace clickmill::cluster
