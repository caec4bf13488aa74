// The opening handshake of a server over sockets. Each refusal has its status and fields, and TCP
// ends after it, whatever stands behind the request. All that must be accepted is accepted, cut
// anywhere.
#include "tern/tern.h"

#include "support/raw_client.h"
#include "support/raw_socket.h"
#include "support/running_server.h"

#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

// A request, and the texts that the answer must contain.
struct Refusal {
  std::string name;
  std::string request;
  int status;
  Fields fields{};
};

const std::string good = upgrade_request();
const Fields names_version = {{"Sec-WebSocket-Version", "13"}, {"Upgrade", "websocket"}};

// Returns the good request with one part replaced. The part must exist.
std::string with(std::string_view from, std::string_view to) {
  const std::size_t at = good.find(from);
  EXPECT_NE(at, good.npos) << from;
  return std::string(good).replace(at, from.size(), to);
}

std::string with_target(std::string_view target) { return with("/echo", target); }

std::string fields_of(int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += "X-" + std::to_string(i) + ": y\r\n";
  return all;
}

// A server with a route for each way to refuse.
struct Gate {
  RunningServer running;
  std::uint16_t port = 0;
  std::jthread later{};

  Gate() {
    Server& server = running.server;
    server.route("/echo", echo());
    server.get("/", [](const Request&) { return Response::html("<p>page"); });
    server.get("/throws", [](const Request&) -> Response { throw std::runtime_error("oops"); });
    server.route("/never", [](Upgrade) {});
    server.route("/login", [](Upgrade upgrade) {
      upgrade.respond(Response::status(401, "log in first").header("WWW-Authenticate", "Basic"));
    });
    server.route("/moved", [](Upgrade upgrade) {
      upgrade.respond(Response::status(307).header("Location", "/echo"));
    });
    server.route("/later", [this](Upgrade upgrade) {
      later = std::jthread([upgrade] { upgrade.respond(Response::status(429)); });
    });
    server.route("/bad", [](Upgrade upgrade) {
      upgrade.accept(echo(), {.headers = {{"X-Note", "two\r\nlines"}}});
    });
    port = running.start();
  }
};

// Sends the request in writes of `piece` bytes, and behind it a good request and a frame, to which
// there must be no answer. Returns all that comes back until TCP ends.
std::string answer_to(std::uint16_t port, const std::string& request, std::size_t piece) {
  const RawSocket socket = RawSocket::connect(port);
  const std::string all = request + good + wire(Role::client, text("smuggled"));
  for (std::size_t at = 0; at < all.size(); at += piece) {
    if (!socket.send(std::string_view(all).substr(at, piece)))
      break;  // the server may have ended TCP already
  }
  return socket.receive_all();
}

void expect_refused(const Gate& gate, const Refusal& row, std::size_t piece) {
  SCOPED_TRACE(row.name + (piece == 1 ? ", byte by byte" : ""));
  const std::string answer = answer_to(gate.port, row.request, piece);
  const std::size_t head_end = answer.find("\r\n\r\n");
  ASSERT_NE(head_end, answer.npos) << "no answer: " << answer;
  const std::string head = answer.substr(0, head_end + 4);
  EXPECT_TRUE(head.starts_with("HTTP/1.1 " + std::to_string(row.status) + ' ')) << head;
  const bool upgrade_named = row.status == 426 || row.fields == names_version;
  EXPECT_EQ(field(head, "Connection"), upgrade_named ? "close, Upgrade" : "close") << head;
  for (const auto& [name, value] : row.fields) EXPECT_EQ(field(head, name), value) << head;
  // There is one whole answer and nothing behind it.
  const bool head_only = row.request.starts_with("HEAD ");
  const std::size_t body = head_only ? 0 : std::stoul(field(head, "Content-Length"));
  EXPECT_EQ(answer.size(), head.size() + body) << answer;
}

