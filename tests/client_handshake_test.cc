// The opening handshake of a client over sockets: which responses dial() accepts and refuses, and
// what its error contains of the response. RFC 6455 §4.1.
#include "tern/dial.h"

#include "support/socket_peer.h"

#include <functional>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <string>
#include <vector>

namespace tern {
namespace {

using namespace std::chrono_literals;
using test::ScriptedPeer;
using test::Socket;
using test::upgrade_answer;
using test::wire;
using Clock = std::chrono::steady_clock;
using Change = std::function<std::string(std::string)>;

const std::vector<std::string> offered = {"chat", "superchat"};

// Replaces `old` in the valid response; it must be there.
Change with(std::string_view old, std::string_view now) {
  return [=](std::string answer) {
    const std::size_t at = answer.find(old);
    EXPECT_NE(at, answer.npos) << old;
    return answer.replace(at, old.size(), now);
  };
}

Change without(std::string_view name) {
  return [=](std::string answer) {
    const std::size_t at = answer.find(name);
    EXPECT_NE(at, answer.npos) << name;
    return answer.erase(at, answer.find("\r\n", at) + 2 - at);
  };
}

Change more(std::string lines) {
  return [=](std::string answer) { return answer.insert(answer.size() - 2, lines); };
}

// Sends in writes of `piece` bytes; each is a segment of its own.
void send_in_pieces(Socket& socket, std::string_view bytes, std::size_t piece) {
  const int on = 1;
  ::setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    if (!socket.send(bytes.substr(at, piece))) return;  // a client that refuses ends TCP at once
  }
}

// ---- valid responses

TEST(ClientHandshake, Rfc6455_4_1_AnyValidResponseOpens) {
  const std::string hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
  std::string many;
  for (int i = 0; i < 97; ++i) many += "X-" + std::to_string(i) + ": y\r\n";
  struct Row {
    Change change;
    std::string protocol{};
  };
  const std::vector<Row> table = {
      {[](std::string answer) { return answer; }},
      {with("101 Switching Protocols", "101")},
      {with("101 Switching Protocols", "101 ")},
      {with("Switching Protocols", "D'accord \xC3\xA9")},
      {with("Upgrade: websocket", "uPGRADE:\t WebSocket \t")},
      {with("Connection: Upgrade", "connection:keep-alive , uPGRADE")},
      {with("Connection: Upgrade", "Connection: keep-alive\r\nConnection: upgrade")},
      {with("Sec-WebSocket-Accept: ", "SEC-WEBSOCKET-ACCEPT:\t")},
      {more("Sec-WebSocket-Protocol: chat\r\n"), "chat"},
      {more("sec-websocket-protocol:\tsuperchat \r\n"), "superchat"},
      {more("Content-Length: 0\r\nX-Empty:\r\n")},
      {more(many)},
      {[=](std::string answer) { return hints + answer; }},
      {[=](std::string answer) { return "HTTP/1.1 100 Continue\r\n\r\n" + hints + answer; }},
  };
  for (std::size_t row = 0; row < table.size(); ++row) {
    for (const std::size_t piece : {std::size_t{1}, std::string::npos}) {
      SCOPED_TRACE(row);
      ScriptedPeer peer([&](Socket& socket) {
        const std::string answer = table[row].change(upgrade_answer(socket.receive_head()));
        // The first frame arrives in the segment of the 101.
        send_in_pieces(socket, answer + wire(Role::server, test::text("first")),
                       std::min(piece, answer.size() + 100));
        socket.receive_end();
      });
      auto client = dial(peer.url(), {.protocols = offered});
      ASSERT_TRUE(client) << client.error().message();
      EXPECT_EQ(client->protocol(), table[row].protocol);
      std::string payload;
      ASSERT_TRUE(client->receive(payload));
      EXPECT_EQ(payload, "first");
    }
  }
}

TEST(ClientHandshake, Rfc6455_4_1_ResponseAndFramesMayBeCutAnywhere) {
  const std::vector<test::Frame> frames = {test::text("first"), test::binary("second")};
  const std::size_t size = upgrade_answer("").size() + wire(Role::server, frames).size();
  for (std::size_t cut = 1; cut < size; cut += 3) {
    SCOPED_TRACE(cut);
    ScriptedPeer peer([&](Socket& socket) {
      const std::string all = upgrade_answer(socket.receive_head()) + wire(Role::server, frames);
      send_in_pieces(socket, all.substr(0, cut), cut);
      send_in_pieces(socket, all.substr(cut), all.size());
      socket.receive_end();
    });
    auto client = dial(peer.url());
    ASSERT_TRUE(client) << client.error().message();
    std::string payload;
    EXPECT_EQ(client->receive(payload).value(), MessageType::text);
    EXPECT_EQ(payload, "first");
    EXPECT_EQ(client->receive(payload).value(), MessageType::binary);
    EXPECT_EQ(payload, "second");
  }
}

// ---- invalid responses

struct BadAnswer {
  const char* name;
  Change change;
  Errc error;
};

std::vector<BadAnswer> bad_answers() {
  const std::string protocol = "Sec-WebSocket-Protocol: ";
  std::string many;
  for (int i = 0; i < 98; ++i) many += "X-" + std::to_string(i) + ": y\r\n";
  return {
      {"no Upgrade", without("Upgrade:"), Errc::upgrade_header_invalid},
      {"Upgrade twice", more("Upgrade: websocket\r\n"), Errc::upgrade_header_invalid},
      {"Upgrade to h2c", with("websocket", "h2c"), Errc::upgrade_header_invalid},
      {"Upgrade list", with("websocket", "websocket, h2c"), Errc::upgrade_header_invalid},
      {"no Connection", without("Connection:"), Errc::upgrade_header_invalid},
      {"Connection: close", with("Connection: Upgrade", "Connection: close"),
       Errc::upgrade_header_invalid},
      {"Connection without comma", with("Connection: Upgrade", "Connection: a Upgrade"),
       Errc::upgrade_header_invalid},
      {"no Accept", without("Sec-WebSocket-Accept"), Errc::accept_invalid},
      {"empty Accept", with("Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept:\r\nX: "),
       Errc::accept_invalid},
      {"Accept with more", with("Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x"),
       Errc::accept_invalid},
      {"Accept twice", more("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
       Errc::accept_invalid},
      {"an extension", more("Sec-WebSocket-Extensions: permessage-deflate\r\n"),
       Errc::extension_not_offered},
      {"an empty list of extensions", more("Sec-WebSocket-Extensions:\r\n"),
       Errc::extension_not_offered},
      {"another protocol", more(protocol + "other\r\n"), Errc::protocol_not_offered},
      {"protocol in another case", more(protocol + "Chat\r\n"), Errc::protocol_not_offered},
      {"two protocols", more(protocol + "chat, superchat\r\n"), Errc::protocol_not_offered},
      {"protocol twice", more(protocol + "chat\r\n" + protocol + "chat\r\n"),
       Errc::protocol_not_offered},
      {"empty protocol", more(protocol + "\r\n"), Errc::protocol_not_offered},
      {"HTTP/1.0", with("HTTP/1.1", "HTTP/1.0"), Errc::http_version_unsupported},
      {"HTTP/2.0", with("HTTP/1.1", "HTTP/2.0"), Errc::http_version_unsupported},
      {"HTTP/x", with("HTTP/1.1", "HTTP/1.x"), Errc::http_malformed},
      {"no space behind the version", with("HTTP/1.1 ", "HTTP/1.1"), Errc::http_malformed},
      {"two digits", with(" 101", " 10"), Errc::http_malformed},
      {"four digits", with(" 101", " 1010"), Errc::http_malformed},
      {"status below 100", with(" 101", " 099"), Errc::http_malformed},
      {"control in the reason", with("Switching", "Swit\x01hing"), Errc::http_malformed},
      {"bare LF", with("\r\nUpgrade", "\nUpgrade"), Errc::http_malformed},
      {"bare CR", more("X: a\rb\r\n"), Errc::http_malformed},
      {"folded line", more(" folded\r\n"), Errc::http_malformed},
      {"space before the colon", more("X : y\r\n"), Errc::http_malformed},
      {"empty name", more(": y\r\n"), Errc::http_malformed},
      {"NUL", more(std::string("X: \0\r\n", 6)), Errc::http_malformed},
      {"101 fields", more(many), Errc::too_many_header_fields},
      {"head over 16 KiB", more("X: " + std::string(16384, 'a') + "\r\n"), Errc::head_too_big},
  };
}

TEST(ClientHandshake, Rfc6455_4_1_InvalidResponsesFail) {
  for (const BadAnswer& row : bad_answers()) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{1} << 20}) {
      SCOPED_TRACE(std::string(row.name) + (piece == 1 ? ", byte by byte" : ""));
      ScriptedPeer peer([&](Socket& socket) {
        const std::string answer = row.change(upgrade_answer(socket.receive_head()));
        send_in_pieces(socket, answer + wire(Role::server, test::text("too late")), piece);
        // The client sends nothing, because there is no WebSocket to close.
        EXPECT_EQ(socket.receive(), "");
      });
      const auto client = dial(peer.url(), {.protocols = offered});
      ASSERT_FALSE(client);
      EXPECT_EQ(client.error().code(), row.error) << client.error().message();
      EXPECT_EQ(client.error().http_status(), 0) << "an invalid response is no refusal";
    }
  }
}

