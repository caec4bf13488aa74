// X8: the peer resets TCP (SO_LINGER {1, 0}, then close) at each byte of a conversation: in the
// request or the answer, in frame headers, payloads, between fragments, in the Close frame.
// Pass: at every offset there is exactly one close event with the reset as its cause. Before there
// is a session, there is one refused handshake with that cause. SIGPIPE, which has its default
// disposition, ends no process. CI has the full size, which takes a second.
#include "faults/support/attacked.h"
#include "faults/support/sigpipe.h"
#include "support/engine_peer.h"
#include "support/raw_client.h"
#include "support/socket_peer.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

// All kinds of frames. The last one is the Close.
std::vector<Frame> conversation() {
  return {text("Hello"),       binary(std::string(130, 'b')),
          text("frag", false), ping("p"),
          more("men", false),  more("t"),
          closing(1000, "bye")};
}

TEST(Faults, X08_ResetAtEachByteOfTheRequestIsOneRefusal) {
  const DeadlySigpipe deadly;
  Attacked attacked;
  const std::uint16_t port = attacked.start();
  const std::string request = upgrade_request();
  std::size_t shots = 0;
  strike(attacked, [&] {
    const int sessions = attacked.opened;
    for (std::size_t size = 0; size < request.size(); ++size) {
      RawClient client(port);
      EXPECT_TRUE(client.send(std::string_view(request).substr(0, size)));
      client.reset();
      ++shots;
    }
    EXPECT_TRUE(eventually([&] {
      return refusals(attacked.server, Errc::connection_reset) == shots;
    })) << refusals(attacked.server, Errc::connection_reset)
        << " of " << shots;
    EXPECT_EQ(attacked.opened, sessions);
    return request.size();
  });
}

// With `waits` the client waits for the 101, so that its frames meet an open connection. Otherwise
// it sends everything at once.
void reset_inside(std::uint16_t port, std::string_view frames, bool waits) {
  RawClient client(port);
  if (waits) {
    EXPECT_TRUE(client.upgrade());
    EXPECT_TRUE(client.send(frames));
  } else {
    EXPECT_TRUE(client.send(upgrade_request().append(frames)));
  }
  client.reset();
}

TEST(Faults, X08_ResetAtEachByteOfTheFramesIsOneCloseEvent) {
  const DeadlySigpipe deadly;
  Attacked attacked;
  const std::uint16_t port = attacked.start();
  const std::string whole = wire(Role::client, conversation());
  const std::string long_frame = wire_header(Role::client, binary({}), 70'000) + "begun";
  strike(attacked, [&] {
    std::size_t shots = 0;
    for (const std::string& frames : {whole, long_frame}) {
      for (std::size_t size = 0; size <= frames.size(); ++size) {
        for (const bool waits : {true, false}) {
          SCOPED_TRACE(std::to_string(size) + (waits ? " bytes, later" : " bytes, at once"));
          reset_inside(port, std::string_view(frames).substr(0, size), waits);
          ++shots;
          const auto info = attacked.ends.take();
          if (!info) return shots;
          expect_reset(*info, size == whole.size());
        }
      }
    }
    return shots;
  });
}

TEST(Faults, X08_ResetAtEachByteOfTheAnswerFailsTheDial) {
  const DeadlySigpipe deadly;
  const std::size_t answer_size = upgrade_answer(upgrade_request()).size();
  strike_clients([&] {
    for (std::size_t size = 0; size < answer_size; ++size) {
      ScriptedPeer peer([&](Socket& socket) {
        socket.send(upgrade_answer(socket.receive_head()).substr(0, size));
        socket.reset();
      });
      const auto dialed = dial(peer.url());
      peer.join();
      EXPECT_FALSE(dialed) << size;
      if (dialed) continue;
      EXPECT_EQ(dialed.error().code(), Errc::connection_reset)
          << size << ": " << dialed.error().message();
    }
    return answer_size;
  });
}

void receive_until_reset(const std::string& url, bool first_came, bool close_came) {
  auto dialed = dial(url);
  ASSERT_TRUE(dialed) << dialed.error().message();
  std::string payload;
  std::size_t messages = 0;
  auto received = dialed->receive(payload);
  for (; received; received = dialed->receive(payload)) ++messages;
  EXPECT_EQ(messages >= 1, first_came) << "messages before the reset are delivered";
  EXPECT_LE(messages, 3u);
  const CloseInfo info = dialed->close_info();
  expect_reset(info, close_came);
  EXPECT_EQ(received.error().code(), info.clean ? Errc::closed : Errc::connection_reset)
      << received.error().message();
  const auto again = dialed->receive(payload);
  EXPECT_EQ(again.error().code(), received.error().code()) << "the end does not change";
}

TEST(Faults, X08_ResetAtEachByteOfTheServersFramesIsOneEnd) {
  const DeadlySigpipe deadly;
  const std::string frames = wire(Role::server, conversation());
  const std::size_t first = wire(Role::server, text("Hello")).size();
  strike_clients([&] {
    for (std::size_t size = 0; size <= frames.size(); ++size) {
      SCOPED_TRACE(size);
      ScriptedPeer peer([&](Socket& socket) {
        socket.upgrade({}, std::string_view(frames).substr(0, size));
        socket.reset();
      });
      receive_until_reset(peer.url(), size >= first, size == frames.size());
      peer.join();
    }
    return frames.size() + 1;
  });
}

// The same without a kernel, so it is exact, in both roles.
TEST(Faults, X08_AnEngineReportsOneEndForAResetAtEachByte) {
  for (const Role us : {Role::server, Role::client}) {
    const Role them = us == Role::server ? Role::client : Role::server;
    const std::string frames = wire(them, conversation());
    std::size_t shots = 0;
    for (std::size_t size = 0; size < frames.size(); ++size, ++shots) {
      Peer peer(us);
      peer.receive(std::string_view(frames).substr(0, size));
      ASSERT_FALSE(peer.saw_closed());
      peer.receive_error(Errc::connection_reset);  // Peer requires that closed is reported once
      ASSERT_TRUE(peer.saw_closed()) << size;
      EXPECT_EQ(peer.ending(), (Ending{.error = Errc::connection_reset})) << size;
      EXPECT_TRUE(peer.dead()) << size;
    }
    EXPECT_EQ(shots, frames.size());
  }
}

}  // namespace
}  // namespace tern::test
