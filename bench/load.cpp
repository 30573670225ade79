#include "load.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "connection.h"

namespace clickmill::bench {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;
/// How long after the run's end answers and late sends are waited for.
constexpr uint64_t kDrainNs = 15 * kSecondNs;
constexpr uint64_t kReconnectNs = kSecondNs / 10;
/// Reconnects and the run's end are looked at this often when nothing happens.
constexpr int kIdleWaitMs = 20;
/// Copies are made of one of this many newest clicks, as retries are.
constexpr uint64_t kCopyDistanceMax = 50'000;

uint64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * kSecondNs + static_cast<uint64_t>(now.tv_nsec);
}

int64_t wall_ms() {
  auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count();
}

Error failed(const char* call) {
  return Error(Errc::io, fmt::format("{}: {}", call, std::strerror(errno)));
}

class Load {
 public:
  Load(const Options& options, ClickSource& source, Ledger& ledger)
      : options_(options), source_(source), ledger_(ledger), random_(options.seed ^ 0x5eed) {}
  ~Load() {
    if (timer_ >= 0) close(timer_);
    if (epoll_ >= 0) close(epoll_);
  }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  Result<LoadReport> run();

 private:
  struct Slot {
    Connection connection;
    bool busy = false;
    uint64_t number = 0;       ///< of the click in flight
    uint64_t intended_ns = 0;  ///< when it was due
  };

  Status open();
  void open_connections(uint64_t now);
  void send_due(uint64_t now);
  void send(Slot& slot, uint64_t intended_ns);
  uint64_t next_number();
  void arm_timer();
  void handle(Slot& slot, uint32_t events);
  void finish(Slot& slot, int status);
  void note_slow(uint64_t latency_ns);
  void lose(Slot& slot);
  bool done(uint64_t now) const;
  uint64_t due_ns(uint64_t index) const { return begin_ns_ + index * kSecondNs / options_.rate; }
  uint64_t random() {
    random_ = random_ * 6364136223846793005 + 1442695040888963407;
    return random_ >> 33;
  }

  const Options& options_;
  ClickSource& source_;
  Ledger& ledger_;
  uint64_t random_;
  LoadReport report_;
  int epoll_ = -1;
  int timer_ = -1;
  std::vector<Slot> slots_;
  std::vector<uint32_t> idle_;
  std::vector<uint32_t> closed_;
  uint64_t begin_ns_ = 0;
  uint64_t end_ns_ = 0;
  uint64_t last_answer_ns_ = 0;
  uint64_t next_connect_ns_ = 0;
  uint64_t armed_ns_ = 0;  ///< what the timer was last set to
  uint64_t offered_ = 0;   ///< clicks taken off the schedule
  uint32_t busy_ = 0;
  std::string request_;
};

Status Load::open() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) return failed("epoll_create1");
  timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (timer_ < 0) return failed("timerfd_create");
  epoll_event event{};
  // Edge-triggered, so that it need not be read: setting it anew clears it.
  event.events = EPOLLIN | EPOLLET;
  event.data.u32 = options_.connections;  // the slot after the last one is the timer
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, timer_, &event) != 0) return failed("epoll_ctl");
  slots_.resize(options_.connections);
  for (uint32_t at = options_.connections; at > 0; --at) closed_.push_back(at - 1);
  return {};
}

void Load::open_connections(uint64_t now) {
  if (closed_.empty() || now < next_connect_ns_) return;
  for (uint32_t at : std::exchange(closed_, {})) {
    Connection& connection = slots_[at].connection;
    if (!connection.open(options_.collector)) {
      ++report_.connect_failures;
      closed_.push_back(at);
      continue;
    }
    epoll_event event{};
    // Edge-triggered: writability is told once the connection stands and after a full buffer.
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.u32 = at;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd(), &event);
  }
  next_connect_ns_ = now + kReconnectNs;
}

uint64_t Load::next_number() {
  uint64_t known = ledger_.size();
  bool copy = known > 0 && static_cast<double>(random()) < options_.duplicates * 0x1p31;
  if (!copy) return ledger_.add();
  ++report_.copies;
  return known - 1 - random() % std::min(known, kCopyDistanceMax);
}

void Load::send(Slot& slot, uint64_t intended_ns) {
  slot.number = next_number();
  slot.intended_ns = intended_ns;
  slot.busy = true;
  ++busy_;
  source_.write_request(slot.number, wall_ms(), request_);
  ++report_.requests;
  report_.request_bytes += request_.size();
  ledger_.sent(slot.number);
  if (!slot.connection.send(request_)) lose(slot);
}

