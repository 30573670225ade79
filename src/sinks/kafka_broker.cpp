#include "sinks/kafka_broker.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <mutex>
#include <utility>
#include <vector>

#include "base/logging.h"

namespace clickmill::sinks {
namespace {

// Loaded when a sink is configured and not before: its archive needs libsasl2, which Debian
// has as a shared library only, and a node without sinks shall run where neither is installed.
constexpr const char* kLibrary = "librdkafka.so.1";
constexpr size_t kTextBytes = 512;

/// The functions of librdkafka that are used here, under their names without the prefix.
struct Library {
#define CLICKMILL_KAFKA_FUNCTIONS(use)                                                       \
  use(conf_new) use(conf_destroy) use(conf_set) use(conf_set_opaque) use(conf_set_dr_msg_cb) \
      use(conf_set_error_cb) use(conf_set_log_cb) use(new) use(destroy_flags) use(produceva) \
          use(poll) use(purge) use(err2str) use(err2name) use(error_code) use(error_string)  \
              use(error_destroy) use(fatal_error)
#define CLICKMILL_KAFKA_MEMBER(name) decltype(&rd_kafka_##name) name##_ = nullptr;
  CLICKMILL_KAFKA_FUNCTIONS(CLICKMILL_KAFKA_MEMBER)
#undef CLICKMILL_KAFKA_MEMBER
};

Result<Library> load() {
  void* const handle = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    return Error(Errc::invalid,
                 fmt::format("type \"kafka\" needs librdkafka, Debian's package librdkafka1: {}",
                             ::dlerror()));
  }
  Library library;
  const char* missing = nullptr;
#define CLICKMILL_KAFKA_LOAD(name)                                                     \
  library.name##_ =                                                                    \
      reinterpret_cast<decltype(library.name##_)>(::dlsym(handle, "rd_kafka_" #name)); \
  if (library.name##_ == nullptr) missing = "rd_kafka_" #name;
  CLICKMILL_KAFKA_FUNCTIONS(CLICKMILL_KAFKA_LOAD)
#undef CLICKMILL_KAFKA_LOAD
  if (missing != nullptr) {
    return Error(Errc::invalid,
                 fmt::format("{} is too old for type \"kafka\": it has no {}", kLibrary, missing));
  }
  return library;
}

/// It stays loaded until the process ends: its threads may outlive a sink by a little.
Result<const Library*> library() {
  static std::mutex mutex;
  static std::unique_ptr<Library> loaded;
  const std::lock_guard lock(mutex);
  if (!loaded) {
    const Library fresh = TRY(load());
    loaded = std::make_unique<Library>(fresh);
  }
  return loaded.get();
}

struct Property {
  std::string from;  // the key of the config that it stands in
  std::string name;
  std::string value;
};

Result<Property> parse_property(std::string_view line, std::string from) {
  const size_t equals = line.find('=');
  if (equals == std::string_view::npos || equals == 0)
    return Error(Errc::invalid, from + ": a property is not written as name=value");
  Property property{std::move(from), std::string(line.substr(0, equals)),
                    std::string(line.substr(equals + 1))};
  if (is_own_property(property.name)) {
    return Error(
        Errc::invalid,
        fmt::format("{}: {} is set by the sink itself, so that no click is lost or doubled",
                    property.from, property.name));
  }
  return property;
}

Result<std::vector<Property>> properties_of(const KafkaSettings& settings) {
  std::vector<Property> all;
  const auto own = [&all](const char* name, std::string value, const char* from) {
    all.push_back({from, name, std::move(value)});
  };
  own("bootstrap.servers", settings.brokers, "brokers");
  own("client.id", "clickmill", "");
  // As Java's producers: the same key goes to the same partition whoever sends it.
  own("partitioner", "murmur2_random", "");
  own("compression.codec", "lz4", "");
  own("reconnect.backoff.max.ms", "5000", "");
  for (size_t i = 0; i < settings.options.size(); ++i)
    all.push_back(TRY(parse_property(settings.options[i], fmt::format("options[{}]", i))));
  if (!settings.options_file.empty()) {
    std::ifstream file(settings.options_file);
    if (!file)
      return Error(Errc::invalid, "options_file: cannot be read: " + settings.options_file);
    size_t number = 0;
    for (std::string line; std::getline(file, line);) {
      ++number;
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (line.empty() || line.front() == '#') continue;
      all.push_back(TRY(parse_property(line, fmt::format("options_file, line {}", number))));
    }
  }
  // Behind those of others, so that they hold. It never gives a message up: what the log has is
  // to arrive, however long the cluster is away.
  own("enable.idempotence", "true", "");
  own("acks", "all", "");
  own("message.timeout.ms", "0", "");
  // The sink bounds what is on its way more tightly.
  own("queue.buffering.max.messages", "1000000", "");
  own("queue.buffering.max.kbytes", "1048576", "");
  return all;
}

/// Null for none.
using Conf = std::unique_ptr<rd_kafka_conf_t, void (*)(rd_kafka_conf_t*)>;

Result<Conf> conf_of(const Library& kafka, const KafkaSettings& settings) {
  Conf conf(kafka.conf_new_(), kafka.conf_destroy_);
  std::array<char, kTextBytes> why{};
  const auto properties = TRY(properties_of(settings));
  for (const Property& property : properties) {
    if (kafka.conf_set_(conf.get(), property.name.c_str(), property.value.c_str(), why.data(),
                        why.size()) != RD_KAFKA_CONF_OK)
      return Error(Errc::invalid, fmt::format("{}: {}", property.from, why.data()));
  }
  return conf;
}

class KafkaBroker final : public Broker {
 public:
  KafkaBroker(const Library& kafka, const KafkaSettings& settings)
      : kafka_(kafka), name_(settings.name), topic_(settings.topic) {}
  ~KafkaBroker() override {
    if (producer_ == nullptr) return;
    // The log has them all: what was not acknowledged is sent again.
    kafka_.purge_(producer_, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    // What was purged is told here, where nobody listens, and not in the log as if it was lost.
    kafka_.poll_(producer_, 0);
    kafka_.destroy_flags_(producer_, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  }
  KafkaBroker(const KafkaBroker&) = delete;
  KafkaBroker& operator=(const KafkaBroker&) = delete;

  Status open(Conf conf) {
    kafka_.conf_set_opaque_(conf.get(), this);
    kafka_.conf_set_dr_msg_cb_(conf.get(), on_delivered);
    kafka_.conf_set_error_cb_(conf.get(), on_error);
    kafka_.conf_set_log_cb_(conf.get(), on_log);
    std::array<char, kTextBytes> why{};
    producer_ = kafka_.new_(RD_KAFKA_PRODUCER, conf.get(), why.data(), why.size());
    if (producer_ == nullptr) return Error(Errc::invalid, why.data());
    ignore(conf.release(), "the producer owns it now");
    return {};
  }

  Result<bool> send(const Message& message, void* ticket) override {
    const auto number = [](uint64_t value, std::array<char, 24>& text) {
      const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
      return static_cast<int64_t>(end - text.data());
    };
    std::array<char, 24> partition{};
    std::array<char, 24> offset{};
    std::array<rd_kafka_vu_t, 7> parts{};
    parts[0].vtype = RD_KAFKA_VTYPE_TOPIC;
    parts[0].u.cstr = topic_.c_str();
    parts[1].vtype = RD_KAFKA_VTYPE_KEY;
    parts[1].u.mem = {const_cast<char*>(message.key.data()), message.key.size()};
    parts[2].vtype = RD_KAFKA_VTYPE_VALUE;
    parts[2].u.mem = {const_cast<char*>(message.value.data()), message.value.size()};
    parts[3].vtype = RD_KAFKA_VTYPE_HEADER;
    parts[3].u.header = {"partition", partition.data(),
                         number(message.partition.value(), partition)};
    parts[4].vtype = RD_KAFKA_VTYPE_HEADER;
    parts[4].u.header = {"offset", offset.data(), number(message.offset.value(), offset)};
    parts[5].vtype = RD_KAFKA_VTYPE_OPAQUE;
    parts[5].u.ptr = ticket;
    parts[6].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
    parts[6].u.i = RD_KAFKA_MSG_F_COPY;
    rd_kafka_error_t* const error = kafka_.produceva_(producer_, parts.data(), parts.size());
    if (error == nullptr) return true;
    const rd_kafka_resp_err_t code = kafka_.error_code_(error);
    std::string why = kafka_.error_string_(error);
    kafka_.error_destroy_(error);
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) return false;
    return Error(Errc::closed, std::move(why));
  }

  Status serve(int wait_ms, const Told& told) override {
    told_ = &told;
    kafka_.poll_(producer_, wait_ms);
    told_ = nullptr;
    std::array<char, kTextBytes> why{};
    if (kafka_.fatal_error_(producer_, why.data(), why.size()) != RD_KAFKA_RESP_ERR_NO_ERROR)
      return Error(Errc::closed, why.data());
    return {};
  }

  size_t errors() const override { return errors_; }
  std::string last_error() const override { return last_error_; }

 private:
  // The first two are called within poll(), on its thread.
  static void on_delivered(rd_kafka_t* /*producer*/, const rd_kafka_message_t* message,
                           void* opaque) {
    auto& self = *static_cast<KafkaBroker*>(opaque);
    if (self.told_ == nullptr) return;
    const bool fine = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
    (*self.told_)(message->_private, fine ? "" : self.kafka_.err2str_(message->err));
  }
  static void on_error(rd_kafka_t* /*producer*/, int code, const char* why, void* opaque) {
    auto& self = *static_cast<KafkaBroker*>(opaque);
    ++self.errors_;
    self.last_error_ =
        fmt::format("{}: {}", self.kafka_.err2name_(static_cast<rd_kafka_resp_err_t>(code)), why);
    log_warn("sinks", fmt::format("{}: {}", self.name_, self.last_error_));
  }
  /// Thread: any of the library's.
  static void on_log(const rd_kafka_t* /*producer*/, int level, const char* /*facility*/,
                     const char* text) {
    constexpr int kSyslogWarning = 4;
    log_line(level <= kSyslogWarning ? LogLevel::warn : LogLevel::debug, "sinks", text);
  }

  const Library& kafka_;
  const std::string name_;
  const std::string topic_;
  rd_kafka_t* producer_ = nullptr;
  const Told* told_ = nullptr;  ///< while serve() runs
  size_t errors_ = 0;
  std::string last_error_;
};

}  // namespace

bool is_own_property(std::string_view name) {
  constexpr std::string_view kOwn[] = {
      "bootstrap.servers",
      "metadata.broker.list",
      "enable.idempotence",
      "enable.gapless.guarantee",
      "acks",
      "request.required.acks",
      "retries",
      "message.send.max.retries",
      "message.timeout.ms",
      "delivery.timeout.ms",
      "max.in.flight",
      "max.in.flight.requests.per.connection",
      "transactional.id",
      "queue.buffering.max.messages",
      "queue.buffering.max.kbytes",
      "plugin.library.paths",
  };
  return std::find(std::begin(kOwn), std::end(kOwn), name) != std::end(kOwn);
}

Status check_kafka(const KafkaSettings& settings, const std::string& key) {
  const auto kafka = library();
  if (!kafka) return Error(Errc::invalid, key + ": " + kafka.error().message());
  const auto conf = conf_of(**kafka, settings);
  if (!conf) return Error(Errc::invalid, key + "." + conf.error().message());
  return {};
}

Result<std::unique_ptr<Broker>> open_kafka(const KafkaSettings& settings) {
  const Library& kafka = *TRY(library());
  auto broker = std::make_unique<KafkaBroker>(kafka, settings);
  auto conf = TRY(conf_of(kafka, settings));
  TRY(broker->open(std::move(conf)));
  return std::unique_ptr<Broker>(std::move(broker));
}

}  // namespace clickmill::sinks
