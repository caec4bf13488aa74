// X28: threads send to many connections through Handles while others close and terminate at random,
// and the server stops at the end. Threads share one BlockingClient.
// Pass: the messages of each sender arrive in order without a gap. On connections that were closed
// properly at the end, all accepted messages arrive. ThreadSanitizer, which runs this row as well,
// reports nothing. For CI 8 threads send 4 000 messages each to 40 connections; the full size is
// 100 000 each to 100.
#include "tern/tern.h"

#include "faults/support/crowd.h"
#include "faults/support/memory.h"
#include "support/raw_client.h"
#include "support/running_server.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t senders = 8;

struct Size {
  std::size_t connections;
  int sends;  // of each sender
  std::chrono::minutes patience;
};
constexpr Size ci{40, 4'000, 3min};
constexpr Size full{100, 100'000, 20min};

// The next expected number of each sender. A message is "<sender> <number>".
using Due = std::array<int, senders>;

class Crossfire {
 public:
  explicit Crossfire(const Size& size)
      : size_(size),
        running_(ServerOptions{.threads = 2,
                               .limits = {.max_queued_bytes = 1 << 30},
                               .timeouts = {.silence = 30min, .pong = 30min, .stall = 30min}}),
        handles_(size.connections),
        reaped_(size.connections),
        accepted_(size.connections),
        due_(size.connections) {
    running_->server.route("/echo", echo());
    running_->server.route(
        "/fire", Handlers{.on_open =
                              [this](Connection& conn) {
                                ++opened_;
                                register_(conn);
                              },
                          .on_message = [](Connection&, Message) {},
                          .on_close = [this](Connection&, const CloseInfo&) { ++closed_; }});
  }

  void run() {
    const std::uint16_t port = running_->start();
    for (std::size_t i = 0; i < size_.connections; ++i) {
      crowd_.push_back(std::make_unique<CrowdClient>(port));
      crowd_.back()->upgrade(
          "/fire");  // one by one, so that the index is the order of registration
      while (Clock::now() < give_up_ && registered_ <= i) serve(crowd_, 1);
    }
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < senders; ++i) threads.emplace_back([this, i] { send(i); });
    threads.emplace_back([this] { reap(); });
    serve_until([&] { return done_ == senders + 1; });
    for (std::thread& thread : threads) thread.join();
    // A last message for each connection. It arrives after all the others.
    for (std::size_t i = 0; i < size_.connections; ++i) {
      if (!reaped_[i]) {
        EXPECT_TRUE(handles_[i].send("done"));
      }
    }
    serve_until([&] { return done_words_ + ended_reaped() == size_.connections; });
  }

  // Threads send again, while the server stops.
  void stop_under_fire() {
    std::atomic<bool> over = false;
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < senders; ++i) {
      threads.emplace_back([&, i] {
        for (std::size_t n = i; !over; ++n) handles_[n % handles_.size()].send("late");
      });
    }
    running_->server.stop(10s);
    std::thread joiner([&] {
      running_->join();
      over = true;
    });
    serve_until([&] { return over.load(); });
    for (std::thread& thread : threads) thread.join();
    joiner.join();
  }

  void expect_all() {
    std::size_t reaped = 0;
    for (std::size_t i = 0; i < size_.connections; ++i) {
      EXPECT_EQ(crowd_[i]->fault(), "");
      reaped += reaped_[i];
      if (reaped_[i]) continue;
      for (std::size_t s = 0; s < senders; ++s) {
        EXPECT_EQ(due_[i][s], accepted_[i][s]) << "connection " << i << ", sender " << s;
      }
    }
    EXPECT_GE(reaped, 1u) << "nothing was closed in between";
    EXPECT_LT(reaped, size_.connections / 2);
    EXPECT_EQ(opened_, closed_);
    EXPECT_EQ(static_cast<std::size_t>(opened_), size_.connections);
    EXPECT_EQ(running_->server.counters().connections_open, 0u);
    running_.reset();
    for (const Handle& handle : handles_) EXPECT_FALSE(handle.send("x")) << "the loop is gone";
  }

 private:
  void register_(Connection& conn) {
    const std::lock_guard lock(mutex_);
    handles_[registered_] = conn.handle();
    ++registered_;
  }

  void send(std::size_t me) {
    std::vector<int> numbers(size_.connections, 0);
    for (int n = 0; n < size_.sends; ++n) {
      const std::size_t to = (static_cast<std::size_t>(n) * 7 + me * 3) % size_.connections;
      char payload[32];
      const int length = std::snprintf(payload, sizeof payload, "%zu %d", me, numbers[to]);
      // False means that the mailbox is full. The loop that empties it needs the processor.
      while (!handles_[to].send(std::string_view(payload, static_cast<std::size_t>(length)))) {
        if (Clock::now() >= give_up_) return;
        std::this_thread::yield();
      }
      ++numbers[to];
    }
    for (std::size_t i = 0; i < size_.connections; ++i) accepted_[i][me] = numbers[i];
    ++done_;
  }

  // Closes and terminates some connections, spread over the time in which the others send.
  void reap() {
    std::mt19937 random(28);
    for (std::size_t n = 0; n < size_.connections / 5; ++n) {
      const std::size_t victim = random() % size_.connections;
      reaped_[victim] = true;
      if (random() % 2 == 0) {
        handles_[victim].close(CloseCode::going_away, "reaped");
      } else {
        handles_[victim].post([](Connection& conn) { conn.terminate(); });
      }
      const std::size_t enough = (n + 1) * frames_wanted() / (size_.connections / 5 + 1) / 2;
      while (frames_ < enough && Clock::now() < give_up_) std::this_thread::yield();
    }
    ++done_;
  }
  std::size_t frames_wanted() const { return senders * static_cast<std::size_t>(size_.sends) / 2; }

  template <class F>
  void serve_until(F holds) {
    while (!holds() && Clock::now() < give_up_) {
      serve(crowd_, 5);
      for (std::size_t i = 0; i < crowd_.size(); ++i) take(i);
    }
    EXPECT_TRUE(holds()) << frames_ << " frames came";
  }
  void take(std::size_t index) {
    for (const Frame& frame : crowd_[index]->frames()) {
      ++frames_;
      if (frame.opcode == 8) {
        crowd_[index]->send(closing(1000));
        crowd_[index]->finish();
      } else if (frame.payload == "done") {
        ++done_words_;
      } else if (frame.payload != "late") {
        std::size_t end = 0;
        const std::size_t sender = std::stoul(frame.payload, &end);
        const int number = std::stoi(frame.payload.substr(end));
        EXPECT_EQ(number, due_[index][sender]) << "sender " << sender << " to " << index;
        due_[index][sender] = number + 1;
      }
    }
  }
  std::size_t ended_reaped() const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < crowd_.size(); ++i) count += reaped_[i] && crowd_[i]->ended();
    return count;
  }

  const Size size_;
  const Clock::time_point give_up_ = Clock::now() + size_.patience;
  std::mutex mutex_{};
  std::atomic<std::size_t> registered_ = 0;
  std::atomic<int> opened_ = 0;
  std::atomic<int> closed_ = 0;
  std::atomic<std::size_t> done_ = 0;
  std::atomic<std::size_t> frames_ = 0;
  std::size_t done_words_ = 0;
  std::optional<RunningServer> running_;
  std::vector<Handle> handles_;
  std::vector<std::atomic<bool>> reaped_;
  std::vector<Due> accepted_;
  std::vector<Due> due_;
  Crowd crowd_{};
};