void Load::send_due(uint64_t now) {
  while (!idle_.empty()) {
    bool due =
        options_.rate == 0 ? now < end_ns_ : due_ns(offered_) <= now && due_ns(offered_) < end_ns_;
    if (!due) return;
    Slot& slot = slots_[idle_.back()];
    idle_.pop_back();
    uint64_t intended_ns = options_.rate == 0 ? now_ns() : due_ns(offered_);
    ++offered_;
    send(slot, intended_ns);
  }
}

void Load::arm_timer() {
  // Without a free connection the next answer wakes us; otherwise the next due click does.
  if (options_.rate == 0 || idle_.empty()) return;
  uint64_t wake_ns = due_ns(offered_);
  // Most answers come before the next click is due: the timer is right already.
  if (wake_ns == armed_ns_) return;
  armed_ns_ = wake_ns;
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(wake_ns / kSecondNs);
  when.it_value.tv_nsec = static_cast<long>(wake_ns % kSecondNs);
  timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
}

void Load::lose(Slot& slot) {
  if (slot.busy) {
    ++report_.unanswered;
    slot.busy = false;
    --busy_;
  } else {
    std::erase(idle_, static_cast<uint32_t>(&slot - slots_.data()));
  }
  slot.connection.close();
  closed_.push_back(static_cast<uint32_t>(&slot - slots_.data()));
}

void Load::finish(Slot& slot, int status) {
  last_answer_ns_ = now_ns();
  report_.latency_ns.add(last_answer_ns_ - slot.intended_ns);
  if (options_.slowest > 0) note_slow(last_answer_ns_ - slot.intended_ns);
  ++report_.answers_by_status[status];
  if (status == 302) ledger_.answered(slot.number);
  slot.busy = false;
  --busy_;
  idle_.push_back(static_cast<uint32_t>(&slot - slots_.data()));
}

void Load::note_slow(uint64_t latency_ns) {
  auto& slowest = report_.slowest;
  if (slowest.size() >= options_.slowest) {
    if (latency_ns <= slowest.begin()->first) return;
    slowest.erase(slowest.begin());
  }
  slowest.emplace(latency_ns,
                  static_cast<double>(wall_ms()) - static_cast<double>(latency_ns) / 1e6);
}

void Load::handle(Slot& slot, uint32_t events) {
  Connection& connection = slot.connection;
  if (!connection.is_open()) return;  // lost earlier in this round
  if (connection.connecting()) {
    if (events & (EPOLLERR | EPOLLHUP)) {
      ++report_.connect_failures;
      connection.close();
      closed_.push_back(static_cast<uint32_t>(&slot - slots_.data()));
      return;
    }
    if (!(events & EPOLLOUT)) return;
    connection.connected();
    idle_.push_back(static_cast<uint32_t>(&slot - slots_.data()));
  } else if ((events & EPOLLOUT) && !connection.flush()) {
    return lose(slot);
  }
  if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP))) return;
  auto answer = connection.receive();
  if (answer.status != 0 && slot.busy) finish(slot, answer.status);
  if (answer.closed) lose(slot);
}

bool Load::done(uint64_t now) const {
  if (now < end_ns_) return false;
  bool all_sent = options_.rate == 0 || due_ns(offered_) >= end_ns_;
  return (all_sent && busy_ == 0) || now >= end_ns_ + kDrainNs;
}

Result<LoadReport> Load::run() {
  TRY(open());
  open_connections(now_ns());
  begin_ns_ = now_ns();
  end_ns_ = begin_ns_ + options_.seconds * kSecondNs;
  std::array<epoll_event, 256> events{};
  for (uint64_t now = begin_ns_; !done(now); now = now_ns()) {
    open_connections(now);
    send_due(now);
    arm_timer();
    int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), kIdleWaitMs);
    if (count < 0 && errno != EINTR) return failed("epoll_wait");
    for (int at = 0; at < count; ++at) {
      const epoll_event& event = events[static_cast<size_t>(at)];
      if (event.data.u32 != options_.connections) {
        handle(slots_[event.data.u32], event.events);
      }
    }
  }
  report_.unanswered += busy_;
  if (options_.rate != 0) {
    uint64_t planned = options_.rate * options_.seconds;
    report_.never_sent = planned > offered_ ? planned - offered_ : 0;
  }
  uint64_t last_ns = std::max(last_answer_ns_, begin_ns_ + 1);
  report_.elapsed_s = static_cast<double>(last_ns - begin_ns_) / static_cast<double>(kSecondNs);
  return std::move(report_);
}

}  // namespace

Result<LoadReport> run_load(const Options& options, ClickSource& source, Ledger& ledger) {
  return Load(options, source, ledger).run();
}

}  // namespace clickmill::bench
