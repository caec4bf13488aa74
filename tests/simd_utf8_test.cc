// UTF-8: every kernel against a simple reference, whole and in pieces.
#include "simd/utf8.h"
#include "support/guard_page.h"
#include "support/utf8_reference.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <gtest/gtest.h>
#include <iomanip>
#include <optional>
#include <random>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace tern::simd {
namespace {

using test::first_impossible;
using test::reference_valid;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string hex(std::string_view text) {
  std::ostringstream out;
  for (const char byte : text)
    out << std::hex << std::setw(2) << std::setfill('0') << (static_cast<unsigned>(byte) & 0xFF)
        << ' ';
  return out.str();
}

std::vector<Level> levels() {
  std::vector<Level> all;
  for (const Level level : all_levels)
    if (level <= detect()) all.push_back(level);
  return all;
}

// Sequences with every kind of error, and valid sequences that differ from them by one byte.
const std::vector<std::string>& sequences() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> made{
        // Valid: the borders of each row of RFC 3629 §4.
        "a", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xE0\xBF\xBF", "\xE1\x80\x80", "\xEC\xBF\xBF",
        "\xED\x80\x80", "\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80",
        "\xF0\xBF\xBF\xBF", "\xF1\x80\x80\x80", "\xF3\xBF\xBF\xBF", "\xF4\x80\x80\x80",
        "\xF4\x8F\xBF\xBF",
        // Overlong.
        "\xC0\x80", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xF0\x80\x80\x80",
        "\xF0\x8F\xBF\xBF", "\xF8\x88\x80\x80\x80", "\xFC\x84\x80\x80\x80\x80",
        // Surrogates; above U+10FFFF; bytes that never occur in UTF-8.
        "\xED\xA0\x80", "\xED\xBF\xBF", "\xED\xA0\x80\xED\xB0\x80", "\xF4\x90\x80\x80",
        "\xF4\xBF\xBF\xBF", "\xF5\x80\x80\x80", "\xF7\xBF\xBF\xBF", "\xFE", "\xFF",
        // Tails: alone, too many, missing.
        "\x80", "\xBF", "\x80\x80", "\xC2\x80\x80", "\xE1\x80\x80\x80", "\xF1\x80\x80\x80\x80",
        "\xC2", "\xE1", "\xE1\x80", "\xF1", "\xF1\x80", "\xF1\x80\x80", "\xC2\x41", "\xE1\x41\x80",
        "\xE1\x80\x41", "\xF1\x41\x80\x80", "\xF1\x80\x41\x80", "\xF1\x80\x80\x41", "\xC2\xC2\x80",
        "\xE1\xE1\x80\x80", "\xE1\x80\xE1\x80\x80", "\xF1\x80\xF1\x80\x80\x80"};
    return made;
  }();
  return all;
}

// Checks that every kernel and the front function agree with the reference. The text ends at a
// guard page, and then begins at one.
void check_all(const test::GuardPage& room, std::string_view text) {
  const bool expected = reference_valid(text);
  for (const auto span : {room.copy_at_end(text), room.copy_at_begin(text)}) {
    for (const Level level : levels())
      ASSERT_EQ(utf8_kernel(level)(span.data(), span.size()), expected)
          << name(level) << ": " << hex(text);
    ASSERT_EQ(utf8_valid(span), expected) << hex(text);
  }
}

// Feeds `text` in pieces of `size` bytes. Returns the index of the piece at which the stream
// failed, if it did.
std::optional<std::size_t> failing_piece(Utf8Stream& stream, std::string_view text,
                                         std::size_t size) {
  for (std::size_t at = 0; at < text.size(); at += size)
    if (!stream.feed(bytes(text.substr(at, size)))) return at / size;
  return std::nullopt;
}

TEST(Utf8, ReferenceIsCorrect) {
  EXPECT_TRUE(reference_valid(""));
  EXPECT_TRUE(reference_valid("\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5"));
  EXPECT_FALSE(reference_valid("\xED\xA0\x80"));
  EXPECT_FALSE(reference_valid("\xE2\x82"));
  EXPECT_EQ(first_impossible("\xE2\x82"), std::nullopt);
  EXPECT_EQ(first_impossible("ab\xF4\x90\x80\x80"), 3U);
  EXPECT_EQ(first_impossible("\xC0\x80"), 0U);
  EXPECT_EQ(first_impossible("\xE2\x82\x41"), 2U);
}

