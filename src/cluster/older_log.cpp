#include "cluster/older_log.h"

#include <fmt/format.h>

#include <utility>

#include "base/logging.h"

namespace clickmill::cluster {

/// `then` gets what `work` gave, on the worker.
template <typename Work, typename Then>
void OlderLog::in_background(Work work, Then then) {
  stage_ = Stage::busy;
  const bool taken = options_.in_background(
      [self = shared_from_this(), work = std::move(work), then = std::move(then)] {
        auto done = std::make_shared<decltype(work())>(work());
        self->options_.on_worker([self, then, done] {
          if (self->stage_ != Stage::over) then(std::move(*done));
        });
      });
  if (!taken) give_up("too much waits");
}

void OlderLog::step(const std::vector<std::string>& nodes, LogMs log_time) {
  if (stage_ == Stage::pulling) return pull();
  if (stage_ != Stage::idle || segments_.first() <= Offset(1) || nodes.empty()) return;
  if (clock_.monotonic_ns() < again_ns_) return;
  if (!turn_) turn_ = options_.turn();
  if (!turn_) return;
  // A day less, since a segment goes as a whole.
  kept_from_ = LogMs(log_time.value() - options_.kept_ms + kDayMs);
  before_ = segments_.first();
  ask_next(nodes);
}

void OlderLog::ask_next(const std::vector<std::string>& nodes) {
  if (asked_ >= nodes.size()) {
    asked_ = 0;
    return wait(kAgainNs);
  }
  stage_ = Stage::busy;
  const std::string node = nodes[asked_++];
  options_.ask(node, before_, Offset(0), [self = shared_from_this(), node](auto answer) {
    if (self->stage_ != Stage::over) self->headed(node, std::move(answer));
  });
}

/// Who has nothing is passed over; the next step asks the next.
void OlderLog::headed(const std::string& node, Result<std::string> answer) {
  stage_ = Stage::idle;
  // It may be starting, or away.
  if (!answer && answer.error().code() != Errc::not_found) return wait(kAfterErrorNs);
  if (!answer) return;
  const auto head = decode_older_head(*answer);
  if (!head || head->first >= before_ || head->newest_ms < kept_from_) return;
  from_ = node;
  begin(*head);
}

void OlderLog::begin(const OlderHead& head) {
  head_ = head;
  log_info("log", fmt::format("partition {}: its log begins at offset {}: gets what is before, "
                              "from {} on, from node {}",
                              options_.id.value(), before_.value(), head.first.value(), from_));
  in_background(
      [self = shared_from_this()]() -> Written {
        return std::shared_ptr<log::OlderSegment>(
            TRY(self->segments_.begin_older(self->head_.first)));
      },
      [this](Written begun) {
        if (!begun) return give_up(begun.error().text());
        segment_ = *std::move(begun);
        stage_ = Stage::pulling;
      });
}

void OlderLog::pull() {
  stage_ = Stage::busy;
  options_.ask(from_, before_, segment_->next(), [self = shared_from_this()](auto answer) {
    if (self->stage_ != Stage::over) self->came(std::move(answer));
  });
}

void OlderLog::came(Result<std::string> answer) {
  if (!answer) return give_up(answer.error().text());
  auto entries = decode_blocks(*answer);
  if (!entries) return give_up(entries.error().text());
  std::erase_if(*entries, [&](const log::Entry& entry) { return entry.last() >= before_; });
  if (entries->empty()) return give_up("the node has dropped it meanwhile");
  options_.bytes->add(answer->size());
  write(*std::move(entries));
}

void OlderLog::write(std::vector<log::Entry> entries) {
  const auto shared = std::make_shared<const std::vector<log::Entry>>(std::move(entries));
  in_background([segment = segment_, shared] { return segment->add(*shared); },
                [this](const Status& added) {
                  if (!added) return give_up(added.error().text());
                  stage_ = Stage::pulling;
                  if (segment_->next() == before_) put_in_front();
                });
}

void OlderLog::put_in_front() {
  in_background(
      [self = shared_from_this(), segment = segment_] {
        return self->segments_.take_older(*segment, self->head_.before);
      },
      [this](const Status& taken) {
        if (!taken) return give_up(taken.error().text());
        trouble_.clear();
        asked_ = 0;
        wait(0);
      });
}

void OlderLog::wait(int64_t for_ns) {
  stage_ = Stage::idle;
  from_.clear();
  // The end of its file takes a while.
  if (segment_)
    ignore(options_.in_background([segment = std::exchange(segment_, nullptr)] {}),
           "then it ends here");
  if (for_ns == 0) return;
  again_ns_ = clock_.monotonic_ns() + for_ns;
  turn_.reset();
}

/// What one node can't give, the next may.
void OlderLog::give_up(const std::string& why) {
  if (why != trouble_)
    log_warn("log", fmt::format("partition {}: can't get its older log: {}; trying again later",
                                options_.id.value(), why));
  trouble_ = why;
  wait(kAfterErrorNs);
}

}  // namespace clickmill::cluster
