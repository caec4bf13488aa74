// EchoRoom alone. These tests check where it places messages, which payloads it can frame, and that
// a frame overwrites only the header that the peer sent.
#include "engine/echo_room.h"
#include "simd/mask.h"
#include "support/wire.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

namespace tern::engine {
namespace {

constexpr std::uint32_t key = 0x04030201;

/// The bytes of one read, and the messages in them as a server places them.
struct Read {
  /// Adds the frame of a client.
  void add(const std::string& payload) {
    std::vector<std::byte> frame(frame::max_header_bytes + payload.size());
    const frame::Header header = {
        .length = payload.size(), .key = key, .opcode = frame::Opcode::binary, .fin = true};
    const std::size_t size = frame::encode_header(frame.data(), header, frame::Masking::masked);
    simd::mask_copy(frame.data() + size, std::as_bytes(std::span(payload)), key);
    frame.resize(size + payload.size());
    ends.push_back(bytes.size() + frame.size());
    bytes.insert(bytes.end(), frame.begin(), frame.end());
    sizes.push_back(payload.size());
  }
  /// Places and unmasks message `i`. The view is valid until bytes are added.
  std::span<std::byte> place(std::size_t i, bool header_in_front = true,
                             MessageType type = MessageType::binary) {
    const std::span<std::byte> source(bytes.data() + ends[i] - sizes[i], sizes[i]);
    std::byte* const begin = room.place(type, source.data(), source.size(), header_in_front);
    simd::mask_copy(begin, source, key);
    return {begin, source.size()};
  }
  std::span<const std::byte> frame(std::span<const std::byte> payload) {
    const frame::Header header = {
        .length = payload.size(), .opcode = frame::Opcode::binary, .fin = true};
    return room.frame(header, payload);
  }

  std::vector<std::byte> bytes{};
  std::vector<std::size_t> ends{};
  std::vector<std::size_t> sizes{};
  EchoRoom room{};
};

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(EngineEchoRoom, FirstMessageStaysWhereItLies) {
  Read read;
  read.add("first");
  const auto payload = read.place(0);
  EXPECT_EQ(payload.data(), read.bytes.data() + 6);
  EXPECT_EQ(text_of(payload), "first");
  ASSERT_TRUE(read.room.holds(payload));
  EXPECT_EQ(text_of(read.frame(payload)),
            "\x82\x05"
            "first");
}

TEST(EngineEchoRoom, NextMessageMovesUpSoThatFramesTouch) {
  Read read;
  read.add("first");
  read.add("second");
  const auto first = read.frame(read.place(0));
  const auto second = read.frame(read.place(1));
  EXPECT_EQ(second.data(), first.data() + first.size());
  EXPECT_EQ(text_of({first.data(), first.size() + second.size()}),
            "\x82\x05"
            "first\x82\x06"
            "second");
}

TEST(EngineEchoRoom, LargeMessageDoesNotMove) {
  for (const std::size_t size : {EchoRoom::max_moved, EchoRoom::max_moved + 1}) {
    Read read;
    read.add("first");
    read.add(std::string(size, 'x'));
    read.place(0);
    const auto payload = read.place(1);
    EXPECT_EQ(payload.data() + size == read.bytes.data() + read.bytes.size(),
              size > EchoRoom::max_moved);
    EXPECT_TRUE(read.room.holds(payload));
  }
}

TEST(EngineEchoRoom, HoldsOnlyTheMessageOrItsBeginning) {
  Read read;
  read.add("first");
  read.add("second");
  const auto first = read.place(0);
  const auto second = read.place(1);
  EXPECT_FALSE(read.room.holds(first));
  EXPECT_FALSE(read.room.holds(second.subspan(1)));
  EXPECT_FALSE(read.room.holds({second.data(), second.size() + 1}));
  EXPECT_TRUE(read.room.holds(second));
  EXPECT_TRUE(read.room.holds(second.first(0)));
  EXPECT_EQ(text_of(read.frame(second.first(3))),
            "\x82\x03"
            "sec");
}

TEST(EngineEchoRoom, RoomIsUsedOnce) {
  Read read;
  read.add("first");
  const auto payload = read.place(0);
  read.frame(payload);
  EXPECT_FALSE(read.room.holds(payload));
}

TEST(EngineEchoRoom, AfterResetItHoldsNothingAndMovesNothing) {
  Read read;
  read.add("first");
  read.add("second");
  const auto first = read.place(0);
  read.room.reset();
  EXPECT_FALSE(read.room.holds(first));
  EXPECT_EQ(read.place(1).data(), read.bytes.data() + read.ends[1] - read.sizes[1]);
}

TEST(EngineEchoRoom, NoRoomIfTheHeaderCameEarlier) {
  Read read;
  read.add("first");
  read.add("second");
  const auto first = read.place(0, false);
  EXPECT_FALSE(read.room.holds(first));
  EXPECT_TRUE(read.room.holds(read.place(1)));
}

TEST(EngineEchoRoom, EmptyObjectHoldsNothing) {
  const EchoRoom room;
  EXPECT_FALSE(room.holds({}));
  EXPECT_FALSE(room.vouches_for_text({}));
}

TEST(EngineEchoRoom, Rfc6455_8_1_VouchesOnlyForWholeTexts) {
  Read read;
  read.add("text");
  read.add("bytes");
  const auto text = read.place(0, true, MessageType::text);
  EXPECT_TRUE(read.room.vouches_for_text(text));
  EXPECT_FALSE(read.room.vouches_for_text(text.first(3)));
  const auto bytes = read.place(1);
  EXPECT_FALSE(read.room.vouches_for_text(text));
  EXPECT_FALSE(read.room.vouches_for_text(bytes));
}

// Sizes at the borders of the forms of a length, and a random choice of messages that are echoed. A
// frame that waits must never be overwritten.
TEST(EngineEchoRoom, FramesThatWaitStayWhole) {
  const std::vector<std::size_t> borders = {0, 1, 125, 126, 127, 1000, 8191, 8192, 65'535, 65'536};
  for (unsigned seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    Read read;
    std::vector<std::string> payloads;
    for (int i = 0; i < 12; ++i) {
      payloads.emplace_back(borders[random() % borders.size()], static_cast<char>('a' + i));
      read.add(payloads.back());
    }
    std::vector<std::span<const std::byte>> waiting;
    std::vector<std::string> expected;
    for (std::size_t i = 0; i < payloads.size(); ++i) {
      const auto payload = read.place(i);
      ASSERT_TRUE(text_of(payload) == payloads[i]) << seed << ' ' << i;
      ASSERT_TRUE(read.room.holds(payload));
      if (random() % 4 == 0) continue;
      const std::size_t part = random() % 3 == 0 ? random() % (payload.size() + 1) : payload.size();
      waiting.push_back(read.frame(payload.first(part)));
      expected.push_back(test::wire(Role::server, {test::binary(payloads[i].substr(0, part))}));
    }
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      ASSERT_TRUE(text_of(waiting[i]) == expected[i]) << seed << ' ' << i;
    }
  }
}

}  // namespace
}  // namespace tern::engine
