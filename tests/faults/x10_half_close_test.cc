// X10: the peer ends its half of TCP (FIN) and keeps the other half: before a Close frame, inside a
// frame, inside the head, after its Close frame. Pass: the connection ends at once (all deadlines
// are minutes away): with 1006 and the cause end_of_stream, or normally after a Close frame. Then
// the loop rests, although the peer never closes its end: at most 5 wakeups in a quarter of a
// second, counted under the library. CI has the full size, which takes seconds.
#include "faults/support/attacked.h"
#include "faults/support/half_close.h"
#include "support/raw_client.h"
#include "support/socket_peer.h"

#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

using Row = HalfClose<Attacked, RawClient>;

// Sends these bytes, then FIN. The connection stays open at this end.
RawClient half_closed(std::uint16_t port, std::string_view bytes) {
  RawClient client(port);
  client.send(bytes);
  client.finish();
  return client;
}

TEST(Faults, X10_FinInsideTheHeadIsARefusalAtOnce) {
  Row row;
  Attacked& attacked = row.attacked;
  const std::string request = upgrade_request();
  std::uint64_t shots = 0;
  strike(attacked, [&] {
    std::vector<RawClient> peers;
    for (std::size_t size = 0; size < request.size(); size += 7) {
      peers.push_back(half_closed(attacked.port(), std::string_view(request).substr(0, size)));
    }
    for (RawClient& peer : peers) {
      const std::string answer = peer.head();
      EXPECT_TRUE(answer.empty() || answer.starts_with("HTTP/1.1 400 ")) << answer;
      EXPECT_TRUE(peer.ends());
    }
    EXPECT_LE(row.wakeups_at_rest(), 5u);
    shots += peers.size();
    EXPECT_EQ(refusals(attacked.server, Errc::end_of_stream), shots);
    return peers.size();
  });
}

TEST(Faults, X10_FinWithoutACloseFrameIs1006) {
  Row row;
  Attacked& attacked = row.attacked;
  const std::string message = wire(Role::client, binary(std::string(130, 'x')));
  std::vector<std::string> cuts = {"", wire(Role::client, text("frag", false))};
  for (std::size_t size = 1; size < message.size(); size += 1 + size / 8) {
    cuts.push_back(message.substr(0, size));  // inside the header or the payload
  }
  strike(attacked, [&] {
    std::vector<RawClient> peers;
    for (const std::string& cut : cuts) {
      peers.push_back(half_closed(attacked.port(), upgrade_request().append(cut)));
      row.expect_end(Errc::end_of_stream);
    }
    EXPECT_LE(row.wakeups_at_rest(), 5u) << "their ends stay open, and cost nothing";
    return peers.size();
  });
}

TEST(Faults, X10_FinBehindACloseFrameIsANormalEnd) {
  Row row;
  Attacked& attacked = row.attacked;
  const std::string all = upgrade_request() + wire(Role::client, {text("x"), closing(1000)});
  strike(attacked, [&] {
    std::vector<RawClient> peers;
    for (int i = 0; i < 20; ++i) {
      peers.push_back(half_closed(attacked.port(), all));
      const auto info = attacked.ends.take();
      if (!info) break;
      EXPECT_EQ(info->code, CloseCode::normal);
      EXPECT_TRUE(info->clean) << info->error.message();
      EXPECT_TRUE(peers.back().head().starts_with("HTTP/1.1 101 "));
      EXPECT_EQ(peers.back().next(), "text x");
      EXPECT_EQ(peers.back().next(), "close 1000");
      EXPECT_TRUE(peers.back().ends());
    }
    EXPECT_LE(row.wakeups_at_rest(), 5u);
    return peers.size();
  });
}

// Both sides sent Close, and tern sent FIN. Then the peer neither ends TCP nor sends anything.
TEST(Faults, X10_APeerThatLingersCostsNoWakeups) {
  Row row;
  Attacked& attacked = row.attacked;
  strike(attacked, [&] {
    std::vector<RawClient> peers;
    for (int i = 0; i < 20; ++i) {
      peers.emplace_back(attacked.port());
      EXPECT_TRUE(peers.back().upgrade());
      EXPECT_TRUE(peers.back().send(closing(1000)));
      EXPECT_EQ(peers.back().next(), "close 1000");
      EXPECT_TRUE(peers.back().ends());
      attacked.ends.take();
    }
    EXPECT_LE(row.wakeups_at_rest(), 5u);
    return peers.size();
  });
}

struct ServersEnd {
  const char* name;
  std::size_t head;    // bytes of the 101 that arrive
  std::string frames;  // behind it
  Errc error;
};

constexpr std::size_t all = 10'000;

void dial_and_receive(const std::string& url, const ServersEnd& row) {
  auto dialed = dial(url, {.timeout = 5min, .timeouts = patient});
  ASSERT_EQ(static_cast<bool>(dialed), row.head == all);
  if (!dialed) {
    EXPECT_EQ(dialed.error().code(), row.error) << dialed.error().message();
    return;
  }
  std::string payload;
  auto received = dialed->receive(payload);
  while (received) received = dialed->receive(payload);
  EXPECT_EQ(received.error().code(), row.error) << received.error().message();
  const bool normal = row.error == Errc::closed;
  EXPECT_EQ(dialed->close(), normal);
  EXPECT_EQ(dialed->close_info().code, normal ? CloseCode::normal : CloseCode::abnormal);
}

TEST(Faults, X10_AClientEndsWhenTheServerEndsItsHalf) {
  const std::string hello = wire(Role::server, text("Hello"));
  const std::vector<ServersEnd> table = {
      {"nothing", 0, "", Errc::end_of_stream},
      {"in the status line", 8, "", Errc::end_of_stream},
      {"in the head", 60, "", Errc::end_of_stream},
      {"open", all, "", Errc::end_of_stream},
      {"in a frame header", all, hello.substr(0, 1), Errc::end_of_stream},
      {"in a payload", all, hello.substr(0, 4), Errc::end_of_stream},
      {"between fragments", all, wire(Role::server, text("f", false)), Errc::end_of_stream},
      {"behind a message", all, hello, Errc::end_of_stream},
      {"behind its Close", all, hello + wire(Role::server, closing(1000)), Errc::closed},
  };
  strike_clients([&] {
    for (const ServersEnd& row : table) {
      SCOPED_TRACE(row.name);
      ScriptedPeer peer([&](Socket& socket) {
        socket.send(upgrade_answer(socket.receive_head()).substr(0, row.head) + row.frames);
        socket.shutdown_write();
        EXPECT_TRUE(socket.receive_end()) << "the client ends its half, too";
      });
      dial_and_receive(peer.url(), row);
      peer.join();
    }
    return table.size();
  });
}

}  // namespace
}  // namespace tern::test
