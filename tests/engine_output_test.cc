// What goes out: order and borders of frames under short writes, what is referenced and what is
// copied, and how long views live.
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

std::string octets(std::size_t count, char c = 'x') { return std::string(count, c); }

bool contains(std::span<const std::byte> range, const iovec& piece) {
  const auto* begin = static_cast<const std::byte*>(piece.iov_base);
  return begin >= range.data() && begin + piece.iov_len <= range.data() + range.size();
}

// How many octets of the output lie inside of `range`.
std::size_t referenced(Engine& engine, std::span<const std::byte> range) {
  std::size_t result = 0;
  for (const iovec& piece : engine.output()) result += contains(range, piece) ? piece.iov_len : 0;
  return result;
}

// A driver in the nude: for what Peer would tidy up too early.
struct Bare {
  explicit Bare(Role role, EngineOptions given = {}) : us(role), options(given) {
    engine.tick(Engine::TimePoint() + 1h);
    EXPECT_EQ(engine.next().kind(), Event::Kind::open);
  }
  std::span<std::byte> lend(const std::vector<Frame>& frames) {
    lent = wire(us == Role::server ? Role::client : Role::server, frames);
    return std::as_writable_bytes(std::span(lent));
  }
  std::string write(std::size_t most = Peer::all) {
    std::string result;
    for (const iovec& piece : engine.output()) {
      result.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
    }
    result.resize(std::min(most, result.size()));
    engine.consume_output(result.size());
    return result;
  }

  Role us;
  EngineOptions options;
  Workspace workspace{};
  std::string lent{};
  Engine engine = *Engine::established(us, {}, options, workspace);
};

// ---- order