// ---- refusals

struct Refused {
  const char* name;
  std::string answer;
  int status;
  std::string body;
  bool ends = false;  // the server ends TCP after it
};

std::vector<Refused> refusals() {
  const std::string kib(1024, 'b');
  const std::string why = "X-Why: because\r\n";
  return {
      {"403", "HTTP/1.1 403 No\r\n" + why + "Content-Length: 5\r\n\r\nno go", 403, "no go"},
      {"no body", "HTTP/1.1 404 No\r\n" + why + "Content-Length: 0\r\n\r\n", 404, ""},
      {"204", "HTTP/1.1 204 No Content\r\n" + why + "\r\n", 204, ""},
      {"redirect", "HTTP/1.1 302 Found\r\n" + why + "Location: /\r\nContent-Length: 0\r\n\r\n", 302,
       ""},
      {"HTTP/1.0", "HTTP/1.0 500 Oh\r\n" + why + "\r\nbroken", 500, "broken", true},
      {"cut short", "HTTP/1.1 500 Oh\r\n" + why + "Content-Length: 50\r\n\r\nbro", 500, "bro",
       true},
      {"chunked",
       "HTTP/1.1 503 Busy\r\n" + why +
           "Transfer-Encoding: chunked\r\n\r\n3\r\nbus\r\n1;x=y\r\ny"
           "\r\n0\r\n\r\n",
       503, "busy"},
      {"a KiB", "HTTP/1.1 401 No\r\n" + why + "Content-Length: 1024\r\n\r\n" + kib, 401, kib},
      {"more than a KiB", "HTTP/1.1 401 No\r\n" + why + "Content-Length: 9999\r\n\r\n" + kib + kib,
       401, kib},
      {"endless", "HTTP/1.1 200 OK\r\n" + why + "\r\n" + kib + "and so on", 200, kib},
      {"behind an interim answer",
       "HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 426 No\r\n" + why + "Content-Length: 0\r\n\r\n", 426,
       ""},
  };
}