void crossfire(const Size& size) {
  const std::size_t descriptors = descriptors_of(::getpid());
  {
    Crossfire row(size);
    row.run();
    if (testing::Test::HasFailure()) return;
    row.stop_under_fire();
    row.expect_all();
  }
  EXPECT_EQ(descriptors_of(::getpid()), descriptors);
}

TEST(Faults, X28_MessagesOfEachThreadStayInOrder) { crossfire(ci); }
TEST(FaultsLong, X28_HundredThousandMessagesOfEachThreadStayInOrder) { crossfire(full); }

// Four threads send, one receives, one pings. Then another one closes while they continue.
TEST(Faults, X28_ThreadsThatShareAClientKeepTheirOrder) {
  constexpr int each = 1'000;
  RunningServer running;
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  auto dialed = dial("ws://127.0.0.1:" + std::to_string(port) + "/echo");
  ASSERT_TRUE(dialed);
  std::atomic<int> received = 0;
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    std::array<int, 4> due{};
    for (std::string text; dialed->receive(text);) {
      const std::size_t sender = static_cast<std::size_t>(text[0] - '0');
      if (text.substr(2) == "more") continue;
      EXPECT_EQ(std::stoi(text.substr(2)), due[sender]++);
      ++received;
    }
    EXPECT_EQ(received, 4 * each) << "all that was sent came back before the end";
  });
  for (int s = 0; s < 4; ++s) {
    threads.emplace_back([&, s] {
      for (int n = 0; n < each; ++n) {
        EXPECT_TRUE(dialed->send(std::to_string(s) + ' ' + std::to_string(n)));
      }
      while (received < 4 * each) std::this_thread::yield();
      while (dialed->send(std::to_string(s) + " more")) {  // until a thread closes
      }
    });
  }
  threads.emplace_back([&] {
    while (dialed->ping()) std::this_thread::yield();
  });
  const auto give_up = Clock::now() + 2min;
  while (received < 4 * each && Clock::now() < give_up) ::poll(nullptr, 0, 1);
  EXPECT_TRUE(dialed->close());
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(dialed->close_info().clean);
  RawClient other(port);
  ASSERT_TRUE(other.upgrade());
  other.send(text("alive"));
  EXPECT_EQ(other.next(), "text alive");
}

}  // namespace
}  // namespace tern::test
