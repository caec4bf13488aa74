// The handshakes with proxies, HTTP CONNECT and SOCKS5, each fed whole, byte by byte, and cut in
// two at every place.
#include "client/http_connect.h"
#include "client/socks5.h"

#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <string_view>

namespace {

using namespace std::string_literals;
using tern::Errc;
using tern::Error;
using tern::Limits;
using tern::client::Credentials;
using tern::client::HttpConnect;
using tern::client::ProxyServer;
using tern::client::ProxyStatus;
using tern::client::Socks5;

const ProxyServer plain{.host = "proxy", .port = 3128};
const ProxyServer with_password{
    .host = "proxy", .port = 3128, .credentials = Credentials{"Aladdin", "open sesame"}};

template <class Handshake>
std::string take_output(Handshake& handshake) {
  std::string output(handshake.output());
  handshake.consume(output.size());
  return output;
}

// The result of a handshake: its end, the bytes that it sent, and the size of the input it took.
struct Outcome {
  ProxyStatus status = ProxyStatus::more;
  std::error_code code{};
  std::string message{};
  int http_status = 0;
  std::string output{};
  std::size_t taken = 0;

  bool operator==(const Outcome&) const = default;
};

template <class Handshake>
Outcome feed(Handshake&& handshake, std::string_view input,
             const std::function<bool(std::size_t)>& cut) {
  Outcome outcome;
  outcome.output = take_output(handshake);
  std::size_t begin = 0;
  for (std::size_t end = 1; end <= input.size(); ++end) {
    if (end < input.size() && !cut(end)) continue;
    outcome.taken += handshake.feed(std::as_bytes(std::span(input.substr(begin, end - begin))));
    begin = end;
    outcome.output += take_output(handshake);
  }
  outcome.status = handshake.status();
  if (outcome.status == ProxyStatus::failed) outcome.taken = 0;  // of no use
  outcome.code = handshake.error().code();
  outcome.message = handshake.error().message();
  outcome.http_status = handshake.error().http_status();
  return outcome;
}

// The outcome, which must not depend on how the input is cut.
template <class Handshake, class... Args>
Outcome run(std::string_view input, const Args&... args) {
  const Outcome whole = feed(Handshake(args...), input, [](std::size_t) { return false; });
  EXPECT_EQ(feed(Handshake(args...), input, [](std::size_t) { return true; }), whole);
  for (std::size_t place = 1; place < input.size(); ++place) {
    EXPECT_EQ(feed(Handshake(args...), input, [=](std::size_t at) { return at == place; }), whole)
        << "cut at " << place;
  }
  return whole;
}

Outcome connect(std::string_view answer, const ProxyServer& proxy = plain) {
  return run<HttpConnect>(answer, proxy, std::string_view("example.org"), std::uint16_t{443},
                          std::string_view("tern"), Limits());
}

Outcome socks(std::string_view answer, const ProxyServer& proxy = plain,
              std::string_view host = "example.org", std::uint16_t port = 443) {
  return run<Socks5>(answer, proxy, host, port);
}

TEST(HttpConnect, Rfc9110_9_3_6_RequestsHostAndPort) {
  HttpConnect handshake(plain, "example.org", 80, "tern", Limits());
  EXPECT_EQ(take_output(handshake),
            "CONNECT example.org:80 HTTP/1.1\r\nHost: example.org:80\r\nUser-Agent: tern\r\n\r\n");
  HttpConnect ipv6(plain, "2001:db8::7", 9001, "", Limits());
  EXPECT_EQ(take_output(ipv6),
            "CONNECT [2001:db8::7]:9001 HTTP/1.1\r\nHost: [2001:db8::7]:9001\r\n\r\n");
}

TEST(HttpConnect, Rfc7617_2_SendsCredentialsAtOnce) {
  HttpConnect handshake(with_password, "a", 80, "", Limits());
  EXPECT_EQ(take_output(handshake),
            "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n"
            "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n");
}

TEST(HttpConnect, Any2xxOpensTheTunnelAndTheRestBelongsToIt) {
  for (const std::string_view head :
       {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 Connection established\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 299\r\nX: y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"}) {
    const Outcome outcome = connect(std::string(head) + "\x16\x03\x01");
    EXPECT_EQ(outcome.status, ProxyStatus::done) << head;
    EXPECT_EQ(outcome.taken, head.size()) << head;
  }
}

// Feeds a piece again and again, until the handshake ends or that many bytes were sent.
Error feed_endlessly(std::string_view begin, std::string_view piece, std::size_t most) {
  HttpConnect handshake(plain, "example.org", 443, "", Limits());
  handshake.feed(std::as_bytes(std::span(begin)));
  for (std::size_t sent = 0; sent < most && handshake.status() == ProxyStatus::more;) {
    sent += handshake.feed(std::as_bytes(std::span(piece)));
  }
  EXPECT_EQ(handshake.status(), ProxyStatus::failed);
  return handshake.error();
}

TEST(HttpConnect, EndlessInterimAnswersFail) {
  const Error error = feed_endlessly("", "HTTP/1.1 100 Continue\r\n\r\n", 1 << 20);
  EXPECT_EQ(error.code(), Errc::proxy_failed);
  EXPECT_NE(error.message().find("too many interim"), std::string::npos) << error.message();
}

TEST(HttpConnect, Rfc9110_15_2_SixteenInterimAnswersAreSkipped) {
  std::string answer;
  for (int i = 0; i < 16; ++i) answer += "HTTP/1.1 103 Early Hints\r\n\r\n";
  HttpConnect handshake(plain, "example.org", 443, "", Limits());
  handshake.feed(std::as_bytes(std::span(answer)));
  EXPECT_EQ(handshake.status(), ProxyStatus::more);
  const std::string_view opened = "HTTP/1.1 200 OK\r\n\r\n";
  handshake.feed(std::as_bytes(std::span(opened)));
  EXPECT_EQ(handshake.status(), ProxyStatus::done);
}

TEST(HttpConnect, ALongRowOfInterimAnswersFails) {
  const std::string hints = "HTTP/1.1 103 X\r\nLink: " + std::string(8000, 'x') + "\r\n\r\n";
  const Error error = feed_endlessly("", hints, 1 << 20);
  EXPECT_EQ(error.code(), Errc::proxy_failed);
  EXPECT_NE(error.message().find("too long"), std::string::npos) << error.message();
}

TEST(HttpConnect, AnEndlessChunkEndsTheBodyOfARefusal) {
  const std::string_view head = "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n";
  const Error error = feed_endlessly(std::string(head) + "1;", std::string(1000, 'x'), 1 << 20);
  EXPECT_EQ(error.code(), Errc::proxy_refused);
  EXPECT_EQ(error.http_status(), 403);
}

TEST(HttpConnect, ARefusalCarriesTheAnswer) {
  const Outcome outcome =
      connect("HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nby policyXXX");
  EXPECT_EQ(outcome.status, ProxyStatus::failed);
  EXPECT_EQ(outcome.code, Errc::proxy_refused);
  EXPECT_EQ(outcome.http_status, 403);
  EXPECT_EQ(outcome.message,
            "proxy proxy:3128: the proxy refused to connect (HTTP 403 Forbidden): by policy");
  EXPECT_EQ(connect("HTTP/1.1 101 Switching Protocols\r\n\r\n").code, Errc::proxy_refused);
  EXPECT_EQ(connect("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n").code, Errc::proxy_refused);
}

TEST(HttpConnect, A407NamesTheMissingAuthentication) {
  const Outcome basic = connect(
      "HTTP/1.1 407 x\r\nProxy-Authenticate: basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(basic.code, Errc::proxy_auth_required);
  EXPECT_EQ(basic.message,
            "proxy proxy:3128: the proxy wants a name and a password (HTTP 407 Proxy "
            "Authentication Required)");
  const Outcome digest = connect(
      "HTTP/1.1 407 x\r\nProxy-Authenticate: Digest realm=\"x\"\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(digest.code, Errc::proxy_auth_required);
  EXPECT_NE(digest.message.find("does not offer Basic"), std::string::npos) << digest.message;
}

TEST(HttpConnect, ABodyWithoutALengthEndsWithTheStream) {
  HttpConnect handshake(plain, "a", 80, "", Limits());
  const std::string_view answer = "HTTP/1.0 503 x\r\n\r\nno route";
  handshake.feed(std::as_bytes(std::span(answer)));
  EXPECT_EQ(handshake.status(), ProxyStatus::more);
  handshake.end_of_input();
  EXPECT_EQ(handshake.error().code(), Errc::proxy_refused);
  EXPECT_EQ(handshake.error().body(), "no route");
}

TEST(HttpConnect, AnEndlessBodyIsCut) {
  HttpConnect handshake(plain, "a", 80, "", Limits());
  const std::string answer = "HTTP/1.0 503 x\r\n\r\n" + std::string(100'000, 'x');
  handshake.feed(std::as_bytes(std::span(answer)));
  EXPECT_EQ(handshake.status(), ProxyStatus::failed);
  EXPECT_EQ(handshake.error().body().size(), 1024u);
}

TEST(HttpConnect, AnAnswerThatIsNoHttpFails) {
  for (const std::string_view answer : {"\x05\xFF", "SSH-2.0-x\r\n", "HTTP/2 200\r\n\r\n",
                                        "HTTP/1.1 2x0 OK\r\n\r\n", "\x15\x03\x01"}) {
    EXPECT_EQ(connect(answer).code, Errc::proxy_failed) << answer;
  }
  const std::string endless = "HTTP/1.1 200 OK\r\nX: " + std::string(20'000, 'x');
  HttpConnect handshake(plain, "a", 80, "", Limits());
  handshake.feed(std::as_bytes(std::span(endless)));
  EXPECT_EQ(handshake.error().code(), Errc::proxy_failed);
}

TEST(HttpConnect, AnEndBeforeTheAnswerFails) {
  const std::string_view answer = "HTTP/1.1 200 OK\r\n\r\n";
  for (std::size_t size = 0; size < answer.size(); ++size) {
    HttpConnect handshake(plain, "a", 80, "", Limits());
    handshake.feed(std::as_bytes(std::span(answer.substr(0, size))));
    handshake.end_of_input();
    EXPECT_EQ(handshake.error().code(), Errc::proxy_failed) << size;
  }
}

TEST(HttpConnect, AFieldCannotBeInjected) {
  HttpConnect handshake(plain, "a", 80, "tern\r\nX: y", Limits());
  EXPECT_EQ(handshake.status(), ProxyStatus::failed);
}

// ---- SOCKS5

constexpr std::string_view no_method_needed{"\x05\x00", 2};
constexpr std::string_view connected{"\x05\x00\x00\x01\x7F\x00\x00\x01\x1F\x90", 10};

TEST(Socks5, Rfc1928_ConnectsByName) {
  const Outcome outcome = socks(std::string(no_method_needed).append(connected).append("GET"));
  EXPECT_EQ(outcome.status, ProxyStatus::done);
  EXPECT_EQ(outcome.taken, 12u);
  EXPECT_EQ(outcome.output,
            "\x05\x01\x00"s
            "\x05\x01\x00\x03\x0B"
            "example.org"
            "\x01\xBB"s);
}

TEST(Socks5, Rfc1928_5_ConnectsByAddress) {
  EXPECT_EQ(socks(no_method_needed, plain, "192.0.2.7", 80).output,
            "\x05\x01\x00"s
            "\x05\x01\x00\x01\xC0\x00\x02\x07\x00\x50"s);
  EXPECT_EQ(socks(no_method_needed, plain, "2001:db8::7", 80).output,
            "\x05\x01\x00"s
            "\x05\x01\x00\x04\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x07\x00\x50"s);
}

TEST(Socks5, ADotAtTheEndOfANameIsNotSent) {
  EXPECT_EQ(socks(no_method_needed, plain, "a.", 80).output,
            "\x05\x01\x00"s
            "\x05\x01\x00\x03\x01"
            "a"
            "\x00\x50"s);
}

TEST(Socks5, Rfc1928_6_SkipsABoundAddressOfAnyType) {
  for (const std::string& bound :
       {"\x01\x7F\x00\x00\x01\x1F\x90"s, "\x04"s + std::string(16, 'x') + "\x1F\x90",
        "\x03\x01"
        "a\x1F\x90"s,
        "\x03\x00\x1F\x90"s, "\x03\xFF"s + std::string(255, 'x') + "\x1F\x90"}) {
    const std::string answer = std::string(no_method_needed) + "\x05\x00\x00"s + bound;
    const Outcome outcome = socks(answer + "rest");
    EXPECT_EQ(outcome.status, ProxyStatus::done);
    EXPECT_EQ(outcome.taken, answer.size());
  }
}

TEST(Socks5, Rfc1929_2_SendsNameAndPassword) {
  const Outcome outcome =
      socks("\x05\x02\x01\x00"s + std::string(connected), with_password, "a", 80);
  EXPECT_EQ(outcome.status, ProxyStatus::done);
  EXPECT_EQ(outcome.output,
            "\x05\x02\x00\x02"
            "\x01\x07"
            "Aladdin"
            "\x0B"
            "open sesame"s +
                "\x05\x01\x00\x03\x01"
                "a"
                "\x00\x50"s);
}

TEST(Socks5, TheProxyMayWantNoPassword) {
  EXPECT_EQ(socks("\x05\x00"s + std::string(connected), with_password).status, ProxyStatus::done);
}

TEST(Socks5, AuthenticationFails) {
  EXPECT_EQ(socks("\x05\x02\x01\x01"s, with_password).code, Errc::proxy_auth_required);
  EXPECT_EQ(socks("\x05\xFF"s).code, Errc::proxy_auth_required);
  EXPECT_EQ(socks("\x05\xFF"s, with_password).code, Errc::proxy_auth_required);
  EXPECT_EQ(socks("\x05\x02"s).code, Errc::proxy_failed) << "it was not offered";
  EXPECT_EQ(socks("\x05\x01"s).code, Errc::proxy_failed) << "GSSAPI was not offered";
  EXPECT_EQ(socks("\x05\x02\x05\x00"s, with_password).code, Errc::proxy_failed);
}

TEST(Socks5, Rfc1928_6_EachReplyHasAText) {
  for (int reply = 1; reply <= 9; ++reply) {
    Socks5 handshake(plain, "a", 80);
    const std::string answer = std::string(no_method_needed) + "\x05"s + static_cast<char>(reply) +
                               "\x00\x01\0\0\0\0\0\0"s;
    handshake.feed(std::as_bytes(std::span(answer)));
    EXPECT_EQ(handshake.status(), ProxyStatus::failed);
    EXPECT_EQ(handshake.reply(), reply);
    EXPECT_EQ(handshake.error().code(), reply == 2 ? Errc::proxy_refused : Errc::proxy_failed);
    EXPECT_TRUE(handshake.error().message().starts_with("proxy proxy:3128: the "));
  }
}

TEST(Socks5, AnAnswerThatIsNotSocks5Fails) {
  for (const std::string& answer :
       {"\x04\x5A"s, "HT"s, "\x05\x00\x04"s + std::string(3, '\0'), "\x05\x00\x05\x00\x00\x02"s}) {
    EXPECT_EQ(socks(answer).code, Errc::proxy_failed);
  }
}

TEST(Socks5, AnEndBeforeTheAnswerFails) {
  const std::string answer = std::string(no_method_needed).append(connected);
  for (std::size_t size = 0; size < answer.size(); ++size) {
    Socks5 handshake(plain, "a", 80);
    handshake.feed(std::as_bytes(std::span(answer).first(size)));
    handshake.end_of_input();
    EXPECT_EQ(handshake.error().code(), Errc::proxy_failed) << size;
  }
}

TEST(Socks5, LengthsThatDoNotFitAByteAreErrors) {
  EXPECT_EQ(socks("", plain, std::string(256, 'a')).code, Errc::proxy_failed);
  EXPECT_EQ(socks("", plain, "").code, Errc::proxy_failed);
  for (const auto& [name, password] :
       {std::pair(std::string(), "x"s), std::pair("x"s, std::string()),
        std::pair(std::string(256, 'x'), "x"s), std::pair("x"s, std::string(256, 'x'))}) {
    const ProxyServer proxy{.host = "proxy", .port = 1, .credentials = Credentials{name, password}};
    EXPECT_EQ(socks("", proxy).code, Errc::proxy_failed);
  }
  const ProxyServer longest{
      .host = "proxy",
      .port = 1,
      .credentials = Credentials{std::string(255, 'x'), std::string(255, 'x')}};
  EXPECT_EQ(socks("\x05\x02"s, longest, std::string(255, 'a')).status, ProxyStatus::more);
}

}  // namespace
