// A frame: u8 kind (0: an answer) | u64 id | the question; an answer's rest is
//   u8 0 | the answer, or u8 1 + Errc | the message for people
#include "cluster/calls.h"

#include <fmt/format.h>

#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace clickmill::cluster {
namespace {

constexpr int64_t kPatienceNs = 10'000'000'000;
constexpr auto kErrcLast = static_cast<uint8_t>(Errc::closed);

std::string frame_of(uint8_t kind, uint64_t id, std::string_view rest) {
  std::string frame;
  frame.reserve(rest.size() + 9);
  ByteWriter writer(frame);
  writer.u8(kind);
  writer.u64(id);
  writer.raw(rest);
  return frame;
}

std::string answer_of(const Result<std::string>& answer) {
  std::string rest;
  ByteWriter writer(rest);
  writer.u8(answer ? 0 : static_cast<uint8_t>(1 + static_cast<uint8_t>(answer.error().code())));
  writer.raw(answer ? *answer : answer.error().message());
  return rest;
}

/// Answers come in pieces of up to megabytes only where blocks were asked for.
peer::Lane lane_of_answer(CallKind kind) {
  const bool large = kind == CallKind::blocks || kind == CallKind::page ||
                     kind == CallKind::state || kind == CallKind::rows ||
                     kind == CallKind::partition || kind == CallKind::older;
  return large ? peer::Lane::bulk : peer::Lane::call;
}

}  // namespace

void Calls::serve(CallKind kind, Serve serve) {
  serves_[static_cast<size_t>(kind)] = std::move(serve);
}

void Calls::ask(const std::string& node, CallKind kind, std::string_view question, Answer answer) {
  std::optional<uint64_t> id;
  {
    const std::lock_guard lock(mutex_);
    if (!stopped_) {
      id = next_id_++;
      asked_.emplace(*id, Asked{node, clock_.monotonic_ns() + kPatienceNs, std::move(answer)});
    }
  }
  if (!id) return answer(Error(Errc::closed, "the node stops"));
  auto frame = frame_of(static_cast<uint8_t>(kind), *id, question);
  if (transport_ != nullptr && transport_->send(node, peer::Lane::call, std::move(frame))) return;
  Answer refused;
  {
    const std::lock_guard lock(mutex_);
    const auto at = asked_.find(*id);
    // The link may have gone down meanwhile, and said so.
    if (at == asked_.end()) return;
    refused = std::move(at->second.answer);
    asked_.erase(at);
  }
  refused(Error(Errc::busy, fmt::format("node {} can't be reached now", node)));
}

void Calls::on_frame(const std::string& from, std::string_view frame) {
  ByteCursor cursor(frame);
  const uint8_t kind = cursor.u8();
  const uint64_t id = cursor.u64();
  if (!cursor.ok() || kind >= serves_.size()) return;
  if (kind == 0) return on_answer(from, id, cursor.rest());
  const auto asked = static_cast<CallKind>(kind);
  const auto respond = [this, from, id, asked](const Result<std::string>& answer) {
    // Who can't be answered hears of it by the link, or waits until its patience ends.
    if (transport_ != nullptr)
      transport_->send(from, lane_of_answer(asked), frame_of(0, id, answer_of(answer)));
  };
  const Serve& serve = serves_[kind];
  if (!serve) return respond(Error(Errc::invalid, "a question that this node doesn't know"));
  serve(from, cursor.rest(), respond);
}

void Calls::on_answer(const std::string& from, uint64_t id, std::string_view rest) {
  ByteCursor cursor(rest);
  const uint8_t code = cursor.u8();
  if (!cursor.ok() || code > kErrcLast + 1) return;
  Answer answer;
  {
    const std::lock_guard lock(mutex_);
    const auto at = asked_.find(id);
    if (at == asked_.end() || at->second.node != from) return;
    answer = std::move(at->second.answer);
    asked_.erase(at);
  }
  if (code == 0) return answer(std::string(cursor.rest()));
  answer(Error(static_cast<Errc>(code - 1), std::string(cursor.rest())));
}

void Calls::give_up(const Which& which, const std::string& why) {
  std::vector<Answer> given_up;
  {
    const std::lock_guard lock(mutex_);
    for (auto at = asked_.begin(); at != asked_.end();) {
      if (!which(at->second)) {
        ++at;
        continue;
      }
      given_up.push_back(std::move(at->second.answer));
      at = asked_.erase(at);
    }
  }
  for (const Answer& answer : given_up) answer(Error(Errc::io, why));
}

void Calls::on_link_down(const std::string& node) {
  give_up([&](const Asked& asked) { return asked.node == node; },
          fmt::format("the link to node {} broke", node));
}

void Calls::expire() {
  const int64_t now = clock_.monotonic_ns();
  give_up([&](const Asked& asked) { return asked.until_ns <= now; }, "no answer in time");
}

void Calls::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  give_up([](const Asked&) { return true; }, "the node stops");
}

}  // namespace clickmill::cluster
