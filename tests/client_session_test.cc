// BlockingClient: messages, timeouts, keepalive and threads. Its end is tested in
// client_close_test.
#include "tern/dial.h"

#include "client/session.h"
#include "support/engine_server.h"
#include "support/socket_peer.h"

#include <atomic>
#include <future>
#include <gtest/gtest.h>
#include <map>
#include <poll.h>
#include <thread>

namespace tern {
namespace {

using namespace std::chrono_literals;
using test::FrameSource;
using test::ScriptedPeer;
using test::Socket;
using Clock = std::chrono::steady_clock;

constexpr std::size_t mebibyte = std::size_t{1} << 20;
constexpr auto patience = 4min;  // for events that come at once unless the machine is busy
// A ScriptedPeer answers no pings. So tests that take some time switch the client's pings off.
const DialOptions patient{.timeout = 5min, .timeouts = {.silence = 5min, .stall = 5min}};

// Bytes that differ from place to place. They are letters, so that they are valid text.
std::string pattern(std::size_t size) {
  std::string result(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    result[i] = static_cast<char>('a' + (i * 31 + i / 251) % 26);
  }
  return result;
}

// Waits for some time without any other effect, on a connection that nothing else uses.
void let_pass(std::chrono::nanoseconds time) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade();
    socket.receive_end();
  });
  auto quiet = dial(peer.url(), patient);
  ASSERT_TRUE(quiet);
  std::string payload;
  EXPECT_EQ(quiet->receive(payload, time).error().code(), Errc::timed_out);
}

// The call reports this fault of the caller, because the peer would close the connection with 1007.
TEST(ClientSession, Rfc6455_5_6_TextThatIsNotUtf8IsNotSent) {
  for (const bool deflate : {false, true}) {
    ScriptedPeer peer([&](Socket& socket) {
      const CloseInfo info = test::serve_echo(socket, {.deflate = Deflate{.min_bytes = 0}});
      EXPECT_TRUE(info.clean) << info.error.message();
    });
    DialOptions options = patient;
    if (deflate) options.deflate = Deflate{.takeover = true};
    auto client = dial(peer.url(), options);
    ASSERT_TRUE(client) << client.error().message();
    const std::string bad = "caf\xE9";
    for (int i = 0; i < 2; ++i) {
      const auto sent = client->send(bad);
      ASSERT_FALSE(sent);
      EXPECT_EQ(sent.error().code(), Errc::text_not_utf8);
      EXPECT_TRUE(sent.error().message().starts_with("send ws://127.0.0.1:"))
          << sent.error().message();
    }
    std::string payload;
    ASSERT_TRUE(client->send(Message(MessageType::binary, bad)));
    ASSERT_TRUE(client->receive(payload));
    EXPECT_EQ(payload, bad);
    ASSERT_TRUE(client->send("caf\xC3\xA9"));
    ASSERT_TRUE(client->receive(payload));
    EXPECT_EQ(payload, "caf\xC3\xA9");
    EXPECT_TRUE(client->close());
  }
}

TEST(ClientSession, EchoesMessagesOfEverySize) {
  const Limits limits{.max_message_bytes = 16 * mebibyte, .max_queued_bytes = 16 * mebibyte};
  ScriptedPeer peer([&](Socket& socket) {
    const CloseInfo info = test::serve_echo(socket, {.limits = limits});
    EXPECT_TRUE(info.clean) << info.error.message();
  });
  auto client = dial(peer.url(), {.timeout = 5min, .limits = limits, .timeouts = patient.timeouts});
  ASSERT_TRUE(client) << client.error().message();
  std::string payload;
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{125}, std::size_t{126}, std::size_t{65535},
        std::size_t{65536}, 3 * mebibyte + 17, 16 * mebibyte}) {
    for (const MessageType type : {MessageType::text, MessageType::binary}) {
      const std::string sent = pattern(size);
      ASSERT_TRUE(client->send(Message(type, sent)));
      const auto received = client->receive(payload);
      ASSERT_TRUE(received) << received.error().message();
      EXPECT_EQ(*received, type);
      EXPECT_TRUE(payload == sent) << size;
    }
  }
  EXPECT_TRUE(client->close(CloseCode::normal, {}, patience));
}

