// X38: further faults of a loop client's attempt. The server fails in the middle of TLS: it answers
// plain bytes, or it resets, ends or stalls after the first bytes of its answer to the ClientHello.
// The first address of a name drops packets. A server or a proxy sends without end, beside another
// client on the same loop. The client is on a loop of a server, which stops. X37 has the other
// stages.
//
// Pass: a fault of TLS is one failure of the stage tls or upgrade, which is transient. The client
// tries again and opens with the next connection to the same port. It leaves nothing: descriptors,
// connections, blocks. The next address wins after 250 ms, and the error of a lost race names each
// address. The other client has 100 echoes while the flood goes on, and the flooded one takes less
// than 8 MiB. The stop of the server gives an open session one on_close and each client its last
// on_ended, and leaves no descriptor. All sizes run in CI.
#include "tern/client.h"

#include "faults/support/accepting_peer.h"
#include "faults/support/full_listener.h"
#include "faults/support/memory.h"
#include "faults/support/tls_attacked.h"
#include "faults/support/trying.h"
#include "support/recorded_client.h"
#include "support/running_server.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

// ---- TLS with the server

enum class Fault { plain_bytes, reset, end, stall };

// Sends the first bytes of the server's answer to the ClientHello, and then has the fault.
void fail_in_tls(Socket& socket, Fault fault, std::size_t bytes) {
  if (fault == Fault::plain_bytes) {
    EXPECT_FALSE(socket.receive().empty()) << "a hello";
    socket.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    socket.shutdown_write();
    socket.receive_end();
    return;
  }
  TlsSocket tls(socket.release(), authority().leaf);
  tls.stop_after(bytes);
  EXPECT_FALSE(tls.shake_hands()) << "the answer was sent whole: the test proves nothing";
  if (fault == Fault::reset) return tls.reset();
  if (fault == Fault::end) tls.fin();
  tls.tcp_ends();
}

// The first connection has the fault, the later ones work.
AcceptingPeer::Script failing_first(Fault fault, std::size_t bytes) {
  return [=](Socket& socket, std::size_t number) {
    if (number == 0) return fail_in_tls(socket, fault, bytes);
    TlsSocket tls(socket.release(), authority().leaf);
    if (answer(tls)) tls.tcp_ends();
  };
}

// The ends before the client opened.
std::vector<End> ends_of(const std::string& url, std::chrono::nanoseconds timeout) {
  ClientOptions options{.dial = trusting({.timeout = timeout}), .retry = quick()};
  options.retry.again = [](const Ended& ended) {
    return ended.transient && ended.failures < 50 && ended.close == nullptr;
  };
  return ends_before_open(url, std::move(options));
}

// A busy machine may miss a short deadline more than once, so only the first end counts then.
void expect_a_failure_of_tls(Fault fault, std::size_t bytes) {
  SCOPED_TRACE("fault " + std::to_string(static_cast<int>(fault)) + " after " +
               std::to_string(bytes) + " bytes");
  const bool stalls = fault == Fault::stall;
  const AcceptingPeer peer(failing_first(fault, bytes));
  const auto ends = ends_of("wss://" + peer.authority() + "/echo", stalls ? 100ms : 60s);
  ASSERT_GE(ends.size(), 1u);
  EXPECT_TRUE(stalls || ends.size() == 1);
  EXPECT_TRUE(ends[0].stage == Stage::tls || ends[0].stage == Stage::upgrade) << ends[0].text;
  EXPECT_EQ(ends[0].code == Errc::handshake_timeout, stalls) << ends[0].text;
  EXPECT_TRUE(ends[0].transient) << ends[0].text;
  EXPECT_FALSE(ends[0].text.empty());
  EXPECT_FALSE(ends[0].was_open);
  EXPECT_EQ(peer.accepted(), ends.size() + 1);
}

TEST(Faults, X38_AFaultInTheMiddleOfTlsIsOneFailure) {
  strike_tls_clients([] {
    std::uint64_t fired = 0;
    for (const Fault fault : {Fault::reset, Fault::end, Fault::stall}) {
      for (const std::size_t bytes : {0u, 1u, 5u, 60u, 300u}) {
        expect_a_failure_of_tls(fault, bytes);
        ++fired;
      }
    }
    return fired;
  });
}

TEST(Faults, X38_PlainBytesInsteadOfTlsAreOneFailure) {
  strike_tls_clients([] {
    expect_a_failure_of_tls(Fault::plain_bytes, 0);
    return 1u;
  });
}

// ---- addresses that drop packets

