// How a BlockingClient ends: closing in every order, peers that do not answer, resets, and calls of
// other threads that are in progress.
#include "tern/dial.h"

#include "support/engine_server.h"
#include "support/socket_peer.h"

#include <future>
#include <gtest/gtest.h>
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

// A CloseInfo that can be compared.
struct End {
  int code;
  std::string reason;
  std::error_code error;
  bool clean;
  bool by_peer;
  bool operator==(const End&) const = default;
};

std::ostream& operator<<(std::ostream& out, const End& end) {
  return out << end.code << " '" << end.reason << "' " << end.error.message()
             << (end.clean ? " clean" : "") << (end.by_peer ? " by_peer" : "");
}

End end_of(const BlockingClient& client) {
  const CloseInfo info = client.close_info();
  EXPECT_TRUE(info.opened);
  return {static_cast<int>(info.code), info.reason, info.error, info.clean, info.by_peer};
}

BlockingClient connected(const ScriptedPeer& peer, const DialOptions& options = patient) {
  return dial(peer.url(), options).value();
}

std::error_code receive_error(BlockingClient& client) {
  std::string payload;
  const auto received = client.receive(payload);
  return received ? std::error_code() : received.error().code();
}

// ---- the closing handshake

TEST(ClientClose, Rfc6455_7_1_1_ClientWaitsForTheServerToEndTcp) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade();
    FrameSource frames(socket);
    EXPECT_EQ(frames.next_text(), "close 1001 leaving");
    socket.send(test::closing(1001, "leaving"));
    // The client does not end TCP before our FIN.
    pollfd ended{socket.fd(), POLLIN | POLLRDHUP, 0};
    EXPECT_EQ(::poll(&ended, 1, 100), 0);
    socket.shutdown_write();
    EXPECT_TRUE(socket.receive_end());
    EXPECT_EQ(socket.error, 0);
  });
  BlockingClient client = connected(peer);
  EXPECT_TRUE(client.close(CloseCode::going_away, "leaving", patience));
  EXPECT_EQ(end_of(client), (End{1001, "leaving", {}, true, false}));
  const auto start = Clock::now();
  EXPECT_TRUE(client.close(CloseCode::normal, {}, patience));
  EXPECT_LT(Clock::now() - start, 30s);
  EXPECT_EQ(receive_error(client), Errc::closed);
  EXPECT_EQ(client.send("late").error().code(), Errc::closed);
  EXPECT_EQ(client.ping().error().code(), Errc::closed);
}

TEST(ClientClose, Rfc6455_5_5_1_CloseOfThePeerIsAnswered) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade();
    socket.send(test::text("last"));
    socket.send(test::closing(4000, "bye"));
    FrameSource frames(socket);
    EXPECT_EQ(frames.next_text(), "close 4000");
  });
  BlockingClient client = connected(peer);
  std::string payload;
  ASSERT_TRUE(client.receive(payload));
  EXPECT_EQ(payload, "last");
  for (int i = 0; i < 2; ++i) {
    const auto received = client.receive(payload);
    ASSERT_FALSE(received);
    EXPECT_EQ(received.error().code(), Errc::closed);
    EXPECT_EQ(received.error().message(),
              peer.url() + " was closed by the server with 4000: \"bye\"");
  }
  EXPECT_TRUE(client.close(CloseCode::normal, {}, patience));
  EXPECT_EQ(end_of(client), (End{4000, "bye", {}, true, true}));
}

// The text of a normal end does not read like a failure.
TEST(ClientClose, TextOfANormalEndNamesCodeAndReason) {
  const std::pair<test::Frame, std::string> ends[] = {
      {test::closing(1000), " was closed by the server with 1000 (normal)"},
      {test::closing(1001, "see you"),
       " was closed by the server with 1001 (going away): \"see you\""},
      {test::closing(), " was closed by the server without a code"}};
  for (const auto& [frame, text] : ends) {
    ScriptedPeer peer([&, close = frame](Socket& socket) {
      socket.upgrade();
      socket.send(close);
      FrameSource frames(socket);
      frames.next_text();
    });
    BlockingClient client = connected(peer);
    std::string payload;
    const auto received = client.receive(payload);
    ASSERT_FALSE(received);
    EXPECT_EQ(received.error().message(), peer.url() + text);
  }
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade();
    FrameSource frames(socket);
    frames.next_text();
    socket.send(test::closing(1000));
  });
  BlockingClient client = connected(peer);
  EXPECT_TRUE(client.close(CloseCode::normal, {}, patience));
  std::string payload;
  EXPECT_EQ(client.receive(payload).error().message(),
            peer.url() + " is closed with 1000 (normal)");
}

