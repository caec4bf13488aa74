// The cost of parsing a head is linear for pieces of any size. The test compiles
// http/head.cc once more, under another name and with scans that count the bytes they pass, because
// a time would depend on the machine.
#include "base/assert.h"
#include "http/authority.h"
#include "http/chars.h"
#include "http/token.h"
#include "simd/find.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace tern {
namespace counted {
namespace {

std::size_t visits = 0;

template <class Rule>
const char* find_if(const char* from, const char* end, Rule rule) noexcept {
  const char* const found = simd::find_if(from, end, rule);
  visits += static_cast<std::size_t>(found - from) + (found != end ? 1 : 0);
  return found;
}

}  // namespace
}  // namespace counted

namespace http {
namespace {

bool counted_is(char c, unsigned classes) noexcept {
  ++counted::visits;
  return is(c, classes);
}

std::string_view counted_trim(std::string_view text) noexcept {
  const std::string_view trimmed = trim(text);
  counted::visits += text.size() - trimmed.size();
  return trimmed;
}

}  // namespace
}  // namespace http
}  // namespace tern

// The headers above are compiled already, so these names change only http/head.h and http/head.cc.
#define HeadParser CountedHeadParser
#define simd counted
#define is counted_is
#define trim counted_trim
#include "http/head.cc"  // NOLINT(bugprone-suspicious-include)
#undef HeadParser
#undef simd
#undef is
#undef trim

namespace tern::http {
namespace {

std::string repeated(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST(HttpHeadCost, IsLinearForPiecesOfAnySize) {
  const std::string line = "GET / HTTP/1.1\r\n";
  const std::vector<std::string> heads{
      line + "a: " + std::string(16384 - 23, 'v') + "\r\n\r\n",
      line + "a: " + std::string(16384 - 23, ' ') + "\r\n\r\n",
      line + "a: v" + std::string(16384 - 24, '\t') + "\r\n\r\n",
      line + repeated("a: " + std::string(150, ' ') + "b\r\n", 99) + "\r\n",
      line + std::string(16384 - 21, 'n') + ":\r\n\r\n",
      line + std::string(16384 - 21, '~') + ":\r\n\r\n",  // rare in names
      "GET /" + std::string(8000, 'a') + " HTTP/1.1\r\n\r\n",
  };
  for (const std::string& head : heads) {
    for (const std::size_t piece :
         {std::size_t{1}, std::size_t{7}, std::size_t{1024}, head.size()}) {
      SCOPED_TRACE(head.substr(0, 20) + " in pieces of " + std::to_string(piece));
      CountedHeadParser parser;
      parser.start(CountedHeadParser::Kind::request, {});
      counted::visits = 0;
      std::size_t took = 0;
      while (parser.status() == CountedHeadParser::Status::more && took < head.size()) {
        const std::string_view next = std::string_view(head).substr(took, piece);
        took += parser.feed(std::as_bytes(std::span(next)));
      }
      EXPECT_EQ(parser.status(), CountedHeadParser::Status::done);
      EXPECT_EQ(took, head.size());
      // The search for the end of a line passes each byte. Another one passes each byte of a name,
      // a third one if the byte is rare in names, and trim() passes the white space around a value.
      EXPECT_GE(counted::visits, head.size() - 200);  // without the version and line feeds
      EXPECT_LE(counted::visits, 3 * head.size() + 300);
    }
  }
}

}  // namespace
}  // namespace tern::http
