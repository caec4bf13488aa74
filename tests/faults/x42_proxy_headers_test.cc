// X42: a proxy sends a part of a PROXY header and then nothing, or 100 000 bytes instead of a
// header; and a peer that is not listed sends a header. Pass: the silent ones end at the handshake
// deadline and not before, the others at once and without an answer; the peer that is not listed
// receives 400. No session begins, clients without a proxy are served, and no memory leaks. The
// test also runs over TLS; the header comes before TLS. CI has 48 silent connections, 60 floods and
// 20 headers in a round.
#include "faults/support/attacked.h"
#include "faults/support/tls_attacked.h"
#include "support/proxy_v2.h"

#include <arpa/inet.h>
#include <deque>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using namespace std::literals;
using Clock = std::chrono::steady_clock;

constexpr auto deadline = 1'500ms;
constexpr const char* proxy = "127.0.0.2";  // the peer that is listed; the other clients are not

ServerOptions behind_proxy() {
  ServerOptions options;
  options.timeouts.handshake = deadline;
  options.proxy_protocol.from = {proxy};
  return options;
}

RawClient from_proxy(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  ::inet_pton(AF_INET, proxy, &address.sin_addr);
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << errno;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << errno;
  return RawClient(RawClient::Connected{fd});
}

std::vector<std::string> headers() {
  return {"PROXY TCP4 203.0.113.7 198.51.100.1 51234 443\r\n",
          ProxyV2{.addresses =
                      ProxyV2::ipv4("\xCB\x00\x71\x07"s, 51234) + ProxyV2::tlv(2, "example.org")}
              .bytes()};
}

// Returns how many connections were refused because of their header. A header from a stranger is
// refused as `strange`: it is no HTTP, or no TLS.
std::uint64_t strike_headers(Attacked& attacked, std::uint16_t port, Errc strange) {
  const std::uint64_t before = refusals(attacked.server, Errc::proxy_header_invalid);
  const std::uint64_t strangers_before = refusals(attacked.server, strange);
  const auto begun = Clock::now();
  std::deque<RawClient> silent;
  for (const std::string& header : headers()) {
    for (std::size_t i = 0; i < 24; ++i) {
      silent.push_back(from_proxy(port));
      silent.back().send(std::string_view(header).substr(0, i * (header.size() - 1) / 23));
    }
  }
  const std::string floods[] = {
      std::string(100'000, 'P'), "PROXY UNKNOWN " + std::string(100'000, ' '),
      ProxyV2{.addresses = std::string(65'535, 'x')}.bytes() + std::string(40'000, 'x')};
  for (int i = 0; i < 20; ++i) {
    for (const std::string& flood : floods) {
      RawClient client = from_proxy(port);
      client.send(flood);
      EXPECT_TRUE(client.ends());
    }
    RawClient stranger(port);
    stranger.send(headers()[static_cast<std::size_t>(i) % 2]);
    stranger.finish();
    const std::string answer = stranger.head();
    EXPECT_EQ(answer.starts_with("HTTP/1.1 400 "), strange == Errc::http_malformed) << answer;
  }
  for (RawClient& client : silent) EXPECT_TRUE(client.ends());
  EXPECT_GE(Clock::now() - begun, deadline) << "a silent proxy ended early";
  EXPECT_EQ(refusals(attacked.server, strange) - strangers_before, 20u);
  return refusals(attacked.server, Errc::proxy_header_invalid) - before;
}

TEST(Faults, X42_BrokenProxyHeadersAreEndedInTime) {
  Attacked attacked(behind_proxy(), Defaults::meant);
  const std::uint16_t port = attacked.start();
  attacked.listening = false;
  fill_pools(port);
  strike(attacked, [&] {
    const int sessions = attacked.opened;
    const std::uint64_t fired = strike_headers(attacked, port, Errc::http_malformed);
    EXPECT_EQ(fired, 60u);
    EXPECT_EQ(attacked.opened, sessions);
    // A proper header is served afterwards.
    attacked.listening = false;
    {
      RawClient client = from_proxy(port);
      client.send(headers().back());
      EXPECT_TRUE(client.upgrade());
      EXPECT_EQ(echoes_over(client, 10), 11u);
    }
    EXPECT_TRUE(attacked.deserted());
    attacked.listening = true;
    return fired;
  });
}

TEST(Faults, X42_BrokenProxyHeadersBeforeTlsAreEndedInTime) {
  AttackedTls attacked(behind_proxy(), our_certificate(), Defaults::meant);
  const std::uint16_t port = attacked.start();
  strike_tls(attacked, [&] {
    const int sessions = attacked.opened;
    const std::uint64_t fired = strike_headers(attacked, port, Errc::tls_failed);
    EXPECT_EQ(fired, 60u);
    EXPECT_EQ(attacked.opened, sessions);
    return fired;
  });
}

}  // namespace
}  // namespace tern::test
