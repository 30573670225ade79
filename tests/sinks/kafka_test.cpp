// Goal: against a real Kafka client's own mock cluster, over the network: each click arrives
// once after dropping what repeats, with key and headers, over a broker that goes and comes back.
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <set>

#include "sinks/kafka_broker.h"
#include "sinks/sink_fixture.h"

namespace clickmill::sinks {
namespace {

constexpr int kPartitions = 3;

void set(rd_kafka_conf_t* conf, const char* name, const std::string& value) {
  char why[256];
  REQUIRE(rd_kafka_conf_set(conf, name, value.c_str(), why, sizeof why) == RD_KAFKA_CONF_OK);
}

struct Message {
  std::string key;
  std::string value;
  std::string partition;
  std::string offset;
};

/// A cluster of one broker in this process, and a consumer of the topic "clicks".
class Cluster {
 public:
  Cluster() {
    owner_ = make(RD_KAFKA_PRODUCER, "");
    cluster_ = rd_kafka_mock_cluster_new(owner_, 1);
    rd_kafka_mock_topic_create(cluster_, "clicks", kPartitions, 1);
    consumer_ = make(RD_KAFKA_CONSUMER, address());
    rd_kafka_poll_set_consumer(consumer_);
    auto* all = rd_kafka_topic_partition_list_new(kPartitions);
    for (int i = 0; i < kPartitions; ++i)
      rd_kafka_topic_partition_list_add(all, "clicks", i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(consumer_, all);
    rd_kafka_topic_partition_list_destroy(all);
  }
  ~Cluster() {
    rd_kafka_destroy(consumer_);
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(owner_);
  }
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  std::string address() const { return rd_kafka_mock_cluster_bootstraps(cluster_); }
  void down() { rd_kafka_mock_broker_set_down(cluster_, 1); }
  void up() { rd_kafka_mock_broker_set_up(cluster_, 1); }
  /// All that has arrived; of those the offsets, each once.
  const std::set<uint64_t>& take() {
    while (rd_kafka_message_t* message = rd_kafka_consumer_poll(consumer_, 1)) {
      if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        Message one;
        one.key.assign(static_cast<const char*>(message->key), message->key_len);
        one.value.assign(static_cast<const char*>(message->payload), message->len);
        one.partition = header(message, "partition");
        one.offset = header(message, "offset");
        offsets_.insert(std::stoull(one.offset));
        messages.push_back(std::move(one));
      }
      rd_kafka_message_destroy(message);
    }
    return offsets_;
  }
  std::vector<Message> messages;

 private:
  static rd_kafka_t* make(rd_kafka_type_t type, const std::string& address) {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    set(conf, "log_level", "0");
    if (type == RD_KAFKA_CONSUMER) {
      set(conf, "bootstrap.servers", address);
      set(conf, "group.id", "test");
      set(conf, "auto.offset.reset", "earliest");
      set(conf, "enable.auto.commit", "false");
      set(conf, "reconnect.backoff.max.ms", "200");
    }
    char why[256];
    rd_kafka_t* made = rd_kafka_new(type, conf, why, sizeof why);
    REQUIRE(made != nullptr);
    return made;
  }
  static std::string header(const rd_kafka_message_t* message, const char* name) {
    rd_kafka_headers_t* headers = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(headers, name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR)
      return {};
    return {static_cast<const char*>(value), size};
  }

  rd_kafka_t* owner_;
  rd_kafka_mock_cluster_t* cluster_;
  rd_kafka_t* consumer_;
  std::set<uint64_t> offsets_;
};

}  // namespace

TEST_CASE("sink: clicks to a Kafka cluster that goes and comes back", "[sinks]") {
  Cluster cluster;
  KafkaSettings settings;
  settings.brokers = cluster.address();
  settings.topic = "clicks";
  settings.options = {"reconnect.backoff.max.ms=200", "linger.ms=1"};
  SinkOfOne one([settings] { return open_kafka(settings); });
  one.start();
  one.node.send(500);
  one.until([&] { return cluster.take().size() == 500; });
  cluster.down();
  one.node.send(500);
  one.until([&] { return one.metric("clickmill_sink_errors_total") > 0; });
  one.stop();
  one.start();
  one.node.send(500);
  cluster.up();
  one.until([&] { return cluster.take().size() == 1500; });
  one.until([&] { return one.kept() >= one.committed(); });
  one.stop();
  const std::set<uint64_t> all = cluster.take();
  REQUIRE(all.size() == 1500);
  // As the log has them: in this order, and nothing else.
  std::vector<std::string> keys;
  for (const std::string& record : one.node.records) {
    ByteCursor cursor(record);
    click::RecordScratch scratch;
    keys.emplace_back(click::decode_record(cursor, scratch).value().ad_id);
  }
  const std::vector<uint64_t> offsets(all.begin(), all.end());
  for (const Message& message : cluster.messages) {
    const auto at = std::find(offsets.begin(), offsets.end(), std::stoull(message.offset));
    CHECK(message.partition == "0");
    CHECK(message.key == keys[static_cast<size_t>(at - offsets.begin())]);
    CHECK(message.value.starts_with("{\"partition\":0,\"offset\":" + message.offset + ","));
  }
}

}  // namespace clickmill::sinks
