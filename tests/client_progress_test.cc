// A BlockingClient processes input while it only sends, and its deadlines follow the progress of
// the peer, plain and over TLS. Some rows need a peer that reads slowly, so it waits between reads.
// No test depends on how long that really takes.
#include "tern/dial.h"

#include "support/certificates.h"
#include "support/socket_peer.h"
#include "support/tls_socket.h"

#include <atomic>
#include <future>
#include <gtest/gtest.h>
#include <memory>
#include <poll.h>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace tern {
namespace {

using namespace std::chrono_literals;
using test::ScriptedPeer;
using test::Socket;
using Clock = std::chrono::steady_clock;

enum class Over : std::uint8_t { tcp, tls };
constexpr Over both[] = {Over::tcp, Over::tls};
const char* name(Over over) { return over == Over::tls ? "over TLS" : "over TCP"; }

constexpr std::size_t mebibyte = std::size_t{1} << 20;
constexpr auto enough = 30s;
constexpr auto patience = 4min;

const test::Authority& authorities() {
  static const test::Authority made;
  return made;
}

void let_pass(std::chrono::milliseconds time) {
  ::poll(nullptr, 0, static_cast<int>(time.count()));
}

// The upgraded end of a server. It reads frames of a client, slowly if `pace` says so.
class ServerEnd {
 public:
  ServerEnd(Over over, Socket& socket) : socket_(socket) {
    if (over == Over::tls) {
      tls_ = std::make_unique<test::TlsSocket>(socket.release(), authorities().leaf);
      EXPECT_TRUE(tls_->shake_hands()) << tls_->reason();
    }
    std::string head;
    while (head.find("\r\n\r\n") == head.npos) {
      const std::string more = receive();
      if (more.empty()) return;
      head += more;
    }
    send_bytes(test::upgrade_answer(head));
  }

  int fd() const { return tls_ ? tls_->fd() : socket_.fd(); }
  bool send_bytes(std::string_view bytes) { return tls_ ? tls_->send(bytes) : socket_.send(bytes); }
  bool send(const test::Frame& frame) { return send_bytes(test::wire(Role::server, frame)); }
  // Receives a few KiB at a time; over TLS one record.
  std::string receive() {
    if (tls_) return tls_->receive();
    std::string bytes(16 << 10, '\0');
    const ssize_t got = ::recv(socket_.fd(), bytes.data(), bytes.size(), 0);
    was_reset = got < 0;
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }
  // Reads the frame of a message of `size` bytes without parsing it, because parsing takes time.
  // Waits `pace` between reads. Returns false at the end.
  bool skip(std::size_t size, std::chrono::milliseconds pace = 0ms) {
    const std::size_t frame = size + 14;  // with its header
    while (rest_.size() < frame) {
      const std::string more = receive();
      if (more.empty()) return false;
      rest_ += more;
      if (pace > 0ms) let_pass(pace);
    }
    rest_.erase(0, frame);
    return true;
  }
  // Returns the next frame except pings, which are answered, and texts "x"; returns "end" at the
  // end.
  std::string next() {
    for (;;) {
      reader_.feed(std::exchange(rest_, {}));
      while (given_ < reader_.frames().size()) {
        const test::Frame frame = reader_.frames()[given_++];
        if (frame.opcode == 9 && answers_pings) send(test::pong(frame.payload));
        if (frame.opcode != 9 && frame.payload != "x") return to_string(frame);
      }
      reader_.forget();
      given_ = 0;
      const std::string bytes = receive();
      if (bytes.empty() || !reader_.fault().empty()) return "end" + reader_.fault();
      reader_.feed(bytes);
    }
  }
  void end() {
    if (tls_) {
      tls_->close_notify();
      tls_->fin();
    } else {
      socket_.shutdown_write();
    }
  }

  bool answers_pings = true;
  bool was_reset = false;

 private:
  Socket& socket_;
  std::unique_ptr<test::TlsSocket> tls_{};
  std::string rest_{};
  test::FrameReader reader_{Role::client};
  std::size_t given_ = 0;
};

class Peer : public ScriptedPeer {
 public:
  Peer(Over over, std::function<void(ServerEnd&)> script)
      : ScriptedPeer([over, script = std::move(script)](Socket& socket) {
          ServerEnd end(over, socket);
          script(end);
        }),
        over_(over) {}

