#include "base/service_manager.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/logging.h"

namespace clickmill {
namespace {

// `systemctl status` shows one line; the manager takes datagrams of up to 4 KiB only.
constexpr size_t kStatusMost = 1024;

sockaddr_un address_of(const std::string& address) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  address.copy(out.sun_path, sizeof out.sun_path);
  return out;
}

/// In one line, cut where a character begins.
std::string one_line(std::string_view text) {
  std::string line(text);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r' || c == '\0'; }, ' ');
  if (line.size() <= kStatusMost) return line;
  size_t end = kStatusMost;
  while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xc0) == 0x80) --end;
  return line.substr(0, end) + "…";
}

}  // namespace

ServiceManager::ServiceManager(const char* address) : address_(address == nullptr ? "" : address) {
  if (address_.empty()) return;
  const bool abstract = address_[0] == '@';
  // A path wants the zero behind it, and of "@" alone nothing is left.
  if ((!abstract && address_[0] != '/') || address_.size() < 2 ||
      address_.size() + (abstract ? 0 : 1) > sizeof(sockaddr_un::sun_path)) {
    log_warn("service", "NOTIFY_SOCKET: \"" + address_ + "\" is neither a path nor @NAME");
    return;
  }
  if (abstract) address_[0] = '\0';
  socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket_ < 0) log_warn("service", fmt::format("NOTIFY_SOCKET: {}", std::strerror(errno)));
}

ServiceManager::~ServiceManager() {
  if (socket_ >= 0) ::close(socket_);
}

void ServiceManager::ready() { tell("READY=1\n"); }

void ServiceManager::reloading() {
  // Managers that wait for the end of a reload tell an old READY=1 from a new one by this time.
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  tell(fmt::format("RELOADING=1\nMONOTONIC_USEC={}\n",
                   int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000));
}

void ServiceManager::stopping() { tell("STOPPING=1\n"); }

void ServiceManager::status(std::string_view text) {
  std::string line = one_line(text);
  if (line != status_) status_told_ = false;
  status_ = std::move(line);
  if (!status_told_ || !state_.empty()) send();
}

void ServiceManager::tell(std::string state) {
  // The newest holds: a reload that is over needs no beginning.
  state_ = std::move(state);
  send();
}

void ServiceManager::send() {
  if (socket_ < 0) return;
  const std::string message = status_told_ ? state_ : state_ + "STATUS=" + status_ + '\n';
  const sockaddr_un address = address_of(address_);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size() +
                                           (address_[0] == '\0' ? 0 : 1));
  ssize_t sent = -1;
  do {
    sent = ::sendto(socket_, message.data(), message.size(), MSG_NOSIGNAL,
                    reinterpret_cast<const sockaddr*>(&address), size);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return;
  state_.clear();
  status_told_ = true;
}

}  // namespace clickmill
