#include "simulation/chain.h"

#include <fmt/format.h>

#include <algorithm>

namespace clickmill::simulation {
namespace {

constexpr uint64_t kSeed = 42;
constexpr uint64_t kFileBytes = 64 << 10;

std::string log_directory(uint32_t partition) { return "/log/" + std::to_string(partition); }

stream::Settings settings() {
  stream::Settings settings;
  settings.nodes = {"n1"};
  return settings;
}

}  // namespace

/// A node alone leads every partition; breaks what it is told to break.
class Chain::Router final : public cluster::Router {
 public:
  explicit Router(Chain& chain) : chain_(chain) {}
  void send(PartitionId partition, cluster::Batch&& batch, cluster::Committed committed) override {
    const Break& broken = chain_.options_.broken;
    if (broken.never_again) batch.again = false;
    if (broken.low_water_is_now) batch.low_water = chain_.node_clock_->now();
    if (chain_.outage_) return committed(Error(Errc::not_leader, "no leader"));
    auto& leader = *chain_.partitions_[partition.value()];
    if (!broken.commit_when_sent) return leader.submit(std::move(batch), std::move(committed));
    chain_.worker_.push_back([committed = std::move(committed)] { committed({}); });
    const auto late = std::make_shared<cluster::Batch>(std::move(batch));
    chain_.background_.push_back(
        [&leader, late] { leader.submit(std::move(*late), [](Status) {}); });
  }

 private:
  Chain& chain_;
};

class Chain::Answer final : public collector::ClickAnswer {
 public:
  Answer(Chain& chain, uint64_t identity) : chain_(chain), identity_(identity) {}
  void written() override {
    if (chain_.options_.broken.answer_when_written) chain_.acknowledged_.insert(identity_);
  }
  void durable() override { chain_.acknowledged_.insert(identity_); }
  void failed() override {}

