// The output of an engine: frames keep their order and their borders in short writes and long
// queues.
#include "support/bare_engine.h"
#include "support/engine_table.h"

#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using Strings = Peer::Strings;
constexpr Role roles[] = {Role::server, Role::client};

// Ping, pong and Close are queued after each possible number of written bytes of a message.
TEST(EngineOutput, Rfc6455_5_4_ControlFramesNeverCutAFrame) {
  for (const Role role : roles) {
    const std::string first = payload_of(130, 'a');
    const std::string second = payload_of(20, 'b');
    for (std::size_t written = 0; written < 170; ++written) {
      for (const std::size_t step : {std::size_t{1}, Peer::all}) {
        Peer peer(role);
        peer.echo = false;
        peer.writable = written;
        peer.engine().send(first);
        peer.engine().send(second);
        peer.turn();
        peer.engine().ping(std::as_bytes(std::span("12", 2)));
        peer.receive(ping("theirs"));
        peer.engine().send(std::string_view("third"));
        peer.engine().close(CloseCode::normal, "bye");
        peer.receive(ping("after close"));
        peer.write_step = step;
        peer.writable = Peer::all;
        peer.turn();
        Strings frames = peer.frames();
        ASSERT_EQ(frames.back(), "close 1000 bye") << written;
        ASSERT_EQ(std::erase(frames, "ping 12"), 1u) << written;
        ASSERT_EQ(std::erase(frames, "pong theirs"), 1u) << written;
        ASSERT_EQ(frames,
                  (Strings{"text " + first, "text " + second, "text third", "close 1000 bye"}));
      }
    }
  }
}

TEST(EngineOutput, Rfc6455_5_5_1_PongsThatWaitGoAheadOfTheClose) {
  for (const Role role : roles) {
    for (const bool begun : {false, true}) {
      Peer peer(role);
      peer.writable = begun ? 1 : 0;
      peer.receive({text("Hello"), ping("offered to the socket")});
      peer.receive({ping("behind it"), ping("and this")});
      peer.engine().ping();
      peer.engine().close(CloseCode::normal);
      peer.turn();
      peer.writable = Peer::all;
      peer.turn();
      Strings frames = peer.frames();
      EXPECT_EQ(std::erase(frames, "text Hello"), 1u);
      EXPECT_EQ(frames, (Strings{"pong offered to the socket", "pong behind it", "pong and this",
                                 "ping", "close 1000"}));
    }
  }
}

TEST(EngineOutput, Rfc6455_4_2_2_NothingOvertakesThe101) {
  for (const std::size_t written : {0u, 1u, 50u}) {
    Peer peer(Role::server, {}, Start::handshake);
    peer.writable = written;
    peer.receive(upgrade_request() + wire(Role::client, {ping("fast"), text("Hello")}));
    peer.writable = Peer::all;
    peer.turn();
    EXPECT_TRUE(peer.head().starts_with("HTTP/1.1 101 ")) << peer.head();
    EXPECT_EQ(peer.frames(), (Strings{"pong fast", "text Hello"}));
  }
}

