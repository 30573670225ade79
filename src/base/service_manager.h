#pragma once

#include <string>
#include <string_view>

namespace clickmill {

/// Tells the service manager how this process is: systemd's sd_notify protocol, datagrams of
/// `NAME=VALUE` lines to the Unix socket that NOTIFY_SOCKET names (a path, or `@NAME` of the
/// abstract namespace; man sd_notify). Without one it says nothing.
///
/// Never blocks: what the manager's queue has no room for is told with the next call, as far as
/// it still holds.
/// Thread: one.
class ServiceManager {
 public:
  /// `address`: what NOTIFY_SOCKET holds; null or empty: nobody listens. An address of
  /// another kind is logged and left.
  explicit ServiceManager(const char* address);
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  bool listens() const { return socket_ >= 0; }
  void ready();
  void reloading();
  void stopping();
  /// One line for people; told only when it isn't what was told last.
  void status(std::string_view text);

 private:
  void tell(std::string state);
  void send();

  int socket_ = -1;
  std::string address_;  ///< as the kernel takes it
  std::string state_;    ///< not told yet; empty: it was
  std::string status_;
  bool status_told_ = true;
};

}  // namespace clickmill
