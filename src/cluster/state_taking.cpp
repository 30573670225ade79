#include "cluster/state_taking.h"

#include <fmt/format.h>

#include <utility>

#include "base/logging.h"

namespace clickmill::cluster {
namespace {

// Before the first one the node has been told that ids of any hour may come, and drops none.
constexpr uint32_t kRoundsBefore = 3;
constexpr int64_t kAskAgainNs = 200'000'000;
constexpr uint32_t kUnansweredMost = 100;
constexpr size_t kCheckBytes = 32 << 20;

}  // namespace

std::shared_ptr<void> StateTurns::take() {
  if (left_->fetch_sub(1) <= 0) {
    left_->fetch_add(1);
    return nullptr;
  }
  return {left_.get(), [left = left_](void*) { left->fetch_add(1); }};
}

std::shared_ptr<StateTaking> StateTaking::leave(Options options, StateOffer place) {
  auto leaving = std::make_shared<StateTaking>(std::move(options));
  leaving->offer_ = std::move(place);
  leaving->leaves_ = true;
  leaving->stage_ = Stage::whole;
  return leaving;
}

void StateTaking::run(Task task) {
  if (options_.in_background(task)) return;
  task_ = std::move(task);
}

void StateTaking::step(int64_t now_ns) {
  now_ns_ = now_ns;
  if (task_) return run(std::exchange(task_, nullptr));
  if (stage_ == Stage::waiting && ++rounds_ >= kRoundsBefore) begin();
  if (stage_ == Stage::arriving && again_ns_ != 0 && now_ns >= again_ns_) pull();
}

void StateTaking::begin() {
  if (unwanted_) return end();
  turn_ = options_.turn();
  if (!turn_) return;
  stage_ = Stage::asking;
  StateQuestion question;
  question.partition = options_.id;
  options_.ask(options_.from, encode(question),
               [self = shared_from_this()](auto answer) { self->offered(std::move(answer)); });
}

void StateTaking::offered(Result<std::string> answer) {
  if (!answer) {
    // It gives others to somebody else, most of the time.
    if (answer.error().code() != Errc::busy) trouble_ = answer.error().text();
    return end();
  }
  auto offer = decode_state_offer(*answer);
  if (!offer) {
    trouble_ = offer.error().text();
    return end();
  }
  offer_ = *std::move(offer);
  if (unwanted_) return end();
  run([self = shared_from_this()] {
    using Begun = Result<std::unique_ptr<stream::ArrivingState>>;
    auto begun =
        std::make_shared<Begun>(self->options_.rebuilder->begin_arrival(self->offer_.head));
    self->options_.on_worker([self, begun] { self->begun(std::move(*begun)); });
  });
}

void StateTaking::begun(Result<std::unique_ptr<stream::ArrivingState>> arriving) {
  if (!arriving) {
    trouble_ = arriving.error().text();
    return end();
  }
  arriving_ = *std::move(arriving);
  stage_ = Stage::arriving;
  log_info(
      "stream",
      fmt::format("partition {}: its log can't be caught up: it takes the state at offset {} "
                  "from node {}, {} bytes",
                  options_.id.value(), offer_.upto().value(), options_.from, offer_.head.bytes()));
  pull();
}

void StateTaking::pull() {
  if (unwanted_) return give_up({});
  again_ns_ = 0;
  StateQuestion question;
  question.kind = StateQuestion::Kind::piece;
  question.partition = options_.id;
  question.transfer = offer_.transfer;
  question.cursor = arriving_->next();
  options_.ask(options_.from, encode(question),
               [self = shared_from_this()](auto answer) { self->came(std::move(answer)); });
}

void StateTaking::came(Result<std::string> answer) {
  if (!answer) {
    const bool passes = answer.error().code() == Errc::io || answer.error().code() == Errc::busy;
    if (!passes || ++unanswered_ > kUnansweredMost) return give_up(answer.error().text());
    again_ns_ = now_ns_ + kAskAgainNs;
    return;
  }
  unanswered_ = 0;
  bytes_ += answer->size();
  options_.counts->bytes.add(answer->size());
  const auto piece = std::make_shared<const std::string>(*std::move(answer));
  run([self = shared_from_this(), piece] {
    const auto taken = std::make_shared<const Status>(self->arriving_->take(*piece));
    self->options_.on_worker([self, taken] { self->took(*taken); });
  });
}

void StateTaking::took(const Status& taken) {
  if (!taken) return give_up(taken.error().text());
  if (unwanted_) return give_up({});
  if (!arriving_->complete()) return pull();
  StateQuestion question;
  question.kind = StateQuestion::Kind::end;
  question.transfer = offer_.transfer;
  options_.ask(options_.from, encode(question), [](const Result<std::string>&) {});
  check();
}

/// A large one takes long: others have the background in between.
void StateTaking::check() {
  run([self = shared_from_this()] {
    const auto all = std::make_shared<const Result<bool>>(self->arriving_->check_some(kCheckBytes));
    self->options_.on_worker([self, all] { self->checked(*all); });
  });
}

void StateTaking::checked(const Result<bool>& all) {
  if (!all) return give_up(all.error().text());
  if (unwanted_) return give_up({});
  *all ? finish() : check();
}

void StateTaking::finish() {
  run([self = shared_from_this()] {
    const auto done = std::make_shared<const Status>(self->arriving_->finish());
    self->options_.on_worker([self, done] {
      if (!*done) return self->give_up(done->error().text());
      if (self->unwanted_) return self->give_up({});
      self->stage_ = Stage::whole;
    });
  });
}

void StateTaking::abandon() {
  unwanted_ = true;
  if (stage_ == Stage::whole) give_up({});
}

void StateTaking::give_up(const std::string& why) {
  if (leaves_) return end();
  stage_ = Stage::ending;
  trouble_ = why;
  run([self = shared_from_this()] {
    const auto done = std::make_shared<const Status>(self->arriving_->abandon());
    self->options_.on_worker([self, done] {
      if (!*done) log_warn("stream", done->error().text());
      self->end();
    });
  });
}

void StateTaking::taken() {
  if (leaves_) return end();
  options_.counts->taken.add(1);
  end();
}

void StateTaking::end() {
  stage_ = Stage::over;
  turn_.reset();
  if (trouble_.empty()) return;
  options_.counts->failed.add(1);
  trouble_ = fmt::format("partition {}: can't take a state from node {}: {}", options_.id.value(),
                         options_.from, trouble_);
}

}  // namespace clickmill::cluster
