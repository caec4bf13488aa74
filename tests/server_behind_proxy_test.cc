// A server behind proxies: which fields are believed, and what follows from them.
#include "server/behind_proxy.h"
#include "support/certificates.h"
#include "support/proxy_v2.h"
#include "support/raw_client.h"
#include "support/running_server.h"
#include "support/tls_socket.h"
#include "support/upgrade_text.h"

#include <gtest/gtest.h>
#include <string>
#include <sys/un.h>
#include <utility>
#include <vector>

namespace tern::test {
namespace {

using namespace std::literals;

std::string described(const Request& request) {
  std::string text = std::string(request.remote_address()) + " at " + std::string(request.host());
  if (request.is_secure()) text += " secure";
  if (const ProxyHeader* const told = request.proxy_header()) {
    text += " [" + std::string(told->authority) + '|' + std::string(told->unique_id) + '|' +
            (told->tls ? "tls " : "") + (told->verified ? "verified " : "") +
            std::string(told->tls_version) + '|' + std::string(told->tls_cipher) + '|' +
            std::string(told->common_name) + ']';
  }
  return text;
}

// Removes the ports of loopback, which the system chooses.
std::string without_ports(std::string text) {
  const std::string loopback = "127.0.0.1:";
  for (std::size_t at = 0; (at = text.find(loopback, at)) != text.npos; at += loopback.size()) {
    const std::size_t end = text.find_first_not_of("0123456789", at + loopback.size());
    text.replace(at, end == text.npos ? end : end - at, loopback);
  }
  return text;
}

/// Its pages and sessions tell the client that they see.
class Behind : public RunningServer {
 public:
  explicit Behind(ServerOptions options) : RunningServer(logged(std::move(options))) {
    server.get("/who", [](const Request& request) { return Response::text(described(request)); });
    const auto with_body = [](const Request& request) {
      return Response::text(described(request) + ' ' + std::string(request.body()));
    };
    server.post("/post", with_body);
    server.post("/exchange", [with_body](Exchange exchange) {
      std::thread([=] { exchange.respond(with_body(exchange.request())); }).detach();
    });
    server.get("/peer", [](const Request& request) {
      return Response::text(std::string(request.peer_address()));
    });
    server.get("/throws", [](const Request&) -> Response { throw std::runtime_error("no page"); });
    struct Session {
      explicit Session(const Request& request) : seen(described(request)) {}
      void on_message(Connection& conn, Message) { conn.send(seen + ", " + conn.remote_address()); }
      std::string seen;
    };
    server.route<Session>("/echo");
    server.route("/key", {.on_message = [](Connection& conn, Message) {
                   conn.send(server::client_key(static_cast<connection::LiveConnection&>(conn)));
                 }});
    server.route("/later", [](Upgrade upgrade) {
      std::thread([upgrade] {
        upgrade.accept({.on_message = [seen = described(upgrade.request()) + ", " +
                                              std::string(upgrade.request().peer_address())](
                                          Connection& conn, Message) { conn.send(seen); }});
      }).detach();
    });
    port = start();
  }
  ~Behind() { stop(); }

  std::uint16_t port = 0;
  Inbox<std::string> log{};