TEST(ClientClose, Rfc6455_7_1_5_CloseWithoutACodeIs1005) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade();
    socket.send(test::closing());
    FrameSource frames(socket);
    EXPECT_EQ(frames.next_text(), "close");
  });
  BlockingClient client = connected(peer);
  EXPECT_EQ(receive_error(client), Errc::closed);
  EXPECT_TRUE(client.close(CloseCode::normal, {}, patience));
  EXPECT_EQ(end_of(client), (End{1005, "", {}, true, true}));
}

TEST(ClientClose, BothSidesMayCloseAtOnce) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade({}, test::wire(Role::server, test::closing(1001)));
    FrameSource frames(socket);
    EXPECT_EQ(frames.next().opcode, 8u);
  });
  BlockingClient client = connected(peer);
  EXPECT_TRUE(client.close(CloseCode::normal, {}, patience));
  EXPECT_EQ(end_of(client).code, 1001);
}

TEST(ClientClose, MessagesAfterOurCloseAreReadAndDropped) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade();
    FrameSource frames(socket);
    EXPECT_EQ(frames.next_text(), "text before");
    EXPECT_EQ(frames.next_text(), "close 1000");
    for (int i = 0; i < 1000; ++i) socket.send(test::text(std::string(1000, 'x')));
    socket.send(test::ping("x"));
    socket.send(test::closing(1000));
    socket.shutdown_write();
    EXPECT_EQ(frames.next().opcode, 15u);  // no pong follows our Close
  });
  BlockingClient client = connected(peer);
  EXPECT_TRUE(client.send("before"));
  EXPECT_TRUE(client.close(CloseCode::normal, {}, patience));
  EXPECT_EQ(receive_error(client), Errc::closed);
}

TEST(ClientClose, CloseEndsAReceiveInProgress) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade({}, test::wire(Role::server, test::text("go")));
    FrameSource frames(socket);
    EXPECT_EQ(frames.next_text(), "close 1000");
    socket.send(test::closing(1000));
  });
  BlockingClient client = connected(peer);
  std::promise<void> receiving;
  std::jthread receiver([&] {
    std::string payload;
    EXPECT_TRUE(client.receive(payload));
    receiving.set_value();
    EXPECT_EQ(client.receive(payload).error().code(), Errc::closed);
  });
  receiving.get_future().wait();
  EXPECT_TRUE(client.close(CloseCode::normal, {}, patience));
  EXPECT_EQ(end_of(client), (End{1000, "", {}, true, false}));
}

TEST(ClientClose, SeveralThreadsMayClose) {
  ScriptedPeer peer([](Socket& socket) { test::serve_echo(socket); });
  BlockingClient client = connected(peer);
  std::vector<std::jthread> closers;
  for (int i = 0; i < 4; ++i) {
    closers.emplace_back([&] { EXPECT_TRUE(client.close(CloseCode::normal, {}, patience)); });
    closers.emplace_back([&] { EXPECT_EQ(receive_error(client), Errc::closed); });
  }
}

