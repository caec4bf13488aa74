// Inflating and compressing messages, compared with RFC 7692 §7.2 and with plain zlib.
#include "deflate/codec.h"
#include "support/guard_page.h"
#include "support/zlib_peer.h"

#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <vector>

namespace tern::deflate {
namespace {

using namespace std::string_view_literals;
using test::json;
using test::noise;
using test::ZlibReceiver;
using test::ZlibSender;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// The result of inflating a message.
struct Inflated {
  std::string text{};
  bool corrupt = false;
  bool operator==(const Inflated&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Inflated& inflated) {
  return out << inflated.text.size() << " '" << inflated.text.substr(0, 40) << '\''
             << (inflated.corrupt ? " corrupt" : "");
}

Inflated inflate(Inflater& inflater, std::string_view payload, std::size_t piece = SIZE_MAX,
                 std::size_t room = 16384) {
  Inflated result;
  const test::GuardPage page(room);
  const auto take = [&](const Inflater::Step& step) {
    result.text.append(page.text().substr(0, step.produced));
    result.corrupt = step.corrupt;
    return step.produced == room && !step.corrupt;  // more output may follow
  };
  while (!payload.empty() && !result.corrupt) {
    const test::GuardPage in(payload.substr(0, piece));
    payload.remove_prefix(in.bytes().size());
    std::span<const std::byte> rest = in.bytes();
    for (;;) {
      const Inflater::Step step = inflater.inflate(rest, page.bytes());
      rest = rest.subspan(step.consumed);
      if (!take(step)) break;
    }
    EXPECT_TRUE(result.corrupt || rest.empty());
  }
  if (!result.corrupt) {
    for (bool more = true; more;) {
      const Inflater::Step step = inflater.finish(page.bytes());
      EXPECT_EQ(step.consumed, 0u) << "finish() gets no input";
      more = take(step);
    }
  }
  return result;
}

// Inflates from pieces and to rooms of several sizes; each must give the same result.
Inflated inflate_in_every_way(std::string_view payload) {
  Inflater first(15);
  const Inflated whole = inflate(first, payload);
  for (const std::size_t piece : {1u, 2u, 3u, 7u, 100u}) {
    for (const std::size_t room : {1u, 2u, 5u, 1000u, 16384u}) {
      Inflater inflater(15);
      const Inflated again = inflate(inflater, payload, piece, room);
      EXPECT_EQ(again, whole) << piece << ' ' << room;
      if (again != whole) return again;
    }
  }
  return whole;
}

TEST(Inflater, Rfc7692_7_2_3_InflatesTheExamples) {
  struct Row {
    const char* id;
    std::string_view payload;
    std::string_view text;
  };
  const std::vector<Row> table = {
      {"7.2.3.1, one block", "\xf2\x48\xcd\xc9\xc9\x07\x00"sv, "Hello"},
      {"7.2.3.3, a block that is not compressed", "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"sv,
       "Hello"},
      {"7.2.3.4, a final block", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"sv, "Hello"},
      {"7.2.3.5, two blocks", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"sv, "Hello"},
      {"7.2.3.6, empty", "\x00"sv, ""},
      {"empty, of a fixed block", "\x02\x00"sv, ""},
      {"a final block alone", "\xf3\x48\xcd\xc9\xc9\x07\x00"sv, "Hello"},
      {"two final blocks", "\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00"sv,
       "HelloHello"},
      {"a block behind a final one", "\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x48\xcd\xc9\xc9\x07\x00"sv,
       "HelloHello"},
  };
  for (const Row& row : table) {
    EXPECT_EQ(inflate_in_every_way(row.payload), (Inflated{std::string(row.text)})) << row.id;
  }
}

TEST(Inflater, Rfc7692_7_2_3_2_MessagesShareTheWindow) {
  Inflater inflater(15);
  EXPECT_EQ(inflate(inflater, "\xf2\x48\xcd\xc9\xc9\x07\x00"sv), Inflated{"Hello"});
  EXPECT_EQ(inflate(inflater, "\xf2\x00\x11\x00\x00"sv), Inflated{"Hello"});
  // Without the window the second message refers to bytes that do not exist.
  inflater.reset();
  EXPECT_EQ(inflate(inflater, "\xf2\x00\x11\x00\x00"sv), (Inflated{"H", true}));
}

// zlib starts again after a final block, and later messages may still refer to earlier bytes.
TEST(Inflater, Rfc7692_7_2_3_4_AFinalBlockKeepsTheWindow) {
  Inflater inflater(15);
  EXPECT_EQ(inflate(inflater, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"sv), Inflated{"Hello"});
  EXPECT_EQ(inflate(inflater, "\xf2\x00\x11\x00\x00"sv), Inflated{"Hello"});
  ZlibSender sender;
  for (const std::string text : {"one two three", "one two three four"}) {
    EXPECT_EQ(inflate(inflater, sender.final_message(text)), Inflated{text});
    EXPECT_EQ(inflate(inflater, sender.message(text)), Inflated{text});
  }
}

// The final block ends only with bytes of 00 00 FF FF, so the message was cut inside of it. An
// older version accepted it if the room ended with the block.
TEST(Inflater, Rfc7692_7_2_3_4_AFinalBlockCutInsideTheTailIsCorrupt) {
  const auto payload =
      "\xB3\xC9\x28\xC9\xCD\xB1\xB3\x49\xCA\x4F\xA9\xB4\xB3\xCA\x4F\xA9\xB4\xB3\x19\x65"sv;
  EXPECT_TRUE(inflate_in_every_way(payload).corrupt);
  Inflater inflater(15);
  EXPECT_TRUE(inflate(inflater, payload, SIZE_MAX, 3).corrupt);
}

TEST(Inflater, Rfc7692_7_2_2_RejectsCorruptMessages) {
  const std::string hello("\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
  struct Row {
    const char* id;
    std::string payload;
    std::string before;  // inflated before the fault
  };
  const std::vector<Row> table = {
      {"empty payload", "", ""},
      {"a reserved type of block", "\x06", ""},
      {"a stored length that is not its complement", std::string("\x00\x05\x00\xfb\xff", 5), ""},
      {"a distance beyond the beginning", std::string("\xf2\x00\x11\x00\x00", 5), "H"},
      {"cut in a block", hello.substr(0, 4), "Helh"},
      {"cut in a stored block", std::string("\x00\x05\x00\xfa\xffHe", 7), "He\0\0\xFF"},
      {"the four bytes were not left out", hello + std::string("\0\0\xFF\xFF", 4), "Hello"},
      {"no empty block at the end", hello.substr(0, 6), "Hello"},
      {"nonsense behind a final block", std::string("\xf3\x48\xcd\xc9\xc9\x07\x00\x06", 8),
       "Hello"},
      {"nonsense behind its byte 0", std::string("\xf3\x48\xcd\xc9\xc9\x07\x00\x00\x01", 9),
       "Hello"},
      {"text", "Hello, this is not compressed at all", ""},
  };
  for (const Row& row : table) {
    const Inflated inflated = inflate_in_every_way(row.payload);
    EXPECT_TRUE(inflated.corrupt) << row.id;
    if (std::string_view(row.id) != "text" &&
        std::string_view(row.id).find("stored block") == std::string_view::npos) {
      EXPECT_EQ(inflated.text, row.before) << row.id;
    }
  }
}

TEST(Inflater, InflatesOutputOfZlibAtEachLevelAndWindow) {
  const std::vector<std::string> messages = {"x",
                                             json(1000),
                                             noise(3000),
                                             std::string(70'000, 'z'),
                                             json(100'000),
                                             "",
                                             json(40'000, 2) + noise(40'000)};
  for (int window = 9; window <= 15; ++window) {
    for (const int level : {0, 1, 6, 9}) {
      for (const int strategy : {Z_DEFAULT_STRATEGY, Z_FIXED, Z_HUFFMAN_ONLY}) {
        ZlibSender sender(window, level, 8, strategy);
        Inflater inflater(window);
        for (const std::string& text : messages) {
          const Inflated inflated = inflate(inflater, sender.message(text), 1000);
          EXPECT_EQ(inflated, Inflated{text}) << window << ' ' << level;
        }
      }
    }
  }
}

TEST(Inflater, InflatesAWindowOf8WithALargerOne) {
  ZlibSender sender(9);
  Inflater inflater(8);
  EXPECT_EQ(inflate(inflater, sender.message(json(5000))), Inflated{json(5000)});
}

// ---- compressing

std::optional<std::string> compress(Deflater& deflater, std::string_view text,
                                    bool takeover = false) {
  base::ChunkPool pool;
  base::ChunkRef out;
  const std::size_t size = deflater.compress(bytes_of(text), takeover, pool, out);
  if (size == 0) return {};
  if (!takeover) {
    EXPECT_LT(size, text.size());
  }
  return std::string(reinterpret_cast<const char*>(out.data()), size);
}

TEST(Deflater, Rfc7692_7_2_1_ZlibInflatesTheOutput) {
  const std::vector<std::string> messages = {std::string(20, 'x'), json(1000), json(100'000),
                                             std::string(70'000, 'z'),
                                             json(30'000, 2) + noise(2'000)};
  for (int window = 9; window <= 15; ++window) {
    for (const int level : {1, 6, 9}) {
      for (const int memory : {1, 8, 9}) {
        for (const bool takeover : {false, true}) {
          Deflater deflater({level, window, memory});
          ZlibReceiver receiver(window);
          for (const std::string& text : messages) {
            if (!takeover) receiver.reset();
            const auto payload = compress(deflater, text, takeover);
            ASSERT_TRUE(payload) << text.size();
            ASSERT_EQ(receiver.message(*payload), text) << window << ' ' << level;
          }
        }
      }
    }
  }
}

TEST(Deflater, TakeoverRefersToEarlierMessages) {
  const std::string text = noise(400);
  Deflater deflater({1, 15, 8});
  EXPECT_FALSE(compress(deflater, text, false));
  EXPECT_FALSE(compress(deflater, text, false)) << "without takeover nothing is remembered";
  const std::string twice = json(1000);
  const auto first = compress(deflater, twice, true);
  const auto second = compress(deflater, twice, true);
  ASSERT_TRUE(first && second);
  EXPECT_LT(second->size(), first->size() / 3);
}

// With takeover each message goes through the context, because a new context costs more than the
// few bytes by which a message can grow.
TEST(Deflater, Rfc7692_7_2_3_2_AMessageThatGrowsKeepsTheContext) {
  Deflater deflater({1, 15, 8});
  ZlibReceiver receiver;
  const std::string incompressible = noise(3000);
  std::size_t first = 0;
  for (const std::string& text : {json(2000), incompressible, incompressible, json(2000)}) {
    const auto payload = compress(deflater, text, true);
    ASSERT_TRUE(payload);
    ASSERT_EQ(receiver.message(*payload), text);
    if (first == 0) first = payload->size();
  }
  const auto again = compress(deflater, json(2000), true);
  ASSERT_TRUE(again);
  EXPECT_LT(again->size(), first / 4) << "it still refers to the message before the noise";
  ASSERT_EQ(receiver.message(*again), json(2000));
}

// The result must be as small as that of plain zlib, which flushes after each message (§7.2.1).
TEST(Deflater, Rfc7692_7_2_1_TakeoverCompressesLikeOneZlibContext) {
  for (const int level : {1, 6, 9}) {
    for (const std::size_t size : {16u, 150u, 200u, 3000u}) {
      Deflater deflater({level, 15, 8});
      ZlibReceiver receiver;
      test::ZlibSender zlib(15, level);
      std::size_t ours = 0;
      std::size_t theirs = 0;
      for (std::uint64_t i = 1; i <= 1000; ++i) {
        const bool random = size == 150 && i % 2 == 0;
        const std::string text = random ? noise(64, i) : json(size, i);
        const auto payload = compress(deflater, text, true);
        ASSERT_TRUE(payload) << i;
        ASSERT_EQ(receiver.message(*payload), text);
        ours += payload->size();
        theirs += zlib.message(text).size();
      }
      EXPECT_EQ(ours, theirs) << size << " level " << level;
    }
  }
}

// zlib stores a block that it cannot compress, which costs 5 bytes. A block holds 16 KiB with the
// default tables and 127 bytes with the smallest.
TEST(Deflater, Rfc7692_7_2_3_3_AMessageGrowsByAFewBytes) {
  for (const int memory : {1, 5, 8, 9}) {
    for (const std::size_t size : {1u, 16u, 1000u, 16'383u, 16'384u, 70'000u, 3'000'000u}) {
      Deflater deflater({1, 15, memory});
      ZlibReceiver receiver;
      const std::size_t block = (std::size_t{64} << memory) - 1;
      for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        const std::string text = noise(size, seed);
        const auto payload = compress(deflater, text, true);
        ASSERT_TRUE(payload);
        EXPECT_LE(payload->size(), size + 5 * (size / block + 2)) << size << ' ' << memory;
        ASSERT_EQ(receiver.message(*payload), text);
      }
    }
  }
}

TEST(Deflater, ShortMessagesStayUncompressed) {
  Deflater deflater({9, 15, 8});
  for (const std::string_view text : {"x", "xy", "xyz", "Hello"}) {
    EXPECT_FALSE(compress(deflater, text)) << text;
  }
  EXPECT_TRUE(compress(deflater, "xxxxxxxxxxxxxxxx"));
}

// Sizes around the border of each size of chunk, where an error of one byte would show.
TEST(Deflater, CompressesToSizesAroundThoseOfChunks) {
  Deflater deflater({1, 15, 8});
  Deflater with_takeover({1, 15, 8});
  ZlibReceiver receiver;
  for (const std::size_t size : {16384u, 65536u}) {
    for (std::size_t random = size - 40; random <= size + 40; ++random) {
      const std::string text = noise(random) + std::string(300, 'x');
      const auto payload = compress(deflater, text);
      ASSERT_TRUE(payload);
      ASSERT_EQ(ZlibReceiver().message(*payload), text);
      const auto referring = compress(with_takeover, text, true);
      ASSERT_TRUE(referring);
      ASSERT_EQ(receiver.message(*referring), text);
    }
  }
}

// ---- the contexts of a thread

TEST(Contexts, AnInflaterIsEmptyWhenLentAgain) {
  Contexts contexts;
  auto inflater = contexts.take_inflater();
  const Inflater* const first = inflater.get();
  EXPECT_EQ(inflate(*inflater, "\xf2\x48\xcd\xc9\xc9\x07\x00"sv), Inflated{"Hello"});
  contexts.give_back(std::move(inflater));
  inflater = contexts.take_inflater();
  EXPECT_EQ(inflater.get(), first);
  EXPECT_TRUE(inflate(*inflater, "\xf2\x00\x11\x00\x00"sv).corrupt);
  contexts.give_back(nullptr);
}

TEST(Contexts, LendsMoreInflatersThanItKeeps) {
  Contexts contexts;
  std::vector<std::unique_ptr<Inflater>> out;
  for (int i = 0; i < 40; ++i) out.push_back(contexts.take_inflater());
  for (auto& inflater : out) contexts.give_back(std::move(inflater));
  EXPECT_NE(contexts.take_inflater(), nullptr);
}

TEST(Contexts, FindsDeflatersByTheirParameters) {
  Contexts contexts;
  Deflater& first = contexts.deflater({1, 15, 8});
  EXPECT_EQ(first.parameters(), (DeflateParameters{1, 15, 8}));
  for (int window = 9; window <= 14; ++window) {
    EXPECT_EQ(contexts.deflater({1, window, 8}).parameters().window_bits, window);
    Deflater& again = contexts.deflater({1, 15, 8});
    EXPECT_EQ(&again, &first) << "the deflaters used last are kept";
  }
}

}  // namespace
}  // namespace tern::deflate
