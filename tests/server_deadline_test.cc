// Deadlines over sockets depend on what the peer did. A peer that takes what was sent, however
// slowly, loses nothing. A loop that was late ends no connection. No peer holds a connection
// without end. Each row runs over plain TCP and over TLS. The subject is how fast a peer reads, so
// peers wait between reads. No test depends on how long that really takes.
#include "tern/tern.h"

#include "support/certificates.h"
#include "support/raw_client.h"
#include "support/running_server.h"
#include "support/tls_socket.h"

#include <functional>
#include <future>
#include <gtest/gtest.h>
#include <memory>
#include <poll.h>
#include <string>
#include <string_view>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

enum class Over : std::uint8_t { tcp, tls };
constexpr Over both[] = {Over::tcp, Over::tls};
const char* name(Over over) { return over == Over::tls ? "over TLS" : "over TCP"; }

const Authority& authority() {
  static const Authority made;
  return made;
}

ServerOptions options_for(Over over, Timeouts timeouts) {
  ServerOptions options{.limits = {.max_queued_bytes = 64 << 20}, .timeouts = timeouts};
  if (over == Over::tls) {
    options.tls = TlsServer{.certificate_pem = authority().leaf.certificate(),
                            .private_key_pem = authority().leaf.key()};
  }
  return options;
}

constexpr std::size_t large = 2 << 20;

void let_pass(std::chrono::milliseconds time) {
  ::poll(nullptr, 0, static_cast<int>(time.count()));
}

