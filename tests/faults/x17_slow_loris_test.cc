// X17: many clients send their request byte by byte, and many connect and send nothing.
// Pass: all of them end at the handshake deadline, although some still send, and none ends before.
// A client that has begun a request receives 408. Meanwhile others connect without delay (p99 at
// most 50 ms, with an allowance for busy machines). Each waiting client takes at most 2 KiB of
// heap. CI has 100 + 50 clients, one byte each 50 ms and a deadline of 2 s. The full size is 2 000
// + 200 clients, one byte a second, and the default deadline of 10 s. The same with a server that
// sends its answer byte by byte to a tern client. The same over TLS, where some stop or drip inside
// the handshake: 80 clients; the full size is 400.
#include "faults/support/attacked.h"
#include "faults/support/crowd.h"
#include "faults/support/memory.h"
#include "faults/support/tls_attacked.h"
#include "support/socket_peer.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Size {
  std::size_t drippers;
  std::size_t silent;
  std::chrono::milliseconds pause;  // between two bytes
  std::chrono::nanoseconds deadline;
  std::chrono::nanoseconds late;       // at most
  std::chrono::nanoseconds allowance;  // of a normal client
};
constexpr Size ci{100, 50, 50ms, 2s, enough_time, 2s};
constexpr Size full{2'000, 200, 1'000ms, 10s, 2s, 150ms};

// Connects, upgrades and closes again and again. Returns the p99 of the delay until the 101.
template <class Client>
class NormalClient {
 public:
  explicit NormalClient(std::uint16_t port) : thread_([this, port] { run(port); }) {}

  std::chrono::nanoseconds p99() {
    over_ = true;
    thread_.join();
    std::sort(delays_.begin(), delays_.end());
    EXPECT_GE(delays_.size(), 10u);
    return delays_.empty() ? 0ns : delays_[delays_.size() * 99 / 100];
  }

 private:
  void run(std::uint16_t port) {
    while (!over_) {
      const auto begun = Clock::now();
      Client client(port);
      EXPECT_TRUE(client.upgrade());
      delays_.push_back(Clock::now() - begun);
      client.reset();
      ::poll(nullptr, 0, 5);
    }
  }

  std::atomic<bool> over_ = false;
  std::vector<std::chrono::nanoseconds> delays_{};
  std::thread thread_;
};

bool all_gone(const Crowd& crowd) {
  return std::all_of(crowd.begin(), crowd.end(), [](const auto& each) { return each->ended(); });
}

struct Seen {
  Clock::time_point first{};  // end
  Clock::time_point last{};
  std::size_t bytes = 0;      // dripped
  bool dripped_late = false;  // when half of the time was over
};

