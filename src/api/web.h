#pragma once

#include <string>
#include <string_view>

#include "http/message.h"

namespace clickmill::api {

/// A text that stands as long as the process does, ready to be sent: its ETag, and its gzip
/// where that is shorter. Thread: any (immutable).
class StaticFile {
 public:
  /// `cache_control` as the header has it.
  StaticFile(std::string content_type, std::string text, std::string cache_control);
  /// 304 when the request already has it (If-None-Match).
  http::Response answer(const http::Request& request) const;

 private:
  std::string etag(bool gzip) const;

  const std::string content_type_;
  const std::string text_;
  const std::string cache_control_;
  const std::string gzip_;  ///< empty: not worth it
  const std::string hash_;
};

/// The media type of a file by the end of its name; empty: unknown.
std::string_view content_type_of(std::string_view name);

}  // namespace clickmill::api