 private:
  Chain& chain_;
  const uint64_t identity_;
};

Chain::Chain(uint64_t seed, Options options) : files(seed), options_(options), random_(seed) {}

Chain::~Chain() { journal_.reset(); }

std::optional<std::string> Chain::open_partition(uint32_t id) {
  auto segments =
      log::Segments::open(files, log_directory(id), codec_, {.segment_bytes = 64 << 10});
  if (!segments) return segments.error().text();
  auto pipeline =
      stream::Pipeline::open(PartitionId(id), state_, files,
                             {.seed = kSeed, .store_directory = "/store", .flush_rows = 8});
  if (!pipeline) return pipeline.error().text();
  cluster::Partition::Options options;
  options.node_id = "n1";
  options.settings = settings();
  options.checkpoint_interval_ms = 20'000;
  options.low_water = [this](PartitionId partition) {
    return options_.broken.low_water_is_now ? node_clock_->now() : spool_->low_water(partition);
  };
  options.in_background = [this](std::function<void()> task) {
    background_.push_back(std::move(task));
    return true;
  };
  options.on_worker = [this](std::function<void()> task) { worker_.push_back(std::move(task)); };
  partitions_.push_back(
      std::make_unique<cluster::Partition>(PartitionId(id), *node_clock_, *std::move(segments),
                                           *std::move(pipeline), std::move(options)));
  return std::nullopt;
}

std::optional<std::string> Chain::open() {
  node_clock_ = std::make_unique<NodeClock>(clock);
  if (auto made = files.create_directories("/store"); !made) return made.error().text();
  for (uint32_t id = 0; id < options_.partitions; ++id) {
    if (auto problem = open_partition(id)) return problem;
  }
  std::vector<log::RecoveredLog> logs;
  for (const auto& partition : partitions_) logs.emplace_back(partition->segments().last());
  collector::RecoveredSpool spooled;
  log::Journal::Options journal;
  journal.file_bytes = kFileBytes;
  journal.group_bytes = 4 << 10;
  journal.unsynced_bytes = 16 << 10;
  journal.queue_bytes = options_.buffer_bytes;
  journal.reserve_bytes = options_.reserve_bytes;
  auto opened = log::Journal::open(
      files, "/journal", *node_clock_, journal,
      [&](JournalPos position, const log::RecordView& record) {
        const bool of_spool = collector::RecoveredSpool::is_of_spool(record.kind);
        return of_spool ? spooled.replay(position, record)
                        : logs[record.partition.value()].replay(position, record);
      });
  if (!opened) return opened.error().text();
  journal_ = *std::move(opened);
  for (size_t i = 0; i < logs.size(); ++i) {
    if (auto attached = partitions_[i]->open(*journal_, std::move(logs[i])); !attached)
      return attached.error().text();
  }
  spool_ = std::make_unique<collector::Spool>(
      *journal_, *node_clock_,
      collector::Spool::Options{.partitions = options_.partitions,
                                .memory_bytes = options_.spool_memory_bytes},
      [this](PartitionId id) { forwarder_->ready(id); });
  spool_->recover(std::move(spooled));
  router_ = std::make_unique<Router>(*this);
  forwarder_ = std::make_unique<collector::Forwarder>(
      *spool_, *router_, clock, collector::Forwarder::Options{.node_id = "n1", .batch_clicks = 20},
      random_.next());
  for (const auto& partition : partitions_) {
    while (partition->replay_slice()) {
    }
    forwarder_->ready(partition->id());
  }
  return failure();
}

void Chain::die(bool power_loss) {
  files.crash_at_operation(0);
  files.fail_sync_after(0);
  if (power_loss || files.crashed()) {
    files.crash();
    state_.crash();
    files.restart();
  } else {
    files.kill();
  }
  // The journal tells what waits in it that it failed: nobody hears that any more.
  journal_.reset();
  worker_.clear();
  background_.clear();
  forwarder_.reset();
  router_.reset();
  spool_.reset();
  partitions_.clear();
  node_clock_.reset();
}

void Chain::send_click(uint64_t identity, int64_t timestamp_off_ms, log::Lane lane) {
  const std::string click_id = "c" + std::to_string(identity);
  const std::string ad_id = "ad" + std::to_string(identity % 7);
  const std::string sending = "s" + std::to_string(sendings_++);
  const std::string referrer(random_.below(random_.one_in(4) ? 900 : 50), 'r');
  click::ClickView click;
  click.click_id = click_id;
  click.ad_id = ad_id;
  click.advertiser_id = "adv";
  click.timestamp_ms = EventMs(clock.wall_ms() + timestamp_off_ms);
  click.user_id = sending;
  click.referrer = referrer;
  std::string record;
  click::encode_record(click, record);
  const PartitionId partition = click::partition_of(ad_id, options_.partitions);
  if (!spool_->append(partition, std::move(record), false, lane,
                      std::make_shared<Answer>(*this, identity)))
    ++refused_;
}

bool Chain::run_worker(size_t most) {
  const bool any = !worker_.empty();
  for (size_t i = 0; i < most && !worker_.empty(); ++i) {
    auto message = std::move(worker_.front());
    worker_.pop_front();
    message();
  }
  return any;
}

void Chain::run_background(size_t most) {
  for (size_t i = 0; i < most && !background_.empty(); ++i) {
    auto task = std::move(background_.front());
    background_.pop_front();
    task();
  }
}

void Chain::maintain() {
  for (const auto& partition : partitions_) partition->maintain();
  forwarder_->forward();
}

void Chain::release() {
  spool_->write_trims();
  const uint64_t current = journal_->current_file();
  const JournalPos begin(current * kFileBytes);
  if (current > 3) spool_->copy_forward(JournalPos((current - 3) * kFileBytes), kFileBytes / 8);
  JournalPos oldest = std::min(begin, spool_->oldest_needed());
  for (const auto& partition : partitions_) {
    if (current > 3)
      partition->release_soon(JournalPos((current - 3) * kFileBytes), kFileBytes / 8);
    oldest = std::min(oldest, partition->oldest_needed());
  }
  journal_->release_before(options_.broken.free_at_once ? begin : oldest);
}

bool Chain::settle() {
  for (int round = 0; round < 3000; ++round) {
    pump();
    run_background(SIZE_MAX);
    const bool worked = run_worker(SIZE_MAX);
    if (!worked && spool_->held_clicks() == 0 && journal_->queued_bytes() == 0) return true;
    clock.advance_ms(50);
    maintain();
    release();
    if (failure() || journal_closed()) return false;
  }
  return false;
}

std::optional<std::string> Chain::failure() const {
  for (const auto& partition : partitions_) {
    if (partition->failure()) return partition->failure()->text();
  }
  return std::nullopt;
}

stream::Tally Chain::total() const {
  stream::Tally total;
  for (const auto& partition : partitions_) {
    const stream::Tally& tally = partition->pipeline().tally();
    total.received += tally.received;
    total.counted += tally.counted;
    total.duplicate += tally.duplicate;
    total.resent += tally.resent;
    for (size_t i = 0; i < total.review.size(); ++i) total.review[i] += tally.review[i];
  }
  return total;
}

std::optional<std::string> Chain::check_tallies() const {
  const stream::Tally tally = total();
  if (tally.received == tally.counted + tally.duplicate + tally.review_total()) return std::nullopt;
  return fmt::format("received {} is not counted {} + duplicate {} + review {}", tally.received,
                     tally.counted, tally.duplicate, tally.review_total());
}

/// What a reader of the log alone, who knows nothing of batching, tables or
/// horizons, says of every click in it.
struct Chain::Fates {
  std::set<std::string> identities;
  std::set<std::string> sendings;
  stream::Tally tally;

