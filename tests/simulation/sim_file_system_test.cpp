#include "simulation/sim_file_system.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <utility>

#include "base/random.h"

namespace clickmill::simulation {
namespace {

using Open = FileSystem::Open;

/// One disk with a small vocabulary; failures end the test.
struct Machine {
  explicit Machine(uint64_t seed) : files(seed) { REQUIRE(files.create_directories("/d/e")); }

  std::unique_ptr<File> open(const std::string& name, Open mode) {
    auto file = files.open(name, mode);
    REQUIRE(file);
    return *std::move(file);
  }
  void create_durably(const std::string& name, const std::string& text) {
    const auto file = open(name, Open::create);
    REQUIRE(file->write_at(0, text));
    REQUIRE(file->sync());
    REQUIRE(files.sync_directory("/d"));
  }
  void crash() {
    files.crash();
    files.restart();
  }
  /// "-" when there is no such file.
  std::string text(const std::string& name) {
    auto bytes = read_file(files, name);
    return bytes ? *bytes : "-";
  }

  SimFileSystem files;
};

TEST_CASE("sim file system: reads what was written, holes as zeros", "[simulation]") {
  Machine machine(1);
  const auto file = machine.open("/d/a", Open::create);
  REQUIRE(file->write_at(5000, "hello"));
  REQUIRE(file->size().value() == 5005);
  std::string out;
  REQUIRE(file->read_at(4090, 2000, out));
  CHECK(out == std::string(910, '\0') + "hello");
  REQUIRE(file->read_at(5005, 10, out));
  CHECK(out.empty());
  REQUIRE(file->truncate(5002));
  REQUIRE(file->truncate(5006));
  REQUIRE(file->read_at(5000, 100, out));
  CHECK(out == std::string("he\0\0\0\0", 6));
  CHECK_FALSE(machine.open("/d/a", Open::read)->write_at(0, "x"));
}

TEST_CASE("sim file system: opens as the modes say", "[simulation]") {
  Machine machine(1);
  CHECK(machine.files.open("/d/a", Open::read).error().code() == Errc::not_found);
  CHECK(machine.files.open("/d/a", Open::write).error().code() == Errc::not_found);
  CHECK(machine.files.open("/nowhere/a", Open::create).error().code() == Errc::not_found);
  machine.create_durably("/d/a", "abc");
  CHECK(machine.files.open("/d/a", Open::create).error().code() == Errc::io);
  CHECK(machine.open("/d/a", Open::truncate)->size().value() == 0);
}

TEST_CASE("sim file system: lists, renames and removes names", "[simulation]") {
  Machine machine(1);
  machine.create_durably("/d/b", "b");
  machine.create_durably("/d/a", "a");
  CHECK(machine.files.list("/d/").value() == std::vector<std::string>{"a", "b", "e"});
  REQUIRE(machine.files.rename("/d/a", "/d/b"));
  CHECK(machine.text("/d/b") == "a");
  REQUIRE(machine.files.remove("/d/b"));
  CHECK(machine.files.list("/d").value() == std::vector<std::string>{"e"});
  CHECK(machine.files.exists("/d"));
  CHECK_FALSE(machine.files.exists("/d/b"));
  CHECK(machine.files.list("/x").error().code() == Errc::not_found);
}

TEST_CASE("sim file system: a crash keeps old or new content per sector", "[simulation]") {
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Machine machine(seed);
    machine.create_durably("/d/a", std::string(512, 'o') + std::string(512, 'o'));
    const auto file = machine.open("/d/a", Open::write);
    REQUIRE(file->write_at(0, std::string(1024, 'n')));
    machine.crash();
    CHECK(file->write_at(0, "x").error().code() == Errc::closed);
    const auto text = machine.text("/d/a");
    REQUIRE(text.size() == 1024);
    for (const size_t sector : {0, 1}) {
      const auto part = text.substr(sector * 512, 512);
      REQUIRE(part == std::string(512, part[0]));
    }
    seen.insert({text[0], text[1023]});
  }
  CHECK(seen == std::set<std::string>{"oo", "on", "no", "nn"});
}

TEST_CASE("sim file system: synced content survives, length included", "[simulation]") {
  bool seen_short = false;
  bool seen_long = false;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Machine machine(seed);
    machine.create_durably("/d/a", "kept");
    REQUIRE(machine.open("/d/a", Open::write)->write_at(4, std::string(6000, 'x')));
    machine.crash();
    const auto text = machine.text("/d/a");
    REQUIRE(text.size() >= 4);
    REQUIRE(text.substr(0, 4) == "kept");
    seen_short |= text.size() == 4;
    seen_long |= text.size() == 6004;
  }
  CHECK(seen_short);
  CHECK(seen_long);
}

