#include "api_client.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "connection.h"

namespace clickmill::bench {
namespace {

constexpr time_t kTimeoutSeconds = 30;

Error failed(std::string_view what) {
  return Error(Errc::io, fmt::format("{}: {}", what, std::strerror(errno)));
}

}  // namespace

ApiClient::~ApiClient() { disconnect(); }

void ApiClient::disconnect() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

Status ApiClient::connect() {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(address_.port);
  if (inet_pton(AF_INET, address_.host.c_str(), &to.sin_addr) != 1) {
    return Error(Errc::invalid, fmt::format("{}: no IPv4 address", address_.host));
  }
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return failed("socket");
  timeval timeout{kTimeoutSeconds, 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  const auto* any = static_cast<const sockaddr*>(static_cast<const void*>(&to));
  if (::connect(fd_, any, sizeof to) == 0) return {};
  Error error = failed(address_.text());
  disconnect();
  return error;
}

Result<ApiClient::Reply> ApiClient::exchange(std::string_view request) {
  for (size_t sent = 0; sent < request.size();) {
    ssize_t count = send(fd_, request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) return failed(address_.text());
    sent += static_cast<size_t>(count);
  }
  std::string received;
  std::array<char, 65'536> buffer;
  for (;;) {
    ssize_t count = recv(fd_, buffer.data(), buffer.size(), 0);
    if (count < 0) return failed(address_.text());
    if (count == 0) return Error(Errc::io, address_.text() + ": closed without an answer");
    received.append(buffer.data(), static_cast<size_t>(count));
    ParsedAnswer answer = parse_answer(received);
    if (answer.status < 0) return Error(Errc::io, address_.text() + ": the answer is no HTTP");
    if (answer.status == 0) continue;
    if (answer.closes) disconnect();
    return Reply{answer.status, std::move(answer.body)};
  }
}

Result<ApiClient::Reply> ApiClient::request(std::string_view method, std::string_view target,
                                            std::string_view body) {
  std::string text = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{}",
                                 method, target, address_.text(), body.size(), body);
  bool kept = fd_ >= 0;
  if (!kept) TRY(connect());
  auto reply = exchange(text);
  if (!reply && kept) {
    disconnect();
    TRY(connect());
    reply = exchange(text);
  }
  if (!reply) disconnect();
  return reply;
}

Result<uint64_t> total_clicks(std::string_view json) {
  auto bad = [&] {
    return Error(Errc::invalid, fmt::format("no total in the answer {:.200}", json));
  };
  size_t at = json.find("\"total\":");
  if (at == std::string_view::npos) return bad();
  constexpr std::string_view kName = "\"click_count\":";
  at = json.find(kName, at);
  if (at == std::string_view::npos) return bad();
  at += kName.size();
  uint64_t count = 0;
  if (std::from_chars(json.data() + at, json.data() + json.size(), count).ec != std::errc{}) {
    return bad();
  }
  return count;
}

}  // namespace clickmill::bench
