// X20: the peer ends TCP without ending TLS first (no close_notify): before the WebSocket Close,
// inside a message or a record, or behind the Close. Some ends have close_notify, to show the
// difference.
// Pass: an end before the Close is 1006 with the cause tls_truncated (with close_notify:
// end_of_stream), and earlier messages are delivered. An end behind the Close is clean. OpenSSL's
// error queue does not affect the next connection of the same thread: each one echoes and ends
// cleanly. For CI each kind runs twice in both versions of TLS; the full size is 1 000 in a row.
#include "faults/support/tls_attacked.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

struct Ending {
  const char* name;
  std::vector<Frame> frames;  // in one record, behind "last words"
  std::size_t cut;            // bytes of that record that are not sent
  bool close_notify;
  std::error_code error;  // the cause of the end
};

std::vector<Ending> endings() {
  const auto truncated = make_error_code(Errc::tls_truncated);
  return {
      {"between messages", {}, 0, false, truncated},
      {"between fragments", {text("begun", false)}, 0, false, truncated},
      {"inside of a record", {text("cut")}, 9, false, truncated},
      {"inside of a record's header", {text("cut")}, 1'000, false, truncated},
      {"with close_notify", {}, 0, true, make_error_code(Errc::end_of_stream)},
      {"between fragments, with close_notify",
       {text("begun", false)},
       0,
       true,
       make_error_code(Errc::end_of_stream)},
      {"behind the Close", {closing(1000)}, 0, false, {}},
      {"behind the Close, with close_notify", {closing(1000)}, 0, true, {}},
  };
}

// Sends everything that `sender` has to send, up to FIN.
void send_all(TlsSocket& peer, Role sender, const Ending& ending) {
  EXPECT_TRUE(peer.send(wire(sender, text("last words"))));
  if (!ending.frames.empty()) {
    std::string record = peer.seal(wire(sender, ending.frames));
    record.resize(ending.cut < record.size() ? record.size() - ending.cut : 3);
    EXPECT_TRUE(peer.send_raw(record));
  }
  if (ending.close_notify) peer.close_notify();
  peer.fin();
}

void expect_end(const CloseInfo& info, const Ending& ending) {
  EXPECT_EQ(info.error, ending.error) << info.error.message();
  EXPECT_EQ(info.code, ending.error ? CloseCode::abnormal : CloseCode::normal);
  EXPECT_EQ(info.clean, !ending.error);
}

void truncate_the_server(int times) {
  AttackedTls attacked;
  const std::uint16_t port = attacked.start();
  strike_tls(attacked, [&] {
    std::uint64_t fired = 0;
    for (int i = 0; i < times; ++i) {
      const int version = i % 2 == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
      for (const Ending& ending : endings()) {
        SCOPED_TRACE(ending.name);
        TlsClient client(port, version);
        EXPECT_TRUE(client.upgrade());
        send_all(client, Role::client, ending);
        EXPECT_EQ(client.next(), "text last words");
        const auto info = attacked.ends.take();
        if (!info) return fired;
        expect_end(*info, ending);
        if (!ending.error) {
          EXPECT_EQ(client.next(), "close 1000");
          EXPECT_TRUE(client.ends());
        }
        ++fired;
        EXPECT_EQ(clean_tls_echoes(port, 2), 3u) << "the next one of this thread";
        const auto next = attacked.ends.take();
        EXPECT_TRUE(next && next->clean);
      }
    }
    return fired;
  });
}

TEST(Faults, X20_AServerReportsTruncation) { truncate_the_server(4); }
TEST(FaultsLong, X20_AServerReportsAThousandTruncations) { truncate_the_server(125); }

void dial_and_receive(const std::string& url, const Ending& ending) {
  auto dialed = dial(url, trusting());
  ASSERT_TRUE(dialed) << dialed.error().message();
  std::string payload;
  ASSERT_TRUE(dialed->receive(payload));
  EXPECT_EQ(payload, "last words");
  const auto end = dialed->receive(payload);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code(), ending.error ? ending.error : make_error_code(Errc::closed))
      << end.error().message();
  EXPECT_EQ(dialed->close(), !ending.error);
  expect_end(dialed->close_info(), ending);
}

void truncate_the_client(int times) {
  Attacked next(over_tls());
  next.listening = false;
  next.start();
  strike_tls_clients([&] {
    std::uint64_t fired = 0;
    for (int i = 0; i < times; ++i) {
      for (const Ending& ending : endings()) {
        SCOPED_TRACE(ending.name);
        TlsPeer peer([&](TlsSocket& socket) {
          if (i % 2 == 0) SSL_set_max_proto_version(socket.ssl(), TLS1_2_VERSION);
          EXPECT_TRUE(answer(socket));
          send_all(socket, Role::server, ending);
          EXPECT_TRUE(socket.tcp_ends());
        });
        dial_and_receive(peer.url(), ending);
        peer.join();
        ++fired;
        EXPECT_EQ(tern_echoes(next.url(), 2, trusting()), 3u) << "the next one of this thread";
      }
    }
    EXPECT_TRUE(next.deserted());
    return fired;
  });
}

TEST(Faults, X20_AClientReportsTruncation) { truncate_the_client(4); }
TEST(FaultsLong, X20_AClientReportsAThousandTruncations) { truncate_the_client(125); }

}  // namespace
}  // namespace tern::test
