// BodyReader, RFC 9112 §6.3: each body is read whole, cut at every byte, and byte by byte.
#include "http/body.h"
#include "support/guard_page.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::http {
namespace {

using Fields = std::vector<HeaderField>;

struct Read {
  std::string text;
  bool done;
  bool operator==(const Read&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Read& read) {
  return out << '"' << read.text << (read.done ? "\" done" : "\" goes on");
}

Read read_pieces(const ResponseHead& head, const std::vector<std::string_view>& pieces) {
  BodyReader reader;
  reader.start(head, 8);
  for (const std::string_view piece : pieces) {
    const test::GuardPage page(piece);
    reader.feed(page.bytes());
  }
  return {std::string(reader.text()), reader.done()};
}

Read read(const Fields& fields, std::string_view text, int status = 403) {
  const ResponseHead head{.status = status, .fields = fields};
  const Read whole = read_pieces(head, {text});
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(read_pieces(head, {text.substr(0, cut), text.substr(cut)}), whole) << text << cut;
  }
  std::vector<std::string_view> single;
  for (std::size_t i = 0; i < text.size(); ++i) single.push_back(text.substr(i, 1));
  EXPECT_EQ(read_pieces(head, single), whole) << text;
  return whole;
}

TEST(HttpBody, Rfc9112_6_3_WithoutLengthReadsToEndOrLimit) {
  EXPECT_EQ(read({}, ""), (Read{"", false}));
  EXPECT_EQ(read({}, "sevenis"), (Read{"sevenis", false}));
  EXPECT_EQ(read({}, "eight is"), (Read{"eight is", true}));
  EXPECT_EQ(read({}, "nine is 9"), (Read{"nine is ", true}));
  EXPECT_EQ(read({{"Content-Length", "x"}}, "abc"), (Read{"abc", false}));
  EXPECT_EQ(read({{"Transfer-Encoding", "gzip"}}, "abc"), (Read{"abc", false}));
}

TEST(HttpBody, Rfc9112_6_2_ReadsUpToContentLength) {
  EXPECT_EQ(read({{"content-length", "0"}}, ""), (Read{"", true}));
  EXPECT_EQ(read({{"Content-Length", "3"}}, "ab"), (Read{"ab", false}));
  EXPECT_EQ(read({{"Content-Length", "3"}}, "abcd"), (Read{"abc", true}));
  EXPECT_EQ(read({{"Content-Length", "8"}}, "12345678"), (Read{"12345678", true}));
  EXPECT_EQ(read({{"Content-Length", "99999999999999999999"}}, "abc"), (Read{"abc", false}));
  EXPECT_EQ(read({{"Content-Length", "99999999999999999999"}}, "123456789"),
            (Read{"12345678", true}));
}

TEST(HttpBody, Rfc9110_6_4_1_Statuses204And304HaveNoContent) {
  EXPECT_EQ(read({}, "abc", 204), (Read{"", true}));
  EXPECT_EQ(read({{"Content-Length", "3"}}, "abc", 304), (Read{"", true}));
}

TEST(HttpBody, Rfc9112_7_1_ReadsChunksWithoutTheirFraming) {
  const Fields chunked{{"Content-Length", "1"}, {"Transfer-Encoding", "gzip, Chunked"}};
  EXPECT_EQ(read(chunked, "3\r\nabc\r\n0\r\n\r\n"), (Read{"abc", true}));
  EXPECT_EQ(read(chunked, "3;x=\"y\"\r\nabc\r\n2 \r\nde\r\n0\r\nT: u\r\n\r\n"),
            (Read{"abcde", true}));
  EXPECT_EQ(read(chunked, "a\r\n1234567890\r\n"), (Read{"12345678", true}));
  EXPECT_EQ(read(chunked, "00A\r\n123"), (Read{"123", false}));
  EXPECT_EQ(read(chunked, "2\r\nab\r\n"), (Read{"ab", false}));
  EXPECT_EQ(read(chunked, "0\r\n\r\n"), (Read{"", true}));
  EXPECT_EQ(read(chunked, "x\r\nabc"), (Read{"", true}));
  EXPECT_EQ(read(chunked, "\r\nabc"), (Read{"", true}));
  EXPECT_EQ(read(chunked, "2\r\nab\r\ny"), (Read{"ab", true}));
  EXPECT_EQ(read(chunked, "ffffffffffffffff\r\nabc"), (Read{"abc", false}));
  EXPECT_EQ(read(chunked, "10000000000000000\r\nabc"), (Read{"", true}));
}

TEST(HttpBody, IsDoneAtOnceIfTheLimitIsZero) {
  BodyReader reader;
  EXPECT_TRUE(reader.done()) << "not started";
  reader.start(ResponseHead{.status = 403}, 0);
  EXPECT_TRUE(reader.done());
}

}  // namespace
}  // namespace tern::http