  BlockingClient dial(Timeouts timeouts = {.silence = 5min, .stall = 5min}, Limits limits = {}) {
    limits.max_queued_bytes = 64 * mebibyte;
    const bool secure = over_ == Over::tls;
    const std::string where = "127.0.0.1:" + std::to_string(port()) + "/";
    return tern::dial((secure ? "wss://" : "ws://") + where,
                      {.timeout = 5min,
                       .tls = {.ca_pem = authorities().ca.certificate()},
                       .limits = limits,
                       .timeouts = timeouts})
        .value();
  }

 private:
  Over over_;
};

Message much(std::size_t size) {
  static const std::string all(16 * mebibyte, 'y');
  return {MessageType::binary, std::string_view(all).substr(0, size)};
}

// Sends until it fails or until `done`; returns the error.
std::error_code send_until(BlockingClient& client, const std::atomic<bool>& done) {
  const auto give_up = Clock::now() + enough;
  while (!done && Clock::now() < give_up) {
    if (const auto sent = client.send("x"); !sent) return sent.error().code();
  }
  EXPECT_TRUE(done) << "the event did not come in time";
  return {};
}

// ---- a client that only sends

TEST(ClientProgress, Rfc6455_5_5_3_OnlySendingStillAnswersPings) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    std::atomic<bool> answered = false;
    Peer peer(over, [&](ServerEnd& end) {
      for (const char* what : {"one", "two"}) {
        end.send(test::ping(what));
        EXPECT_EQ(end.next(), std::string("pong ") + what);
      }
      answered = true;
      EXPECT_EQ(end.next(), "close 1000");
      end.send(test::closing(1000));
      end.end();
    });
    BlockingClient client = peer.dial();
    EXPECT_EQ(send_until(client, answered), std::error_code());
    EXPECT_TRUE(client.close(CloseCode::normal, {}, patience));
  }
}

TEST(ClientProgress, Rfc6455_5_5_1_OnlySendingStillEndsOnACloseFrame) {
  for (const Over over : both) {
    for (const bool pings : {false, true}) {
      SCOPED_TRACE(name(over));
      Peer peer(over, [&](ServerEnd& end) {
        end.send(test::text("last"));
        end.send(test::closing(4000, "bye"));
        EXPECT_EQ(end.next(), "close 4000");
        end.end();
      });
      BlockingClient client = peer.dial();
      const std::atomic<bool> never = false;
      if (pings) {
        const auto give_up = Clock::now() + enough;
        auto sent = client.ping();
        while (sent && Clock::now() < give_up) sent = client.ping();
        ASSERT_FALSE(sent);
        EXPECT_EQ(sent.error().code(), Errc::closed);
      } else {
        EXPECT_EQ(send_until(client, never), Errc::closed);
      }
      EXPECT_EQ(client.send("x").error().code(), Errc::closed);
      std::string payload;
      ASSERT_TRUE(client.receive(payload)) << "messages before the Close are not lost";
      EXPECT_EQ(payload, "last");
      EXPECT_EQ(client.receive(payload).error().code(), Errc::closed);
      EXPECT_TRUE(client.close(CloseCode::normal, {}, patience));
      EXPECT_EQ(static_cast<int>(client.close_info().code), 4000);
    }
  }
}

// A client that receives and sends in turn can answer all messages before the Close frame.
TEST(ClientProgress, Rfc6455_5_5_1_MessagesBeforeTheCloseCanBeAnswered) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    Peer peer(over, [&](ServerEnd& end) {
      end.send_bytes(test::wire(
          Role::server, {test::text("a"), test::text("b"), test::text("c"), test::closing(1000)}));
      for (const char* answer : {"text a", "text b", "text c", "close 1000"}) {
        EXPECT_EQ(end.next(), answer);
      }
      end.end();
    });
    BlockingClient client = peer.dial();
    std::string payload;
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(client.receive(payload));
      let_pass(5ms);
      EXPECT_TRUE(client.send(payload));
    }
    EXPECT_EQ(client.receive(payload).error().code(), Errc::closed);
    EXPECT_TRUE(client.close(CloseCode::normal, {}, patience));
  }
}

