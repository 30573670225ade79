#include "http/message.h"

#include <algorithm>

#include "base/text.h"

namespace clickmill::http {
namespace {

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::vector<std::string_view> header_items(const Request& request, std::string_view name) {
  std::vector<std::string_view> items;
  for (std::string_view line : request.header_lines(name)) {
    while (!line.empty()) {
      const size_t comma = std::min(line.find(','), line.size());
      const auto item = without_blanks(line.substr(0, comma));
      if (!item.empty()) items.push_back(item);
      line.remove_prefix(std::min(comma + 1, line.size()));
    }
  }
  return items;
}

Responder::~Responder() {
  if (!*this) return;
  try {
    (*this)(problem(500, "the request was dropped without an answer"));
  } catch (...) {
    // Only memory can have run out. The connection then ends with the server.
  }
}

Response problem(int status, std::string_view detail, std::string_view field) {
  Response response;
  response.status = status;
  response.content_type = "application/problem+json";
  std::string& body = response.body;
  body = "{\"type\":\"about:blank\",\"title\":";
  body += json_quoted(status_title(status));
  body += ",\"status\":" + std::to_string(status) + ",\"detail\":" + json_quoted(detail);
  if (!field.empty()) body += ",\"field\":" + json_quoted(field);
  body += "}\n";
  return response;
}

Response json_response(std::string body, int status) {
  Response response;
  response.status = status;
  response.content_type = "application/json";
  response.body = std::move(body);
  return response;
}

std::string_view status_title(int status) {
  switch (status) {
    case 100: return "Continue";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default: return "Unknown";
  }
}

}  // namespace clickmill::http
