#include "engine/sinks_config.h"

#include <catch2/catch.hpp>

#include "engine/config.h"
#include "sinks/sinks.h"

namespace clickmill::engine {
namespace {

const std::string kPath = "/etc/clickmill/clickmill.json";

std::string with_sinks(const std::string& sinks) { return R"({"sinks":[)" + sinks + "]}"; }
std::string kafka(const std::string& fields) {
  return R"({"type":"kafka","brokers":"b1:9092,b2:9092","topic":"clicks")" + fields + "}";
}
std::string clickhouse(const std::string& fields) {
  return R"({"type":"clickhouse","url":"https://c1:8443")" + fields + "}";
}

std::string problems_of(const std::string& json) {
  try {
    check_config(parse_config(json, kPath));
    return "";
  } catch (const ConfigError& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("config: sinks arrive", "[engine][sinks]") {
  CHECK(parse_config("{}", kPath).sinks.empty());
  const auto sinks = parse_config(with_sinks(kafka("") + "," +
                                             kafka(R"(,"name":"other","options":["linger.ms=100"],
                                                "options_file":"kafka.properties")")),
                                  kPath)
                         .sinks;
  REQUIRE(sinks.size() == 2);
  const auto& first = std::get<sinks::KafkaSettings>(sinks[0]);
  CHECK(first.name == "kafka");
  CHECK(first.brokers == "b1:9092,b2:9092");
  CHECK(first.topic == "clicks");
  const auto& second = std::get<sinks::KafkaSettings>(sinks[1]);
  CHECK(second.name == "other");
  CHECK(second.options == std::vector<std::string>{"linger.ms=100"});
  CHECK(second.options_file == "/etc/clickmill/kafka.properties");
}

TEST_CASE("config: a sink of ClickHouse's arrives", "[engine][sinks]") {
  const auto sinks =
      parse_config(with_sinks(clickhouse("") + "," +
                              clickhouse(R"(,"name":"other","database":"ads","table":"minutes",
                                "user":"clicks","password_file":"secret","ca_file":"/ca.pem",
                                "options":["insert_quorum=2"],"timeout_ms":5000)")),
                   kPath)
          .sinks;
  REQUIRE(sinks.size() == 2);
  sinks::ClickHouseSettings want;
  want.url = "https://c1:8443";
  CHECK(std::get<sinks::ClickHouseSettings>(sinks[0]) == want);
  CHECK((want.name == "clickhouse" && want.database == "default" && want.table == "click_minutes"));
  want.name = "other";
  want.database = "ads";
  want.table = "minutes";
  want.user = "clicks";
  want.password_file = "/etc/clickmill/secret";
  want.ca_file = "/ca.pem";
  want.options = {"insert_quorum=2"};
  want.timeout_ms = 5'000;
  CHECK(std::get<sinks::ClickHouseSettings>(sinks[1]) == want);
}

TEST_CASE("config: what is wrong with a sink of ClickHouse's is told by key", "[engine][sinks]") {
  CHECK(problems_of(with_sinks(R"({"type":"clickhouse"})")) == "sinks[0].url: is missing");
  CHECK(problems_of(with_sinks(R"({"type":"clickhouse","url":"c1:8123"})"))
            .starts_with("sinks[0].url: "));
  CHECK(problems_of(with_sinks(clickhouse(R"(,"table":"a`b")"))) ==
        "sinks[0].table: not 1 to 64 letters, digits and _ -");
  CHECK(problems_of(with_sinks(clickhouse(R"(,"database":"")"))) ==
        "sinks[0].database: not 1 to 64 letters, digits and _ -");
  CHECK(problems_of(with_sinks(clickhouse(R"(,"user":"a\nb")"))) ==
        "sinks[0].user: not up to 64 visible ASCII characters");
  CHECK(problems_of(with_sinks(clickhouse(R"(,"password_file":"secret")"))) ==
        "sinks[0].password_file: is a password of nobody: user is missing");
  CHECK(problems_of(with_sinks(R"({"type":"clickhouse","url":"http://c1","ca_file":"ca"})")) ==
        "sinks[0].ca_file: has no use where the url is not https://");
  CHECK(problems_of(with_sinks(clickhouse(R"(,"options":["wait_for_async_insert=0"])"))) ==
        "sinks[0].options: wait_for_async_insert=0 would answer before the rows are kept");
  CHECK(problems_of(with_sinks(clickhouse(R"(,"options":["wait_for_async_insert=1"])"))).empty());
  CHECK(problems_of(with_sinks(clickhouse(R"(,"options":["user=me"])"))) ==
        "sinks[0].options: user is set by the sink itself, so that no click is lost or doubled");
  CHECK(problems_of(with_sinks(clickhouse(R"(,"timeout_ms":99)")))
            .starts_with("sinks[0].timeout_ms: "));
  CHECK(problems_of(with_sinks(clickhouse(R"(,"topic":"t")"))).find("sinks[0].topic") !=
        std::string::npos);
  CHECK(problems_of(with_sinks(clickhouse("") + "," + clickhouse(""))) ==
        "sinks[1].name: \"clickhouse\" is another sink's too: each keeps its position under its "
        "name");
}

TEST_CASE("config: what is wrong with a sink is told by key", "[engine][sinks]") {
  CHECK(problems_of(with_sinks("{}")) ==
        "sinks[0].type: is missing\nsinks[0].brokers: is missing\nsinks[0].topic: is missing");
  CHECK(problems_of(with_sinks(R"({"type":"files","brokers":"b:1","topic":"t"})"))
            .starts_with("sinks[0].type: "));
  CHECK(problems_of(with_sinks(R"({"type":"kafka","brokers":"b","topic":"t"})"))
            .starts_with("sinks[0].brokers: "));
  CHECK(problems_of(with_sinks(R"({"type":"kafka","brokers":"b:0","topic":"t"})")) ==
        "sinks[0].brokers: \"b:0\": port 0 is none to connect to");
  CHECK(problems_of(with_sinks(R"({"type":"kafka","brokers":"b:1,","topic":"t"})"))
            .starts_with("sinks[0].brokers: "));
  CHECK(problems_of(with_sinks(R"({"type":"kafka","brokers":"b:1","topic":"a b"})")) ==
        "sinks[0].topic: not 1 to 249 letters, digits and . _ -");
  CHECK(problems_of(with_sinks(kafka("") + "," + kafka(""))) ==
        "sinks[1].name: \"kafka\" is another sink's too: each keeps its position under its name");
  CHECK(problems_of(with_sinks(kafka(R"(,"name":"a/b")"))) ==
        "sinks[0].name: not 1 to 64 letters, digits and _ -");
  CHECK(problems_of(with_sinks(kafka(R"(,"options":["linger.ms"])"))) ==
        "sinks[0].options: \"linger.ms\" is not written as name=value");
  CHECK(problems_of(with_sinks(kafka(R"(,"options":["acks=1"])"))) ==
        "sinks[0].options: acks is set by the sink itself, so that no click is lost or doubled");
  CHECK(problems_of(with_sinks(kafka(R"(,"options":["linger.ms=1","linger.ms=2"])"))) ==
        "sinks[0].options: linger.ms stands there twice");
  CHECK(problems_of(with_sinks(kafka(R"(,"table":"t")"))).find("sinks[0].table") !=
        std::string::npos);
}

TEST_CASE("config: what librdkafka says of a property is told by key", "[engine][sinks]") {
  const auto told = [](const std::string& fields) {
    const Status checked =
        sinks::check_settings(parse_config(with_sinks(kafka(fields)), kPath).sinks);
    return checked ? std::string() : checked.error().message();
  };
  CHECK(told("").empty());
  CHECK(told(R"(,"options":["linger.ms=100","security.protocol=ssl"])").empty());
  CHECK(told(R"(,"options":["linger.ms=1","lingr.ms=1"])") ==
        "sinks[0].options[1]: No such configuration property: \"lingr.ms\"");
  CHECK(told(R"(,"options":["linger.ms=soon"])").starts_with("sinks[0].options[0]: "));
  CHECK(told(R"(,"options_file":"/no/such/file")").find("sinks[0].options_file: ") !=
        std::string::npos);
}

}  // namespace clickmill::engine
