// The engine references large payloads and copies small ones. These tests check which bytes it
// references, where it reads large messages to, and how long views live.
#include "support/bare_engine.h"

#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

constexpr Role roles[] = {Role::server, Role::client};

using Sent = std::vector<std::pair<unsigned, std::string>>;  // opcodes and payloads

Sent written(Bare& bare) {
  FrameReader reader(Role::server);
  reader.feed(bare.write());
  EXPECT_EQ(reader.fault(), "");
  Sent sent;
  for (const Frame& frame : reader.frames()) sent.emplace_back(frame.opcode, frame.payload);
  return sent;
}

// ---- referenced, not copied

TEST(EngineBorrowing, AServerEchoesLentPayloadsWithoutCopying) {
  Bare bare(Role::server);
  const std::vector<Frame> frames = {binary(payload_of(4'096)), binary(payload_of(16'384)),
                                     text(payload_of(100))};
  const auto lent = bare.lend(frames);
  bare.engine.feed(0, lent);
  while (const Event event = bare.engine.next()) bare.engine.send(event.message());
  EXPECT_EQ(referenced(bare.engine, lent), 4 + 4'096u + 4 + 16'384u + 2 + 100);
  EXPECT_EQ(bare.engine.output().size(), 2u)
      << "the large message stays where it is, and the small one moves up to it";

  bare.write(3'000);  // ends in the middle of the first frame
  bare.engine.settle();
  EXPECT_EQ(referenced(bare.engine, lent), 0u) << "settle() copies the rest";
  std::fill(bare.lent.begin(), bare.lent.end(), '\xEE');
  bare.engine.settle();
  std::string rest = bare.write();
  FrameReader reader(Role::server);
  reader.feed(wire(Role::server, frames).substr(0, 3'000) + rest);
  ASSERT_EQ(reader.frames().size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(reader.frames()[i].payload, frames[i].payload);
}

TEST(EngineBorrowing, EchoesOfMessagesThatMovedUpAreOnePiece) {
  Bare bare(Role::server);
  std::vector<Frame> frames;
  for (const std::size_t size :
       {0u, 1u, 7u, 125u, 126u, 127u, 2'000u, 8'192u, 0u, 3u, 33u, 64u, 500u, 1'024u}) {
    frames.push_back(binary(payload_of(size, static_cast<char>('a' + frames.size()))));
  }
  const auto lent = bare.lend(frames);
  bare.engine.feed(0, lent);
  while (const Event event = bare.engine.next()) bare.engine.send(event.message());
  EXPECT_EQ(bare.engine.output().size(), 1u);
  const std::string all = wire(Role::server, frames);
  EXPECT_EQ(referenced(bare.engine, lent), all.size());
  std::string out = bare.write(4'000);
  bare.engine.settle();
  std::fill(bare.lent.begin(), bare.lent.end(), '\xEE');
  EXPECT_EQ(out + bare.write(), all);
}

// Neither a message that moves up nor the header of an echo may overwrite a message that next() has
// returned.
TEST(EngineBorrowing, AllViewsStayValidWhileTheBytesAreLent) {
  const std::vector<Frame> frames = {text("one"),       ping("two"),  binary(payload_of(300, '3')),
                                     pong("four"),      text("five"), binary(payload_of(9'000)),
                                     text("fi", false), ping("six"),  more("ve"),
                                     text("eight"),     binary(""),   text("nine")};
  for (const bool echo : {false, true}) {
    Bare bare(Role::server);
    bare.engine.feed(0, bare.lend(frames));
    std::vector<Message> views;
    std::vector<std::string> seen;
    while (const Event event = bare.engine.next()) {
      const bool assembled = event.message().text() == "five" && views.size() > 5;
      if (!assembled) {  // the view of an assembled message ends with next()
        views.push_back(event.message());
        seen.emplace_back(event.message().text());
      }
      if (echo) bare.engine.send(event.message());
    }
    ASSERT_EQ(views.size(), 10u);
    for (std::size_t i = 0; i < views.size(); ++i) EXPECT_EQ(views[i].text(), seen[i]) << i;
    EXPECT_EQ(seen.front(), "one");
    EXPECT_EQ(seen.back(), "nine");
  }
}

TEST(EngineBorrowing, MessagesMoveOnlyWithinTheLentBytes) {
  Bare bare(Role::server);
  bare.engine.feed(0, bare.lend({text("one"), text("two")}));
  while (const Event event = bare.engine.next()) bare.engine.send(event.message());
  bare.engine.settle();
  const std::string first(bare.lent.size(), '\xEE');
  std::ranges::fill(bare.lent, '\xEE');
  std::string second = wire(Role::client, {text(payload_of(5'000)), text(payload_of(5'001))});
  const auto lent = std::as_writable_bytes(std::span(second));
  bare.engine.feed(0, lent);
  while (const Event event = bare.engine.next()) bare.engine.send(event.message());
  EXPECT_EQ(referenced(bare.engine, lent), 4 + 5'000 + 4 + 5'001u);
  EXPECT_EQ(bare.lent, first);
  EXPECT_EQ(written(bare),
            (Sent{{1, "one"}, {1, "two"}, {1, payload_of(5'000)}, {1, payload_of(5'001)}}));
}

// A message may move up only within the bytes of the current feed(). It must not move into earlier
// bytes, even if settle() was not called between.
TEST(EngineBorrowing, MessagesDoNotMoveIntoAnEarlierRead) {
  Bare bare(Role::server);
  const auto both = bare.lend({text("one"), text("two"), text("three")});
  std::string second = bare.lent.substr(2 * (2 + 4 + 3) + 1);
  // The first read ends behind the first byte of the third message.
  bare.engine.feed(0, both.first(both.size() - second.size()));
  while (bare.engine.next()) {
  }
  const std::string first = bare.lent;
  const auto lent = std::as_writable_bytes(std::span(second));
  bare.engine.feed(0, lent);
  const Message message = bare.engine.next().message();
  EXPECT_EQ(message.text(), "three");
  EXPECT_EQ(message.bytes().data() + message.size(), lent.data() + lent.size());
  EXPECT_EQ(bare.lent, first);
}

// A loop lends one buffer to all its connections in turn. After settle(), the buffer may have a
// message of another connection, so the engine must not reference it.
TEST(EngineBorrowing, LendingEndsWithSettle) {
  Bare bare(Role::server);
  const auto lent = bare.lend({binary(payload_of(5'000)), binary(payload_of(100), false)});
  // One byte is missing, so the engine is not at rest.
  bare.engine.feed(0, lent.first(lent.size() - 1));
  ASSERT_TRUE(bare.engine.next());
  ASSERT_FALSE(bare.engine.next());
  bare.engine.settle();
  std::ranges::fill(bare.lent, 'y');
  bare.engine.send(Message(MessageType::binary, lent.subspan(8, 5'000)));
  std::ranges::fill(bare.lent, 'z');
  EXPECT_EQ(written(bare), (Sent{{2, payload_of(5'000, 'y')}}));
}

// Small echoes among other messages are copied, because one piece for each echo costs more.
TEST(EngineBorrowing, SmallEchoesAmongOtherMessagesAreCopied) {
  Bare bare(Role::server);
  std::vector<Frame> frames(50, text("echo"));
  bare.engine.feed(0, bare.lend(frames));
  Sent expected;
  while (const Event event = bare.engine.next()) {
    bare.engine.send(event.message());
    bare.engine.send(std::string_view("other"));
    expected.emplace_back(1, "echo");
    expected.emplace_back(1, "other");
  }
  EXPECT_LE(bare.engine.output().size(), 2u);
  EXPECT_EQ(written(bare), expected);
}

// The header of an echo is written over the header of the peer. That may happen only once, and only
// for a message that lies directly behind that header.
TEST(EngineBorrowing, OnlyOneEchoWritesOverTheHeaderOfTheMessage) {
  const std::string payload = payload_of(5'000, 'p') + payload_of(5'000, 'q');
  const std::string other = payload_of(10'000, 'r');
  const auto sent = [&](auto&& send) {
    Bare bare(Role::server);
    bare.engine.feed(0, bare.lend({binary(payload), binary(other)}));
    const Message first = bare.engine.next().message();
    send(bare.engine, first);
    EXPECT_EQ(first.text(), payload);
    return written(bare);
  };
  EXPECT_EQ(sent([](Engine& engine, Message message) {
              engine.send(message);
              engine.send(Message(MessageType::text, message.bytes()));
            }),
            (Sent{{2, payload}, {1, payload}}));
  EXPECT_EQ(sent([](Engine& engine, Message message) {
              engine.send(Message(MessageType::binary, message.bytes().first(5'000)));
              engine.send(Message(MessageType::binary, message.bytes().subspan(5'000)));
              engine.send(message);
            }),
            (Sent{{2, payload.substr(0, 5'000)}, {2, payload.substr(5'000)}, {2, payload}}));
  EXPECT_EQ(sent([](Engine& engine, Message message) {
              const Message second = engine.next().message();
              engine.send(message);  // the application chooses the order
              engine.send(second);
            }),
            (Sent{{2, payload}, {2, other}}));
}

// A payload may begin with a message and be longer. Its header may need more room than the header
// of that message.
TEST(EngineBorrowing, ALongerPayloadDoesNotUseTheRoomOfTheHeader) {
  Bare bare(Role::server);
  bare.engine.feed(
      0, bare.lend({text("before"), binary(payload_of(65'000)), binary(payload_of(10'000))}));
  const Message before = bare.engine.next().message();
  const std::byte* const begin = bare.engine.next().message().bytes().data();
  const std::string more(reinterpret_cast<const char*>(begin), 70'000);
  bare.engine.send(Message(MessageType::binary, std::span(begin, more.size())));
  EXPECT_EQ(before.text(), "before");
  EXPECT_EQ(written(bare), (Sent{{2, more}}));
}

// A payload that is longer than its message does not join the echo before it, because the bytes
// behind the message may still change when the next message moves up.
TEST(EngineBorrowing, ALongerPayloadJoinsNoEcho) {
  Bare bare(Role::server);
  bare.engine.feed(
      0, bare.lend({text("one"), binary(payload_of(100, '2')), binary(payload_of(100, '3'))}));
  bare.engine.send(bare.engine.next().message());
  const Message second = bare.engine.next().message();
  const std::string more(reinterpret_cast<const char*>(second.bytes().data()), 120);
  bare.engine.send(Message(MessageType::binary, std::span(second.bytes().data(), more.size())));
  bare.engine.send(bare.engine.next().message());
  EXPECT_EQ(written(bare), (Sent{{1, "one"}, {2, more}, {2, payload_of(100, '3')}}));
}

TEST(EngineBorrowing, AnEchoJoinsTheOneBeforeOnlyOnce) {
  Bare bare(Role::server);
  const std::string payload = payload_of(5'000);
  bare.engine.feed(0, bare.lend({binary("one"), binary(payload)}));
  bare.engine.send(bare.engine.next().message());
  const Message second = bare.engine.next().message();
  bare.engine.send(second);
  bare.engine.send(Message(MessageType::text, second.bytes()));
  EXPECT_EQ(written(bare), (Sent{{2, "one"}, {2, payload}, {1, payload}}));
}

// An echo may use the room in front of its message only until the next call of next(). After that
// call there may be room in front of the next frame, and an earlier message must not use it.
TEST(EngineBorrowing, NextEndsTheUseOfTheRoomForAHeader) {
  Bare bare(Role::server);
  const auto lent =
      bare.lend({text("the first"), text("a second"), binary(payload_of(2'000), false)});
  bare.engine.feed(0, lent.first(lent.size() - 1));
  const Message first = bare.engine.next().message();
  const Message second = bare.engine.next().message();
  ASSERT_FALSE(bare.engine.next());
  bare.engine.send(Message(MessageType::binary, {second.bytes().data(), 150}));
  EXPECT_EQ(first.text(), "the first");
}

// If a header came in two reads, a part of the bytes in front of the payload is not lent any more.
TEST(EngineBorrowing, AHeaderThatCameInTwoReadsMakesNoRoom) {
  const std::string payload = payload_of(5'000, 'p');
  for (std::size_t cut = 1; cut < 8; ++cut) {
    SCOPED_TRACE(cut);
    Bare bare(Role::server);
    const auto bytes = bare.lend({binary(payload)});
    std::string first(bare.lent, 0, cut);
    bare.engine.feed(0, std::as_writable_bytes(std::span(first)));
    EXPECT_FALSE(bare.engine.next());
    std::fill_n(bare.lent.begin(), cut, '#');
    bare.engine.feed(0, bytes.subspan(cut));
    bare.engine.send(bare.engine.next().message());
    EXPECT_EQ(bare.lent.substr(0, cut), payload_of(cut, '#'));
    EXPECT_EQ(written(bare), (Sent{{2, payload}}));
  }
}

TEST(EngineBorrowing, Rfc6455_5_3_AClientMasksWhileCopying) {
  Bare bare(Role::client);
  const auto lent = bare.lend({binary(payload_of(16'384))});
  bare.engine.feed(0, lent);
  const Event event = bare.engine.next();
  const std::string borrowed = payload_of(10'000, 'b');
  bare.engine.send(event.message());
  bare.engine.send_borrowed(std::string_view(borrowed));
  EXPECT_EQ(referenced(bare.engine, lent), 0u);
  EXPECT_EQ(referenced(bare.engine, std::as_bytes(std::span(borrowed))), 0u);
  EXPECT_EQ(event.message().text(), payload_of(16'384))
      << "masking must not change the sent message";
  FrameReader reader(Role::client);
  reader.feed(bare.write());
  ASSERT_EQ(reader.fault(), "");
  ASSERT_EQ(reader.frames().size(), 2u);
  EXPECT_EQ(reader.frames()[0].payload, payload_of(16'384));
  EXPECT_EQ(reader.frames()[1].payload, borrowed);
}

// A message that was assembled from several reads is sent from the buffer of its assembly.
TEST(EngineBorrowing, AnAssembledMessageIsSentTwiceWithoutCopying) {
  Bare bare(Role::server);
  const std::string payload = payload_of(100'000, 'p');
  for (const auto& part :
       {binary(payload.substr(0, 50'000), false), more(payload.substr(50'000))}) {
    bare.engine.feed(0, bare.lend({part}));
    const Event event = bare.engine.next();
    if (!event) continue;
    const auto bytes = event.message().bytes();
    EXPECT_TRUE(bare.engine.send(event.message()));
    EXPECT_TRUE(bare.engine.send(event.message()));
    EXPECT_EQ(referenced(bare.engine, bytes), 200'000u);
    EXPECT_TRUE(bare.engine.send(Message(MessageType::binary, bytes.subspan(1))))
        << "a part of the message";
  }
  EXPECT_FALSE(bare.engine.next());
  bare.engine.settle();
  // The next message needs a buffer of its own while this one waits.
  bare.engine.feed(0,
                   bare.lend({binary(payload_of(50'000, 'q'), false), more(payload_of(1, 'q'))}));
  ASSERT_EQ(bare.engine.next().message().size(), 50'001u);
  FrameReader reader(Role::server);
  reader.feed(bare.write());
  ASSERT_EQ(reader.fault(), "");
  ASSERT_EQ(reader.frames().size(), 3u);
  EXPECT_EQ(reader.frames()[0].payload, payload);
  EXPECT_EQ(reader.frames()[1].payload, payload);
  EXPECT_EQ(reader.frames()[2].payload, payload.substr(1));
}

TEST(EngineBorrowing, SendBorrowedReferencesUntilSettle) {
  Bare bare(Role::server);
  std::string large = payload_of(100'000, 'l');
  std::string small = payload_of(10, 's');
  EXPECT_TRUE(bare.engine.send_borrowed(std::string_view(large)));
  EXPECT_TRUE(bare.engine.send_borrowed(std::string_view(small)));
  EXPECT_EQ(referenced(bare.engine, std::as_bytes(std::span(large))), 100'000u);
  bare.engine.settle();
  large.assign(large.size(), '!');
  small.assign(small.size(), '!');
  FrameReader reader(Role::server);
  reader.feed(bare.write());
  ASSERT_EQ(reader.frames().size(), 2u);
  EXPECT_EQ(reader.frames()[0].payload, payload_of(100'000, 'l'));
  EXPECT_EQ(reader.frames()[1].payload, payload_of(10, 's'));
}

TEST(EngineBorrowing, QueuesKeepSharedMessagesAlive) {
  for (const Role role : roles) {
    for (const std::size_t size :
         {0u, 1u, 125u, 126u, 4'095u, 4'096u, 65'535u, 65'536u, 300'000u}) {
      const std::string payload = payload_of(size);
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
      }  // the queues keep the shared message alive
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

TEST(EngineBorrowing, ALargeSharedMessageIsReferencedByAServer) {
  Bare one(Role::server);
  Bare two(Role::server);
  const SharedMessage shared{std::string_view(payload_of(100'000))};
  one.engine.send(shared);
  two.engine.send(shared);
  const auto first = one.engine.output();
  const auto second = two.engine.output();
  ASSERT_EQ(first.size(), 1u);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(first[0].iov_base, second[0].iov_base);
}

// ---- shared messages and shared workspaces

TEST(EngineBorrowing, SharedMessagesAreCopiedAndMovedLikeValues) {
  SharedMessage one{std::string_view("one")};
  SharedMessage two{std::string_view("two")};
  two = one;
  EXPECT_EQ(two.message().text(), "one");
  EXPECT_EQ(two.encoded(), one.encoded()) << "both share one frame";
  const SharedMessage moved = std::move(one);
  EXPECT_EQ(one.encoded(), nullptr);  // NOLINT: documented
  EXPECT_EQ(moved.message().text(), "one");
  one = moved;
  EXPECT_EQ(one.message().text(), "one");
}

// More engines are busy at once than the number of blocks that a workspace keeps. The workspace is
// moved before it has any block.
TEST(EngineBorrowing, AWorkspaceServesManyEnginesAtOnce) {
  const EngineOptions options;
  Workspace first;
  Workspace workspace = std::move(first);
  first = Workspace();
  for (int round = 0; round < 2; ++round) {
    std::vector<Engine> engines;
    for (int i = 0; i < 200; ++i) {
      engines.push_back(
          *Engine::established(Role::server, {.protocol = "chat"}, options, workspace));
      engines.back().send(std::string_view("Hello"));
      EXPECT_EQ(engines.back().protocol(), "chat");
    }
    for (Engine& engine : engines) {
      EXPECT_EQ(engine.next().kind(), Event::Kind::open);
      EXPECT_EQ(engine.queued_bytes(), 7u);
      engine.consume_output(7);
      EXPECT_FALSE(engine.next());
    }
  }
}

// ---- where large messages are read to

TEST(EngineBorrowing, ReadRoomGrowsWithTheReceivedBytes) {
  constexpr std::size_t kib = 1024;
  for (const Role role : roles) {
    Bare bare(role);
    Engine& engine = bare.engine;
    EXPECT_TRUE(engine.read_room().empty());
    std::string frame(wire(role == Role::server ? Role::client : Role::server,
                           binary(payload_of(1024 * kib, 'r'))));
    const std::size_t head = frame.size() - 1024 * kib;
    auto rest = std::as_writable_bytes(std::span(frame));
    const auto lend = [&](std::size_t size) {
      engine.feed(0, rest.first(size));
      EXPECT_FALSE(engine.next());
      rest = rest.subspan(size);
    };
    lend(head);
    EXPECT_TRUE(engine.read_room().empty()) << "the header alone gives no room";
    lend(64 * kib - 1);
    EXPECT_TRUE(engine.read_room().empty());
    lend(1);
    std::size_t received = 64 * kib;
    while (received < 1024 * kib) {
      const auto room = engine.read_room();
      if (room.empty()) break;
      EXPECT_LE(received + room.size(), std::max(64 * kib, 4 * received))
          << "at most four times the received bytes";
      EXPECT_LE(room.size(), rest.size()) << "the room ends with the frame";
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
    EXPECT_EQ(event.message().text(), payload_of(1024 * kib, 'r'));
  }
}

// ---- how long views live

TEST(EngineBorrowing, StashKeepsTheRestAndIsIdempotent) {
  for (const Role role : roles) {
    Bare bare(role);
    bare.engine.feed(0, bare.lend({text("one"), text("two"), ping("three"), text("fo", false)}));
    EXPECT_EQ(bare.engine.next().message().text(), "one");
    for (int i = 0; i < 3; ++i) bare.engine.stash();
    bare.engine.settle();
    std::fill(bare.lent.begin(), bare.lent.end(), '\xEE');
    EXPECT_FALSE(bare.engine.wants_input()) << "while the stash is not empty";
    bare.engine.feed(0, bare.lend({more("ur")}));  // it is appended nevertheless
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

TEST(EngineBorrowing, StashLeavesAnAssembledMessageAlive) {
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

// A view is valid until next() or feed() of its engine is called. Writes, and the work of other
// engines of the workspace, do not end it.
TEST(EngineBorrowing, ViewsOutliveWritesAndOtherEngines) {
  for (const Role role : roles) {
    for (const bool control : {false, true}) {
      Bare bare(role);
      Engine other = *Engine::established(role, {}, bare.options, bare.workspace);
      other.tick(Engine::TimePoint() + 1h);
      ASSERT_EQ(other.next().kind(), Event::Kind::open);
      ASSERT_FALSE(other.next());
      const auto feed_in_two_reads = [&](Engine& engine, const std::string& payload) {
        const auto lent =
            control ? bare.lend({ping(payload)})
                    : bare.lend({binary(payload.substr(0, 3), false), more(payload.substr(3))});
        engine.feed(0, lent.first(lent.size() - 2));  // the message comes in two reads
        EXPECT_FALSE(engine.next());
        engine.feed(0, lent.last(2));
        return engine.next();
      };
      const Event event = feed_in_two_reads(bare.engine, "a payload to look at");
      bare.engine.send(std::string_view("answer"));
      bare.write();
      bare.engine.settle();
      EXPECT_EQ(feed_in_two_reads(other, "XXXXXXXXXXXXXXXXXXXX").message().size(), 20u);
      EXPECT_EQ(event.message().text(), "a payload to look at");
    }
  }
}

// The same is true for the last message of a stash, although the stash is empty then.
TEST(EngineBorrowing, AViewOfTheStashOutlivesWritesAndOtherEngines) {
  for (const Role role : roles) {
    Bare bare(role);
    Engine other = *Engine::established(role, {}, bare.options, bare.workspace);
    other.tick(Engine::TimePoint() + 1h);
    ASSERT_EQ(other.next().kind(), Event::Kind::open);
    bare.engine.feed(0, bare.lend({text("a payload to look at")}));
    bare.engine.stash();
    const Event event = bare.engine.next();
    for (Engine* engine : {&bare.engine, &other, &bare.engine}) {
      engine->send(std::string_view("XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"));
      bare.write();
    }
    EXPECT_EQ(event.message().text(), "a payload to look at");
    EXPECT_FALSE(bare.engine.next());
  }
}

// A handler may use its message until it returns, so the view is valid even if the connection ends
// meanwhile.
TEST(EngineBorrowing, AViewOutlivesTheEndOfItsEngineUntilNext) {
  const std::string payload = "a payload to look at";
  const auto assembled = [&](Bare& bare) {
    bare.engine.feed(0, bare.lend({binary(payload.substr(0, 3), false), more(payload.substr(3))}));
  };
  const auto stashed = [&](Bare& bare) {
    bare.engine.feed(0, bare.lend({binary(payload), binary("unread")}));
    bare.engine.stash();
  };
  const auto overflow = [](Engine& engine) {
    engine.send(std::string_view("one"));
    EXPECT_EQ(engine.send(payload_of(2'000)), SendStatus::closed);
  };
  const auto terminate = [](Engine& engine) { engine.terminate(Errc::terminated); };
  const auto run = [&](auto&& feed, auto&& end) {
    Bare bare(Role::server, {.limits = {.max_queued_bytes = 1'000, .overflow = Overflow::close}});
    feed(bare);
    const Event event = bare.engine.next();
    end(bare.engine);
    Engine other = *Engine::established(Role::server, {}, bare.options, bare.workspace);
    other.tick(Engine::TimePoint() + 1h);
    for (int i = 0; i < 3; ++i) other.send(payload_of(40));
    for (int i = 0; i < 2; ++i) {  // takes free chunks, so that a freed view would be overwritten
      other.feed(0, bare.lend({binary(payload_of(40), false)}));
      other.next();
      other.stash();
    }
    EXPECT_EQ(event.message().text(), payload);
    EXPECT_EQ(bare.engine.next().kind(), Event::Kind::closed);
  };
  run(assembled, terminate);
  run(assembled, overflow);
  run(stashed, terminate);
  run(stashed, overflow);
}

}  // namespace
}  // namespace tern::test
