// X10 over TLS: the peer ends its half of TCP (FIN), with or without close_notify, and keeps the
// other half: inside the TLS handshake, the head, a frame or a record, or after its Close. Pass:
// the connection ends at once (all deadlines are minutes away): with 1006 and the cause
// tls_truncated (with close_notify: end_of_stream), or normally after a Close frame. Then the loop
// rests, although the peer never closes its end: at most 5 wakeups in a quarter of a second,
// counted under the library. CI has the full size, which takes seconds.
#include "faults/support/half_close.h"
#include "faults/support/tls_attacked.h"

#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tern::test {
namespace {

using Row = HalfClose<AttackedTls, TlsClient>;
using Peers = std::vector<std::unique_ptr<TlsClient>>;

TEST(Faults, X10_FinInsideTheTlsHandshakeIsARefusalAtOnce) {
  Row row;
  AttackedTls& attacked = row.attacked;
  std::uint64_t truncated = 0;
  std::uint64_t silent = 0;
  strike_tls(attacked, [&] {
    Peers peers;
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      bool all = false;
      for (std::size_t bytes = 0; !all; bytes += 19) {
        peers.push_back(std::make_unique<TlsClient>(attacked.port(), version));
        TlsClient& peer = *peers.back();
        peer.stop_after(bytes);
        all = peer.shake_hands();
        peer.fin();
        EXPECT_TRUE(peer.tcp_ends());
        bytes == 0 ? ++silent : ++truncated;
      }
    }
    EXPECT_LE(row.wakeups_at_rest(), 5u);
    EXPECT_EQ(refusals(attacked.server, Errc::tls_truncated), truncated);
    EXPECT_EQ(refusals(attacked.server, Errc::end_of_stream), silent);
    return peers.size();
  });
}

TEST(Faults, X10_FinInsideTheHeadIsARefusalAtOnceOverTls) {
  Row row;
  AttackedTls& attacked = row.attacked;
  const std::string request = upgrade_request();
  std::uint64_t truncated = 0;
  std::uint64_t ended = 0;
  strike_tls(attacked, [&] {
    Peers peers;
    for (std::size_t size = 0; size < request.size(); size += 29) {
      for (const bool notify : {false, true}) {
        peers.push_back(std::make_unique<TlsClient>(attacked.port()));
        TlsClient& peer = *peers.back();
        EXPECT_TRUE(peer.shake_hands());
        EXPECT_TRUE(size == 0 || peer.send(request.substr(0, size)));
        if (notify) peer.close_notify();
        peer.fin();
        const std::string answer = peer.head();
        EXPECT_TRUE(answer.empty() || answer.starts_with("HTTP/1.1 400 ")) << answer;
        EXPECT_TRUE(peer.tcp_ends());
        notify ? ++ended : ++truncated;
      }
    }
    EXPECT_LE(row.wakeups_at_rest(), 5u);
    EXPECT_EQ(refusals(attacked.server, Errc::tls_truncated), truncated);
    EXPECT_EQ(refusals(attacked.server, Errc::end_of_stream), ended);
    return peers.size();
  });
}

TEST(Faults, X10_FinWithoutACloseFrameIs1006OverTls) {
  Row row;
  AttackedTls& attacked = row.attacked;
  const std::string message = wire(Role::client, binary(std::string(130, 'x')));
  strike_tls(attacked, [&] {
    Peers peers;
    for (std::size_t size = 0; size < message.size(); size += 1 + size / 4) {
      for (const bool notify : {false, true}) {
        peers.push_back(std::make_unique<TlsClient>(attacked.port()));
        TlsClient& peer = *peers.back();
        EXPECT_TRUE(peer.upgrade());
        EXPECT_TRUE(size == 0 || peer.send(message.substr(0, size)));
        if (notify) peer.close_notify();
        peer.fin();
        row.expect_end(notify ? Errc::end_of_stream : Errc::tls_truncated);
      }
    }
    EXPECT_LE(row.wakeups_at_rest(), 5u) << "their ends stay open, and cost nothing";
    return peers.size();
  });
}

// The peer sends Close and ends its half, with or without close_notify, or does not end it.
TEST(Faults, X10_FinBehindACloseFrameIsANormalEndOverTls) {
  Row row;
  AttackedTls& attacked = row.attacked;
  strike_tls(attacked, [&] {
    Peers peers;
    for (int i = 0; i < 21; ++i) {
      peers.push_back(std::make_unique<TlsClient>(attacked.port()));
      TlsClient& peer = *peers.back();
      EXPECT_TRUE(peer.upgrade());
      EXPECT_TRUE(peer.send(wire(Role::client, {text("x"), closing(1000)})));
      if (i % 3 == 1) peer.close_notify();
      if (i % 3 != 2) peer.fin();
      const auto info = attacked.ends.take();
      if (!info) break;
      EXPECT_EQ(info->code, CloseCode::normal);
      EXPECT_TRUE(info->clean) << info->error.message();
      EXPECT_EQ(peer.next(), "text x");
      EXPECT_EQ(peer.next(), "close 1000");
      EXPECT_TRUE(peer.ends());
    }
    EXPECT_LE(row.wakeups_at_rest(), 5u);
    return peers.size();
  });
}

// The bytes that a server sends before it ends its half: of its handshake, then of a message.
void end_half_of_the_server(int version, std::size_t bytes, bool& all) {
  TlsPeer peer([&](TlsSocket& socket) {
    SSL_set_max_proto_version(socket.ssl(), version);
    socket.stop_after(bytes);
    all = answer(socket) && socket.send(wire(Role::server, text("Hello")));
    socket.fin();
    EXPECT_TRUE(socket.tcp_ends()) << "the client ends its half, too";
  });
  const Errc expected = bytes == 0 ? Errc::end_of_stream : Errc::tls_truncated;
  auto dialed = dial(peer.url(), trusting({.timeout = patient.handshake, .timeouts = patient}));
  if (!dialed) {
    EXPECT_EQ(dialed.error().code(), expected) << dialed.error().message();
    return peer.join();
  }
  std::string payload;
  auto received = dialed->receive(payload);
  while (received) received = dialed->receive(payload);
  EXPECT_EQ(received.error().code(), expected) << received.error().message();
  EXPECT_FALSE(dialed->close());
  EXPECT_EQ(dialed->close_info().code, CloseCode::abnormal);
  peer.join();
}

TEST(Faults, X10_AClientEndsWhenTheTlsServerEndsItsHalf) {
  strike_tls_clients([&] {
    std::size_t shots = 0;
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      bool all = false;
      for (std::size_t bytes = 0; !all; bytes += 71, ++shots) {
        SCOPED_TRACE(bytes);
        end_half_of_the_server(version, bytes, all);
      }
    }
    return shots;
  });
}

}  // namespace
}  // namespace tern::test