void expect_all_refused(const std::vector<Refusal>& table) {
  const Gate gate;
  for (const Refusal& row : table) {
    expect_refused(gate, row, good.size() * 1000);
    if (row.request.size() < 1000) expect_refused(gate, row, 1);
  }
}

// ---- what is refused

TEST(ServerRefusal, Rfc9112_3_RefusesBadRequestLines) {
  expect_all_refused({
      {"absolute form of another scheme", with_target("ws://example.org/echo"), 400},
      {"absolute form with a user", with_target("http://ada@example.org/echo"), 400},
      {"absolute form without a host", with_target("http:///echo"), 400},
      {"authority form", with_target("example.org:80"), 400},
      {"asterisk form", with_target("*"), 400},
      {"no slash", with_target("echo"), 400},
      {"empty target", with_target(""), 400},
      {"space in the target", with_target("/e cho"), 400},
      {"tab in the target", with_target("/e\tcho"), 400},
      {"DEL in the target", with_target("/e\x7F"), 400},
      {"NUL in the target", with_target(std::string("/e\0", 3)), 400},
      {"byte over 127 in the target", with_target("/\xC3\xA9"), 400},
      {"fragment in the target", with_target("/echo#part"), 400},
      {"two spaces", with("GET ", "GET  "), 400},
      {"no version", with(" HTTP/1.1", ""), 400},
      {"lower case version", with("HTTP/1.1", "http/1.1"), 400},
      {"space behind the version", with("HTTP/1.1", "HTTP/1.1 "), 400},
      {"HTTP/0.9", with("HTTP/1.1", "HTTP/0.9"), 505},
      {"upgrade by HTTP/1.0", with("HTTP/1.1", "HTTP/1.0"), 426, names_version},
      {"HTTP/1.2", with("HTTP/1.1", "HTTP/1.2"), 505},
      {"HTTP/2.0", with("HTTP/1.1", "HTTP/2.0"), 505},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
      {"TLS", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03\r\n\r\n", 15), 400},
      {"empty method", with("GET ", " "), 400},
      {"two empty lines first", "\r\n\r\n" + good, 400},
      {"request line over 8 KiB", page_request("/" + std::string(8192 - 13, 'a')), 414},
  });
}

TEST(ServerRefusal, Rfc9112_5_RefusesBadFieldLines) {
  const auto line = [](std::string_view text) {
    return upgrade_request(std::string(text) + "\r\n");
  };
  expect_all_refused({
      {"folded line", line("X: a\r\n folded"), 400},
      {"folded by a tab", line("X: a\r\n\tfolded"), 400},
      {"folded first line", with("Host:", " Host:"), 400},
      {"NUL in a value", line(std::string_view("X: a\0b", 6)), 400},
      {"bare CR in a value", line("X: a\rb"), 400},
      {"bare LF ends a line", with("example.org\r\n", "example.org\n"), 400},
      {"bare LF ends the head", good.substr(0, good.size() - 2) + "\n", 400},
      {"LF and CR", with("example.org\r\n", "example.org\n\r"), 400},
      {"control in a value", line("X: \x01"), 400},
      {"DEL in a value", line("X: \x7F"), 400},
      {"space before the colon", line("X : a"), 400},
      {"tab before the colon", line("X\t: a"), 400},
      {"empty name", line(": a"), 400},
      {"no colon", line("X"), 400},
      {"delimiter in a name", line("X(y): a"), 400},
      {"byte over 127 in a name", line("X\xE9: a"), 400},
      {"101 fields", upgrade_request(fields_of(96)), 431},
      {"head over 16 KiB", line("X: " + std::string(16384, 'a')), 431},
      {"head of 16385 bytes", line("X: " + std::string(16384 - good.size() - 4, 'a')), 431},
  });
}

TEST(ServerRefusal, Rfc9112_3_2_RefusesBadHostsAndBodies) {
  const std::string host = "Host: example.org\r\n";
  expect_all_refused({
      {"no Host", with(host, ""), 400},
      {"two Hosts", with(host, host + host), 400},
      {"empty Host", with(host, "Host:\r\n"), 400},
      {"Host with user", with(host, "Host: user@example.org\r\n"), 400},
      {"Host with path", with(host, "Host: example.org/\r\n"), 400},
      {"Host list", with(host, "Host: example.org, example.com\r\n"), 400},
      {"port too large", with(host, "Host: example.org:65536\r\n"), 400},
      {"page without Host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"body", upgrade_request("Content-Length: 3\r\n"), 400},
      {"negative length", upgrade_request("Content-Length: -1\r\n"), 400},
      {"signed length", upgrade_request("Content-Length: +0\r\n"), 400},
      {"empty length", upgrade_request("Content-Length:\r\n"), 400},
      {"huge length", upgrade_request("Content-Length: 18446744073709551616\r\n"), 400},
      {"two lengths", upgrade_request("Content-Length: 0\r\nContent-Length: 5\r\n"), 400},
      {"chunked", upgrade_request("Transfer-Encoding: chunked\r\n"), 400},
      {"identity", upgrade_request("Transfer-Encoding: identity\r\n"), 400},
      {"length and coding", upgrade_request("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
       400},
      {"page with body", "GET / HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabc", 400},
  });
}

TEST(ServerRefusal, Rfc6455_4_2_1_RefusesBadUpgrades) {
  const std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const std::string version = "Sec-WebSocket-Version: 13\r\n";
  expect_all_refused({
      {"plain GET of a WebSocket", page_request("/echo"), 426, names_version},
      {"no Upgrade", with("Upgrade: websocket\r\n", ""), 426, names_version},
      {"Upgrade to h2c", with("Upgrade: websocket", "Upgrade: h2c"), 426, names_version},
      {"Upgrade: websocket/13", with("websocket", "websocket/13"), 426, names_version},
      {"no Connection", with("Connection: Upgrade\r\n", ""), 400},
      {"Connection: keep-alive", with("Connection: Upgrade", "Connection: keep-alive"), 400},
      {"Connection without comma", with("Connection: Upgrade", "Connection: a Upgrade"), 400},
      {"POST", with("GET", "POST"), 405, {{"Allow", "GET"}}},
      {"HEAD", with("GET", "HEAD"), 405, {{"Allow", "GET"}}},
      {"get", with("GET", "get"), 405, {{"Allow", "GET"}}},
      {"POST of a page", page_request("/", "POST"), 405, {{"Allow", "GET, HEAD, OPTIONS"}}},
      {"OPTIONS of a WebSocket", page_request("/echo", "OPTIONS"), 405, {{"Allow", "GET"}}},
      {"no version", with(version, ""), 400, names_version},
      {"two versions", with(version, version + version), 400, names_version},
      {"list of versions", with("Version: 13", "Version: 13, 8"), 400, names_version},
      {"version 013", with("Version: 13", "Version: 013"), 400, names_version},
      {"version x", with("Version: 13", "Version: x"), 400, names_version},
      {"version 8", with("Version: 13", "Version: 8"), 426, names_version},
      {"version 255", with("Version: 13", "Version: 255"), 426, names_version},
      {"no key", with(key, ""), 400},
      {"two keys", with(key, key + key), 400},
      {"empty key", with("dGhlIHNhbXBsZSBub25jZQ==", ""), 400},
      {"key without padding", with("ZQ==", "ZQ"), 400},
      {"key of 15 bytes", with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j"), 400},
      {"key of 17 bytes", with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZXM="), 400},
      {"key not base64", with("dGhl", "d-hl"), 400},
      {"protocol with a space", upgrade_request("Sec-WebSocket-Protocol: a b\r\n"), 400},
      {"protocol twice", upgrade_request("Sec-WebSocket-Protocol: a, a\r\n"), 400},
      {"empty protocol list", upgrade_request("Sec-WebSocket-Protocol: ,\r\n"), 400},
      {"extension without name", upgrade_request("Sec-WebSocket-Extensions: ;a\r\n"), 400},
      {"extension unquoted", upgrade_request("Sec-WebSocket-Extensions: a; b=\"c\r\n"), 400},
      {"extension with a space", upgrade_request("Sec-WebSocket-Extensions: a b\r\n"), 400},
  });
}

TEST(ServerRefusal, Rfc6455_10_2_RefusesOriginsAndUnknownRoutes) {
  expect_all_refused({
      {"foreign origin", upgrade_request("Origin: https://evil.example\r\n"), 403},
      {"origin of another port", upgrade_request("Origin: http://example.org:81\r\n"), 403},
      {"origin of another scheme", upgrade_request("Origin: https://example.org\r\n"), 403},
      {"null origin", upgrade_request("Origin: null\r\n"), 403},
      {"two origins",
       upgrade_request("Origin: http://example.org\r\nOrigin: http://example.org\r\n"), 403},
      {"unparsable origin", upgrade_request("Origin: example.org\r\n"), 403},
      {"unknown route", upgrade_request({}, "/nowhere"), 404},
      {"unknown page", page_request("/nowhere"), 404},
      {"page is no WebSocket", upgrade_request({}, "/throws"), 500},
  });
}

TEST(ServerRefusal, Rfc9110_15_TheApplicationMayRefuse) {
  expect_all_refused({
      {"401", upgrade_request({}, "/login"), 401, {{"WWW-Authenticate", "Basic"}}},
      {"307", upgrade_request({}, "/moved"), 307, {{"Location", "/echo"}}},
      {"429 from another thread", upgrade_request({}, "/later"), 429},
      {"no answer", upgrade_request({}, "/never"), 503, {{"Retry-After", "1"}}},
      {"a field that may not be sent", upgrade_request({}, "/bad"), 500},
      {"a page that throws", page_request("/throws"), 500},
  });
}

// The deadline is absolute, and a slow head receives an answer.
TEST(ServerRefusal, Rfc9110_15_5_9_AnEndlessHeadIs408) {
  RunningServer running({.timeouts = {.handshake = std::chrono::seconds(2)}});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  RawClient begun(port);
  const std::string head = begun.ask("GET /echo HTTP/1.1\r\nHost: exa");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 408 ")) << head;
  EXPECT_EQ(field(head, "Connection"), "close");
  RawClient silent(port);
  EXPECT_TRUE(silent.ends());
  EXPECT_EQ(silent.read_error(), 0);
}

TEST(ServerRefusal, Rfc9110_15_6_4_A503HasRetryAfter) {
  RunningServer running({.max_connections = 1});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  RawClient first(port);
  ASSERT_TRUE(first.upgrade());
  RawClient second(port);
  const std::string head = second.head();
  EXPECT_TRUE(head.starts_with("HTTP/1.1 503 ")) << head;
  EXPECT_EQ(field(head, "Retry-After"), "1");
  EXPECT_EQ(field(head, "Connection"), "close");
  EXPECT_TRUE(second.ends());
}

// ---- what is accepted

// Expects the 101 for the key of RFC 6455 §1.3, and the echo of the frame behind the request.
void expect_accepted(std::uint16_t port, const std::string& request, std::size_t cut) {
  const RawSocket socket = RawSocket::connect(port);
  const int on = 1;
  ::setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const std::string all = request + wire(Role::client, {text("first"), closing(1000)});
  EXPECT_TRUE(socket.send(std::string_view(all).substr(0, cut)));
  EXPECT_TRUE(socket.send(std::string_view(all).substr(std::min(cut, all.size()))));
  const std::string answer = socket.receive_all();
  const std::size_t head_end = answer.find("\r\n\r\n");
  ASSERT_NE(head_end, answer.npos) << answer;
  const std::string head = answer.substr(0, head_end + 4);
  EXPECT_TRUE(head.starts_with("HTTP/1.1 101 ")) << request << answer;
  EXPECT_EQ(field(head, "Upgrade"), "websocket");
  EXPECT_EQ(field(head, "Connection"), "Upgrade");
  EXPECT_EQ(field(head, "Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_EQ(field(head, "Sec-WebSocket-Extensions"), "(absent)");
  EXPECT_EQ(field(head, "Sec-WebSocket-Protocol"), "(absent)");
  EXPECT_EQ(answer.substr(head.size()), wire(Role::server, {text("first"), closing(1000)}));
}

TEST(ServerAccepts, Rfc6455_4_2_1_AcceptsWhatTheGrammarAllows) {
  const Gate gate;
  const std::size_t most = 16384 - good.size() - 5;
  const std::vector<std::string> table = {
      good,
      "\r\n" + good,
      with("Host: ", "hOST:"),
      with("Upgrade: websocket", "uPGRADE:\t WebSocket \t"),
      with("Upgrade: websocket", "Upgrade: h2c, websocket"),
      with("Upgrade: websocket", "Upgrade: h2c\r\nUpgrade: websocket"),
      with("Connection: Upgrade", "CONNECTION:keep-alive ,\tuPgRaDe"),
      with("Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade"),
      with("Connection: Upgrade", "Connection: ,keep-alive,, Upgrade ,"),
      with("Sec-WebSocket-Key: ", "sec-websocket-key:\t "),
      with("Sec-WebSocket-Version: 13", "SEC-WEBSOCKET-VERSION:13 "),
      with("example.org", "EXAMPLE.org:9001"),
      with("example.org", "[::1]:9001"),
      with_target("/echo?a=%20&b=/?"),
      with_target("http://example.org/echo"),
      with_target("HTTP://elsewhere.example:81/echo?a=b"),
      upgrade_request("Content-Length: 0\r\n"),
      upgrade_request("Origin: http://example.org\r\n"),
      upgrade_request("Origin: HTTP://EXAMPLE.ORG:80\r\n"),
      upgrade_request("Sec-WebSocket-Protocol: chat, superchat\r\n"),
      upgrade_request("Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n"),
      upgrade_request("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
      upgrade_request("Sec-WebSocket-Extensions: a; b=\"c\" , , d;e\r\n"),
      upgrade_request("User-Agent: \xC3\xA9 \"q\"\r\nX-Empty:\r\nX-Tab: a\tb\r\n"),
      upgrade_request(fields_of(95)),
      upgrade_request("X: " + std::string(most, 'a') + "\r\n"),
      with_target("/echo?" + std::string(8192 - 19, 'a')),
  };
  for (const std::string& request : table) {
    SCOPED_TRACE(request.substr(0, 300));
    expect_accepted(gate.port, request, request.npos);
    expect_accepted(gate.port, request, request.size());
  }
}

TEST(ServerAccepts, Rfc6455_4_2_1_AcceptsARequestCutAnywhere) {
  const Gate gate;
  const std::size_t size = good.size() + wire(Role::client, {text("first"), closing(1000)}).size();
  for (std::size_t cut = 0; cut <= size; ++cut) {
    SCOPED_TRACE(cut);
    expect_accepted(gate.port, good, cut);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(ServerAccepts, Rfc6455_10_2_AcceptsAllowedOrigins) {
  RunningServer running({.allowed_origins = {"https://friend.example"}});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  for (const std::string origin : {"http://example.org", "HTTP://EXAMPLE.ORG:80",
                                   "https://friend.example", "https://friend.example:443"}) {
    RawClient client(port);
    EXPECT_TRUE(client.upgrade("/echo", "Origin: " + origin + "\r\n")) << client.answer_head();
  }
}

}  // namespace
}  // namespace tern::test
