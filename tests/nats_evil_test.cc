// The bridge over NATS against a server that floods it, or breaks the protocol. The server is one
// of the test's own.

#include "tern/nats.h"

#include "support/nats_peer.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <gtest/gtest.h>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

// libnats 3.4.1 does not free the buffer of a message that ends with its connection.
extern "C" const char* __lsan_default_suppressions() { return "leak:natsBuf_Create\n"; }  // NOLINT

namespace {

using namespace std::chrono_literals;
using tern::nats::Bridge;
using tern::test::NatsPeer;

constexpr auto patience = 60s;

struct Delivered {
  std::string topic;
  std::string payload;
  bool is_text;
};

class Sink final : public tern::BridgeSink {
 public:
  void deliver(std::string_view topic, tern::Message message, const tern::Origin&,
               std::optional<tern::Position>) noexcept override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_; });
    ++count_;
    if (message.size() < 1'000) {
      delivered_.push_back({std::string(topic), std::string(message.text()), message.is_text()});
    }
    changed_.notify_all();
  }
  void history(std::string_view, const tern::BridgeHistory&) noexcept override {}
  void state(tern::BridgeState, std::string_view) noexcept override {}
  void gap(std::string_view, tern::GapCause) noexcept override {}
  void log(tern::LogLevel, std::string_view) noexcept override {}

  // A sink that is slow: the system gives its thread no time.
  void close_gate() {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }
  void open_gate() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  bool wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return count_ >= count; });
  }
  bool wait_for(std::string_view payload) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] {
      return std::ranges::any_of(delivered_, [&](auto& each) { return each.payload == payload; });
    });
  }

 private:
  std::mutex mutex_{};
  std::condition_variable changed_{};
  bool open_ = true;
  std::size_t count_ = 0;
  std::vector<Delivered> delivered_{};
};

// libnats puts what it reads into a list for another thread. If that thread is late, the list must
// not grow by all that a broker can send: here 256 MB on 32 topics.
TEST(NatsEvil, LargeMessagesOfManyTopicsDoNotFillTheMemory) {
  constexpr std::size_t size = 1'000'000;
  constexpr std::size_t messages = 256;
  constexpr std::size_t bound = std::size_t{128} << 20;
  NatsPeer server;
  Bridge bridge({.servers = {server.url}});
  Sink sink;
  ASSERT_TRUE(bridge.attach(sink, {}));
  std::vector<std::string> subjects;
  for (std::size_t i = 0; i < 32; ++i) {
    subjects.push_back("tern.t" + std::to_string(i));
    ASSERT_TRUE(bridge.interest(subjects.back().substr(5), true));
  }
  server.serve(subjects);
  sink.close_gate();
  const std::string payload(size, 'x');
  std::vector<std::string> frames;
  for (const std::string& subject : subjects) {
    frames.push_back("MSG " + subject + ' ' + server.sid(subject) + ' ' + std::to_string(size) +
                     "\r\n" + payload + "\r\n");
  }
  std::size_t taken = 0;
  std::size_t whole = 0;
  std::string_view rest;  // of the frame that the client did not take
  while (whole < messages && rest.empty()) {
    const std::string& frame = frames[whole % frames.size()];
    const std::size_t more = server.say(frame);
    taken += more;
    rest = std::string_view(frame).substr(more);
    ++whole;
  }
  EXPECT_LE(taken, bound) << "it took so much while nothing was delivered";
  sink.open_gate();
  server.say_all(rest);
  for (; whole < messages; ++whole) server.say_all(frames[whole % frames.size()]);
  EXPECT_TRUE(sink.wait_for(messages)) << "a message was lost";
  bridge.detach(1s);
}

void survive(const std::string& attack) {
  SCOPED_TRACE(attack.substr(0, 60));
  NatsPeer server;
  Bridge bridge({.servers = {server.url}});
  Sink sink;
  ASSERT_TRUE(bridge.attach(sink, {}));
  ASSERT_TRUE(bridge.interest("t", true));
  server.serve({"tern.t"});
  server.say(attack);
  server.hang_up();  // an unfinished message stays unfinished
  server.serve({"tern.t"});
  server.say("MSG tern.t " + server.sid("tern.t") + " 4\r\ngood\r\n");
  EXPECT_TRUE(sink.wait_for("good"));
  bridge.detach(1s);
}

// Whatever a server sends: the bridge ignores it, or connects again. It never crashes, and delivers
// what comes then.
TEST(NatsEvil, BytesThatBreakTheProtocolAreSurvived) {
  // libnats 3.4.1 ends the process at a size within about a hundred bytes of 2^31, which no
  // nats-server sends: its max_payload is at most 64 MiB. So that size is not here.
  const std::string long_line(std::size_t{1} << 20, 'A');
  const std::vector<std::string> attacks = {
      "MSG\r\n",
      "MSG tern.t\r\n",
      "MSG tern.t 99999 5\r\nhello\r\n",
      "MSG tern.t 1 -5\r\nhello\r\n",
      "MSG tern.t 1 99999999999999999999\r\nhello\r\n",
      "MSG tern.t 1 2147480000\r\nhello\r\n",
      "MSG tern.t 1 5\r\nhello world, no end\r\n",
      "MSG tern.t 1 a b c d e f g h\r\n",
      "MSG " + long_line + " 1 5\r\nhello\r\n",
      long_line,
      "HMSG tern.t 1 5\r\nhello\r\n",
      "HMSG tern.t 1 9 5\r\nhello\r\n",
      "HMSG tern.t 1 5 5\r\nhello\r\n",
      "HMSG tern.t 1 12 17\r\nNATS/1.0\r\n\r\nhello\r\n",
      "HMSG tern.t 1 31 36\r\nNATS/1.0\r\nTern-Origin: zzz\r\n\r\nhello\r\n",
      "HMSG tern.t 1 21 26\r\nNATS/1.0\r\nno colon\r\n\r\nhello\r\n",
      std::string("\0\0\0\0\r\n", 6),
      "INFO {\r\n",
      "INFO {\"max_payload\":-1}\r\n",
      "INFO {\"max_payload\":\"x\",\"connect_urls\":[\"\",\"x:y:z\",\"a@b:99999999\",null,7]}\r\n",
      "INFO " + std::string(10'000, '[') + "\r\n",
      "-ERR\r\n",
      "-ERR 'Authorization Violation'\r\n",
      "-ERR 'Stale Connection'\r\n",
      "-ERR '" + long_line + "'\r\n",
      "+OKAY\r\n",
      "PING PING PING\r\n",
      "PONG\r\nPONG\r\nPONG\r\n",
      "GET / HTTP/1.1\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01\x00\x01",
  };
  // At the same time, because a bridge waits before it connects again.
  std::vector<std::thread> threads;
  for (const std::string& attack : attacks) threads.emplace_back([&attack] { survive(attack); });
  for (std::thread& each : threads) each.join();
}

}  // namespace
