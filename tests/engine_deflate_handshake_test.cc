// Negotiation of permessage-deflate with whole heads (RFC 7692 §7.1), and messages after it.
#include "tern/engine.h"

#include "support/engine_table.h"
#include "support/zlib_peer.h"

#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using Strings = std::vector<std::string>;

const std::string pmd = "permessage-deflate";
constexpr const char* field_name = "Sec-WebSocket-Extensions";
const Deflate both{.takeover = true, .peer_takeover = true, .min_bytes = 0};

std::string line(const std::string& value) {
  return value.empty() ? "" : std::string(field_name) + ": " + value + "\r\n";
}

EngineOptions with(const std::optional<Deflate>& deflate) { return {.deflate = deflate}; }

// Checks the agreement: the engine sends a long message, and receives a compressed one if agreed.
void talk(Peer& peer, const std::optional<DeflateAgreement>& agreed) {
  EXPECT_EQ(peer.engine().deflate(), agreed);
  EXPECT_TRUE(peer.engine().is_open());
  peer.echo = false;
  const std::string message = json(4000);
  peer.at_now().send(message);
  peer.turn();
  ASSERT_EQ(peer.reader().frames().size(), 1u);
  EXPECT_EQ(peer.reader().frames()[0].payload, message);
  EXPECT_EQ(peer.reader().frames()[0].rsv != 0, agreed && agreed->window_bits != 0);
  peer.events();
  if (!agreed) return;
  peer.receive(
      compressed(text(ZlibSender(std::max<int>(9, agreed->peer_window_bits)).message("Hello"))));
  EXPECT_EQ(peer.events(), Strings{"text Hello"});
}

TEST(EngineDeflateHandshake, Rfc7692_7_1_AServerKeepsToItsAnswer) {
  struct Row {
    const char* id;
    std::string offers;
    std::string answer;  // "(absent)"
    std::optional<DeflateAgreement> agreed{};
    std::optional<Deflate> options = both;
  };
  const std::vector<Row> table = {
      {"nothing offered", "", "(absent)"},
      {"off by default", pmd, "(absent)", {}, std::optional<Deflate>()},
      {"level 0", pmd, "(absent)", {}, Deflate{.level = 0}},
      {"taken", pmd + "; client_max_window_bits", pmd, {{15, 15, true, true}}},
      {"default options",
       pmd,
       pmd + "; server_no_context_takeover; client_no_context_takeover",
       {{15, 15, false, false}},
       Deflate{}},
      {"fallback",
       pmd + "; server_max_window_bits=8, " + pmd + "; server_max_window_bits=10",
       pmd + "; server_max_window_bits=10",
       {{10, 15, true, true}}},
      {"declined", pmd + "; mux", "(absent)"},
      {"another extension", "x-webkit-deflate-frame", "(absent)"},
  };
  for (const Row& row : table) {
    SCOPED_TRACE(row.id);
    Peer peer(Role::server, with(row.options), Start::handshake);
    peer.upgrade(line(row.offers));
    EXPECT_EQ(field(peer.head(), field_name), row.answer);
    talk(peer, row.agreed);
  }
}

TEST(EngineDeflateHandshake, Rfc6455_9_1_AMalformedListIsRefused) {
  for (const std::string& value : {pmd + ";", pmd + "; =1", pmd + " x", std::string("\"")}) {
    Peer peer(Role::server, with(both), Start::handshake);
    peer.upgrade(line(value));
    EXPECT_TRUE(peer.head().starts_with("HTTP/1.1 400 ")) << value;
  }
}

TEST(EngineDeflateHandshake, ARouteHasItsOwnOptions) {
  struct Row {
    const char* id;
    std::optional<Deflate> options;
    std::optional<Deflate> route;
    std::optional<DeflateAgreement> agreed;
  };
  const std::vector<Row> table = {
      {"only the route", {}, both, {{15, 15, true, true}}},
      {"not the route", both, Deflate{.level = 0}, {}},
      {"other options", both, Deflate{.window_bits = 9}, {{9, 15, false, false}}},
      {"no options of its own", both, {}, {{15, 15, true, true}}},
  };
  for (const Row& row : table) {
    SCOPED_TRACE(row.id);
    Peer peer(Role::server, with(row.options), Start::handshake);
    peer.accepts = false;
    peer.upgrade(line(pmd));
    EXPECT_FALSE(peer.engine().accept({.protocols = {"chat"}, .deflate = row.route}));
    peer.turn();
    talk(peer, row.agreed);
  }
}

TEST(EngineDeflateHandshake, ARouteMayAlsoHaveLimitsAndASubprotocol) {
  Peer peer(Role::server, with(both), Start::handshake);
  peer.accepts = false;
  peer.upgrade(line(pmd) + "Sec-WebSocket-Protocol: chat\r\n");
  EXPECT_FALSE(
      peer.engine().accept({.protocols = {"chat"}, .limits = Limits{.max_message_bytes = 5000}}));
  peer.turn();
  EXPECT_EQ(peer.engine().protocol(), "chat");
  talk(peer, DeflateAgreement{15, 15, true, true});
  peer.receive(compressed(text(ZlibSender().message(json(5001)))));
  EXPECT_EQ(peer.ending().error, Errc::message_too_big);
}