// `classes` holds the borders of all ranges in the grammar; each stands in all four places.
TEST(Utf8, Rfc3629_4_AllPairsAndAllClassesOfFourBytes) {
  const test::GuardPage room(4096);
  for (unsigned first = 0; first < 256; ++first) {
    for (unsigned second = 0; second < 256; ++second)
      check_all(room, std::string{static_cast<char>(first), static_cast<char>(second)});
  }
  const std::string_view classes{
      "\x00\x7F\x80\x8F\x90\x9F\xA0\xBF\xC0\xC1\xC2\xDF\xE0\xE1\xEC\xED"
      "\xEE\xEF\xF0\xF1\xF3\xF4\xF5\xFF",
      24};
  for (const char a : classes)
    for (const char b : classes)
      for (const char c : classes)
        for (const char d : classes) {
          // The four bytes cross the borders of vectors of 32 and of 64 bytes, so that the loops
          // check them, not only the code for short text.
          for (const std::size_t at : {30U, 62U}) {
            std::string text(100, 'x');
            text.replace(at, 4, {a, b, c, d});
            const bool expected = reference_valid(text);
            for (const Level level : levels())
              ASSERT_EQ(utf8_kernel(level)(bytes(text).data(), text.size()), expected)
                  << name(level) << ": " << hex(std::string{a, b, c, d});
          }
        }
}

TEST(Utf8, Rfc3629_4_EverySequenceAtEveryPlaceOfEveryLength) {
  const test::GuardPage room(4096);
  for (const std::string& sequence : sequences()) {
    for (std::size_t size = sequence.size(); size <= 150; size += size < 70 ? 1 : 13) {
      for (std::size_t at = 0; at + sequence.size() <= size; ++at) {
        std::string text(size, 'x');
        text.replace(at, sequence.size(), sequence);
        check_all(room, text);
      }
    }
  }
}

// The text around the sequence is not ASCII, so that kernels skip nothing.
TEST(Utf8, Rfc3629_4_EverySequenceAtBlockBordersOfOtherScripts) {
  const test::GuardPage room(4096);
  for (const std::string_view filler : {"\xC3\xA9", "\xE6\x97\xA5", "\xF0\x9F\x98\x80"}) {
    for (const std::string& sequence : sequences()) {
      for (std::size_t at = 0; at <= 200; ++at) {
        std::string text(at % filler.size(), 'x');
        while (text.size() < at) text += filler;
        text += sequence;
        check_all(room, text);
        while (text.size() < 330) text += filler;
        check_all(room, text);
      }
    }
  }
}

TEST(Utf8, Rfc3629_4_ValidTextOfEveryLengthAtEveryAlignment) {
  for (const std::string_view filler : {"a", "\xC3\xA9", "\xE6\x97\xA5", "\xF0\x9F\x98\x80"}) {
    std::string memory(64, 'x');
    while (memory.size() < 500) memory += filler;
    for (std::size_t begin = 0; begin <= 64; ++begin) {
      for (std::size_t size = 0; size <= 300; ++size) {
        const std::string_view text = std::string_view(memory).substr(begin, size);
        const bool expected = reference_valid(text);
        for (const Level level : levels())
          ASSERT_EQ(utf8_kernel(level)(bytes(text).data(), size), expected)
              << name(level) << ' ' << begin << ' ' << size;
      }
    }
  }
}

// Kernels skip long runs of ASCII in larger steps.
TEST(Utf8, Rfc3629_4_FindsErrorsInAndBehindLongAscii) {
  const test::GuardPage room(4096);
  for (const std::size_t size : {511U, 512U, 700U, 1024U, 1025U}) {
    for (std::size_t at = 0; at < size; ++at) {
      for (const std::string_view sequence : {"\x80", "\xC2", "\xE1\x80", "\xC3\xA9"}) {
        std::string text(size, 'x');
        text.replace(at, sequence.size(), sequence);
        check_all(room, text);
      }
    }
  }
}

TEST(Utf8, Rfc3629_4_RandomTextsAgreeWithTheReference) {
  const test::GuardPage room(4096);
  std::mt19937 random(20111211);
  const auto pick = [&](std::size_t below) { return static_cast<std::size_t>(random() % below); };
  std::size_t valid = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    const std::size_t size = pick(400);
    while (text.size() < size) {
      if (pick(4) == 0)
        text.append(pick(100), 'x');
      else
        text += sequences()[pick(17)];  // the valid ones
    }
    if (pick(2) == 0 && !text.empty()) text[pick(text.size())] = static_cast<char>(pick(256));
    valid += reference_valid(text);
    check_all(room, text);
  }
  EXPECT_GT(valid, 5000U);
  EXPECT_LT(valid, 19000U);
}