TEST(ClientClose, QueuedMessagesGoBeforeTheCloseFrame) {
  const std::string large(16 * mebibyte, 'x');
  std::promise<void> sending;
  std::promise<void> closing;
  ScriptedPeer peer([&](Socket& socket) {
    socket.upgrade();
    pollfd begun{socket.fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&begun, 1, 60'000), 1);
    sending.set_value();
    closing.get_future().wait();
    FrameSource frames(socket);
    EXPECT_EQ(frames.next().payload.size(), large.size());
    EXPECT_EQ(frames.next_text(), "close 1000");
    socket.send(test::closing(1000));
  });
  BlockingClient client = connected(peer);
  std::jthread sender([&] { EXPECT_TRUE(client.send(large)); });
  sending.get_future().wait();  // it is stuck soon, because the peer does not read
  std::jthread closer([&] { EXPECT_TRUE(client.close(CloseCode::normal, {}, patience)); });
  closing.set_value();
}

// ---- peers that do not answer

TEST(ClientClose, CloseTimesOutOnAPeerThatOnlySends) {
  std::promise<bool> ended;
  ScriptedPeer peer([&](Socket& socket) {
    socket.upgrade();
    while (socket.send(test::ping()) && socket.send(test::text("talk"))) {
    }
    ended.set_value(true);
  });
  BlockingClient client = connected(peer);
  const auto start = Clock::now();
  EXPECT_FALSE(client.close(CloseCode::normal, {}, 200ms));
  const auto took = Clock::now() - start;
  EXPECT_GE(took, 200ms);
  EXPECT_LT(took, 30s);
  EXPECT_EQ(end_of(client), (End{1006, "", Errc::close_timeout, false, false}));
  EXPECT_TRUE(ended.get_future().get());  // TCP has ended, but the client exists
  EXPECT_EQ(receive_error(client), Errc::close_timeout);
  EXPECT_FALSE(client.close());
}

TEST(ClientClose, CloseTimeoutEndsSendAndReceiveOfOthers) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade();
    pollfd ended{socket.fd(), POLLRDHUP, 0};
    EXPECT_EQ(::poll(&ended, 1, 60'000), 1);
  });
  BlockingClient client = connected(peer);
  std::jthread sender([&] { EXPECT_FALSE(client.send(std::string(16 * mebibyte, 'x'))); });
  std::jthread receiver([&] { EXPECT_EQ(receive_error(client), Errc::close_timeout); });
  std::string payload;
  EXPECT_EQ(client.receive(payload, 50ms).error().code(), Errc::timed_out);
  const auto start = Clock::now();
  EXPECT_FALSE(client.close(CloseCode::normal, {}, 200ms));
  EXPECT_LT(Clock::now() - start, 30s);
}

TEST(ClientClose, CloseIsCleanIfThePeerKeepsTcp) {
  std::promise<void> done;
  ScriptedPeer peer([&](Socket& socket) {
    socket.upgrade();
    FrameSource frames(socket);
    EXPECT_EQ(frames.next_text(), "close 1000");
    socket.send(test::closing(1000));
    EXPECT_TRUE(socket.receive_end());
    done.get_future().wait();
  });
  BlockingClient client = connected(peer);
  const auto start = Clock::now();
  EXPECT_TRUE(client.close(CloseCode::normal, {}, 200ms));
  const auto took = Clock::now() - start;
  EXPECT_GE(took, 200ms);
  EXPECT_LT(took, 30s);
  done.set_value();
}

void receive_close_and_be_silent(Socket& socket, std::promise<void>& received) {
  socket.upgrade();
  FrameSource frames(socket);
  EXPECT_EQ(frames.next_text(), "close 1000");
  received.set_value();
  EXPECT_TRUE(socket.receive_end());
}

// The first close() sets the timeout of the closing handshake. A second close() may wait for less
// time.
TEST(ClientClose, SecondCloseWaitsOnlyItsOwnTimeout) {
  std::promise<void> closing;
  ScriptedPeer peer([&](Socket& socket) { receive_close_and_be_silent(socket, closing); });
  BlockingClient client = connected(peer);
  std::jthread first([&] { EXPECT_FALSE(client.close(CloseCode::normal, {}, patience)); });
  closing.get_future().wait();
  const auto start = Clock::now();
  EXPECT_FALSE(client.close(CloseCode::normal, {}, 50ms));
  const auto took = Clock::now() - start;
  EXPECT_GE(took, 50ms);
  EXPECT_LT(took, 30s);
  EXPECT_EQ(end_of(client), (End{1006, "", Errc::close_timeout, false, false}));
  EXPECT_EQ(receive_error(client), Errc::close_timeout);
}

TEST(ClientClose, CloseWithTimeout0SendsTheCloseFrame) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade();
    FrameSource frames(socket);
    EXPECT_EQ(frames.next_text(), "close 1000");
  });
  BlockingClient client = connected(peer);
  EXPECT_FALSE(client.close(CloseCode::normal, {}, 0s));
}