 private:
  ServerOptions logged(ServerOptions options) {
    options.log = [this](const LogRecord& record) {
      log.put(std::string(record.remote_address) + ": " + std::string(record.message));
    };
    return options;
  }
};

bool has_host(const std::string& fields) { return ("\n" + fields).find("\nHost:") != fields.npos; }

std::string get(const std::string& fields, const std::string& target = "/who") {
  const std::string host = has_host(fields) ? "" : "Host: example.org\r\n";
  return "GET " + target + " HTTP/1.1\r\n" + host + fields + "\r\n";
}

std::string page(RawClient& client, const std::string& request) {
  const std::string head = client.ask(request);
  if (!head.starts_with("HTTP/1.1 200 ")) return head.substr(0, 12);
  return without_ports(client.body(std::stoul(field(head, "Content-Length"))));
}

std::string status(std::uint16_t port, const std::string& origin, const std::string& fields) {
  RawClient client(port);
  std::string request = upgrade_request("Origin: " + origin + "\r\n" + fields);
  if (has_host(fields)) {
    request.erase(request.find("Host: example.org\r\n"), 19);
  }
  return client.ask(request).substr(9, 3);
}

TEST(ServerBehindProxy, ATrustedProxyTellsTheClientOfEachRequest) {
  Behind server({.trusted_proxies = {"127.0.0.1"}});
  // One connection of the proxy carries the requests of many clients.
  RawClient proxy(server.port);
  const std::pair<std::string, std::string> rows[] = {
      {"", "127.0.0.1: at example.org"},
      {"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: h:1\r\n",
       "203.0.113.7 at h:1 secure"},
      {"", "127.0.0.1: at example.org"},
      {"X-Forwarded-For: 198.51.100.1, [2001:db8::7]:9\r\n", "[2001:db8::7]:9 at example.org"},
      {"X-Forwarded-Proto: http\r\n", "127.0.0.1: at example.org"},
      {"X-Forwarded-For: unknown\r\n", "unknown at example.org"},
      {"X-Forwarded-Host: a b\r\nHost: [::1]:80\r\n", "127.0.0.1: at [::1]:80"},
      {"Forwarded: for=203.0.113.7;proto=https;host=h\r\n", "127.0.0.1: at example.org"},
  };
  for (const auto& [fields, seen] : rows) {
    EXPECT_EQ(page(proxy, get(fields)), seen) << fields;
    EXPECT_EQ(page(proxy, get(fields, "/peer")), "127.0.0.1:") << fields;
  }
  ASSERT_TRUE(proxy.upgrade("/echo", "X-Forwarded-For: 203.0.113.7\r\n"));
  proxy.send(text("who"));
  EXPECT_EQ(proxy.next(), "text 203.0.113.7 at example.org, 203.0.113.7");
}

// The name by which clients are counted: the address without its port.
TEST(ServerBehindProxy, ClientsAreCountedByTheirAddress) {
  Behind server({.trusted_proxies = {"127.0.0.1"}});
  const std::pair<const char*, const char*> rows[] = {
      {"203.0.113.7", "203.0.113.7"},
      {"203.0.113.7:80", "203.0.113.7"},
      {"2001:db8::7", "2001:db8::7"},
      {"[2001:db8::7]:80", "2001:db8::7"},
      {"[2001:db8::7]", "2001:db8::7"},
      {"unknown", "unknown"},
      {"_a1", "_a1"},
      {"unix:", "unix:"},
  };
  for (const auto& [chain, key] : rows) {
    RawClient client(server.port);
    ASSERT_TRUE(client.upgrade("/key", "X-Forwarded-For: "s + chain + "\r\n"));
    client.send(text("who"));
    EXPECT_EQ(client.next(), std::string("text ") + key) << chain;
  }
  RawClient direct(server.port);
  ASSERT_TRUE(direct.upgrade("/key"));
  direct.send(text("who"));
  EXPECT_EQ(direct.next(), "text 127.0.0.1");
}

TEST(ServerBehindProxy, Rfc7239_8_1_ForwardedIsReadInsteadIfItIsNamed) {
  Behind server({.trusted_proxies = {"127.0.0.0/8"}, .trusted_header = TrustedHeader::forwarded});
  RawClient proxy(server.port);
  EXPECT_EQ(page(proxy, get("X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n")),
            "127.0.0.1: at example.org");
  EXPECT_EQ(page(proxy, get("Forwarded: for=203.0.113.7;proto=https;host=\"h:1\"\r\n"
                            "Forwarded: for=127.0.0.9;proto=http\r\n")),
            "203.0.113.7 at h:1 secure");
}

TEST(ServerBehindProxy, PeersOfUnixSocketsMayBeTrusted) {
  const std::string path = testing::TempDir() + "tern-behind-" + std::to_string(::getpid());
  Behind server({.listeners = {{.host = "unix:" + path}}, .trusted_proxies = {"unix:"}});
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << errno;
  RawClient proxy(RawClient::Connected{fd});
  EXPECT_EQ(page(proxy, get("X-Forwarded-For: 203.0.113.7, unix:\r\n")),
            "203.0.113.7 at example.org");
  EXPECT_EQ(page(proxy, get("X-Forwarded-For: 203.0.113.7\r\n", "/peer")), "unix:");
}

TEST(ServerBehindProxy, AnyOtherPeerIsNotBelieved) {
  for (const std::vector<std::string>& trusted :
       {std::vector<std::string>{}, {"10.0.0.0/8", "unix:"}, {"::1"}}) {
    Behind server({.trusted_proxies = trusted});
    RawClient client(server.port);
    const std::string fields =
        "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\n"
        "Forwarded: for=203.0.113.7;proto=https;host=h\r\n";
    EXPECT_EQ(page(client, get(fields)), "127.0.0.1: at example.org");
    EXPECT_EQ(status(server.port, "https://h", fields), "403");
    EXPECT_EQ(status(server.port, "https://example.org", fields), "403");
    EXPECT_EQ(status(server.port, "http://example.org", fields), "101");
  }
}

TEST(ServerBehindProxy, AnUpgradeThatIsAnsweredLaterKeepsWhatTheProxyTold) {
  Behind server({.trusted_proxies = {"127.0.0.1"}});
  RawClient proxy(server.port);
  ASSERT_TRUE(proxy.upgrade("/later",
                            "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Host: h:1\r\n"
                            "X-Forwarded-Proto: https\r\n"));
  proxy.send(text("who"));
  EXPECT_EQ(without_ports(proxy.next()), "text 203.0.113.7 at h:1 secure, 127.0.0.1:");
}

TEST(ServerBehindProxy, ARequestWithABodyKeepsWhatTheProxyTold) {
  Behind server({.trusted_proxies = {"127.0.0.1"}});
  RawClient proxy(server.port);
  const std::string fields =
      "Content-Length: 4\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Host: h:1\r\n"
      "X-Forwarded-Proto: https\r\n";
  for (const std::string& target : {"/post"s, "/exchange"s}) {
    const std::string head = "POST " + get(fields, target).substr(4);
    for (const std::size_t sent : {0u, 2u, 4u}) {
      proxy.send(head + std::string("body").substr(0, sent));
      EXPECT_EQ(page(proxy, std::string("body").substr(sent)), "203.0.113.7 at h:1 secure body");
    }
  }
}

TEST(ServerBehindProxy, TheLogNamesTheClient) {
  Behind server({.trusted_proxies = {"127.0.0.1"}});
  EXPECT_EQ(status(server.port, "https://evil.example", "X-Forwarded-For: 203.0.113.7\r\n"), "403");
  const std::string refused = server.log.take().value_or("");
  EXPECT_TRUE(refused.starts_with("203.0.113.7: refused: the Origin")) << refused;
  RawClient proxy(server.port);
  EXPECT_EQ(page(proxy, get("X-Forwarded-For: 203.0.113.8\r\n", "/throws")), "HTTP/1.1 500");
  const std::string threw = server.log.take().value_or("");
  EXPECT_TRUE(threw.starts_with("203.0.113.8: ")) << threw;
}

// The usual configurations of proxies, as a browser on https://example.org sees them.
TEST(ServerBehindProxy, TheOriginRuleUsesTheSchemeAndTheHostOfTheClient) {
  Behind server({.trusted_proxies = {"127.0.0.1"}});
  const std::string https = "X-Forwarded-Proto: https\r\n";
  const std::string http = "X-Forwarded-Proto: http\r\n";
  const struct {
    std::string origin;
    std::string fields;
    bool passes;
  } rows[] = {
      {"https://example.org", https, true},
      {"http://example.org", http, true},
      // A page that came over plain HTTP is not a page of a server with TLS.
      {"http://example.org", https, false},
      {"https://example.org", http, false},
      {"https://evil.example", https, false},
      {"https://example.org.evil.example", https, false},
      // The proxy does not tell the scheme: either passes.
      {"https://example.org", "", true},
      {"http://example.org", "", true},
      {"ftp://example.org", "", false},
      {"https://evil.example", "", false},
      {"null", "", false},
      {"https://example.org", "X-Forwarded-Proto: x\r\n", true},
      // A Host without port: nginx's $host drops it, so the names are compared.
      {"https://example.org:8443", https, true},
      {"http://example.org:8080", "", true},
      {"https://evil.example:8443", https, false},
      // With a port all must agree.
      {"https://example.org:8443", https + "Host: example.org:8443\r\n", true},
      {"https://example.org", https + "Host: example.org:8443\r\n", false},
      {"https://example.org", https + "Host: example.org:443\r\n", true},
      {"https://example.org:8443", "Host: example.org:8443\r\n", true},
      {"https://example.org:8443", "Host: example.org:8444\r\n", false},
      // The proxy tells the host.
      {"https://example.org", https + "Host: 127.0.0.1:9001\r\nX-Forwarded-Host: example.org\r\n",
       true},
      {"https://127.0.0.1:9001", https + "Host: 127.0.0.1:9001\r\nX-Forwarded-Host: h\r\n", false},
      {"https://example.org", https + "Host: 127.0.0.1:9001\r\n", false},
  };
  for (const auto& [origin, fields, passes] : rows) {
    EXPECT_EQ(status(server.port, origin, fields), passes ? "101" : "403") << origin << '\n'
                                                                           << fields;
  }
  // The text for people names the origin that is expected.
  RawClient client(server.port);
  const std::string head = client.ask(
      upgrade_request("Origin: http://a\r\nX-Forwarded-Host: h:1\r\nX-Forwarded-Proto: https\r\n"));
  EXPECT_NE(client.body(std::stoul(field(head, "Content-Length"))).find("https://h:1,"), head.npos);
}

// ---- the PROXY protocol

const std::string header_v1 = "PROXY TCP4 203.0.113.7 198.51.100.1 51234 443\r\n";

std::string header_v2(const std::string& tlvs = {}, unsigned char command = 0x21) {
  return ProxyV2{.command = command, .addresses = ProxyV2::ipv4("\xCB\x00\x71\x07"s, 51234) + tlvs}
      .bytes();
}

TEST(ServerProxyProtocol, TheHeaderNamesTheClientHoweverItIsCut) {
  Behind server({.proxy_protocol = {.from = {"127.0.0.1"}}});
  for (const std::string& header : {header_v1, header_v2()}) {
    const std::string bytes = header + get("");
    for (std::size_t cut = 1; cut <= header.size() + 1; ++cut) {
      RawClient proxy(server.port);
      proxy.send(bytes.substr(0, cut));
      const std::string seen = page(proxy, bytes.substr(cut));
      EXPECT_TRUE(seen.starts_with("203.0.113.7:51234 at example.org")) << cut << ' ' << seen;
      EXPECT_EQ(page(proxy, get("", "/peer")), "127.0.0.1:");
      ASSERT_TRUE(proxy.upgrade("/echo"));
      proxy.send(text("who"));
      EXPECT_TRUE(proxy.next().ends_with(", 203.0.113.7:51234"));
    }
  }
}

TEST(ServerProxyProtocol, AConnectionOfTheProxyItselfHasItsOwnAddress) {
  Behind server({.proxy_protocol = {.from = {"127.0.0.1"}}});
  for (const std::string& header :
       {"PROXY UNKNOWN\r\n"s, header_v2({}, 0x20), ProxyV2{.family = 0}.bytes()}) {
    RawClient proxy(server.port);
    EXPECT_TRUE(page(proxy, header + get("")).starts_with("127.0.0.1: at example.org")) << header;
  }
  RawClient proxy(server.port);
  const ProxyV2 of_unix{.family = 0x31, .addresses = ProxyV2::unix_path("/run/client")};
  EXPECT_TRUE(page(proxy, of_unix.bytes() + get("")).starts_with("unix:/run/client at "));
}

TEST(ServerProxyProtocol, TlvsAreVisible) {
  Behind server({.proxy_protocol = {.from = {"127.0.0.1"}}});
  const std::string tls =
      ProxyV2::tlv(0x20, "\x03\0\0\0\0"s + ProxyV2::tlv(0x21, "TLSv1.3") +
                             ProxyV2::tlv(0x23, "AES") + ProxyV2::tlv(0x22, "alice"));
  const std::string header =
      header_v2(ProxyV2::tlv(0x02, "example.org") + ProxyV2::tlv(0x05, "id-1") + tls);
  const std::string seen =
      "203.0.113.7:51234 at example.org secure "
      "[example.org|id-1|tls verified TLSv1.3|AES|alice]";
  RawClient proxy(server.port);
  EXPECT_EQ(page(proxy, header + get("")), seen);
  EXPECT_EQ(page(proxy, get("")), seen) << "a second request";
  RawClient later(server.port);
  later.send(header);
  ASSERT_TRUE(later.upgrade("/later"));
  later.send(text("who"));
  EXPECT_EQ(without_ports(later.next()), "text " + seen + ", 127.0.0.1:");
  // Pages that the proxy served over TLS are pages of this server.
  for (const auto& [origin, code] : {std::pair("https://example.org", "101"),
                                     {"http://example.org", "403"},
                                     {"https://example.org:8443", "403"}}) {
    RawClient browser(server.port);
    const std::string answer = browser.ask(header + upgrade_request("Origin: "s + origin + "\r\n"));
    EXPECT_EQ(answer.substr(9, 3), code) << origin;
  }
  // The header does not tell about TLS: either scheme passes, but the port counts.
  for (const auto& [origin, code] : {std::pair("https://example.org", "101"),
                                     {"http://example.org", "101"},
                                     {"https://example.org:8443", "403"},
                                     {"https://evil.example", "403"}}) {
    RawClient browser(server.port);
    const std::string answer =
        browser.ask(header_v1 + upgrade_request("Origin: "s + origin + "\r\n"));
    EXPECT_EQ(answer.substr(9, 3), code) << origin;
  }
}

// A proxy that passes on TCP passes on the fields of its clients, too.
TEST(ServerProxyProtocol, FieldsAreBelievedIfTheClientInTheHeaderIsTrusted) {
  const std::string fields = "X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Proto: https\r\n";
  Behind server(
      {.trusted_proxies = {"127.0.0.1", "10.0.0.1"}, .proxy_protocol = {.from = {"127.0.0.1"}}});
  RawClient stranger(server.port);
  EXPECT_EQ(page(stranger, header_v1 + get(fields)).substr(0, 32),
            "203.0.113.7:51234 at example.org");
  RawClient cdn(server.port);
  const std::string of_cdn = "PROXY TCP4 10.0.0.1 198.51.100.1 51234 443\r\n";
  EXPECT_EQ(page(cdn, of_cdn + get(fields)).substr(0, 31), "192.0.2.9 at example.org secure");
  RawClient own(server.port);
  EXPECT_EQ(page(own, "PROXY UNKNOWN\r\n" + get(fields)).find("192.0.2.9"), std::string::npos);
}

TEST(ServerProxyProtocol, AListedPeerWithoutAHeaderIsEnded) {
  Behind server({.proxy_protocol = {.from = {"127.0.0.0/8"}}});
  for (const std::string& bytes :
       {get(""), "\r\n"s + get(""), "PROXY TCP4 1.2.3.4 5.6.7.8 1 x\r\n" + get(""),
        header_v2("\x02"), std::string(100'000, 'P')}) {
    RawClient client(server.port);
    client.send(bytes);
    EXPECT_TRUE(client.ends()) << bytes.substr(0, 20);
    const std::string line = server.log.take().value_or("");
    EXPECT_NE(line.find("127.0.0.1:"), line.npos);
    EXPECT_NE(line.find("the PROXY header is missing or invalid: the "), line.npos) << line;
  }
  RawClient half(server.port);
  half.send(header_v1.substr(0, 20));
  half.finish();
  EXPECT_TRUE(half.ends());
  EXPECT_TRUE(server.log.take());
  RawClient check(server.port);  // the health check of a proxy
  check.finish();
  EXPECT_TRUE(check.ends());
  EXPECT_TRUE(server.log.empty());
  server.stop();
  const Counters counters = server.server.counters();
  using Refusals = std::vector<std::pair<std::string, std::uint64_t>>;
  EXPECT_EQ(counters.refusals, (Refusals{{"end_of_stream", 1}, {"proxy_header_invalid", 6}}));
}

TEST(ServerProxyProtocol, FromAnyOtherPeerAHeaderIsNoRequest) {
  Behind server({.trusted_proxies = {"127.0.0.1"}, .proxy_protocol = {.from = {"10.0.0.0/8"}}});
  for (const std::string& header : {header_v1, header_v2()}) {
    RawClient client(server.port);
    EXPECT_TRUE(client.ask(header + get("")).starts_with("HTTP/1.1 400 "));
  }
  RawClient client(server.port);
  EXPECT_EQ(page(client, get("X-Forwarded-For: 192.0.2.9\r\n")), "192.0.2.9 at example.org");
}

TEST(ServerProxyProtocol, SilenceEndsAtTheDeadlineOfTheHandshake) {
  Behind server({.timeouts = {.handshake = std::chrono::milliseconds(200)},
                 .proxy_protocol = {.from = {"127.0.0.1"}}});
  for (const std::string& begun : {""s, header_v1.substr(0, 30), header_v2().substr(0, 20)}) {
    RawClient client(server.port);
    client.send(begun);
    EXPECT_TRUE(client.ends());
  }
}

TEST(ServerProxyProtocol, TheHeaderStandsBeforeTls) {
  const Authority authority;
  ServerOptions options{.proxy_protocol = {.from = {"127.0.0.1"}}};
  options.tls = TlsServer{.certificate_pem = authority.leaf.certificate(),
                          .private_key_pem = authority.leaf.key()};
  Behind server(options);
  for (const std::string& header : {header_v1, header_v2(ProxyV2::tlv(0x02, "sni"))}) {
    for (const bool together : {false, true}) {
      TlsSocket proxy(server.port);
      if (together) {
        const std::string hello = proxy.hello();
        ASSERT_TRUE(proxy.send_raw(header + hello));
      } else {
        for (const char c : header) ASSERT_TRUE(proxy.send_raw({&c, 1}));
      }
      ASSERT_TRUE(proxy.shake_hands()) << proxy.reason();
      ASSERT_TRUE(proxy.send(get("")));
      const std::string answer = proxy.receive_until("203.0.113.7:51234 at example.org secure");
      EXPECT_NE(answer.find("203.0.113.7:51234 at example.org secure"), answer.npos) << answer;
    }
  }
  TlsSocket without(server.port);
  EXPECT_FALSE(without.shake_hands());
  const std::string line = server.log.take().value_or("");
  EXPECT_NE(line.find("the connection does not begin with a PROXY header"), line.npos) << line;
}

TEST(ServerBehindProxy, AListThatCanNeverWorkIsAnErrorOfListen) {
  Server proxies({.host = "127.0.0.1", .trusted_proxies = {"10.0.0.0/8", "proxy.example"}});
  EXPECT_EQ(proxies.listen().error().message(),
            "listen: trusted_proxies: \"proxy.example\" is no numeric address: write "
            "\"127.0.0.1\", \"10.0.0.0/8\" or \"unix:\"");
  Server from({.host = "127.0.0.1", .proxy_protocol = {.from = {"10.0.0.0/40"}}});
  EXPECT_EQ(from.listen().error().message(),
            "listen: proxy_protocol.from: \"10.0.0.0/40\" is no network: write \"10.0.0.0/8\"");
}

}  // namespace
}  // namespace tern::test
