// check_host and check_body: which requests pass, RFC 9112 §3.2 and §6.
#include "http/framing.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::http {
namespace {

using Fields = std::vector<HeaderField>;

TEST(HttpFraming, Rfc9112_3_2_NeedsExactlyOneValidHost) {
  for (const char* host : {"a", "example.org:9001", "[::1]:80", "a:", "127.0.0.1"}) {
    const Fields fields{{"X", ""}, {"hOsT", host}};
    EXPECT_EQ(check_host(Request({.fields = fields})), std::nullopt) << host;
  }
  const std::vector<Fields> refused{
      {},
      {{"X", "a"}},
      {{"Host", "a"}, {"Host", "a"}},
      {{"Host", "a"}, {"host", "b"}},
      {{"Host", ""}},
      {{"Host", ":80"}},
      {{"Host", "a:65536"}},
      {{"Host", "a b"}},
      {{"Host", "a, b"}},
      {{"Host", "u@a"}},
      {{"Host", "http://a"}},
      {{"Host", "a/"}},
      {{"Host", "[::1"}},
  };
  for (const Fields& fields : refused) {
    EXPECT_EQ(check_host(Request({.fields = fields})), Errc::host_invalid)
        << (fields.empty() ? "none" : fields[0].value);
  }
}

TEST(HttpFraming, Rfc9112_3_2_Http10MayOmitHostButNotRepeatIt) {
  const auto check = [](const Fields& fields) {
    return check_host(Request({.fields = fields, .minor_version = 0}));
  };
  EXPECT_EQ(check({}), std::nullopt);
  EXPECT_EQ(check({{"X", "a"}}), std::nullopt);
  EXPECT_EQ(check({{"Host", "a"}}), std::nullopt);
  EXPECT_EQ(check({{"Host", ""}}), Errc::host_invalid);
  EXPECT_EQ(check({{"Host", "a b"}}), Errc::host_invalid);
  EXPECT_EQ(check({{"Host", "a"}, {"Host", "a"}}), Errc::host_invalid);
}

TEST(HttpFraming, Rfc9112_6_RefusesABody) {
  struct Case {
    Fields fields;
    std::optional<Errc> expected;
  };
  const std::vector<Case> cases{
      {{}, {}},
      {{{"Content-Length", "0"}}, {}},
      {{{"content-length", "000"}}, {}},
      {{{"Content-Length", "0"}, {"Content-Length", "0"}}, {}},
      {{{"Content-Length", "1"}}, Errc::request_with_body},
      {{{"Content-Length", "0000000000000000000000000000001"}}, Errc::request_with_body},
      {{{"Content-Length", "18446744073709551616"}}, Errc::request_with_body},
      {{{"Content-Length", "99999999999999999999999999999"}}, Errc::request_with_body},
      {{{"Content-Length", "5"}, {"Content-Length", "5"}}, Errc::request_with_body},
      {{{"Transfer-Encoding", "chunked"}}, Errc::request_with_body},
      {{{"transfer-encoding", ""}}, Errc::request_with_body},
      {{{"Transfer-Encoding", "identity"}}, Errc::request_with_body},
      {{{"Content-Length", "0"}, {"Transfer-Encoding", "chunked"}}, Errc::http_malformed},
      {{{"Transfer-Encoding", "chunked"}, {"Content-Length", "5"}}, Errc::http_malformed},
      {{{"Content-Length", "0"}, {"Content-Length", "00"}}, Errc::http_malformed},
      {{{"Content-Length", "0"}, {"X", ""}, {"Content-Length", "5"}}, Errc::http_malformed},
      {{{"Content-Length", ""}}, Errc::http_malformed},
      {{{"Content-Length", "0, 0"}}, Errc::http_malformed},
      {{{"Content-Length", "+0"}}, Errc::http_malformed},
      {{{"Content-Length", "-0"}}, Errc::http_malformed},
      {{{"Content-Length", "0x0"}}, Errc::http_malformed},
      {{{"Content-Length", "0 0"}}, Errc::http_malformed},
      {{{"Content-Length", "zero"}}, Errc::http_malformed},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(check_body(Request({.fields = c.fields})), c.expected)
        << (c.fields.empty() ? "none" : c.fields[0].value);
  }
}

}  // namespace
}  // namespace tern::http