TEST(ClientSession, SendsKeepMessagesThatArrivedInOneRead) {
  constexpr int count = 1000;
  ScriptedPeer peer([&](Socket& socket) {
    std::string bytes;
    for (int i = 0; i < count; ++i) {
      bytes += test::wire(Role::server, test::text("message " + std::to_string(i)));
    }
    socket.upgrade({}, bytes);
    FrameSource frames(socket);
    for (int i = 0; i < count; ++i) {
      EXPECT_EQ(frames.next_text(), "text message " + std::to_string(i));
    }
    socket.send(test::closing(1000));
    EXPECT_EQ(frames.next_text(), "close 1000");
  });
  auto client = dial(peer.url(), patient);
  ASSERT_TRUE(client);
  std::string payload;
  for (int i = 0; i < count; ++i) {
    ASSERT_TRUE(client->receive(payload));
    ASSERT_EQ(payload, "message " + std::to_string(i));
    ASSERT_TRUE(client->send(payload));
  }
  EXPECT_EQ(client->receive(payload).error().code(), Errc::closed);
}

TEST(ClientSession, Rfc6455_5_4_AnswersPingsBetweenFragments) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade();
    FrameSource frames(socket);
    socket.send(test::text("Hel", false));
    socket.send(test::ping("now"));
    EXPECT_EQ(frames.next_text(), "pong now");
    socket.send(test::more("lo"));
    EXPECT_EQ(frames.next_text(), "close 1000");
    socket.send(test::closing(1000));
  });
  auto client = dial(peer.url(), patient);
  ASSERT_TRUE(client);
  std::string payload;
  ASSERT_TRUE(client->receive(payload));
  EXPECT_EQ(payload, "Hello");
  EXPECT_TRUE(client->close(CloseCode::normal, {}, patience));
}

TEST(ClientSession, Rfc6455_5_5_2_SendsPings) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade();
    FrameSource frames(socket);
    EXPECT_EQ(frames.next_text(), "ping abc");
    EXPECT_EQ(frames.next_text(), "ping");
  });
  auto client = dial(peer.url(), patient);
  ASSERT_TRUE(client);
  EXPECT_TRUE(client->ping(std::as_bytes(std::span(std::string_view("abc")))));
  EXPECT_TRUE(client->ping());
}

// ---- receive with a timeout

TEST(ClientSession, TimeoutChangesNothingAtAnyPlaceOfAFrame) {
  const std::string frame = test::wire(Role::server, test::text("Hello, world"));
  const std::string fragments =
      test::wire(Role::server, {test::text("Hello, ", false), test::more("world")});
  for (const std::string& bytes : {frame, fragments}) {
    for (std::size_t cut = 0; cut <= bytes.size() - 1; ++cut) {
      SCOPED_TRACE(cut);
      std::promise<void> timed_out;
      ScriptedPeer peer([&](Socket& socket) {
        socket.upgrade({}, bytes.substr(0, cut));
        timed_out.get_future().wait();
        socket.send(bytes.substr(cut));
        test::serve_echo(socket);  // it parses a frame as a request, and ends
      });
      auto client = dial(peer.url(), patient);
      ASSERT_TRUE(client);
      std::string payload = "kept";
      for (const auto timeout : {0ms, 1ms}) {
        const auto received = client->receive(payload, timeout);
        ASSERT_FALSE(received);
        EXPECT_EQ(received.error().code(), Errc::timed_out);
        EXPECT_EQ(payload, "kept");
      }
      timed_out.set_value();
      const auto received = client->receive(payload, patience);
      ASSERT_TRUE(received) << received.error().message();
      EXPECT_EQ(payload, "Hello, world");
      client->terminate();
    }
  }
}

TEST(ClientSession, TimeoutOfZeroReturnsAvailableMessages) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade({}, test::wire(Role::server, {test::text("a"), test::text("b")}));
    socket.receive_end();
  });
  auto client = dial(peer.url(), patient);
  ASSERT_TRUE(client);
  std::string payload;
  ASSERT_TRUE(client->receive(payload, 0s));
  EXPECT_EQ(payload, "a");
  ASSERT_TRUE(client->receive(payload, -1s));
  EXPECT_EQ(payload, "b");
  EXPECT_EQ(client->receive(payload, 0s).error().code(), Errc::timed_out);
}