TEST(ClientHandshake, Rfc6455_4_1_RefusalHasStatusFieldsAndFirstKiB) {
  for (const Refused& row : refusals()) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{1} << 20}) {
      SCOPED_TRACE(std::string(row.name) + (piece == 1 ? ", byte by byte" : ""));
      ScriptedPeer peer([&](Socket& socket) {
        socket.receive_head();
        send_in_pieces(socket, row.answer, piece);
        if (row.ends) socket.shutdown_write();
        EXPECT_TRUE(socket.receive_end());  // the client does not wait for the rest
      });
      const auto client = dial(peer.url());
      ASSERT_FALSE(client);
      EXPECT_EQ(client.error().code(), Errc::upgrade_refused) << client.error().message();
      EXPECT_EQ(client.error().http_status(), row.status);
      EXPECT_EQ(client.error().header("x-why"), "because");
      EXPECT_EQ(client.error().body(), row.body);
    }
  }
}

// ---- frames behind the 101

TEST(ClientHandshake, Rfc6455_5_1_RejectsAMaskedFrameBehindThe101) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade({}, wire(Role::client, test::text("masked")));
    test::FrameSource frames(socket);
    EXPECT_EQ(frames.next_text(), test::failure(Errc::frame_masked));
    EXPECT_EQ(frames.next().opcode, 15u);
  });
  auto client = dial(peer.url());
  ASSERT_TRUE(client) << client.error().message();
  std::string payload;
  EXPECT_EQ(client->receive(payload).error().code(), Errc::frame_masked);
  EXPECT_FALSE(client->close());
  EXPECT_EQ(client->close_info().code, CloseCode::protocol_error);
}

TEST(ClientHandshake, Rfc6455_7_1_1_ClientEndsTcpIfTheServerDoesNot) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade({}, wire(Role::server, test::closing(1001, "bye")));
    test::FrameSource frames(socket);
    EXPECT_EQ(frames.next_text(), "close 1001");
    EXPECT_TRUE(socket.receive_end());  // the client ends TCP after its timeout
  });
  auto client = dial(peer.url());
  ASSERT_TRUE(client) << client.error().message();
  std::string payload;
  EXPECT_EQ(client->receive(payload).error().code(), Errc::closed);
  const auto start = Clock::now();
  EXPECT_TRUE(client->close(CloseCode::normal, {}, 200ms));
  EXPECT_GE(Clock::now() - start, 200ms);
  EXPECT_TRUE(client->close_info().clean) << "both Close frames crossed";
  EXPECT_EQ(client->close_info().code, CloseCode::going_away);
}

}  // namespace
}  // namespace tern
