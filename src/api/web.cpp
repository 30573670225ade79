#include "api/web.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "api/context.h"
#include "api/web_files.h"
#include "base/text.h"
#include "http/auth.h"
#include "http/content_encoding.h"

namespace clickmill::api {
namespace {

constexpr size_t kHashDigits = 32;
// A page of a publisher that is opened again doesn't ask for the script every time.
constexpr const char* kSnippetCache = "public, max-age=86400";
constexpr const char* kPageCache = "no-cache";
// Under an address that names what they hold, files are never asked for again.
constexpr const char* kForEver = "public, max-age=31536000, immutable";
constexpr const char* kPageIndex = "index.html";
constexpr const char* kSnippet = "click.js";
/// Only what this node serves; nobody else's script, frame, or request, nothing inline.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for "
    "'script'";

std::string gzip_if_shorter(std::string_view text) {
  std::string packed = http::gzipped(text);
  return packed.size() < text.size() ? packed : std::string();
}

bool takes_gzip(const http::Request& request) {
  const auto items = http::header_items(request, "Accept-Encoding");
  return std::any_of(items.begin(), items.end(), [](std::string_view item) {
    const std::string_view coding = item.substr(0, item.find_first_of("; \t"));
    const bool refused = item.find("q=0") != std::string_view::npos &&
                         item.find_first_of("123456789", item.find("q=0")) == std::string::npos;
    return coding == "gzip" && !refused;
  });
}

std::string_view text_of(std::string_view name) {
  for (const WebFile& file : web_files()) {
    if (file.name == name) return file.text();
  }
  return {};
}

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size())
    text.replace(at, what.size(), with);
}

/// Of all that the page is made of.
std::string hash_of_page() {
  std::string all;
  for (const WebFile& file : web_files()) all += file.text();
  return http::sha256_hex(all).substr(0, kHashDigits / 2);
}

/// The page knows from its first line whether it must ask for a key before it asks anything.
StaticFile page_index(bool keys) {
  std::string text(text_of(kPageIndex));
  replace_all(text, "{keys}", keys ? "needed" : "none");
  replace_all(text, "{version}", CLICKMILL_VERSION);
  replace_all(text, "{hash}", hash_of_page());
  return {std::string(content_type_of(kPageIndex)), std::move(text), kPageCache};
}

http::Response guarded(http::Response&& response) {
  response.headers.emplace_back("Content-Security-Policy", kPolicy);
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  response.headers.emplace_back("Referrer-Policy", "no-referrer");
  response.headers.emplace_back("Cross-Origin-Resource-Policy", "same-origin");
  return std::move(response);
}

/// A page that was loaded before an update asks for its own hash and gets what there is now.
void add_page_file(http::Router& router, const WebFile& file) {
  const auto with = [&](const char* cache) {
    return std::make_shared<const StaticFile>(std::string(content_type_of(file.name)),
                                              std::string(file.text()), cache);
  };
  router.add(http::Method::get, fmt::format("/page/{{hash}}/{}", file.name),
             [own = hash_of_page(), kept = with(kForEver), asked = with(kPageCache)](
                 http::RequestPtr request, http::Router::Params params, http::Responder respond) {
               respond(guarded((params[0] == own ? kept : asked)->answer(*request)));
             });
}

http::Response describe(const http::Principal& who, bool keys) {
  constexpr std::array kRoles{"advertiser", "ingest", "admin"};
  const bool advertiser = who.role == http::Role::advertiser;
  return http::json_response(fmt::format(
      R"({{"name":{},"role":"{}","advertiser_id":{},"keys":{}}})", json_quoted(who.name),
      kRoles[static_cast<size_t>(who.role)],
      advertiser ? json_quoted(who.advertiser_id) : std::string("null"), keys ? "true" : "false"));
}

}  // namespace

StaticFile::StaticFile(std::string content_type, std::string text, std::string cache_control)
    : content_type_(std::move(content_type)),
      text_(std::move(text)),
      cache_control_(std::move(cache_control)),
      gzip_(gzip_if_shorter(text_)),
      hash_(http::sha256_hex(text_).substr(0, kHashDigits)) {}

/// Two texts under one address have two tags (RFC 9110, 8.8.3.3).
std::string StaticFile::etag(bool gzip) const { return '"' + hash_ + (gzip ? "-gzip\"" : "\""); }

http::Response StaticFile::answer(const http::Request& request) const {
  const bool gzip = !gzip_.empty() && takes_gzip(request);
  http::Response response;
  response.headers.emplace_back("ETag", etag(gzip));
  response.headers.emplace_back("Cache-Control", cache_control_);
  response.headers.emplace_back("Vary", "Accept-Encoding");
  const auto known = http::header_items(request, "If-None-Match");
  const bool unchanged = std::any_of(known.begin(), known.end(), [&](std::string_view tag) {
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    return tag == "*" || tag == etag(gzip);
  });
  if (unchanged) {
    response.status = 304;
    return response;
  }
  if (gzip) response.headers.emplace_back("Content-Encoding", "gzip");
  response.content_type = content_type_;
  response.body = gzip ? gzip_ : text_;
  return response;
}

std::string_view content_type_of(std::string_view name) {
  constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {".html", "text/html; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".json", "application/json"},
      {".svg", "image/svg+xml"}};
  for (const auto& [end, type] : kTypes) {
    if (name.ends_with(end)) return type;
  }
  return {};
}

void add_snippet_route(http::Router& router) {
  auto ready = std::make_shared<const StaticFile>(std::string(content_type_of(kSnippet)),
                                                  std::string(text_of(kSnippet)), kSnippetCache);
  router.add(http::Method::get, "/v1/click.js",
             [ready](http::RequestPtr request, http::Router::Params, http::Responder respond) {
               auto response = ready->answer(*request);
               response.headers.emplace_back("X-Content-Type-Options", "nosniff");
               // For pages that let in only what says so (Cross-Origin-Embedder-Policy).
               response.headers.emplace_back("Cross-Origin-Resource-Policy", "cross-origin");
               respond(std::move(response));
             });
}

void add_openapi_route(http::Router& router) {
  const WebFile& file = api_documents().front();
  std::string text(file.text());
  replace_all(text, "{version}", CLICKMILL_VERSION);
  auto ready = std::make_shared<const StaticFile>(std::string(content_type_of(file.name)),
                                                  std::move(text), kPageCache);
  router.add(http::Method::get, "/openapi.json",
             [ready](http::RequestPtr request, http::Router::Params, http::Responder respond) {
               respond(ready->answer(*request));
             });
}

void add_page_routes(http::Router& router, Context& context) {
  auto open = std::make_shared<const StaticFile>(page_index(false));
  auto locked = std::make_shared<const StaticFile>(page_index(true));
  router.add(http::Method::get, "/",
             [&context, open, locked](http::RequestPtr request, http::Router::Params,
                                      http::Responder respond) {
               const auto& page = context.auth.needs_key() ? *locked : *open;
               respond(guarded(page.answer(*request)));
             });
  for (const WebFile& file : web_files()) {
    if (file.name != kPageIndex && file.name != kSnippet) add_page_file(router, file);
  }
  router.add(http::Method::get, "/v1/whoami",
             [&context](http::RequestPtr request, http::Router::Params, http::Responder respond) {
               const auto who = admit(context, *request, {}, "", respond);
               if (!who) return;
               if (auto refused = refuse_parameters(*request)) return respond(*std::move(refused));
               respond(describe(*who, context.auth.needs_key()));
             });
}

}  // namespace clickmill::api