TEST(ClientSession, ArrivingInputDoesNotExtendTheTimeout) {
  std::atomic<bool> done = false;
  ScriptedPeer peer([&](Socket& socket) {
    socket.upgrade();
    while (!done && socket.send(test::ping())) socket.receive();
  });
  auto client = dial(peer.url(), patient);
  ASSERT_TRUE(client);
  std::string payload;
  const auto start = Clock::now();
  EXPECT_EQ(client->receive(payload, 100ms).error().code(), Errc::timed_out);
  EXPECT_GE(Clock::now() - start, 100ms);
  EXPECT_LT(Clock::now() - start, 30s);
  done = true;
  client->terminate();
}

// ---- keepalive

TEST(ClientSession, PongsKeepASilentConnectionOpen) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade();
    FrameSource frames(socket);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(frames.next_text(), "ping tern-" + std::to_string(i + 1));
      socket.send(test::pong());
    }
    socket.send(test::text("enough"));
    test::Frame frame = frames.next();
    while (frame.opcode == 9) frame = frames.next();
    EXPECT_EQ(test::to_string(frame), "close 1000");
    socket.send(test::closing(1000));
  });
  auto client = dial(peer.url(), {.timeouts = {.silence = 20ms, .pong = patience}});
  ASSERT_TRUE(client);
  std::string payload;
  ASSERT_TRUE(client->receive(payload));
  EXPECT_EQ(payload, "enough");
  EXPECT_TRUE(client->close(CloseCode::normal, {}, patience));
}

TEST(ClientSession, PongsOfTheKeepaliveGiveTheRoundTrip) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade();
    FrameSource frames(socket);
    EXPECT_EQ(frames.next_text(), "ping tern-1");
    // In one segment, because otherwise Nagle's algorithm delays the answer to the next ping.
    socket.send(test::wire(Role::server, {test::pong("not this one"), test::text("first")}));
    for (const char* number : {"tern-2", "tern-3"}) {
      EXPECT_EQ(frames.next_text(), std::string("ping ") + number);
      socket.send(test::pong(number));
    }
    socket.send(test::text("second"));
    test::Frame frame = frames.next();
    while (frame.opcode == 9) frame = frames.next();
    EXPECT_EQ(test::to_string(frame), "close 1000");
    socket.send(test::closing(1000));
  });
  auto client = dial(peer.url(), {.timeouts = {.silence = 20ms, .pong = patience}});
  ASSERT_TRUE(client);
  EXPECT_FALSE(client->rtt());
  std::string payload;
  ASSERT_TRUE(client->receive(payload));
  EXPECT_EQ(payload, "first");
  EXPECT_FALSE(client->rtt());
  ASSERT_TRUE(client->receive(payload));
  EXPECT_EQ(payload, "second");
  const auto time = client->rtt();
  ASSERT_TRUE(time);
  EXPECT_GT(time->last, 0ns);
  EXPECT_GT(time->smoothed, 0ns);
  EXPECT_TRUE(client->close(CloseCode::normal, {}, patience));
  EXPECT_TRUE(client->rtt());
}

TEST(ClientSession, ShortTimeoutsStillFindADeadPeer) {
  for (const auto timeout : {std::chrono::nanoseconds(3ms), std::chrono::nanoseconds::max()}) {
    ScriptedPeer peer([](Socket& socket) {
      socket.upgrade();
      FrameSource frames(socket);
      EXPECT_EQ(frames.next_text(), "ping tern-1");
      EXPECT_EQ(frames.next().opcode, 15u);
    });
    auto client = dial(peer.url(), {.timeouts = {.silence = 20ms, .pong = 20ms}});
    ASSERT_TRUE(client);
    std::string payload;
    auto received = client->receive(payload, timeout);
    const auto until = Clock::now() + patience;
    while (received.error().code() == Errc::timed_out && Clock::now() < until) {
      received = client->receive(payload, timeout);
    }
    EXPECT_EQ(received.error().code(), Errc::pong_timeout);
    EXPECT_EQ(client->close_info().code, CloseCode::abnormal);
    EXPECT_FALSE(client->send("more"));
  }
}

