// TlsTransport over a transport in memory, which can cut the bytes and fail any call.
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

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
  return text;
}

struct Version {
  int number;
  const char* name;
};
constexpr Version versions[] = {{TLS1_2_VERSION, "TLSv1.2"}, {TLS1_3_VERSION, "TLSv1.3"}};

TEST(TlsTransport, SpeaksBothVersions) {
  for (const Version& version : versions) {
    SCOPED_TRACE(version.name);
    TlsPair pair(server_of(authority().leaf), trusting(authority().ca));
    pair.only_version(version.number);
    pair.shake_hands();
    EXPECT_STREQ(SSL_get_version(pair.server.ssl), version.name);
    pair.server.to_write = "answer";
    pair.run();
    EXPECT_EQ(pair.client.got, "answer");
    EXPECT_FALSE(pair.client.over());
  }
}

// One end, in turn, speaks only the old version. The ciphers and security level of both are opened,
// so that only the minimum version of the other end refuses it: with a lower minimum, they connect.
TEST(TlsTransport, Rfc8996_RefusesOldVersions) {
  for (const bool server_is_old : {false, true}) {
    for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
      for (const bool lowered : {false, true}) {
        SCOPED_TRACE(std::to_string(version) + (server_is_old ? " server" : " client") +
                     (lowered ? " lowered" : ""));
        TlsPair pair = localhost();
        SSL& server = *pair.server.ssl;
        SSL& client = *pair.client.ssl;
        for (SSL* const end : {&server, &client}) {
          SSL_set_cipher_list(end, "ALL:@SECLEVEL=0");
        }
        SSL_set_min_proto_version(server_is_old ? &server : &client, version);
        SSL_set_max_proto_version(server_is_old ? &server : &client, version);
        if (lowered) SSL_set_min_proto_version(server_is_old ? &client : &server, version);
        pair.client.to_write = "hello";
        pair.run();
        EXPECT_EQ(pair.server.got, lowered ? "hello" : "");
        if (lowered) continue;
        EXPECT_EQ(pair.server.last.error, Errc::tls_failed);
        EXPECT_EQ(pair.client.last.error, Errc::tls_failed);
        if (server_is_old) continue;
        const std::string why = pair.server.tls->explanation();
        EXPECT_NE(why.find("neither TLS 1.2 nor 1.3"), std::string::npos) << why;
      }
    }
  }
}

TEST(TlsTransport, Rfc9325_4_2_UsesOnlyAuthenticatedEncryption) {
  const std::pair<const char*, bool> ciphers[] = {{"ECDHE-ECDSA-AES128-GCM-SHA256", true},
                                                  {"ECDHE-ECDSA-CHACHA20-POLY1305", true},
                                                  {"ECDHE-ECDSA-AES128-SHA", false},
                                                  {"ECDHE-ECDSA-AES256-SHA384", false}};
  for (const auto& [cipher, accepted] : ciphers) {
    SCOPED_TRACE(cipher);
    TlsPair pair = localhost();
    pair.only_version(TLS1_2_VERSION);
    ASSERT_EQ(SSL_set_cipher_list(pair.client.ssl, cipher), 1);
    pair.client.to_write = "hello";
    pair.run();
    EXPECT_EQ(pair.server.got, accepted ? "hello" : "");
    EXPECT_EQ(pair.server.last.error, accepted ? std::error_code() : Errc::tls_failed);
  }
}

