#include "http/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace clickmill::http {
namespace {

bool is_for_later(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

}  // namespace

Socket::Socket(int descriptor) : descriptor_(descriptor) {
  const int on = 1;
  ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Socket::Got Socket::receive(void* room, size_t most, size_t& bytes) {
  ssize_t size = 0;
  do {
    size = ::recv(descriptor_, room, most, MSG_DONTWAIT);
  } while (size < 0 && errno == EINTR);
  bytes = size > 0 ? static_cast<size_t>(size) : 0;
  if (size > 0) return Got::bytes;
  return size < 0 && is_for_later(errno) ? Got::nothing_yet : Got::end;
}

std::optional<size_t> Socket::send(std::string_view bytes) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t size =
        ::send(descriptor_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size >= 0) {
      sent += static_cast<size_t>(size);
    } else if (is_for_later(errno)) {
      break;
    } else if (errno != EINTR) {
      return std::nullopt;
    }
  }
  return sent;
}

bool Socket::has_arrived() const {
  int bytes = 0;
  return ::ioctl(descriptor_, FIONREAD, &bytes) == 0 && bytes > 0;
}

bool Socket::end_sending() { return ::shutdown(descriptor_, SHUT_WR) == 0; }

void Socket::close() {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

void Socket::reset() {
  const ::linger at_once{1, 0};
  ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close();
}

}  // namespace clickmill::http