// A client that reads a little at a time.
class SlowClient {
 public:
  SlowClient(Over over, std::uint16_t port) {
    const int small = 32 << 10;
    if (over == Over::tls) {
      tls_ = std::make_unique<TlsSocket>(port);
      ::setsockopt(tls_->fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
      EXPECT_TRUE(tls_->shake_hands()) << tls_->reason();
    } else {
      tcp_ = std::make_unique<RawClient>(port, small);
    }
  }

  int fd() const { return tls_ ? tls_->fd() : tcp_->fd(); }
  bool send(std::string_view bytes) { return tls_ ? tls_->send(bytes) : tcp_->send(bytes); }
  bool send(const Frame& frame) { return send(wire(Role::client, frame)); }
  // Reads a few KiB. Returns nothing at the end.
  std::string some() {
    if (tls_) return tls_->receive();
    char buffer[8192];
    pollfd ready{fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&ready, 1, 60'000), 1) << "the server is silent";
    const ssize_t got = ::recv(fd(), buffer, sizeof buffer, 0);
    reset_ = got < 0;
    return {buffer, got > 0 ? static_cast<std::size_t>(got) : 0};
  }
  bool was_reset() const { return reset_; }
  std::string head() {
    std::string head;
    while (head.find("\r\n\r\n") == head.npos) {
      const std::string more = some();
      if (more.empty()) return head;
      head += more;
    }
    const std::size_t end = head.find("\r\n\r\n") + 4;
    rest_ = head.substr(end);
    head.resize(end);
    return head;
  }
  bool upgrade(std::string_view target = "/ws") {
    send(upgrade_request({}, target));
    return head().starts_with("HTTP/1.1 101 ");
  }
  std::string take_rest() { return std::exchange(rest_, {}); }
  // Reads the frame of a message of so many bytes, with `pace` between reads. It does not check the
  // frame, because that would take time. Returns false at the end.
  bool skip(std::size_t size, std::chrono::milliseconds pace = 0ms) {
    const std::size_t frame = size + 10;  // with its header
    while (rest_.size() < frame) {
      const std::string more = some();
      if (more.empty()) return false;
      rest_ += more;
      if (pace > 0ms) let_pass(pace);
    }
    rest_.erase(0, frame);
    return true;
  }
  // Returns the next frame; "end" at the end. Answers pings.
  std::string next() {
    for (;;) {
      reader_.feed(take_rest());
      while (given_ < reader_.frames().size()) {
        const Frame frame = reader_.frames()[given_++];
        if (frame.opcode != 9) return to_string(frame);
        ++pings;
        if (answers_pings) send(pong(frame.payload));
      }
      reader_.forget();
      given_ = 0;
      rest_ = some();
      if (rest_.empty()) return "end";
    }
  }
  void wait_for_ping() {
    while (pings == 0) {
      reader_.feed(some());
      for (const Frame& frame : reader_.frames()) pings += frame.opcode == 9 ? 1 : 0;
      reader_.forget();
    }
  }
  // Reads the whole body of a page.
  std::size_t body(std::size_t size, std::chrono::milliseconds pace) {
    std::size_t got = take_rest().size();
    while (got < size) {
      const std::string more = some();
      if (more.empty()) break;
      got += more.size();
      let_pass(pace);
    }
    return got;
  }
  bool ends() {
    if (tls_) return tls_->tcp_ends();
    return some().empty();
  }

  int pings = 0;
  bool answers_pings = true;

 private:
  std::unique_ptr<RawClient> tcp_{};
  std::unique_ptr<TlsSocket> tls_{};
  std::string rest_{};
  FrameReader reader_{Role::server};
  std::size_t given_ = 0;
  bool reset_ = false;
};

// At "send" it sends a large message. At "close" it sends one and closes. At "block" it waits for
// the test.
class Subject : public RunningServer {
 public:
  Subject(Over over, Timeouts timeouts, std::size_t size = large)
      : RunningServer(options_for(over, timeouts)), over_(over) {
    server.route("/ws", Handlers{.on_message =
                                     [this, size](Connection& conn, Message message) {
                                       if (message.text() == "block") return block();
                                       if (message.text() != "close-only") {
                                         conn.send(std::string(size, 'x'));
                                       }
                                       if (message.text() != "send") conn.close();
                                     },
                                 .on_close = [this](Connection&,
                                                    const CloseInfo& info) { ends.put(info); }});
    server.route(
        "/echo",
        Handlers{.on_message = [](Connection& conn, Message message) { conn.send(message); },
                 .on_close = [this](Connection&, const CloseInfo& info) { ends.put(info); }});
    server.route("/later", [this](Upgrade upgrade) { undecided.put(upgrade); });
    server.get("/page", [size](const Request&) { return Response::text(std::string(size, 'x')); });
    port = start();
  }
  ~Subject() {
    while (!undecided.empty()) undecided.take();
    stop(0ms);
  }

  // Blocks the loop of this server until `while_blocked` has returned. A client is connected
  // before.
  void prepare_to_block() {
    blocker_ = std::make_unique<SlowClient>(over_, port);
    ASSERT_TRUE(blocker_->upgrade());
  }
  void block_while(const std::function<void()>& while_blocked) {
    blocker_->send(text("block"));
    blocked_.take();
    while_blocked();
    go_on_.put(true);
    blocker_->send(closing(1000));
    EXPECT_EQ(blocker_->next(), "close 1000");
    const auto info = ends.take();
    EXPECT_TRUE(info && info->clean);
  }
  bool is_deserted() { return server.counters().connections_open == 0; }

  Inbox<CloseInfo> ends{};
  Inbox<Upgrade> undecided{};
  std::uint16_t port = 0;

 private:
  void block() {
    blocked_.put(true);
    go_on_.take();
  }

  Over over_;
  std::unique_ptr<SlowClient> blocker_{};
  Inbox<bool> blocked_{};
  Inbox<bool> go_on_{};
};

constexpr auto never = Timeouts::Duration::max();
constexpr auto pace = 10ms;  // between reads of 8 KiB, or of a TLS record

// ---- a peer that reads slowly

TEST(ServerDeadline, Rfc6455_5_5_2_AReaderOfALargeMessageIsNotEnded) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    Subject subject(over, {.silence = 400ms, .pong = 1s});
    SlowClient client(over, subject.port);
    ASSERT_TRUE(client.upgrade());
    client.send(text("send"));
    EXPECT_TRUE(client.skip(large, pace));
    // The ping came behind the message, or the machine is so fast that there was none.
    client.send(text("close-only"));
    EXPECT_EQ(client.next(), "close 1000");
    client.send(closing(1000));
    const auto info = subject.ends.take();
    EXPECT_TRUE(info && info->clean) << info->error.message();
  }
}

TEST(ServerDeadline, Rfc6455_7_1_1_SendThenCloseLosesNothing) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    Subject subject(over, {.close = 1s});
    SlowClient client(over, subject.port);
    ASSERT_TRUE(client.upgrade());
    client.send(text("close"));
    EXPECT_TRUE(client.skip(large, pace));
    EXPECT_EQ(client.next(), "close 1000");
    client.send(closing(1000));
    EXPECT_EQ(client.next(), "end");
    EXPECT_FALSE(client.was_reset());
    const auto info = subject.ends.take();
    EXPECT_TRUE(info && info->clean) << info->error.message();
  }
}

