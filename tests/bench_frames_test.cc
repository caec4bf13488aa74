// The messages of tern-bench: different JSON texts, and an endless stream of frames in one buffer.

#include "support/socket_pair.h"
#include "throughput/frames.h"
#include "throughput/packing.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <gtest/gtest.h>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <vector>

namespace {

using tern::bench::FrameTrain;
using tern::bench::PayloadKind;
using tern::bench::TrainSender;

using Bytes = std::vector<std::byte>;

constexpr std::uint32_t variants = 32;

/// Checks whether a text is one JSON value (RFC 8259). It does not support whitespace and escapes.
class Json {
 public:
  static bool is_valid(std::string_view text) {
    Json json(text);
    return json.value() && json.rest_.empty();
  }

 private:
  explicit Json(std::string_view text) : rest_(text) {}

  bool take(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  bool value() {
    if (take("true") || take("false")) return true;
    if (take("[")) return take("]") || list("]", [this] { return value(); });
    if (take("{")) {
      return take("}") || list("}", [this] { return string() && take(":") && value(); });
    }
    return rest_.starts_with('"') ? string() : number();
  }

  template <class F>
  bool list(std::string_view end, F&& member) {
    while (member()) {
      if (take(end)) return true;
      if (!take(",")) return false;
    }
    return false;
  }

  bool string() {
    if (!take("\"")) return false;
    const std::size_t end = rest_.find_first_of("\"\\");
    if (end == std::string_view::npos) return false;
    rest_.remove_prefix(end);
    return take("\"");
  }

  std::size_t digits() {
    std::size_t count = 0;
    for (; !rest_.empty() && std::isdigit(static_cast<unsigned char>(rest_[0])) != 0; ++count) {
      rest_.remove_prefix(1);
    }
    return count;
  }

  bool number() {
    const bool zero = rest_.starts_with('0');
    const std::size_t whole = digits();
    return whole > 0 && (!zero || whole == 1) && (!take(".") || digits() > 0);
  }

  std::string_view rest_;
};

TEST(BenchFrames, TheJsonCheckFindsErrors) {
  for (const std::string_view good : {R"([{"a":1,"b":[true,false,0.5]},"",{}])", "[]", "10"}) {
    EXPECT_TRUE(Json::is_valid(good)) << good;
  }
  for (const std::string_view bad : {"", "[1,]", "[1", R"(["a)", R"({"a"})", "01", "1.", "[]]"}) {
    EXPECT_FALSE(Json::is_valid(bad)) << bad;
  }
}

TEST(BenchFrames, JsonVariantsDifferButHaveOneSize) {
  for (const std::size_t size : {512u, 1024u, 1025u, 16'384u, 65'536u}) {
    std::set<std::string> seen;
    for (std::uint32_t i = 0; i < variants; ++i) {
      const std::string text = make_payload(PayloadKind::json, size, i);
      EXPECT_EQ(text.size(), size);
      EXPECT_TRUE(Json::is_valid(text)) << text;
      EXPECT_EQ(tern::bench::unpack(tern::bench::pack(text)), text);
      EXPECT_TRUE(seen.insert(text).second) << "variant " << i << " equals an earlier one";
    }
  }
}

TEST(BenchFrames, OtherPayloadsHaveOneVariant) {
  for (const auto kind : {PayloadKind::binary, PayloadKind::ascii, PayloadKind::mixed}) {
    EXPECT_EQ(make_payload(kind, 1000, 0), make_payload(kind, 1000, 1));
  }
}

// Frames of 3, 1 and 5 different bytes.
std::vector<Bytes> three_frames() {
  std::vector<Bytes> frames;
  int value = 0;
  for (const std::size_t size : {3u, 1u, 5u}) {
    for (Bytes& frame = frames.emplace_back(); frame.size() < size;) {
      frame.push_back(static_cast<std::byte>(++value));
    }
  }
  return frames;
}

// `count` frames of the stream, beginning with number `first`.
Bytes stream_of(const std::vector<Bytes>& frames, std::size_t first, std::size_t count) {
  Bytes bytes;
  for (std::size_t i = first; i < first + count; ++i) {
    const Bytes& frame = frames[i % frames.size()];
    bytes.insert(bytes.end(), frame.begin(), frame.end());
  }
  return bytes;
}

TEST(FrameTrain, TheRequestedSizeIsOnePiece) {
  const std::vector<Bytes> frames = three_frames();
  const Bytes expected = stream_of(frames, 0, 100);
  for (std::size_t at_least = 0; at_least < 40; ++at_least) {
    const FrameTrain train(frames, at_least);
    for (std::uint64_t frame = 0; frame < 9; ++frame) {
      const std::uint64_t offset = train.offset_of(frame);
      EXPECT_EQ(offset, stream_of(frames, 0, frame).size());
      const std::span<const std::byte> piece = train.from(offset, at_least);
      ASSERT_EQ(piece.size(), at_least);
      EXPECT_TRUE(std::ranges::equal(piece, std::span(expected).subspan(offset, at_least)));
    }
  }
}

TEST(FrameTrain, ASenderSendsAllFramesInTurn) {
  const std::vector<Bytes> frames = three_frames();
  const FrameTrain train(frames, 0);  // with 0, a piece often ends before the last owed frame
  for (std::size_t first = 0; first < 3; ++first) {
    tern::test::SocketPair sockets;
    TrainSender sender(train, first);
    std::size_t sent = 0;
    Bytes got(1000);
    std::size_t size = 0;
    for (std::size_t count = 0; count < 10; ++count) {
      sender.owe(count, train);
      sent += count;
      while (sender.owed() > 0) ASSERT_TRUE(sender.send(sockets.client.get(), train));
      EXPECT_EQ(sender.take_begun(train), count);
    }
    const Bytes expected = stream_of(frames, first, sent);
    while (size < expected.size() && tern::test::wait_ready(sockets.server.get(), POLLIN)) {
      const ssize_t more = ::recv(sockets.server.get(), got.data() + size, got.size() - size, 0);
      ASSERT_GT(more, 0);
      size += static_cast<std::size_t>(more);
    }
    got.resize(size);
    EXPECT_EQ(got, expected);
  }
}

// The frames are so long that a socket does not take one in a single call.
TEST(FrameTrain, AFrameCountsAsBegunWithItsFirstByte) {
  constexpr std::size_t large = std::size_t{4} << 20;
  const FrameTrain train({Bytes(large), Bytes(large + 1)}, 0);
  tern::test::SocketPair sockets;
  TrainSender sender(train, 1);
  sender.owe(3, train);
  std::size_t begun = 0;
  std::size_t got = 0;
  Bytes buffer(large);
  while (got < large + 1 + large + large + 1) {
    ASSERT_TRUE(sender.send(sockets.client.get(), train));
    begun += sender.take_begun(train);
    const std::size_t sent = 3 * large + 2 - sender.owed();
    EXPECT_EQ(begun, sent <= large + 1 ? 1u : sent <= 2 * large + 1 ? 2u : 3u);
    ASSERT_TRUE(tern::test::wait_ready(sockets.server.get(), POLLIN));
    const ssize_t more = ::recv(sockets.server.get(), buffer.data(), buffer.size(), 0);
    ASSERT_GT(more, 0);
    got += static_cast<std::size_t>(more);
  }
  EXPECT_EQ(sender.owed(), 0u);
}

}  // namespace