// The same rule for payloads that are referenced. Their header and payload are separate pieces.
TEST(EngineOutput, Rfc6455_5_4_ControlFramesNeverCutALargeFrame) {
  for (const Role role : roles) {
    for (const std::size_t written : {0u, 1u, 3u, 4u, 5u, 2'000u, 5'003u, 5'004u, 5'005u, 7'000u}) {
      Peer peer(role);
      peer.writable = written;
      peer.receive({binary(payload_of(5'000, 'a')), binary(payload_of(6'000, 'b'))});
      peer.receive(ping("p"));
      peer.engine().send(SharedMessage(payload_of(7'000, 'c')));
      peer.write_step = 1;
      peer.writable = Peer::all;
      peer.turn();
      Strings frames = peer.frames();
      ASSERT_EQ(std::erase(frames, "pong p"), 1u) << written;
      ASSERT_EQ(frames, (Strings{to_string(binary(payload_of(5'000, 'a'))),
                                 to_string(binary(payload_of(6'000, 'b'))),
                                 to_string(text(payload_of(7'000, 'c')))}));
    }
  }
}

TEST(EngineOutput, Rfc6455_5_5_2_APongOvertakesMessagesNotBegun) {
  for (const Role role : roles) {
    Peer peer(role);
    peer.writable = 0;
    for (int i = 0; i < 20; ++i) peer.engine().send(payload_of(10'000));
    peer.turn();
    peer.writable = 1;
    peer.turn();
    peer.receive(ping("fast"));
    peer.writable = Peer::all;
    peer.turn();
    const Strings frames = peer.frames();
    const auto at = std::find(frames.begin(), frames.end(), "pong fast") - frames.begin();
    EXPECT_LE(at, 4) << "behind the chunk that was begun, not behind 200 KB";
  }
}

TEST(EngineOutput, ThousandsOfMessagesLeaveInOrder) {
  std::mt19937 random(3);
  for (const Role role : roles) {
    Peer peer(role, {.limits = {.max_queued_bytes = 1 << 30}});
    peer.writable = 0;
    Strings expected;
    for (int i = 0; i < 3'000; ++i) {
      const std::string payload =
          payload_of(random() % (i % 7 == 0 ? 9'000 : 100), 'm') + std::to_string(i);
      if (i % 3 == 0) {
        peer.engine().send(SharedMessage(payload));
      } else {
        peer.engine().send(payload);
      }
      expected.push_back(to_string(text(payload)));
      if (i % 100 == 0) {
        peer.writable = random() % 50'000;
        peer.write_step = 1 + random() % 5'000;
        peer.turn();
      }
    }
    peer.writable = Peer::all;
    peer.turn();
    EXPECT_EQ(peer.frames(), expected);
  }
}

TEST(EngineOutput, QueuedBytesAreThoseOfTheOutput) {
  for (const Role role : roles) {
    Bare bare(role);
    std::size_t sum = 0;
    for (const std::size_t size : {0u, 1u, 125u, 126u, 65'535u, 65'536u}) {
      const std::string payload = payload_of(size);
      bare.engine.send(payload);
      sum += wire(role, text(payload)).size();
      EXPECT_EQ(bare.engine.queued_bytes(), sum);
    }
    while (sum > 0) {
      sum -= bare.write(10'000).size();
      EXPECT_EQ(bare.engine.queued_bytes(), sum);
    }
    EXPECT_TRUE(bare.engine.output().empty());
  }
}

// The queue removes written pieces from its list while others wait.
TEST(EngineOutput, AQueueThatIsNeverEmptyKeepsItsOrder) {
  for (const Role role : roles) {
    Peer peer(role, {.limits = {.max_queued_bytes = 1 << 30}});
    Strings expected;
    const auto send = [&](int number) {
      const std::string payload = payload_of(4'096) + std::to_string(number);
      peer.engine().send(SharedMessage(payload));
      expected.push_back(to_string(text(payload)));
    };
    peer.writable = 0;
    for (int i = 0; i < 600; ++i) send(i);
    for (int i = 600; i < 1'200; ++i) {
      send(i);
      peer.writable = 4'107;  // about a frame
      peer.receive(ping(std::to_string(i)));
    }
    peer.writable = Peer::all;
    peer.turn();
    Strings frames = peer.frames();
    int last = 599;
    for (const std::string& frame : frames) {  // pongs: a bounded number of them, in order
      if (!frame.starts_with("pong ")) continue;
      const int number = std::stoi(frame.substr(5));
      EXPECT_GT(number, last);
      last = number;
    }
    EXPECT_EQ(last, 1'199);
    std::erase_if(frames, [](const std::string& frame) { return frame.starts_with("pong "); });
    EXPECT_EQ(frames, expected);
  }
}

// Pings and pongs have a chunk of their own. When it is full, the waiting ones move to the next
// chunk, while others are written from the old one.
TEST(EngineOutput, Rfc6455_5_5_3_PongsKeepTheirOrderOverManyChunks) {
  for (const Role role : roles) {
    for (const int waiting : {2, 3, 4, 7}) {
      SCOPED_TRACE(waiting);
      Peer peer(role);
      Strings expected;
      const auto receive_one = [&](int number) {
        std::string payload = std::to_string(number);
        payload.resize(125, 'p');
        expected.push_back("pong " + payload);
        peer.receive(ping(payload));
      };
      const std::size_t frame = 2 + 125 + (role == Role::client ? 4 : 0);
      peer.writable = 0;
      for (int i = 0; i < waiting; ++i) receive_one(i);
      for (int i = waiting; i < 1'000; ++i) {
        peer.writable = frame;
        receive_one(i);
        ASSERT_EQ(peer.engine().queued_bytes(), static_cast<std::size_t>(waiting) * frame);
      }
      peer.writable = Peer::all;
      peer.turn();
      EXPECT_EQ(peer.frames(), expected);
    }
  }
}

TEST(EngineOutput, HasAtMost256PiecesAndLosesNone) {
  Bare bare(Role::server, {.limits = {.max_queued_bytes = 1 << 30}});
  const SharedMessage shared{std::string_view(payload_of(5'000))};
  for (int i = 0; i < 1'000; ++i) bare.engine.send(shared);
  FrameReader reader(Role::server);
  while (!bare.engine.output().empty()) {
    ASSERT_LE(bare.engine.output().size(), 256u);
    reader.feed(bare.write());
  }
  EXPECT_EQ(reader.frames().size(), 1'000u);
}

}  // namespace
}  // namespace tern::test
