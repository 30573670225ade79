#include "peer/resolver.h"

#include <netdb.h>
#include <sys/socket.h>

#include <system_error>
#include <thread>
#include <utility>

namespace clickmill::peer {
namespace {

using Addresses = std::vector<std::string>;

/// `flags`: AI_NUMERICHOST asks nobody.
Result<Addresses> addresses_of(const std::string& host, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* list = nullptr;
  const int failure = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (failure != 0) return Error(Errc::not_found, host + ": " + ::gai_strerror(failure));
  Addresses out;
  for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
    char text[NI_MAXHOST];
    if (::getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof(text), nullptr, 0,
                      NI_NUMERICHOST) == 0)
      out.emplace_back(text);
  }
  ::freeaddrinfo(list);
  if (out.empty()) return Error(Errc::not_found, host + ": has no address");
  return out;
}

}  // namespace

void look_up(std::string host, std::function<void(Result<Addresses>)> found) {
  if (auto literal = addresses_of(host, AI_NUMERICHOST)) return found(std::move(literal));
  try {
    std::thread([host, found] { found(addresses_of(host, 0)); }).detach();
  } catch (const std::system_error& full) {
    found(Error(Errc::busy, host + ": no thread to look it up: " + full.what()));
  }
}

}  // namespace clickmill::peer