  void add(const click::ClickView& click, bool again) {
    const bool is_copy =
        !identities.insert(std::string(click.ad_id) + ' ' + std::string(click.click_id)).second;
    const bool is_new_sending = sendings.insert(std::string(click.user_id)).second;
    // Our own resend is known by the number of its sending, whatever the batch says.
    if (is_copy && again) {
      ++tally.resent;
    } else if (is_copy) {
      ++tally.received;
      ++tally.duplicate;
      if (!is_new_sending) ++unmarked_resends;
    } else {
      ++tally.received;
      add_verdict(click);
    }
  }
  void add_verdict(const click::ClickView& click) {
    const int64_t arrival = click.received_ms.value();
    const int64_t minute_end = click.timestamp_ms.value() / kMinuteMs * kMinuteMs + kMinuteMs;
    if (click.timestamp_ms.value() > arrival + 30'000) {
      ++tally.review[static_cast<size_t>(stream::Reason::clock_ahead)];
    } else if (arrival > minute_end + 30'000) {
      ++tally.review[static_cast<size_t>(stream::Reason::late)];
    } else {
      ++tally.counted;
    }
  }
  uint64_t unmarked_resends = 0;
};

std::optional<std::string> Chain::walk(const cluster::Partition& partition, Fates& fates) const {
  const log::PartitionLog& log = partition.log();
  for (Offset next(1); next <= log.last();) {
    auto entries = log.read(next, 1 << 20);
    if (!entries) return entries.error().text();
    for (const auto& entry : *entries) {
      if (entry->first != next)
        return fmt::format("offset {} is followed by {}", next.value() - 1, entry->first.value());
      next = entry->last() + 1;
      if (entry->kind != static_cast<uint8_t>(click::EntryKind::clicks)) continue;
      ByteCursor cursor(entry->payload);
      const auto header = click::decode_batch_header(cursor);
      if (!header) return header.error().text();
      click::RecordScratch scratch;
      while (!cursor.empty()) {
        const auto click = click::decode_record(cursor, scratch);
        if (!click) return click.error().text();
        fates.add(*click, header->again);
      }
    }
  }
  return std::nullopt;
}

std::optional<std::string> Chain::check_at_the_end() const {
  Fates fates;
  for (const auto& partition : partitions_) {
    if (partition->pipeline().applied() != partition->log().last())
      return "the stream has not applied all";
    if (auto problem = walk(*partition, fates)) return problem;
  }
  for (const uint64_t identity : acknowledged_) {
    if (fates.identities.count(fmt::format("ad{} c{}", identity % 7, identity)) == 0) {
      return fmt::format("click {} was acknowledged and is not in the log", identity);
    }
  }
  if (fates.unmarked_resends != 0)
    return fmt::format("{} resends count as clients' copies", fates.unmarked_resends);
  if (auto problem = check_tallies()) return problem;
  const stream::Tally stream = total();
  if (stream == fates.tally) return std::nullopt;
  return fmt::format("counted {}, duplicate {}, resent {}, review {}; the log gives {}, {}, {}, {}",
                     stream.counted, stream.duplicate, stream.resent, stream.review_total(),
                     fates.tally.counted, fates.tally.duplicate, fates.tally.resent,
                     fates.tally.review_total());
}

}  // namespace clickmill::simulation
