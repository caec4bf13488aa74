// A client without fresh masking keys must not send (RFC 6455 §10.3), so each call that would send
// ends the connection with 1011. The tests replace the random source of libcrypto by one that can
// fail.
#define OPENSSL_SUPPRESS_DEPRECATED  // RAND_set_rand_method

#include "support/engine_table.h"

#include <gtest/gtest.h>
#include <new>
#include <openssl/rand.h>
#include <string>

namespace tern::test {
namespace {

using Strings = Peer::Strings;

class EngineRandom : public testing::Test {
 protected:
  EngineRandom() {
    fails = false;
    RAND_set_rand_method(&method_);
  }
  ~EngineRandom() override { RAND_set_rand_method(nullptr); }

  static inline bool fails = false;

 private:
  static int bytes(unsigned char* to, int size) {
    return fails ? 0 : RAND_OpenSSL()->bytes(to, size);
  }
  static constexpr RAND_METHOD method_{nullptr, &bytes, nullptr, nullptr, nullptr, nullptr};
};

TEST_F(EngineRandom, Rfc6455_4_1_ARequestNeedsRandomBytes) {
  Workspace workspace;
  const EngineOptions options;
  const ClientRequest request{.host = "example.org", .target = "/"};
  fails = true;
  // Random bytes that the workspace has fetched earlier may still be used.
  Result<Engine> engine = Engine::client(request, options, workspace);
  for (int i = 0; i < 10'000 && engine; ++i) engine = Engine::client(request, options, workspace);
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().code(), Errc::random_unavailable);
  fails = false;
  EXPECT_TRUE(Engine::client(request, options, workspace));
}

TEST_F(EngineRandom, AWorkspaceNeedsRandomBytes) {
  fails = true;
  EXPECT_THROW(Workspace(), std::bad_alloc);
}

// Sends until no fetched random bytes are left, so the next frame needs the source.
std::size_t send_until_a_key_is_missing(Peer& peer, std::size_t most) {
  for (std::size_t sent = 0; sent < most; ++sent) {
    if (!peer.at_now().send(std::string_view("x"))) return sent;
    peer.turn();
  }
  return most;
}

TEST_F(EngineRandom, Rfc6455_10_3_AClientWithoutAFreshKeyEnds) {
  fails = false;
  std::size_t keys = 0;
  {
    Peer probe(Role::client);
    fails = true;
    keys = send_until_a_key_is_missing(probe, 100'000);
    ASSERT_GT(keys, 0u);
    ASSERT_LT(keys, 100'000u);
  }
  for (const std::string_view way :
       {"send", "shared", "borrowed", "ping", "pong", "close", "answer", "fault", "silence"}) {
    SCOPED_TRACE(way);
    fails = false;
    Peer peer(Role::client);
    fails = true;
    ASSERT_EQ(send_until_a_key_is_missing(peer, keys), keys);
    peer.frames();
    Engine& engine = peer.at_now();
    if (way == "send") {
      EXPECT_EQ(engine.send(std::string_view("x")), SendStatus::closed);
    }
    if (way == "shared") {
      EXPECT_FALSE(engine.send(SharedMessage(std::string_view("x"))));
    }
    if (way == "borrowed") {
      EXPECT_FALSE(engine.send_borrowed(std::string_view("x")));
    }
    if (way == "ping") engine.ping();
    if (way == "pong") peer.receive(ping());
    if (way == "close") engine.close(CloseCode::normal);
    if (way == "answer") peer.receive(closing(1000, "bye"));
    if (way == "fault") peer.receive(Frame{3, ""});
    if (way == "silence") peer.wait(20s);
    peer.turn();
    EXPECT_EQ(peer.frames(), Strings{"close 1011"})
        << "the mask may be zero, because a Close frame contains no secret";
    ASSERT_TRUE(peer.saw_closed());
    const Ending ending = peer.ending();
    EXPECT_EQ(ending.error, Errc::random_unavailable);
    EXPECT_FALSE(ending.clean);
    if (way == "answer") {
      EXPECT_EQ(
          ending,
          (Ending{
              .code = 1000, .reason = "bye", .error = Errc::random_unavailable, .by_peer = true}));
    } else {
      EXPECT_EQ(ending.code, 1011);
    }
    EXPECT_TRUE(peer.dead());
  }
}

}  // namespace
}  // namespace tern::test