TEST(ClientSession, BytesThatAreNotReadYetAreNoSilence) {
  std::promise<void> not_receiving;
  std::promise<void> sent_alive;
  ScriptedPeer peer([&](Socket& socket) {
    socket.upgrade();
    FrameSource frames(socket);
    const auto next_but_pings = [&] {
      test::Frame frame = frames.next();
      while (frame.opcode == 9) frame = frames.next();
      return test::to_string(frame);
    };
    EXPECT_EQ(frames.next_text(), "ping tern-1");
    not_receiving.get_future().wait();
    socket.send(test::text("alive"));
    sent_alive.set_value();
    EXPECT_EQ(next_but_pings(), "text sent");
    EXPECT_EQ(next_but_pings(), "close 1000");
    socket.send(test::closing(1000));
  });
  auto client = dial(peer.url(), {.timeouts = {.silence = 10ms, .pong = 2s}});
  ASSERT_TRUE(client);
  std::string payload;
  EXPECT_EQ(client->receive(payload, 20ms).error().code(), Errc::timed_out);
  not_receiving.set_value();
  sent_alive.get_future().wait();
  let_pass(2500ms);  // longer than the deadline of the pong
  EXPECT_TRUE(client->send("sent"));
  let_pass(100ms);  // longer than the silence after it
  const auto received = client->receive(payload);
  ASSERT_TRUE(received) << received.error().message();
  EXPECT_EQ(payload, "alive");
  EXPECT_TRUE(client->close(CloseCode::normal, {}, patience));
}

// ---- both directions

TEST(ClientSession, AFullPipeOneWayDoesNotStopTheOther) {
  constexpr int count = 20;
  const std::string message = pattern(mebibyte);
  const std::string frame = test::wire(Role::server, test::binary(message));
  for (const bool peer_writes_first : {true, false}) {
    SCOPED_TRACE(peer_writes_first);
    ScriptedPeer peer([&](Socket& socket) {
      socket.upgrade();
      FrameSource frames(socket);
      const auto write_all = [&] {
        for (int i = 0; i < count; ++i) EXPECT_TRUE(socket.send(frame));
      };
      const auto read_all = [&] {
        for (int i = 0; i < count; ++i) EXPECT_TRUE(frames.next().payload == message);
      };
      // The peer does one after the other.
      peer_writes_first ? write_all() : read_all();
      peer_writes_first ? read_all() : write_all();
      EXPECT_EQ(frames.next_text(), "close 1000");
      socket.send(test::closing(1000));
    });
    auto client = dial(peer.url(), patient);
    ASSERT_TRUE(client);
    std::jthread sender([&] {
      for (int i = 0; i < count; ++i) EXPECT_TRUE(client->send(std::as_bytes(std::span(message))));
    });
    std::string payload;
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(client->receive(payload));
      EXPECT_TRUE(payload == message);
    }
    sender.join();
    EXPECT_TRUE(client->close(CloseCode::normal, {}, patience));
  }
}

TEST(ClientSession, FullPipesInBothDirectionsDoNotStopEither) {
  constexpr int count = 24;
  const std::string message = pattern(mebibyte);
  ScriptedPeer peer([&](Socket& socket) {
    socket.upgrade();
    {
      std::jthread writer([&] {
        const std::string frame = test::wire(Role::server, test::binary(message));
        for (int i = 0; i < count; ++i) EXPECT_TRUE(socket.send(frame));
      });
      std::size_t left = count * (mebibyte + 14);
      while (left > 0) {
        const std::size_t got = socket.receive().size();
        ASSERT_GT(got, 0u);
        left -= std::min(left, got);
      }
    }
    socket.send(test::closing(1000));
    socket.receive_end();
  });
  auto client = dial(peer.url(), patient);
  ASSERT_TRUE(client);
  std::jthread sender([&] {
    for (int i = 0; i < count; ++i) EXPECT_TRUE(client->send(std::as_bytes(std::span(message))));
  });
  std::string payload;
  for (int i = 0; i < count; ++i) {
    ASSERT_TRUE(client->receive(payload));
    ASSERT_TRUE(payload == message);
  }
  EXPECT_EQ(client->receive(payload).error().code(), Errc::closed);
}