// The time is a lower bound, so a busy machine passes.
TEST(Faults, X38_TheNextAddressWinsIfTheFirstDropsPackets) {
  const FullListener full;
  ASSERT_LT(full.tried(), 16u) << "the queue does not fill: the test proves nothing";
  House house({.host = "127.0.0.2", .port = full.port()}, Side::bystander);
  ASSERT_TRUE(house.start()) << house.why();
  const sys::Names names("two.test", {"127.0.0.1", "127.0.0.2"});
  Recorded recorded;
  Client& client = recorded.client("ws://two.test:" + std::to_string(full.port()) + "/echo",
                                   {.retry = Retry::never()});
  std::string address;
  const auto began = Loop::Clock::now();
  ASSERT_TRUE(client.connect({.on_open =
                                  [&](Connection& conn) {
                                    EXPECT_GE(Loop::Clock::now() - began, 250ms);
                                    address = conn.remote_address();
                                    conn.terminate();
                                  },
                              .on_message = [](Connection&, Message) {}}));
  test::run(recorded.loop);
  EXPECT_EQ(address, "127.0.0.2:" + std::to_string(full.port()));
  EXPECT_EQ(names.fired(), 1u);
  EXPECT_EQ(recorded.ends.size(), 1u);
}

// A busy machine may miss the start of the second address within the deadline, so the client tries
// until it had both.
TEST(Faults, X38_TheErrorOfALostRaceNamesEachAddress) {
  const FullListener full;
  ASSERT_LT(full.tried(), 16u) << "the queue does not fill: the test proves nothing";
  const std::string port = std::to_string(full.port());
  const sys::Names names("two.test", {"127.0.0.1", "127.0.0.2"});
  const std::string both =
      "connect 127.0.0.1:" + port + ", 127.0.0.2:" + port + " (Connection refused): ";
  Recorded recorded(99);
  Client& client = recorded.client("ws://two.test:" + port + "/",
                                   {.dial = {.timeout = 500ms}, .retry = quick()});
  recorded.on_end = [&](const Ended&) {
    recorded.ends.back().text.starts_with(both) ? recorded.loop.stop() : client.reconnect();
  };
  recorded.connect();
  test::run(recorded.loop);
  ASSERT_FALSE(recorded.ends.empty());
  const End& end = recorded.ends.back();
  EXPECT_TRUE(end.text.starts_with(both)) << end.text;
  EXPECT_EQ(end.stage, Stage::connect);
  EXPECT_EQ(end.code, Errc::handshake_timeout);
  EXPECT_TRUE(end.transient);
}

// ---- bystanders of a flood

// A flood: its source and its bytes.
struct Deluge {
  const char* name;
  std::string proxy;      // the scheme; empty: from the server
  std::string first;      // sent once
  std::string again;      // sent without end
  bool opens = false;     // it comes behind a 101
  bool answered = false;  // the session answers each message, but the peer reads nothing
};

AcceptingPeer::Script flood_of(const Deluge& deluge) {
  return [deluge](Socket& socket, std::size_t) {
    deluge.opens ? socket.upgrade() : socket.receive();
    std::string bytes = deluge.first;
    while (socket.send(bytes)) bytes = deluge.again;
  };
}

// A client that is flooded and a client that echoes, on one loop. Each end of the flooded client
// begins the next attempt.
class Bystanding {
 public:
  Bystanding(const Deluge& deluge, const AcceptingPeer& peer, const House& house)
      : deluge_(deluge) {
    ClientOptions options{.retry = quick()};
    options.retry.again = [](const Ended&) { return true; };
    options.dial.timeouts.close = 20ms;  // the peer reads nothing, also no Close frame
    options.dial.timeouts.stall = 20ms;
    std::string url = peer.url();
    if (!deluge.proxy.empty()) {
      options.dial.proxy = *Proxy::parse(deluge.proxy + "://" + peer.authority());
      url = house.url();
    }
    recorded_.on_end = [this](const Ended&) {
      recorded_.client().reconnect();
      check();
    };
    recorded_.client(url, std::move(options));
    echoing_.emplace(recorded_.loop, house.url(), ClientOptions{.retry = Retry::never()});
  }
  void run() {
    before_ = heap_in_use();
    Client& flooded = recorded_.client();
    EXPECT_TRUE(flooded.connect({.on_message = [this](Connection& conn, Message message) {
      received_ += message.size();
      if (deluge_.answered) conn.send(message);
      EXPECT_LE(conn.queued_bytes(), Limits().max_queued_bytes);
      check();
    }}));
    EXPECT_TRUE(echoing_->connect({.on_open = [](Connection& conn) { conn.send("echo"); },
                                   .on_message =
                                       [this](Connection& conn, Message message) {
                                         EXPECT_EQ(message.text(), "echo");
                                         if (is_flooding()) ++echoes_;
                                         conn.send(message);
                                         check();
                                       }}));
    test::run(recorded_.loop);
    EXPECT_GE(echoes_, 100u);
    EXPECT_LT(most_, std::size_t{8} << 20) << "bytes of heap";
  }

 private:
  bool is_flooding() const { return received_ > 0 || !recorded_.ends.empty(); }
  // Stops the loop once both clients have enough.
  void check() {
    most_ = std::max(most_, std::max(heap_in_use(), before_) - before_);
    const bool lasts = deluge_.opens && !deluge_.answered;
    const bool flooded = lasts ? received_ >= std::size_t{16} << 20 : recorded_.ends.size() >= 5;
    if (flooded && echoes_ >= 100) recorded_.loop.stop();
  }