// ---- ends without a closing handshake

struct Break {
  const char* name;
  std::string bytes;  // before the end
  bool reset;
  Errc expected;
  CloseCode code = CloseCode::abnormal;
};

TEST(ClientClose, Rfc6455_7_1_5_EndOfTcpWithoutACloseIsAbnormal) {
  const std::string frame = test::wire(Role::server, test::text("message"));
  const Break breaks[] = {
      {"FIN", "", false, Errc::end_of_stream},
      {"FIN in a header", frame.substr(0, 1), false, Errc::end_of_stream},
      {"FIN in a message", frame.substr(0, 5), false, Errc::end_of_stream},
      {"FIN in a Close frame", "\x88\x02\x03", false, Errc::end_of_stream},
      {"RST", "", true, Errc::connection_reset},
      {"RST in a message", frame.substr(0, 5), true, Errc::connection_reset},
  };
  for (const Break& broken : breaks) {
    SCOPED_TRACE(broken.name);
    ScriptedPeer peer([&](Socket& socket) {
      socket.upgrade();
      FrameSource(socket).next();  // a message that shows that the client is connected
      socket.send(broken.bytes);
      broken.reset ? socket.reset() : socket.close();
    });
    BlockingClient client = connected(peer);
    EXPECT_TRUE(client.send("connected"));
    EXPECT_EQ(receive_error(client), broken.expected);
    EXPECT_EQ(receive_error(client), broken.expected);
    EXPECT_EQ(end_of(client), (End{1006, "", broken.expected, false, false}));
    EXPECT_FALSE(client.close());
    EXPECT_EQ(client.send("late").error().code(), broken.expected);
  }
}

TEST(ClientClose, MessagesBeforeAFinAreReceived) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade();
    for (int i = 0; i < 1000; ++i) socket.send(test::binary(std::string(1000, 'x')));
  });
  BlockingClient client = connected(peer);
  std::string payload;
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(client.receive(payload)) << i;
  EXPECT_EQ(receive_error(client), Errc::end_of_stream);
}

// A send fails first, but messages that the peer sent before it ended are still received. SIGPIPE
// does not end the process, although its disposition here is the default.
TEST(ClientClose, FailedSendKeepsMessagesOfThePeer) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade();
    FrameSource(socket).next();
    // One segment, because the reset that follows would discard a segment that Nagle's algorithm
    // holds back.
    socket.send(test::wire(Role::server, {test::text("last"), test::closing(1001, "bye")}));
  });
  BlockingClient client = connected(peer);
  EXPECT_TRUE(client.send("connected"));
  auto sent = client.send("more");
  for (int i = 0; i < 1'000'000 && sent; ++i) sent = client.send("more");
  ASSERT_FALSE(sent);
  // A thread that sends also reads. So it may read the Close frame before a write fails.
  const std::error_code why = sent.error().code();
  EXPECT_TRUE(why == Errc::connection_reset || why == Errc::closed) << why.message();
  EXPECT_EQ(client.send("again").error().code(), why);
  std::string payload;
  const auto received = client.receive(payload);
  ASSERT_TRUE(received) << received.error().message();
  EXPECT_EQ(payload, "last");
  // If the Close frame was read first, the answer may even have reached the peer's system before
  // the peer ended TCP.
  const std::error_code over = receive_error(client);
  const End lost{1001, "bye", Errc::connection_reset, false, true};
  const End answered{1001, "bye", {}, true, true};
  const bool is_answered = why == Errc::closed && over == Errc::closed;
  EXPECT_TRUE(is_answered || over == Errc::connection_reset) << over.message();
  EXPECT_EQ(end_of(client), is_answered ? answered : lost);
  const bool arrived = client.close();
  EXPECT_TRUE(is_answered || !arrived);
}

// ---- faults of the peer