// The bytes are cut on their way in and on their way out.
TEST(TlsTransport, EveryCutGivesTheSame) {
  for (const Version& version : versions) {
    for (const int bytes : {1, 2, 3, 5, 7, 21, 100, 1000}) {
      const auto step = static_cast<std::size_t>(bytes);
      SCOPED_TRACE(version.name + std::string(", ") + std::to_string(step));
      TlsPair pair(server_of(authority().leaf), trusting(authority().ca));
      pair.only_version(version.number);
      pair.rules.read_at_most = pair.rules.write_at_most = step;
      pair.client.room = pair.server.room = step;
      pair.client.to_write = pattern(20'000);
      pair.server.to_write = pattern(1'000);
      pair.run();
      EXPECT_EQ(pair.server.got, pattern(20'000));
      EXPECT_EQ(pair.client.got, pattern(1'000));
      pair.client.tls->shutdown_write();
      pair.run();
      EXPECT_EQ(pair.server.last.state, State::end);
    }
  }
}

// Each call in turn fails. An end reports it, neither end hangs, and the bytes before it are
// correct.
TEST(TlsTransport, ReportsTheFailureOfAnyCall) {
  std::size_t failures = 0;
  for (std::size_t n = 1;; ++n) {
    SCOPED_TRACE(n);
    TlsPair pair(server_of(authority().leaf), trusting(authority().ca));
    pair.rules.fail_at = n;
    pair.rules.write_at_most = pair.rules.read_at_most = 700;
    pair.client.to_write = pattern(3'000);
    pair.server.to_write = pattern(2'000);
    pair.run();
    EXPECT_TRUE(pattern(3'000).starts_with(pair.server.got));
    EXPECT_TRUE(pattern(2'000).starts_with(pair.client.got));
    if (pair.rules.calls < n) {
      EXPECT_EQ(pair.server.got.size(), 3'000u);
      EXPECT_EQ(pair.client.got.size(), 2'000u);
      break;
    }
    const auto io_error = std::make_error_code(std::errc::io_error);
    const bool reported = pair.client.last.error == io_error ||
                          pair.client.write_error == io_error ||
                          pair.server.last.error == io_error || pair.server.write_error == io_error;
    EXPECT_TRUE(reported);
    ++failures;
  }
  EXPECT_GT(failures, 20u);
}

TEST(TlsTransport, ASmallEchoTakesOneReadAndOneWrite) {
  TlsPair pair = localhost();
  pair.shake_hands();
  pair.server.to_write = "settle";  // after this, no tickets are on the way
  pair.run();
  pair.client.to_write = "ping";
  pair.client.turn();
  pair.rules.reads = pair.rules.writes = 0;
  pair.server.turn();
  EXPECT_EQ(pair.server.got, "ping");
  EXPECT_EQ(pair.rules.reads, 1u);
  EXPECT_EQ(pair.rules.writes, 0u);
  pair.server.to_write = "pong";
  const iovec from{pair.server.to_write.data(), 4};
  EXPECT_EQ(pair.server.tls->write({&from, 1}).bytes, 4u);
  EXPECT_EQ(pair.rules.reads, 1u);
  EXPECT_EQ(pair.rules.writes, 1u);
}

TEST(TlsTransport, ManyRecordsTakeOneReadAndOneWrite) {
  TlsPair pair = localhost();
  pair.shake_hands();
  pair.run();
  pair.rules.reads = pair.rules.writes = 0;
  std::string header = "head", body = pattern(60'000), tail = "tail";
  const iovec from[] = {{header.data(), 4}, {body.data(), body.size()}, {tail.data(), 4}};
  EXPECT_EQ(pair.client.tls->write(from).bytes, 60'008u);
  EXPECT_EQ(pair.rules.writes, 1u);
  EXPECT_LT(pair.to_server.bytes.size(), 60'008u + 4 * 22 + 1);  // four records, not six
  pair.server.turn();
  EXPECT_EQ(pair.rules.reads, 1u);
  EXPECT_EQ(pair.server.got, header + body + tail);
}

TEST(TlsTransport, SendsLaterWhatTheSystemDoesNotTake) {
  TlsPair pair = localhost();
  pair.shake_hands();
  pair.rules.capacity = 1000;
  std::string message = pattern(300'000);
  pair.client.to_write = message;
  pair.client.turn();
  EXPECT_TRUE(pair.client.tls->has_unsent());
  EXPECT_GT(pair.client.to_write.size(), 100'000u);  // it takes no more until that is sent
  const std::size_t left = pair.client.to_write.size();
  pair.client.turn();
  EXPECT_EQ(pair.client.to_write.size(), left);
  pair.run();
  EXPECT_EQ(pair.server.got, message);
  EXPECT_FALSE(pair.client.tls->has_unsent());
}

// While a record is unsent, its last byte does not count as written. So the writer notices a peer
// that stalls.
TEST(TlsTransport, TheLastByteOfAnUnsentRecordIsNotWritten) {
  for (const std::size_t size : {2u, 100u, 40'000u}) {
    SCOPED_TRACE(size);
    TlsPair pair = localhost();
    pair.shake_hands();
    pair.rules.capacity = 0;
    std::string message = pattern(size);
    pair.client.to_write = message;
    pair.client.turn();
    EXPECT_TRUE(pair.client.tls->has_unsent());
    EXPECT_EQ(pair.client.to_write, message.substr(size - 1));
    pair.client.to_write += "behind";
    pair.rules.capacity = WireRules::all;
    pair.run();
    EXPECT_EQ(pair.client.to_write, "");
    EXPECT_EQ(pair.server.got, message + "behind");

    pair.server.got.clear();  // the same without bytes behind it
    pair.rules.capacity = 0;
    pair.client.to_write = message;
    pair.client.turn();
    pair.rules.capacity = WireRules::all;
    pair.run();
    EXPECT_EQ(pair.client.to_write, "");
    EXPECT_EQ(pair.server.got, message);
  }
}

TEST(TlsTransport, CloseNotifyWaitsForUnsentBytes) {
  TlsPair pair = localhost();
  pair.shake_hands();
  pair.rules.capacity = 1000;
  pair.client.to_write = pattern(50'000);
  pair.client.turn();
  ASSERT_TRUE(pair.client.tls->has_unsent());
  pair.client.tls->shutdown_write();
  EXPECT_FALSE(pair.to_server.ended);
  pair.run();
  EXPECT_TRUE(pair.to_server.ended);
  EXPECT_EQ(pair.server.got, pattern(50'000));
  EXPECT_EQ(pair.server.last.state, State::end);
}

TEST(TlsTransport, Rfc8446_6_1_FinWithoutCloseNotifyIsTruncation) {
  TlsPair pair = localhost();
  pair.shake_hands();
  pair.client.to_write = "last";
  pair.client.turn();
  pair.to_server.ended = true;
  pair.run();
  EXPECT_EQ(pair.server.got, "last");
  EXPECT_EQ(pair.server.last.error, Errc::tls_truncated);
  // The error does not affect the next connection of this thread.
  TlsPair next = localhost();
  next.shake_hands();
}

// The system reports a reset once. If it reports it to a write, a later read finds only an end.
TEST(TlsTransport, AResetReportedToAWriteIsNoTruncation) {
  TlsPair greeted = localhost();
  greeted.client.to_write = "hello";
  greeted.client.turn();
  greeted.rules.write_error = make_error_code(Errc::connection_reset);
  greeted.to_server.ended = true;
  for (int i = 0; i < 2; ++i) greeted.server.turn();
  EXPECT_EQ(greeted.server.last.error, Errc::connection_reset);

  TlsPair open = localhost();
  open.shake_hands();
  open.client.to_write = "last";
  open.client.turn();
  open.rules.write_error = make_error_code(Errc::connection_reset);
  open.to_server.ended = true;
  const iovec from{const_cast<char*>("x"), 1};
  open.server.tls->write({&from, 1});
  for (int i = 0; i < 2; ++i) open.server.turn();
  EXPECT_EQ(open.server.got, "last");
  EXPECT_EQ(open.server.last.error, Errc::connection_reset);
}

// A read must report it, because the bytes that cannot be written may be an answer that reading
// caused.
TEST(TlsTransport, AReadReportsAFailedWriteAtOnce) {
  TlsPair greeted = localhost();
  greeted.client.to_write = "hello";
  greeted.client.turn();
  greeted.rules.write_error = make_error_code(Errc::no_memory);
  greeted.server.turn();
  EXPECT_EQ(greeted.server.last.error, Errc::no_memory);

  TlsPair open = localhost();
  open.shake_hands();
  open.client.to_write = "last";
  open.client.turn();
  open.rules.write_error = make_error_code(Errc::connection_reset);
  const iovec from{const_cast<char*>("lost"), 4};
  const auto put = open.server.tls->write({&from, 1});
  EXPECT_EQ(put.state, State::failed);
  EXPECT_EQ(put.error, Errc::connection_reset);
  open.server.turn();
  EXPECT_EQ(open.server.got, "last") << "bytes that arrived before the failure are lost";
  open.server.turn();
  EXPECT_EQ(open.server.last.error, Errc::connection_reset);
}

// The descriptor does not report an end that TLS has already read. `more` reports it.
TEST(TlsTransport, ReportsMoreForAnEndInTheSameRead) {
  TlsPair pair = localhost();
  pair.shake_hands();
  pair.run();
  const iovec from{const_cast<char*>("last"), 4};
  EXPECT_EQ(pair.client.tls->write({&from, 1}).bytes, 4u);
  pair.client.tls->shutdown_write();
  pair.to_server.ended = false;  // close_notify, but no FIN yet
  char buffer[100];
  const iovec into{buffer, sizeof buffer};
  const auto read = pair.server.tls->read({&into, 1});
  EXPECT_EQ(read.bytes, 4u);
  EXPECT_TRUE(read.more);
  EXPECT_EQ(pair.server.tls->read({&into, 1}).state, State::end);
}

TEST(TlsTransport, ReportsMoreAfterASmallRead) {
  TlsPair pair = localhost();
  pair.shake_hands();
  pair.run();
  const std::string message = pattern(70'000);
  const iovec from{const_cast<char*>(message.data()), message.size()};
  EXPECT_EQ(pair.client.tls->write({&from, 1}).bytes, message.size());
  std::string got;
  char buffer[1000];
  for (;;) {
    const iovec into{buffer, sizeof buffer};
    const auto read = pair.server.tls->read({&into, 1});
    if (read.state != State::ok) break;
    got.append(buffer, read.bytes);
    EXPECT_EQ(read.more, read.bytes == sizeof buffer);
  }
  EXPECT_EQ(got, message);
}

// The read in which a ticket, a key update or a Finished arrives consumes it.
// TLS in TLS: an inner pair over the ends of an outer pair, as through an https:// proxy.
struct NestedPair {
  using Below = std::unique_ptr<net::Transport>;

  /// `between` may put another transport between both layers of the client.
  explicit NestedPair(Below (*between)(Below) = [](Below below) { return below; }) {
    auto server_context = tls::ServerContext::load(server_of(authority().leaf));
    auto client_context = tls::ClientContext::load(trusting(authority().ca));
    server.tls = tls::TlsTransport::server(std::move(outer.server.tls), *server_context, scratch);
    client.tls = tls::TlsTransport::client(between(std::move(outer.client.tls)), *client_context,
                                           "localhost", 443, scratch);
  }
  void run() {
    std::size_t before;
    do {
      before = outer.rules.bytes;
      client.turn();
      server.turn();
    } while (outer.rules.bytes != before);
  }

  TlsPair outer = localhost();
  tls::Scratch scratch{};
  TlsEnd client{};
  TlsEnd server{};
};

TEST(TlsTransport, TlsInTlsWorksHoweverItIsCut) {
  for (const int bytes : {1, 7, 100, 100'000}) {
    SCOPED_TRACE(bytes);
    NestedPair pair;
    pair.outer.rules.read_at_most = pair.outer.rules.write_at_most =
        static_cast<std::size_t>(bytes);
    pair.client.to_write = pattern(20'000);
    pair.server.to_write = pattern(30'000);
    pair.run();
    EXPECT_EQ(pair.server.got, pattern(20'000));
    EXPECT_EQ(pair.client.got, pattern(30'000));
    pair.client.tls->shutdown_write();
    pair.run();
    EXPECT_EQ(pair.server.last.state, State::end);
  }
}

// Writes one byte at a time, so that the outer layer makes a record of each byte of the inner one.
class OneByteWrites final : public net::Transport {
 public:
  explicit OneByteWrites(std::unique_ptr<net::Transport> to) noexcept : to_(std::move(to)) {}

  Transfer read(std::span<const iovec> into) noexcept override { return to_->read(into); }
  Transfer write(std::span<const iovec> from) noexcept override {
    const iovec first{from.front().iov_base, 1};
    return to_->write({&first, 1});
  }
  int fd() const noexcept override { return to_->fd(); }
  void shutdown_write() noexcept override { to_->shutdown_write(); }
  bool has_unsent() const noexcept override { return to_->has_unsent(); }
  Transfer flush() noexcept override { return to_->flush(); }

 private:
  std::unique_ptr<net::Transport> to_;
};

// The wire is empty, but the outer layer still holds records that the inner one has not read: more
// of them than one call deciphers.
TEST(TlsTransport, TlsInTlsReportsWhatTheOuterLayerHolds) {
  NestedPair pair([](NestedPair::Below below) -> NestedPair::Below {
    return std::make_unique<OneByteWrites>(std::move(below));
  });
  pair.client.to_write = "hello";
  pair.run();
  pair.server.got.clear();
  pair.client.to_write = pattern(4000);
  while (!pair.client.to_write.empty() || pair.client.tls->has_unsent()) pair.client.turn();
  bool more = true;
  while (more || !pair.outer.to_server.bytes.empty()) {
    std::array<char, 4096> buffer;
    const iovec into{buffer.data(), buffer.size()};
    const auto read = pair.server.tls->read({&into, 1});
    pair.server.got.append(buffer.data(), read.bytes);
    more = read.more;
  }
  EXPECT_EQ(pair.server.got, pattern(4000));
}

TEST(TlsTransport, TlsInTlsReportsWhatTheOuterLayerHasNotSent) {
  NestedPair pair;
  pair.client.to_write = "hello";
  pair.run();
  pair.server.got.clear();
  pair.outer.rules.capacity = 0;
  pair.client.to_write = pattern(1000);
  pair.client.turn();
  EXPECT_TRUE(pair.client.tls->has_unsent());
  pair.outer.rules.capacity = WireRules::all;
  for (int i = 0; i < 3 && pair.client.tls->has_unsent(); ++i) pair.client.tls->flush();
  EXPECT_FALSE(pair.client.tls->has_unsent());
  pair.run();
  EXPECT_EQ(pair.server.got, pattern(1000));
}

TEST(TlsTransport, FollowsKeyUpdates) {
  TlsPair pair = localhost();
  pair.shake_hands();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(SSL_key_update(pair.client.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    pair.client.to_write = "with a new key";
    pair.server.got.clear();
    pair.run();
    EXPECT_EQ(pair.server.got, "with a new key");
    pair.client.got.clear();
    pair.server.to_write = "so am I";
    pair.run();
    EXPECT_EQ(pair.client.got, "so am I");
  }
}

TEST(TlsTransport, RefusesRenegotiation) {
  TlsPair pair = localhost();
  pair.only_version(TLS1_2_VERSION);
  pair.shake_hands();
  SSL_clear_options(pair.client.ssl, SSL_OP_NO_RENEGOTIATION);
  ASSERT_EQ(SSL_renegotiate(pair.client.ssl), 1);
  pair.client.to_write = "new keys?";
  pair.client.turn();
  pair.server.turn();
  EXPECT_EQ(pair.server.got, "");
  EXPECT_FALSE(pair.server.over());  // the server refuses and stays open
  pair.run();
  EXPECT_EQ(pair.client.last.error, Errc::tls_failed);  // the client's handshake fails
  EXPECT_EQ(pair.server.got, "");
}

struct Garbage {
  const char* name;
  std::string bytes;
};

std::vector<Garbage> garbage() {
  std::string noise(512, '\0');
  RAND_bytes(reinterpret_cast<unsigned char*>(noise.data()), 512);
  noise[0] = '\x7f';
  return {
      {"HTTP", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"},
      {"noise", noise},
      {"an impossible length", std::string("\x16\x03\x01\xff\xff", 5) + std::string(100, 'x')},
      {"an SSLv2 hello",
       std::string("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", 11) + std::string(37, '\x01')},
      {"zeros", std::string(1000, '\0')},
  };
}

TEST(TlsTransport, RejectsGarbageInsteadOfAHello) {
  for (const Garbage& given : garbage()) {
    SCOPED_TRACE(given.name);
    for (const std::size_t step : {std::size_t{1}, WireRules::all}) {
      TlsPair pair = localhost();
      pair.rules.read_at_most = step;
      pair.to_server.bytes = given.bytes;
      pair.run();
      EXPECT_EQ(pair.server.last.error, Errc::tls_failed);
      EXPECT_NE(pair.server.tls->explanation(), "");
      EXPECT_EQ(pair.server.got, "");
      // Reads fail until our direction is ended. After that, reads discard the input.
      pair.to_server.bytes = "more";
      char buffer[10];
      const iovec into{buffer, sizeof buffer};
      EXPECT_EQ(pair.server.tls->read({&into, 1}).state, State::failed);
      pair.server.tls->shutdown_write();
      EXPECT_TRUE(pair.to_client.ended);
      EXPECT_EQ(pair.server.tls->read({&into, 1}).bytes, std::min<std::size_t>(4, step));
    }
  }
}

TEST(TlsTransport, RejectsGarbageBehindAGoodHello) {
  TlsPair pair = localhost();
  pair.client.to_write = "hello";
  pair.client.turn();
  pair.to_server.bytes += std::string(600, 'x');
  pair.server.turn();
  EXPECT_EQ(pair.server.last.error, Errc::tls_failed);
  EXPECT_EQ(pair.server.got, "");
}

TEST(TlsTransport, ReportsAnEndInsteadOfAHello) {
  TlsPair nothing = localhost();
  nothing.to_server.ended = true;
  nothing.server.turn();
  EXPECT_EQ(nothing.server.last.error, Errc::end_of_stream);
  TlsPair half = localhost();
  half.to_server.bytes = std::string("\x16\x03\x01", 3);
  half.to_server.ended = true;
  half.run();
  EXPECT_EQ(half.server.last.error, Errc::tls_truncated);
}

TEST(TlsTransport, DetectsAFlippedBit) {
  TlsPair pair = localhost();
  pair.shake_hands();
  pair.client.to_write = "trust me";
  pair.client.turn();
  pair.to_server.bytes.back() ^= 1;
  pair.run();
  EXPECT_EQ(pair.server.got, "");
  EXPECT_EQ(pair.server.last.error, Errc::tls_failed);
  EXPECT_EQ(pair.client.last.error, Errc::tls_failed);  // by the alert
  EXPECT_NE(pair.client.tls->explanation().find("alert"), std::string::npos)
      << pair.client.tls->explanation();
}

// Other code may leave errors in the queue of the thread.
TEST(TlsTransport, IgnoresOldErrorsInTheQueueOfTheThread) {
  TlsPair pair = localhost();
  pair.shake_hands();
  for (int i = 0; i < 3; ++i) {
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    pair.client.to_write = "ping";
    pair.server.got.clear();
    pair.run();
    EXPECT_EQ(pair.server.got, "ping");
  }
  // The same while OpenSSL waits for the rest of a record, which it reports as a failure.
  pair.server.got.clear();
  pair.client.to_write = "pong";
  pair.client.turn();
  for (const char byte : std::exchange(pair.to_server.bytes, {})) {
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    pair.to_server.bytes += byte;
    pair.server.turn();
  }
  EXPECT_EQ(pair.server.got, "pong") << pair.server.tls->explanation();
  ERR_clear_error();
}

}  // namespace
}  // namespace tern::test
