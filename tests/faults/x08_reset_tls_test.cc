// X8 over TLS: the peer resets TCP at each byte of its output: ClientHello, the rest of the
// handshake, the records of the request and of the frames. The same for a server as the peer. Pass:
// at every offset there is exactly one close event with the reset as its cause. Before there is a
// session, there is one refused handshake with that cause. SIGPIPE, which has its default
// disposition, ends no process. Both versions of TLS. For CI each round resets at every seventh
// byte, with another offset; the full size resets at each.
#include "faults/support/sigpipe.h"
#include "faults/support/tls_attacked.h"

#include <functional>
#include <gtest/gtest.h>
#include <string>

namespace tern::test {
namespace {

std::string frames_of(Role sender) {
  return wire(sender, {text("Hello"), binary(std::string(130, 'b')), text("frag", false), ping("p"),
                       more("ment"), closing(1000, "bye")});
}

constexpr std::size_t everything = static_cast<std::size_t>(-1);

// The parts of its output that the peer has sent.
struct Sent {
  bool upgrade = false;  // the request or its answer
  bool all = false;
};

Sent send_and_reset(std::uint16_t port, int version, std::size_t bytes) {
  TlsClient client(port, version);
  if (bytes != everything) client.stop_after(bytes);
  Sent sent;
  sent.upgrade = client.shake_hands() && client.send(upgrade_request());
  sent.all = sent.upgrade && !client.head().empty() && client.send(frames_of(Role::client));
  client.reset();
  return sent;
}

void reset_the_server(int version, std::size_t step) {
  const DeadlySigpipe deadly;
  AttackedTls attacked;
  const std::uint16_t port = attacked.start();
  std::uint64_t refused = 0;
  std::size_t round = 0;
  strike_tls(attacked, [&] {
    Sent sent;
    std::size_t shots = 0;
    for (std::size_t bytes = round++ % step; !sent.all; bytes += step, ++shots) {
      SCOPED_TRACE(std::to_string(bytes) + " bytes");
      sent = send_and_reset(port, version, bytes);
      refused += !sent.upgrade;
      if (!sent.upgrade) continue;
      const auto info = attacked.ends.take();
      if (!info) return shots;
      expect_reset(*info, sent.all);
    }
    EXPECT_GT(shots, 500 / step);
    EXPECT_TRUE(eventually([&] {
      return refusals(attacked.server, Errc::connection_reset) == refused;
    })) << refusals(attacked.server, Errc::connection_reset)
        << " of " << refused;
    return shots;
  });
}

TEST(Faults, X08_Tls12ResetIsOneRefusalOrOneCloseEvent) { reset_the_server(TLS1_2_VERSION, 7); }
TEST(Faults, X08_Tls13ResetIsOneRefusalOrOneCloseEvent) { reset_the_server(TLS1_3_VERSION, 7); }
TEST(FaultsLong, X08_Tls12ResetAtEachByteIsOneRefusalOrOneCloseEvent) {
  reset_the_server(TLS1_2_VERSION, 1);
}
TEST(FaultsLong, X08_Tls13ResetAtEachByteIsOneRefusalOrOneCloseEvent) {
  reset_the_server(TLS1_3_VERSION, 1);
}

// Dials, and receives until the end.
void expect_reset_of_client(const std::string& url, const std::function<Sent()>& join) {
  auto dialed = dial(url, trusting());
  if (!dialed) {
    EXPECT_FALSE(join().upgrade);
    EXPECT_EQ(dialed.error().code(), Errc::connection_reset) << dialed.error().message();
    return;
  }
  std::string payload;
  std::size_t messages = 0;
  auto received = dialed->receive(payload);
  for (; received; received = dialed->receive(payload)) ++messages;
  const Sent sent = join();
  EXPECT_TRUE(sent.upgrade);
  EXPECT_LE(messages, 3u);
  const CloseInfo info = dialed->close_info();
  expect_reset(info, sent.all);
  EXPECT_EQ(received.error().code(), info.clean ? Errc::closed : Errc::connection_reset)
      << received.error().message();
}

void reset_the_client(int version, std::size_t step) {
  const DeadlySigpipe deadly;
  const std::string frames = frames_of(Role::server);
  std::size_t round = 0;
  strike_tls_clients([&] {
    Sent sent;
    std::size_t shots = 0;
    for (std::size_t bytes = round++ % step; !sent.all; bytes += step, ++shots) {
      SCOPED_TRACE(std::to_string(bytes) + " bytes");
      TlsPeer peer([&](TlsSocket& socket) {
        SSL_set_max_proto_version(socket.ssl(), version);
        socket.stop_after(bytes);
        sent.upgrade = answer(socket);
        sent.all = sent.upgrade && socket.send(frames);
        socket.reset();
      });
      expect_reset_of_client(peer.url(), [&] {
        peer.join();
        return sent;
      });
    }
    EXPECT_GT(shots, 500 / step);
    return shots;
  });
}

TEST(Faults, X08_Tls12ResetByTheServerIsOneEnd) { reset_the_client(TLS1_2_VERSION, 7); }
TEST(Faults, X08_Tls13ResetByTheServerIsOneEnd) { reset_the_client(TLS1_3_VERSION, 7); }
TEST(FaultsLong, X08_Tls12ResetAtEachByteOfTheServerIsOneEnd) {
  reset_the_client(TLS1_2_VERSION, 1);
}
TEST(FaultsLong, X08_Tls13ResetAtEachByteOfTheServerIsOneEnd) {
  reset_the_client(TLS1_3_VERSION, 1);
}

}  // namespace
}  // namespace tern::test
