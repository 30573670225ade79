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
  CHECK(sinks[0].name == "kafka");
  CHECK(sinks[0].brokers == "b1:9092,b2:9092");
  CHECK(sinks[0].topic == "clicks");
  CHECK(sinks[1].name == "other");
  CHECK(sinks[1].options == std::vector<std::string>{"linger.ms=100"});
  CHECK(sinks[1].options_file == "/etc/clickmill/kafka.properties");
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
