// Measures how long a small client waits while others load the server. It asks again before the
// last answer came, so a long stop of the server delays many answers, and each of them counts.
#include "throughput/bystander.h"

#include "throughput/frames.h"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <time.h>
#include <utility>

namespace tern::bench {
namespace {

constexpr std::size_t payload_bytes = 64;

std::vector<std::byte> frame_of(const std::string& payload, frame::Masking masking) {
  return make_frame(frame::Opcode::binary, payload, masking);
}

}  // namespace

Bystander::Bystander(Target target)
    : target_(std::move(target)), wire_(connect_and_upgrade(target_)) {
  const std::string payload = make_payload(PayloadKind::binary, payload_bytes);
  question_ = frame_of(payload, frame::Masking::masked);
  answer_ = frame_of(payload, frame::Masking::unmasked);
  got_.resize(answer_.size());
}

// The kernel always has room for these few bytes, even if the server reads nothing.
void Bystander::ask() {
  const ssize_t sent = wire_.send(question_);
  if (sent != static_cast<ssize_t>(question_.size())) throw_errno("the bystander cannot send");
}

// Returns the number of answers that came.
std::size_t Bystander::receive() {
  for (std::size_t answers = 0;;) {
    const ssize_t got = wire_.receive(got_.data() + got_bytes_, got_.size() - got_bytes_, 0);
    if (got == 0) throw std::runtime_error("the server ended the connection of the bystander");
    if (got < 0) {
      if (errno == EAGAIN) return answers;
      throw_errno("the bystander cannot receive");
    }
    got_bytes_ += static_cast<std::size_t>(got);
    if (got_bytes_ < got_.size()) continue;
    if (got_ != answer_) throw std::runtime_error("an answer is not the echo of the question");
    got_bytes_ = 0;
    ++answers;
  }
}

void Bystander::await(Clock::time_point until) const {
  const auto left = std::max(Clock::duration(0), until - Clock::now());
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
  const timespec time{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
  pollfd ready{.fd = wire_.socket(), .events = POLLIN, .revents = 0};
  if (::ppoll(&ready, 1, &time, nullptr) < 0 && errno != EINTR) throw_errno("ppoll");
}

Wait Bystander::watch(Seconds duration) {
  Wait wait;
  Latencies latencies;
  std::deque<Clock::time_point> asked;
  auto due = Clock::now();
  const auto end = due + std::chrono::duration_cast<Clock::duration>(duration);
  const auto give_up = end + patience;
  for (;;) {
    for (std::size_t answers = receive(); answers > 0 && !asked.empty(); --answers) {
      latencies.add(Clock::now() - asked.front());
      asked.pop_front();
      ++wait.answers;
    }
    const auto now = Clock::now();
    if (now >= (asked.empty() ? end : give_up)) break;
    if (now >= due && now < end) {
      ask();
      asked.push_back(now);
      due = std::max(due + every, now);
    }
    await(due < end ? due : asked.empty() ? end : give_up);
  }
  wait.starved = !asked.empty();
  for (const auto at : asked) latencies.add(Clock::now() - at);
  wait.latency = latencies.summary();
  return wait;
}

}  // namespace tern::bench
