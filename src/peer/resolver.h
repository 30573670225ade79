#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace clickmill::peer {

/// Finds the addresses of a host ("10.0.0.1", "fe80::1%eth0"), each time anew, on a thread of its
/// own that nobody waits for: getaddrinfo can't be ended. `found` is called there, unless `host`
/// is an address itself: then at once. Errc::not_found names the host.
void look_up(std::string host, std::function<void(Result<std::vector<std::string>>)> found);

}  // namespace clickmill::peer
