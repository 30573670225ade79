// A search for an address that never ends, as when the name server is away.
#include <dlfcn.h>
#include <netdb.h>

#include <catch2/catch.hpp>
#include <condition_variable>
#include <future>
#include <mutex>
#include <string_view>

#include "http/client.h"

namespace {

constexpr std::string_view kStuckHost = "stuck.example";

/// Guards all: the searches for that host wait here.
struct StuckSearches {
  std::mutex mutex;
  std::condition_variable changed;
  int waiting = 0;
  bool released = false;
};
StuckSearches& stuck() {
  static StuckSearches searches;
  return searches;
}

using GetAddrInfo = int (*)(const char*, const char*, const addrinfo*, addrinfo**);

}  // namespace

/// In place of libc's for the whole test program: other hosts are libc's still.
extern "C" int getaddrinfo(const char* host, const char* port, const addrinfo* hints,
                           addrinfo** list) {
  if (host == nullptr || host != kStuckHost) {
    static const auto real = reinterpret_cast<GetAddrInfo>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    return real(host, port, hints, list);
  }
  std::unique_lock lock(stuck().mutex);
  ++stuck().waiting;
  stuck().changed.notify_all();
  stuck().changed.wait(lock, [] { return stuck().released; });
  --stuck().waiting;
  stuck().changed.notify_all();
  return EAI_AGAIN;
}

namespace clickmill::http {
namespace {

TEST_CASE("client: a stop waits for no search for an address", "[http]") {
  Client::Options options;
  options.url = parse_url("http://stuck.example/").value();
  std::promise<Result<Client::Reply>> told;
  {
    Client client(options);
    client.start();
    client.get("/a", 600'000,
               [&](Result<Client::Reply> reply) { told.set_value(std::move(reply)); });
    std::unique_lock lock(stuck().mutex);
    stuck().changed.wait(lock, [] { return stuck().waiting == 1; });
    lock.unlock();
    client.stop();
    CHECK(told.get_future().get().error().code() == Errc::closed);
  }
  // It ends when nothing of the client is left.
  std::unique_lock lock(stuck().mutex);
  CHECK(stuck().waiting == 1);
  stuck().released = true;
  stuck().changed.notify_all();
  stuck().changed.wait(lock, [] { return stuck().waiting == 0; });
}

}  // namespace
}  // namespace clickmill::http
