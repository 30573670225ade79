#include "base/service_manager.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstddef>
#include <string>

#include "base/logging.h"

namespace clickmill {
namespace {

/// What systemd would be: a datagram socket in the abstract namespace.
class Manager {
 public:
  Manager() : name_("clickmill-test-" + std::to_string(::getpid())) {
    fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name_.copy(address.sun_path + 1, name_.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name_.size());
    REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), size) == 0);
  }
  ~Manager() { ::close(fd_); }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  std::string address() const { return "@" + name_; }
  /// The next datagram; empty: there is none.
  std::string heard() {
    char buffer[8192];
    const ssize_t size = ::recv(fd_, buffer, sizeof buffer, 0);
    return size < 0 ? std::string() : std::string(buffer, static_cast<size_t>(size));
  }

 private:
  std::string name_;
  int fd_ = -1;
};

TEST_CASE("service manager: it hears states at once, and a status when it is another", "[base]") {
  Manager manager;
  ServiceManager service(manager.address().c_str());
  REQUIRE(service.listens());
  service.ready();
  CHECK(manager.heard() == "READY=1\n");
  service.status("ready");
  service.status("ready");
  CHECK(manager.heard() == "STATUS=ready\n");
  CHECK(manager.heard().empty());
  service.reloading();
  CHECK(manager.heard().starts_with("RELOADING=1\nMONOTONIC_USEC="));
  service.stopping();
  CHECK(manager.heard() == "STOPPING=1\n");
}

TEST_CASE("service manager: a status is one line, and not too long for a datagram", "[base]") {
  Manager manager;
  ServiceManager service(manager.address().c_str());
  service.status("not ready: a\nREADY=1\rb");
  CHECK(manager.heard() == "STATUS=not ready: a READY=1 b\n");
  std::string umlauts;
  for (int i = 0; i < 4000; ++i) umlauts += "ä";
  service.status("x" + umlauts);
  const std::string heard = manager.heard();
  CHECK(heard.size() < 1100);
  CHECK(heard.ends_with("ä…\n"));
}

TEST_CASE("service manager: what a full queue refuses is told with the next status", "[base]") {
  Manager manager;
  ServiceManager service(manager.address().c_str());
  // As many as the queue takes, and more.
  for (int i = 0; i < 2'000; ++i) service.status(std::to_string(i));
  service.ready();
  std::string last;
  for (std::string heard = manager.heard(); !heard.empty(); heard = manager.heard()) last = heard;
  CHECK(last != "STATUS=1999\n");
  service.status("1999");
  CHECK(manager.heard() == "READY=1\nSTATUS=1999\n");
}

TEST_CASE("service manager: without an address, or with a strange one, nothing is told", "[base]") {
  set_logging(LogLevel::off, LogFormat::text);
  for (const char* address : {static_cast<const char*>(nullptr), "", "@", "/", "vsock:2:99"}) {
    ServiceManager service(address);
    CHECK_FALSE(service.listens());
    service.ready();
    service.status("ready");
  }
  CHECK_FALSE(ServiceManager(("/" + std::string(120, 'a')).c_str()).listens());
  set_logging(LogLevel::info, LogFormat::text);
  // Nobody there: no harm.
  ServiceManager service("@clickmill-nobody");
  service.ready();
}

}  // namespace
}  // namespace clickmill