TEST(ServerDeadline, ASlowReaderReceivesTheWholePage) {
  for (const Over over : both) {
    for (const bool keeps : {true, false}) {
      SCOPED_TRACE(std::string(name(over)) + (keeps ? ", kept" : ", closed"));
      constexpr std::size_t size = 12 << 20;  // three times as much as the system takes
      Subject subject(over, {.close = 1s, .http_idle = 1s}, size);
      SlowClient client(over, subject.port);
      client.send("GET /page HTTP/1.1\r\nHost: localhost\r\n" +
                  std::string(keeps ? "\r\n" : "Connection: close\r\n\r\n"));
      EXPECT_TRUE(client.head().starts_with("HTTP/1.1 200 "));
      EXPECT_EQ(client.body(size, 2ms), size);
      EXPECT_TRUE(client.ends());
      EXPECT_FALSE(client.was_reset());
    }
  }
}

// The server has written all and sent FIN. Bytes that the peer sends now must not destroy those
// that it has not read yet.
TEST(ServerDeadline, APeerThatSendsWhileItReadsIsNotReset) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    constexpr std::size_t size = 2 << 20;
    Subject subject(over, {.close = 1s}, size);
    SlowClient client(over, subject.port);
    client.send("GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    EXPECT_TRUE(client.head().starts_with("HTTP/1.1 200 "));
    std::size_t got = client.take_rest().size();
    while (got < size) {
      client.send(std::string(2'000, 'x'));  // together more than the server discards
      const std::string more = client.some();
      if (more.empty()) break;
      got += more.size();
      let_pass(pace);
    }
    EXPECT_EQ(got, size);
  }
}

// ---- the same rules let no peer stay without end

TEST(ServerDeadline, AReaderOfAFewBytesIsEnded) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    Subject subject(over, {.close = never, .stall = 300ms}, 16 << 20);
    SlowClient client(over, subject.port);
    ASSERT_TRUE(client.upgrade());
    client.send(text("close"));
    while (subject.ends.empty()) {  // 50 bytes a second
      char received;
      static_cast<void>(::recv(client.fd(), &received, 1, MSG_DONTWAIT));
      let_pass(20ms);
    }
    const auto info = subject.ends.take();
    EXPECT_EQ(info->error, Errc::write_stalled) << info->error.message();
  }
}

// It sends so much that no turn reads all of it. That must not move the stall clock.
TEST(ServerDeadline, APeerThatSendsButTakesNothingIsEnded) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    Subject subject(over, {.stall = 300ms}, 16 << 20);
    SlowClient client(over, subject.port);
    ASSERT_TRUE(client.upgrade());
    client.send(text("send"));
    std::string many;
    while (many.size() < 256 << 10) many += wire(Role::client, Frame{.opcode = 10});  // pongs
    const auto give_up = Clock::now() + 60s;
    while (client.send(many) && Clock::now() < give_up) {
    }
    EXPECT_LT(Clock::now(), give_up);
    EXPECT_EQ(subject.ends.take()->error, Errc::write_stalled);
  }
}

TEST(ServerDeadline, APageToAReaderOfAFewBytesIsEnded) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    Subject subject(over, {.close = 100ms, .stall = 300ms}, 16 << 20);
    SlowClient client(over, subject.port);
    client.send(page_request("/page"));
    EXPECT_TRUE(client.head().starts_with("HTTP/1.1 200 "));
    while (!subject.is_deserted()) {
      char received;
      static_cast<void>(::recv(client.fd(), &received, 1, MSG_DONTWAIT));
      let_pass(20ms);
    }
  }
}

TEST(ServerDeadline, Rfc6455_7_1_1_APeerThatNeverAnswersTheCloseIsEnded) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    Subject subject(over, {.close = 1s});
    SlowClient client(over, subject.port);
    ASSERT_TRUE(client.upgrade());
    client.send(text("close"));
    EXPECT_TRUE(client.skip(large));
    EXPECT_EQ(client.next(), "close 1000");
    const auto info = subject.ends.take();
    EXPECT_EQ(info->error, Errc::close_timeout) << info->error.message();
    EXPECT_EQ(client.next(), "end");
    EXPECT_FALSE(client.was_reset()) << "it took all, so the end is a FIN";
  }
}

TEST(ServerDeadline, Rfc6455_5_5_2_APeerThatNeverAnswersAPingIsEnded) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    Subject subject(over, {.silence = 400ms, .pong = 1s});
    SlowClient client(over, subject.port);
    client.answers_pings = false;
    ASSERT_TRUE(client.upgrade());
    client.send(text("send"));
    EXPECT_TRUE(client.skip(large));
    EXPECT_EQ(client.next(), "end");
    EXPECT_EQ(client.pings, 1);
    const auto info = subject.ends.take();
    EXPECT_EQ(info->error, Errc::pong_timeout) << info->error.message();
  }
}