// A thread begins to receive while a sender waits. The sender reads for it and answers pings.
TEST(ClientSession, AWaitingSenderReadsForAReceiver) {
  std::promise<void> stuck;
  ScriptedPeer peer([&](Socket& socket) {
    socket.upgrade();
    stuck.get_future().wait();
    socket.send(test::text("received"));
    FrameSource frames(socket);
    EXPECT_EQ(frames.next().payload.size(), 16 * mebibyte);
    socket.send(test::text("done"));
    socket.receive_end();
  });
  auto client = dial(peer.url(), patient);
  ASSERT_TRUE(client);
  std::atomic<bool> sent = false;
  std::jthread sender([&] {
    EXPECT_TRUE(client->send(pattern(16 * mebibyte)));
    sent = true;
  });
  std::string payload;
  EXPECT_EQ(client->receive(payload, 50ms).error().code(), Errc::timed_out);
  EXPECT_FALSE(sent);  // the peer has not read it
  stuck.set_value();
  ASSERT_TRUE(client->receive(payload, patience));
  EXPECT_EQ(payload, "received");
  ASSERT_TRUE(client->receive(payload, patience));
  EXPECT_EQ(payload, "done");
}

TEST(ClientSession, SendsOfManyThreadsStayWholeAndInOrder) {
  constexpr int threads = 8;
  constexpr int count = 300;
  const auto text_of = [](int thread, int i) {
    const auto size = static_cast<std::size_t>(i % 50 == 0 ? 300'000 : i);
    return std::to_string(thread) + ' ' + std::to_string(i) + ' ' + pattern(size);
  };
  ScriptedPeer peer([&](Socket& socket) {
    socket.upgrade();
    FrameSource frames(socket);
    std::map<int, int> next;
    for (int i = 0; i < threads * count; ++i) {
      const test::Frame frame = frames.next();
      ASSERT_EQ(frame.opcode, 1u);
      const int thread = std::stoi(frame.payload);
      ASSERT_TRUE(frame.payload == text_of(thread, next[thread]++));
    }
    socket.send(test::text("all"));
    EXPECT_EQ(frames.next_text(), "close 1000");
    socket.send(test::closing(1000));
  });
  auto client = dial(peer.url(), patient);
  ASSERT_TRUE(client);
  std::vector<std::jthread> senders;
  for (int thread = 0; thread < threads; ++thread) {
    senders.emplace_back([&, thread] {
      for (int i = 0; i < count; ++i) {
        const auto sent = client->send(text_of(thread, i));
        ASSERT_TRUE(sent) << sent.error().message();
      }
    });
  }
  std::string payload;
  ASSERT_TRUE(client->receive(payload));
  EXPECT_EQ(payload, "all");
  senders.clear();
  EXPECT_TRUE(client->close(CloseCode::normal, {}, patience));
}

TEST(ClientSession, SendFailsIfThePeerReadsNothing) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade();
    pollfd ended{socket.fd(), 0, 0};  // reads nothing and waits for the reset
    EXPECT_EQ(::poll(&ended, 1, 60'000), 1);
  });
  auto client = dial(peer.url(), {.timeouts = {.stall = 100ms}});
  ASSERT_TRUE(client);
  const auto sent = client->send(pattern(16 * mebibyte));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code(), Errc::write_stalled);
  std::string payload;
  EXPECT_EQ(client->receive(payload).error().code(), Errc::write_stalled);
  EXPECT_EQ(client->receive(payload).error().code(), Errc::write_stalled);
}

// Messages of the peer from before the reset can still be received, so the engine has not ended.
TEST(ClientSession, AFailedSendReportsItsCauseAtOnce) {
  for (const bool speaks : {false, true}) {
    std::promise<void> goes;
    ScriptedPeer peer([&](Socket& socket) {
      socket.upgrade();
      if (speaks) socket.send(test::text(pattern(50'000)));
      goes.get_future().wait();
      socket.reset();
    });
    auto client = dial(peer.url(), patient);
    ASSERT_TRUE(client);
    EXPECT_FALSE(client->close_info().error);
    goes.set_value();
    auto sent = client->send("x");
    while (sent) sent = client->send("x");
    const CloseInfo info = client->close_info();
    EXPECT_EQ(info.error, sent.error().code()) << info.error.message();
    EXPECT_EQ(info.error, Errc::connection_reset) << info.error.message();
    EXPECT_EQ(info.code, CloseCode::abnormal);
    EXPECT_TRUE(info.opened);
    EXPECT_FALSE(info.clean);
  }
}

}  // namespace
}  // namespace tern
