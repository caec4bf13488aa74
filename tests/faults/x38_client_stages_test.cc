// X38: a loop client meets a server that fails in the middle of TLS: it answers plain bytes, or it
// resets, ends or stalls after the first bytes of its answer to the ClientHello.
//
// Pass: one failure of the stage tls or upgrade, which is transient. The client tries again and
// opens with the next connection to the same port. Nothing is left: descriptors, connections,
// blocks. All sizes run in CI.
#include "tern/client.h"

#include "faults/support/accepting_peer.h"
#include "faults/support/tls_attacked.h"
#include "support/recorded_client.h"

#include <gtest/gtest.h>
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

// Runs a client until it opens. Returns the ends before that.
std::vector<End> ends_before_open(const std::string& url, std::chrono::nanoseconds timeout) {
  Recorded recorded(99);
  ClientOptions options{.dial = trusting({.timeout = timeout}), .retry = quick()};
  options.retry.again = [](const Ended& ended) {
    return ended.transient && ended.failures < 50 && ended.close == nullptr;
  };
  Client& client = recorded.client(url, std::move(options));
  recorded.on_end = [&](const Ended& ended) {
    if (ended.wait) client.reconnect();
  };
  bool opened = false;
  EXPECT_TRUE(client.connect({.on_open =
                                  [&](Connection& conn) {
                                    opened = true;
                                    conn.terminate();
                                  },
                              .on_message = [](Connection&, Message) {}}));
  test::run(recorded.loop);
  EXPECT_TRUE(opened) << "it did not try again";
  std::vector<End> ends = std::move(recorded.ends);
  EXPECT_TRUE(!ends.empty() && ends.back().was_open && ends.back().last);
  if (!ends.empty()) ends.pop_back();
  return ends;
}

// A busy machine may miss a short deadline more than once, so only the first end counts then.
void expect_a_failure_of_tls(Fault fault, std::size_t bytes) {
  SCOPED_TRACE("fault " + std::to_string(static_cast<int>(fault)) + " after " +
               std::to_string(bytes) + " bytes");
  const bool stalls = fault == Fault::stall;
  const AcceptingPeer peer(failing_first(fault, bytes));
  const auto ends = ends_before_open("wss://" + peer.authority() + "/echo", stalls ? 100ms : 60s);
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
      for (const std::size_t bytes : {0, 1, 5, 60, 300}) {
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

}  // namespace
}  // namespace tern::test
