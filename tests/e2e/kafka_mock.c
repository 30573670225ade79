/* A Kafka cluster of one broker in memory (librdkafka's mock), for tests.
 *
 *   kafka_mock TOPIC FILE
 *
 * Prints its address. Each message that arrives goes to FILE as a line
 * `partition offset key value`, the first two from the message's headers. Lines of stdin: `down` and
 * `up` stop and start the broker; the end of stdin ends it. */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { kPartitions = 4, kBroker = 1 };

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
  char why[256];
  if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
    fprintf(stderr, "%s\n", why);
}

static void print_header(FILE *out, const rd_kafka_message_t *message, const char *name) {
  rd_kafka_headers_t *headers = NULL;
  const void *value = NULL;
  size_t size = 0;
  if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
    rd_kafka_header_get_last(headers, name, &value, &size);
  fprintf(out, "%.*s ", (int)size, value ? (const char *)value : "");
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  char why[256];
  FILE *out = fopen(argv[2], "w");
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  set(conf, "log_level", "0");
  rd_kafka_t *owner = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
  rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(owner, 1);
  rd_kafka_mock_topic_create(cluster, argv[1], kPartitions, 1);
  const char *address = rd_kafka_mock_cluster_bootstraps(cluster);

  conf = rd_kafka_conf_new();
  set(conf, "log_level", "0");
  set(conf, "bootstrap.servers", address);
  set(conf, "group.id", "test");
  set(conf, "enable.auto.commit", "false");
  set(conf, "auto.offset.reset", "earliest");
  set(conf, "reconnect.backoff.max.ms", "200");
  rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
  rd_kafka_poll_set_consumer(consumer);
  rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(kPartitions);
  for (int i = 0; i < kPartitions; ++i)
    rd_kafka_topic_partition_list_add(all, argv[1], i)->offset = RD_KAFKA_OFFSET_BEGINNING;
  rd_kafka_assign(consumer, all);
  printf("%s\n", address);
  fflush(stdout);

  for (;;) {
    struct pollfd in = {.fd = 0, .events = POLLIN};
    if (poll(&in, 1, 0) > 0) {
      char line[64];
      ssize_t size = read(0, line, sizeof line - 1);
      if (size <= 0) break;
      line[size] = 0;
      if (strncmp(line, "down", 4) == 0) rd_kafka_mock_broker_set_down(cluster, kBroker);
      if (strncmp(line, "up", 2) == 0) rd_kafka_mock_broker_set_up(cluster, kBroker);
      printf("done\n");
      fflush(stdout);
    }
    rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 20);
    if (message == NULL) {
      fflush(out);
      continue;
    }
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      print_header(out, message, "partition");
      print_header(out, message, "offset");
      fprintf(out, "%.*s %.*s\n", (int)message->key_len, (const char *)message->key,
              (int)message->len, (const char *)message->payload);
    }
    rd_kafka_message_destroy(message);
  }
  return 0;
}