TEST_CASE("sim file system: name changes survive as a prefix in their order", "[simulation]") {
  std::set<std::pair<bool, std::string>> seen;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Machine machine(seed);
    machine.create_durably("/d/a", "1");
    machine.create_durably("/d/b", "2");
    REQUIRE(machine.files.remove("/d/b"));
    REQUIRE(machine.files.rename("/d/a", "/d/b"));
    machine.crash();
    seen.insert({machine.files.exists("/d/a"), machine.text("/d/b")});
  }
  CHECK(seen == std::set<std::pair<bool, std::string>>{{true, "2"}, {true, "-"}, {false, "1"}});
}

TEST_CASE("sim file system: a synced directory keeps its names", "[simulation]") {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Machine machine(seed);
    machine.create_durably("/d/a", "1");
    REQUIRE(machine.files.rename("/d/a", "/d/e/a"));
    REQUIRE(machine.files.sync_directory("/d/e"));
    machine.crash();
    REQUIRE_FALSE(machine.files.exists("/d/a"));
    REQUIRE(machine.text("/d/e/a") == "1");
  }
}

TEST_CASE("sim file system: what a failed sync lost stays lost after a good one", "[simulation]") {
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Machine machine(seed);
    machine.create_durably("/d/a", "old");
    const auto file = machine.open("/d/a", Open::write);
    REQUIRE(file->write_at(0, "new"));
    machine.files.fail_sync_after(1);
    CHECK(file->sync().error().code() == Errc::io);
    REQUIRE(file->sync());
    machine.crash();
    seen.insert(machine.text("/d/a"));
  }
  CHECK(seen == std::set<std::string>{"old", "new"});
}

TEST_CASE("sim file system: rewriting after a failed sync makes it durable", "[simulation]") {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Machine machine(seed);
    machine.create_durably("/d/a", "old");
    const auto file = machine.open("/d/a", Open::write);
    REQUIRE(file->write_at(0, "new"));
    machine.files.fail_sync_after(1);
    CHECK_FALSE(file->sync());
    REQUIRE(file->write_at(0, "new"));
    REQUIRE(file->sync());
    machine.crash();
    REQUIRE(machine.text("/d/a") == "new");
  }
}

TEST_CASE("sim file system: kill keeps what was written and frees locks", "[simulation]") {
  Machine machine(1);
  const auto lock = machine.files.lock("/d/lock");
  REQUIRE(lock);
  CHECK(machine.files.lock("/d/lock").error().code() == Errc::busy);
  const auto file = machine.open("/d/a", Open::create);
  REQUIRE(file->write_at(0, "abc"));
  machine.files.kill();
  std::string out;
  CHECK(file->read_at(0, 1, out).error().code() == Errc::closed);
  CHECK(machine.text("/d/a") == "abc");
  CHECK(machine.files.lock("/d/lock"));
}

TEST_CASE("sim file system: crashes before the chosen operation", "[simulation]") {
  Machine machine(1);
  const auto file = machine.open("/d/a", Open::create);
  machine.files.crash_at_operation(2);
  const uint64_t before = machine.files.operations();
  REQUIRE(file->write_at(0, "a"));
  CHECK(file->sync().error().code() == Errc::closed);
  CHECK(machine.files.crashed());
  CHECK(machine.files.operations() == before + 2);
  CHECK(machine.files.open("/d/a", Open::read).error().code() == Errc::closed);
  CHECK(machine.files.list("/d").error().code() == Errc::closed);
  machine.files.restart();
  CHECK_FALSE(machine.files.crashed());
  CHECK(machine.files.list("/d"));
}

