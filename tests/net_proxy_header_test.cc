// The PROXY protocol, versions 1 and 2: each row whole, cut at every byte, and against a guard
// page; and the transport that removes the header.
#include "tern/error.h"

#include "net/crc32c.h"
#include "net/proxy_header.h"
#include "net/proxy_transport.h"
#include "support/guard_page.h"
#include "support/proxy_v2.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>

namespace tern::net {
namespace {

using namespace std::literals;
using test::GuardPage;
using test::ProxyV2;
using Status = ProxyHeaderParser::Status;

std::string shown(const ProxiedClient& client) {
  std::string text = client.address     ? client.address->to_string()
                     : client.unix_path ? "unix " + *client.unix_path
                                        : "own";
  if (!client.authority.empty()) text += " authority " + client.authority;
  if (!client.unique_id.empty()) text += " id " + client.unique_id;
  if (!client.tls) return text;
  text += client.tls->used ? " tls" : " no tls";
  if (client.tls->certificate) text += client.tls->verified ? " verified" : " unverified";
  for (const std::string& part :
       {client.tls->version, client.tls->cipher, client.tls->common_name}) {
    text += ' ' + part;
  }
  return text;
}

// Feeds `bytes` in pieces of that size. Returns the client and the bytes that were left, or the
// reason of the failure.
std::string parse(std::string_view bytes, std::size_t piece) {
  static const GuardPage page(70'000);
  ProxyHeaderParser parser;
  std::size_t took = 0;
  while (parser.status() == Status::more && took < bytes.size()) {
    const auto part = page.copy_at_end(bytes.substr(took, piece));
    const std::size_t now = parser.feed(part);
    EXPECT_TRUE(parser.status() != Status::more || now == part.size());
    took += now;
  }
  if (parser.status() == Status::more) return "more";
  if (parser.status() == Status::failed) return std::string(parser.why());
  return shown(parser.client()) + '/' + std::string(bytes.substr(took));
}

std::string parse(std::string_view bytes) {
  const std::string whole = parse(bytes, std::max<std::size_t>(bytes.size(), 1));
  for (const std::size_t piece : {1u, 2u, 3u, 7u, 16u}) {
    EXPECT_EQ(parse(bytes, piece), whole) << testing::PrintToString(bytes);
  }
  return whole;
}

// All beginnings of a header wait for more.
void expect_waits(std::string_view header) {
  for (std::size_t size = 0; size < header.size(); ++size) {
    EXPECT_EQ(parse(header.substr(0, size), std::max<std::size_t>(size, 1)), "more") << size;
  }
}

TEST(NetProxyHeader, Version1) {
  const std::pair<std::string, std::string> rows[] = {
      {"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n", "192.0.2.7:51234"},
      {"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", "0.0.0.0:0"},
      {"PROXY TCP6 2001:db8::7 ::1 65535 1\r\n", "[2001:db8::7]:65535"},
      {"PROXY TCP6 ::ffff:192.0.2.7 ::1 9 1\r\n", "192.0.2.7:9"},
      {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
       "65535 65535\r\n",
       "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
      {"PROXY UNKNOWN\r\n", "own"},
      {"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", "own"},
      {"PROXY UNKNOWN " + std::string(91, 'x') + "\r\n", "own"},
  };
  for (const auto& [header, client] : rows) {
    EXPECT_EQ(parse(header), client + '/');
    EXPECT_EQ(parse(header + "GET / HTTP/1.1\r\n"), client + "/GET / HTTP/1.1\r\n");
    EXPECT_EQ(parse(header + header), client + '/' + header) << "a second header is not read";
    expect_waits(header);
  }
}

TEST(NetProxyHeader, Version1Malformed) {
  for (const char* rest : {"",
                           " ",
                           "TCP4",
                           "TCP4 ",
                           "TCP4 192.0.2.7 198.51.100.1 1",
                           "TCP4 192.0.2.7 198.51.100.1 1 ",
                           "TCP4 192.0.2.7 198.51.100.1 1 2 ",
                           "TCP4 192.0.2.7 198.51.100.1 1 2 3",
                           "TCP4  192.0.2.7 198.51.100.1 1 2",
                           " TCP4 192.0.2.7 198.51.100.1 1 2",
                           "tcp4 192.0.2.7 198.51.100.1 1 2",
                           "TCP5 192.0.2.7 198.51.100.1 1 2",
                           "TCP4 192.0.2.7 198.51.100.1 01 2",
                           "TCP4 192.0.2.7 198.51.100.1 1 65536",
                           "TCP4 192.0.2.7 198.51.100.1 -1 2",
                           "TCP4 192.0.2.7 198.51.100.1 +1 2",
                           "TCP4 192.0.2.7 198.51.100.1 1 0x2",
                           "TCP4 192.0.2 198.51.100.1 1 2",
                           "TCP4 192.0.2.7 198.51.100 1 2",
                           "TCP4 ::1 ::1 1 2",
                           "TCP4 192.0.2.7 ::1 1 2",
                           "TCP6 192.0.2.7 198.51.100.1 1 2",
                           "TCP6 ::1 127.0.0.1 1 2",
                           "TCP6 [::1] ::1 1 2",
                           "TCP6 fe80::1%1 ::1 1 2",
                           "TCP6 ::1 ::x 1 2",
                           "TCP4 example.org 198.51.100.1 1 2",
                           "TCP4\t192.0.2.7 198.51.100.1 1 2",
                           "UNKNOWNX",
                           "UDP4 192.0.2.7 198.51.100.1 1 2",
                           "TCP4 192.0.2.7 198.51.100.1 1 2\n",
                           "TCP4 192.0.2.7 198.51.100.1 1 2\r"}) {
    EXPECT_EQ(parse("PROXY " + std::string(rest) + "\r\n"), "the header of version 1 is malformed")
        << rest;
  }
}

TEST(NetProxyHeader, AnythingElseFailsAtItsFirstWrongByte) {
  for (const std::string& text :
       std::vector<std::string>{"GET / HTTP/1.1\r\n", "PROXYTCP4", "PROXz", "proxy ",
                                "\x16\x03\x01", "\r\nGET", "PP", "\r\n\r\n\0\r\nQUIX"s, "\0"s}) {
    ProxyHeaderParser parser;
    for (const char c : text) {
      if (parser.status() != Status::more) break;
      parser.feed(std::as_bytes(std::span(&c, 1)));
    }
    EXPECT_EQ(parser.status(), Status::failed) << testing::PrintToString(text);
    EXPECT_EQ(parse(text), "the connection does not begin with a PROXY header");
    EXPECT_EQ(parser.feed(std::as_bytes(std::span("PROXY UNKNOWN\r\n"sv))), 0u);
  }
}

TEST(NetProxyHeader, TheLengthIsBounded) {
  const std::string longest = "PROXY UNKNOWN " + std::string(91, 'x');
  EXPECT_EQ((longest + "\r\n").size(), ProxyHeaderParser::max_v1_bytes);
  EXPECT_EQ(parse(longest + "x\r\n"), "the header of version 1 is too long");
  ProxyHeaderParser parser;
  const std::string flood = "PROXY UNKNOWN " + std::string(100'000, ' ');
  EXPECT_EQ(parser.feed(std::as_bytes(std::span(flood))), ProxyHeaderParser::max_v1_bytes);
  EXPECT_EQ(parser.status(), Status::failed);

  const std::string block(ProxyHeaderParser::max_v2_block, '\0');
  EXPECT_EQ(parse(ProxyV2{.command = 0x20, .addresses = block}.bytes()), "own/");
  EXPECT_EQ(parse(ProxyV2{.command = 0x20, .addresses = block + 'x'}.bytes()),
            "the header of version 2 is too long");
  ProxyHeaderParser announced;
  const std::string head = ProxyV2{.addresses = std::string(65'535, 'x')}.bytes().substr(0, 16);
  EXPECT_EQ(announced.feed(std::as_bytes(std::span(head))), 16u);
  EXPECT_EQ(announced.status(), Status::failed) << "before a byte of the block";
}

TEST(NetProxyHeader, Version2Addresses) {
  const std::string v4 = ProxyV2::ipv4("\xC0\x00\x02\x07"s, 51234);
  const std::string v6 = ProxyV2::ipv6("\x20\x01\x0d\xb8"s + std::string(11, '\0') + '\x07', 443);
  const std::string mapped = ProxyV2::ipv6(std::string(10, '\0') + "\xFF\xFF\xC0\x00\x02\x07"s, 9);
  const struct {
    ProxyV2 header;
    std::string client;
  } rows[] = {
      {{.family = 0x11, .addresses = v4}, "192.0.2.7:51234"},
      {{.family = 0x12, .addresses = v4}, "192.0.2.7:51234"},
      {{.family = 0x21, .addresses = v6}, "[2001:db8::7]:443"},
      {{.family = 0x22, .addresses = v6}, "[2001:db8::7]:443"},
      {{.family = 0x21, .addresses = mapped}, "192.0.2.7:9"},
      {{.family = 0x31, .addresses = ProxyV2::unix_path("/run/app.sock")}, "unix /run/app.sock"},
      {{.family = 0x31, .addresses = ProxyV2::unix_path("\0name"s)}, "unix @name"},
      {{.family = 0x31, .addresses = ProxyV2::unix_path("")}, "unix "},
      {{.family = 0x32, .addresses = ProxyV2::unix_path(std::string(108, 'p'))},
       "unix " + std::string(108, 'p')},
      {{.family = 0x00}, "own"},
      {{.command = 0x20}, "own"},
      {{.command = 0x20, .family = 0x11, .addresses = v4}, "own"},
      {{.command = 0x20, .family = 0x77, .addresses = "any bytes"}, "own"},
  };
  for (const auto& [header, client] : rows) {
    const std::string bytes = header.bytes();
    EXPECT_EQ(parse(bytes), client + '/');
    EXPECT_EQ(parse(bytes + "\r\n\r\nGET"), client + "/\r\n\r\nGET");
    expect_waits(bytes);
  }
  const ProxyV2 refused[] = {
      {.family = 0x11, .addresses = v4.substr(1)},
      {.family = 0x21, .addresses = v6.substr(1)},
      {.family = 0x31, .addresses = ProxyV2::unix_path("x").substr(1)},
      {.family = 0x31, .addresses = ProxyV2::unix_path("a\nb")},
      {.family = 0x10, .addresses = v4},
      {.family = 0x13, .addresses = v4},
      {.family = 0x01, .addresses = v4},
      {.family = 0x41, .addresses = v4},
      {.family = 0xFF},
  };
  for (const ProxyV2& header : refused) {
    EXPECT_EQ(parse(header.bytes()), "the addresses of the header are malformed")
        << int(header.family);
  }
  for (const unsigned char command :
       std::initializer_list<unsigned char>{0x00, 0x01, 0x11, 0x22, 0x2F, 0x31, 0xFF}) {
    EXPECT_EQ(parse(ProxyV2{.command = command, .addresses = v4}.bytes()),
              "the header has an unknown version or command");
  }
}

std::string with_tlvs(const std::string& tlvs) {
  return parse(ProxyV2{.addresses = ProxyV2::ipv4("\xC0\x00\x02\x07"s, 1) + tlvs}.bytes());
}

std::string tlv(int type, const std::string& value) { return ProxyV2::tlv(type, value); }

TEST(NetProxyHeader, Tlvs) {
  const std::string ssl = "\x01\x00\x00\x00\x00"s;
  const std::pair<std::string, std::string> rows[] = {
      {tlv(0x01, "h2"), ""},
      {tlv(0x02, "example.org"), " authority example.org"},
      {tlv(0x02, ""), ""},
      {tlv(0x04, std::string(300, 'x')) + tlv(0x02, "a"), " authority a"},
      {tlv(0x05, "\x01id"), " id \x01id"},
      {tlv(0x05, std::string(128, 'u')), " id " + std::string(128, 'u')},
      {tlv(0x20, ssl), " tls   "},
      {tlv(0x20, "\x00\x00\x00\x00\x00"s), " no tls   "},
      {tlv(0x20, ssl + tlv(0x21, "TLSv1.3") + tlv(0x23, "AES") + tlv(0x22, "alice")),
       " tls TLSv1.3 AES alice"},
      {tlv(0x20, "\x03\x00\x00\x00\x00"s + tlv(0x24, "RSA")), " tls verified   "},
      {tlv(0x20, "\x05\x00\x00\x00\x00"s), " tls verified   "},
      {tlv(0x20, "\x07\x00\x00\x00\x01"s), " tls unverified   "},
      {tlv(0xEE, "x") + tlv(0xEE, "y") + tlv(0x30, "ns"), ""},
  };
  for (const auto& [tlvs, client] : rows) EXPECT_EQ(with_tlvs(tlvs), "192.0.2.7:1" + client + '/');
  for (const std::string& tlvs : {
           "\x02"s,
           "\x02\x00"s,
           "\x02\x00\x02x"s,
           tlv(0x02, "a") + 'x',
           tlv(0x02, "a\nb"),
           tlv(0x02, "a") + tlv(0x02, "a"),
           tlv(0x05, std::string(129, 'u')),
           tlv(0x05, "a") + tlv(0x05, "a"),
           tlv(0x20, ""),
           tlv(0x20, "\x01\x00\x00\x00"s),
           tlv(0x20, ssl + "x"),
           tlv(0x20, ssl + tlv(0x21, "a") + tlv(0x21, "b")),
           tlv(0x20, ssl + tlv(0x22, "a\0b"s)),
           tlv(0x20, ssl) + tlv(0x20, ssl),
       }) {
    EXPECT_EQ(with_tlvs(tlvs), "the header has a malformed TLV or a wrong checksum")
        << testing::PrintToString(tlvs);
  }
}

TEST(NetProxyHeader, TheChecksumIsChecked) {
  Crc32c known;
  known.add(std::as_bytes(std::span("123456789"sv)));
  EXPECT_EQ(known.value(), 0xE3069283u) << "the check value of CRC-32C";

  ProxyV2 header{.addresses = ProxyV2::ipv4("\xC0\x00\x02\x07"s, 1) + tlv(0x02, "a") +
                              tlv(0x03, "\0\0\0\0"s) + tlv(0x05, "b")};
  std::string bytes = header.bytes();
  const std::size_t at = bytes.find(tlv(0x03, "\0\0\0\0"s)) + 3;
  Crc32c crc;
  crc.add(std::as_bytes(std::span(bytes)));
  for (int i = 0; i < 4; ++i) {
    bytes[at + static_cast<std::size_t>(i)] = static_cast<char>(crc.value() >> (24 - 8 * i));
  }
  EXPECT_EQ(parse(bytes), "192.0.2.7:1 authority a id b/");
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == at - 3) continue;  // another type of TLV: then there is no checksum
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x04);
    const std::string outcome = parse(damaged, damaged.size());
    // A damaged length leaves bytes for later or waits for more; it never gives another client.
    EXPECT_EQ(outcome.find("192.0.2.7:1 "), outcome.npos) << i << outcome;
    EXPECT_TRUE(outcome == "more" || outcome.find("header") != outcome.npos) << i << outcome;
  }
  EXPECT_EQ(with_tlvs(tlv(0x03, "abc")), "the header has a malformed TLV or a wrong checksum");
}

// ---- the transport

class Wire {
 public:
  Wire() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    peer_ = Fd(ends[0]);
    transport = ProxyTransport::make(Fd(ends[1]));
  }
  void send(std::string_view bytes) {
    EXPECT_EQ(::send(peer_.get(), bytes.data(), bytes.size(), 0), ssize_t(bytes.size()));
  }
  void end() { ::shutdown(peer_.get(), SHUT_WR); }
  // Reads once: "ok …", "wait", "end", or the error.
  std::string read() {
    std::string buffer(4096, '?');
    const iovec into{buffer.data(), buffer.size()};
    const auto got = transport->read({&into, 1});
    switch (got.state) {
      case Transport::State::ok:
        return "ok " + buffer.substr(0, got.bytes);
      case Transport::State::wait_read:
        return "wait";
      case Transport::State::end:
        return "end";
      default:
        return got.error.message();
    }
  }

  std::unique_ptr<ProxyTransport> transport;

 private:
  Fd peer_{};
};

constexpr std::string_view header = "PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n";

TEST(NetProxyTransport, RemovesTheHeaderHoweverItIsCut) {
  const std::string bytes = std::string(header) + "hello";
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    Wire wire;
    wire.send(bytes.substr(0, cut));
    std::string got;
    for (std::string read; (read = wire.read()) != "wait";) got += read.substr(3);
    EXPECT_EQ(wire.transport->proxied() != nullptr, cut >= header.size()) << cut;
    wire.send(bytes.substr(cut));
    for (std::string read; (read = wire.read()) != "wait";) got += read.substr(3);
    EXPECT_EQ(got, "hello") << cut;
    ASSERT_NE(wire.transport->proxied(), nullptr);
    EXPECT_EQ(wire.transport->proxied()->address->to_string(), "192.0.2.7:51234");
    EXPECT_EQ(wire.transport->explanation(), "");
    wire.end();
    EXPECT_EQ(wire.read(), "end");
  }
}

TEST(NetProxyTransport, FailsWithoutAHeader) {
  const std::string invalid = make_error_code(Errc::proxy_header_invalid).message();
  Wire http;
  http.send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(http.read(), invalid);
  EXPECT_EQ(http.read(), invalid) << "it stays failed";
  EXPECT_EQ(http.transport->explanation(), "the connection does not begin with a PROXY header");
  Wire half;
  half.send(header.substr(0, 20));
  EXPECT_EQ(half.read(), "wait");
  half.end();
  EXPECT_EQ(half.read(), invalid);
  Wire silent;
  EXPECT_EQ(silent.read(), "wait");
  silent.end();
  EXPECT_EQ(silent.read(), "end") << "a health check";
}

}  // namespace
}  // namespace tern::net
