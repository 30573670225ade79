#include "base/overlay_file_system.h"

#include <catch2/catch.hpp>
#include <map>

#include "base/random.h"
#include "simulation/sim_file_system.h"

using namespace clickmill;

namespace {

const std::string kFolder = "/folder";

/// Name and content of every file, as a file system shows them.
std::map<std::string, std::string> contents(FileSystem& files) {
  std::map<std::string, std::string> out;
  const auto names = files.list(kFolder);
  REQUIRE(names);
  for (const auto& name : *names) out[name] = read_file(files, kFolder + "/" + name).value();
  return out;
}

void write(FileSystem& files, const std::string& name, FileSystem::Open mode, uint64_t position,
           const std::string& bytes) {
  auto file = files.open(kFolder + "/" + name, mode);
  REQUIRE(file);
  REQUIRE((*file)->write_at(position, bytes));
  REQUIRE((*file)->sync());
}

}  // namespace

TEST_CASE("overlay: shows every change and leaves the disk below as it was", "[base]") {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    simulation::SimFileSystem below(seed);
    simulation::SimFileSystem model(seed);
    for (FileSystem* files : {static_cast<FileSystem*>(&below), static_cast<FileSystem*>(&model)}) {
      REQUIRE(files->create_directories(kFolder));
      for (const auto* name : {"a", "b", "c"}) {
        write(*files, name, FileSystem::Open::truncate, 0, std::string("content of ") + name);
      }
    }
    const auto before = contents(below);
    const uint64_t operations = below.operations();
    OverlayFileSystem overlay(below);
    for (int step = 0; step < 40; ++step) {
      const std::string name(1, static_cast<char>('a' + random.below(5)));
      const std::string other(1, static_cast<char>('a' + random.below(5)));
      const std::string path = kFolder + "/" + name;
      const bool there = model.exists(path);
      REQUIRE(overlay.exists(path) == there);
      const uint64_t position = random.below(20);
      const std::string bytes = "step " + std::to_string(step);
      switch (random.below(5)) {
        case 0: REQUIRE(overlay.remove(path).has_value() == model.remove(path).has_value()); break;
        case 1:
          if (!there || name == other) break;
          REQUIRE(overlay.rename(path, kFolder + "/" + other));
          REQUIRE(model.rename(path, kFolder + "/" + other));
          break;
        case 2:
          write(overlay, name, FileSystem::Open::truncate, 0, bytes);
          write(model, name, FileSystem::Open::truncate, 0, bytes);
          break;
        case 3:
          REQUIRE(overlay.open(path, FileSystem::Open::write).has_value() == there);
          if (!there) break;
          write(overlay, name, FileSystem::Open::write, position, bytes);
          write(model, name, FileSystem::Open::write, position, bytes);
          break;
        default: {
          REQUIRE(overlay.open(path, FileSystem::Open::create).has_value() == !there);
          if (!there) REQUIRE(model.open(path, FileSystem::Open::create));
        }
      }
      REQUIRE(contents(overlay) == contents(model));
    }
    REQUIRE(contents(below) == before);
    REQUIRE(below.operations() == operations);
  }
}

TEST_CASE("overlay: a file open for reading can't be written", "[base]") {
  simulation::SimFileSystem below(1);
  REQUIRE(below.create_directories(kFolder));
  write(below, "a", FileSystem::Open::truncate, 0, "x");
  OverlayFileSystem overlay(below);
  auto file = overlay.open(kFolder + "/a", FileSystem::Open::read);
  REQUIRE(file);
  CHECK((*file)->write_at(0, "y").error().code() == Errc::io);
  CHECK((*file)->truncate(0).error().code() == Errc::io);
  CHECK(read_file(overlay, kFolder + "/a").value() == "x");
}
