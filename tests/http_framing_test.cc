// check_host and read_framing: which requests pass, and where their bodies end. RFC 9112 §3.2, §6.
#include "http/framing.h"

#include <gtest/gtest.h>
#include <string>
#include <utility>
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

// "none", "5 bytes", "chunked", or the name of the error.
std::string framing_of(const Fields& fields, int minor_version = 1) {
  BodyFraming framing{.kind = BodyFraming::Kind::chunked, .bytes = 7};
  const auto errc =
      read_framing(Request({.fields = fields, .minor_version = minor_version}), framing);
  if (errc) return std::string(errc_name(*errc));
  if (framing.kind == BodyFraming::Kind::none) return "none";
  if (framing.kind == BodyFraming::Kind::chunked) return "chunked";
  return std::to_string(framing.bytes) + " bytes";
}

TEST(HttpFraming, Rfc9112_6_2_ContentLengthIsOneFieldOfDigits) {
  const std::pair<Fields, const char*> cases[] = {
      {{}, "none"},
      {{{"X", "5"}}, "none"},
      {{{"Content-Length", "0"}}, "none"},
      {{{"content-length", "000"}}, "none"},
      {{{"Content-Length", "5"}}, "5 bytes"},
      {{{"Content-Length", "0000000000000000000000000000001"}}, "1 bytes"},
      {{{"Content-Length", "18446744073709551615"}}, "18446744073709551615 bytes"},
      {{{"Content-Length", "18446744073709551616"}}, "18446744073709551615 bytes"},
      {{{"Content-Length", "99999999999999999999999999999"}}, "18446744073709551615 bytes"},
      {{{"Content-Length", "0"}, {"Content-Length", "0"}}, "http_malformed"},
      {{{"Content-Length", "5"}, {"Content-Length", "5"}}, "http_malformed"},
      {{{"Content-Length", "0"}, {"X", ""}, {"content-length", "5"}}, "http_malformed"},
      {{{"Content-Length", ""}}, "http_malformed"},
      {{{"Content-Length", "5, 5"}}, "http_malformed"},
      {{{"Content-Length", "+5"}}, "http_malformed"},
      {{{"Content-Length", "-0"}}, "http_malformed"},
      {{{"Content-Length", "0x5"}}, "http_malformed"},
      {{{"Content-Length", "5 5"}}, "http_malformed"},
      {{{"Content-Length", "5;"}}, "http_malformed"},
      {{{"Content-Length", "five"}}, "http_malformed"},
  };
  for (const auto& [fields, expected] : cases) {
    for (const int minor : {0, 1}) {
      EXPECT_EQ(framing_of(fields, minor), expected) << (fields.empty() ? "" : fields[0].value);
    }
  }
}

TEST(HttpFraming, Rfc9112_6_1_ChunkedIsTheOnlyCoding) {
  const std::pair<Fields, const char*> cases[] = {
      {{{"Transfer-Encoding", "chunked"}}, "chunked"},
      {{{"transfer-encoding", "ChunKed"}}, "chunked"},
      {{{"Transfer-Encoding", ", chunked ,"}}, "chunked"},
      {{{"Transfer-Encoding", "gzip, chunked"}}, "transfer_coding_unsupported"},
      {{{"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", ""}}, "http_malformed"},
      {{{"Transfer-Encoding", "gzip"}, {"Transfer-Encoding", "chunked"}}, "http_malformed"},
      // §6.3: without chunked as the last coding, the end of the body is not known.
      {{{"Transfer-Encoding", ""}}, "http_malformed"},
      {{{"Transfer-Encoding", "gzip"}}, "http_malformed"},
      {{{"Transfer-Encoding", "identity"}}, "http_malformed"},
      {{{"Transfer-Encoding", "chunked, gzip"}}, "http_malformed"},
      {{{"Transfer-Encoding", "chunked, chunked"}}, "http_malformed"},
      {{{"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}}, "http_malformed"},
      {{{"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "identity"}}, "http_malformed"},
      {{{"Transfer-Encoding", "chunked;a=b"}}, "http_malformed"},
      {{{"Transfer-Encoding", "\"chunked\""}}, "http_malformed"},
      {{{"Transfer-Encoding", "xchunked"}}, "http_malformed"},
      {{{"Transfer-Encoding", "chunked x"}}, "http_malformed"},
      // §6.3: both fields are an attempt to smuggle a request.
      {{{"Content-Length", "0"}, {"Transfer-Encoding", "chunked"}}, "http_malformed"},
      {{{"Transfer-Encoding", "chunked"}, {"Content-Length", "5"}}, "http_malformed"},
      {{{"Transfer-Encoding", "identity"}, {"Content-Length", "5"}}, "http_malformed"},
  };
  for (const auto& [fields, expected] : cases) {
    EXPECT_EQ(framing_of(fields), expected) << fields[0].value;
    EXPECT_EQ(framing_of(fields, 0), "http_malformed") << "§6.1: HTTP/1.0 has no such field";
  }
}

}  // namespace
}  // namespace tern::http