TEST(ClientProgress, WaitingMessagesKeepTheirOrderAndLimit) {
  constexpr int count = 64;
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    std::atomic<int> written = 0;
    std::atomic<bool> answered = false;
    std::promise<void> receives;
    Peer peer(over, [&](ServerEnd& end) {
      end.send(test::text("first"));
      end.send(test::ping("go"));
      EXPECT_EQ(end.next(), "pong go");
      answered = true;
      for (int i = 0; i < count; ++i) {
        end.send(test::binary(std::string(mebibyte, static_cast<char>('a' + i % 26))));
        ++written;
      }
      EXPECT_EQ(end.next(), "text all");
      EXPECT_EQ(end.next(), "close 1000");
      end.send(test::closing(1000));
      end.end();
    });
    BlockingClient client = peer.dial();
    EXPECT_EQ(send_until(client, answered), std::error_code());
    // The peer stops once the client's limit is reached and the buffers of the system are full. It
    // reads nothing meanwhile, so the client sends little, also on a slow machine.
    int seen = -1;
    for (int same = 0; same < 20;) {
      for (int i = 0; i < 10; ++i) ASSERT_TRUE(client.send("x"));
      let_pass(5ms);
      same = written == seen ? same + 1 : 0;
      seen = written;
    }
    EXPECT_LT(seen, count / 2);
    std::string payload;
    ASSERT_TRUE(client.receive(payload));
    EXPECT_EQ(payload, "first");
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(client.receive(payload));
      ASSERT_EQ(payload, std::string(mebibyte, static_cast<char>('a' + i % 26)));
    }
    EXPECT_TRUE(client.send("all"));
    EXPECT_TRUE(client.close(CloseCode::normal, {}, patience));
  }
}

// If the client reads nothing because its limit is reached, the peer's silence proves nothing.
TEST(ClientProgress, UnreadInputIsNoSilence) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    Peer peer(over, [&](ServerEnd& end) {
      for (int i = 0; i < 10; ++i) end.send(test::text(std::string(1000, 'a')));
      EXPECT_EQ(end.next(), "text done");
      EXPECT_EQ(end.next(), "close 1000");
      end.send(test::closing(1000));
      end.end();
    });
    BlockingClient client = peer.dial({.silence = 50ms, .pong = 50ms}, {.max_message_bytes = 2000});
    const auto begun = Clock::now();
    while (Clock::now() - begun < 300ms) {
      const auto sent = client.send("x");
      ASSERT_TRUE(sent) << sent.error().message();
    }
    std::string payload;
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(client.receive(payload));
    EXPECT_TRUE(client.send("done"));
    EXPECT_TRUE(client.close(CloseCode::normal, {}, patience));
  }
}

// ---- a peer that reads slowly

constexpr std::size_t large = 2 * mebibyte;
constexpr auto pace = 20ms;  // for 16 KiB

TEST(ClientProgress, Rfc6455_7_1_1_SendThenCloseLosesNothing) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    Peer peer(over, [&](ServerEnd& end) {
      EXPECT_TRUE(end.skip(large, pace));
      EXPECT_EQ(end.next(), "close 1000");
      end.send(test::closing(1000));
      end.end();
    });
    BlockingClient client = peer.dial();
    ASSERT_TRUE(client.send(much(large)));
    EXPECT_TRUE(client.close(CloseCode::normal, {}, 1s));
    EXPECT_TRUE(client.close_info().clean);
  }
}

TEST(ClientProgress, Rfc6455_5_5_2_ReadingALargeMessageIsASignOfLife) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    Peer peer(over, [&](ServerEnd& end) {
      EXPECT_TRUE(end.skip(large, pace));
      end.send(test::text("got it"));
      EXPECT_EQ(end.next(), "close 1000");
      end.send(test::closing(1000));
      end.end();
    });
    BlockingClient client = peer.dial({.silence = 200ms, .pong = 1s});
    ASSERT_TRUE(client.send(much(large)));
    std::string payload;
    const auto received = client.receive(payload);
    ASSERT_TRUE(received) << received.error().message();
    EXPECT_EQ(payload, "got it");
    EXPECT_TRUE(client.close(CloseCode::normal, {}, patience));
  }
}

// ---- slow peers still meet their limits