  const Deluge& deluge_;
  Recorded recorded_{static_cast<std::size_t>(-1)};
  std::optional<Client> echoing_{};
  std::size_t before_ = 0;
  std::size_t most_ = 0;  // heap beyond `before_`
  std::size_t received_ = 0;
  std::size_t echoes_ = 0;
};

std::vector<Deluge> deluges() {
  const std::string noise(64 << 10, '\x01');
  const std::string filler(64 << 10, 'x');
  std::string interim;
  std::string frames;
  for (int i = 0; i < 1000; ++i) interim += "HTTP/1.1 100 Continue\r\n\r\n";
  for (int i = 0; i < 64; ++i) frames += wire(Role::server, binary(std::string(1024, 'm')));
  const std::string refusal = "HTTP/1.1 503 No\r\nContent-Length: 99999999999\r\n\r\n";
  std::vector<Deluge> all;
  for (const std::string proxy : {"", "http"}) {
    all.push_back({"interim answers", proxy, interim, interim});
    all.push_back({"a head", proxy, "HTTP/1.1 200 OK\r\nX: ", filler});
    all.push_back({"a body", proxy, refusal, filler});
    all.push_back({"garbage", proxy, noise, noise});
  }
  all.push_back({"garbage", "socks5", noise, noise});
  all.push_back({"messages", "", frames, frames, true});
  all.push_back({"messages with answers", "", frames, frames, true, true});
  return all;
}

TEST(Faults, X38_AFloodStarvesNoOtherClientOfTheLoop) {
  for (const Deluge& deluge : deluges()) {
    SCOPED_TRACE(std::string(deluge.name) + " from " +
                 (deluge.proxy.empty() ? "the server" : "a proxy of " + deluge.proxy));
    House house({}, Side::bystander);
    ASSERT_TRUE(house.start()) << house.why();
    const AcceptingPeer peer(flood_of(deluge));
    Bystanding(deluge, peer, house).run();
  }
}

// ---- a client on a loop of a server

// The events of the client on the server's loop. The server's thread writes them, and the test
// reads them after the server's run().
struct Received {
  std::size_t opens = 0;
  std::size_t closes = 0;
  std::vector<bool> lasts{};  // one for each on_ended
};

// Makes the client on the loop of a server, waits until it has `state`, and stops the server.
Received stop_server_with_client(const std::string& url, ClientState state) {
  Received received;
  std::optional<Client> client;
  Inbox<bool> ready;
  RunningServer front;
  const auto look = [&](Connection& conn) {
    conn.every(1ms, [&](Connection&) {
      if (client->state() == state) ready.put(true);
    });
  };
  front.server.route(
      "/", {.on_open =
                [&](Connection& conn) {
                  ClientOptions options{.retry = quick()};
                  options.on_ended = [&](const Ended& ended) {
                    received.lasts.push_back(!ended.wait);
                  };
                  client.emplace(conn.loop(), url, std::move(options));
                  EXPECT_TRUE(client->connect(
                      {.on_open = [&](Connection&) { ++received.opens; },
                       .on_message = [](Connection&, Message) {},
                       .on_close = [&](Connection&, const CloseInfo&) { ++received.closes; }}));
                  look(conn);
                },
            .on_message = [](Connection&, Message) {}});
  auto dialed = dial(url_of(front.start()));
  EXPECT_TRUE(dialed);
  EXPECT_TRUE(ready.take());
  front.stop(100ms);
  EXPECT_EQ(client->state(), ClientState::stopped);
  EXPECT_FALSE(client->stop()) << "the loop has ended";
  EXPECT_EQ(client->send("x"), SendStatus::closed);
  return received;
}

TEST(Faults, X38_AServersStopEndsTheClientOnItsLoop) {
  House house({}, Side::bystander);
  ASSERT_TRUE(house.start()) << house.why();
  const Listener silent;
  const RefusedPort refused;
  const std::vector<std::pair<std::string, ClientState>> table = {
      {house.url(), ClientState::open},
      {silent.url(), ClientState::connecting},
      {refused.url(), ClientState::waiting}};
  stop_server_with_client(house.url(), ClientState::open);
  const std::size_t descriptors = open_descriptors();
  for (const auto& [url, state] : table) {
    SCOPED_TRACE("state " + std::to_string(static_cast<int>(state)));
    const Received received = stop_server_with_client(url, state);
    const std::size_t opened = state == ClientState::open ? 1 : 0;
    EXPECT_EQ(received.opens, opened);
    EXPECT_EQ(received.closes, opened);
    ASSERT_FALSE(received.lasts.empty());
    EXPECT_TRUE(received.lasts.back());
    EXPECT_EQ(std::count(received.lasts.begin(), received.lasts.end(), true), 1);
    EXPECT_TRUE(eventually([&] { return open_descriptors() <= descriptors; }));
  }
}

}  // namespace
}  // namespace tern::test
