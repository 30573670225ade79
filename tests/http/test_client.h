#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

namespace clickmill::http {

/// One answer as it stood on the wire.
struct Answer {
  int status = 0;
  std::string head;  ///< lower case, with the status line
  std::string body;  ///< chunks joined
  bool complete = false;

  std::string header(std::string_view name) const {
    const std::string key = "\r\n" + std::string(name) + ": ";
    const size_t at = head.find(key);
    if (at == std::string::npos) return {};
    const size_t start = at + key.size();
    return head.substr(start, head.find("\r\n", start) - start);
  }
};

/// A blocking HTTP client over one socket, that can also send nonsense.
/// Every wait ends after ten seconds, so that a broken server fails a test instead of hanging it.
class TestClient {
 public:
  explicit TestClient(const std::string& address) {
    const size_t colon = address.rfind(':');
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(colon + 1))));
    ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval limit{10, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  TestClient(TestClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        connected_(other.connected_),
        rest_(std::move(other.rest_)) {}
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;
  ~TestClient() { disconnect(); }

  bool connected() const { return connected_; }
  void disconnect() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

  /// False when the server no longer takes it.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t size = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (size <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(size));
    }
    return true;
  }
  void request(std::string_view method, std::string_view target, std::string_view body = {},
               std::string_view headers = {}) {
    std::string text = std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: t\r\n";
    if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    send(text + std::string(headers) + "\r\n" + std::string(body));
  }
  Answer call(std::string_view method, std::string_view target, std::string_view body = {},
              std::string_view headers = {}) {
    request(method, target, body, headers);
    return read(method == "HEAD");
  }

  Answer read(bool head_only = false) {
    Answer answer;
    const size_t end = wait_for("\r\n\r\n");
    if (end == std::string::npos) return answer;
    answer.head = take(end + 4);
    std::transform(answer.head.begin(), answer.head.end(), answer.head.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    answer.status = std::atoi(answer.head.c_str() + 9);
    answer.complete = head_only || answer.status < 200 || read_body(answer);
    return answer;
  }

  /// Everything until the server closes; false in `orderly` when it resets.
  std::string read_all(bool* orderly = nullptr) {
    while (fill()) {
    }
    if (orderly != nullptr) *orderly = last_read_ == 0;
    return std::exchange(rest_, {});
  }
  /// Whether the server has closed and nothing is left to read.
  bool at_end() { return rest_.empty() && !fill() && last_read_ == 0; }

 private:
  bool read_body(Answer& answer) {
    if (answer.header("transfer-encoding") == "chunked") return read_chunks(answer.body);
    const std::string length = answer.header("content-length");
    if (length.empty()) {
      if (answer.status != 204 && answer.status != 304) answer.body = read_all();
      return true;
    }
    const size_t size = std::stoul(length);
    if (!wait_until(size)) return false;
    answer.body = take(size);
    return true;
  }
  bool read_chunks(std::string& out) {
    while (true) {
      const size_t end = wait_for("\r\n");
      if (end == std::string::npos) return false;
      const size_t size = std::stoul(take(end + 2), nullptr, 16);
      if (!wait_until(size + 2)) return false;
      out += take(size);
      take(2);
      if (size == 0) return true;
    }
  }
  std::string take(size_t size) {
    std::string out = rest_.substr(0, size);
    rest_.erase(0, size);
    return out;
  }
  size_t wait_for(std::string_view mark) {
    while (rest_.find(mark) == std::string::npos) {
      if (!fill()) return std::string::npos;
    }
    return rest_.find(mark);
  }
  bool wait_until(size_t size) {
    while (rest_.size() < size) {
      if (!fill()) return false;
    }
    return true;
  }
  bool fill() {
    char buffer[16384];
    last_read_ = ::recv(fd_, buffer, sizeof buffer, 0);
    if (last_read_ <= 0) return false;
    rest_.append(buffer, static_cast<size_t>(last_read_));
    return true;
  }

  int fd_ = -1;
  bool connected_ = false;
  ssize_t last_read_ = 0;
  std::string rest_;
};

}  // namespace clickmill::http