TEST(ClientProgress, Rfc6455_7_1_1_FinIfThePeerReadAllButNeverAnswers) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    Peer peer(over, [&](ServerEnd& end) {
      EXPECT_TRUE(end.skip(large));
      EXPECT_EQ(end.next(), "close 1000");
      EXPECT_EQ(end.next(), "end");
      EXPECT_FALSE(end.was_reset);
    });
    BlockingClient client = peer.dial();
    ASSERT_TRUE(client.send(much(large)));
    EXPECT_FALSE(client.close(CloseCode::normal, {}, 300ms));
    EXPECT_EQ(client.close_info().error, Errc::close_timeout);
    peer.join();
  }
}

TEST(ClientProgress, CloseTimesOutIfThePeerReadsSingleBytes) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    std::atomic<bool> left = false;
    Peer peer(over, [&](ServerEnd& end) {
      while (!left) {
        char byte;
        static_cast<void>(::recv(end.fd(), &byte, 1, MSG_DONTWAIT));
        let_pass(20ms);
      }
    });
    BlockingClient client = peer.dial();
    std::jthread sender([&] {  // more than the system takes
      EXPECT_FALSE(client.send(much(16 * mebibyte)));
    });
    std::string payload;
    EXPECT_EQ(client.receive(payload, 100ms).error().code(), Errc::timed_out);
    EXPECT_FALSE(client.close(CloseCode::normal, {}, 300ms));
    EXPECT_EQ(client.close_info().error, Errc::close_timeout);
    left = true;
  }
}

TEST(ClientProgress, SendFailsIfThePeerReadsSingleBytes) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    std::atomic<bool> left = false;
    Peer peer(over, [&](ServerEnd& end) {
      while (!left) {
        char byte;
        static_cast<void>(::recv(end.fd(), &byte, 1, MSG_DONTWAIT));
        let_pass(20ms);
      }
    });
    BlockingClient client = peer.dial({.stall = 300ms});
    const auto sent = client.send(much(16 * mebibyte));
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().code(), Errc::write_stalled);
    left = true;
  }
}

TEST(ClientProgress, Rfc6455_5_5_2_ReadingIsNoAnswerToAPing) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    Peer peer(over, [&](ServerEnd& end) {
      end.answers_pings = false;
      EXPECT_TRUE(end.skip(large));
      EXPECT_EQ(end.next(), "end");
    });
    BlockingClient client = peer.dial({.silence = 200ms, .pong = 1s});
    ASSERT_TRUE(client.send(much(large)));
    std::string payload;
    EXPECT_EQ(client.receive(payload).error().code(), Errc::pong_timeout);
  }
}

// ---- whether the closing handshake was clean

// The server sent Close and ended TCP without waiting. Its system answers our frame with RST.
TEST(ClientProgress, Rfc6455_7_1_4_NotCleanIfThePeerWasGone) {
  for (const bool receives : {false, true}) {
    SCOPED_TRACE(receives);
    std::promise<void> gone;
    ScriptedPeer peer([&](Socket& socket) {
      socket.upgrade();
      socket.send(test::closing(1011, "keepalive"));
      socket.close();
      gone.set_value();
    });
    BlockingClient client = dial(peer.url(), {.timeout = 5min}).value();
    gone.get_future().wait();
    std::string payload;
    if (receives) {
      EXPECT_EQ(client.receive(payload).error().code(), Errc::closed);
    }
    EXPECT_FALSE(client.close(CloseCode::normal, {}, patience));
    const CloseInfo info = client.close_info();
    EXPECT_FALSE(info.clean);
    EXPECT_EQ(info.error, Errc::connection_reset);
    EXPECT_EQ(static_cast<int>(info.code), 1011);
  }
}

TEST(ClientProgress, Rfc6455_7_1_4_CleanIfThePeerEndedOnlyItsHalf) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    std::promise<void> closed;
    Peer peer(over, [&](ServerEnd& end) {
      end.send(test::closing(1001));
      end.end();
      closed.set_value();
      EXPECT_EQ(end.next(), "close 1001");
    });
    BlockingClient client = peer.dial();
    closed.get_future().wait();
    EXPECT_TRUE(client.close(CloseCode::normal, {}, patience));
    EXPECT_TRUE(client.close_info().clean);
  }
}

}  // namespace
}  // namespace tern
