// Like the echo load, this one must be cheaper than any server. A subscriber compares its first
// delivery byte by byte. Afterwards the kernel discards what arrives (MSG_TRUNC), and the load only
// counts the bytes; over TLS it opens the records. At the end each subscriber must have received
// the right number of bytes. epoll_wait never sleeps while the load measures, because a wake-up of
// the load would be a part of the server's time.
//
// A publication is complete when all subscribers together have received its bytes.
#include "throughput/fan_load.h"

#include "throughput/packing.h"
#include "throughput/reply.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <stdexcept>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <utility>

namespace tern::bench {
namespace {

constexpr std::size_t most_discarded = std::size_t{1} << 20;
constexpr std::size_t buffer_bytes = std::size_t{64} << 10;
constexpr std::uint64_t least_publications = 5;
constexpr Seconds patience{5};

}  // namespace

FanLoad::FanLoad(const FanOptions& options)
    : options_(options),
      target_(Target::parse(options.url, options.deflate)),
      payload_(make_payload(options.kind, options.size)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      buffer_(buffer_bytes) {
  if (!epoll_) throw_errno("epoll_create1");
  const auto request =
      make_frame(opcode_of(options.kind), options.deflate ? pack(payload_) : payload_,
                 frame::Masking::masked, options.deflate);
  request_bytes_ = request.size();
  for (std::size_t i = 0; i < options.at_once; ++i) {
    requests_.insert(requests_.end(), request.begin(), request.end());
  }
  for (std::size_t i = 0; i < options.subscribers; ++i) {
    subscribers_.push_back({.wire = connect_and_upgrade(target_, source_of(i))});
    reset_on_close(subscribers_.back().wire.socket());
  }
  publisher_.push_back(connect_and_upgrade(target_, source_of(options.subscribers)));
  reset_on_close(publisher_.front().socket());
  compare_first();
  for (std::size_t i = 0; i < subscribers_.size(); ++i) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.u64 = i;
    const int socket = subscribers_[i].wire.socket();
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket, &event) != 0) throw_errno("epoll_ctl");
  }
}

void FanLoad::compare_first() {
  send_waiting(publisher_.front(), std::span(requests_).first(request_bytes_));
  const Reply first = read_reply(subscribers_.front().wire, payload_, true);
  std::vector<std::byte> got(first.bytes.size());
  for (Subscriber& each : std::span(subscribers_).subspan(1)) {
    for (std::size_t size = 0; size < got.size();) {
      size += receive_waiting(each.wire, std::span(got).subspan(size));
    }
    if (got != first.bytes) throw std::runtime_error("two subscribers received different bytes");
  }
  frame_bytes_ = first.bytes.size();
  round_bytes_ = frame_bytes_ * subscribers_.size();
}

FanResult FanLoad::run() {
  last_ = last_delivery_ = Clock::now();
  publish_for(options_.warm_up);
  const Snapshot begin = snapshot();
  publish_for(options_.duration);
  const Snapshot end = snapshot();
  check_all();

  FanResult result;
  result.deliveries = (end.bytes - begin.bytes) / frame_bytes_;
  result.seconds = Seconds(end.at - begin.at).count();
  result.client_busy = 1 - Seconds(end.idle - begin.idle).count() / result.seconds;
  result.server_busy = Seconds(end.server_cpu - begin.server_cpu).count() / result.seconds;
  result.frame_bytes = frame_bytes_;
  return result;
}

// Returns when all publications are complete, so that no work is left over for the next step.
void FanLoad::publish_for(Seconds duration) {
  const auto end = last_ + std::chrono::duration_cast<Clock::duration>(duration);
  const std::uint64_t least = published_ + least_publications;
  while (last_ < end || published_ < least) {
    if (published_ - complete() + options_.at_once <= options_.in_flight) publish(options_.at_once);
    turn();
  }
  while (complete() < published_) turn();
}

void FanLoad::check_all() const {
  for (const Subscriber& each : subscribers_) {
    if (each.bytes != published_ * frame_bytes_) {
      throw std::runtime_error("a subscriber received " + std::to_string(each.bytes) +
                               " bytes instead of " + std::to_string(published_ * frame_bytes_));
    }
  }
}

void FanLoad::publish_every(std::chrono::milliseconds interval) {
  for (auto due = Clock::now();; due += interval) {
    publish(1);
    for (;;) {
      const auto left = due + interval - Clock::now();
      if (left <= Clock::duration(0)) break;
      receive(static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count()));
    }
  }
}

void FanLoad::publish(std::size_t messages) {
  send_waiting(publisher_.front(), std::span(requests_).first(messages * request_bytes_));
  published_ += messages;
}

// One look at all sockets, without sleep.
void FanLoad::turn() {
  const bool any = receive(0);
  const Clock::time_point now = Clock::now();
  if (any) {
    last_delivery_ = now;
  } else {
    idle_ += now - last_;
    if (now - last_delivery_ > patience) throw std::runtime_error("no delivery for five seconds");
  }
  last_ = now;
}

// Returns whether there was an event.
bool FanLoad::receive(int timeout) {
  std::array<epoll_event, 512> events;
  const int ready =
      ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout);
  if (ready < 0 && errno != EINTR) throw_errno("epoll_wait");
  for (int i = 0; i < ready; ++i) {
    drain(subscribers_[events[static_cast<std::size_t>(i)].data.u64]);
  }
  return ready > 0;
}

void FanLoad::drain(Subscriber& subscriber) {
  Wire& wire = subscriber.wire;
  const bool opens = wire.is_tls();
  const std::size_t most = opens ? buffer_.size() : most_discarded;
  for (;;) {
    const ssize_t got = wire.receive(opens ? buffer_.data() : nullptr, most, opens ? 0 : MSG_TRUNC);
    if (got == 0) throw std::runtime_error("the server closed a connection");
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) throw_errno("recv");
    const auto size = static_cast<std::size_t>(got);
    subscriber.bytes += size;
    bytes_ += size;
    if (wire.was_emptied(size, most)) return;
  }
}

FanLoad::Snapshot FanLoad::snapshot() const {
  return {
      .at = last_,
      .bytes = bytes_,
      .idle = idle_,
      .server_cpu = options_.server != 0 ? cpu_time(options_.server) : std::chrono::nanoseconds{}};
}

std::string route_of(const std::string& echo_url, const std::string& path) {
  return echo_url.substr(0, echo_url.rfind('/')) + path;
}

}  // namespace tern::bench