// Sends one byte from each dripper, again and again, until all are gone.
Seen drip(Crowd& crowd, const Size& size, Clock::time_point begun) {
  // A request that never becomes complete, because the last header field has no end.
  std::string request = upgrade_request();
  request.resize(request.size() - 2);
  request += "X-Slow: ";
  Seen seen;
  auto next = begun;
  const auto give_up = begun + size.deadline + size.late + enough_time;
  while (!all_gone(crowd) && Clock::now() < give_up) {
    if (Clock::now() >= next) {
      next += size.pause;
      for (std::size_t i = 0; i < size.drippers; ++i) {
        if (crowd[i]->ended() || !crowd[i]->head().empty()) continue;
        const char byte = seen.bytes < request.size() ? request[seen.bytes] : 'x';
        crowd[i]->send(std::string(1, byte));
      }
      ++seen.bytes;
      seen.dripped_late = seen.dripped_late || Clock::now() - begun > size.deadline / 2;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now());
    serve(crowd, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    const bool any = std::any_of(crowd.begin(), crowd.end(), [](const auto& each) {
      return each->ended() || !each->head().empty();
    });
    if (any && seen.first == Clock::time_point()) seen.first = Clock::now();
  }
  seen.last = Clock::now();
  return seen;
}

// At full size it is the default.
Timeouts only_handshake(std::chrono::nanoseconds deadline) {
  return {.handshake = deadline, .silence = 5min, .stall = 5min, .http_idle = 5min};
}

void slow_loris(const Size& size) {
  ServerOptions options{.timeouts = only_handshake(size.deadline)};
  options.max_unfinished_handshakes = 10'000;
  Attacked attacked(options, Defaults::meant);
  attacked.listening = false;
  const std::uint16_t port = attacked.start();
  EXPECT_EQ(clean_echoes(port), 1'001u);
  Crowd crowd;
  const std::size_t all = size.drippers + size.silent;
  crowd.reserve(all);
  const auto begun = Clock::now();
  const std::size_t heap_before = heap_in_use();
  for (std::size_t i = 0; i < all; ++i) crowd.push_back(std::make_unique<CrowdClient>(port));
  const auto connected = Clock::now();
  NormalClient<RawClient> normal(port);
  EXPECT_TRUE(eventually([&] { return attacked.server.counters().connections_open >= all; }));
  const std::size_t heap_each =
      (heap_in_use() - heap_before) / all;  // including the memory of this crowd
  if (!sanitized) {
    EXPECT_LE(heap_each, 2'048 + sizeof(CrowdClient) + 512);
  }

  const Seen seen = drip(crowd, size, begun);
  EXPECT_TRUE(all_gone(crowd));
  EXPECT_TRUE(seen.dripped_late) << "nothing was sent that could have moved the deadline";
  EXPECT_GE(seen.first - begun, size.deadline);
  EXPECT_LE(seen.last - connected, size.deadline + size.late);
  EXPECT_LE(normal.p99(), 50ms + size.allowance);
  for (std::size_t i = 0; i < all; ++i) {
    const bool answered = crowd[i]->head().starts_with("HTTP/1.1 408 ");
    EXPECT_TRUE(i < size.drippers ? answered : crowd[i]->head().empty()) << crowd[i]->head();
  }
  EXPECT_TRUE(attacked.deserted());
  EXPECT_EQ(refusals(attacked.server, Errc::handshake_timeout), all);
  EXPECT_EQ(attacked.opened, attacked.closed);
  EXPECT_EQ(clean_echoes(port), 1'001u);
}

TEST(Faults, X17_SlowHandshakesEndAtTheDeadline) { slow_loris(ci); }
TEST(FaultsLong, X17_ThousandsOfSlowHandshakesEndAtTheDeadline) { slow_loris(full); }

// ---- over TLS

// Stops, or goes on byte by byte, somewhere before the upgrade.
class TlsLoris : public TlsClient {
 public:
  TlsLoris(std::uint16_t port, std::size_t kind) : TlsClient(port), drips_(kind % 5 >= 3) {
    switch (kind % 5) {
      case 1:
        send_raw(hello().substr(0, 50));
        break;
      case 2:
      case 3:
        inside_ = shake_hands();
        EXPECT_TRUE(inside_);
        break;
      case 4:
        hello_ = hello();
        hello_.at(3) = '\x3F';  // it announces more bytes than it sends
        break;
      default:
        break;
    }
  }
  bool drip() {
    if (!drips_) return false;
    const char byte = dripped_ < hello_.size() ? hello_[dripped_] : 'x';
    ++dripped_;
    return inside_ ? send(std::string(1, byte)) : send_raw(std::string(1, byte));
  }
  /// Whether TCP is over. Discards the bytes that the server sent before.
  bool gone() {
    char bytes[4096];
    ssize_t got;
    do {
      got = ::recv(fd(), bytes, sizeof bytes, MSG_DONTWAIT);
    } while (got > 0);
    return got == 0 || errno != EAGAIN;
  }

 private:
  bool drips_;
  bool inside_ = false;
  std::string hello_{};
  std::size_t dripped_ = 0;
};

void slow_loris_over_tls(std::size_t count, std::chrono::nanoseconds deadline,
                         std::chrono::nanoseconds late) {
  ServerOptions options{.timeouts = only_handshake(deadline)};
  options.max_unfinished_handshakes = 10'000;
  AttackedTls attacked(options, our_certificate(), Defaults::meant);
  attacked.listening = false;
  const std::uint16_t port = attacked.start();
  EXPECT_EQ(clean_tls_echoes(port), 1'001u);
  std::deque<TlsLoris> crowd;
  const auto begun = Clock::now();
  for (std::size_t i = 0; i < count; ++i) crowd.emplace_back(port, i);
  const auto connected = Clock::now();
  NormalClient<TlsClient> normal(port);
  std::size_t left = count;
  std::uint64_t drips_late = 0;
  Clock::time_point first{};
  while (left > 0 && Clock::now() < connected + deadline + 2 * enough_time) {
    ::poll(nullptr, 0, 20);
    left = 0;
    for (TlsLoris& each : crowd) {
      if (!each.gone()) {
        ++left;
        drips_late += each.drip() && Clock::now() - begun > deadline / 2;
      } else if (first == Clock::time_point()) {
        first = Clock::now();
      }
    }
  }
  EXPECT_EQ(left, 0u);
  EXPECT_GT(drips_late, 0u) << "nothing was sent that could have moved the deadline";
  EXPECT_GE(first - begun, deadline);
  EXPECT_LE(Clock::now() - connected, deadline + late);
  EXPECT_LE(normal.p99(), 2s);
  crowd.clear();
  EXPECT_TRUE(attacked.deserted());
  EXPECT_EQ(refusals(attacked.server, Errc::handshake_timeout), count);
  EXPECT_EQ(attacked.opened, attacked.closed);
  EXPECT_EQ(clean_tls_echoes(port), 1'001u);
}

TEST(Faults, X17_SlowTlsHandshakesEndAtTheDeadline) { slow_loris_over_tls(80, 2s, enough_time); }
TEST(FaultsLong, X17_FourHundredSlowTlsHandshakesEndAtTheDeadline) {
  slow_loris_over_tls(400, 10s, 2s);
}

TEST(Faults, X17_DialEndsAtTheDeadlineIfTheAnswerDrips) {
  strike_clients([&] {
    std::size_t bytes = 0;
    ScriptedPeer peer([&](Socket& socket) {
      std::string answer = upgrade_answer(socket.receive_head());
      answer.resize(answer.size() - 2);
      answer += "X-Slow: ";
      pollfd waits{socket.fd(), POLLIN, 0};
      for (; bytes < 2'000; ++bytes) {
        const char byte = bytes < answer.size() ? answer[bytes] : 'x';
        if (!socket.send(std::string(1, byte))) break;
        if (::poll(&waits, 1, 20) == 1) break;  // the peer is gone
      }
    });
    const auto begun = Clock::now();
    const auto dialed = dial(peer.url(), {.timeout = 500ms});
    EXPECT_GE(Clock::now() - begun, 500ms);
    EXPECT_LT(Clock::now() - begun, 2'000 * 20ms) << "the dripping moved the deadline";
    EXPECT_FALSE(dialed);
    if (!dialed) {
      EXPECT_EQ(dialed.error().code(), Errc::handshake_timeout);
    }
    peer.join();
    EXPECT_GT(bytes, 1u);
    return bytes;
  });
}

}  // namespace
}  // namespace tern::test
