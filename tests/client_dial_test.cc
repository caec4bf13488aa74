// dial(): every error names host and stage, and the deadline holds in each stage.
#include "tern/dial.h"

#include "support/engine_server.h"
#include "support/socket_peer.h"

#include <future>
#include <gtest/gtest.h>

namespace tern {
namespace {

using namespace std::chrono_literals;
using test::Listener;
using test::ScriptedPeer;
using test::Socket;
using Clock = std::chrono::steady_clock;

// The result of a failed dial: the code and the whole message.
struct Failure {
  std::error_code code{};
  std::string message{};
  bool operator==(const Failure&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Failure& failure) {
  return out << failure.code << " \"" << failure.message << '"';
}

Failure dial_failure(const std::string& url, const DialOptions& options = {}) {
  const auto client = dial(url, options);
  if (client) return {};
  return {client.error().code(), client.error().message()};
}

TEST(ClientDial, Rfc6455_3_RefusesAnInvalidUrl) {
  EXPECT_EQ(dial_failure("http://localhost/"),
            (Failure{Errc::url_invalid,
                     "the URL does not begin with ws:// or wss://: not a "
                     "valid ws:// or wss:// URL"}));
  EXPECT_EQ(dial_failure("").code, Errc::url_invalid);
  EXPECT_EQ(dial_failure("ws://host:0/").code, Errc::url_invalid);
  EXPECT_EQ(dial_failure("ws://host/#part").code, Errc::url_invalid);
}

TEST(ClientDial, ErrorsDoNotContainTheQuery) {
  const ScriptedPeer peer([](Socket& socket) { socket.receive_end(); });
  const Failure failure =
      dial_failure("wss://" + peer.authority() + "/echo?secret", {.timeout = 200ms});
  EXPECT_EQ(failure, (Failure{Errc::handshake_timeout,
                              "TLS wss://" + peer.authority() +
                                  "/echo: in the TLS handshake: the opening handshake took too "
                                  "long"}));
}

TEST(ClientDial, ErrorNamesAHostWithoutAddress) {
  const Failure failure = dial_failure("ws://no-such-host.invalid/");  // RFC 6761 §6.4
  EXPECT_EQ(failure.code, Errc::name_not_resolved) << failure;
  EXPECT_TRUE(failure.message.starts_with("resolve no-such-host.invalid")) << failure;
}

TEST(ClientDial, ConnectionRefusedNamesTheAddress) {
  const test::RefusedPort port;
  EXPECT_EQ(dial_failure(port.url()),
            (Failure{std::error_code(ECONNREFUSED, std::system_category()),
                     "connect " + port.authority() + ": Connection refused"}));
}

TEST(ClientDial, Rfc6455_4_1_SendsTheRequestAndReadsTheResponse) {
  std::string head;
  ScriptedPeer peer([&](Socket& socket) {
    head = socket.upgrade("Sec-WebSocket-Protocol: chat\r\nX-Server: tern\r\n");
    socket.receive_end();
  });
  {
    auto client = dial(peer.url("/a/b?c=d"),
                       {.protocols = {"superchat", "chat"}, .headers = {{"Origin", "null"}}});
    ASSERT_TRUE(client) << client.error().message();
    EXPECT_EQ(client->protocol(), "chat");
    EXPECT_EQ(client->header("x-server"), "tern");
    EXPECT_EQ(client->header("absent"), "");
    EXPECT_EQ(client->remote_address(), peer.authority());
  }
  peer.join();
  EXPECT_TRUE(head.starts_with("GET /a/b?c=d HTTP/1.1\r\n")) << head;
  EXPECT_EQ(test::field(head, "Host"), peer.authority());
  EXPECT_EQ(test::field(head, "Sec-WebSocket-Protocol"), "superchat, chat");
  EXPECT_EQ(test::field(head, "Origin"), "null");
}

TEST(ClientDial, LocalhostConnectsToAnIpv4Listener) {
  ScriptedPeer peer([](Socket& socket) { test::serve_echo(socket); });
  auto client = dial("ws://localhost:" + std::to_string(peer.port()) + "/");
  ASSERT_TRUE(client) << client.error().message();
  EXPECT_EQ(client->remote_address(), peer.authority());
}

TEST(ClientDial, RefusesToSendAnInvalidHeader) {
  ScriptedPeer peer([](Socket& socket) { EXPECT_EQ(socket.receive(), ""); });
  EXPECT_EQ(dial_failure(peer.url(), {.headers = {{"X", "a\r\nY: b"}}}),
            (Failure{Errc::invalid_header,
                     "dial " + peer.url() +
                         ": headers: header field \"X\": the value has a control character"}));
}

// No connection is made for options that can never work.
TEST(ClientDial, RefusesOptionsThatCanNeverWork) {
  const std::string url = "ws://localhost:9/x";
  const std::string stage = "dial " + url + ": ";
  const std::tuple<DialOptions, Errc, std::string> cases[] = {
      {{.timeout = -1ns}, Errc::options_invalid, "timeout is negative"},
      {{.limits = {.max_message_bytes = 0}},
       Errc::options_invalid,
       "limits.max_message_bytes is 0"},
      {{.limits = {.max_queued_bytes = 1000}},
       Errc::options_invalid,
       "limits.high_water_bytes (262144) is above limits.max_queued_bytes (1000)"},
      {{.timeouts = {.stall = -1s}}, Errc::options_invalid, "timeouts.stall is negative"},
      {{.timeouts = {.pong = 0s}}, Errc::options_invalid, "timeouts.pong is 0"},
      {{.protocols = {"a b"}},
       Errc::invalid_header,
       "protocols: subprotocol \"a b\": it is no token"},
      {{.protocols = {"a", "a"}},
       Errc::invalid_header,
       "protocols: subprotocol \"a\": it occurs twice"},
      {{.headers = {{"Sec-WebSocket-Key", "x"}}},
       Errc::invalid_header,
       "headers: header field \"Sec-WebSocket-Key\": tern writes this field itself"},
      {{.headers = {{"host", "x"}}},
       Errc::invalid_header,
       "headers: header field \"Host\": use DialOptions::host"},
  };
  for (const auto& [options, code, text] : cases) {
    const auto [error, message] = dial_failure(url, options);
    EXPECT_EQ(error, code);
    EXPECT_TRUE(message.starts_with(stage + text)) << message;
  }
}

// OpenSSL matches a name with a leading dot with every subdomain, and an empty name with any
// server.
TEST(ClientDial, Rfc9525_RefusesAServerNameThatManyCouldMatch) {
  for (const std::string& name : {std::string("."), std::string(".localhost"), std::string(".."),
                                  std::string("localhost\0.example", 18)}) {
    DialOptions options;
    options.tls.server_name = name;
    const auto [error, message] = dial_failure("wss://localhost:9/", options);
    EXPECT_EQ(error, Errc::options_invalid) << name << ": " << message;
    EXPECT_NE(message.find("is no name of a server"), std::string::npos) << message;
  }
  const auto [error, message] = dial_failure("wss://.localhost:9/", {});
  EXPECT_EQ(error, Errc::options_invalid) << message;
}

// ---- responses of the server

TEST(ClientDial, Rfc6455_4_1_RefusalKeepsStatusFieldsAndBody) {
  ScriptedPeer peer([](Socket& socket) {
    socket.receive_head();
    socket.send(
        "HTTP/1.1 403 No\r\nContent-Length: 12\r\nX-Why: origin\r\n\r\nnot for you\n"
        "and what is behind");
    socket.receive_end();
  });
  const auto client = dial(peer.url("/chat?token=secret"));
  ASSERT_FALSE(client);
  const Error& error = client.error();
  EXPECT_EQ(error.code(), Errc::upgrade_refused);
  EXPECT_EQ(error.http_status(), 403);
  EXPECT_EQ(error.header("x-why"), "origin");
  EXPECT_EQ(error.body(), "not for you\n");
  EXPECT_EQ(error.message(),
            "upgrade " + peer.url("/chat") +
                ": the server did not switch to WebSocket (HTTP 403 Forbidden): not "
                "for you");
}

struct Answer {
  const char* name;
  std::string bytes;
  Errc expected;
  int status = 0;
  std::string text{};  // after "upgrade ws://…"
};

TEST(ClientDial, Rfc6455_4_1_ErrorNamesWhyAResponseIsNoUpgrade) {
  const std::string upgrade =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
  const Answer answers[] = {
      {"nothing", "", Errc::end_of_stream, 0,
       ": the server ended the connection without an answer; if it serves TLS on this port, dial "
       "wss://"},
      {"half a head", "HTTP/1.1 101 Switch", Errc::end_of_stream, 0,
       ": the server ended the connection in the middle of its answer; if"},
      {"an alert of TLS", std::string("\x15\x03\x03\x00\x02\x02\x46", 7), Errc::http_malformed, 0,
       ": the server speaks TLS on this port: wss:// does, ws:// does not"},
      {"no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", Errc::http_malformed},
      {"no accept", upgrade + "\r\n", Errc::accept_invalid},
      {"wrong accept", upgrade + "Sec-WebSocket-Accept: AAAA\r\n\r\n", Errc::accept_invalid},
      {"redirect", "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
       Errc::upgrade_refused, 302},
      {"body up to the end of TCP", "HTTP/1.1 500 Oh\r\n\r\nbroken", Errc::upgrade_refused, 500},
      {"body that is cut", "HTTP/1.1 500 Oh\r\nContent-Length: 99\r\n\r\nbroken",
       Errc::upgrade_refused, 500,
       ": the server did not switch to WebSocket (HTTP 500 Internal Server Error): broken"},
  };
  for (const Answer& answer : answers) {
    SCOPED_TRACE(answer.name);
    ScriptedPeer peer([&](Socket& socket) {
      socket.receive_head();
      socket.send(answer.bytes);
      socket.shutdown_write();
      EXPECT_TRUE(socket.receive_end());
    });
    const auto client = dial(peer.url());
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().code(), answer.expected) << client.error().message();
    EXPECT_EQ(client.error().http_status(), answer.status);
    EXPECT_TRUE(client.error().message().starts_with("upgrade " + peer.url() + answer.text))
        << client.error().message();
  }
}

TEST(ClientDial, ErrorReportsAResetInTheHandshake) {
  ScriptedPeer peer([](Socket& socket) {
    socket.receive_head();
    socket.reset();
  });
  EXPECT_EQ(dial_failure(peer.url()),
            (Failure{Errc::connection_reset, "upgrade " + peer.url() +
                                                 ": the server ended the connection without an "
                                                 "answer: the connection was reset"}));
}

TEST(ClientDial, FramesInTheSegmentOfThe101AreDelivered) {
  ScriptedPeer peer([](Socket& socket) {
    const std::vector<test::Frame> frames = {test::text("first"), test::ping("p"),
                                             test::binary("second"), test::closing(1001, "bye")};
    socket.upgrade({}, test::wire(Role::server, frames));
    test::FrameSource client(socket);
    EXPECT_EQ(client.next_text(), "pong p");
    EXPECT_EQ(client.next_text(), "close 1001");
  });
  auto client = dial(peer.url());
  ASSERT_TRUE(client) << client.error().message();
  std::string payload;
  EXPECT_EQ(client->receive(payload).value(), MessageType::text);
  EXPECT_EQ(payload, "first");
  EXPECT_EQ(client->receive(payload).value(), MessageType::binary);
  EXPECT_EQ(payload, "second");
  EXPECT_EQ(client->receive(payload).error().code(), Errc::closed);
  EXPECT_TRUE(client->close_info().clean);
}

// ---- the deadline

TEST(ClientDial, DeadlineHoldsWhenTheServerNeverAccepts) {
  const Listener listener;  // the kernel connects, but no program answers
  const auto start = Clock::now();
  EXPECT_EQ(dial_failure(listener.url(), {.timeout = 1s}),
            (Failure{Errc::handshake_timeout,
                     "upgrade " + listener.url() + ": the opening handshake took too long"}));
  const auto took = Clock::now() - start;
  EXPECT_GE(took, 1s);
  EXPECT_LT(took, 30s);
}

TEST(ClientDial, DeadlineHoldsInTheMiddleOfAnAnswer) {
  for (const char* part : {"HTTP/1.1 101 Switching Prot", "HTTP/1.1 403 No\r\n\r\nnot"}) {
    SCOPED_TRACE(part);
    ScriptedPeer peer([&](Socket& socket) {
      socket.receive_head();
      socket.send(part);
      socket.receive_end();
    });
    const auto start = Clock::now();
    const Failure failure = dial_failure(peer.url(), {.timeout = 2s});
    const auto took = Clock::now() - start;
    const bool refused = std::string_view(part).find("403") != std::string_view::npos;
    EXPECT_EQ(failure.code, refused ? Errc::upgrade_refused : Errc::handshake_timeout);
    EXPECT_GE(took, 2s);
    EXPECT_LT(took, 30s);
  }
}

TEST(ClientDial, DestructionEndsTcpAtOnce) {
  std::promise<bool> ended;
  ScriptedPeer peer([&](Socket& socket) {
    socket.upgrade();
    ended.set_value(socket.receive_end());
  });
  {
    auto client = dial(peer.url());
    ASSERT_TRUE(client);
    BlockingClient moved = *std::move(client);
    BlockingClient assigned(std::move(moved));
    EXPECT_TRUE(assigned.send("hello"));
  }
  EXPECT_TRUE(ended.get_future().get());
}

}  // namespace
}  // namespace tern
