#include "simulation/clients.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "click/batch.h"

namespace clickmill::simulation {

class Clients::Answer final : public collector::ClickAnswer {
 public:
  Answer(Clients& clients, uint64_t identity) : clients_(clients), identity_(identity) {}
  void written() override {
    if (clients_.answer_when_written_) clients_.acknowledged_.insert(identity_);
  }
  void durable() override {
    if (!waits_for_commit()) acknowledge();
  }
  void failed() override {}
  bool waits_for_commit() const override { return clients_.committed_by_ != nullptr; }
  void committed() override { acknowledge(); }
  bool acknowledged() const { return acknowledged_; }

 private:
  void acknowledge() {
    clients_.acknowledged_.insert(identity_);
    acknowledged_ = true;
  }
  Clients& clients_;
  const uint64_t identity_;
  bool acknowledged_ = false;
};

/// Holds it until its deadline, as an endpoint does.
void Clients::await(std::shared_ptr<Answer> answer) {
  if (committed_by_ == nullptr) return;
  const int64_t now = committed_by_->wall_ms();
  waiting_.emplace_back(now + kDeadlineMs, std::move(answer));
  for (; waiting_.front().first < now; waiting_.pop_front())
    unreplicated_ += waiting_.front().second->acknowledged() ? 0 : 1;
}

void Clients::send(SimNode& node, uint64_t identity, EventMs timestamp, log::Lane lane) {
  const std::string click_id = "c" + std::to_string(identity);
  const std::string ad_id = ad_of(identity);
  const std::string sending = "s" + std::to_string(sendings_++);
  const std::string referrer(random_.below(random_.one_in(4) ? 900 : 50), 'r');
  click::ClickView click;
  click.click_id = click_id;
  click.ad_id = ad_id;
  click.advertiser_id = "adv";
  click.timestamp_ms = timestamp;
  click.user_id = sending;
  click.referrer = referrer;
  std::string record;
  click::encode_record(click, record);
  const PartitionId partition = click::partition_of(ad_id, node.partition_count());
  auto& spool = node.machine().spool();
  auto answer = std::make_shared<Answer>(*this, identity);
  if (!spool.append(partition, std::move(record), false, lane, answer)) ++refused_;
  await(std::move(answer));
}

void Fates::add(const click::ClickView& click, bool again) {
  const bool is_copy =
      !identities_.insert(std::string(click.ad_id) + ' ' + std::string(click.click_id)).second;
  const bool is_new_sending = sendings_.insert(std::string(click.user_id)).second;
  // Our own resend is known by the number of its sending, whatever the batch says.
  if (is_copy && again) {
    ++tally_.resent;
  } else if (is_copy) {
    ++tally_.received;
    ++tally_.duplicate;
    if (!is_new_sending) ++unmarked_resends_;
  } else {
    ++tally_.received;
    add_verdict(click);
  }
}

void Fates::add_verdict(const click::ClickView& click) {
  // It agreed with a clock that stood behind the node's time.
  if ((click.flags & click::kBackfill) != 0) {
    ++tally_.counted;
    return;
  }
  const int64_t arrival = click.received_ms.value();
  const int64_t minute_end = click.timestamp_ms.value() / kMinuteMs * kMinuteMs + kMinuteMs;
  if (click.timestamp_ms.value() > arrival + 30'000) {
    ++tally_.review[static_cast<size_t>(stream::Reason::clock_ahead)];
  } else if (arrival > minute_end + 30'000) {
    ++tally_.review[static_cast<size_t>(stream::Reason::late)];
  } else {
    ++tally_.counted;
  }
}

std::optional<std::string> Fates::read(const cluster::Partition& partition) {
  const log::PartitionLog& log = partition.log();
  for (Offset next(1); next <= log.last();) {
    auto entries = log.read(next, 1 << 20);
    if (!entries) return entries.error().text();
    for (const auto& entry : *entries) {
      if (entry->first != next)
        return fmt::format("offset {} is followed by {}", next.value() - 1, entry->first.value());
      next = entry->last() + 1;
      if (auto problem = read(*entry)) return problem;
    }
  }
  return std::nullopt;
}

std::optional<std::string> Fates::read(const std::map<Offset, log::Entry>& entries) {
  for (const auto& [end, entry] : entries) {
    if (auto problem = read(entry)) return problem;
  }
  return std::nullopt;
}

std::optional<std::string> Fates::read(const log::Entry& entry) {
  if (entry.kind != static_cast<uint8_t>(click::EntryKind::clicks)) return std::nullopt;
  ByteCursor cursor(entry.payload);
  const auto header = click::decode_batch_header(cursor);
  if (!header) return header.error().text();
  click::RecordScratch scratch;
  while (!cursor.empty()) {
    const auto click = click::decode_record(cursor, scratch);
    if (!click) return click.error().text();
    add(*click, header->again);
  }
  return std::nullopt;
}

std::optional<std::string> Fates::check(const Clients& clients,
                                        const stream::Tally& streams) const {
  for (const uint64_t identity : clients.acknowledged()) {
    if (identities_.count(fmt::format("{} c{}", Clients::ad_of(identity), identity)) == 0)
      return fmt::format("click {} was acknowledged and is not in the log", identity);
  }
  if (unmarked_resends_ != 0)
    return fmt::format("{} resends count as clients' copies", unmarked_resends_);
  if (streams == tally_) return std::nullopt;
  const auto text = [](const stream::Tally& tally) {
    return fmt::format("counted {}, duplicate {}, resent {}, review by reason {}", tally.counted,
                       tally.duplicate, tally.resent, fmt::join(tally.review, " "));
  };
  return text(streams) + "; the log gives " + text(tally_);
}

}  // namespace clickmill::simulation