TEST(ClientClose, Rfc6455_7_1_7_AFaultIsReportedToThePeer) {
  struct Fault {
    std::string bytes;
    Errc errc;
    int code;
  };
  const Fault faults[] = {
      {test::wire(Role::client, test::text("masked")), Errc::frame_masked, 1002},
      {test::wire(Role::server, test::text("\xFF")), Errc::text_not_utf8, 1007},
      {test::wire_header(Role::server, test::binary({}), 2 * mebibyte), Errc::message_too_big,
       1009},
  };
  for (const Fault& fault : faults) {
    SCOPED_TRACE(fault.code);
    ScriptedPeer peer([&](Socket& socket) {
      socket.upgrade();
      socket.send(fault.bytes);
      socket.send(std::string(100'000, 'x'));  // the client discards it
      FrameSource frames(socket);
      EXPECT_EQ(frames.next_text(), test::failure(fault.errc));
      EXPECT_EQ(frames.next().opcode, 15u);
    });
    BlockingClient client = connected(peer);
    EXPECT_EQ(receive_error(client), fault.errc);
    EXPECT_EQ(receive_error(client), fault.errc);
    const auto start = Clock::now();
    EXPECT_FALSE(client.close());
    EXPECT_LT(Clock::now() - start, 30s);
    EXPECT_EQ(end_of(client),
              (End{fault.code, std::string(close_reason(fault.errc)), fault.errc, false, false}));
  }
}

TEST(ClientClose, Rfc6455_7_1_7_InvalidAnswerToOurCloseEndsTheConnection) {
  const struct {
    test::Frame answer;
    Errc error;
  } rows[] = {
      {test::closing(1005), Errc::close_code_invalid},
      {{1, "x", true, 4}, Errc::frame_reserved_bits},
      {test::more("x"), Errc::unexpected_continuation},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(to_string(row.answer));
    ScriptedPeer peer([&](Socket& socket) {
      socket.upgrade();
      FrameSource frames(socket);
      EXPECT_EQ(frames.next_text(), "close 1000");
      socket.send(row.answer);
      EXPECT_EQ(frames.next().opcode, 15u);  // our Close was the last frame
    });
    BlockingClient client = connected(peer);
    EXPECT_FALSE(client.close(CloseCode::normal, {}, patience));
    const CloseInfo info = client.close_info();
    EXPECT_EQ(info.error, row.error);
    EXPECT_FALSE(info.clean);
    EXPECT_EQ(receive_error(client), row.error);
  }
}

// ---- terminate

TEST(ClientClose, TerminateEndsReceiveAndSendOfOtherThreads) {
  std::promise<bool> ended;
  std::promise<void> over;
  ScriptedPeer peer([&](Socket& socket) {
    socket.upgrade();
    pollfd hung_up{socket.fd(), 0, 0};
    ended.set_value(::poll(&hung_up, 1, 60'000) == 1);
    over.get_future().wait();
  });
  BlockingClient client = connected(peer);
  std::jthread sender([&] {
    EXPECT_EQ(client.send(std::string(16 * mebibyte, 'x')).error().code(), Errc::terminated);
  });
  std::jthread other([&] {
    EXPECT_EQ(client.send(std::string(16 * mebibyte, 'y')).error().code(), Errc::terminated);
  });
  std::jthread receiver([&] { EXPECT_EQ(receive_error(client), Errc::terminated); });
  std::string payload;
  EXPECT_EQ(client.receive(payload, 50ms).error().code(), Errc::timed_out);
  client.terminate();
  client.terminate();
  EXPECT_TRUE(ended.get_future().get());  // at once, not only when the client is destroyed
  sender.join();
  other.join();
  receiver.join();
  EXPECT_EQ(end_of(client), (End{1006, "", Errc::terminated, false, false}));
  EXPECT_FALSE(client.close());
  over.set_value();
}

TEST(ClientClose, TerminateEndsACloseOfAnotherThread) {
  std::promise<void> closing;
  ScriptedPeer peer([&](Socket& socket) { receive_close_and_be_silent(socket, closing); });
  BlockingClient client = connected(peer);
  std::jthread closer([&] { EXPECT_FALSE(client.close(CloseCode::normal, {}, 60s)); });
  closing.get_future().wait();
  client.terminate();
  closer.join();
  EXPECT_EQ(end_of(client), (End{1006, "", Errc::terminated, false, false}));
}

}  // namespace
}  // namespace tern
