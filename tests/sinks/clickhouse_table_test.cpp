// Goal: an insert is one request as ClickHouse wants it, and is taken for done only when it is.
#include "sinks/clickhouse_table.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <future>
#include <mutex>
#include <optional>

#include "base/temporary_directory.h"
#include "http/certificate.h"
#include "http/router.h"
#include "http/server.h"

namespace clickmill::sinks {
namespace {

/// A server in ClickHouse's place, which answers as it is told.
class Fixture {
 public:
  struct Got {
    std::string query;
    std::string user;
    std::string key;
    std::string body;
  };
  explicit Fixture(bool tls = false) : server({1, 60'000, 100}, metrics_) {
    settings.user = "clicks";
    settings.password_file = directory.path() + "/password";
    settings.timeout_ms = 10'000;
    std::ofstream(settings.password_file) << "s3cret pass\n";
    router_.add(http::Method::post, "/",
                [this](http::RequestPtr request, const http::Router::Params&,
                       http::Responder respond) { take(*request, std::move(respond)); });
    http::Server::Listener listener;
    listener.address = "127.0.0.1:0";
    listener.handler = router_.handler();
    listener.max_body_bytes = 1 << 20;
    const std::string address = server.listen(std::move(listener)).value();
    if (tls) {
      const std::string cert = directory.path() + "/cert.pem";
      const std::string key = directory.path() + "/key.pem";
      http::write_certificate(cert, key);
      server.set_tls(http::TlsContext::load(cert, key).value());
    }
    server.start();
    settings.url =
        tls ? "https://localhost" + address.substr(address.rfind(':')) : "http://" + address;
  }
  ~Fixture() {
    held.reset();
    server.stop(0);
  }
  Status insert(const std::string& rows) {
    if (!table) table = open_clickhouse(settings);
    return table->insert(std::make_shared<const std::string>(rows));
  }
  std::vector<Got> got() {
    const std::lock_guard lock(mutex);
    return got_;
  }

  TemporaryDirectory directory;
  ClickHouseSettings settings;
  std::unique_ptr<Table> table;
  std::mutex mutex;  // guards all below
  http::Response answer;
  bool hold = false;
  std::optional<http::Responder> held;

 private:
  void take(const http::Request& request, http::Responder respond) {
    const std::lock_guard lock(mutex);
    got_.push_back({std::string(request.query), std::string(request.header("X-ClickHouse-User")),
                    std::string(request.header("X-ClickHouse-Key")), std::string(request.body)});
    if (hold) {
      held = std::move(respond);
      return;
    }
    http::Response copy;
    copy.status = answer.status;
    copy.headers = answer.headers;
    copy.body = answer.body;
    respond(std::move(copy));
  }

  Metrics metrics_;
  http::Router router_;
  std::vector<Got> got_;

 public:
  http::Server server;
};

}  // namespace

TEST_CASE("clickhouse: an insert is one post of rows, with its user's password", "[sinks]") {
  Fixture house;
  house.settings.table = "minutes";
  house.settings.options = {"insert_quorum=2", "a=b c&d"};
  const std::string rows = "{\"minute\":1}\n" + std::string(100'000, ' ') + "{\"minute\":2}\n";
  REQUIRE(house.insert(rows));
  REQUIRE(house.insert("{}\n"));
  const auto got = house.got();
  REQUIRE(got.size() == 2);
  CHECK(got[0].body == rows);
  CHECK(got[0].user == "clicks");
  CHECK(got[0].key == "s3cret pass");
  CHECK(got[0].query.starts_with(
      "wait_end_of_query=1&query=INSERT%20INTO%20%60default%60.%60minutes%60%20%28minute"));
  CHECK(got[0].query.ends_with("FORMAT%20JSONEachRow&insert_quorum=2&a=b%20c%26d"));
}

TEST_CASE("clickhouse: what is no plain 200 is a failure, in its own words", "[sinks]") {
  Fixture house;
  const auto refused = [&](int status, const std::string& code, const std::string& body) {
    house.answer.status = status;
    house.answer.headers.clear();
    if (!code.empty()) house.answer.headers.emplace_back("X-ClickHouse-Exception-Code", code);
    house.answer.body = body;
    const Status done = house.insert("{}\n");
    return done ? std::string("taken") : done.error().message();
  };
  CHECK(refused(500, "", "Code: 60, e.displayText() = DB::Exception: no table\nand more") ==
        "HTTP 500: Code: 60, e.displayText() = DB::Exception: no table");
  CHECK(refused(200, "241", "") == "HTTP 200, exception 241: ");
  // An old server that failed behind the head of its answer.
  CHECK(refused(200, "", "Code: 27\x01") == "HTTP 200: Code: 27 ");
  CHECK(refused(302, "", "") == "HTTP 302: ");
  CHECK(refused(200, "", std::string(70'000, 'x')) != "taken");
  CHECK(refused(200, "", "") == "taken");
  CHECK(refused(503, "", std::string(5'000, 'x')).size() < 400);
}

TEST_CASE("clickhouse: a failure reads the password again", "[sinks]") {
  Fixture house;
  house.answer.status = 401;
  CHECK_FALSE(house.insert("{}\n"));
  std::ofstream(house.settings.password_file) << "another";
  house.answer.status = 200;
  CHECK(house.insert("{}\n"));
  CHECK(house.got().back().key == "another");
  house.answer.status = 401;
  CHECK_FALSE(house.insert("{}\n"));
  std::ofstream(house.settings.password_file) << "";
  CHECK(house.insert("{}\n").error().code() == Errc::invalid);
  CHECK(house.got().size() == 3);
}

TEST_CASE("clickhouse: an insert that is not answered ends in time, or with the table", "[sinks]") {
  Fixture house;
  house.hold = true;
  house.settings.timeout_ms = 100;
  CHECK(house.insert("{}\n").error().code() == Errc::busy);
  house.table.reset();
  house.settings.timeout_ms = 600'000;
  auto insert = std::async(std::launch::async, [&] { return house.insert("{}\n"); });
  while (house.got().size() < 2) std::this_thread::yield();
  house.table->end();
  CHECK(insert.get().error().code() == Errc::closed);
  CHECK(house.insert("{}\n").error().code() == Errc::closed);
}

TEST_CASE("clickhouse: nobody there is a failure, and over when somebody is", "[sinks]") {
  Fixture house;
  const std::string url = house.settings.url;
  house.settings.url = "http://127.0.0.1:1";
  CHECK(house.insert("{}\n").error().code() == Errc::io);
  house.table.reset();
  house.settings.url = url;
  CHECK(house.insert("{}\n"));
}

TEST_CASE("clickhouse: over TLS the server has to be the one that the file knows", "[sinks]") {
  Fixture house(true);
  CHECK_FALSE(house.insert("{}\n"));
  CHECK(house.got().empty());
  house.table.reset();
  house.settings.ca_file = house.directory.path() + "/cert.pem";
  CHECK(check_clickhouse(house.settings, "sinks[0]"));
  const Status done = house.insert("{}\n");
  CAPTURE(done ? "" : done.error().text());
  CHECK(done);
  CHECK(house.got().size() == 1);
}

TEST_CASE("clickhouse: files that can't be used are told by key", "[sinks]") {
  Fixture house;
  CHECK(check_clickhouse(house.settings, "sinks[2]"));
  const auto told = [&] {
    const Status checked = check_clickhouse(house.settings, "sinks[2]");
    return checked ? std::string() : checked.error().message();
  };
  const std::string path = house.settings.password_file;
  std::ofstream(path) << "two\nlines";
  CHECK(told() == "sinks[2].password_file: " + path + ": has a control character");
  std::ofstream(path) << std::string(5'000, 'x');
  CHECK(told() == "sinks[2].password_file: " + path + ": is longer than 4096 bytes");
  house.settings.password_file = "/no/such/file";
  CHECK(told() == "sinks[2].password_file: /no/such/file: can't be read");
  house.settings.password_file.clear();
  house.settings.ca_file = path;
  CHECK(told().starts_with("sinks[2].ca_file: " + path + ": no certificates could be read"));
}

}  // namespace clickmill::sinks