TEST(ServerDeadline, TheStopDeadlineHoldsForASlowReader) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    Subject subject(over, {}, 16 << 20);
    SlowClient client(over, subject.port);
    ASSERT_TRUE(client.upgrade());
    client.send(text("close"));
    for (int i = 0; i < 10; ++i) client.some();
    subject.stop(100ms);
    EXPECT_EQ(subject.ends.take()->error, Errc::closed);
  }
}

// ---- a loop that was late

TEST(ServerDeadline, APongThatWaitsInTheKernelCounts) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    Subject subject(over, {.silence = 200ms, .pong = 1s});
    subject.prepare_to_block();
    SlowClient client(over, subject.port);
    client.answers_pings = false;
    ASSERT_TRUE(client.upgrade("/echo"));
    client.wait_for_ping();
    subject.block_while([&] {
      client.send(pong());
      client.send(text("behind it"));
      let_pass(1300ms);
    });
    EXPECT_EQ(client.next(), "text behind it");
  }
}

TEST(ServerDeadline, ARequestThatWaitsInTheKernelIsAnswered) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    Subject subject(over, {.handshake = 1s});
    subject.prepare_to_block();
    const auto client = std::make_unique<SlowClient>(over, subject.port);
    const std::string request = upgrade_request({}, "/echo");
    client->send(request.substr(0, 20));
    subject.block_while([&] {
      client->send(request.substr(20));
      let_pass(1300ms);
    });
    EXPECT_TRUE(client->head().starts_with("HTTP/1.1 101 "));
  }
}

TEST(ServerDeadline, ACloseThatWaitsInTheKernelIsClean) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    Subject subject(over, {.close = 1s});
    SlowClient client(over, subject.port);
    subject.prepare_to_block();
    ASSERT_TRUE(client.upgrade());
    client.send(text("close-only"));
    EXPECT_EQ(client.next(), "close 1000");
    subject.block_while([&] {
      client.send(closing(1000));
      let_pass(1300ms);
    });
  }
}

TEST(ServerDeadline, APeerThatReadsAgainIsNotStalled) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    constexpr std::size_t size = 8 << 20;
    Subject subject(over, {.stall = 1s}, size);
    SlowClient client(over, subject.port);
    ASSERT_TRUE(client.upgrade());
    subject.prepare_to_block();
    client.send(text("send"));
    std::size_t got = 0;  // bytes on the wire; over TLS more than were sent
    const auto read_raw = [&] {
      char buffer[65536];
      pollfd ready{client.fd(), POLLIN, 0};
      if (::poll(&ready, 1, 10) != 1) return true;
      const ssize_t more = ::recv(client.fd(), buffer, sizeof buffer, 0);
      got += more > 0 ? static_cast<std::size_t>(more) : 0;
      return more > 0;
    };
    subject.block_while([&] {
      const auto begun = Clock::now();
      while (Clock::now() - begun < 1300ms) read_raw();
    });
    while (got < size && read_raw()) {
    }
    EXPECT_GE(got, size);
  }
}

// ---- handshakes

TEST(ServerDeadline, ASilentHandshakeKeepsNoDescriptor) {
  for (const Over over : both) {
    for (const bool begins : {false, true}) {
      SCOPED_TRACE(std::string(name(over)) + (begins ? ", a part of it" : ", nothing"));
      if (begins && over == Over::tcp) continue;  // it receives 408
      Subject subject(over, {.handshake = 200ms, .close = 5min});
      RawClient client(subject.port);
      if (begins) client.send(std::string("\x16\x03\x01\x02\x00", 5));  // the head of a ClientHello
      EXPECT_TRUE(client.ends());
      const auto give_up = Clock::now() + 20s;
      while (!subject.is_deserted() && Clock::now() < give_up) let_pass(5ms);
      EXPECT_TRUE(subject.is_deserted()) << "nothing is waited for";
    }
  }
}

TEST(ServerDeadline, Rfc9110_15_6_4_AnUndecidedUpgradeIs503) {
  for (const Over over : both) {
    SCOPED_TRACE(name(over));
    Subject subject(over, {.handshake = 200ms});
    SlowClient client(over, subject.port);
    client.send(upgrade_request({}, "/later"));
    const std::string head = client.head();
    EXPECT_TRUE(head.starts_with("HTTP/1.1 503 ")) << head;
    EXPECT_NE(head.find("\r\nRetry-After: 1\r\n"), head.npos);
  }
}

}  // namespace
}  // namespace tern::test
