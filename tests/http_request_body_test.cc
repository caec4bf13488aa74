// RequestBody and ChunkedReader, RFC 9112 §6.3 and §7.1. Each body is read whole, cut at every
// byte, and byte by byte, and each piece ends at a guard page.
#include "http/request_body.h"
#include "support/guard_page.h"

#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern::http {
namespace {

using Kind = BodyFraming::Kind;
using Status = RequestBody::Status;

// "'text' took 12", "more", or the name of the error and the place of the byte that is the fault.
std::string read_pieces(BodyFraming framing, const Limits& limits,
                        const std::vector<std::string_view>& pieces) {
  RequestBody body(framing, limits);
  std::size_t took = 0;
  for (const std::string_view piece : pieces) {
    const test::GuardPage page(piece);
    const std::size_t now = body.feed(page.bytes());
    took += now;
    if (now < piece.size()) break;
  }
  EXPECT_LE(body.text().size(), limits.max_body_bytes);
  const std::string place = " at " + std::to_string(took);
  if (body.status() == Status::failed) return std::string(errc_name(body.error())) + place;
  const std::string text(body.text());
  if (body.status() == Status::more) return "more of '" + text + "'" + place;
  EXPECT_EQ(body.feed({}), 0u);
  EXPECT_EQ(body.take(), text);
  EXPECT_EQ(body.text(), "");
  return "'" + text + "'" + place;
}

std::string read(BodyFraming framing, std::string_view text, const Limits& limits) {
  std::string whole = read_pieces(framing, limits, {text});
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(read_pieces(framing, limits, {text.substr(0, cut), text.substr(cut)}), whole)
        << text << " cut at " << cut;
  }
  std::vector<std::string_view> single;
  for (std::size_t i = 0; i < text.size(); ++i) single.push_back(text.substr(i, 1));
  EXPECT_EQ(read_pieces(framing, limits, single), whole) << text;
  return whole;
}

std::string chunks(std::string_view text, const Limits& limits = {.max_body_bytes = 40}) {
  return read({.kind = Kind::chunked}, text, limits);
}

std::string counted(std::uint64_t bytes, std::string_view text) {
  return read({.kind = Kind::counted, .bytes = bytes}, text, {.max_body_bytes = 8});
}

TEST(HttpRequestBody, Rfc9112_6_3_TakesExactlyTheLength) {
  EXPECT_EQ(counted(3, ""), "more of '' at 0");
  EXPECT_EQ(counted(3, "ab"), "more of 'ab' at 2");
  EXPECT_EQ(counted(3, "abc"), "'abc' at 3");
  EXPECT_EQ(counted(3, "abcGET / HTTP/1.1"), "'abc' at 3") << "the next request is left";
  EXPECT_EQ(counted(8, "12345678"), "'12345678' at 8");
}

TEST(HttpRequestBody, ALengthAboveTheLimitIsRefusedBeforeAByte) {
  EXPECT_EQ(counted(9, "123456789"), "body_too_big at 0");
  EXPECT_EQ(counted(UINT64_MAX, ""), "body_too_big at 0");
  const Limits none{.max_body_bytes = 0};
  EXPECT_EQ(read({.kind = Kind::counted, .bytes = 1}, "a", none), "body_too_big at 0");
  EXPECT_EQ(chunks("0\r\n\r\n", none), "'' at 5");
  EXPECT_EQ(chunks("1\r\na\r\n0\r\n\r\n", none), "body_too_big at 0");
}

