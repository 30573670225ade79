// ClickHouse's HTTP interface: POST /?database=…&query=INSERT…, rows in the body as
// JSONEachRow, user and password in headers, settings of the query beside it in the URL.
// A failure is told by the status, or behind a 200 that went out early by the header
// X-ClickHouse-Exception-Code or by a text in the body, which an insert has none of.
#include "sinks/clickhouse_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <future>
#include <mutex>
#include <utility>

#include "base/text.h"
#include "http/client.h"

namespace clickmill::sinks {
namespace {

constexpr size_t kPasswordMost = 4096;
constexpr size_t kWordsMost = 300;
// Shorter than ClickHouse keeps a connection without a request (3 s in old versions): one that
// it closes just as an insert is on its way there would be a failure.
constexpr int64_t kIdleMs = 2'000;

constexpr std::array<std::string_view, 9> kOwnParameters{
    "query",    "database", "user",      "password",      "wait_end_of_query",
    "query_id", "compress", "quota_key", "default_format"};

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (consists_of({&c, 1}, 1, "-_.~")) {
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string path_of(const ClickHouseSettings& settings) {
  const std::string query = fmt::format(
      "INSERT INTO `{}`.`{}` (minute, advertiser_id, ad_id, clicks, automated_clicks, "
      "unique_users, mobile, desktop, "
      "tablet, other, country_codes, country_clicks, log_partition, version) FORMAT JSONEachRow",
      settings.database, settings.table);
  std::string path = "/?wait_end_of_query=1&query=" + percent_encoded(query);
  for (const std::string& option : settings.options) {
    const size_t is = option.find('=');
    path +=
        '&' + percent_encoded(option.substr(0, is)) + '=' + percent_encoded(option.substr(is + 1));
  }
  return path;
}

/// Without the line end that editors put behind it.
Result<std::string> read_password(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path, std::ios::binary);
  std::string text(kPasswordMost + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad()) return Error(Errc::io, "can't be read", path);
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kPasswordMost)
    return Error(Errc::invalid, fmt::format("is longer than {} bytes", kPasswordMost), path);
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  if (text.empty()) return Error(Errc::invalid, "is empty", path);
  const bool printable = std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) >= ' ' && c != 0x7f;
  });
  if (!printable) return Error(Errc::invalid, "has a control character", path);
  return text;
}

/// The first line of what a server says, fit for a log.
std::string words_of(std::string_view body) {
  std::string words(cut_utf8(body.substr(0, body.find('\n')), kWordsMost));
  for (char& c : words) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  }
  return words;
}

class ClickHouseTable final : public Table {
 public:
  explicit ClickHouseTable(const ClickHouseSettings& settings)
      : settings_(settings), path_(path_of(settings)) {}
  ~ClickHouseTable() override { end(); }

  Status insert(const std::shared_ptr<const std::string>& rows) override {
    using Reply = Result<http::Client::Reply>;
    const auto promise = std::make_shared<std::promise<Reply>>();
    auto answer = promise->get_future();
    {
      const std::lock_guard lock(mutex_);
      if (ended_) return Error(Errc::closed, "the sink is stopped");
      if (!client_) TRY(connect());
      client_->post(path_, rows, settings_.timeout_ms,
                    [promise](Reply reply) { promise->set_value(std::move(reply)); });
    }
    const Reply reply = answer.get();
    Status done = outcome(reply);
    if (!done) {
      const std::lock_guard lock(mutex_);
      client_.reset();
    }
    return done;
  }

  void end() override {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    if (client_) client_->stop();
  }

 private:
  Status connect() {
    http::Client::Options options;
    options.url = TRY(http::parse_url(settings_.url));
    if (!settings_.user.empty()) options.headers.emplace_back("X-ClickHouse-User", settings_.user);
    if (const std::string password = TRY(read_password(settings_.password_file)); !password.empty())
      options.headers.emplace_back("X-ClickHouse-Key", password);
    options.connections_most = 1;
    options.idle_ms_most = kIdleMs;
    options.ca_file = settings_.ca_file;
    options.reply_header = "X-ClickHouse-Exception-Code";
    client_ = std::make_unique<http::Client>(std::move(options));
    client_->start();
    return {};
  }

  static Status outcome(const Result<http::Client::Reply>& reply) {
    if (!reply) return Error(reply.error().code(), reply.error().message());
    if (reply->status == 200 && reply->header.empty() && reply->body.empty()) return {};
    std::string what = fmt::format("HTTP {}", reply->status);
    if (!reply->header.empty()) what += ", exception " + words_of(reply->header);
    return Error(Errc::io, what + ": " + words_of(reply->body));
  }

  const ClickHouseSettings settings_;
  const std::string path_;
  std::mutex mutex_;  // guards the rest between who inserts and who ends it
  std::unique_ptr<http::Client> client_;
  bool ended_ = false;
};

}  // namespace

Status check_clickhouse(const ClickHouseSettings& settings, const std::string& key) {
  if (const auto password = read_password(settings.password_file); !password) {
    return Error(Errc::invalid, fmt::format("{}.password_file: {}: {}", key, settings.password_file,
                                            password.error().message()));
  }
  if (settings.ca_file.empty()) return {};
  if (const Status ca = http::check_ca_file(settings.ca_file); !ca)
    return Error(Errc::invalid, fmt::format("{}.ca_file: {}", key, ca.error().message()));
  return {};
}

bool is_own_parameter(std::string_view name) {
  return std::find(kOwnParameters.begin(), kOwnParameters.end(), name) != kOwnParameters.end();
}

std::unique_ptr<Table> open_clickhouse(const ClickHouseSettings& settings) {
  return std::make_unique<ClickHouseTable>(settings);
}

}  // namespace clickmill::sinks