TEST_CASE("sim file system: a full disk takes a prefix and says no_space", "[simulation]") {
  Machine machine(1);
  machine.files.set_capacity_bytes(10);
  const auto file = machine.open("/d/a", Open::create);
  REQUIRE(file->write_at(0, "12345678"));
  CHECK(file->write_at(8, "9abc").error().code() == Errc::no_space);
  CHECK(machine.text("/d/a") == "123456789a");
  CHECK(machine.files.space("/d").value().free_bytes == 0);
  CHECK(file->write_at(0, "overwritte"));
  machine.files.set_capacity_bytes(20);
  CHECK(file->write_at(10, "more"));
}

TEST_CASE("sim file system: injects failed, misdirected and rotten bytes", "[simulation]") {
  Machine machine(7);
  const std::string zeros(5000, '\0');
  machine.create_durably("/d/a", zeros);
  const auto file = machine.open("/d/a", Open::write);
  machine.files.fail_write_after(2);
  REQUIRE(file->write_at(0, "1"));
  CHECK(file->write_at(1, "2").error().code() == Errc::io);
  CHECK(file->write_at(0, zeros));

  machine.files.misdirect_write_after(1);
  CHECK(file->write_at(100, "lost"));
  CHECK(machine.text("/d/a").substr(100, 4) != "lost");
  CHECK(machine.text("/d/a").find("lost") % 512 == 0);

  REQUIRE(file->truncate(0));
  REQUIRE(file->write_at(0, zeros));
  machine.files.flip_read_after(1);
  CHECK(machine.text("/d/a") != zeros);
  CHECK(machine.text("/d/a") == zeros);
  REQUIRE(file->sync());
  machine.files.flip_bit("/d/a", 4500);
  machine.crash();
  CHECK(machine.text("/d/a")[4500] != 0);
}

TEST_CASE("sim file system: a run is a seed", "[simulation]") {
  const auto run = [](uint64_t seed) {
    Machine machine(seed);
    Random random(seed);
    for (int step = 0; step < 200; ++step) {
      const std::string name = "/d/" + std::to_string(random.below(4));
      const auto file = machine.files.open(name, random.one_in(3) ? Open::truncate : Open::write);
      if (file)
        REQUIRE((*file)->write_at(random.below(9000), std::string(random.below(3000), 'x')));
      if (file && random.one_in(3)) REQUIRE((*file)->sync());
      if (random.one_in(5)) REQUIRE(machine.files.sync_directory("/d"));
      if (random.one_in(9)) machine.crash();
    }
    std::string all;
    const auto names = machine.files.list("/d");
    for (const auto& name : *names) all += machine.text("/d/" + name);
    return all;
  };
  for (uint64_t seed = 0; seed < 20; ++seed) CHECK(run(seed) == run(seed));
}

TEST_CASE("sim file system: a random file equals a string until it crashes", "[simulation]") {
  const uint64_t seed = GENERATE(range(0, 50));
  CAPTURE(seed);
  Machine machine(seed);
  Random random(seed);
  const auto file = machine.open("/d/a", Open::create);
  std::string model;
  for (int step = 0; step < 100; ++step) {
    if (random.one_in(6)) {
      const uint64_t length = random.below(20000);
      REQUIRE(file->truncate(length));
      model.resize(length);
    } else if (random.one_in(5)) {
      REQUIRE(file->sync());
    } else {
      const uint64_t position = random.below(15000);
      const std::string bytes(random.below(6000), static_cast<char>(random.below(3)));
      REQUIRE(file->write_at(position, bytes));
      if (bytes.empty()) continue;
      model.resize(std::max<size_t>(model.size(), position + bytes.size()));
      model.replace(position, bytes.size(), bytes);
    }
    REQUIRE(machine.text("/d/a") == model);
  }
}

}  // namespace
}  // namespace clickmill::simulation
