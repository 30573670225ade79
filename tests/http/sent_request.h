#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/message.h"

namespace clickmill::http {

/// A request as a handler sees it, without a connection.
class SentRequest final : public Request {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;
  explicit SentRequest(Method with, std::string text = {}, Headers headers = {},
                       std::string target_query = {})
      : text_(std::move(text)), headers_(std::move(headers)), query_(std::move(target_query)) {
    method = with;
    path = "/v1/click";
    query = query_;
    body = text_;
    peer_ip = "192.0.2.7";
    body_bytes_max = 16'384;
  }
  std::string_view header(std::string_view name) const override {
    const auto lines = header_lines(name);
    return lines.empty() ? std::string_view() : lines.front();
  }
  std::vector<std::string_view> header_lines(std::string_view name) const override {
    std::vector<std::string_view> lines;
    for (const auto& [given, value] : headers_) {
      if (given == name) lines.push_back(value);
    }
    return lines;
  }

 private:
  const std::string text_;
  const Headers headers_;
  const std::string query_;
};

}  // namespace clickmill::http
