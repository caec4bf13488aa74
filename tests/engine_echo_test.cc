// Event::is_last(), and echoes that wait outside of the queue of pieces.
#include "support/bare_engine.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

constexpr Role roles[] = {Role::server, Role::client};

// ---- is_last()

TEST(EngineLast, AnEventIsLastIfNoFedByteFollows) {
  for (const Role role : roles) {
    Bare bare(role);
    for (const std::size_t size : {0u, 5u, 125u, 126u, 3'000u, 65'536u}) {
      bare.engine.feed(0, bare.lend({text(payload_of(size)), text("2"), binary(payload_of(size))}));
      EXPECT_FALSE(bare.engine.next().is_last()) << size;
      EXPECT_FALSE(bare.engine.next().is_last()) << size;
      EXPECT_TRUE(bare.engine.next().is_last()) << size;
      bare.engine.settle();
      EXPECT_TRUE(bare.engine.rests()) << "no further call of next() is needed";
    }
    bare.engine.feed(0, bare.lend({text("1"), ping("")}));
    EXPECT_FALSE(bare.engine.next().is_last());
    EXPECT_FALSE(bare.engine.next().is_last()) << "a ping";
    EXPECT_FALSE(bare.engine.next());
  }
}

TEST(EngineLast, NoEventFromTheStashIsLast) {
  Bare bare(Role::server);
  bare.engine.feed(0, bare.lend({text("1"), text("2")}));
  EXPECT_EQ(bare.engine.next().message().text(), "1");
  bare.engine.stash();
  bare.engine.settle();
  const Event event = bare.engine.next();
  EXPECT_EQ(event.message().text(), "2");
  EXPECT_FALSE(event.is_last()) << "the next call frees the stash";
  EXPECT_FALSE(bare.engine.next());
  EXPECT_TRUE(bare.engine.rests());
}

TEST(EngineLast, NoEventBeforeAKnownEndIsLast) {
  for (const bool reset : {false, true}) {
    Bare bare(Role::server);
    bare.engine.feed(0, bare.lend({text("1")}));
    reset ? bare.engine.feed_error(Errc::connection_reset) : bare.engine.feed_eof();
    const Event event = bare.engine.next();
    EXPECT_EQ(event.kind(), Event::Kind::message);
    EXPECT_FALSE(event.is_last());
    EXPECT_EQ(bare.engine.next().kind(), Event::Kind::closed);
  }
}

// ---- echoes

// The second echo is a part of the same message. It must not write its header over that of the
// first one.
TEST(EngineEcho, UsesTheRoomForAHeaderOnce) {
  Bare bare(Role::server);
  const std::vector<Frame> frames = {binary(payload_of(9'000, 'a')),
                                     binary(payload_of(9'000, 'b'))};
  bare.engine.feed(0, bare.lend(frames));
  bare.engine.send(bare.engine.next().message());
  const Message second = bare.engine.next().message();
  bare.engine.send(second);
  bare.engine.send(Message(MessageType::text, second.bytes().first(5'000)));
  EXPECT_EQ(bare.write(), wire(Role::server, {frames[0], frames[1], text(payload_of(5'000, 'b'))}));
}

// Messages that are queued behind echoes leave behind them. Control frames leave at the first
// border of a frame.
TEST(EngineEcho, LeavesBeforeLaterMessages) {
  Bare bare(Role::server);
  bare.engine.feed(0, bare.lend({text("one"), text("two"), text("three")}));
  bare.engine.send(bare.engine.next().message());
  bare.engine.send(bare.engine.next().message());
  bare.engine.send(std::string_view("other"));
  bare.engine.send(bare.engine.next().message());
  const SharedMessage shared(payload_of(5'000, 's'));
  bare.engine.send(shared);
  bare.engine.ping();
  EXPECT_EQ(bare.write(), wire(Role::server, {ping(""), text("one"), text("two"), text("other"),
                                              text("three"), text(payload_of(5'000, 's'))}));
}

// A message that is copied after an echo must not join the copies in front of that echo.
TEST(EngineEcho, IsNotOvertakenByACopy) {
  Bare bare(Role::server);
  const Frame large = binary(payload_of(5'000));
  bare.engine.feed(0, bare.lend({large}));
  const Message message = bare.engine.next().message();
  bare.engine.send(std::string_view("before"));
  bare.engine.send(message);
  bare.engine.send(std::string_view("behind"));
  EXPECT_EQ(bare.write(), wire(Role::server, {text("before"), large, text("behind")}));
}

TEST(EngineEcho, ContinuesAfterAPartialWrite) {
  const std::vector<Frame> frames = {text("one"), binary(payload_of(300)), text("three")};
  const std::string all = wire(Role::server, frames);
  for (std::size_t cut = 0; cut <= all.size(); ++cut) {
    Bare bare(Role::server);
    bare.engine.feed(0, bare.lend(frames));
    while (const Event event = bare.engine.next()) bare.engine.send(event.message());
    std::string out = bare.write(cut);
    EXPECT_EQ(bare.engine.queued_bytes(), all.size() - cut);
    bare.engine.settle();
    std::fill(bare.lent.begin(), bare.lent.end(), '\xEE');
    bare.engine.send(std::string_view("behind"));
    out += bare.write();
    EXPECT_EQ(out, all + wire(Role::server, {text("behind")})) << cut;
  }
}

// A failure drops all frames whose output has not begun, and sends its Close frame.
TEST(EngineEcho, IsDroppedWhenTheQueueOverflows) {
  Bare bare(Role::server, {.limits = {.max_queued_bytes = 100, .overflow = Overflow::close}});
  bare.engine.feed(0, bare.lend({text(payload_of(80))}));
  bare.engine.send(bare.engine.next().message());
  EXPECT_EQ(bare.engine.send(payload_of(50)), SendStatus::closed);
  const std::string close = wire(Role::server, {failing(Errc::peer_too_slow)});
  EXPECT_EQ(bare.engine.queued_bytes(), close.size());
  EXPECT_EQ(bare.write(), close);
  EXPECT_EQ(bare.engine.queued_bytes(), 0u);
}

}  // namespace
}  // namespace tern::test
