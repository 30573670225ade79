#include "connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <utility>

namespace clickmill::bench {
namespace {

bool same_word(std::string_view left, std::string_view right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(), [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  });
}

/// Value of a header in `head`, without surrounding spaces; empty when absent.
std::string_view header_value(std::string_view head, std::string_view name) {
  for (size_t at = head.find("\r\n"); at != std::string_view::npos; at = head.find("\r\n", at)) {
    at += 2;
    std::string_view line = head.substr(at, head.find("\r\n", at) - at);
    size_t colon = line.find(':');
    if (colon == std::string_view::npos || !same_word(line.substr(0, colon), name)) continue;
    size_t begin = line.find_first_not_of(' ', colon + 1);
    return begin == std::string_view::npos ? std::string_view() : line.substr(begin);
  }
  return {};
}

bool parse_size(std::string_view text, int base, size_t& out) {
  auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc{} && rest != text.data();
}

/// Reads chunks from `at` on. False while they are not whole.
bool parse_chunks(std::string_view bytes, size_t at, ParsedAnswer& answer) {
  for (;;) {
    size_t line_end = bytes.find("\r\n", at);
    size_t size = 0;
    if (line_end == std::string_view::npos) return false;
    if (!parse_size(bytes.substr(at, line_end - at), 16, size)) {
      answer.status = -1;
      return true;
    }
    size_t begin = line_end + 2;
    if (size > bytes.size() || bytes.size() - begin < size + 2) return false;
    answer.body.append(bytes.substr(begin, size));
    at = begin + size + 2;
    if (size == 0) {
      answer.size = at;
      return true;
    }
  }
}

}  // namespace

ParsedAnswer parse_answer(std::string_view bytes) {
  ParsedAnswer answer;
  size_t head_end = bytes.find("\r\n\r\n");
  if (head_end == std::string_view::npos) return answer;
  std::string_view head = bytes.substr(0, head_end + 2);
  int status = 0;
  if (head.size() < 14 || !head.starts_with("HTTP/1.") ||
      std::from_chars(head.data() + 9, head.data() + 12, status).ptr != head.data() + 12) {
    answer.status = -1;
    return answer;
  }
  answer.closes = same_word(header_value(head, "connection"), "close");
  answer.status = status;
  size_t begin = head_end + 4;
  if (same_word(header_value(head, "transfer-encoding"), "chunked")) {
    if (!parse_chunks(bytes, begin, answer)) answer.status = 0;
    return answer;
  }
  size_t length = 0;
  std::string_view length_text = header_value(head, "content-length");
  if (!length_text.empty() && !parse_size(length_text, 10, length)) answer.status = -1;
  if (bytes.size() - begin < length) {
    answer.status = 0;
    return answer;
  }
  answer.body = bytes.substr(begin, length);
  answer.size = begin + length;
  return answer;
}

Connection::Connection(Connection&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      connecting_(other.connecting_),
      unsent_(std::move(other.unsent_)),
      received_(std::move(other.received_)) {}

bool Connection::open(const Address& address) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(address.port);
  if (inet_pton(AF_INET, address.host.c_str(), &to.sin_addr) != 1) return false;
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return false;
  int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // The socket API takes every kind of address through this cast.
  const auto* any = static_cast<const sockaddr*>(static_cast<const void*>(&to));
  if (connect(fd_, any, sizeof to) != 0 && errno != EINPROGRESS) {
    close();
    return false;
  }
  connecting_ = true;
  return true;
}

void Connection::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  connecting_ = false;
  unsent_.clear();
  received_.clear();
}

bool Connection::send(std::string_view request) {
  unsent_ = request;
  return flush();
}

bool Connection::flush() {
  while (!unsent_.empty()) {
    ssize_t sent = ::send(fd_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    unsent_.erase(0, static_cast<size_t>(sent));
  }
  return true;
}

Connection::Received Connection::receive() {
  Received result;
  std::array<char, 16'384> buffer;
  for (;;) {
    ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) break;
    if (count <= 0) {
      result.closed = true;
      break;
    }
    received_.append(buffer.data(), static_cast<size_t>(count));
    // A short read has emptied the socket; what comes later raises a new edge.
    if (static_cast<size_t>(count) < buffer.size()) break;
  }
  ParsedAnswer answer = parse_answer(received_);
  if (answer.status == 0) return result;
  result.status = answer.status;
  // After what is no HTTP nothing on this connection can be trusted.
  result.closed = result.closed || answer.closes || answer.status < 0;
  received_.erase(0, answer.status < 0 ? received_.size() : answer.size);
  return result;
}

}  // namespace clickmill::bench
