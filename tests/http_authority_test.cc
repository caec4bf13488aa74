// parse_authority and is_ipv6_address, RFC 3986 §3.2: each text stands against a guard page.
#include "http/authority.h"
#include "support/guard_page.h"

#include <gtest/gtest.h>
#include <string>

namespace tern::http {
namespace {

// Returns "host port": an IPv6 host in brackets, "-" for no port; "" for a refused text.
std::string parse(std::string_view text) {
  const test::GuardPage page(text);
  const auto authority = parse_authority(page.text());
  if (!authority) return "";
  std::string result(authority->host);
  if (is_ipv6_address(result)) result = '[' + result + ']';
  return result + ' ' + (authority->port ? std::to_string(*authority->port) : "-");
}

TEST(HttpAuthority, Rfc3986_3_2_AcceptsHostsAndPorts) {
  EXPECT_EQ(parse("example.org"), "example.org -");
  EXPECT_EQ(parse("Example.ORG:80"), "Example.ORG 80");
  EXPECT_EQ(parse("a:"), "a -");
  EXPECT_EQ(parse("a:0"), "a 0");
  EXPECT_EQ(parse("a:65535"), "a 65535");
  EXPECT_EQ(parse("a:000000080"), "a 80");
  EXPECT_EQ(parse("127.0.0.1:9001"), "127.0.0.1 9001");
  EXPECT_EQ(parse("a_b-c.~!$&'()*+,;="), "a_b-c.~!$&'()*+,;= -");
  EXPECT_EQ(parse("a%41b"), "a%41b -");
  EXPECT_EQ(parse("[::1]"), "[::1] -");
  EXPECT_EQ(parse("[2001:db8::7]:443"), "[2001:db8::7] 443");
  EXPECT_EQ(parse("[::1]:"), "[::1] -");
}

TEST(HttpAuthority, Rfc3986_3_2_RefusesInvalidHostsAndPorts) {
  for (const char* text : {"",
                           ":80",
                           "a:65536",
                           "a:99999999999999999999",
                           "a:8x",
                           "a:-1",
                           "a:+1",
                           "a: 80",
                           "a b",
                           "user@host",
                           "a/b",
                           "a?b",
                           "a#b",
                           "a\\b",
                           "a\"",
                           "a%4",
                           "a%",
                           "a%4g",
                           "a%g4",
                           "\x7F",
                           "\x80",
                           "::1",
                           "a:b:c",
                           "[",
                           "[]",
                           "[::1",
                           "[::1]x",
                           "[::1]80",
                           "[::1]:x",
                           "[a]",
                           "[::1%25eth0]",
                           "[v1.x]",
                           "[127.0.0.1]",
                           "]",
                           "a[",
                           "[[::1]]"}) {
    EXPECT_EQ(parse(text), "") << text;
  }
  EXPECT_FALSE(parse_authority(std::string_view("a\0", 2)));
}

TEST(HttpAuthority, Rfc3986_3_2_2_RecognizesIpv6Addresses) {
  for (const char* text :
       {"::", "::1", "1::", "1:2:3:4:5:6:7:8", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "1::8",
        "1:2::7:8", "ABCD:ef01::", "::1.2.3.4", "::ffff:255.255.255.255", "1:2:3:4:5:6:1.2.3.4",
        "64:ff9b::0.0.0.0", "0001:02::3"}) {
    EXPECT_TRUE(is_ipv6_address(text)) << text;
  }
  for (const char* text : {"",
                           ":",
                           ":::",
                           "1",
                           "1:",
                           ":1",
                           "1:2",
                           "1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:8:9",
                           "1:2:3:4:5:6:7:8::",
                           "::1:2:3:4:5:6:7:8",
                           "1::2::3",
                           "12345::",
                           "g::",
                           "1:::2",
                           "::1:",
                           "1:2:3:4:5:6:7:8:",
                           "1.2.3.4",
                           "::1.2.3",
                           "::1.2.3.4.5",
                           "::1.2.3.256",
                           "::1.2.3.04",
                           "::1.2.3.",
                           "::1.2.3.4:5",
                           "::1..3.4",
                           "1:2:3:4:5:6:7:1.2.3.4",
                           "::12.3.4.5x",
                           "1 ::",
                           "::a.1.2.3",
                           "1;2:3:4:5:6:7:8"}) {
    EXPECT_FALSE(is_ipv6_address(text)) << text;
  }
}

}  // namespace
}  // namespace tern::http
