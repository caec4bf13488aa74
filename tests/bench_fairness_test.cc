// Tests `tern-bench fairness`: each attack sends the frames that its name promises, and the
// bystander receives answers during each attack.

#include "support/raw_socket.h"
#include "support/running_server.h"
#include "support/wire.h"
#include "support/zlib_peer.h"
#include "throughput/attacker.h"
#include "throughput/attacks.h"
#include "throughput/bystander.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <optional>
#include <sched.h>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using tern::bench::Attack;
using tern::bench::AttackKind;
using tern::bench::attacks;
using tern::test::Frame;
using tern::test::FrameReader;

std::string text_of(AttackKind kind) {
  const std::vector<std::byte> bytes = tern::bench::attack_bytes(kind);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<Frame> frames_of(AttackKind kind, bool compressed = false) {
  FrameReader reader(tern::Role::client);
  if (compressed) reader.take_compressed(15, false);
  reader.feed(text_of(kind));
  EXPECT_EQ(reader.fault(), "");
  EXPECT_TRUE(reader.at_boundary());
  return reader.frames();
}

TEST(BenchAttacks, HaveUniqueNamesAndBeginWithNone) {
  std::set<std::string_view> names;
  for (const Attack& attack : attacks()) {
    EXPECT_TRUE(names.insert(attack.name).second) << attack.name;
    EXPECT_EQ(attack.senders == 0, attack.kind == AttackKind::none) << attack.name;
  }
  EXPECT_EQ(attacks().front().kind, AttackKind::none);
  EXPECT_EQ(attacks().size(), 15u);
}

TEST(BenchAttacks, SendTheFramesThatTheirNamesPromise) {
  const std::string bomb_bytes = text_of(AttackKind::bombs);
  const auto bombs = frames_of(AttackKind::bombs, true);
  ASSERT_FALSE(bombs.empty());
  EXPECT_EQ(bombs[0].payload, std::string(1 << 20, '\0'));
  EXPECT_LT(bomb_bytes.size() / bombs.size(), 1'050u) << "bytes of one frame";

  const auto blocks = frames_of(AttackKind::empty_blocks, true);
  ASSERT_FALSE(blocks.empty());
  EXPECT_EQ(blocks[0].payload, "");
  EXPECT_GE(text_of(AttackKind::empty_blocks).size(), 65'536u);

  const auto fragments = frames_of(AttackKind::empty_frames);
  ASSERT_GE(fragments.size(), 4'000u);
  EXPECT_TRUE(std::ranges::all_of(fragments, [](const Frame& f) { return f.payload.empty(); }));
  EXPECT_FALSE(fragments[3'998].fin);
  EXPECT_TRUE(fragments[3'999].fin);

  EXPECT_EQ(frames_of(AttackKind::tiny_messages)[0].payload, "x");
  EXPECT_EQ(frames_of(AttackKind::large_messages)[0].payload.size(), std::size_t{1} << 20);
  EXPECT_TRUE(text_of(AttackKind::pages).ends_with("\r\n\r\n"));
}

TEST(BenchAttacks, SendTheRequestsThatTheirNamesPromise) {
  EXPECT_TRUE(text_of(AttackKind::bodies).starts_with("POST /body "));
  EXPECT_NE(text_of(AttackKind::bodies).find("Content-Length: 60000\r\n"), std::string::npos);
  EXPECT_TRUE(text_of(AttackKind::tiny_chunks).find("\r\n\r\n1\r\nx\r\n1\r\nx") !=
              std::string::npos);
  EXPECT_TRUE(text_of(AttackKind::tiny_chunks).ends_with("\r\n0\r\n\r\n"));
  EXPECT_TRUE(text_of(AttackKind::files).starts_with("GET /files/64k "));
  EXPECT_TRUE(text_of(AttackKind::unread_files).starts_with("GET /files/large "));
  EXPECT_TRUE(text_of(AttackKind::streams).starts_with("GET /stream "));
}

// The server is an echo server of tern. `tern-bench fairness` measures how fast it answers; this
// test checks only that it does.
TEST(BenchFairness, ABystanderIsAnsweredWhileEachAttackerSends) {
  tern::test::RunningServer running({.deflate = tern::Deflate{}});
  running.server.route("/echo",
                       tern::Handlers{.on_message =
                                          [](tern::Connection& conn, tern::Message message) {
                                            if (conn.send(message) == tern::SendStatus::congested)
                                              conn.pause();
                                          },
                                      .on_drain = [](tern::Connection& conn) { conn.resume(); }});
  running.server.get("/", [](const tern::Request&) { return tern::Response::text("page"); });
  running.server.get("/files/{name}", [](const tern::Request&) {
    return tern::Response::text(std::string(65'536, 'x'));
  });
  running.server.post("/body", [](const tern::Request&) { return tern::Response::status(204); });
  running.server.get("/stream", [](const tern::Request&) {
    return tern::Response::stream("text/plain", [] { return std::optional<std::string>("x"); });
  });
  const std::string url = "ws://127.0.0.1:" + std::to_string(running.start()) + "/echo";
  tern::bench::Bystander bystander(tern::bench::Target::parse(url));
  for (const Attack& attack : attacks()) {
    if (attack.senders == 0 || tern::bench::needs_of(attack.kind) == tern::bench::Needs::tls) {
      continue;
    }
    SCOPED_TRACE(attack.name);
    const Attack few{attack.name, attack.kind, 2};
    const tern::bench::Attacker attacker(few, url, tern::bench::any_core);
    const tern::bench::Wait wait = bystander.watch(tern::bench::Seconds(0.05));
    EXPECT_GT(wait.answers, 0u);
    EXPECT_FALSE(wait.starved);
    while (attacker.sent() == 0) ::sched_yield();
    EXPECT_EQ(attacker.ended(), 0u);
  }
}

TEST(BenchFairness, AnAttackThatCannotBeginIsReported) {
  const tern::test::RawSocket not_listening = tern::test::RawSocket::bound();
  const std::string url = "ws://127.0.0.1:" + std::to_string(not_listening.port()) + "/echo";
  testing::internal::CaptureStderr();
  EXPECT_THROW(tern::bench::Attacker(attacks()[1], url, tern::bench::any_core), std::runtime_error);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("pages"), std::string::npos);
}

}  // namespace