TEST(HttpRequestBody, Rfc9112_7_1_JoinsTheDataOfChunks) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "more of '' at 0"},
      {"0\r\n\r\n", "'' at 5"},
      {"3\r\nabc\r\n0\r\n\r\n", "'abc' at 13"},
      {"3\r\nabc\r\n0\r\n\r\nGET /", "'abc' at 13"},
      {"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "'abc' at 18"},
      {"a\r\n0123456789\r\n0\r\n\r\n", "'0123456789' at 20"},
      {"A\r\n0123456789\r\n000\r\n\r\n", "'0123456789' at 22"},
      {"00000000000000a\r\n0123456789\r\n0\r\n\r\n", "'0123456789' at 34"},
      {"2\r\n\r\n\r\n0\r\n\r\n", "'\r\n' at 12"},
      {"3\r\nabc\r\n0\r\n", "more of 'abc' at 11"},
      {"3\r\nabc\r\n", "more of 'abc' at 8"},
      {"3\r\nab", "more of 'ab' at 5"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(chunks(text), expected) << text;
}

TEST(HttpRequestBody, Rfc9112_7_1_1_ExtensionsAreSkippedAndBounded) {
  EXPECT_EQ(chunks("1;a\r\nx\r\n0;b=\"c\"\r\n\r\n"), "'x' at 19");
  EXPECT_EQ(chunks("1 \t; a = b ; c\r\nx\r\n0\r\n\r\n"), "'x' at 24");
  EXPECT_EQ(chunks("1;\r\nx\r\n0\r\n\r\n"), "'x' at 12");
  EXPECT_EQ(chunks("1;a=\xC3\xA9\r\nx\r\n0\r\n\r\n"), "'x' at 16");
  // The bound counts the extensions of all chunks.
  const std::size_t most = ChunkedReader::max_extension_bytes;
  const auto with_extensions = [](std::size_t bytes) {
    std::string text;
    for (const std::size_t size : {bytes / 2, bytes - bytes / 2}) {
      text += "1;" + std::string(size - 1, 'e') + "\r\nx\r\n";
    }
    const Limits limits;
    return read_pieces({.kind = Kind::chunked}, limits, {text + "0\r\n\r\n"});
  };
  EXPECT_EQ(with_extensions(most), "'xx' at " + std::to_string(most + 17));
  EXPECT_EQ(with_extensions(most + 1), "body_malformed at " + std::to_string(most + 7));
}

TEST(HttpRequestBody, Rfc9112_7_1_AFaultIsReportedAtItsByte) {
  const std::pair<std::string_view, const char*> cases[] = {
      // a bare LF or CR in the line of a size, behind the data, and in the last line
      {"1\nx\r\n0\r\n\r\n", "body_malformed at 1"},
      {"1\r\rx", "body_malformed at 2"},
      {"1;a\nx", "body_malformed at 3"},
      {"1;a\rx", "body_malformed at 4"},
      {"1;\r\r\n", "body_malformed at 3"},
      {"1\r\nx\n0", "body_malformed at 4"},
      {"1\r\nx\rx", "body_malformed at 5"},
      {"1\r\nxx", "body_malformed at 4"},
      {"0\r\n\n", "body_malformed at 3"},
      {"0\r\n\r\r", "body_malformed at 4"},
      {"0\n\n", "body_malformed at 1"},
      // sizes
      {"\r\n", "body_malformed at 0"},
      {";a\r\n", "body_malformed at 0"},
      {" 1\r\n", "body_malformed at 0"},
      {"+1\r\n", "body_malformed at 0"},
      {"-1\r\n", "body_malformed at 0"},
      {"0x1\r\n", "body_malformed at 1"},
      {"g\r\n", "body_malformed at 0"},
      {"1g\r\n", "body_malformed at 1"},
      {"1 \r\n", "body_malformed at 2"},
      {"1 2\r\n", "body_malformed at 2"},
      {"1,\r\n", "body_malformed at 1"},
      {"00000000000000001\r\nx\r\n", "body_malformed at 16"},
      // controls in an extension
      {std::string_view("1;a\0b\r\n", 7), "body_malformed at 3"},
      {"1;a\x7F\r\n", "body_malformed at 3"},
      {"1\t\x01;\r\n", "body_malformed at 2"},
      // the limit, which is 40 here, is checked at each digit of a size
      {"29\r\n", "body_too_big at 1"},
      {"10\r\n0123456789012345\r\n19\r\n", "body_too_big at 23"},
      {"ffffffffffffffff\r\n", "body_too_big at 1"},
      {"8000000000000000\r\n", "body_too_big at 1"},
      {"00000000ffffffffff", "body_too_big at 9"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(chunks(text), expected) << text;
  const std::string full = "28\r\n" + std::string(40, 'x') + "\r\n0\r\n\r\n";
  EXPECT_EQ(chunks(full), "'" + std::string(40, 'x') + "' at 51");
}

TEST(HttpRequestBody, Rfc9112_7_1_2_TrailersAreDroppedAndBounded) {
  EXPECT_EQ(chunks("0\r\nA: b\r\n\r\n"), "'' at 11");
  EXPECT_EQ(chunks("1\r\nx\r\n0\r\nA:b\r\nContent-Length: 5\r\n\r\nGET"), "'x' at 35");
  EXPECT_EQ(chunks("0\r\nA: b\r\n"), "more of '' at 9");
  EXPECT_EQ(chunks("0\r\nA: b\n"), "body_malformed at 7");
  EXPECT_EQ(chunks("0\r\nA : b\r\n"), "body_malformed at 4");
  EXPECT_EQ(chunks("0\r\nA: b\r\n c\r\n"), "body_malformed at 9") << "a folded line";
  EXPECT_EQ(chunks("0\r\n: b\r\n"), "body_malformed at 3");
  EXPECT_EQ(chunks("0\r\nA b\r\n"), "body_malformed at 4");
  const Limits small{.max_head_bytes = 12, .max_header_fields = 1, .max_body_bytes = 8};
  EXPECT_EQ(chunks("0\r\nA: 78\r\n\r\n", small), "'' at 12");
  EXPECT_EQ(chunks("0\r\nA: 789012\r\n\r\n", small), "head_too_big at 15");
  EXPECT_EQ(chunks("0\r\nA:\r\nB:\r\n\r\n", small), "too_many_header_fields at 7");
}

}  // namespace
}  // namespace tern::http