TEST(Utf8Stream, IsSmallAndTrivial) {
  static_assert(sizeof(Utf8Stream) <= 4);
  static_assert(std::is_trivially_copyable_v<Utf8Stream>);
  EXPECT_TRUE(Utf8Stream().complete());
}

// The example of RFC 6455 §8.1 and Autobahn 6.4: the byte 90 makes the text invalid, whatever
// follows.
TEST(Utf8Stream, Rfc6455_8_1_FailsAtTheFirstImpossibleByte) {
  Utf8Stream stream;
  EXPECT_TRUE(stream.feed(bytes("\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xF4")));
  EXPECT_FALSE(stream.complete());
  EXPECT_FALSE(stream.feed(bytes("\x90")));
  EXPECT_FALSE(stream.complete());
  EXPECT_FALSE(stream.feed(bytes("\x80\x80")));
  EXPECT_FALSE(stream.feed(bytes("edited")));
  EXPECT_FALSE(stream.complete()) << "a failed stream never recovers";

  Utf8Stream together;
  EXPECT_FALSE(together.feed(bytes("\xCE\xBA\xF4\x90"))) << "one piece, an incomplete sequence";
}

TEST(Utf8Stream, Rfc6455_8_1_CompleteOnlyBetweenCharacters) {
  const std::string_view text = "a\xC3\xA9\xE6\x97\xA5\xF0\x9F\x98\x80z";
  Utf8Stream stream;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    EXPECT_EQ(stream.complete(), i == 0 || reference_valid(text.substr(0, i))) << i;
    if (i < text.size()) {
      EXPECT_TRUE(stream.feed(bytes(text.substr(i, 1))));
    }
  }
  EXPECT_TRUE(stream.complete());
}

TEST(Utf8Stream, Rfc6455_8_1_EmptyPiecesChangeNothing) {
  Utf8Stream stream;
  EXPECT_TRUE(stream.feed({}));
  EXPECT_TRUE(stream.complete());
  EXPECT_TRUE(stream.feed(bytes("\xE6\x97")));
  EXPECT_TRUE(stream.feed({}));
  EXPECT_FALSE(stream.complete());
  EXPECT_TRUE(stream.feed(bytes("\xA5")));
  EXPECT_TRUE(stream.complete());
}

// The stream fails in exactly the piece that holds the first impossible byte, and complete()
// agrees with the reference.
TEST(Utf8Stream, Rfc6455_8_1_PiecesOfAnySizeGiveTheSame) {
  for (const std::string& sequence : sequences()) {
    for (const std::size_t before : {0U, 1U, 60U, 63U, 64U, 131U}) {
      for (const std::string_view filler : {"x", "\xE6\x97\xA5"}) {
        std::string text;
        while (text.size() < before) text += filler;
        text += sequence;
        for (const std::size_t after : {0U, 1U, 80U}) {
          const std::string whole = text + std::string(after, 'x');
          const auto impossible = first_impossible(whole);
          for (std::size_t size = 1; size <= whole.size() + 1; ++size) {
            Utf8Stream stream;
            const auto piece = failing_piece(stream, whole, size);
            ASSERT_EQ(piece.has_value(), impossible.has_value()) << hex(whole) << size;
            if (impossible) {
              ASSERT_EQ(*piece, *impossible / size) << hex(whole) << size;
            }
            ASSERT_EQ(stream.complete(), reference_valid(whole)) << hex(whole) << size;
          }
        }
      }
    }
  }
}

TEST(Utf8Stream, Rfc6455_8_1_TwoPiecesCutAnywhereGiveTheSame) {
  const test::GuardPage front(512);
  const test::GuardPage back(512);
  for (const std::string& sequence : sequences()) {
    const std::string whole =
        std::string(70, 'x') + sequence + "\xF0\x9F\x98\x80" + std::string(70, 'y');
    const auto impossible = first_impossible(whole);
    for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
      Utf8Stream stream;
      const bool first = stream.feed(front.copy_at_end(std::string_view(whole).substr(0, cut)));
      ASSERT_EQ(first, !impossible || *impossible >= cut) << hex(whole) << cut;
      const bool second = stream.feed(back.copy_at_begin(std::string_view(whole).substr(cut)));
      if (first) {
        ASSERT_EQ(second, !impossible) << hex(whole) << cut;
      }
      ASSERT_EQ(stream.complete(), reference_valid(whole)) << hex(whole) << cut;
    }
  }
}

}  // namespace
}  // namespace tern::simd
