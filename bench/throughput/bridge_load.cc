// It works like the load of a fan-out: the kernel discards the bytes that arrive, and the load
// counts them. A publication is complete when all subscribers together have received its bytes.
#include "throughput/bridge_load.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <utility>

namespace tern::bench {
namespace {

constexpr std::size_t most_discarded = std::size_t{1} << 20;
constexpr Seconds patience{10};
constexpr int silence_ms = 100;

Clock::duration ticks(Seconds time) { return std::chrono::duration_cast<Clock::duration>(time); }

}  // namespace

BridgeLoad::BridgeLoad(Source source, std::vector<net::Fd> sinks)
    : source_(std::move(source)), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) throw_errno("epoll_create1");
  for (std::size_t i = 0; i < sinks.size(); ++i) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = i;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, sinks[i].get(), &event) != 0) {
      throw_errno("epoll_ctl");
    }
    sinks_.push_back({.socket = std::move(sinks[i])});
  }
  learn_sizes();
}

// A broker may confirm a subscription late, so the first publications may reach no subscriber.
void BridgeLoad::learn_sizes() {
  const auto end = Clock::now() + ticks(patience);
  const auto reached = [](const Sink& sink) { return sink.bytes != 0; };
  while (!std::ranges::all_of(sinks_, reached)) {
    if (Clock::now() > end) throw std::runtime_error("no publication reaches all subscribers");
    send(1);
    wait_for_silence();
  }
  for (Sink& sink : sinks_) sink.bytes = 0;
  send(1);
  wait_for_silence();
  for (Sink& sink : sinks_) {
    sink.each = std::exchange(sink.bytes, 0);
    if (sink.each == 0) throw std::runtime_error("a publication did not reach all subscribers");
  }
  published_ = 0;
}

void BridgeLoad::wait_for_silence() {
  while (receive(silence_ms)) {
  }
}

// Returns when all publications are complete, or the missing ones were lost.
BridgeLoadResult BridgeLoad::publish_for(const BridgeLoadOptions& options, Seconds duration) {
  Latencies latencies;
  const std::uint64_t before = complete_;
  const auto begin = Clock::now();
  const auto end = begin + ticks(duration);
  auto now = begin;
  auto active = begin;  // the last delivery
  while (now < end || complete_ < published_) {
    if (now < end && published_ - complete_ + options.at_once <= options.in_flight) {
      send(options.at_once);
      active = sent_;
    }
    const std::uint64_t was = complete_;
    const bool any = receive(0);
    now = Clock::now();
    if (any) active = now;
    if (complete_ > was) latencies.add(now - sent_);
    if (now - active > ticks(options.rest)) break;
  }
  BridgeLoadResult result{.publications = complete_ - before,
                          .seconds = Seconds(active - begin).count(),
                          .latency = latencies.summary()};
  if (complete_ < published_) forget_lost();
  return result;
}

// The missing publications will not come, so the count begins anew.
void BridgeLoad::forget_lost() {
  lost_ += published_ * sinks_.size() - deliveries_;
  published_ = complete_ = deliveries_ = 0;
  for (Sink& sink : sinks_) sink.bytes = 0;
}

void BridgeLoad::send(std::size_t publications) {
  sent_ = Clock::now();
  while (requests_.size() < publications * source_.request.size()) {
    requests_.insert(requests_.end(), source_.request.begin(), source_.request.end());
  }
  auto left = std::span<const std::byte>(requests_).first(publications * source_.request.size());
  while (!left.empty()) {
    const ssize_t sent = ::send(source_.socket.get(), left.data(), left.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      left = left.subspan(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      receive(0);  // or everything would wait for this program
      pollfd room{.fd = source_.socket.get(), .events = POLLOUT, .revents = 0};
      ::poll(&room, 1, 1);
    } else if (errno != EINTR) {
      throw_errno("send");
    }
  }
  published_ += publications;
}

// Returns whether anything arrived.
bool BridgeLoad::receive(int timeout) {
  std::array<epoll_event, 512> events;
  const int ready =
      ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout);
  if (ready < 0 && errno != EINTR) throw_errno("epoll_wait");
  for (int i = 0; i < ready; ++i) drain(sinks_[events[static_cast<std::size_t>(i)].data.u64]);
  return ready > 0;
}

void BridgeLoad::drain(Sink& sink) {
  const ssize_t got = ::recv(sink.socket.get(), nullptr, most_discarded, MSG_TRUNC);
  if (got == 0) throw std::runtime_error("a subscriber's connection was closed");
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR) return;
    throw_errno("recv");
  }
  const std::uint64_t before = sink.each != 0 ? sink.bytes / sink.each : 0;
  sink.bytes += static_cast<std::uint64_t>(got);
  if (sink.each == 0) return;
  deliveries_ += sink.bytes / sink.each - before;
  complete_ = deliveries_ / sinks_.size();
}

}  // namespace tern::bench