// Ping, pong and Close come while a large message is under way, at every octet of it.
TEST(EngineOutput, Rfc6455_5_4_ControlFramesNeverCutAFrame) {
  for (const Role role : roles) {
    const std::string first = octets(130, 'a');
    const std::string second = octets(20, 'b');
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

// The same with payloads that are referenced: header and payload are pieces of their own.
TEST(EngineOutput, Rfc6455_5_4_ControlFramesNeverCutALargeFrame) {
  for (const Role role : roles) {
    for (const std::size_t written : {0u, 1u, 3u, 4u, 5u, 2'000u, 5'003u, 5'004u, 5'005u, 7'000u}) {
      Peer peer(role);
      peer.writable = written;
      peer.receive({binary(octets(5'000, 'a')), binary(octets(6'000, 'b'))});
      peer.receive(ping("p"));
      peer.engine().send(SharedMessage(octets(7'000, 'c')));
      peer.write_step = 1;
      peer.writable = Peer::all;
      peer.turn();
      Strings frames = peer.frames();
      ASSERT_EQ(std::erase(frames, "pong p"), 1u) << written;
      ASSERT_EQ(frames, (Strings{to_string(binary(octets(5'000, 'a'))),
                                 to_string(binary(octets(6'000, 'b'))),
                                 to_string(text(octets(7'000, 'c')))}));
    }
  }
}

TEST(EngineOutput, Rfc6455_5_5_2_APongOvertakesWhatIsNotBegun) {
  for (const Role role : roles) {
    Peer peer(role);
    peer.writable = 0;
    for (int i = 0; i < 20; ++i) peer.engine().send(octets(10'000));
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
          octets(random() % (i % 7 == 0 ? 9'000 : 100), 'm') + std::to_string(i);
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
      const std::string payload = octets(size);
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

// ---- referenced, not copied

TEST(EngineOutput, AServerEchoesLargeLentPayloadsWithoutCopying) {
  Bare bare(Role::server);
  const std::vector<Frame> frames = {binary(octets(4'096)), binary(octets(16'384)),
                                     text(octets(100))};
  const auto lent = bare.lend(frames);
  bare.engine.feed(0, lent);
  while (const Event event = bare.engine.next()) bare.engine.send(event.message());
  EXPECT_EQ(referenced(bare.engine, lent), 4'096u + 16'384u) << "small ones are copied";
  EXPECT_LE(bare.engine.output().size(), 6u);

  bare.write(3'000);  // in the middle of the first
  bare.engine.settle();
  EXPECT_EQ(referenced(bare.engine, lent), 0u) << "settle() moves it";
  std::fill(bare.lent.begin(), bare.lent.end(), '\xEE');
  bare.engine.settle();
  std::string rest = bare.write();
  FrameReader reader(Role::server);
  reader.feed(wire(Role::server, frames).substr(0, 3'000) + rest);
  ASSERT_EQ(reader.frames().size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(reader.frames()[i].payload, frames[i].payload);
}

TEST(EngineOutput, Rfc6455_5_3_AClientMasksWhileCopying) {
  Bare bare(Role::client);
  const auto lent = bare.lend({binary(octets(16'384))});
  bare.engine.feed(0, lent);
  const Event event = bare.engine.next();
  const std::string borrowed = octets(10'000, 'b');
  bare.engine.send(event.message());
  bare.engine.send_borrowed(std::string_view(borrowed));
  EXPECT_EQ(referenced(bare.engine, lent), 0u);
  EXPECT_EQ(referenced(bare.engine, std::as_bytes(std::span(borrowed))), 0u);
  EXPECT_EQ(event.message().text(), octets(16'384)) << "and what is sent stays as it is";
  FrameReader reader(Role::client);
  reader.feed(bare.write());
  ASSERT_EQ(reader.fault(), "");
  ASSERT_EQ(reader.frames().size(), 2u);
  EXPECT_EQ(reader.frames()[0].payload, octets(16'384));
  EXPECT_EQ(reader.frames()[1].payload, borrowed);
}

// A message assembled from several reads leaves in the buffer it was assembled in.
TEST(EngineOutput, AnAssembledMessageIsSentTwiceWithoutCopying) {
  Bare bare(Role::server);
  const std::string payload = octets(100'000, 'p');
  for (const auto& part :
       {binary(payload.substr(0, 50'000), false), more(payload.substr(50'000))}) {
    bare.engine.feed(0, bare.lend({part}));
    const Event event = bare.engine.next();
    if (!event) continue;
    const auto bytes = event.message().bytes();
    EXPECT_TRUE(bare.engine.send(event.message()));
    EXPECT_TRUE(bare.engine.send(event.message()));
    EXPECT_EQ(referenced(bare.engine, bytes), 200'000u);
    EXPECT_TRUE(bare.engine.send(Message(MessageType::binary, bytes.subspan(1)))) << "a part of it";
  }
  EXPECT_FALSE(bare.engine.next());
  bare.engine.settle();
  // The next message needs a buffer of its own while this one waits.
  bare.engine.feed(0, bare.lend({binary(octets(50'000, 'q'), false), more(octets(1, 'q'))}));
  ASSERT_EQ(bare.engine.next().message().size(), 50'001u);
  FrameReader reader(Role::server);
  reader.feed(bare.write());
  ASSERT_EQ(reader.fault(), "");
  ASSERT_EQ(reader.frames().size(), 3u);
  EXPECT_EQ(reader.frames()[0].payload, payload);
  EXPECT_EQ(reader.frames()[1].payload, payload);
  EXPECT_EQ(reader.frames()[2].payload, payload.substr(1));
}

TEST(EngineOutput, SendBorrowedReferencesUntilSettle) {
  Bare bare(Role::server);
  std::string large = octets(100'000, 'l');
  std::string small = octets(10, 's');
  EXPECT_TRUE(bare.engine.send_borrowed(std::string_view(large)));
  EXPECT_TRUE(bare.engine.send_borrowed(std::string_view(small)));
  EXPECT_EQ(referenced(bare.engine, std::as_bytes(std::span(large))), 100'000u);
  bare.engine.settle();
  large.assign(large.size(), '!');
  small.assign(small.size(), '!');
  FrameReader reader(Role::server);
  reader.feed(bare.write());
  ASSERT_EQ(reader.frames().size(), 2u);
  EXPECT_EQ(reader.frames()[0].payload, octets(100'000, 'l'));
  EXPECT_EQ(reader.frames()[1].payload, octets(10, 's'));
}

TEST(EngineOutput, SharedMessages) {
  for (const Role role : roles) {
    for (const std::size_t size :
         {0u, 1u, 125u, 126u, 4'095u, 4'096u, 65'535u, 65'536u, 300'000u}) {
      const std::string payload = octets(size);
      Bare one(role);
      Bare two(role);
      {
        const SharedMessage shared{std::string_view(payload)};
        EXPECT_EQ(shared.message().text(), payload);
        const SharedMessage copy = shared;
        one.engine.send(shared);
        two.engine.send(copy);
        one.engine.send(copy);
        const std::size_t in_one = referenced(one.engine, shared.message().bytes());
        EXPECT_TRUE(role == Role::server || in_one == 0) << "a client masks";
        one.engine.settle();
        two.engine.settle();
      }  // the queues keep it alive
      for (Bare* bare : {&one, &two}) {
        FrameReader reader(role);
        reader.feed(bare->write());
        ASSERT_EQ(reader.fault(), "");
        ASSERT_EQ(reader.frames().size(), bare == &one ? 2u : 1u);
        for (const Frame& frame : reader.frames()) EXPECT_EQ(frame.payload, payload);
      }
    }
  }
}

TEST(EngineOutput, ALargeSharedMessageIsReferencedByAServer) {
  Bare one(Role::server);
  Bare two(Role::server);
  const SharedMessage shared{std::string_view(octets(100'000))};
  one.engine.send(shared);
  two.engine.send(shared);
  const auto first = one.engine.output();
  const auto second = two.engine.output();
  ASSERT_EQ(first.size(), 1u);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(first[0].iov_base, second[0].iov_base);
}

TEST(EngineOutput, AtMost256PiecesAndNoneIsLost) {
  Bare bare(Role::server, {.limits = {.max_queued_bytes = 1 << 30}});
  const SharedMessage shared{std::string_view(octets(5'000))};
  for (int i = 0; i < 1'000; ++i) bare.engine.send(shared);
  FrameReader reader(Role::server);
  while (!bare.engine.output().empty()) {
    ASSERT_LE(bare.engine.output().size(), 256u);
    reader.feed(bare.write());
  }
  EXPECT_EQ(reader.frames().size(), 1'000u);
}

// ---- where large messages are read to

TEST(EngineOutput, ReadRoomFollowsWhatWasReceived) {
  constexpr std::size_t kib = 1024;
  for (const Role role : roles) {
    Bare bare(role);
    Engine& engine = bare.engine;
    EXPECT_TRUE(engine.read_room().empty());
    std::string frame(
        wire(role == Role::server ? Role::client : Role::server, binary(octets(1024 * kib, 'r'))));
    const std::size_t head = frame.size() - 1024 * kib;
    auto rest = std::as_writable_bytes(std::span(frame));
    const auto lend = [&](std::size_t size) {
      engine.feed(0, rest.first(size));
      EXPECT_FALSE(engine.next());
      rest = rest.subspan(size);
    };
    lend(head);
    EXPECT_TRUE(engine.read_room().empty()) << "never from the header alone";
    lend(64 * kib - 1);
    EXPECT_TRUE(engine.read_room().empty());
    lend(1);
    std::size_t received = 64 * kib;
    while (received < 1024 * kib) {
      const auto room = engine.read_room();
      if (room.empty()) break;
      EXPECT_LE(received + room.size(), std::max(64 * kib, 4 * received)) << "follows what came";
      EXPECT_LE(room.size(), rest.size()) << "never beyond the frame";
      const std::size_t size = std::min<std::size_t>(room.size(), 50'000);
      std::memcpy(room.data(), rest.data(), size);
      engine.feed(size, {});
      rest = rest.subspan(size);
      received += size;
      EXPECT_TRUE(received == 1024 * kib || !engine.next());
    }
    EXPECT_GT(received, 900 * kib);
    if (!rest.empty()) engine.feed(0, rest);
    const Event event = engine.next();
    ASSERT_EQ(event.kind(), Event::Kind::message);
    EXPECT_EQ(event.message().text(), octets(1024 * kib, 'r'));
  }
}

// ---- how long views live

TEST(EngineOutput, StashKeepsTheRestAndIsIdempotent) {
  for (const Role role : roles) {
    Bare bare(role);
    bare.engine.feed(0, bare.lend({text("one"), text("two"), ping("three"), text("fo", false)}));
    EXPECT_EQ(bare.engine.next().message().text(), "one");
    for (int i = 0; i < 3; ++i) bare.engine.stash();
    bare.engine.settle();
    std::fill(bare.lent.begin(), bare.lent.end(), '\xEE');
    EXPECT_FALSE(bare.engine.wants_input()) << "while the stash is not empty";
    bare.engine.feed(0, bare.lend({more("ur")}));  // appended all the same
    bare.engine.stash();
    std::fill(bare.lent.begin(), bare.lent.end(), '\xEE');
    EXPECT_EQ(bare.engine.next().message().text(), "two");
    bare.engine.stash();
    EXPECT_EQ(bare.engine.next().message().text(), "three");
    EXPECT_EQ(bare.engine.next().message().text(), "four");
    EXPECT_FALSE(bare.engine.next());
    EXPECT_TRUE(bare.engine.wants_input());
  }
}

TEST(EngineOutput, StashLeavesAnAssembledMessageAlive) {
  for (const Role role : roles) {
    Bare bare(role);
    bare.engine.feed(0, bare.lend({text("assem", false), more("bled"), text("next")}));
    const Event event = bare.engine.next();
    bare.engine.stash();
    bare.engine.settle();
    std::fill(bare.lent.begin(), bare.lent.end(), '\xEE');
    EXPECT_EQ(event.message().text(), "assembled");
    EXPECT_EQ(bare.engine.next().message().text(), "next");
  }
}

// A view lives until next() or feed() of its engine, whatever is written meanwhile and whatever
// another engine of the workspace does.
TEST(EngineOutput, ViewsOutliveWritesAndOtherEngines) {
  for (const Role role : roles) {
    for (const bool control : {false, true}) {
      Bare bare(role);
      Engine other = *Engine::established(role, {}, bare.options, bare.workspace);
      other.tick(Engine::TimePoint() + 1h);
      ASSERT_EQ(other.next().kind(), Event::Kind::open);
      ASSERT_FALSE(other.next());
      const auto cut = [&](Engine& engine, const std::string& payload) {
        const auto lent =
            control ? bare.lend({ping(payload)})
                    : bare.lend({binary(payload.substr(0, 3), false), more(payload.substr(3))});
        engine.feed(0, lent.first(lent.size() - 2));  // straddles two reads
        EXPECT_FALSE(engine.next());
        engine.feed(0, lent.last(2));
        return engine.next();
      };
      const Event event = cut(bare.engine, "a payload to look at");
      bare.engine.send(std::string_view("answer"));
      bare.write();
      bare.engine.settle();
      EXPECT_EQ(cut(other, "XXXXXXXXXXXXXXXXXXXX").message().size(), 20u);
      EXPECT_EQ(event.message().text(), "a payload to look at");
    }
  }
}

}  // namespace
}  // namespace tern::test
