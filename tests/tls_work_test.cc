// Tests the limits of work: for one call of a TLS transport, and for all handshakes in one turn.
#include "net/loop_core.h"
#include "support/tls_pair.h"
#include "tls/transport.h"

#include <gtest/gtest.h>
#include <string>

namespace tern::test {
namespace {

using State = net::Transport::State;

const Authority& authority() {
  static const Authority made;
  return made;
}

TlsPair localhost() { return TlsPair(server_of(authority().leaf), trusting(authority().ca)); }

// ---- peers that cause work

// The client requests new keys a thousand times, and then sends one byte.
void ask_for_keys(TlsPair& pair) {
  SSL& ssl = *pair.client.ssl;
  pair.rules.capacity = WireRules::all;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(SSL_key_update(&ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    ASSERT_EQ(SSL_do_handshake(&ssl), 1);
  }
  const iovec from{const_cast<char*>("x"), 1};
  ASSERT_EQ(pair.client.tls->write({&from, 1}).bytes, 1u);
}

// Reads as often as the transport reports that there is more.
State read_while_more(net::Transport& transport, std::span<const iovec> into) {
  for (;;) {
    const net::Transport::Transfer got = transport.read(into);
    if (!got.more) return got.state;
  }
}

// The server answers each request for new keys with as many bytes.
TEST(TlsWork, StopsReadingWhileItsAnswersAreNotRead) {
  TlsPair pair = localhost();
  pair.shake_hands();
  pair.run();
  char buffer[1000];
  const iovec into{buffer, sizeof buffer};
  std::size_t asked = 0;
  for (State state = State::ok; state == State::ok && asked < 100; ++asked) {
    ask_for_keys(pair);
    pair.rules.capacity = 0;
    state = read_while_more(*pair.server.tls, {&into, 1});
    EXPECT_NE(state, State::failed);
  }
  EXPECT_GT(asked, 5u);
  EXPECT_LT(asked, 20u);  // 256 KiB of answers, and the answers to one more read
  const std::size_t unread = pair.to_server.bytes.size();
  EXPECT_EQ(pair.server.tls->read({&into, 1}).state, State::wait_write);
  EXPECT_EQ(pair.to_server.bytes.size(), unread);
  // When the peer reads again, the server reads the rest.
  pair.rules.capacity = WireRules::all;
  pair.run();
  EXPECT_FALSE(pair.server.tls->has_unsent());
  EXPECT_EQ(pair.to_server.bytes, "");
  EXPECT_FALSE(pair.server.over());
}

// Records without plaintext never fill the reader's room. So a call ends after 256 records.
TEST(TlsWork, DeciphersAtMost256RecordsInOneCall) {
  TlsPair pair = localhost();
  pair.shake_hands();
  pair.run();
  ask_for_keys(pair);
  char buffer[1000];
  const iovec into{buffer, sizeof buffer};
  for (int call = 0; call < 3; ++call) {
    const net::Transport::Transfer got = pair.server.tls->read({&into, 1});
    EXPECT_EQ(got.state, State::wait_read) << "768 of 1001 records";
    EXPECT_TRUE(got.more);
  }
  const net::Transport::Transfer last = pair.server.tls->read({&into, 1});
  EXPECT_EQ(last.bytes, 1u);
  EXPECT_FALSE(last.more);
}

// A record may be one byte and 16 KiB of padding (RFC 8446 §5.4). 256 of them would be 4 MiB to
// decipher in one call.
TEST(TlsWork, ReceivesAtMostFourBuffersInOneCall) {
  TlsPair pair = localhost();
  pair.shake_hands();
  pair.run();
  ASSERT_EQ(SSL_set_block_padding(pair.client.ssl, SSL3_RT_MAX_PLAIN_LENGTH), 1);
  for (int i = 0; i < 256; ++i) {
    pair.client.to_write = "x";
    pair.client.turn();
  }
  const std::size_t before = pair.to_server.bytes.size();
  ASSERT_GT(before, std::size_t{4} << 20);
  char buffer[1000];
  const iovec into{buffer, sizeof buffer};
  EXPECT_GT(pair.server.tls->read({&into, 1}).bytes, 0u);
  EXPECT_LE(before - pair.to_server.bytes.size(), 4 * pair.scratch.input().size());
}

TEST(TlsWork, ARecordOfOneByteCountsLikeALargeOne) {
  TlsPair pair = localhost();
  pair.shake_hands();
  pair.run();
  pair.rules.capacity = WireRules::all;
  const iovec from{const_cast<char*>("x"), 1};
  for (int i = 0; i < 300; ++i) ASSERT_EQ(pair.client.tls->write({&from, 1}).bytes, 1u);
  char buffer[1000];
  const iovec into{buffer, sizeof buffer};
  const net::Transport::Transfer got = pair.server.tls->read({&into, 1});
  EXPECT_EQ(got.bytes, 256u);
  EXPECT_TRUE(got.more);
  EXPECT_EQ(pair.server.tls->read({&into, 1}).bytes, 44u);
}

// A large page to a fast reader must not block the loop until all of it is written.
TEST(TlsWork, EnciphersAtMostOneMebibyteInOneCall) {
  TlsPair pair = localhost();
  pair.shake_hands();
  pair.run();
  std::string page(std::size_t{8} << 20, 'p');
  iovec from{page.data(), page.size()};
  const net::Transport::Transfer put = pair.server.tls->write({&from, 1});
  EXPECT_EQ(put.state, State::ok);
  EXPECT_LE(put.bytes, (std::size_t{1} << 20) + (std::size_t{16} << 10));
  EXPECT_GE(put.bytes, std::size_t{1} << 20);
  EXPECT_FALSE(pair.server.tls->has_unsent());
}

// ---- the limit of handshake steps in a turn

void next_turn(net::LoopCore& loop) {
  ASSERT_TRUE(loop.mailbox()->post([&] { loop.stop(); }));
  ASSERT_TRUE(loop.run());
}

TEST(TlsWork, AHandshakeWaitsIfTheTurnHasNoStepsLeft) {
  TlsPair pair = localhost();
  net::LoopCore loop({});
  tls::Scratch scratch(&loop);
  auto context = tls::ServerContext::load(server_of(authority().leaf));
  ASSERT_TRUE(context);
  pair.server.tls = tls::TlsTransport::server(
      std::make_unique<WireEnd>(pair.to_server, pair.to_client, pair.rules), *context, scratch);
  while (scratch.take_handshake_step()) {
  }
  pair.client.to_write = "hello";
  pair.run();
  EXPECT_EQ(pair.server.got, "") << "the handshake went on without a step";
  EXPECT_NE(pair.to_server.bytes, "");
  EXPECT_FALSE(pair.server.over());
  // A turn is over after 4 ms, so a slow machine needs several of them.
  for (int turn = 0; turn < 100 && pair.server.got.empty(); ++turn) {
    next_turn(loop);
    pair.run();
  }
  EXPECT_EQ(pair.server.got, "hello");
  // The limit does not apply when the handshake is done.
  while (scratch.take_handshake_step()) {
  }
  pair.client.to_write = " again";
  pair.run();
  EXPECT_EQ(pair.server.got, "hello again");
}

TEST(TlsWork, ATurnAllowsALimitedNumberOfHandshakeSteps) {
  net::LoopCore loop({});
  tls::Scratch scratch(&loop);
  unsigned steps = 0;  // on a busy machine, 4 ms may allow only one step
  while (scratch.take_handshake_step()) ++steps;
  EXPECT_GE(steps, 1u);
  EXPECT_LE(steps, tls::Scratch::handshake_steps);
  next_turn(loop);
  EXPECT_TRUE(scratch.take_handshake_step());
  tls::Scratch unlimited;
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(unlimited.take_handshake_step());
}

}  // namespace
}  // namespace tern::test
