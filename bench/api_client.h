#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "options.h"

namespace clickmill::bench {

/// A blocking client of the node's api, one keep-alive connection.
class ApiClient {
 public:
  explicit ApiClient(Address address) : address_(std::move(address)) {}
  ~ApiClient();
  ApiClient(const ApiClient&) = delete;
  ApiClient& operator=(const ApiClient&) = delete;

  struct Reply {
    int status = 0;
    std::string body;
  };
  /// Errc::io when there is no whole answer within 30 seconds. A kept
  /// connection that the node has closed meanwhile is opened once more.
  Result<Reply> request(std::string_view method, std::string_view target, std::string_view body);

 private:
  Status connect();
  Result<Reply> exchange(std::string_view request);
  void disconnect();

  Address address_;
  int fd_ = -1;
};

/// The number after `"total":{"click_count":` in an answer of the metrics api.
Result<uint64_t> total_clicks(std::string_view json);

}  // namespace clickmill::bench