TEST(EngineDeflateHandshake, Rfc7692_7_1_AClientKeepsToTheAnswer) {
  struct Row {
    const char* id;
    std::optional<Deflate> options;
    std::string offer;
    std::string answer;
    std::optional<DeflateAgreement> agreed{};
    std::optional<Errc> error{};
  };
  const std::string usual = pmd + "; client_max_window_bits";
  const std::vector<Row> table = {
      {"off by default", {}, "(absent)", ""},
      {"an answer to nothing", {}, "(absent)", pmd, {}, Errc::extension_not_offered},
      {"declined", both, usual, ""},
      {"taken", both, usual, pmd, {{15, 15, true, true}}},
      {"limited",
       both,
       usual,
       pmd + "; client_max_window_bits=9; server_max_window_bits=10; client_no_context_takeover",
       {{9, 10, false, true}}},
      {"8 cannot be kept: plain",
       both,
       usual,
       pmd + "; client_max_window_bits=8",
       {{0, 15, false, true}}},
      {"a parameter that was not offered",
       both,
       usual,
       pmd + "; mux",
       {},
       Errc::extension_answer_invalid},
      {"another extension", both, usual, "foo", {}, Errc::extension_not_offered},
      {"a parameter that our offer excludes",
       Deflate{},
       usual + "; client_no_context_takeover; "
               "server_no_context_takeover",
       pmd,
       {},
       Errc::extension_answer_invalid},
  };
  for (const Row& row : table) {
    SCOPED_TRACE(row.id);
    Peer peer(Role::client, with(row.options), Start::handshake);
    EXPECT_EQ(field(peer.head(), field_name), row.offer);
    peer.upgrade(line(row.answer));
    if (row.error) {
      ASSERT_TRUE(peer.saw_closed());
      EXPECT_EQ(peer.ending().error, *row.error);
      EXPECT_FALSE(peer.ending().opened);
    } else {
      talk(peer, row.agreed);
    }
  }
}

// A compressed frame may follow the head directly. The bytes may be cut anywhere.
TEST(EngineDeflateHandshake, Rfc7692_6_ReadsCompressedFramesBehindTheHead) {
  for (const Role role : {Role::server, Role::client}) {
    const Role them = role == Role::server ? Role::client : Role::server;
    const std::string frames =
        wire(them, {compressed(text(ZlibSender().message("Hello"))), text("plain"),
                    compressed(binary(ZlibSender().message(json(2000))))});
    for (std::size_t piece : {std::size_t{1}, std::size_t{2}, std::size_t{7}, Peer::all}) {
      Peer peer(role, with(both), Start::handshake);
      const std::string head = role == Role::server ? upgrade_request(line(pmd))
                                                    : upgrade_answer(peer.head(), line(pmd));
      peer.receive(head + frames, piece);
      Strings expected = {"open", "text Hello", "text plain", "binary " + shown(json(2000))};
      if (role == Role::server) expected.insert(expected.begin(), "request GET /echo");
      EXPECT_EQ(peer.events(), expected);
      EXPECT_EQ(peer.reader().fault(), "");
    }
  }
}

// Every combination of options: one engine is the server and one the client.
TEST(EngineDeflateHandshake, Rfc7692_7_1_OurEnginesUnderstandEachOther) {
  const Strings messages = {json(3000), json(3000), noise(2000), json(50'000), "", json(3000)};
  for (int flags = 0; flags < 64; ++flags) {
    SCOPED_TRACE(flags);
    const auto window = [&](int bit) { return (flags & bit) != 0 ? 9 : 15; };
    const Deflate server_options{.window_bits = window(4),
                                 .peer_window_bits = window(8),
                                 .takeover = (flags & 1) != 0,
                                 .peer_takeover = (flags & 2) != 0,
                                 .min_bytes = 0};
    const Deflate client_options{.window_bits = window(16),
                                 .peer_window_bits = window(32),
                                 .takeover = (flags & 2) != 0,
                                 .peer_takeover = (flags & 1) != 0,
                                 .min_bytes = 0};
    Peer server(Role::server, with(server_options), Start::handshake);
    Peer client(Role::client, with(client_options), Start::handshake);
    client.echo = false;
    server.receive(client.written());
    std::size_t read = 0;
    std::size_t fed = client.written().size();
    client.receive(server.written());
    read = server.written().size();
    ASSERT_TRUE(client.engine().is_open() && server.engine().is_open());
    const DeflateAgreement ours = *client.engine().deflate();
    const DeflateAgreement theirs = *server.engine().deflate();
    EXPECT_EQ(ours.window_bits, theirs.peer_window_bits);
    EXPECT_EQ(ours.peer_window_bits, theirs.window_bits);
    EXPECT_EQ(ours.takeover, theirs.peer_takeover);
    EXPECT_EQ(ours.peer_takeover, theirs.takeover);
    client.events();
    for (const std::string& message : messages) {
      client.at_now().send(Message(MessageType::binary, message));
      client.turn();
      server.receive(client.written().substr(fed));
      fed = client.written().size();
      client.receive(server.written().substr(read));
      read = server.written().size();
      const std::string payload = shown(message);
      EXPECT_EQ(client.events(), Strings{payload.empty() ? "binary" : "binary " + payload});
    }
  }
}

}  // namespace
}  // namespace tern::test
